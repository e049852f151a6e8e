/* Scan of detector scores, NEON: sixteen at a time are asked "any?", which is almost always answered no. See
   decode_avx2.c for what is left to the reference. */
#include "kernels/decode.h"

#include <arm_neon.h>

static uint32_t any_reaches(const float *scores, float32x4_t limit) {
    uint32x4_t low = vorrq_u32(vcgeq_f32(vld1q_f32(scores), limit), vcgeq_f32(vld1q_f32(scores + 4), limit));
    uint32x4_t high = vorrq_u32(vcgeq_f32(vld1q_f32(scores + 8), limit), vcgeq_f32(vld1q_f32(scores + 12), limit));
    return vmaxvq_u32(vorrq_u32(low, high));
}

size_t fm_score_scan_neon(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found) {
    if (rows->cell_stride != rows->anchors || (rows->anchor_stride != 1 && rows->anchors != 1)) {
        return fm_score_scan_c(rows, first, count, threshold, found);
    }
    const float32x4_t limit = vdupq_n_f32(threshold);
    size_t i = first * rows->anchors, end = i + count * rows->anchors, hits = 0;
    while (i < end) {
        size_t block_end = end - i >= 16 ? i + 16 : end;
        if (block_end - i == 16 && any_reaches(rows->scores + i, limit) == 0) {
            i = block_end;
        }
        for (; i < block_end; i++) {
            if (rows->scores[i] >= threshold) {
                found[hits++] = (uint32_t)i;
            }
        }
    }
    return hits;
}
