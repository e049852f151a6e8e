/* Where libmicrohttpd's functions come from. */
#include "http/mhd_library.h"

#include "base/os.h"

#include <string.h>

fm_status fm_mhd_load(struct mhd_library *library, fm_error *error) {
    static const char *const paths[] = {"libmicrohttpd.so.12", "libmicrohttpd.so", "libmicrohttpd.12.dylib", NULL};
#define NAME(name) #name,
    static const char *const names[] = {MHD_FUNCTIONS(NAME) NULL};
#undef NAME
    enum os_library found = fm_library_load(paths, names, library);
    if (found == OS_LIBRARY_NONE)
        return fm_fail(
            error, FM_UNSUPPORTED,
            "libmicrohttpd is not on this machine, and it serves HTTP; install it (Debian: libmicrohttpd12)");
    if (found != OS_LIBRARY_WHOLE)
        return fm_fail(error, FM_UNSUPPORTED, "libmicrohttpd of this machine lacks functions; install 0.9.75 or newer");
    if (!library->MHD_is_feature_supported(MHD_FEATURE_EPOLL))
        return fm_fail(error, FM_UNSUPPORTED, "libmicrohttpd of this machine was built without epoll");
    return FM_OK;
}
