/* Interleaved RGB8 to planes, reference. */
#include "kernels/convert.h"

void fm_convert_u8_c(const uint8_t *rgb, int count, uint8_t *const planes[3]) {
    for (int i = 0; i < count; i++) {
        for (int channel = 0; channel < 3; channel++) {
            planes[channel][i] = rgb[3 * i + channel];
        }
    }
}

void fm_convert_f32_c(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]) {
    for (int i = 0; i < count; i++) {
        for (int channel = 0; channel < 3; channel++) {
            planes[channel][i] = ((float)rgb[3 * i + channel] - mean) * scale;
        }
    }
}
