/* Tests of resize, convert and warp. Integers must match exactly on every instruction set; the float values too,
   because the order of their operations is part of the contract. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recipe.h"
#include "tests.h"

#define MEAN 127.5F
#define SCALE (1.0F / 128.0F)

/* Both forms of one output row by the kernels of one instruction set, into guarded memory, against `levels` (3 planes).
 */
static void check_resized_row(const struct kernels *kernels, const struct picture *picture,
                              const struct resize_columns *columns, int to_width, int to_height, int y,
                              const uint8_t *levels) {
    struct resize_line line = fm_resize_line_at(picture->height, to_height, y);
    size_t sums_size = 3 * (size_t)columns->count * sizeof(int16_t), width = (size_t)to_width;
    int16_t *first = guarded_alloc(sums_size, 0xEE), *second = guarded_alloc(sums_size, 0xEE);
    uint8_t *bytes = guarded_alloc(width, 0xEE);
    float *values = guarded_alloc(width * sizeof(float), 0xEE);
    kernels->resize_across(picture->rgb + (size_t)line.first * picture->stride, columns, first);
    kernels->resize_across(picture->rgb + (size_t)line.second * picture->stride, columns, second);
    for (int channel = 0; channel < 3; channel++) {
        size_t plane = (size_t)channel * (size_t)columns->count;
        kernels->resize_blend_u8(first + plane, second + plane, &line, to_width, bytes);
        kernels->resize_blend_f32(first + plane, second + plane, &line, to_width, MEAN, SCALE, values);
        for (int x = 0; x < to_width; x++) {
            uint8_t level = levels[channel * to_width + x];
            CHECK(bytes[x] == level && values[x] == ((float)level - MEAN) * SCALE,
                  "%s: %dx%d -> %dx%d at %d,%d channel %d: %d and %g, not %d", fm_cpu_level_name(kernels->level),
                  picture->width, picture->height, to_width, to_height, x, y, channel, bytes[x], (double)values[x],
                  level);
        }
    }
    guarded_free(first, sums_size);
    guarded_free(second, sums_size);
    guarded_free(bytes, width);
    guarded_free(values, width * sizeof(float));
}

static void check_resize(int width, int height, int to_width, int to_height, size_t extra) {
    struct picture picture = picture_make(width, height, extra);
    size_t padded = (size_t)fm_resize_padded(to_width);
    struct resize_columns columns = {.offsets = guarded_alloc(padded * 4, 0xEE),
                                     .weights = guarded_alloc(padded * 4, 0xEE)};
    fm_resize_columns_fill(&columns, width, to_width);
    uint8_t *levels = guarded_alloc(3 * (size_t)to_width, 0);
    enum cpu_level available[4];
    size_t level_count = available_levels(available);
    int step = to_height > 24 ? to_height / 12 : 1; /* rows are independent: both ends and some between will do */
    for (int y = 0; y < to_height; y += y + step < to_height || y == to_height - 1 ? step : to_height - 1 - y) {
        for (int i = 0; i < 3 * to_width; i++) {
            levels[i] = recipe_level(&picture, to_width, to_height, i % to_width, y, i / to_width);
        }
        for (size_t level = 0; level < level_count; level++) {
            check_resized_row(fm_kernels(available[level]), &picture, &columns, to_width, to_height, y, levels);
        }
    }
    guarded_free(levels, 3 * (size_t)to_width);
    guarded_free(columns.offsets, padded * 4);
    guarded_free(columns.weights, padded * 4);
    picture_free(&picture);
}

void test_resize_equals_recipe(void) {
    static const int sides[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 112, 641};
    const int count = (int)(sizeof sides / sizeof *sides);
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < count; k++) {
            int height = sides[random_below(count)], to_height = sides[random_below(count)];
            check_resize(sides[i], height, sides[k], to_height, (size_t)random_below(5));
        }
    }
    for (int i = 0; i < 40; i++) {
        check_resize(1 + random_below(900), 1 + random_below(300), 1 + random_below(700), 1 + random_below(300),
                     (size_t)random_below(64));
    }
}

