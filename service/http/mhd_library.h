/* libmicrohttpd, loaded when a server is opened: linked, it and GnuTLS would cost every start of the program several
   milliseconds. Only the server's own files include this. */
#ifndef FM_HTTP_MHD_LIBRARY_H
#define FM_HTTP_MHD_LIBRARY_H

#include "base/error.h"

#include <microhttpd.h>

#define MHD_FUNCTIONS(X)                                                                                               \
    X(MHD_start_daemon)                                                                                                \
    X(MHD_stop_daemon)                                                                                                 \
    X(MHD_add_connection)                                                                                              \
    X(MHD_queue_response)                                                                                              \
    X(MHD_suspend_connection)                                                                                          \
    X(MHD_resume_connection)                                                                                           \
    X(MHD_get_connection_values_n)                                                                                     \
    X(MHD_get_connection_info)                                                                                         \
    X(MHD_create_response_from_buffer)                                                                                 \
    X(MHD_create_response_from_buffer_with_free_callback)                                                              \
    X(MHD_add_response_header)                                                                                         \
    X(MHD_destroy_response)                                                                                            \
    X(MHD_is_feature_supported)

struct mhd_library {
#define MEMBER(name) __typeof__(name) *name;
    MHD_FUNCTIONS(MEMBER)
#undef MEMBER
};
/* FM_UNSUPPORTED where it is not installed or too old. It stays loaded. */
FM_MUST_USE fm_status fm_mhd_load(struct mhd_library *library, fm_error *error);

#endif
