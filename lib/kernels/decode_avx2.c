/* Scan of detector scores, AVX2. Rows of one image stand one behind the other unless a batch interleaves them; then a
   cell's anchors are too far apart for a vector and the reference is as fast. */
#include "kernels/decode.h"

#include <immintrin.h>

size_t fm_score_scan_avx2(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found) {
    if (rows->cell_stride != rows->anchors || (rows->anchor_stride != 1 && rows->anchors != 1)) {
        return fm_score_scan_c(rows, first, count, threshold, found);
    }
    const __m256 limit = _mm256_set1_ps(threshold);
    size_t i = first * rows->anchors, end = i + count * rows->anchors, hits = 0;
    for (; i + 16 <= end; i += 16) {
        __m256 low = _mm256_cmp_ps(_mm256_loadu_ps(rows->scores + i), limit, _CMP_GE_OQ);
        __m256 high = _mm256_cmp_ps(_mm256_loadu_ps(rows->scores + i + 8), limit, _CMP_GE_OQ);
        unsigned mask = (unsigned)_mm256_movemask_ps(low) | (unsigned)_mm256_movemask_ps(high) << 8;
        for (; mask != 0; mask &= mask - 1) {
            found[hits++] = (uint32_t)(i + (unsigned)__builtin_ctz(mask));
        }
    }
    for (; i < end; i++) {
        if (rows->scores[i] >= threshold) {
            found[hits++] = (uint32_t)i;
        }
    }
    return hits;
}
