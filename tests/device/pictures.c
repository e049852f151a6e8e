/* Letterbox and warp into slots of a batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recipe.h"
#include "tests.h"

#define MEAN 127.5F
#define SCALE (1.0F / 128.0F)
#define UNTOUCHED 0xEE

/* A batch whose end lies against a forbidden page. */
static struct tensor batch_make(enum dtype dtype, int count, int height, int width) {
    struct tensor batch = {.dtype = dtype, .rank = 4, .dims = {count, 3, height, width}};
    if (!fm_tensor_size(&batch, &batch.capacity)) {
        abort();
    }
    batch.bytes = guarded_alloc(batch.capacity, UNTOUCHED);
    return batch;
}

static struct rgb_view view_of(const struct picture *picture) {
    return (struct rgb_view){
        .rgb = picture->rgb, .width = picture->width, .height = picture->height, .stride = picture->stride};
}

void test_fit(void) {
    /* Answers of insightface 2.1 at 640 and 320; 1537 x 2120 and 1537 x 2320 lose a column to binary floating point. */
    static const int cases[][6] = {{640, 640, 640, 640, 320, 320},   {1280, 886, 640, 443, 320, 221},
                                   {1920, 1080, 640, 360, 320, 180}, {3061, 4600, 425, 640, 212, 320},
                                   {500, 375, 640, 480, 320, 240},   {600, 604, 635, 640, 317, 320},
                                   {1537, 2120, 463, 640, 231, 320}, {1537, 2320, 423, 640, 211, 320},
                                   {37, 1999, 11, 640, 5, 320},      {2500, 11, 640, 2, 320, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int half = 0; half < 2; half++) {
            const int *c = cases[i], side = half == 0 ? 640 : 320;
            struct letterbox fit = fm_letterbox_fit(c[0], c[1], side, side);
            CHECK(fit.new_width == c[2 + 2 * half] && fit.new_height == c[3 + 2 * half], "%dx%d at %d: %dx%d", c[0],
                  c[1], side, fit.new_width, fit.new_height);
            CHECK(fit.scale == (double)fit.new_height / c[1], "%dx%d at %d: scale %.17g", c[0], c[1], side, fit.scale);
        }
    }
    static const int extremes[] = {1, 2, 29, 30000, 2147483647};
    for (int i = 0; i < 25; i++) {
        struct letterbox fit = fm_letterbox_fit(extremes[i / 5], extremes[i % 5], 640, 320);
        CHECK(fit.new_width >= 1 && fit.new_width <= 640 && fit.new_height >= 1 && fit.new_height <= 320,
              "%dx%d: %dx%d", extremes[i / 5], extremes[i % 5], fit.new_width, fit.new_height);
    }
}

/* Slot 1 of three must hold the picture and black, the others nothing. */
static void check_slots(const struct tensor *batch, const struct pixel_recipe *recipe, const struct picture *picture,
                        const struct letterbox *fit) {
    int height = (int)batch->dims[2], width = (int)batch->dims[3];
    size_t slot = 3 * (size_t)height * (size_t)width, wrong = 0, element = fm_dtype_size(batch->dtype);
    const uint8_t *bytes = batch->bytes;
    for (size_t i = 0; i < slot * element; i++) {
        wrong += bytes[i] != UNTOUCHED || bytes[2 * slot * element + i] != UNTOUCHED;
    }
    CHECK(wrong == 0, "%zu bytes of other slots were written", wrong);
    for (size_t i = 0; i < slot; i++) {
        int x = (int)(i % (size_t)width), y = (int)(i / (size_t)width) % height;
        int plane = (int)(i / (size_t)width / (size_t)height), channel = recipe->bgr ? 2 - plane : plane;
        bool inside = x < fit->new_width && y < fit->new_height;
        uint8_t level = inside ? recipe_level(picture, fit->new_width, fit->new_height, x, y, channel) : 0;
        if (batch->dtype == DTYPE_U8) {
            wrong += bytes[slot + i] != level;
        } else {
            wrong += ((const float *)batch->bytes)[slot + i] != ((float)level - recipe->mean) * recipe->scale;
        }
    }
    CHECK(wrong == 0, "%dx%d -> %dx%d in %dx%d, %s, %s: %zu values differ", picture->width, picture->height,
          fit->new_width, fit->new_height, width, height, fm_dtype_name(batch->dtype), recipe->bgr ? "bgr" : "rgb",
          wrong);
}

