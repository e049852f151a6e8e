/* Drawing inside and outside the canvas, the font, and the two encoders through the decoders. */
#include "samples.h"

#include "image/codec.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 40, HEIGHT = 30, STRIDE = WIDTH * 3 + 7, GUARD = 64 };
#define RED 0xff0000u
#define BLUE 0x0000ffu

/* A grey canvas with padded rows between guard bytes. */
struct board {
    uint8_t bytes[GUARD + STRIDE * HEIGHT + GUARD];
    struct canvas canvas;
};

static void board_init(struct board *board) {
    memset(board->bytes, 0x80, sizeof board->bytes);
    board->canvas = (struct canvas){board->bytes + GUARD, WIDTH, HEIGHT, STRIDE};
}

static uint32_t colour_at(const struct board *board, int x, int y) {
    const uint8_t *rgb = board->canvas.rgb + y * STRIDE + 3 * x;
    return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

static int count_colour(const struct board *board, uint32_t colour) {
    int count = 0;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        count += colour_at(board, i % WIDTH, i / WIDTH) == colour;
    return count;
}

static void check_guards(const struct board *board) {
    for (int i = 0; i < GUARD; i++) {
        assert_int_equal(board->bytes[i], 0x80);
        assert_int_equal(board->bytes[sizeof board->bytes - 1 - (size_t)i], 0x80);
    }
    for (int y = 0; y < HEIGHT; y++)
        for (int i = WIDTH * 3; i < STRIDE; i++)
            assert_int_equal(board->canvas.rgb[y * STRIDE + i], 0x80);
}

static void test_box(void **state) {
    (void)state;
    struct board board;
    board_init(&board);
    fm_draw_box(&board.canvas, 20, 15, 5, 5, 2, RED); /* corners in any order */
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            bool in = x >= 5 && x <= 20 && y >= 5 && y <= 15, hollow = x >= 7 && x <= 18 && y >= 7 && y <= 13;
            assert_int_equal(colour_at(&board, x, y), in && !hollow ? RED : 0x808080);
        }
    fm_draw_box(&board.canvas, 0, 0, 3, 3, 9, BLUE); /* thicker than half: filled */
    assert_int_equal(count_colour(&board, BLUE), 16);
    fm_draw_box(&board.canvas, 0, 0, 39, 29, 0, BLUE); /* no thickness: nothing */
    assert_int_equal(count_colour(&board, BLUE), 16);
    check_guards(&board);
}

static void test_dot(void **state) {
    (void)state;
    struct board board;
    board_init(&board);
    fm_draw_dot(&board.canvas, 10, 10, 3, RED);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            assert_int_equal(colour_at(&board, x, y), (x - 10) * (x - 10) + (y - 10) * (y - 10) <= 9 ? RED : 0x808080);
    fm_draw_dot(&board.canvas, 30, 20, 0, BLUE);
    assert_int_equal(count_colour(&board, BLUE), 1);
}

/* Everything may lie anywhere: the canvas takes its part, and nothing beside it changes. */
static void test_clipping(void **state) {
    (void)state;
    static const int far[] = {INT_MIN, -1000, -3, 0, 17, 38, 60, 100000, INT_MAX};
    enum { COUNT = sizeof far / sizeof *far };
    struct board board;
    board_init(&board);
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++) {
            fm_draw_box(&board.canvas, far[i], far[k], far[k], far[i], 1 + i, RED);
            fm_draw_dot(&board.canvas, far[i], far[k], far[(i + k) % COUNT], BLUE);
            fm_draw_text(&board.canvas, far[i], far[k], 1 + (i % 3) * 1000, "text", RED, BLUE);
        }
    check_guards(&board);
    board_init(&board);
    fm_draw_box(&board.canvas, INT_MIN, INT_MIN, INT_MAX, 10, 1, RED);
    assert_int_equal(count_colour(&board, RED), WIDTH); /* the lower edge alone crosses the canvas */
}