void test_resize_same_size_is_identity(void) {
    struct picture picture = picture_make(37, 5, 2);
    for (int y = 0; y < picture.height; y++) {
        for (int i = 0; i < 3 * picture.width; i++) {
            CHECK(recipe_level(&picture, 37, 5, i / 3, y, i % 3) == picture.rgb[(size_t)y * picture.stride + (size_t)i],
                  "the recipe changes a picture that keeps its size at %d,%d", i / 3, y);
        }
    }
    picture_free(&picture);
    check_resize(37, 5, 37, 5, 2);
}

void test_resize_stays_inside_one_column(void) {
    for (int side = 1; side < 40; side++) {
        check_resize(1, 1 + side % 4, side, side, 0);
        check_resize(2, 1, side, 3, 0);
        check_resize(side, 1, 1, side, 0);
    }
}

/* ---- convert */

static void check_convert(const struct kernels *kernels, const uint8_t *rgb, int count) {
    uint8_t *levels[3];
    float *values[3];
    for (int channel = 0; channel < 3; channel++) {
        levels[channel] = guarded_alloc((size_t)count, 0xEE);
        values[channel] = guarded_alloc((size_t)count * sizeof(float), 0xEE);
    }
    kernels->convert_u8(rgb, count, levels);
    kernels->convert_f32(rgb, count, MEAN, SCALE, values);
    for (int i = 0; i < 3 * count; i++) {
        int channel = i % 3;
        CHECK(levels[channel][i / 3] == rgb[i], "%s: %d pixels, level %d", fm_cpu_level_name(kernels->level), count, i);
        CHECK(values[channel][i / 3] == ((float)rgb[i] - MEAN) * SCALE, "%s: %d pixels, value %d",
              fm_cpu_level_name(kernels->level), count, i);
    }
    for (int channel = 0; channel < 3; channel++) {
        guarded_free(levels[channel], (size_t)count);
        guarded_free(values[channel], (size_t)count * sizeof(float));
    }
}

void test_convert(void) {
    enum cpu_level available[4];
    size_t level_count = available_levels(available);
    for (int count = 0; count < 70; count++) {
        struct picture picture = picture_make(count == 0 ? 1 : count, 1, 0);
        for (size_t level = 0; level < level_count; level++) {
            check_convert(fm_kernels(available[level]), picture.rgb, count);
        }
        picture_free(&picture);
    }
}

/* ---- warp */

static struct warp_line line_of(const struct picture *picture, double x, double y, double dx, double dy) {
    return (struct warp_line){.rgb = picture->rgb,
                              .stride = picture->stride,
                              .width = picture->width,
                              .height = picture->height,
                              .x = x,
                              .y = y,
                              .dx = dx,
                              .dy = dy};
}

static void check_warp(const struct picture *picture, const struct warp_line *line, int first, int count) {
    enum cpu_level available[4];
    size_t level_count = available_levels(available), size = 3 * (size_t)(first + count);
    uint8_t *expected = guarded_alloc(size, 0xEE);
    fm_warp_row_c(line, first, count, expected);
    for (size_t level = 0; level < level_count; level++) {
        uint8_t *row = guarded_alloc(size, 0xEE);
        fm_kernels(available[level])->warp_row(line, first, count, row);
        CHECK(memcmp(row, expected, size) == 0, "%s: %dx%d, %d pixels from %g,%g by %g,%g differ",
              fm_cpu_level_name(available[level]), picture->width, picture->height, count, line->x, line->y, line->dx,
              line->dy);
        guarded_free(row, size);
    }
    guarded_free(expected, size);
}

