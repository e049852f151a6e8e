/* SHA-256 (FIPS 180-4). Pure. */
#ifndef FM_BASE_SHA256_H
#define FM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
    size_t filled;
};
void fm_sha256_init(struct sha256 *sha);
void fm_sha256_add(struct sha256 *sha, const void *bytes, size_t size);
/* 64 lower-case hexadecimal digits and a NUL. */
void fm_sha256_hex(struct sha256 *sha, char hex[65]);

#endif
