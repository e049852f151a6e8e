/* Decoding: every variant of every format against its generated twin, orientation, limits, truncation and words. */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 70, HEIGHT = 45 };

static void read_ok(struct image *image, const struct buffer *file) {
    fm_error error = {0};
    if (fm_image_read(image, file->bytes, file->size, "sample", NULL, &error))
        fail_msg("%s", error.message);
}

/* Decode `file` and compare with `picture` turned by `orientation`. */
static void expect(const struct picture *picture, int orientation, const struct buffer *file, const char *format,
                   double mean, int worst) {
    struct image image = {0};
    struct picture twin = picture_turned(picture, orientation);
    read_ok(&image, file);
    struct difference off = picture_compare(&twin, &image);
    if (off.worst < 0 || off.mean > mean || off.worst > worst)
        fail_msg("%s, orientation %d: %d x %d, mean %.3f worst %d", format, orientation, image.width, image.height,
                 off.mean, off.worst);
    assert_string_equal(image.format, format);
    assert_int_equal(image.rgb.size, (size_t)image.width * (size_t)image.height * 3);
    picture_reset(&twin);
    fm_image_reset(&image);
}

#ifdef FM_WITH_JPEG
/* Quality 100 without subsampling: one rounding in the transform, one in the colours; two more where black is split
 * off. */
static void test_jpeg_variants(void **state) {
    (void)state;
    for (int variant = 0; variant < 48; variant++) {
        struct jpeg_kind kind = {.colour = (enum jpeg_colour)(variant % 4),
                                 .progressive = variant / 4 % 2,
                                 .arithmetic = variant / 8 % 2,
                                 .sampling = variant / 16 % 3 ? variant / 16 % 3 + 1 : 0};
        struct picture picture = picture_draw(WIDTH, HEIGHT);
        struct buffer file = {0};
        bool inks = kind.colour == JPEG_CMYK || kind.colour == JPEG_YCCK;
        if (kind.colour == JPEG_CMYK && kind.sampling)
            kind.sampling = 0; /* cyan alone would be sharp */
        sample_jpeg(&picture, kind, &file);
        if (kind.colour == JPEG_GREY)
            for (int i = 0; i < WIDTH * HEIGHT; i++)
                picture.rgb[3 * i] = picture.rgb[3 * i + 2] = picture.rgb[3 * i + 1];
        expect(&picture, 1, &file, "jpeg", kind.sampling ? 4.0 : inks ? 1.5 : 1.0, kind.sampling ? 160 : inks ? 6 : 4);
        picture_reset(&picture);
        fm_buffer_reset(&file);
    }
}

/* The same coefficients, turned: equal to the last bit. */
static void test_jpeg_orientation(void **state) {
    (void)state;
    struct picture picture = picture_draw(WIDTH, HEIGHT);
    for (int i = 0; i < 32; i++) {
        struct jpeg_kind kind = {.colour = (enum jpeg_colour)(i / 8), .sampling = i / 8 == JPEG_RGB ? 2 : 0};
        struct buffer plain = {0}, tagged = {0};
        struct image image = {0};
        sample_jpeg(&picture, kind, &plain);
        kind.orientation = 1 + i % 8;
        sample_jpeg(&picture, kind, &tagged);
        read_ok(&image, &plain);
        struct picture stored = {image.width, image.height, image.rgb.bytes};
        expect(&stored, kind.orientation, &tagged, "jpeg", 0, 0);
        fm_image_reset(&image);
        fm_buffer_reset(&plain);
        fm_buffer_reset(&tagged);
    }
    picture_reset(&picture);
}
#endif

