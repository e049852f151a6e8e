/* Pictures fetched from URLs that a request names: only from hosts that are allowed by name, never from addresses that
   are this machine's or its network's, with limits of size and time. */
#ifndef FM_HTTP_URL_FETCH_H
#define FM_HTTP_URL_FETCH_H

#include "base/error.h"
#include "base/memory.h"

struct url_rules {
    const char *const *hosts; /* "a.example", "*.a.example" (any below it), with ":8080" that port too; none: nothing */
    size_t host_count;
    uint64_t max_bytes;
    const char *(*headers)[2]; /* sent to the first host only */
    size_t header_count;
    uint64_t deadline_ns; /* fm_clock_ns; 0: 10 seconds from now */
};
/* Fetch `url` into `bytes`; waits. FM_UNSUPPORTED (fetching is off, no libcurl), FM_INVALID_ARGUMENT (a host, address
   or scheme that is not allowed), FM_NOT_FOUND, FM_LIMIT, FM_DEADLINE. */
FM_MUST_USE fm_status fm_url_fetch(const char *url, const struct url_rules *rules, struct buffer *bytes,
                                   fm_error *error);

#endif
