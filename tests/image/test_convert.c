/* Conversion of fm_pixels: every format, layout, order and stride against a per-pixel definition; what is refused. */
#include "image/image.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 13, HEIGHT = 7, CHANNELS = 4 };

/* Sample c (0 red, 1 green, 2 blue, 3 alpha) of a pixel. */
static uint8_t level(int x, int y, int c) {
    return (uint8_t)(x * 17 + y * 31 + c * 71);
}

static int stored_channels(fm_pixel_order order) {
    return order == FM_ORDER_GRAY ? 1 : order == FM_ORDER_RGBA ? 4 : 3;
}

/* Where sample k of pixel (x, y) is stored, in bytes. */
static size_t place(const fm_pixels *p, size_t stride, int x, int y, int k) {
    size_t element = p->format == FM_FORMAT_F32 ? 4 : 1;
    if (p->layout == FM_LAYOUT_CHW)
        return ((size_t)k * HEIGHT + (size_t)y) * stride + (size_t)x * element;
    return (size_t)y * stride + (size_t)(x * stored_channels(p->order) + k) * element;
}

/* The +0.5 keeps the truncated product at the level meant, whatever the float rounding. */
static void store(uint8_t *to, const fm_pixels *p, uint8_t value) {
    float real = ((float)value + 0.5f) / 255.0f;
    if (p->format == FM_FORMAT_F32)
        memcpy(to, &real, sizeof real);
    else
        *to = value;
}

static void check_one(fm_pixels p, size_t extra) {
    size_t element = p.format == FM_FORMAT_F32 ? 4 : 1;
    size_t tight = WIDTH * element * (p.layout == FM_LAYOUT_CHW ? 1 : (size_t)stored_channels(p.order));
    size_t stride = tight + extra, planes = p.layout == FM_LAYOUT_CHW ? (size_t)stored_channels(p.order) : 1;
    size_t size = stride * (planes * HEIGHT - 1) + tight; /* the last row has no padding to read */
    struct image image = {0};
    fm_error error = {0};
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int k = 0; k < stored_channels(p.order); k++)
                store(bytes + place(&p, stride, x, y, k), &p, level(x, y, p.order == FM_ORDER_BGR ? 2 - k : k));
    p.data = bytes;
    p.stride = extra ? stride : 0;
    if (fm_image_convert(&image, &p, NULL, &error))
        fail_msg("%s", error.message);
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    assert_string_equal(image.format, "pixels");
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        assert_int_equal(image.rgb.bytes[i], level(i / 3 % WIDTH, i / 3 / WIDTH, p.order == FM_ORDER_GRAY ? 0 : i % 3));
    fm_image_reset(&image);
    free(bytes);
}

static void test_every_kind(void **state) {
    (void)state;
    for (int i = 0; i < 2 * 2 * 4 * 3; i++) {
        static const size_t extra[] = {0, 5, 64};
        check_one((fm_pixels){.struct_size = sizeof(fm_pixels),
                              .width = WIDTH,
                              .height = HEIGHT,
                              .format = (fm_pixel_format)(i & 1),
                              .layout = (fm_pixel_layout)(i >> 1 & 1),
                              .order = (fm_pixel_order)(i >> 2 & 3)},
                  extra[i / 16]);
    }
}

static void test_float_rounding(void **state) {
    (void)state;
    const float values[] = {0.0f, 1.0f, -0.5f, 7.0f, NAN, INFINITY, -INFINITY, 0.999f, 1.0f / 255.0f, 0.5f};
    const uint8_t levels[] = {0, 255, 0, 255, 0, 255, 0, 254, 1, 127};
    struct image image = {0};
    fm_pixels pixels = {.struct_size = sizeof pixels,
                        .data = values,
                        .width = 10,
                        .height = 1,
                        .format = FM_FORMAT_F32,
                        .order = FM_ORDER_GRAY};
    assert_int_equal(fm_image_convert(&image, &pixels, NULL, NULL), FM_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(image.rgb.bytes[3 * i + 1], levels[i]);
    fm_image_reset(&image);
}

static void expect_refusal(const fm_pixels *pixels, fm_status status, const char *word) {
    struct image image = {0};
    fm_error error = {0};
    assert_int_equal(fm_image_convert(&image, pixels, NULL, &error), status);
    assert_int_equal(error.status, status);
    assert_non_null(strstr(error.message, word));
    assert_int_equal(image.width, 0);
    fm_image_reset(&image);
}

static void test_refusals(void **state) {
    (void)state;
    static const uint8_t bytes[12];
    const fm_pixels good = {.struct_size = sizeof good, .data = bytes, .width = 2, .height = 2};
    fm_pixels bad[9];
    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].struct_size = 0;
    bad[1].memory = FM_MEMORY_CUDA;
    bad[2].data = NULL;
    bad[3].width = 0;
    bad[4].height = -1;
    bad[5].stride = 5;
    bad[6].order = (fm_pixel_order)9;
    bad[7].width = 30001;
    bad[8].format = (fm_pixel_format)-1;
    expect_refusal(NULL, FM_INVALID_ARGUMENT, "NULL");
    expect_refusal(&bad[0], FM_INVALID_ARGUMENT, "struct_size");
    expect_refusal(&bad[1], FM_UNSUPPORTED, "CUDA");
    expect_refusal(&bad[2], FM_INVALID_ARGUMENT, "NULL");
    expect_refusal(&bad[3], FM_INVALID_ARGUMENT, "0 x 2");
    expect_refusal(&bad[4], FM_INVALID_ARGUMENT, "2 x -1");
    expect_refusal(&bad[5], FM_INVALID_ARGUMENT, "stride");
    expect_refusal(&bad[6], FM_INVALID_ARGUMENT, "order 9");
    expect_refusal(&bad[7], FM_LIMIT, "max_width");
    expect_refusal(&bad[8], FM_INVALID_ARGUMENT, "format -1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_float_rounding),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("image convert", tests, NULL, NULL);
}
