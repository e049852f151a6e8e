/* Pictures through the public API: decode, write, annotate, crop; and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"

static char folder[OS_PATH_SIZE];

static const char *path_of(const char *name) {
    static char path[OS_PATH_SIZE];
    assert_true(fm_path_join(path, sizeof path, folder, name));
    return path;
}

static void written_pictures_come_back(void **state) {
    (void)state;
    struct test_image image = test_image_make(640, 160, 1);
    const fm_pixels pixels = test_image_pixels(&image);
    fm_image *copy = NULL;
    fm_error error = {0};
    assert_int_equal(fm_image_write(&pixels, path_of("a.PNG"), -1, &error), FM_OK);
    fm_input input = fm_input_file(path_of("a.PNG"));
    assert_int_equal(fm_image_decode(&input, NULL, &copy, &error), FM_OK);
    fm_pixels back = fm_image_pixels(copy);
    assert_int_equal(back.width, 640);
    assert_int_equal(back.height, 160);
    assert_memory_equal(back.data, image.rgb, (size_t)640 * 160 * 3); /* PNG is exact */
    fm_image_free(copy);
    assert_int_equal(fm_image_write(&pixels, path_of("a.jpg"), -1, &error), FM_OK);
    input = fm_input_file(path_of("a.jpg"));
    assert_int_equal(fm_image_decode(&input, NULL, &copy, &error), FM_OK);
    back = fm_image_pixels(copy);
    long difference = 0;
    for (size_t i = 0; i < (size_t)640 * 160 * 3; i++)
        difference += labs((long)((const uint8_t *)back.data)[i] - (long)image.rgb[i]);
    assert_true(difference / (640L * 160 * 3) < 4); /* JPEG is near; saturated colours bleed */
    fm_image_free(copy);
    assert_int_equal(fm_image_write(&pixels, "/nowhere/a.jpg", -1, &error), FM_IO);
    assert_non_null(strstr(error.message, "/nowhere/a.jpg"));
    test_image_free(&image);
}

struct taken {
    uint8_t bytes[1 << 18];
    size_t size;
    int calls;
};

static void take(const void *bytes, size_t size, void *user) {
    struct taken *taken = user;
    assert_true(size <= sizeof taken->bytes);
    memcpy(taken->bytes, bytes, size);
    taken->size = size;
    taken->calls++;
}

static void encoded_pictures_are_the_written_ones(void **state) {
    (void)state;
    struct test_image image = test_image_make(320, 96, 3);
    const fm_pixels pixels = test_image_pixels(&image);
    struct taken *taken = calloc(1, sizeof *taken);
    for (int format = FM_FILE_PNG; format <= FM_FILE_JPEG; format++) {
        struct buffer file = {0};
        fm_error error = {0};
        taken->calls = 0;
        assert_int_equal(fm_image_encode(&pixels, (fm_file_format)format, take, taken, &error), FM_OK);
        assert_int_equal(taken->calls, 1);
        assert_int_equal(fm_image_write(&pixels, path_of("e"), format, &error), FM_OK);
        assert_int_equal(fm_file_read(path_of("e"), 1 << 20, &file, &error), FM_OK);
        assert_int_equal(file.size, taken->size);
        assert_memory_equal(file.bytes, taken->bytes, file.size);
        fm_buffer_reset(&file);
    }
    fm_pixels device = pixels;
    device.memory = FM_MEMORY_CUDA;
    taken->calls = 0;
    assert_int_equal(fm_image_encode(&device, FM_FILE_PNG, take, taken, NULL), FM_UNSUPPORTED);
    assert_int_equal(taken->calls, 0);
    free(taken);
    test_image_free(&image);
}

static void limits_hold_before_decoding(void **state) {
    (void)state;
    struct test_image image = test_image_make(640, 160, 2);
    const fm_pixels pixels = test_image_pixels(&image);
    fm_image *copy = NULL;
    fm_error error = {0};
    assert_int_equal(fm_image_write(&pixels, path_of("b.png"), -1, &error), FM_OK);
    const fm_input input = fm_input_file(path_of("b.png"));
    const fm_limits narrow = {.struct_size = sizeof narrow, .max_width = 639};
    const fm_limits few = {.struct_size = sizeof few, .max_pixels = 640 * 160 - 1};
    const fm_limits small = {.struct_size = sizeof small, .max_file_bytes = 10};
    const fm_limits exact = {.struct_size = sizeof exact, .max_pixels = 640 * 160, .max_width = 640, .max_height = 160};
    assert_int_equal(fm_image_decode(&input, &narrow, &copy, NULL), FM_LIMIT);
    assert_int_equal(fm_image_decode(&input, &few, &copy, NULL), FM_LIMIT);
    assert_int_equal(fm_image_decode(&input, &small, &copy, NULL), FM_LIMIT);
    assert_null(copy);
    assert_int_equal(fm_image_decode(&input, &exact, &copy, NULL), FM_OK);
    fm_image_free(copy);
    test_image_free(&image);
}

