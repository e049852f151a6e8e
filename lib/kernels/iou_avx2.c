/* Overlap of one box with many, AVX2: eight at a time. */
#include "kernels/iou.h"

#include <immintrin.h>

size_t fm_iou_find_avx2(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query) {
    const __m256 x1 = _mm256_set1_ps(query->x1), y1 = _mm256_set1_ps(query->y1), x2 = _mm256_set1_ps(query->x2);
    const __m256 y2 = _mm256_set1_ps(query->y2), area = _mm256_set1_ps(query->area);
    const __m256 threshold = _mm256_set1_ps(query->threshold), extra = _mm256_set1_ps(query->extra);
    const __m256 zero = _mm256_setzero_ps();
    size_t i = from;
    for (; i + 8 <= to; i += 8) {
        __m256 right = _mm256_min_ps(x2, _mm256_loadu_ps(boxes->x2 + i));
        __m256 left = _mm256_max_ps(x1, _mm256_loadu_ps(boxes->x1 + i));
        __m256 bottom = _mm256_min_ps(y2, _mm256_loadu_ps(boxes->y2 + i));
        __m256 top = _mm256_max_ps(y1, _mm256_loadu_ps(boxes->y1 + i));
        __m256 width = _mm256_max_ps(_mm256_add_ps(_mm256_sub_ps(right, left), extra), zero);
        __m256 height = _mm256_max_ps(_mm256_add_ps(_mm256_sub_ps(bottom, top), extra), zero);
        __m256 shared = _mm256_mul_ps(width, height);
        __m256 joined = _mm256_sub_ps(_mm256_add_ps(area, _mm256_loadu_ps(boxes->area + i)), shared);
        unsigned above =
            (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_div_ps(shared, joined), threshold, _CMP_GT_OQ));
        if (above != 0) {
            return i + (unsigned)__builtin_ctz(above);
        }
    }
    return fm_iou_find_c(boxes, i, to, query);
}
