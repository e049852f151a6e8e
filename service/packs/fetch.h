/* Fetch: one file over HTTP into a part file that survives the process, gone on with where it ended. The only place
   that knows libcurl. */
#ifndef FM_PACKS_FETCH_H
#define FM_PACKS_FETCH_H

#include "packs/members.h"

#include <stdatomic.h>

struct fetch {
    const char *url;      /* https://, or http:// where that is what the user named */
    const char *part;     /* file that grows; kept on failure */
    const char *sidecar;  /* small file that says of what `part` is the beginning */
    uint64_t exact_bytes; /* 0: not known */
    uint64_t max_bytes;
    const struct notes *notes;
    const atomic_int *interrupted;                               /* other than 0: stop */
    void (*progress)(uint64_t done, uint64_t total, void *user); /* total 0: not known; may be NULL */
    void *user;
    uint64_t resumed_at; /* out: bytes that were there before; 0: from the start */
};
/* FM_NOT_FOUND (the server does not have it, or cannot be reached), FM_LIMIT (too large), FM_IO (writing; words have
   what is free), FM_CANCELLED, FM_BAD_MODEL (another size than promised), FM_UNSUPPORTED (no libcurl),
   FM_INVALID_ARGUMENT (URL). */
FM_MUST_USE fm_status fm_fetch(struct fetch *fetch, fm_error *error);

#endif
