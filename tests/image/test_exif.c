/* Exif: the Orientation tag in both byte orders and several types, and blocks that lie about everything. */
#include "samples.h"

#include "image/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The parser sees a block of exactly this size, so that the address sanitizer sees any step outside. */
static int orientation_of(const uint8_t *bytes, size_t size) {
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    int orientation = fm_exif_orientation(exact, size);
    free(exact);
    return orientation;
}

static void test_every_value_in_both_byte_orders(void **state) {
    (void)state;
    for (int value = 0; value < 300; value++)
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            uint8_t tiff[6 + SAMPLE_TIFF_SIZE] = "Exif";
            sample_tiff(tiff + 6, value, big_endian);
            int expected = value >= 1 && value <= 8 ? value : 1;
            assert_int_equal(orientation_of(tiff + 6, SAMPLE_TIFF_SIZE), expected);
            assert_int_equal(orientation_of(tiff, sizeof tiff), expected);
        }
}

static void test_types(void **state) {
    (void)state;
    for (int type = 0; type < 14; type++) {
        uint8_t tiff[SAMPLE_TIFF_SIZE];
        sample_tiff(tiff, 6, false);
        tiff[24] = (uint8_t)type;
        assert_int_equal(orientation_of(tiff, sizeof tiff), type == 1 || type == 3 || type == 4 ? 6 : 1);
        tiff[26] = 0; /* no values at all */
        assert_int_equal(orientation_of(tiff, sizeof tiff), 1);
    }
}

/* The tag is read as soon as its entry is whole; before that the picture counts as upright. */
static void test_every_length(void **state) {
    (void)state;
    uint8_t tiff[SAMPLE_TIFF_SIZE];
    sample_tiff(tiff, 6, true);
    for (size_t size = 0; size <= sizeof tiff; size++)
        assert_int_equal(orientation_of(tiff, size), size >= 32 ? 6 : 1);
}

static void test_lies(void **state) {
    (void)state;
    uint8_t tiff[SAMPLE_TIFF_SIZE];
    uint32_t seed = 1;
    for (int round = 0; round < 200000; round++) {
        sample_tiff(tiff, 6, round & 1);
        for (int k = 0; k < 1 + round % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            tiff[(seed >> 8) % sizeof tiff] = (uint8_t)(seed >> 24);
        }
        int orientation = orientation_of(tiff, sizeof tiff - (size_t)round % 3);
        assert_true(orientation >= 1 && orientation <= 8);
    }
    sample_tiff(tiff, 6, false);
    memset(tiff + 4, 0xff, 4); /* directory beyond 4 GiB */
    assert_int_equal(orientation_of(tiff, sizeof tiff), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_in_both_byte_orders),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_lies),
    };
    return cmocka_run_group_tests_name("image exif", tests, NULL, NULL);
}