#ifdef FM_WITH_PNG
static void test_png_variants(void **state) {
    (void)state;
    static const int kinds[][2] = {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {2, 8}, {2, 16}, {3, 1},
                                   {3, 2}, {3, 4}, {3, 8}, {4, 8}, {4, 16}, {6, 8}, {6, 16}};
    struct picture picture = picture_draw(WIDTH, HEIGHT);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int flags = 0; flags < 8; flags++) {
            struct png_kind kind = {.colour_type = kinds[i][0],
                                    .depth = kinds[i][1],
                                    .interlaced = flags & 1,
                                    .transparency = flags & 2 && kinds[i][0] < 4,
                                    .gamma = flags & 4};
            struct buffer file = {0};
            struct picture twin;
            sample_png(&picture, kind, &file, &twin);
            expect(&twin, 1, &file, "png", 0, 0);
            picture_reset(&twin);
            fm_buffer_reset(&file);
        }
    picture_reset(&picture);
}

static void test_png_orientation(void **state) {
    (void)state;
    struct picture picture = picture_draw(WIDTH, HEIGHT);
    for (int i = 0; i < 16; i++) {
        struct png_kind kind = {.colour_type = 2, .depth = 8, .orientation = 1 + i % 8, .exif_last = i >= 8};
        struct buffer file = {0};
        struct picture twin;
        sample_png(&picture, kind, &file, &twin);
        expect(&twin, kind.orientation, &file, "png", 0, 0);
        picture_reset(&twin);
        fm_buffer_reset(&file);
    }
    picture_reset(&picture);
}
#endif

#ifdef FM_WITH_WEBP
/* Lossy WebP halves its chroma and its range: edges are off by much, the mean by little. */
static void test_webp_variants(void **state) {
    (void)state;
    struct picture picture = picture_draw(WIDTH, HEIGHT);
    for (int i = 0; i < 8 * 9; i++) {
        struct webp_kind kind = {.lossy = i & 1, .alpha = i & 2, .animated = i & 4, .orientation = i / 8};
        struct buffer file = {0};
        sample_webp(&picture, kind, &file);
        expect(&picture, kind.orientation, &file, "webp", kind.lossy ? 4.0 : 0, kind.lossy ? 160 : 0);
        fm_buffer_reset(&file);
    }
    picture_reset(&picture);
}

static void test_webp_first_frame_smaller_than_canvas(void **state) {
    (void)state;
    struct picture picture = picture_draw(WIDTH, HEIGHT);
    struct buffer file = {0};
    struct image image = {0};
    sample_webp(&picture, (struct webp_kind){.animated = true, .offset = true}, &file);
    read_ok(&image, &file);
    assert_int_equal(image.width, WIDTH + 9);
    assert_int_equal(image.height, HEIGHT + 7);
    size_t stride = (size_t)image.width * 3;
    for (size_t y = 0; y < HEIGHT; y++)
        assert_memory_equal(image.rgb.bytes + (y + 6) * stride + 4 * 3, picture.rgb + y * WIDTH * 3, WIDTH * 3);
    assert_int_equal(image.rgb.bytes[0] + image.rgb.bytes[image.rgb.size - 1], 0);
    fm_image_reset(&image);
    fm_buffer_reset(&file);
    picture_reset(&picture);
}
#endif

#ifdef FM_WITH_HEIF
/* Lossy, chroma halved. A wrong turn or swapped channels are off by 25 and more on average. */
static void expect_heif(struct heif_kind kind) {
    struct picture picture = picture_draw(WIDTH + WIDTH % 2, HEIGHT + HEIGHT % 2);
    struct buffer file = {0};
    sample_heif(&picture, kind, &file);
    expect(&picture, kind.orientation, &file, "heif", 4.0, 255);
    fm_buffer_reset(&file);
    picture_reset(&picture);
}

static void test_heic_orientation(void **state) {
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++)
        expect_heif((struct heif_kind){.orientation = orientation});
}

static void test_heic_exif_is_not_applied_again(void **state) {
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++)
        expect_heif((struct heif_kind){.orientation = orientation, .exif_orientation = 1 + orientation % 8});
}

