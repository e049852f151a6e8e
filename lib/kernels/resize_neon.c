/* Bilinear resize, NEON. There is no gather: each pixel pair comes by two overlapping 4-byte loads (bytes 0..3
   and 2..5), which never read past the pair. */
#include "kernels/resize.h"

#include <arm_neon.h>
#include <string.h>

static uint32x4_t words_at(const uint8_t *rgb, const int32_t *offsets) {
    uint32_t words[4];
    for (int i = 0; i < 4; i++) {
        memcpy(&words[i], rgb + offsets[i], sizeof words[i]);
    }
    return vld1q_u32(words);
}

/* Four columns of one channel; the taps are the low bytes of `first` and `second`. */
static int16x4_t sums_of(uint32x4_t first, uint32x4_t second, uint32x4_t first_weight, uint32x4_t second_weight) {
    const uint32x4_t byte = vdupq_n_u32(0xff);
    uint32x4_t sums = vmulq_u32(vandq_u32(first, byte), first_weight);
    sums = vmlaq_u32(sums, vandq_u32(second, byte), second_weight);
    return vreinterpret_s16_u16(vmovn_u32(vshrq_n_u32(sums, 4)));
}

void fm_resize_across_neon(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes) {
    if (columns->source_width < 2) {
        fm_resize_across_c(rgb, columns, planes);
        return;
    }
    for (int i = 0; i < columns->count; i += 4) {
        uint32x4_t front = words_at(rgb, columns->offsets + i);    /* r0 g0 b0 r1 */
        uint32x4_t back = words_at(rgb + 2, columns->offsets + i); /* b0 r1 g1 b1 */
        uint32x4_t weights = vld1q_u32(columns->weights + i);
        uint32x4_t first = vandq_u32(weights, vdupq_n_u32(0xffff)), second = vshrq_n_u32(weights, 16);
        vst1_s16(planes + i, sums_of(front, vshrq_n_u32(front, 24), first, second));
        vst1_s16(planes + columns->count + i, sums_of(vshrq_n_u32(front, 8), vshrq_n_u32(back, 16), first, second));
        vst1_s16(planes + 2 * columns->count + i, sums_of(back, vshrq_n_u32(back, 24), first, second));
    }
}

/* Eight levels, one per 16-bit lane. */
static uint16x8_t blend(const int16_t *first, const int16_t *second, const struct resize_line *line) {
    int16x8_t upper = vld1q_s16(first), lower = vld1q_s16(second);
    int16_t first_weight = (int16_t)line->first_weight, second_weight = (int16_t)line->second_weight;
    int16x8_t high = vcombine_s16(vshrn_n_s32(vmull_n_s16(vget_low_s16(upper), first_weight), 16),
                                  vshrn_n_s32(vmull_n_s16(vget_high_s16(upper), first_weight), 16));
    int16x8_t low = vcombine_s16(vshrn_n_s32(vmull_n_s16(vget_low_s16(lower), second_weight), 16),
                                 vshrn_n_s32(vmull_n_s16(vget_high_s16(lower), second_weight), 16));
    int16x8_t sum = vaddq_s16(vaddq_s16(high, low), vdupq_n_s16(2));
    return vshrq_n_u16(vreinterpretq_u16_s16(sum), 2);
}

void fm_resize_blend_u8_neon(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                             uint8_t *levels) {
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        vst1_u8(levels + i, vmovn_u16(blend(first + i, second + i, line)));
    }
    fm_resize_blend_u8_c(first + i, second + i, line, count - i, levels + i);
}

static void store_values(float *values, uint16x4_t levels, float32x4_t mean, float32x4_t scale) {
    vst1q_f32(values, vmulq_f32(vsubq_f32(vcvtq_f32_u32(vmovl_u16(levels)), mean), scale));
}

void fm_resize_blend_f32_neon(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                              float mean, float scale, float *values) {
    const float32x4_t means = vdupq_n_f32(mean), scales = vdupq_n_f32(scale);
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        uint16x8_t levels = blend(first + i, second + i, line);
        store_values(values + i, vget_low_u16(levels), means, scales);
        store_values(values + i + 4, vget_high_u16(levels), means, scales);
    }
    fm_resize_blend_f32_c(first + i, second + i, line, count - i, mean, scale, values + i);
}
