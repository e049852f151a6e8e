/* Bilinear resize, AVX-512. As resize_avx2.c, twice as wide; row ends are masked instead of left to the reference. */
#include "kernels/resize.h"

#include <immintrin.h>

static void squeeze(const uint8_t *rgb, const struct resize_columns *columns, int i, int16_t *planes) {
    const __m512i low_byte = _mm512_set1_epi32(0xff), high_byte = _mm512_set1_epi32(0xff0000);
    __m512i at = _mm512_loadu_si512(columns->offsets + i), weight = _mm512_loadu_si512(columns->weights + i);
    __m512i front = _mm512_i32gather_epi32(at, rgb, 1);    /* r0 g0 b0 r1 */
    __m512i back = _mm512_i32gather_epi32(at, rgb + 2, 1); /* b0 r1 g1 b1 */
    __m512i taps[3];
    taps[0] =
        _mm512_or_si512(_mm512_and_si512(front, low_byte), _mm512_and_si512(_mm512_srli_epi32(front, 8), high_byte));
    taps[1] =
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(front, 8), low_byte), _mm512_and_si512(back, high_byte));
    taps[2] =
        _mm512_or_si512(_mm512_and_si512(back, low_byte), _mm512_and_si512(_mm512_srli_epi32(back, 8), high_byte));
    for (int channel = 0; channel < 3; channel++) {
        __m512i sums = _mm512_srli_epi32(_mm512_madd_epi16(taps[channel], weight), 4);
        _mm256_storeu_si256((__m256i *)(planes + channel * columns->count + i), _mm512_cvtepi32_epi16(sums));
    }
}

void fm_resize_across_avx512(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes) {
    if (columns->source_width < 2) {
        fm_resize_across_c(rgb, columns, planes);
        return;
    }
    for (int i = 0; i < columns->count; i += FM_RESIZE_STEP) {
        squeeze(rgb, columns, i, planes);
    }
}

static __m512i blend(__m512i first, __m512i second, __m512i first_weight, __m512i second_weight) {
    __m512i sum = _mm512_add_epi16(_mm512_mulhi_epi16(first, first_weight), _mm512_mulhi_epi16(second, second_weight));
    return _mm512_srli_epi16(_mm512_add_epi16(sum, _mm512_set1_epi16(2)), 2);
}

static __mmask32 mask_of(int left) {
    return left >= 32 ? UINT32_MAX : ((__mmask32)1 << left) - 1;
}

void fm_resize_blend_u8_avx512(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                               uint8_t *levels) {
    const __m512i first_weight = _mm512_set1_epi16((int16_t)line->first_weight);
    const __m512i second_weight = _mm512_set1_epi16((int16_t)line->second_weight);
    for (int i = 0; i < count; i += 32) {
        __mmask32 mask = mask_of(count - i);
        __m512i level = blend(_mm512_maskz_loadu_epi16(mask, first + i), _mm512_maskz_loadu_epi16(mask, second + i),
                              first_weight, second_weight);
        _mm512_mask_cvtepi16_storeu_epi8(levels + i, mask, level);
    }
}

static void store_values(float *values, __m256i levels, __mmask16 mask, __m512 mean, __m512 scale) {
    __m512 level = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(levels));
    _mm512_mask_storeu_ps(values, mask, _mm512_mul_ps(_mm512_sub_ps(level, mean), scale));
}

void fm_resize_blend_f32_avx512(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                                float mean, float scale, float *values) {
    const __m512i first_weight = _mm512_set1_epi16((int16_t)line->first_weight);
    const __m512i second_weight = _mm512_set1_epi16((int16_t)line->second_weight);
    const __m512 means = _mm512_set1_ps(mean), scales = _mm512_set1_ps(scale);
    for (int i = 0; i < count; i += 32) {
        __mmask32 mask = mask_of(count - i);
        __m512i level = blend(_mm512_maskz_loadu_epi16(mask, first + i), _mm512_maskz_loadu_epi16(mask, second + i),
                              first_weight, second_weight);
        store_values(values + i, _mm512_castsi512_si256(level), (__mmask16)mask, means, scales);
        if (mask >> 16 != 0) {
            store_values(values + i + 16, _mm512_extracti64x4_epi64(level, 1), (__mmask16)(mask >> 16), means, scales);
        }
    }
}
