/* Orientation: rows as stored become rows as seen. One copy serves all seven turns: they differ only in where the
   first pixel is taken from and in the steps to the next one and the next row. Tiles keep both sides of a transpose
   inside the first-level cache. Owner: the caller's image; any thread. */
#include "image/codec.h"

#include <string.h>

enum { TILE = 32, PIXEL = 3 };

/* Where the upright pixel (x, y) lies in the stored rows: start + x * step_x + y * step_y bytes. */
struct turn {
    ptrdiff_t start, step_x, step_y;
};

static struct turn turn_for(int orientation, int width, int height) {
    ptrdiff_t row = (ptrdiff_t)width * PIXEL, last_column = row - PIXEL, last_row = row * (height - 1);
    switch (orientation) {
    case 2:
        return (struct turn){last_column, -PIXEL, row};
    case 3:
        return (struct turn){last_row + last_column, -PIXEL, -row};
    case 4:
        return (struct turn){last_row, PIXEL, -row};
    case 5:
        return (struct turn){0, row, PIXEL};
    case 6:
        return (struct turn){last_row, -row, PIXEL};
    case 7:
        return (struct turn){last_row + last_column, -row, -PIXEL};
    case 8:
        return (struct turn){last_column, row, -PIXEL};
    default:
        return (struct turn){0, PIXEL, row};
    }
}

/* Four bytes move at once, the fourth overwritten by the next pixel (reading it is covered by the buffer's padding);
   the last pixel of a run takes three, so that nothing beyond the run changes. */
static void copy_run(uint8_t *to, const uint8_t *from, ptrdiff_t step, int count) {
    for (int i = 0; i < count - 1; i++, to += PIXEL, from += step)
        memcpy(to, from, 4);
    memcpy(to, from, PIXEL);
}

static void copy_turned(uint8_t *upright, int width, int height, const uint8_t *stored, struct turn turn) {
    for (int top = 0; top < height; top += TILE)
        for (int left = 0; left < width; left += TILE) {
            int bottom = top + TILE < height ? top + TILE : height;
            int count = left + TILE < width ? TILE : width - left;
            for (int y = top; y < bottom; y++)
                copy_run(upright + ((size_t)y * (size_t)width + (size_t)left) * PIXEL,
                         stored + turn.start + y * turn.step_y + left * turn.step_x, turn.step_x, count);
        }
}

fm_status fm_image_orient(struct image *image, const char *name, fm_error *error) {
    if (image->orientation <= 1)
        return FM_OK;
    if (!fm_buffer_resize(&image->scratch, image->rgb.size))
        return fm_fail(error, FM_OUT_OF_MEMORY,
                       "no memory to turn '%s' upright (%d x %d pixels); lower fm_limits.max_pixels", name,
                       image->width, image->height);
    struct turn turn = turn_for(image->orientation, image->width, image->height);
    if (image->orientation >= 5) {
        int width = image->width;
        image->width = image->height;
        image->height = width;
    }
    copy_turned(image->scratch.bytes, image->width, image->height, image->rgb.bytes, turn);
    struct buffer upright = image->scratch;
    image->scratch = image->rgb;
    image->rgb = upright;
    return FM_OK;
}
