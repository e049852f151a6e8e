/* Overlap of one box with many: the inner loop of non-maximum suppression. Pure; any thread. */
#ifndef FM_KERNELS_IOU_H
#define FM_KERNELS_IOU_H

#include <stddef.h>

/* Boxes by column, so that one load takes the same side of many. */
struct box_columns {
    float *x1, *y1, *x2, *y2, *area;
};

struct iou_query {
    float x1, y1, x2, y2, area;
    float threshold;
    float extra; /* 1: sides count as x2 - x1 + 1 (insightface); 0: as x2 - x1 */
};

/* Index of the first box in [from, to) whose intersection over union with the query is above its threshold; `to` when
   none. Single precision, in numpy's order: max(0, x2 - x1 + extra) twice, their product, divided by (area + area) -
   product. Boxes that are not finite compare as C's > does: never above. */
size_t fm_iou_find_c(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query);
size_t fm_iou_find_avx2(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query);
size_t fm_iou_find_avx512(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query);
size_t fm_iou_find_neon(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query);

#endif
