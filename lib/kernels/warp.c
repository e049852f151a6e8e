/* One row of an affine crop, reference. The siblings do blocks of pixels whose four taps are all inside the image and
   leave every other block to this file. */
#include "kernels/warp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const uint8_t black[3];

static const uint8_t *tap_at(const struct warp_line *line, int x, int y) {
    bool inside = x >= 0 && x < line->width && y >= 0 && y < line->height;
    return inside ? line->rgb + (size_t)y * line->stride + 3 * (size_t)x : black;
}

static void pixel_at(const struct warp_line *line, double x, double y, uint8_t out[3]) {
    /* Written so that NaN fails it too: such a position must never become an int. */
    if (!(x > -1.0 && x < (double)line->width && y > -1.0 && y < (double)line->height)) {
        memset(out, 0, 3);
        return;
    }
    double left = floor(x), top = floor(y), right_share = x - left, lower_share = y - top;
    int column = (int)left, row = (int)top;
    const uint8_t *a = tap_at(line, column, row), *b = tap_at(line, column + 1, row);
    const uint8_t *c = tap_at(line, column, row + 1), *d = tap_at(line, column + 1, row + 1);
    for (int channel = 0; channel < 3; channel++) {
        double upper = a[channel] + (double)(b[channel] - a[channel]) * right_share;
        double lower = c[channel] + (double)(d[channel] - c[channel]) * right_share;
        out[channel] = (uint8_t)(upper + (lower - upper) * lower_share + 0.5); /* never negative: truncation is floor */
    }
}

void fm_warp_row_c(const struct warp_line *line, int first, int count, uint8_t *row) {
    for (int i = first; i < first + count; i++) {
        pixel_at(line, line->x + (double)i * line->dx, line->y + (double)i * line->dy, row + 3 * (size_t)i);
    }
}
