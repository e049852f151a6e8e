# What `cmake --install` puts down beside the program: header, both libraries, a pkg-config file, a CMake package.

# The foreign libraries that a program with our static library inside needs, as pkg-config knows them. Not as private
# requirements of facemill.pc: those would be asked of everybody who compiles against the shared library.
set(FM_CODEC_MODULES libprotobuf-c jansson)
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
set(package_names facemill facemill-static)
if(TARGET facemill_client)
  install(FILES include/facemill/facemill_client.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/facemill)
  install(TARGETS facemill_client ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(TARGETS facemill_client_shared EXPORT facemill-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  list(APPEND package_names facemill-client facemill-client-static)
endif()
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.schema.json")

# Man page and completions, printed by the program that was built: not where it cannot run here, or only with care (the
# sanitizers). No config file or variable of whoever builds has a say.
if(TARGET facemill AND NOT CMAKE_CROSSCOMPILING AND NOT FM_SANITIZE)
  set(help_files "")
  foreach(row "facemill.1|man1|manual" "facemill|bash|completion bash" "_facemill|zsh|completion zsh"
              "facemill.fish|fish|completion fish")
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 file)
    list(GET row 1 folder)
    list(GET row 2 command)
    separate_arguments(command)
    set(target ${PROJECT_BINARY_DIR}/help/${folder}/${file})
    add_custom_command(
      OUTPUT ${target}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/help/${folder}
      COMMAND ${CMAKE_COMMAND} -E env --unset=FM_CONFIG --unset=FM_PRINT_CONFIG --unset=FM_OUTPUT --unset=FM_QUIET
              --unset=FM_LOG_LEVEL XDG_CONFIG_HOME=${PROJECT_BINARY_DIR}/help $<TARGET_FILE:facemill> ${command} --output
              ${target}
      DEPENDS facemill VERBATIM)
    list(APPEND help_files ${target})
  endforeach()
  add_custom_target(help_files ALL DEPENDS ${help_files})
  install(FILES ${PROJECT_BINARY_DIR}/help/man1/facemill.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${PROJECT_BINARY_DIR}/help/bash/facemill DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${PROJECT_BINARY_DIR}/help/zsh/_facemill DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${PROJECT_BINARY_DIR}/help/fish/facemill.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

# The worker as a service of systemd. Written when it is installed, for the prefix that is known then.
option(FM_SYSTEMD_UNITS "install systemd units for facemill serve" ${FM_WITH_HTTP})
if(TARGET facemill AND FM_SYSTEMD_UNITS AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  foreach(place BINDIR DATADIR DOCDIR)
    install(CODE "get_filename_component(FM_UNIT_${place} \"${CMAKE_INSTALL_${place}}\" ABSOLUTE
                  BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")")
  endforeach()
  install(CODE "configure_file(\"${PROJECT_SOURCE_DIR}/packaging/systemd/facemill.service.in\"
                               \"${PROJECT_BINARY_DIR}/facemill.service\" @ONLY)")
  install(FILES ${PROJECT_BINARY_DIR}/facemill.service packaging/systemd/facemill.socket DESTINATION lib/systemd/system)
endif()

foreach(name ${package_names})
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
