/* text.h, the JSON writer: structure, escapes, broken UTF-8, and numbers that read back with no digit to spare. */
#include "base/text.h"

#include "unit.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_structure(void **state) {
    (void)state;
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "path", "a b.jpg");
    fm_json_array_open(&json, "faces");
    for (int i = 0; i < 2; i++) {
        fm_json_object_open(&json, NULL);
        fm_json_array_open(&json, "box");
        fm_json_float(&json, NULL, 1.5f);
        fm_json_float(&json, NULL, -2.0f);
        fm_json_array_close(&json);
        fm_json_bool(&json, "kept", i == 0);
        fm_json_object_close(&json);
    }
    fm_json_array_close(&json);
    fm_json_array_open(&json, "none");
    fm_json_array_close(&json);
    fm_json_string(&json, "error", NULL);
    fm_json_integer(&json, "low", INT64_MIN);
    fm_json_integer(&json, "high", INT64_MAX);
    fm_json_object_close(&json);
    assert_string_equal(fm_text_chars(&text),
                        "{\"path\":\"a b.jpg\",\"faces\":[{\"box\":[1.5,-2],\"kept\":true},{\"box\":[1.5,-2],"
                        "\"kept\":false}],\"none\":[],\"error\":null,\"low\":-9223372036854775808,"
                        "\"high\":9223372036854775807}");
    fm_text_reset(&text);
}

static void assert_quoted(const char *value, const char *expected) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_string(&json, NULL, value);
    assert_string_equal(fm_text_chars(&text), expected);
    fm_text_clear(&text);
    json.comma = false;
    fm_json_string(&json, value, "v"); /* keys go the same way */
    assert_memory_equal(fm_text_chars(&text), expected, strlen(expected));
    fm_text_reset(&text);
}

#define BAD "\xEF\xBF\xBD"