static void test_text(void **state) {
    (void)state;
    struct board board;
    board_init(&board);
    fm_draw_text(&board.canvas, 3, 4, 1, "Hi", RED, BLUE);
    assert_int_equal(fm_text_width("Hi", 1), 13);
    assert_int_equal(fm_text_width("Hi", 3), 39);
    assert_int_equal(fm_text_width("", 1), 1);
    assert_int_equal(fm_text_width("Hi", 0), 0);
    int ink = 0;
    for (int i = 0; i < 2; i++)
        for (int y = 0; y < FM_FONT_HEIGHT; y++)
            for (int x = 0; x < FM_FONT_WIDTH; x++) {
                bool set = fm_font_glyph("Hi"[i])[y] >> (FM_FONT_WIDTH - 1 - x) & 1;
                ink += set;
                assert_int_equal(colour_at(&board, 4 + 6 * i + x, 4 + y), set ? RED : BLUE);
            }
    assert_int_equal(count_colour(&board, RED), ink);
    assert_int_equal(count_colour(&board, RED) + count_colour(&board, BLUE), 13 * FM_FONT_HEIGHT);
    check_guards(&board);
}

/* Every printable character has a picture of its own, inside its cell; only the space is empty. */
static void test_font(void **state) {
    (void)state;
    static const uint8_t empty[FM_FONT_HEIGHT];
    assert_memory_equal(fm_font_glyph(' '), empty, FM_FONT_HEIGHT);
    for (int a = '!'; a <= '~'; a++) {
        assert_memory_not_equal(fm_font_glyph((char)a), empty, FM_FONT_HEIGHT);
        assert_memory_not_equal(fm_font_glyph((char)a), fm_font_glyph('\n'), FM_FONT_HEIGHT);
        assert_int_equal(fm_font_glyph((char)a)[0], 0);
        for (int y = 0; y < FM_FONT_HEIGHT; y++)
            assert_int_equal(fm_font_glyph((char)a)[y] >> FM_FONT_WIDTH, 0);
        for (int b = a + 1; b <= '~'; b++)
            assert_memory_not_equal(fm_font_glyph((char)a), fm_font_glyph((char)b), FM_FONT_HEIGHT);
    }
    assert_ptr_equal(fm_font_glyph((char)0xe9), fm_font_glyph('\x7f'));
}

/* Rows with padding, and a buffer that already holds something: the file is appended behind it. */
static void round_trip(bool png, int worst) {
    struct board board;
    struct buffer file = {0};
    struct image image = {0};
    fm_error error = {0};
    board_init(&board);
    fm_draw_box(&board.canvas, 2, 2, 30, 20, 3, 0x20c040);
    sample_append(&file, "before", 6);
    fm_status status =
        png ? fm_encode_png(&board.canvas, &file, &error) : fm_encode_jpeg(&board.canvas, 100, &file, &error);
    const struct decoder *row = fm_decoder_row(png ? 1 : 0);
    assert_string_equal(row->name, png ? "png" : "jpeg");
    if (!row->built) {
        assert_int_equal(status, FM_UNSUPPORTED);
        assert_non_null(strstr(error.message, row->option));
        fm_buffer_reset(&file);
        return;
    }
    assert_int_equal(status, FM_OK);
    assert_memory_equal(file.bytes, "before", 6);
    if (fm_image_read(&image, file.bytes + 6, file.size - 6, "round trip", NULL, &error))
        fail_msg("%s", error.message);
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    double sum = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int i = 0; i < WIDTH * 3; i++)
            sum += abs(image.rgb.bytes[y * WIDTH * 3 + i] - board.canvas.rgb[y * STRIDE + i]);
    assert_true(sum / (WIDTH * HEIGHT * 3) <= worst);
    fm_image_reset(&image);
    fm_buffer_reset(&file);
}

static void test_png_round_trip(void **state) {
    (void)state;
    round_trip(true, 0);
}

/* Halved chroma smears the green frame. */
static void test_jpeg_round_trip(void **state) {
    (void)state;
    round_trip(false, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box),
        cmocka_unit_test(test_dot),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_font),
        cmocka_unit_test(test_png_round_trip),
        cmocka_unit_test(test_jpeg_round_trip),
    };
    return cmocka_run_group_tests_name("image draw", tests, NULL, NULL);
}
