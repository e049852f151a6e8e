/* Overlap of one box with many, NEON: four at a time. Larger and smaller are a comparison and a choice, because vmaxq
   and vminq treat NaN otherwise than the reference. */
#include "kernels/iou.h"

#include <arm_neon.h>

static float32x4_t larger(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static float32x4_t smaller(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

size_t fm_iou_find_neon(const struct box_columns *boxes, size_t from, size_t to, const struct iou_query *query) {
    const float32x4_t x1 = vdupq_n_f32(query->x1), y1 = vdupq_n_f32(query->y1), x2 = vdupq_n_f32(query->x2);
    const float32x4_t y2 = vdupq_n_f32(query->y2), area = vdupq_n_f32(query->area), zero = vdupq_n_f32(0.0F);
    const float32x4_t threshold = vdupq_n_f32(query->threshold), extra = vdupq_n_f32(query->extra);
    size_t i = from;
    for (; i + 4 <= to; i += 4) {
        float32x4_t across = vsubq_f32(smaller(x2, vld1q_f32(boxes->x2 + i)), larger(x1, vld1q_f32(boxes->x1 + i)));
        float32x4_t down = vsubq_f32(smaller(y2, vld1q_f32(boxes->y2 + i)), larger(y1, vld1q_f32(boxes->y1 + i)));
        float32x4_t shared = vmulq_f32(larger(vaddq_f32(across, extra), zero), larger(vaddq_f32(down, extra), zero));
        float32x4_t joined = vsubq_f32(vaddq_f32(area, vld1q_f32(boxes->area + i)), shared);
        if (vmaxvq_u32(vcgtq_f32(vdivq_f32(shared, joined), threshold)) != 0) {
            break; /* the reference finds which of the four */
        }
    }
    return fm_iou_find_c(boxes, i, to, query);
}
