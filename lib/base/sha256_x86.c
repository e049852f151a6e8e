/* SHA-256 in the SHA instructions of x86 (sha256rnds2 does two rounds, sha256msg1 and sha256msg2 four words of the
   schedule). Pure; any thread. Elsewhere there is no fast sibling. */
#include "base/sha256.h"

#include "base/cpu.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1")))

/* Four rounds: `words` are four words of the schedule, `abef` and `cdgh` the state as the instructions want it. */
SHA_TARGET static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i words, int first) {
    __m128i sum = _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)(const void *)(fm_sha256_constants + first)));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

SHA_TARGET static void fast_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (size_t block = 0; block < count; block++, blocks += 64) {
        __m128i abef_before = abef, cdgh_before = cdgh, words[4];
        for (int i = 0; i < 4; i++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i));
            words[i] = _mm_shuffle_epi8(bytes, big_endian);
            four_rounds(&abef, &cdgh, words[i], 4 * i);
        }
#pragma GCC unroll 12
        for (int i = 4; i < 16;
             i++) { /* words[i % 4] are those of 16 rounds ago; unrolled, all four stay in registers */
            __m128i last = words[(i + 3) % 4];
            __m128i seven_ago = _mm_alignr_epi8(last, words[(i + 2) % 4], 4);
            __m128i mixed = _mm_add_epi32(_mm_sha256msg1_epu32(words[i % 4], words[(i + 1) % 4]), seven_ago);
            words[i % 4] = _mm_sha256msg2_epu32(mixed, last);
            four_rounds(&abef, &cdgh, words[i % 4], 4 * i);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

sha256_function *fm_sha256_fast_blocks(void) {
    return fm_cpu_has("sha") && fm_cpu_has("sse4.1") ? fast_blocks : NULL;
}

#else

sha256_function *fm_sha256_fast_blocks(void) {
    return NULL;
}

#endif
