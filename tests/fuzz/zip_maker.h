/* Zip maker: small zip files written by hand, with whatever lies are wanted in their headers. */
#ifndef FM_TESTS_ZIP_MAKER_H
#define FM_TESTS_ZIP_MAKER_H

#include "base/memory.h"

struct zip_entry {
    const char *name;
    const void *data;
    uint32_t size;
    uint16_t flags, method; /* 0: stored; 8: deflated (as one stored block, at most 65535 bytes) */
    uint32_t mode;          /* of POSIX; 0: none */
    int32_t size_lie;       /* added to the size in the central directory */
};
/* `bytes` receives the whole file; aborts when out of memory. */
void zip_make(const struct zip_entry *entries, size_t count, struct buffer *bytes);

#endif
