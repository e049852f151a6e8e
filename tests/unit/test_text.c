/* text.h: growing text and base64 (RFC 4648's examples). */
#include "base/text.h"

#include "unit.h"

#include <string.h>

static void test_append(void **state) {
    (void)state;
    struct text text = {0};
    assert_string_equal(fm_text_chars(&text), "");
    fm_text_add(&text, "%s %d", "face", 7);
    fm_text_add_bytes(&text, "!?", 1);
    fm_text_add(&text, "%s", "");
    assert_string_equal(text.chars, "face 7!");
    assert_int_equal(text.length, 7);
    fm_text_clear(&text);
    assert_string_equal(fm_text_chars(&text), "");
    fm_text_add(&text, "again");
    assert_string_equal(fm_text_chars(&text), "again");
    fm_text_reset(&text);
    assert_null(text.chars);
    fm_text_reset(&text);
}

static void test_growth_at_every_size(void **state) {
    (void)state;
    for (size_t first = 200; first < 300; first++) { /* around the first capacity */
        struct text text = {0};
        for (size_t i = 0; i < first; i++) {
            fm_text_add_bytes(&text, "a", 1);
        }
        fm_text_add(&text, "%0300d", 5);
        assert_int_equal(text.length, first + 300);
        assert_int_equal(strlen(text.chars), first + 300);
        assert_int_equal(strspn(text.chars, "a"), first);
        assert_int_equal(text.chars[first + 299], '5');
        assert_false(text.failed);
        fm_text_reset(&text);
    }
}

static void test_failure_sticks(void **state) {
    (void)state;
    struct text text = {0};
    fm_text_add(&text, "kept");
    fm_text_add_bytes(&text, "x", SIZE_MAX - 2); /* cannot be had */
    assert_true(text.failed);
    fm_text_add(&text, "later");
    fm_text_add_bytes(&text, "later", 5);
    fm_text_add_base64(&text, "later", 5);
    assert_string_equal(fm_text_chars(&text), "kept");
    fm_text_clear(&text);
    assert_false(text.failed);
    fm_text_reset(&text);
}

static void test_base64(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xFB\xFF\xFE", "+//+"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text text = {0};
        fm_text_add(&text, ">");
        fm_text_add_base64(&text, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(fm_text_chars(&text) + 1, rows[i][1]);
        fm_text_reset(&text);
    }
    struct text zeros = {0};
    unsigned char bytes[2048] = {0};
    fm_text_add_base64(&zeros, bytes, sizeof bytes);
    assert_int_equal(zeros.length, 2732);
    assert_int_equal(strspn(zeros.chars, "A"), 2731);
    fm_text_reset(&zeros);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_growth_at_every_size),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
