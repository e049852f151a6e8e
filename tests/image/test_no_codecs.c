/* A build without codecs: decode.c is compiled into this program with every FM_WITH_ option off. The rows are still
   there, and say what to do. */
#include "image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_rows_name_their_option(void **state) {
    (void)state;
    static const struct {
        const char *name, *bytes, *option;
    } files[] = {{"jpeg", "\xff\xd8\xff\xe0\0\x10JFIF\0\1", "FM_WITH_JPEG"},
                 {"png", "\x89PNG\r\n\x1a\n\0\0\0\xd", "FM_WITH_PNG"},
                 {"webp", "RIFF\x10\0\0\0WEBP", "FM_WITH_WEBP"},
                 {"heif",
                  "\0\0\0\x18"
                  "ftypheic",
                  "FM_WITH_HEIF"},
                 {"heif",
                  "\0\0\0\x18"
                  "ftypavif",
                  "FM_WITH_HEIF"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct image image = {0};
        fm_error error = {0};
        assert_int_equal(fm_image_read(&image, (const uint8_t *)files[i].bytes, 12, "photo", NULL, &error),
                         FM_UNSUPPORTED);
        assert_non_null(strstr(error.message, files[i].option));
        assert_string_equal(files[i].name, image.format[0] ? image.format : files[i].name);
        fm_image_reset(&image);
    }
    for (size_t i = 0; fm_decoder_row(i); i++)
        assert_false(fm_decoder_row(i)->built);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_name_their_option)};
    return cmocka_run_group_tests_name("image without codecs", tests, NULL, NULL);
}
