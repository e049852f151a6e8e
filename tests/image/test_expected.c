/* The shared answers: pixels of real pictures as OpenCV decodes them, to the last bit where both sides use the same
   formula (JPEG, PNG, WebP), by the mean of 4x4 cells where the video decoders differ (HEIC, AVIF). */
#include "image/image.h"

#include "base/os.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum { CELLS = 4 };

static void crc32_table(uint32_t table[256]) {
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
}

static uint32_t crc32_bgr(const struct image *image) {
    uint32_t table[256], crc = 0xffffffffu;
    crc32_table(table);
    for (size_t i = 0; i < image->rgb.size; i += 3)
        for (int c = 2; c >= 0; c--)
            crc = table[(crc ^ image->rgb.bytes[i + (size_t)c]) & 255] ^ crc >> 8;
    return ~crc;
}

/* Mean B, G, R of one cell. */
static void cell_mean(const struct image *image, int row, int column, double bgr[3]) {
    int top = image->height * row / CELLS, bottom = image->height * (row + 1) / CELLS;
    int left = image->width * column / CELLS, right = image->width * (column + 1) / CELLS;
    bgr[0] = bgr[1] = bgr[2] = 0;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            for (int c = 0; c < 3; c++)
                bgr[c] += image->rgb.bytes[((size_t)y * (size_t)image->width + (size_t)x) * 3 + 2 - (size_t)c];
    for (int c = 0; c < 3; c++)
        bgr[c] /= (double)(bottom - top) * (right - left);
}

static double grid_difference(const struct image *image, const json_t *grid) {
    double worst = 0;
    for (int cell = 0; cell < CELLS * CELLS; cell++) {
        double bgr[3];
        cell_mean(image, cell / CELLS, cell % CELLS, bgr);
        for (int c = 0; c < 3; c++)
            worst = fmax(worst, fabs(bgr[c] - json_number_value(json_array_get(grid, (size_t)(cell * 3 + c)))));
    }
    return worst;
}

static void shared_path(char *path, size_t size, const char *name) {
    const char *folder = fm_environment("FM_SHARED");
    assert_true(fm_path_join(path, size, folder ? folder : FM_DEFAULT_SHARED, name));
}

static void check_picture(struct image *image, const char *folder, const json_t *answer, double *worst_grid) {
    const char *name = json_string_value(json_object_get(answer, "image"));
    struct buffer file = {0};
    fm_error error = {0};
    char path[4096], crc[9];
    assert_true(fm_path_join(path, sizeof path, folder, name));
    if (fm_file_read(path, UINT64_C(1) << 30, &file, &error) ||
        fm_image_read(image, file.bytes, file.size, name, NULL, &error))
        fail_msg("%s", error.message);
    assert_int_equal(image->width, json_integer_value(json_object_get(answer, "width")));
    assert_int_equal(image->height, json_integer_value(json_object_get(answer, "height")));
    bool video = !strcmp(image->format, "heif");
    double grid = grid_difference(image, json_object_get(answer, "grid_mean_bgr"));
    *worst_grid = fmax(*worst_grid, grid);
    if (grid > (video ? 3 : 1))
        fail_msg("%s: cells differ by %.2f levels", name, grid);
    snprintf(crc, sizeof crc, "%08x", crc32_bgr(image));
    if (!video)
        assert_string_equal(crc, json_string_value(json_object_get(answer, "pixels_crc32")));
    fm_buffer_reset(&file);
}

static void check_pictures(const char *answers_path, const char *folder, size_t least) {
    json_error_t why;
    json_t *answers = json_load_file(answers_path, 0, &why), *answer;
    assert_non_null(answers);
    json_t *images = json_object_get(answers, "images");
    struct image image = {0};
    double worst_grid = 0;
    size_t i;
    json_array_foreach(images, i, answer) check_picture(&image, folder, answer, &worst_grid);
    print_message("%zu pictures, cells differ by at most %.3f levels\n", json_array_size(images), worst_grid);
    assert_true(json_array_size(images) >= least);
    fm_image_reset(&image);
    json_decref(answers);
}

/* OpenCV's pixels: of what the project draws, and where they are, of photographs in every format. */
static void test_pictures(void **state) {
    (void)state;
    char path[4096];
    bool built = true;
    for (size_t i = 0; i < 2; i++)
        if (!fm_decoder_row(i)->built || fm_path_kind(TEST_DRAWN "/turned.jpg") != OS_PATH_FILE) {
            print_message("skipped: this build has no %s, or no picture was drawn in %s\n", fm_decoder_row(i)->name,
                          TEST_DRAWN);
            skip();
        }
    check_pictures(MINI_EXPECTED, TEST_DRAWN, 9);
    for (size_t i = 2; i < 4; i++)
        built = built && fm_decoder_row(i)->built;
    shared_path(path, sizeof path, "expected/insightface.json");
    if (!built || fm_path_kind(path) != OS_PATH_FILE) {
        print_message("without %s, or a decoder for its formats: drawn pictures alone\n", path);
        return;
    }
    const char *folder = fm_environment("FM_SHARED");
    check_pictures(path, folder ? folder : FM_DEFAULT_SHARED, 35);
}

/* A tiled HEIC whose grid claims 29000 x 29000 pixels behind an announced 4032 x 3024: 2.5 GB if it were believed. */
static void test_heif_grid_larger_than_announced(void **state) {
    (void)state;
    static const uint8_t grid[] = {0x0f, 0xc0, 0x0b, 0xd0}, lie[] = {0x71, 0x48, 0x71, 0x48};
    struct buffer file = {0};
    struct image image = {0};
    fm_error error = {0};
    char path[4096];
    shared_path(path, sizeof path, "images/formats/IMG_2682.heic");
    if (!fm_decoder_row(3)->built || fm_file_read(path, UINT64_C(1) << 30, &file, &error)) {
        print_message("skipped: no HEIC decoder or no %s\n", path);
        skip();
    }
    size_t at = 0;
    while (at + 8 < file.size && memcmp(file.bytes + at, "idat", 4))
        at++;
    assert_true(at + 12 < file.size && !memcmp(file.bytes + at + 8, grid, sizeof grid));
    memcpy(file.bytes + at + 8, lie, sizeof lie);
    assert_int_equal(fm_image_read(&image, file.bytes, file.size, "grid", NULL, &error), FM_LIMIT);
    assert_null(strchr(error.message, '\n'));
    fm_image_reset(&image);
    fm_buffer_reset(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures),
                                       cmocka_unit_test(test_heif_grid_larger_than_announced)};
    return cmocka_run_group_tests_name("image expected", tests, NULL, NULL);
}