void test_warp_equals_reference(void) {
    static const int sides[] = {1, 2, 3, 7, 17, 64, 200};
    for (int i = 0; i < 1500; i++) {
        struct picture picture = picture_make(sides[random_below(7)], sides[random_below(7)], (size_t)random_below(9));
        double reach = picture.width > picture.height ? picture.width : picture.height;
        struct warp_line line = line_of(&picture, random_between(-0.3, 1.1) * reach, random_between(-0.3, 1.1) * reach,
                                        random_between(-2.0, 2.0), random_between(-2.0, 2.0));
        if (i % 3 == 0) { /* whole and half steps land exactly on pixels, edges and rounding ties */
            line = line_of(&picture, random_below(8) * 0.5 - 1.0, random_below(8) * 0.5 - 1.0, random_below(5) * 0.25,
                           random_below(5) * 0.25);
        }
        check_warp(&picture, &line, random_below(3), random_below(60));
        picture_free(&picture);
    }
}

/* The textbook's four weights; differs from the kernel's order of operations by far less than a level. */
static double textbook_value(const struct picture *picture, double x, double y, int channel) {
    double value = 0.0, left = floor(x), top = floor(y);
    for (int i = 0; i < 4; i++) {
        double column = left + i % 2, row = top + i / 2;
        double weight = (1.0 - fabs(x - column)) * (1.0 - fabs(y - row));
        if (column >= 0 && column < picture->width && row >= 0 && row < picture->height) {
            value += weight * picture->rgb[(size_t)row * picture->stride + 3 * (size_t)column + (size_t)channel];
        }
    }
    return value;
}

void test_warp_is_bilinear(void) {
    struct picture picture = picture_make(90, 70, 3);
    uint8_t row[3 * 50];
    for (int i = 0; i < 200; i++) {
        struct warp_line line = line_of(&picture, random_between(-20, 100), random_between(-20, 80),
                                        random_between(-1.5, 1.5), random_between(-1.5, 1.5));
        fm_warp_row_c(&line, 0, 50, row);
        for (int k = 0; k < 150; k++) {
            double value = textbook_value(&picture, line.x + k / 3 * line.dx, line.y + k / 3 * line.dy, k % 3);
            CHECK(fabs(row[k] - value) <= 0.5 + 1e-9, "level %d where the exact value is %.6f", row[k], value);
        }
    }
    picture_free(&picture);
}

void test_warp_outside_is_black(void) {
    struct picture picture = picture_make(20, 20, 0);
    memset(picture.rgb, 200, picture.size);
    static const struct {
        double x, y;
        uint8_t level;
    } cases[] = {{-1.0, 5, 0},   {20, 5, 0},  {5, -1.0, 0},  {5, 20, 0},       {-0.5, 5, 100}, {19.5, 5, 100},
                 {5, 19.75, 50}, {0, 0, 200}, {19, 19, 200}, {-0.5, -0.5, 50}, {1e18, 5, 0},   {5, -1e300, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct warp_line line = line_of(&picture, cases[i].x, cases[i].y, 0, 0);
        uint8_t row[3 * 17];
        fm_warp_row_c(&line, 0, 17, row);
        CHECK(row[0] == cases[i].level && row[50] == cases[i].level, "at %g,%g: %d, not %d", cases[i].x, cases[i].y,
              row[0], cases[i].level);
        check_warp(&picture, &line, 0, 17);
    }
    picture_free(&picture);
}

void test_warp_not_finite_is_black(void) {
    struct picture picture = picture_make(20, 20, 0);
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (int i = 0; i < 12; i++) {
        double steps[4] = {1, 1, 1, 1};
        steps[i % 4] = bad[i / 4];
        struct warp_line line = line_of(&picture, steps[0], steps[1], steps[2], steps[3]);
        uint8_t row[3 * 16];
        fm_warp_row_c(&line, 0, 16, row);
        CHECK(row[3 * 15] == 0 && row[3 * 7 + 1] == 0, "a position with %g gave %d", bad[i / 4], row[3 * 15]);
        check_warp(&picture, &line, 0, 16);
    }
    picture_free(&picture);
}
