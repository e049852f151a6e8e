/* libcurl, loaded when a client is opened, not linked: its libraries would cost every start of a program 20 ms. */
#ifndef FM_CLIENT_CURL_H
#define FM_CLIENT_CURL_H

#define CURL_DISABLE_TYPECHECK
#include "base/error.h"

#include <curl/curl.h>

#define CURL_FUNCTIONS(X)                                                                                              \
    X(curl_global_init)                                                                                                \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_easy_reset)                                                                                                 \
    X(curl_easy_cleanup)                                                                                               \
    X(curl_slist_append)                                                                                               \
    X(curl_slist_free_all)                                                                                             \
    X(curl_mime_init)                                                                                                  \
    X(curl_mime_addpart)                                                                                               \
    X(curl_mime_name)                                                                                                  \
    X(curl_mime_filename)                                                                                              \
    X(curl_mime_type)                                                                                                  \
    X(curl_mime_data)                                                                                                  \
    X(curl_mime_free)                                                                                                  \
    X(curl_multi_init)                                                                                                 \
    X(curl_multi_cleanup)                                                                                              \
    X(curl_multi_setopt)                                                                                               \
    X(curl_multi_add_handle)                                                                                           \
    X(curl_multi_remove_handle)                                                                                        \
    X(curl_multi_perform)                                                                                              \
    X(curl_multi_info_read)                                                                                            \
    X(curl_multi_poll)                                                                                                 \
    X(curl_multi_wakeup)                                                                                               \
    X(curl_url)                                                                                                        \
    X(curl_url_set)                                                                                                    \
    X(curl_url_get)                                                                                                    \
    X(curl_url_cleanup)                                                                                                \
    X(curl_free)

struct curl_library {
#define MEMBER(name) __typeof__(name) *name;
    CURL_FUNCTIONS(MEMBER)
#undef MEMBER
};
/* FM_UNSUPPORTED in words. It stays loaded: TLS libraries do not like to be taken away. */
FM_MUST_USE fm_status fm_client_curl_load(struct curl_library *library, fm_error *error);

#endif