static void test_avif_and_ten_bits(void **state) {
    (void)state;
    static const int rotations[] = {1, 3, 6, 8}; /* older libheif cannot mirror ten bits and says so */
    for (int i = 0; i < 16; i++)
        expect_heif((struct heif_kind){.av1 = i & 1, .ten_bit = i & 2, .orientation = rotations[i / 4]});
}
#endif

/* ---- what is refused */

static fm_status read_status(const void *bytes, size_t size, const fm_limits *limits, fm_error *error) {
    struct image image = {0};
    *error = (fm_error){0};
    fm_status status = fm_image_read(&image, bytes, size, "photo", limits, error);
    assert_int_equal(error->status, status);
    assert_true(status == FM_OK || (image.width == 0 && image.height == 0));
    fm_image_reset(&image);
    return status;
}

static void test_unknown_and_empty(void **state) {
    (void)state;
    fm_error error;
    assert_int_equal(read_status("", 0, NULL, &error), FM_BAD_IMAGE);
    assert_non_null(strstr(error.message, "'photo' is empty"));
    assert_int_equal(read_status(NULL, 7, NULL, &error), FM_BAD_IMAGE);
    assert_int_equal(read_status("<html><body>", 12, NULL, &error), FM_BAD_IMAGE);
    assert_non_null(strstr(error.message, "not an image: first bytes 3c 68 74 6d"));
    assert_non_null(strstr(error.message, "known formats are JPEG, PNG, WebP, HEIC and AVIF"));
}

static void test_recognised_but_never_decoded(void **state) {
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t size;
    } files[] = {{"gif", "GIF89a\1\0\1\0\0\0\0", 13},
                 {"bmp", "BM\x46\0\0\0\0\0\0\0\x36\0\0\0", 14},
                 {"tiff", "MM\0*\0\0\0\x08", 8},
                 {"jpeg-xl", "\xff\x0a\0\0\0\0", 6},
                 {"jpeg-2000", "\0\0\0\x0cjP  \r\n\x87\n", 12}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        fm_error error;
        assert_int_equal(read_status(files[i].bytes, files[i].size, NULL, &error), FM_UNSUPPORTED);
        assert_non_null(strstr(error.message, files[i].name));
        assert_non_null(strstr(error.message, "convert it to PNG or JPEG"));
    }
}

/* Sizes that lie just inside and just outside each limit. */
static void test_limits(void **state) {
    (void)state;
    struct sample sample;
    for (size_t i = 0; sample_make(i, &sample), sample.name; i++) {
        struct image image = {0};
        fm_error error;
        read_ok(&image, &sample.file);
        int w = image.orientation >= 5 ? image.height : image.width,
            h = image.orientation >= 5 ? image.width : image.height;
        uint64_t pixels = (uint64_t)w * (uint64_t)h;
        const fm_limits inside = {sizeof inside, sample.file.size, pixels, w, h, false};
        fm_limits outside[4] = {inside, inside, inside, inside};
        outside[0].max_file_bytes--;
        outside[1].max_pixels--;
        outside[2].max_width--;
        outside[3].max_height--;
        assert_int_equal(read_status(sample.file.bytes, sample.file.size, &inside, &error), FM_OK);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(read_status(sample.file.bytes, sample.file.size, &outside[k], &error), FM_LIMIT);
            assert_non_null(strstr(error.message, "'photo'"));
            assert_non_null(strstr(error.message, "fm_limits.max_"));
        }
        fm_image_reset(&image);
        fm_buffer_reset(&sample.file);
    }
}

static void test_limits_resolve(void **state) {
    (void)state;
    fm_limits resolved = fm_limits_resolve(NULL),
              small = {.struct_size = sizeof(size_t) + 8, .max_file_bytes = 5, .max_width = 7};
    assert_int_equal(resolved.max_file_bytes, 256u << 20);
    assert_int_equal(resolved.max_pixels, 150000000);
    assert_int_equal(resolved.max_width, 30000);
    assert_int_equal(resolved.max_height, 30000);
    assert_false(resolved.accept_truncated);
    resolved = fm_limits_resolve(&small); /* an older caller's struct ends before max_width */
    assert_int_equal(resolved.max_file_bytes, 5);
    assert_int_equal(resolved.max_width, 30000);
}

