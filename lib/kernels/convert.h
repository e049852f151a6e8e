/* Interleaved RGB8 to planes, as levels or as network values. Pure; any thread. */
#ifndef FM_KERNELS_CONVERT_H
#define FM_KERNELS_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* `count` pixels of `rgb` -> planes[0] red, planes[1] green, planes[2] blue. For BGR swap planes[0] and planes[2]. */
void fm_convert_u8_c(const uint8_t *rgb, int count, uint8_t *const planes[3]);
void fm_convert_u8_avx2(const uint8_t *rgb, int count, uint8_t *const planes[3]);
void fm_convert_u8_neon(const uint8_t *rgb, int count, uint8_t *const planes[3]);

/* The same, then (level - mean) * scale in single precision: one subtraction, one multiplication. */
void fm_convert_f32_c(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]);
void fm_convert_f32_avx2(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]);
void fm_convert_f32_neon(const uint8_t *rgb, int count, float mean, float scale, float *const planes[3]);

#endif