static void check_letterbox(struct device *device, const struct picture *picture, int width, int height,
                            enum dtype dtype, bool bgr) {
    struct pixel_recipe recipe = {.bgr = bgr, .mean = MEAN, .scale = SCALE};
    struct letterbox fit = fm_letterbox_fit(picture->width, picture->height, width, height);
    struct rgb_view view = view_of(picture);
    struct tensor batch = batch_make(dtype, 3, height, width);
    struct buffer scratch = {0};
    fm_error error = {0};
    fm_status status = fm_device_ops(device)->letterbox(device, &view, &fit, &recipe, &batch, 1, &scratch, &error);
    CHECK(status == FM_OK, "letterbox: %s", error.message);
    check_slots(&batch, &recipe, picture, &fit);
    guarded_free(batch.bytes, batch.capacity);
    fm_buffer_reset(&scratch);
}

void test_letterbox_equals_recipe(void) {
    static const int sizes[][2] = {{64, 48}, {128, 96}, {30, 70},   {1, 1},   {1, 90},  {90, 1},
                                   {3, 2},   {257, 31}, {400, 300}, {64, 47}, {63, 48}, {1000, 30}};
    struct device *devices[4];
    size_t count = devices_open(devices);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct picture picture = picture_make(sizes[i][0], sizes[i][1], i % 3);
        for (size_t k = 0; k < 4 * count; k++) {
            check_letterbox(devices[k / 4], &picture, 64, 48, k % 2 == 0 ? DTYPE_U8 : DTYPE_F32, k / 2 % 2 == 0);
        }
        picture_free(&picture);
    }
    devices_close(devices, count);
}

void test_letterbox_refuses_other_types(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    struct picture picture = picture_make(8, 8, 0);
    struct rgb_view view = view_of(&picture);
    struct tensor batch = batch_make(DTYPE_F16, 1, 8, 8);
    struct letterbox fit = fm_letterbox_fit(8, 8, 8, 8);
    struct pixel_recipe recipe = {.scale = 1};
    struct buffer scratch = {0};
    fm_error error = {0};
    fm_status status =
        fm_device_ops(devices[0])->letterbox(devices[0], &view, &fit, &recipe, &batch, 0, &scratch, &error);
    CHECK(status == FM_UNSUPPORTED && strstr(error.message, "f16") != NULL, "%d: %s", (int)status, error.message);
    fm_buffer_reset(&scratch);
    guarded_free(batch.bytes, batch.capacity);
    picture_free(&picture);
    devices_close(devices, count);
}

void test_letterbox_keeps_its_memory(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    struct picture picture = picture_make(200, 100, 0);
    struct rgb_view view = view_of(&picture);
    struct tensor batch = batch_make(DTYPE_U8, 1, 64, 64);
    struct letterbox fit = fm_letterbox_fit(200, 100, 64, 64);
    struct pixel_recipe recipe = {.scale = 1};
    struct buffer scratch = {0};
    const uint8_t *first = NULL;
    for (int i = 0; i < 3; i++) {
        const struct device_ops *ops = fm_device_ops(devices[0]);
        CHECK(ops->letterbox(devices[0], &view, &fit, &recipe, &batch, 0, &scratch, NULL) == FM_OK, "letterbox");
        const double m[6] = {1, 0, 0, 0, 1, 0};
        CHECK(ops->warp(devices[0], &view, m, &recipe, &batch, 0, NULL, 0, &scratch, NULL) == FM_OK, "warp");
        first = i == 0 ? scratch.bytes : first;
        CHECK(scratch.bytes == first, "warm calls must not allocate");
    }
    fm_buffer_reset(&scratch);
    guarded_free(batch.bytes, batch.capacity);
    picture_free(&picture);
    devices_close(devices, count);
}

/* ---- warp */

static void check_warp_forms(struct device *device, const struct rgb_view *view, const double m[6], int side, bool bgr,
                             const uint8_t *expected) {
    const struct device_ops *ops = fm_device_ops(device);
    struct pixel_recipe recipe = {.bgr = bgr, .mean = MEAN, .scale = SCALE};
    struct tensor levels = batch_make(DTYPE_U8, 2, side, side), values = batch_make(DTYPE_F32, 2, side, side);
    size_t pixels = (size_t)side * (size_t)side, wrong = 0;
    uint8_t *rgb = guarded_alloc(3 * pixels, UNTOUCHED);
    struct buffer scratch = {0};
    CHECK(ops->warp(device, view, m, NULL, NULL, 0, rgb, side, &scratch, NULL) == FM_OK, "warp to rgb");
    CHECK(ops->warp(device, view, m, &recipe, &levels, 1, NULL, 0, &scratch, NULL) == FM_OK, "warp to u8");
    CHECK(ops->warp(device, view, m, &recipe, &values, 1, NULL, 0, &scratch, NULL) == FM_OK, "warp to f32");
    CHECK(memcmp(rgb, expected, 3 * pixels) == 0, "%s differs from the reference",
          fm_cpu_level_name(fm_device_level(device)));
    for (size_t i = 0; i < 3 * pixels; i++) {
        size_t plane = bgr ? 2 - i % 3 : i % 3, at = (3 + plane) * pixels + i / 3;
        wrong += ((const uint8_t *)levels.bytes)[at] != rgb[i];
        wrong += ((const float *)values.bytes)[at] != ((float)rgb[i] - MEAN) * SCALE;
        wrong += ((const uint8_t *)levels.bytes)[i] != UNTOUCHED;
    }
    CHECK(wrong == 0, "%zu values differ between the forms", wrong);
    fm_buffer_reset(&scratch);
    guarded_free(rgb, 3 * pixels);
    guarded_free(levels.bytes, levels.capacity);
    guarded_free(values.bytes, values.capacity);
}

