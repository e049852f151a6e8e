/* The kernels of one instruction set, as one table. Every entry has a reference in C (NAME.c) that defines its result;
   siblings (NAME_avx2.c, NAME_avx512.c, NAME_neon.c) give the same bits. The contracts are in the headers included
   here. */
#ifndef FM_KERNELS_KERNELS_H
#define FM_KERNELS_KERNELS_H

#include "base/cpu.h"
#include "kernels/convert.h"
#include "kernels/decode.h"
#include "kernels/dot.h"
#include "kernels/iou.h"
#include "kernels/resize.h"
#include "kernels/warp.h"

struct kernels {
    enum cpu_level level;
    void (*resize_across)(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes);
    void (*resize_blend_u8)(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                            uint8_t *levels);
    void (*resize_blend_f32)(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                             float mean, float scale, float *values);
    void (*convert_u8)(const uint8_t *rgb, int count, uint8_t *const planes[3]);
    void (*convert_f32)(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]);
    void (*warp_row)(const struct warp_line *line, int first, int count, uint8_t *row);
    size_t (*score_scan)(const struct score_rows *rows, size_t first, size_t count, float threshold, uint32_t *found);
    size_t (*iou_find)(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query);
    double (*dot)(const float *a, const float *b, size_t count);
};

/* The table for `level`, which this CPU must support (base/cpu.h decides); a level of another architecture gives the
   reference. Immutable; any thread. */
const struct kernels *fm_kernels(enum cpu_level level);

#endif
