/* One row of an affine crop, AVX-512: eight pixels in eight doubles, fetched by gathers; otherwise as
   warp_avx2.c, where the reasons are. */
#include "kernels/warp.h"

#include <immintrin.h>
#include <string.h>

struct block {
    __m512d right_share, lower_share;
    __m512i offset; /* bytes of the upper left tap */
};

/* False when a tap of any of the eight is outside, or too near the right edge for an 8-byte load. */
static int block_place(const struct warp_line *line, int i, struct block *block) {
    const __m512d zero = _mm512_setzero_pd();
    __m512d index = _mm512_add_pd(_mm512_set1_pd(i), _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7));
    __m512d x = _mm512_add_pd(_mm512_set1_pd(line->x), _mm512_mul_pd(index, _mm512_set1_pd(line->dx)));
    __m512d y = _mm512_add_pd(_mm512_set1_pd(line->y), _mm512_mul_pd(index, _mm512_set1_pd(line->dy)));
    __mmask8 inside = _mm512_cmp_pd_mask(x, zero, _CMP_GE_OQ);
    inside = _mm512_mask_cmp_pd_mask(inside, x, _mm512_set1_pd(line->width - 2), _CMP_LT_OQ);
    inside = _mm512_mask_cmp_pd_mask(inside, y, zero, _CMP_GE_OQ);
    inside = _mm512_mask_cmp_pd_mask(inside, y, _mm512_set1_pd(line->height - 1), _CMP_LT_OQ);
    __m512d left = _mm512_roundscale_pd(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512d top = _mm512_roundscale_pd(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    block->right_share = _mm512_sub_pd(x, left);
    block->lower_share = _mm512_sub_pd(y, top);
    __m512d offset = _mm512_add_pd(_mm512_mul_pd(top, _mm512_set1_pd((double)line->stride)),
                                   _mm512_mul_pd(left, _mm512_set1_pd(3.0)));
    block->offset = _mm512_cvttpd_epi64(offset);
    return inside == 0xff;
}

/* 2^52 + the byte at `position` of each pair, as doubles. */
static __m512d raised(__m512i pairs, int position) {
    __m512i pick = _mm512_or_si512(_mm512_set1_epi64((int64_t)0x0706808080808000 | position),
                                   _mm512_broadcast_i32x4(_mm_set_epi64x(0x0808000000000008, 0)));
    return _mm512_castsi512_pd(_mm512_shuffle_epi8(pairs, pick));
}

static __m512d mixed(__m512d a, __m512d difference, __m512d share) {
    return _mm512_add_pd(a, _mm512_mul_pd(difference, share));
}

static __m512d across(__m512i pairs, int channel, __m512d share) {
    __m512d a = raised(pairs, channel), b = raised(pairs, channel + 3);
    return mixed(_mm512_sub_pd(a, _mm512_set1_pd(4503599627370496.0)), _mm512_sub_pd(b, a), share);
}

static __m512i pairs_at(const uint8_t *rgb, __m512i offset) {
    return _mm512_mask_blend_epi16(0x88888888, _mm512_i64gather_epi64(offset, rgb, 1),
                                   _mm512_set1_epi64(0x4330000000000000));
}

static void store_12(uint8_t *out, __m128i bytes) {
    _mm_storel_epi64((__m128i *)out, bytes);
    int last = _mm_extract_epi32(bytes, 2);
    memcpy(out + 8, &last, sizeof last);
}

static void block_draw(const struct warp_line *line, const struct block *block, uint8_t *out) {
    __m512i upper = pairs_at(line->rgb, block->offset), lower = pairs_at(line->rgb + line->stride, block->offset);
    __m256i pixels = _mm256_setzero_si256();
    for (int channel = 0; channel < 3; channel++) {
        __m512d up = across(upper, channel, block->right_share), down = across(lower, channel, block->right_share);
        __m512d value = mixed(up, _mm512_sub_pd(down, up), block->lower_share);
        __m256i level = _mm512_cvttpd_epi32(_mm512_add_pd(value, _mm512_set1_pd(0.5)));
        pixels = _mm256_or_si256(pixels, _mm256_slli_epi32(level, 8 * channel));
    }
    const __m256i squeeze =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    pixels = _mm256_shuffle_epi8(pixels, squeeze);
    store_12(out, _mm256_castsi256_si128(pixels));
    store_12(out + 12, _mm256_extracti128_si256(pixels, 1));
}

void fm_warp_row_avx512(const struct warp_line *line, int first, int count, uint8_t *row) {
    int i = first, end = first + count;
    for (; i + 8 <= end; i += 8) {
        struct block block;
        if (block_place(line, i, &block)) {
            block_draw(line, &block, row + 3 * (size_t)i);
        } else {
            fm_warp_row_c(line, i, 8, row);
        }
    }
    fm_warp_row_c(line, i, end - i, row);
}
