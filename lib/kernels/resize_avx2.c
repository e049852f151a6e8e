/* Bilinear resize, AVX2. A pixel pair is six bytes; two overlapping 4-byte gathers (bytes 0..3 and 2..5) hold all six
   and never read past the pair, so the row needs no padding. */
#include "kernels/resize.h"

#include <immintrin.h>

static __m256i sums_of(__m256i taps, __m256i weights) {
    return _mm256_srli_epi32(_mm256_madd_epi16(taps, weights), 4);
}

static void store_sums(int16_t *plane, __m256i low, __m256i high) {
    __m256i packed = _mm256_packs_epi32(low, high); /* within 128-bit halves: put back in order */
    _mm256_storeu_si256((__m256i *)plane, _mm256_permute4x64_epi64(packed, 0xd8));
}

/* Eight columns: sums[channel]. */
static void squeeze(const uint8_t *rgb, const int32_t *offsets, const uint32_t *weights, __m256i sums[3]) {
    const __m256i ends = _mm256_setr_epi8(0, -1, 3, -1, 4, -1, 7, -1, 8, -1, 11, -1, 12, -1, 15, -1, 0, -1, 3, -1, 4,
                                          -1, 7, -1, 8, -1, 11, -1, 12, -1, 15, -1);
    __m256i at = _mm256_loadu_si256((const __m256i *)offsets), weight = _mm256_loadu_si256((const __m256i *)weights);
    __m256i front = _mm256_i32gather_epi32((const int *)(const void *)rgb, at, 1);      /* r0 g0 b0 r1 */
    __m256i back = _mm256_i32gather_epi32((const int *)(const void *)(rgb + 2), at, 1); /* b0 r1 g1 b1 */
    __m256i green = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(front, 8), _mm256_set1_epi32(0xff)),
                                    _mm256_and_si256(back, _mm256_set1_epi32(0xff0000)));
    sums[0] = sums_of(_mm256_shuffle_epi8(front, ends), weight);
    sums[1] = sums_of(green, weight);
    sums[2] = sums_of(_mm256_shuffle_epi8(back, ends), weight);
}

void fm_resize_across_avx2(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes) {
    if (columns->source_width < 2) {
        fm_resize_across_c(rgb, columns, planes);
        return;
    }
    for (int i = 0; i < columns->count; i += FM_RESIZE_STEP) {
        __m256i low[3], high[3];
        squeeze(rgb, columns->offsets + i, columns->weights + i, low);
        squeeze(rgb, columns->offsets + i + 8, columns->weights + i + 8, high);
        for (int channel = 0; channel < 3; channel++) {
            store_sums(planes + channel * columns->count + i, low[channel], high[channel]);
        }
    }
}

/* Sixteen levels, one per 16-bit lane. */
static __m256i blend(const int16_t *first, const int16_t *second, __m256i first_weight, __m256i second_weight) {
    __m256i upper = _mm256_mulhi_epi16(_mm256_loadu_si256((const __m256i *)first), first_weight);
    __m256i lower = _mm256_mulhi_epi16(_mm256_loadu_si256((const __m256i *)second), second_weight);
    return _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(upper, lower), _mm256_set1_epi16(2)), 2);
}

void fm_resize_blend_u8_avx2(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                             uint8_t *levels) {
    const __m256i first_weight = _mm256_set1_epi16((int16_t)line->first_weight);
    const __m256i second_weight = _mm256_set1_epi16((int16_t)line->second_weight);
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i level = blend(first + i, second + i, first_weight, second_weight);
        __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(level), _mm256_extracti128_si256(level, 1));
        _mm_storeu_si128((__m128i *)(levels + i), packed);
    }
    fm_resize_blend_u8_c(first + i, second + i, line, count - i, levels + i);
}

static void store_values(float *values, __m128i levels, __m256 mean, __m256 scale) {
    __m256 level = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(levels));
    _mm256_storeu_ps(values, _mm256_mul_ps(_mm256_sub_ps(level, mean), scale));
}

void fm_resize_blend_f32_avx2(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                              float mean, float scale, float *values) {
    const __m256i first_weight = _mm256_set1_epi16((int16_t)line->first_weight);
    const __m256i second_weight = _mm256_set1_epi16((int16_t)line->second_weight);
    const __m256 means = _mm256_set1_ps(mean), scales = _mm256_set1_ps(scale);
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i level = blend(first + i, second + i, first_weight, second_weight);
        store_values(values + i, _mm256_castsi256_si128(level), means, scales);
        store_values(values + i + 8, _mm256_extracti128_si256(level, 1), means, scales);
    }
    fm_resize_blend_f32_c(first + i, second + i, line, count - i, mean, scale, values + i);
}
