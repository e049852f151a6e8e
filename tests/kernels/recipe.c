/* Random pictures, and RECIPES D15 written straight from its text: value by value, nothing kept, nothing shared with
   the library, so that a mistake there is not repeated here. */
#include "recipe.h"

#include <math.h>

struct picture picture_make(int width, int height, size_t extra) {
    struct picture picture = {.width = width, .height = height, .stride = 3 * (size_t)width + extra};
    picture.size = picture.stride * ((size_t)height - 1) + 3 * (size_t)width;
    picture.rgb = guarded_alloc(picture.size, 0);
    random_fill(picture.rgb, picture.size);
    return picture;
}

void picture_free(struct picture *picture) {
    guarded_free(picture->rgb, picture->size);
}

static int recipe_tap(int from, int to, int i, float *t) {
    double step = 1.0 / ((double)to / from);
    float f = (float)((i + 0.5) * step - 0.5);
    int p = (int)floorf(f);
    *t = f - (float)p;
    return p;
}

static int recipe_across(const struct picture *picture, int row, int p, float t, int channel) {
    if (p < 0 || p >= picture->width - 1) {
        t = 0.0F;
        p = p < 0 ? 0 : picture->width - 1;
    }
    int w1 = (int)rintf(t * 2048.0F), w0 = (int)rintf((1.0F - t) * 2048.0F);
    const uint8_t *pixels = picture->rgb + (size_t)row * picture->stride;
    int next = p + 1 < picture->width ? pixels[3 * (p + 1) + channel] : 0;
    return pixels[3 * p + channel] * w0 + next * w1;
}

uint8_t recipe_level(const struct picture *picture, int to_width, int to_height, int x, int y, int channel) {
    float tx, ty;
    int px = recipe_tap(picture->width, to_width, x, &tx), py = recipe_tap(picture->height, to_height, y, &ty);
    int b1 = (int)rintf(ty * 2048.0F), b0 = (int)rintf((1.0F - ty) * 2048.0F), last = picture->height - 1;
    int row0 = py < 0 ? 0 : py > last ? last : py, row1 = py + 1 < 0 ? 0 : py + 1 > last ? last : py + 1;
    int h0 = recipe_across(picture, row0, px, tx, channel), h1 = recipe_across(picture, row1, px, tx, channel);
    return (uint8_t)((((b0 * (h0 >> 4)) >> 16) + ((b1 * (h1 >> 4)) >> 16) + 2) >> 2);
}
