/* libcurl of this machine. Any thread. */
#include "client/curl.h"

#include "base/os.h"

#include <string.h>

fm_status fm_client_curl_load(struct curl_library *library, fm_error *error) {
    static const char *const paths[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so", "libcurl.4.dylib", NULL};
#define NAME(name) #name,
    static const char *const names[] = {CURL_FUNCTIONS(NAME) NULL};
#undef NAME
    enum os_library found = fm_library_load(paths, names, library);
    if (found == OS_LIBRARY_NONE)
        return fm_fail(error, FM_UNSUPPORTED,
                       "libcurl is not on this machine, and workers are reached by it; install it (Debian: libcurl4), "
                       "or do without a worker");
    if (found != OS_LIBRARY_WHOLE || library->curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fm_fail(error, FM_UNSUPPORTED, "libcurl of this machine lacks functions; install 7.85 or newer");
    return FM_OK;
}
