/* Interleaved RGB8 to planes, AVX2: sixteen pixels are three 16-byte loads, and each plane takes five or six bytes of
   each. The shuffles are on 128 bits, where a wider register would gain nothing. */
#include "kernels/convert.h"

#include <immintrin.h>

static __m128i gathered(const __m128i parts[3], __m128i from_first, __m128i from_second, __m128i from_third) {
    return _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(parts[0], from_first), _mm_shuffle_epi8(parts[1], from_second)),
                        _mm_shuffle_epi8(parts[2], from_third));
}

/* Sixteen pixels -> sixteen levels of each colour. */
static void split(const uint8_t *rgb, __m128i colours[3]) {
    __m128i parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = _mm_loadu_si128((const __m128i *)(rgb + 16 * i));
    }
    colours[0] = gathered(parts, _mm_setr_epi8(0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13));
    colours[1] = gathered(parts, _mm_setr_epi8(1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14));
    colours[2] = gathered(parts, _mm_setr_epi8(2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1),
                          _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15));
}

void fm_convert_u8_avx2(const uint8_t *rgb, int count, uint8_t *const planes[3]) {
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        __m128i colours[3];
        split(rgb + 3 * i, colours);
        for (int channel = 0; channel < 3; channel++) {
            _mm_storeu_si128((__m128i *)(planes[channel] + i), colours[channel]);
        }
    }
    uint8_t *const rest[3] = {planes[0] + i, planes[1] + i, planes[2] + i};
    fm_convert_u8_c(rgb + 3 * i, count - i, rest);
}

static void store_values(float *values, __m128i levels, __m256 mean, __m256 scale) {
    __m256 level = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(levels));
    _mm256_storeu_ps(values, _mm256_mul_ps(_mm256_sub_ps(level, mean), scale));
}

void fm_convert_f32_avx2(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]) {
    const __m256 means = _mm256_set1_ps(mean), scales = _mm256_set1_ps(scale);
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        __m128i colours[3];
        split(rgb + 3 * i, colours);
        for (int channel = 0; channel < 3; channel++) {
            store_values(planes[channel] + i, colours[channel], means, scales);
            store_values(planes[channel] + i + 8, _mm_srli_si128(colours[channel], 8), means, scales);
        }
    }
    float *const rest[3] = {planes[0] + i, planes[1] + i, planes[2] + i};
    fm_convert_f32_c(rgb + 3 * i, count - i, mean, scale, rest);
}
