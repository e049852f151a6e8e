/* libcurl of this machine. Any thread. */
#include "client/curl.h"

#include "base/os.h"

#include <string.h>

fm_status fm_client_curl_load(struct curl_library *library, fm_error *error) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so", "libcurl.4.dylib"};
    void *handle = NULL;
    bool all = true;
    for (size_t i = 0; i < sizeof names / sizeof *names && handle == NULL; i++) {
        fm_error ignored = {0};
        (void)!fm_library_open(names[i], &handle, &ignored);
    }
    if (handle == NULL)
        return fm_fail(error, FM_UNSUPPORTED,
                       "libcurl is not on this machine, and workers are reached by it; install it (Debian: libcurl4), "
                       "or do without a worker");
#define LOAD(name)                                                                                                     \
    {                                                                                                                  \
        void *symbol = fm_library_symbol(handle, #name);                                                               \
        memcpy(&library->name, &symbol, sizeof symbol);                                                                \
        all = all && symbol != NULL;                                                                                   \
    }
    CURL_FUNCTIONS(LOAD)
#undef LOAD
    if (!all || library->curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fm_fail(error, FM_UNSUPPORTED, "libcurl of this machine lacks functions; install 7.85 or newer");
    return FM_OK;
}
