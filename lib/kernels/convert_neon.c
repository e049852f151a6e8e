/* Interleaved RGB8 to planes, NEON, which loads three planes in one instruction. */
#include "kernels/convert.h"

#include <arm_neon.h>

void fm_convert_u8_neon(const uint8_t *rgb, int count, uint8_t *const planes[3]) {
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        uint8x16x3_t colours = vld3q_u8(rgb + 3 * i);
        for (int channel = 0; channel < 3; channel++) {
            vst1q_u8(planes[channel] + i, colours.val[channel]);
        }
    }
    uint8_t *const rest[3] = {planes[0] + i, planes[1] + i, planes[2] + i};
    fm_convert_u8_c(rgb + 3 * i, count - i, rest);
}

static void store_values(float *values, uint16x4_t levels, float32x4_t mean, float32x4_t scale) {
    vst1q_f32(values, vmulq_f32(vsubq_f32(vcvtq_f32_u32(vmovl_u16(levels)), mean), scale));
}

void fm_convert_f32_neon(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]) {
    const float32x4_t means = vdupq_n_f32(mean), scales = vdupq_n_f32(scale);
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        uint8x8x3_t colours = vld3_u8(rgb + 3 * i);
        for (int channel = 0; channel < 3; channel++) {
            uint16x8_t levels = vmovl_u8(colours.val[channel]);
            store_values(planes[channel] + i, vget_low_u16(levels), means, scales);
            store_values(planes[channel] + i + 4, vget_high_u16(levels), means, scales);
        }
    }
    float *const rest[3] = {planes[0] + i, planes[1] + i, planes[2] + i};
    fm_convert_f32_c(rgb + 3 * i, count - i, mean, scale, rest);
}