/* Pixels of that colour inside the box given; parts outside the picture are left out. */
static int count_colour(const fm_image *image, int x1, int y1, int x2, int y2, const uint8_t colour[3]) {
    const fm_pixels pixels = fm_image_pixels(image);
    int count = 0;
    for (int y = y1 < 0 ? 0 : y1; y < y2 && y < pixels.height; y++)
        for (int x = x1 < 0 ? 0 : x1; x < x2 && x < pixels.width; x++)
            count += memcmp((const uint8_t *)pixels.data + ((size_t)y * (size_t)pixels.width + (size_t)x) * 3, colour,
                            3) == 0;
    return count;
}

static int count_all(const fm_image *image, const uint8_t colour[3]) {
    const fm_pixels pixels = fm_image_pixels(image);
    return count_colour(image, 0, 0, pixels.width, pixels.height, colour);
}

static fm_image *annotate(const fm_pixels *pixels, const fm_result *result, fm_draw_options options) {
    fm_image *drawn = NULL;
    options.struct_size = sizeof options;
    assert_int_equal(fm_annotate(pixels, result, &options, &drawn, NULL), FM_OK);
    return drawn;
}

static void points_and_labels_are_drawn(const fm_pixels *pixels, const fm_result *result) {
    static const uint8_t point[3] = {0x30, 0xff, 0x30}, paper[3] = {0xff, 0x30, 0x30}, ink[3] = {0xff, 0xff, 0xff};
    static const char *const words[] = {"anna", "berta", "carla"}, *const blanks[] = {"", "", ""};
    fm_image *all = annotate(pixels, result, (fm_draw_options){.no_labels = false});
    fm_image *plain = annotate(pixels, result, (fm_draw_options){.no_landmarks = true, .no_labels = true});
    fm_image *named = annotate(pixels, result, (fm_draw_options){.labels = words});
    fm_image *blank = annotate(pixels, result, (fm_draw_options){.labels = blanks});
    assert_int_equal(fm_result_face_count(result), TEST_SQUARES);
    for (size_t i = 0; i < TEST_SQUARES; i++) {
        const fm_face *face = fm_result_face(result, i);
        for (int k = 0; k < 5; k++) { /* every point inside the picture has its dot */
            const int x = (int)(face->landmarks[k][0] + 0.5f), y = (int)(face->landmarks[k][1] + 0.5f);
            if (x >= 2 && x < 638 && y >= 30 && y < 398)
                assert_true(count_colour(all, x - 1, y - 1, x + 2, y + 2, point) > 0);
        }
    }
    assert_int_equal(count_all(plain, point), 0);
    assert_int_equal(count_all(plain, ink), 0);
    assert_true(count_all(all, ink) > 0 && count_all(named, ink) > 0);
    assert_true(count_all(named, ink) > count_all(blank, ink));     /* letters */
    assert_true(count_all(named, paper) > count_all(blank, paper)); /* on a ground of their own */
    assert_memory_not_equal(fm_image_pixels(named).data, fm_image_pixels(all).data, (size_t)640 * 400 * 3);
    fm_image_free(all);
    fm_image_free(plain);
    fm_image_free(named);
    fm_image_free(blank);
}

static void annotation_draws_on_a_copy(void **state) {
    (void)state;
    struct test_image image = test_image_make(640, 400, 3);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_engine *engine = NULL;
    fm_result *result = NULL;
    fm_image *drawn = NULL;
    const fm_engine_options options = {
        .struct_size = sizeof options, .pack = test_pack("stock"), .providers = "ort:cpu"};
    if (!test_has_runtime())
        skip();
    assert_int_equal(fm_engine_open(&options, &engine, NULL), FM_OK);
    assert_int_equal(fm_analyze(engine, &input, NULL, &result, NULL), FM_OK);
    uint8_t *before = malloc((size_t)640 * 400 * 3);
    memcpy(before, image.rgb, (size_t)640 * 400 * 3);
    assert_int_equal(fm_annotate(&pixels, result, NULL, &drawn, NULL), FM_OK);
    assert_memory_equal(before, image.rgb, (size_t)640 * 400 * 3);
    const uint8_t *after = fm_image_pixels(drawn).data;
    const fm_face *face = fm_result_face(result, 0);
    const int y = (int)(face->box[1] + face->box[3]) / 2, x = (int)(face->box[0] + 0.5f);
    assert_int_equal(after[((size_t)y * 640 + (size_t)x) * 3], 0xff); /* the box's left edge is red */
    assert_int_equal(after[((size_t)y * 640 + (size_t)x) * 3 + 1], 0x30);
    fm_image_free(drawn);
    points_and_labels_are_drawn(&pixels, result);
    fm_result_free(result);
    fm_engine_close(engine);
    free(before);
    test_image_free(&image);
}

