/* What the pixel tests share: random pictures in guarded memory, and one resized value by the text of RECIPES D15,
   which shares nothing with the library. */
#ifndef FM_TESTS_RECIPE_H
#define FM_TESTS_RECIPE_H

#include "harness.h"

struct picture {
    uint8_t *rgb;
    int width, height;
    size_t stride, size;
};

/* Random levels in memory that ends with the last pixel of the last row; `extra` bytes between rows. */
struct picture picture_make(int width, int height, size_t extra);
void picture_free(struct picture *picture);

/* Level of `channel` at (x, y) of the picture resized to to_width x to_height. */
uint8_t recipe_level(const struct picture *picture, int to_width, int to_height, int x, int y, int channel);

#endif
