/* Where libmicrohttpd's functions come from. */
#include "http/mhd_library.h"

#include "base/os.h"

#include <string.h>

fm_status fm_mhd_load(struct mhd_library *library, fm_error *error) {
    static const char *const names[] = {"libmicrohttpd.so.12", "libmicrohttpd.so", "libmicrohttpd.12.dylib"};
    void *handle = NULL;
    bool all = true;
    for (size_t i = 0; i < sizeof names / sizeof *names && handle == NULL; i++) {
        fm_error ignored = {0};
        (void)!fm_library_open(names[i], &handle, &ignored);
    }
    if (handle == NULL)
        return fm_fail(
            error, FM_UNSUPPORTED,
            "libmicrohttpd is not on this machine, and it serves HTTP; install it (Debian: libmicrohttpd12)");
#define LOAD(name)                                                                                                     \
    {                                                                                                                  \
        void *symbol = fm_library_symbol(handle, #name);                                                               \
        memcpy(&library->name, &symbol, sizeof symbol);                                                                \
        all = all && symbol != NULL;                                                                                   \
    }
    MHD_FUNCTIONS(LOAD)
#undef LOAD
    if (!all)
        return fm_fail(error, FM_UNSUPPORTED, "libmicrohttpd of this machine lacks functions; install 0.9.75 or newer");
    if (!library->MHD_is_feature_supported(MHD_FEATURE_EPOLL))
        return fm_fail(error, FM_UNSUPPORTED, "libmicrohttpd of this machine was built without epoll");
    return FM_OK;
}
