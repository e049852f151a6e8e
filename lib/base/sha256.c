/* SHA-256 as FIPS 180-4 section 6.2 states it, over a stream of blocks. Pure; any thread. */
#include "base/sha256.h"

#include <string.h>

const uint32_t fm_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, unsigned bits) {
    return value >> bits | value << (32 - bits);
}

static uint32_t load_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void expand_schedule(const uint8_t *block, uint32_t schedule[64]) {
    for (int i = 0; i < 16; i++) {
        schedule[i] = load_big_endian(block + 4 * i);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t near = schedule[i - 2], far = schedule[i - 15];
        uint32_t near_mix = rotate(near, 17) ^ rotate(near, 19) ^ near >> 10;
        uint32_t far_mix = rotate(far, 7) ^ rotate(far, 18) ^ far >> 3;
        schedule[i] = near_mix + schedule[i - 7] + far_mix + schedule[i - 16];
    }
}

static void add_block(uint32_t state[8], const uint8_t *block) {
    uint32_t schedule[64];
    expand_schedule(block, schedule);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t e_mix = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        uint32_t a_mix = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
        uint32_t first = h + e_mix + (g ^ (e & (f ^ g))) + fm_sha256_constants[i] + schedule[i];
        uint32_t second = a_mix + ((a & b) | (c & (a | b)));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void fm_sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        add_block(state, blocks + 64 * i);
    }
}

void fm_sha256_init(struct sha256 *sha) {
    sha256_function *fast = fm_sha256_fast_blocks();
    *sha = (struct sha256){
        .add_blocks = fast != NULL ? fast : fm_sha256_blocks,
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void fm_sha256_add(struct sha256 *sha, const void *bytes, size_t size) {
    const uint8_t *next = bytes;
    sha->length += size;
    while (size > 0) {
        if (sha->filled == 0 && size >= sizeof sha->block) {
            size_t count = size / sizeof sha->block;
            sha->add_blocks(sha->state, next, count);
            next += count * sizeof sha->block;
            size -= count * sizeof sha->block;
            continue;
        }
        size_t room = sizeof sha->block - sha->filled, taken = size < room ? size : room;
        memcpy(sha->block + sha->filled, next, taken);
        sha->filled += taken;
        next += taken;
        size -= taken;
        if (sha->filled == sizeof sha->block) {
            sha->add_blocks(sha->state, sha->block, 1);
            sha->filled = 0;
        }
    }
}

void fm_sha256_hex(struct sha256 *sha, char hex[65]) {
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = sha->length * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    fm_sha256_add(sha, padding, sha->filled < 56 ? 56 - sha->filled : 120 - sha->filled);
    fm_sha256_add(sha, length, sizeof length);
    for (int i = 0; i < 64; i++) {
        hex[i] = "0123456789abcdef"[sha->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    }
    hex[64] = '\0';
}