/* The same picture in other forms gives the same crop, byte for byte. */
static void crops_do_not_depend_on_the_form_of_the_pixels(void **state) {
    enum { WIDTH = 150, HEIGHT = 140, STRIDE = WIDTH * 3 + 13, SIDE = 112, BYTES = SIDE * SIDE * 3 };
    static uint8_t rgb[WIDTH * HEIGHT * 3], bgr[WIDTH * HEIGHT * 3], strided[STRIDE * HEIGHT];
    static float planes[WIDTH * HEIGHT * 3];
    static uint8_t want[BYTES], have[BYTES];
    const float landmarks[5][2] = {{51, 55}, {98, 60}, {74, 80}, {52, 102}, {93, 106}};
    (void)state;
    for (size_t i = 0; i < sizeof rgb; i++) {
        const size_t pixel = i / 3, channel = i % 3, row = pixel / WIDTH, column = pixel % WIDTH;
        rgb[i] = (uint8_t)(pixel * (7 + channel) / 5 + channel * 61);
        bgr[pixel * 3 + 2 - channel] = rgb[i];
        strided[row * STRIDE + column * 3 + channel] = rgb[i];
        planes[channel * WIDTH * HEIGHT + pixel] = ((float)rgb[i] + 0.25f) / 255.0f; /* truncated to the same byte */
    }
    const fm_pixels forms[] = {
        {.data = rgb},
        {.data = bgr, .order = FM_ORDER_BGR},
        {.data = strided, .stride = STRIDE},
        {.data = planes, .format = FM_FORMAT_F32, .layout = FM_LAYOUT_CHW},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        fm_pixels pixels = forms[i];
        pixels.struct_size = sizeof pixels;
        pixels.width = WIDTH;
        pixels.height = HEIGHT;
        memset(have, 0xaa, sizeof have);
        assert_int_equal(fm_crop_aligned(&pixels, landmarks, SIDE, i == 0 ? want : have, NULL), FM_OK);
        if (i > 0)
            assert_memory_equal(have, want, sizeof want);
    }
    memset(have, want[0], sizeof have);
    assert_memory_not_equal(have, want, sizeof want); /* not one colour */
}

static void refusals_have_words(void **state) {
    (void)state;
    fm_image *image = NULL;
    fm_error error = {0};
    uint8_t crop[112 * 112 * 3];
    const fm_pixels cuda = {
        .struct_size = sizeof cuda, .memory = FM_MEMORY_CUDA, .data = crop, .width = 8, .height = 8};
    fm_input input = fm_input_pixels(&cuda);
    assert_int_equal(fm_image_decode(&input, NULL, &image, &error), FM_UNSUPPORTED);
    assert_true(strlen(error.message) > 10);
    const fm_pixels host = {.struct_size = sizeof host, .data = crop, .width = 112, .height = 112};
    const float same_point[5][2] = {{5, 5}, {5, 5}, {5, 5}, {5, 5}, {5, 5}};
    error = (fm_error){0};
    assert_int_equal(fm_crop_aligned(&host, same_point, 112, crop, &error), FM_INVALID_ARGUMENT);
    assert_true(strlen(error.message) > 10);
    const float zero[4] = {0}, one[4] = {1, 0, 0, 0}, two[4] = {-2, 0, 0, 0};
    assert_true(fm_similarity(zero, one, 4) == 0.0f);
    assert_true(fm_similarity(one, two, 4) == -1.0f);
    assert_string_equal(fm_status_name(FM_BAD_IMAGE), "bad_image");
    assert_string_equal(fm_stage_name(7), "embed");
    assert_null(fm_stage_name(8));
    assert_string_equal(fm_version(), "0.1.0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_pictures_come_back),
        cmocka_unit_test(encoded_pictures_are_the_written_ones),
        cmocka_unit_test(limits_hold_before_decoding),
        cmocka_unit_test(annotation_draws_on_a_copy),
        cmocka_unit_test(crops_do_not_depend_on_the_form_of_the_pixels),
        cmocka_unit_test(refusals_have_words),
    };
    if (!fm_temporary_folder(folder, sizeof folder))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fm_folder_remove(folder);
    test_packs_remove();
    return failed;
}