static void test_strings(void **state) {
    (void)state;
    assert_quoted("", "\"\"");
    assert_quoted("\"\\/", "\"\\\"\\\\/\"");
    assert_quoted("a\nb\tc\rd\be\ff", "\"a\\nb\\tc\\rd\\be\\ff\"");
    assert_quoted("\x01\x1F\x7F", "\"\\u0001\\u001f\x7F\"");
    assert_quoted("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "\"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"");
    assert_quoted("\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80", "\"\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80\"");
}

/* One U+FFFD for each maximal part of a sequence, as the Unicode standard (3.9) recommends and Python decodes. */
static void test_broken_utf8(void **state) {
    (void)state;
    assert_quoted("\xFF", "\"" BAD "\"");
    assert_quoted("a\x80z", "\"a" BAD "z\"");
    assert_quoted("\xC3", "\"" BAD "\"");
    assert_quoted("\xC3(", "\"" BAD "(\"");
    assert_quoted("\xC0\xAF", "\"" BAD BAD "\"");                 /* overlong */
    assert_quoted("\xE0\x80\x80", "\"" BAD BAD BAD "\"");         /* overlong */
    assert_quoted("\xED\xA0\x80", "\"" BAD BAD BAD "\"");         /* surrogate */
    assert_quoted("\xF4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""); /* past U+10FFFF */
    assert_quoted("\xE2\x82", "\"" BAD "\"");
    assert_quoted("\xF0\x9F\x98\"", "\"" BAD "\\\"\"");
    assert_quoted("\xF0\x9F\x98\n", "\"" BAD "\\n\"");
}

static const char *float_text(struct text *text, float value) {
    struct json json = {.text = text};
    fm_text_clear(text);
    fm_json_float(&json, NULL, value);
    return fm_text_chars(text);
}

static const char *double_text(struct text *text, double value) {
    struct json json = {.text = text};
    fm_text_clear(text);
    fm_json_number(&json, NULL, value);
    return fm_text_chars(text);
}

/* Significant digits of a decimal: without sign, leading and trailing zeros, point and exponent. */
static int significant(const char *number) {
    int digits = 0, zeros = 0;
    for (; *number != '\0' && *number != 'e'; number++) {
        if (*number < '0' || *number > '9' || (digits == 0 && *number == '0')) {
            continue;
        }
        zeros = *number == '0' ? zeros + 1 : 0;
        digits++;
    }
    return digits - zeros;
}

static void assert_json_number(const char *number) {
    const char *next = number + (*number == '-');
    assert_true(*next >= '0' && *next <= '9');
    assert_false(next[0] == '0' && next[1] >= '0' && next[1] <= '9');
    next += strspn(next, "0123456789");
    if (*next == '.') {
        size_t decimals = strspn(next + 1, "0123456789");
        assert_true(decimals > 0);
        next += 1 + decimals;
    }
    if (*next == 'e') {
        next += 1 + (next[1] == '-' || next[1] == '+');
        assert_true(*next >= '0' && *next <= '9');
        next += strspn(next, "0123456789");
    }
    assert_int_equal(*next, '\0');
}

static void assert_shortest_float(struct text *text, float value) {
    const char *written = float_text(text, value);
    char shorter[64];
    float read = strtof(written, NULL);
    assert_json_number(written);
    assert_memory_equal(&read, &value, sizeof read);
    int digits = significant(written);
    snprintf(shorter, sizeof shorter, "%.*e", digits > 1 ? digits - 2 : 0, (double)value);
    if (digits > 1 && memcmp(&(float){strtof(shorter, NULL)}, &value, sizeof value) == 0) {
        fail_msg("%s has a shorter form: %s", written, shorter);
    }
}

static void assert_shortest_double(struct text *text, double value) {
    const char *written = double_text(text, value);
    char shorter[64];
    double read = strtod(written, NULL);
    assert_json_number(written);
    assert_memory_equal(&read, &value, sizeof read);
    int digits = significant(written);
    snprintf(shorter, sizeof shorter, "%.*e", digits > 1 ? digits - 2 : 0, value);
    if (digits > 1 && memcmp(&(double){strtod(shorter, NULL)}, &value, sizeof value) == 0) {
        fail_msg("%s has a shorter form: %s", written, shorter);
    }
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 11 ^ *seed << 29;
}

static void test_numbers_by_hand(void **state) {
    (void)state;
    struct text text = {0};
    assert_string_equal(float_text(&text, 0.0f), "0");
    assert_string_equal(float_text(&text, -0.0f), "-0.0");
    assert_string_equal(float_text(&text, 0.1f), "0.1");
    assert_string_equal(float_text(&text, 640.0f), "640");
    assert_string_equal(float_text(&text, 0.001f), "0.001");
    assert_string_equal(float_text(&text, -1.25f), "-1.25");
    assert_string_equal(float_text(&text, 0.00012345f), "0.00012345");
    assert_string_equal(float_text(&text, 1.5e-7f), "1.5e-7");
    assert_string_equal(float_text(&text, 16777215.0f), "16777215");
    assert_string_equal(float_text(&text, 3.4028235e38f), "3.4028235e38");
    assert_string_equal(float_text(&text, 1e-45f), "1e-45");
    assert_string_equal(float_text(&text, 2e7f), "2e7");
    assert_string_equal(float_text(&text, -ldexpf(1.0f, 90)), "-1.2379401e27"); /* not the nearest: 1.23794004e27 */
    assert_string_equal(float_text(&text, NAN), "null");
    assert_string_equal(float_text(&text, -INFINITY), "null");
    assert_string_equal(double_text(&text, 0.1), "0.1");
    assert_string_equal(double_text(&text, 1.0 / 3.0), "0.3333333333333333");
    assert_string_equal(double_text(&text, (double)0.1f), "0.10000000149011612");
    assert_string_equal(double_text(&text, 1234567.875), "1234567.875");
    assert_string_equal(double_text(&text, 5e-324), "5e-324");
    assert_string_equal(double_text(&text, NAN), "null");
    fm_text_reset(&text);
}

static void test_every_power_of_two(void **state) {
    (void)state;
    struct text text = {0};
    for (int exponent = -149; exponent < 128; exponent++) {
        float power = ldexpf(1.0f, exponent);
        assert_shortest_float(&text, power);
        assert_shortest_float(&text, nextafterf(power, 0));
        assert_shortest_float(&text, -nextafterf(power, INFINITY));
    }
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double power = ldexp(1.0, exponent);
        assert_shortest_double(&text, power);
        assert_shortest_double(&text, nextafter(power, 0));
        assert_shortest_double(&text, -nextafter(power, INFINITY));
    }
    fm_text_reset(&text);
}

static void test_random_numbers(void **state) {
    (void)state;
    struct text text = {0};
    uint64_t seed = 20240607;
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = next_random(&seed);
        float any_float, embedding = (float)((double)(int32_t)bits / 1e9);
        double any_double;
        memcpy(&any_float, &bits, sizeof any_float);
        memcpy(&any_double, &bits, sizeof any_double);
        if (isfinite(any_float)) {
            assert_shortest_float(&text, any_float);
        }
        if (isfinite(any_double) && i % 4 == 0) {
            assert_shortest_double(&text, any_double);
        }
        assert_shortest_float(&text, embedding);
        assert_shortest_double(&text, (double)(int32_t)bits / 1e6);
    }
    fm_text_reset(&text);
}

/* Programs that host the library may run with a decimal comma. */
static void test_decimal_comma_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "ps_AF.UTF-8", "de_DE"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && found == NULL; i++) {
        found = setlocale(LC_NUMERIC, names[i]);
    }
    if (found == NULL) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    struct text text = {0};
    assert_string_equal(float_text(&text, 1.5f), "1.5");
    assert_string_equal(float_text(&text, 3.4028235e38f), "3.4028235e38");
    assert_string_equal(double_text(&text, 1.7976931348623157e308), "1.7976931348623157e308");
    fm_text_reset(&text);
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_broken_utf8),
        cmocka_unit_test(test_numbers_by_hand),
        cmocka_unit_test(test_every_power_of_two),
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_decimal_comma_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
