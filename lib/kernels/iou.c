/* Overlap of one box with many, reference. The comparisons are spelled as x86's max and min behave with NaN (the second
   operand wins), so that all instruction sets agree on boxes that are not finite too. */
#include "kernels/iou.h"

static float larger(float a, float b) {
    return a > b ? a : b;
}

static float smaller(float a, float b) {
    return a < b ? a : b;
}

size_t fm_iou_find_c(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query) {
    for (size_t i = from; i < to; i++) {
        float width = smaller(query->x2, boxes->x2[i]) - larger(query->x1, boxes->x1[i]) + query->extra;
        float height = smaller(query->y2, boxes->y2[i]) - larger(query->y1, boxes->y1[i]) + query->extra;
        float shared = larger(width, 0.0F) * larger(height, 0.0F);
        if (shared / (query->area + boxes->area[i] - shared) > query->threshold) {
            return i;
        }
    }
    return to;
}