/* ---- files that end early */

static void test_truncated_by_default(void **state) {
    (void)state;
    struct sample sample;
    for (size_t i = 0; sample_make(i, &sample), sample.name; i++) {
        /* PNG's last four bytes are the checksum of an empty chunk: nothing is missing without them */
        size_t whole = strcmp(sample.name, "png") ? sample.file.size : sample.file.size - 4;
        for (size_t size = 24; size < whole; size += 1 + whole / 40) {
            fm_error error;
            uint8_t *part = malloc(size); /* exactly as long, for the address sanitizer */
            assert_non_null(part);
            memcpy(part, sample.file.bytes, size);
            if (read_status(part, size, NULL, &error) != FM_TRUNCATED)
                fail_msg("sample %zu (%s) cut to %zu of %zu: %s", i, sample.name, size, sample.file.size,
                         error.message);
            assert_non_null(strstr(error.message, "accept_truncated"));
            free(part);
        }
        fm_buffer_reset(&sample.file);
    }
}

/* The upper part of a file cut in its last quarter is there, the rest is black or grey; HEIF may refuse. */
static void test_truncated_accepted(void **state) {
    (void)state;
    const fm_limits accept = {.struct_size = sizeof accept, .accept_truncated = true};
    struct picture picture = picture_draw(640, 480);
    struct buffer files[4] = {{0}};
    struct picture twin = {0};
#ifdef FM_WITH_JPEG
    sample_jpeg(&picture, (struct jpeg_kind){.sampling = 2}, &files[0]);
#endif
#ifdef FM_WITH_PNG
    sample_png(&picture, (struct png_kind){.colour_type = 2, .depth = 8}, &files[1], &twin);
#endif
#ifdef FM_WITH_WEBP
    sample_webp(&picture, (struct webp_kind){.lossy = true}, &files[2]);
    sample_webp(&picture, (struct webp_kind){.orientation = 1}, &files[3]);
#endif
    for (int i = 0; i < 4; i++) {
        struct image image = {0};
        fm_error error = {0};
        if (!files[i].size)
            continue;
        if (fm_image_read(&image, files[i].bytes, files[i].size * 7 / 8, "part", &accept, &error))
            fail_msg("file %d: %s", i, error.message);
        struct picture upper = {640, 240, picture.rgb};
        assert_int_equal(image.height, 480);
        image.height = 240;
        struct difference off = picture_compare(&upper, &image);
        if (off.mean > 4)
            fail_msg("file %d: upper half is off by %.2f", i, off.mean);
        fm_image_reset(&image);
        fm_buffer_reset(&files[i]);
    }
    picture_reset(&twin);
    picture_reset(&picture);
}

#ifdef FM_WITH_JPEG
static void find_and_replace(struct buffer *file, const char *old, const char *new, size_t size) {
    for (size_t i = 0; i + size <= file->size; i++)
        if (!memcmp(file->bytes + i, old, size)) {
            memcpy(file->bytes + i, new, size);
            return;
        }
    fail_msg("bytes not found");
}

static size_t find_marker(const struct buffer *file, size_t from, const char marker[2]) {
    while (from + 2 < file->size && memcmp(file->bytes + from, marker, 2))
        from++;
    return from;
}

