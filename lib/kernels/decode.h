/* From rows of a detector head to boxes: find the rows worth looking at, then decode one. Pure; any thread. */
#ifndef FM_KERNELS_DECODE_H
#define FM_KERNELS_DECODE_H

#include <stddef.h>
#include <stdint.h>

/* Where a head's scores stand: that of cell c, anchor a at scores[c * cell_stride + a * anchor_stride]. */
struct score_rows {
    const float *scores;
    size_t cell_stride, anchor_stride; /* elements */
    size_t anchors;                    /* per cell */
};

/* Look at cells first .. first + count - 1, anchors of a cell in turn; store row numbers (cell * anchors + anchor)
   whose score is at least `threshold` (NaN never is) in `found`, which holds count * anchors. Returns how many. */
size_t fm_score_scan_c(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found);
size_t fm_score_scan_avx2(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found);
size_t fm_score_scan_avx512(const struct score_rows *rows, size_t first, size_t count, float threshold,
                            uint32_t *found);
size_t fm_score_scan_neon(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found);

/* Box from its distances (left, top, right, bottom, in strides) and five points from their offsets, around a cell's
   centre (cell * stride, no half: RECIPES D1), divided by `scale`. Each step is rounded to single precision in the
   order of insightface's numpy. `offsets` NULL: points are 0. */
void fm_face_decode(const float distances[4], const float *offsets, int column, int row, int stride, float scale,
                    float box[4], float points[5][2]);

#endif
