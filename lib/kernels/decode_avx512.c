/* Scan of detector scores, AVX-512. See decode_avx2.c for what is left to the reference. */
#include "kernels/decode.h"

#include <immintrin.h>

size_t fm_score_scan_avx512(const struct score_rows *rows, size_t first, size_t count, float threshold,
                            uint32_t *found) {
    if (rows->cell_stride != rows->anchors || (rows->anchor_stride != 1 && rows->anchors != 1)) {
        return fm_score_scan_c(rows, first, count, threshold, found);
    }
    const __m512 limit = _mm512_set1_ps(threshold);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t i = first * rows->anchors, end = i + count * rows->anchors, hits = 0;
    for (; i < end; i += 16) {
        __mmask16 valid = (__mmask16)(end - i >= 16 ? 0xffffU : (1U << (end - i)) - 1);
        __m512 scores = _mm512_maskz_loadu_ps(valid, rows->scores + i);
        __mmask16 mask = _mm512_mask_cmp_ps_mask(valid, scores, limit, _CMP_GE_OQ);
        if (mask != 0) {
            _mm512_mask_compressstoreu_epi32(found + hits, mask, _mm512_add_epi32(lanes, _mm512_set1_epi32((int)i)));
            hits += (size_t)__builtin_popcount(mask);
        }
    }
    return hits;
}
