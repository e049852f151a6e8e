/* Rows of a detector head to boxes, reference. */
#include "kernels/decode.h"

#include <string.h>

size_t fm_score_scan_c(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found) {
    size_t hits = 0;
    for (size_t cell = first; cell < first + count; cell++) {
        for (size_t anchor = 0; anchor < rows->anchors; anchor++) {
            if (rows->scores[cell * rows->cell_stride + anchor * rows->anchor_stride] >= threshold) {
                found[hits++] = (uint32_t)(cell * rows->anchors + anchor);
            }
        }
    }
    return hits;
}

void fm_face_decode(const float distances[4], const float *offsets, int column, int row, int stride, float scale,
                    float box[4], float points[5][2]) {
    const float step = (float)stride, centre[2] = {(float)(column * stride), (float)(row * stride)};
    for (int axis = 0; axis < 2; axis++) {
        box[axis] = (centre[axis] - distances[axis] * step) / scale;
        box[axis + 2] = (centre[axis] + distances[axis + 2] * step) / scale;
    }
    memset(points, 0, 5 * sizeof *points);
    for (int i = 0; offsets != NULL && i < 10; i++) {
        points[i / 2][i % 2] = (centre[i % 2] + offsets[i] * step) / scale;
    }
}
