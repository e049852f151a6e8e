/* One row of an affine crop, AVX2: four pixels in four doubles. Same operations in the same order as the reference, so
   the same bytes; a block with a tap outside the image or in its last column is left to the reference. */
#include "kernels/warp.h"

#include <immintrin.h>
#include <string.h>

/* Four source positions and what follows from them. */
struct block {
    __m256d right_share, lower_share;
    __m256i offset; /* bytes of the upper left tap */
};

/* False when a tap of any of the four is outside, or too near the right edge for an 8-byte load. */
static int block_place(const struct warp_line *line, int i, struct block *block) {
    const __m256d zero = _mm256_setzero_pd(), whole = _mm256_set1_pd(4503599627370496.0); /* 2^52 */
    __m256d index = _mm256_add_pd(_mm256_set1_pd(i), _mm256_setr_pd(0, 1, 2, 3));
    __m256d x = _mm256_add_pd(_mm256_set1_pd(line->x), _mm256_mul_pd(index, _mm256_set1_pd(line->dx)));
    __m256d y = _mm256_add_pd(_mm256_set1_pd(line->y), _mm256_mul_pd(index, _mm256_set1_pd(line->dy)));
    __m256d inside_x = _mm256_and_pd(_mm256_cmp_pd(x, zero, _CMP_GE_OQ),
                                     _mm256_cmp_pd(x, _mm256_set1_pd(line->width - 2), _CMP_LT_OQ));
    __m256d inside_y = _mm256_and_pd(_mm256_cmp_pd(y, zero, _CMP_GE_OQ),
                                     _mm256_cmp_pd(y, _mm256_set1_pd(line->height - 1), _CMP_LT_OQ));
    __m256d left = _mm256_floor_pd(x), top = _mm256_floor_pd(y);
    block->right_share = _mm256_sub_pd(x, left);
    block->lower_share = _mm256_sub_pd(y, top);
    /* Whole numbers below 2^52 are exact in double, and adding 2^52 leaves them in the low bits: an integer multiply
       and convert that AVX2 does not have. */
    __m256d offset = _mm256_add_pd(_mm256_mul_pd(top, _mm256_set1_pd((double)line->stride)),
                                   _mm256_mul_pd(left, _mm256_set1_pd(3.0)));
    block->offset = _mm256_xor_si256(_mm256_castpd_si256(_mm256_add_pd(offset, whole)), _mm256_castpd_si256(whole));
    return _mm256_movemask_pd(_mm256_and_pd(inside_x, inside_y)) == 15;
}

/* Two neighbouring pixels of one row for each of the four: r0 g0 b0 r1 g1 b1 and, in the last two bytes, the exponent
   of 2^52. Plain loads: gathers are slow on many CPUs that have only AVX2. */
static __m256i pairs_at(const uint8_t *rgb, const int64_t offsets[4]) {
    int64_t pairs[4];
    for (int i = 0; i < 4; i++) {
        memcpy(&pairs[i], rgb + offsets[i], sizeof pairs[i]);
    }
    return _mm256_blend_epi16(_mm256_setr_epi64x(pairs[0], pairs[1], pairs[2], pairs[3]),
                              _mm256_set1_epi64x(0x4330000000000000), 0x88);
}

/* 2^52 + the byte at `position` of each pair, as doubles. */
static __m256d raised(__m256i pairs, int position) {
    __m256i pick = _mm256_or_si256(_mm256_set1_epi64x((int64_t)0x0706808080808000 | position),
                                   _mm256_setr_epi64x(0, 0x0808000000000008, 0, 0x0808000000000008));
    return _mm256_castsi256_pd(_mm256_shuffle_epi8(pairs, pick));
}

static __m256d mixed(__m256d a, __m256d difference, __m256d share) {
    return _mm256_add_pd(a, _mm256_mul_pd(difference, share));
}

/* Between the two pixels of each pair. The difference of raised values is that of the levels, exactly. */
static __m256d across(__m256i pairs, int channel, __m256d share) {
    __m256d a = raised(pairs, channel), b = raised(pairs, channel + 3);
    return mixed(_mm256_sub_pd(a, _mm256_set1_pd(4503599627370496.0)), _mm256_sub_pd(b, a), share);
}

static void block_draw(const struct warp_line *line, const struct block *block, uint8_t *out) {
    int64_t offsets[4];
    _mm256_storeu_si256((__m256i *)offsets, block->offset);
    __m256i upper = pairs_at(line->rgb, offsets), lower = pairs_at(line->rgb + line->stride, offsets);
    __m128i pixels = _mm_setzero_si128();
    for (int channel = 0; channel < 3; channel++) {
        __m256d up = across(upper, channel, block->right_share), down = across(lower, channel, block->right_share);
        __m256d value = mixed(up, _mm256_sub_pd(down, up), block->lower_share);
        __m128i level = _mm256_cvttpd_epi32(_mm256_add_pd(value, _mm256_set1_pd(0.5)));
        pixels = _mm_or_si128(pixels, _mm_slli_epi32(level, 8 * channel));
    }
    pixels = _mm_shuffle_epi8(pixels, _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    _mm_storel_epi64((__m128i *)out, pixels);
    int last = _mm_extract_epi32(pixels, 2);
    memcpy(out + 8, &last, sizeof last);
}

void fm_warp_row_avx2(const struct warp_line *line, int first, int count, uint8_t *row) {
    int i = first, end = first + count;
    for (; i + 4 <= end; i += 4) {
        struct block block;
        if (block_place(line, i, &block)) {
            block_draw(line, &block, row + 3 * (size_t)i);
        } else {
            fm_warp_row_c(line, i, 4, row);
        }
    }
    fm_warp_row_c(line, i, end - i, row);
}
