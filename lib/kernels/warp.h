/* One row of an affine crop, bilinear in double precision. Pure; any thread. */
#ifndef FM_KERNELS_WARP_H
#define FM_KERNELS_WARP_H

#include <stddef.h>
#include <stdint.h>

/* Pixel i of the row shows the image at (x + i * dx, y + i * dy). */
struct warp_line {
    const uint8_t *rgb;
    size_t stride; /* bytes */
    int width, height;
    double x, y, dx, dy;
};

/* Write pixels first .. first + count - 1 of the row that starts at `row` (RGB8). Every product and sum is rounded to
   double by itself (no fused operations), and a level is floor(value + 0.5); taps outside the image are 0. So all
   instruction sets give the same bytes. Positions that are not finite give black. */
void fm_warp_row_c(const struct warp_line *line, int first, int count, uint8_t *row);
void fm_warp_row_avx2(const struct warp_line *line, int first, int count, uint8_t *row);
void fm_warp_row_avx512(const struct warp_line *line, int first, int count, uint8_t *row);
void fm_warp_row_neon(const struct warp_line *line, int first, int count, uint8_t *row);

#endif
