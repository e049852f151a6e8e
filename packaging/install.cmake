# What `cmake --install` puts down beside the program: header, both libraries, a pkg-config file, a CMake package.

# The foreign libraries that a program with our static library inside needs, as pkg-config knows them. Not as private
# requirements of facemill.pc: those would be asked of everybody who compiles against the shared library.
set(FM_CODEC_MODULES libprotobuf-c)
foreach(pair "JPEG libjpeg" "PNG spng" "WEBP libwebp" "HEIF libheif")
  separate_arguments(pair)
  list(GET pair 0 option)
  list(GET pair 1 module)
  if(FM_WITH_${option})
    list(APPEND FM_CODEC_MODULES ${module})
  endif()
endforeach()
list(JOIN FM_CODEC_MODULES " " FM_CODEC_MODULES)
# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH FM_PC_PREFIX ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})

install(FILES include/facemill/facemill.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/facemill)
install(TARGETS facemill_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS facemill_shared EXPORT facemill-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

foreach(name facemill facemill-static)
  configure_file(packaging/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/facemill)
configure_package_config_file(packaging/facemill-config.cmake.in facemill-config.cmake
                              INSTALL_DESTINATION ${package_folder} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(facemill-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT facemill-targets NAMESPACE facemill:: DESTINATION ${package_folder})
install(FILES ${PROJECT_BINARY_DIR}/facemill-config.cmake ${PROJECT_BINARY_DIR}/facemill-config-version.cmake
        DESTINATION ${package_folder})
