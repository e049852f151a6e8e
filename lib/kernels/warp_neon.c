/* One row of an affine crop, NEON: two pixels in two doubles. Same operations in the same order as the reference, so
   the same bytes; a pair with a tap outside the image is left to the reference. */
#include "kernels/warp.h"

#include <arm_neon.h>

struct block {
    float64x2_t right_share, lower_share;
    const uint8_t *upper[2]; /* upper left taps */
};

/* False when a tap of either is outside. */
static int block_place(const struct warp_line *line, int i, struct block *block) {
    const float64x2_t zero = vdupq_n_f64(0.0);
    const double indices[2] = {(double)i, (double)(i + 1)};
    float64x2_t index = vld1q_f64(indices);
    float64x2_t x = vaddq_f64(vdupq_n_f64(line->x), vmulq_n_f64(index, line->dx));
    float64x2_t y = vaddq_f64(vdupq_n_f64(line->y), vmulq_n_f64(index, line->dy));
    uint64x2_t inside = vandq_u64(vcgeq_f64(x, zero), vcltq_f64(x, vdupq_n_f64((double)(line->width - 1))));
    inside = vandq_u64(inside, vandq_u64(vcgeq_f64(y, zero), vcltq_f64(y, vdupq_n_f64((double)(line->height - 1)))));
    if ((vgetq_lane_u64(inside, 0) & vgetq_lane_u64(inside, 1)) == 0) {
        return 0;
    }
    float64x2_t left = vrndmq_f64(x), top = vrndmq_f64(y);
    block->right_share = vsubq_f64(x, left);
    block->lower_share = vsubq_f64(y, top);
    for (int k = 0; k < 2; k++) {
        double column = k == 0 ? vgetq_lane_f64(left, 0) : vgetq_lane_f64(left, 1);
        double row = k == 0 ? vgetq_lane_f64(top, 0) : vgetq_lane_f64(top, 1);
        block->upper[k] = line->rgb + (size_t)row * line->stride + 3 * (size_t)column;
    }
    return 1;
}

static float64x2_t levels_at(const uint8_t *first, const uint8_t *second) {
    const double levels[2] = {(double)*first, (double)*second};
    return vld1q_f64(levels);
}

static float64x2_t mixed(float64x2_t a, float64x2_t b, float64x2_t share) {
    return vaddq_f64(a, vmulq_f64(vsubq_f64(b, a), share));
}

static void block_draw(const struct warp_line *line, const struct block *block, uint8_t *out) {
    const uint8_t *first = block->upper[0], *second = block->upper[1];
    for (int channel = 0; channel < 3; channel++, first++, second++) {
        float64x2_t up = mixed(levels_at(first, second), levels_at(first + 3, second + 3), block->right_share);
        const uint8_t *first_below = first + line->stride, *second_below = second + line->stride;
        float64x2_t down = mixed(levels_at(first_below, second_below), levels_at(first_below + 3, second_below + 3),
                                 block->right_share);
        float64x2_t value = vaddq_f64(mixed(up, down, block->lower_share), vdupq_n_f64(0.5));
        uint64x2_t level = vcvtq_u64_f64(value);
        out[channel] = (uint8_t)vgetq_lane_u64(level, 0);
        out[channel + 3] = (uint8_t)vgetq_lane_u64(level, 1);
    }
}

void fm_warp_row_neon(const struct warp_line *line, int first, int count, uint8_t *row) {
    int i = first, end = first + count;
    for (; i + 2 <= end; i += 2) {
        struct block block;
        if (block_place(line, i, &block)) {
            block_draw(line, &block, row + 3 * (size_t)i);
        } else {
            fm_warp_row_c(line, i, 2, row);
        }
    }
    fm_warp_row_c(line, i, end - i, row);
}
