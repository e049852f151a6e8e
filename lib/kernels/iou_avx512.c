/* Overlap of one box with many, AVX-512: sixteen at a time, the end masked. */
#include "kernels/iou.h"

#include <immintrin.h>
#include <stdint.h>

size_t fm_iou_find_avx512(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query) {
    const __m512 x1 = _mm512_set1_ps(query->x1), y1 = _mm512_set1_ps(query->y1), x2 = _mm512_set1_ps(query->x2);
    const __m512 y2 = _mm512_set1_ps(query->y2), area = _mm512_set1_ps(query->area);
    const __m512 threshold = _mm512_set1_ps(query->threshold), extra = _mm512_set1_ps(query->extra);
    const __m512 zero = _mm512_setzero_ps();
    for (size_t i = from; i < to; i += 16) {
        __mmask16 valid = (__mmask16)(to - i >= 16 ? 0xffffU : (1U << (to - i)) - 1);
        __m512 right = _mm512_min_ps(x2, _mm512_maskz_loadu_ps(valid, boxes->x2 + i));
        __m512 left = _mm512_max_ps(x1, _mm512_maskz_loadu_ps(valid, boxes->x1 + i));
        __m512 bottom = _mm512_min_ps(y2, _mm512_maskz_loadu_ps(valid, boxes->y2 + i));
        __m512 top = _mm512_max_ps(y1, _mm512_maskz_loadu_ps(valid, boxes->y1 + i));
        __m512 width = _mm512_max_ps(_mm512_add_ps(_mm512_sub_ps(right, left), extra), zero);
        __m512 height = _mm512_max_ps(_mm512_add_ps(_mm512_sub_ps(bottom, top), extra), zero);
        __m512 shared = _mm512_mul_ps(width, height);
        __m512 joined = _mm512_sub_ps(_mm512_add_ps(area, _mm512_maskz_loadu_ps(valid, boxes->area + i)), shared);
        unsigned above = _mm512_mask_cmp_ps_mask(valid, _mm512_div_ps(shared, joined), threshold, _CMP_GT_OQ);
        if (above != 0) {
            return i + (unsigned)__builtin_ctz(above);
        }
    }
    return to;
}