void test_warp_forms_agree(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    for (int i = 0; i < 30; i++) {
        struct picture picture = picture_make(1 + random_below(150), 1 + random_below(150), (size_t)random_below(5));
        struct rgb_view view = view_of(&picture);
        int side = 1 + random_below(i % 2 == 0 ? 20 : 112);
        double angle = random_between(-4, 4), zoom = random_between(0.2, 3);
        const double m[6] = {zoom * cos(angle), -zoom * sin(angle), random_between(-80, 80),
                             zoom * sin(angle), zoom * cos(angle),  random_between(-80, 80)};
        uint8_t *expected = guarded_alloc(3 * (size_t)side * (size_t)side, 0);
        CHECK(fm_device_ops(devices[0])->warp(devices[0], &view, m, NULL, NULL, 0, expected, side, NULL, NULL) == FM_OK,
              "warp by the reference");
        for (size_t k = 0; k < count; k++) {
            check_warp_forms(devices[k], &view, m, side, i % 2 == 0, expected);
        }
        guarded_free(expected, 3 * (size_t)side * (size_t)side);
        picture_free(&picture);
    }
    devices_close(devices, count);
}

/* A picture whose red is x and whose green is y tells for every crop pixel where it came from. */
void test_warp_follows_the_matrix(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    struct picture picture = picture_make(200, 180, 0);
    for (int i = 0; i < 200 * 180; i++) {
        picture.rgb[3 * i] = (uint8_t)(i % 200);
        picture.rgb[3 * i + 1] = (uint8_t)(i / 200);
        picture.rgb[3 * i + 2] = 9;
    }
    struct rgb_view view = view_of(&picture);
    /* A turn and a stretch about (100, 90), put into the crop's middle: stays inside the picture. */
    const double a = 0.9, b = 0.5, m[6] = {a, -b, 28 - a * 100 + b * 90, b, a, 28 - b * 100 - a * 90};
    uint8_t crop[56 * 56 * 3];
    CHECK(fm_device_ops(devices[0])->warp(devices[0], &view, m, NULL, NULL, 0, crop, 56, NULL, NULL) == FM_OK, "warp");
    for (int i = 0; i < 56 * 56; i++) {
        double x = crop[3 * i], y = crop[3 * i + 1]; /* each within half a pixel */
        double column = m[0] * x + m[1] * y + m[2], row = m[3] * x + m[4] * y + m[5], slack = 0.5 * (a + b) + 1e-9;
        CHECK(fabs(column - i % 56) <= slack && fabs(row - (double)(i / 56)) <= slack, "crop %d,%d shows image %g,%g",
              i % 56, i / 56, x, y);
        CHECK(crop[3 * i + 2] == 9, "a colour changed");
    }
    picture_free(&picture);
    devices_close(devices, count);
}

void test_warp_of_no_matrix(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    struct picture picture = picture_make(30, 30, 0);
    struct rgb_view view = view_of(&picture);
    for (size_t i = 0; i < count; i++) {
        const double flat[6] = {0, 0, 5, 0, 0, 5}, bad[6] = {(double)NAN, 0, 0, 0, 1, 0},
                     far[6] = {1e-300, 0, 0, 0, 1e-300, 0};
        uint8_t crop[10 * 10 * 3];
        CHECK(fm_device_ops(devices[i])->warp(devices[i], &view, flat, NULL, NULL, 0, crop, 10, NULL, NULL) == FM_OK,
              "flat");
        CHECK(memcmp(crop, picture.rgb, 3) == 0 && memcmp(crop + 297, picture.rgb, 3) == 0,
              "flat: not the first pixel");
        CHECK(fm_device_ops(devices[i])->warp(devices[i], &view, bad, NULL, NULL, 0, crop, 10, NULL, NULL) == FM_OK,
              "NaN");
        CHECK(crop[0] == 0 && crop[299] == 0, "NaN: not black");
        CHECK(fm_device_ops(devices[i])->warp(devices[i], &view, far, NULL, NULL, 0, crop, 10, NULL, NULL) == FM_OK,
              "far");
    }
    picture_free(&picture);
    devices_close(devices, count);
}