/* A header that promises 30000 x 5000 pixels over a few hundred bytes is refused before memory is taken for them. */
static void test_jpeg_bomb_is_refused_early(void **state) {
    (void)state;
    struct picture picture = picture_draw(64, 48);
    struct buffer file = {0};
    struct image image = {0};
    fm_error error = {0};
    sample_jpeg(&picture, (struct jpeg_kind){.progressive = true}, &file);
    find_and_replace(&file, "\0\x11\x08\0\x30\0\x40", "\0\x11\x08\x13\x88\x75\x30", 7);
    assert_int_equal(fm_image_read(&image, file.bytes, file.size, "bomb", NULL, &error), FM_TRUNCATED);
    assert_non_null(strstr(error.message, "fewer bits than its picture has blocks"));
    fm_image_reset(&image);
    fm_buffer_reset(&file);
    picture_reset(&picture);
}

/* The first scan of a progressive file repeated 600 times. */
static void test_jpeg_scan_bomb(void **state) {
    (void)state;
    struct picture picture = picture_draw(64, 48);
    struct buffer file = {0}, bomb = {0};
    fm_error error;
    sample_jpeg(&picture, (struct jpeg_kind){.progressive = true}, &file);
    size_t scan = find_marker(&file, 0, "\xff\xda"), end = find_marker(&file, scan + 2, "\xff\xc4");
    sample_append(&bomb, file.bytes, end);
    for (int i = 0; i < 600; i++)
        sample_append(&bomb, file.bytes + scan, end - scan);
    sample_append(&bomb, "\xff\xd9", 2);
    assert_int_equal(read_status(bomb.bytes, bomb.size, NULL, &error), FM_LIMIT);
    assert_non_null(strstr(error.message, "scans"));
    fm_buffer_reset(&bomb);
    fm_buffer_reset(&file);
    picture_reset(&picture);
}
#endif

/* ---- memory and threads */

/* The second picture fits the first one's memory, whatever was in it before. */
static void test_buffers_are_reused(void **state) {
    (void)state;
    struct image image = {0};
    struct sample sample;
    for (size_t i = 0; sample_make(i, &sample), sample.name; i++) {
        fm_error error = {0};
        uint8_t *rgb = image.rgb.bytes, *scratch = image.scratch.bytes;
        read_ok(&image, &sample.file);
        for (int again = 0; again < 4; again++) {
            if (again >= 2) /* two turns bring each buffer to each place once */
                assert_true((image.rgb.bytes == rgb && image.scratch.bytes == scratch) ||
                            (image.rgb.bytes == scratch && image.scratch.bytes == rgb));
            rgb = image.rgb.bytes;
            scratch = image.scratch.bytes;
            assert_int_equal(fm_image_read(&image, sample.file.bytes, sample.file.size, "again", NULL, &error), FM_OK);
        }
        fm_buffer_reset(&sample.file);
    }
    fm_image_reset(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef FM_WITH_JPEG
        cmocka_unit_test(test_jpeg_variants),
        cmocka_unit_test(test_jpeg_orientation),
        cmocka_unit_test(test_jpeg_bomb_is_refused_early),
        cmocka_unit_test(test_jpeg_scan_bomb),
#endif
#ifdef FM_WITH_PNG
        cmocka_unit_test(test_png_variants),
        cmocka_unit_test(test_png_orientation),
#endif
#ifdef FM_WITH_WEBP
        cmocka_unit_test(test_webp_variants),
        cmocka_unit_test(test_webp_first_frame_smaller_than_canvas),
#endif
#ifdef FM_WITH_HEIF
        cmocka_unit_test(test_heic_orientation),
        cmocka_unit_test(test_heic_exif_is_not_applied_again),
        cmocka_unit_test(test_avif_and_ten_bits),
#endif
        cmocka_unit_test(test_unknown_and_empty),
        cmocka_unit_test(test_recognised_but_never_decoded),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_resolve),
        cmocka_unit_test(test_truncated_by_default),
        cmocka_unit_test(test_truncated_accepted),
        cmocka_unit_test(test_buffers_are_reused),
    };
    return cmocka_run_group_tests_name("image decode", tests, NULL, NULL);
}
