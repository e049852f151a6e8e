/* SHA-256 (FIPS 180-4). Pure. */
#ifndef FM_BASE_SHA256_H
#define FM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* Take `count` whole blocks of 64 bytes into `state`. */
typedef void sha256_function(uint32_t state[8], const uint8_t *blocks, size_t count);

struct sha256 {
    sha256_function *add_blocks; /* this CPU's fastest; tests set the other one after fm_sha256_init */
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
    size_t filled;
};
void fm_sha256_init(struct sha256 *sha);
void fm_sha256_add(struct sha256 *sha, const void *bytes, size_t size);
/* 64 lower-case hexadecimal digits and a NUL. */
void fm_sha256_hex(struct sha256 *sha, char hex[65]);

/* The reference, and its sibling in the CPU's own instructions (about 8 times as fast; NULL where there are none). A
   pack's digest is taken at every start over hundreds of MiB, which the reference would make the user wait for. */
sha256_function fm_sha256_blocks;
sha256_function *fm_sha256_fast_blocks(void);
extern const uint32_t fm_sha256_constants[64];

#endif
