/* json_read.h: what is refused and with which words, values of every kind, and that a document written back is the
   document. */
#include "base/json_read.h"

#include "unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)1 << 20)

static struct json_value *read_text(const char *text) {
    struct json_value *document = NULL;
    fm_error error = {0};
    if (fm_json_read(text, strlen(text), LIMIT, "'test'", &document, &error) != FM_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    return document;
}

static void refused(const char *bytes, size_t size, fm_status status, const char *words) {
    struct json_value *document = (void *)"not touched";
    fm_error error = {0};
    assert_int_equal(fm_json_read(bytes, size, LIMIT, "'x/test.json'", &document, &error), status);
    assert_null(document);
    assert_int_equal(error.status, status);
    if (strstr(error.message, words) == NULL || strstr(error.message, "'x/test.json'") == NULL) {
        fail_msg("\"%s\" should have said \"%s\"", error.message, words);
    }
    for (const char *at = error.message; *at != 0; at++) {
        assert_true((unsigned char)*at >= 0x20 && *at != 0x7F); /* nothing of the document moves a cursor */
    }
}

static void refused_text(const char *text, const char *words) {
    refused(text, strlen(text), FM_INVALID_ARGUMENT, words);
}

static void test_what_is_no_json(void **state) {
    (void)state;
    refused("", 0, FM_INVALID_ARGUMENT, "not valid JSON at line 1");
    refused_text("{\n  \"a\": 1,\n  \"b\" 2}", "line 3, column");
    refused_text("{\"a\": 1} x", "end of file expected");
    refused_text("{\"a\": 1,}", "line 1, column");
    refused_text("{'a': 1}", "line 1");
    refused_text("{\"a\": nan}", "line 1");
    refused_text("{\"a\": 01}", "line 1");
    refused_text("{\"a\": 1e999}", "overflow");
    refused_text("{\"a\": 99999999999999999999}", "too big");
    refused_text("{\"a\": \"\x1b[2J\"}", "line 1");
    refused_text("3", "line 1"); /* documents are objects or arrays */
}

static void test_doubled_keys(void **state) {
    (void)state;
    refused_text("{\"a\": 1, \"a\": 2}", "duplicate object key");
    refused_text("{\"x\": {\"a\": 1,\n \"b\": 2, \"a\": 2}}", "line 2");
    fm_json_free(read_text("{\"a\": {\"a\": 1}, \"A\": 2}"));
}

static void test_bytes_that_are_no_text(void **state) {
    (void)state;
    refused("{\"a\": \"b\0c\"}", 12, FM_INVALID_ARGUMENT, "line 1");
    refused_text("{\"a\": \"b\\u0000c\"}", "\\u0000");
    refused_text("{\"a\\u0000\": 1}", "line 1");
    refused("{}\0", 3, FM_INVALID_ARGUMENT, "line 1");
    refused_text("{\"a\": \"\xFF\"}", "unable to decode byte");
    refused_text("{\"a\": \"\xC0\xAF\"}", "unable to decode byte");
    refused_text("{\"a\": \"\xED\xA0\x80\"}", "unable to decode byte");
    refused_text("{\"a\": \"\\ud800\"}", "line 1, column");
}

static void test_depth_and_size(void **state) {
    (void)state;
    enum { DEEP = 100000 };
    char *nested = malloc(2 * DEEP + 1);
    assert_non_null(nested);
    memset(nested, '[', DEEP);
    memset(nested + DEEP, ']', DEEP);
    refused(nested, 2 * DEEP, FM_INVALID_ARGUMENT, "nested too deeply");
    refused(nested + DEEP - 5000, 10000, FM_INVALID_ARGUMENT, "nested too deeply");
    struct json_value *document = NULL;
    assert_int_equal(fm_json_read(nested + DEEP - 1000, 2000, LIMIT, "x", &document, NULL), FM_OK);
    struct text out = {0};
    fm_json_dump(document, &out); /* indentation ends somewhere: 1000 levels are not 1000 * 1000 spaces */
    assert_false(out.failed);
    assert_true(out.length < 1000 * 200);
    fm_text_reset(&out);
    fm_json_free(document);
    free(nested);
    fm_error error = {0};
    assert_int_equal(fm_json_read("[1,2]", 5, 4, "'big'", &document, &error), FM_LIMIT);
    assert_null(document);
    assert_string_equal(error.message, "'big' is 5 bytes of JSON, more than the 4 allowed");
    assert_int_equal(fm_json_read("[1,2]", 5, 5, "'big'", &document, NULL), FM_OK);
    fm_json_free(document);
}

static const char everything[] =
    "{\"text\": \"caf\\u00e9\", \"whole\": -7, \"real\": 1.5, \"round\": 2.0, \"yes\": true, "
    "\"no\": false, \"nothing\": null, \"list\": [1, [2], \"x\"], \"object\": {\"b\": 1, "
    "\"a\": 2}}";

static void test_values(void **state) {
    (void)state;
    struct json_value *document = read_text(everything);
    assert_string_equal(fm_json_text(fm_json_member(document, "text")), "caf\xC3\xA9");
    assert_int_equal(fm_json_whole(fm_json_member(document, "whole"), 0), -7);
    assert_true(fm_json_value(fm_json_member(document, "whole"), 0) == -7.0);
    assert_true(fm_json_value(fm_json_member(document, "real"), 0) == 1.5);
    assert_int_equal(fm_json_whole(fm_json_member(document, "real"), 9), 9);
    assert_int_equal(fm_json_whole(fm_json_member(document, "round"), 9), 9); /* written as a real: so it is one */
    assert_true(fm_json_is_number(fm_json_member(document, "round")));
    assert_true(fm_json_truth(fm_json_member(document, "yes"), false));
    assert_false(fm_json_truth(fm_json_member(document, "no"), true));
    assert_true(fm_json_is_bool(fm_json_member(document, "no")));
    assert_int_equal(fm_json_count(fm_json_member(document, "list")), 3);
    assert_int_equal(fm_json_whole(fm_json_item(fm_json_member(document, "list"), 0), 0), 1);
    assert_true(fm_json_is_array(fm_json_item(fm_json_member(document, "list"), 1)));
    assert_null(fm_json_item(fm_json_member(document, "list"), 3));
    assert_true(fm_json_is_object(document));
    assert_int_equal(fm_json_count(document), 9);
    fm_json_free(document);
}

static void test_entries_come_in_their_order(void **state) {
    (void)state;
    static const char *const keys[] = {"text", "whole", "real", "round", "yes", "no", "nothing", "list", "object"};
    struct json_value *document = read_text(everything);
    const char *key = NULL;
    for (size_t i = 0; i < 9; i++) {
        assert_ptr_equal(fm_json_entry(document, i, &key), fm_json_member(document, keys[i]));
        assert_string_equal(key, keys[i]);
    }
    assert_null(fm_json_entry(document, 9, &key));
    assert_null(key);
    fm_json_free(document);
}

/* Absent members and members of another kind are the fallback, so that readers need not ask twice. */
static void test_nothing_is_an_answer(void **state) {
    (void)state;
    struct json_value *document = read_text("{\"a\": \"1\", \"list\": [1]}");
    const struct json_value *values[] = {NULL, document, fm_json_member(document, "a"),
                                         fm_json_member(document, "list")};
    const char *key = "x";
    for (size_t i = 0; i < 4; i++) {
        assert_true(fm_json_value(values[i], 2.5) == 2.5);
        assert_int_equal(fm_json_whole(values[i], 4), 4);
        assert_true(fm_json_truth(values[i], true));
        assert_false(fm_json_is_number(values[i]) || fm_json_is_bool(values[i]));
        assert_true((fm_json_text(values[i]) != NULL) == (i == 2));
        assert_null(fm_json_member(values[i], "missing"));
    }
    assert_null(fm_json_item(document, 0));
    assert_null(fm_json_member(values[3], "a"));
    assert_int_equal(fm_json_count(NULL), 0);
    assert_int_equal(fm_json_count(values[2]), 0);
    assert_null(fm_json_entry(NULL, 0, &key));
    assert_null(key);
    fm_json_free(document);
    fm_json_free(NULL);
}

static void dumps(const char *text, const char *expected) {
    struct json_value *document = read_text(text);
    struct text out = {0};
    fm_json_dump(document, &out);
    assert_string_equal(fm_text_chars(&out), expected);
    fm_text_reset(&out);
    fm_json_free(document);
}

static void test_written_back(void **state) {
    (void)state;
    dumps("{}", "{}");
    dumps("[]", "[]");
    dumps("{\"b\":0.4,\"a\":[0.1,2,-3.0],\"c\":{\"d\":null,\"e\":[]}}",
          "{\n  \"b\": 0.4,\n  \"a\": [0.1, 2, -3.0],\n  \"c\": {\n    \"d\": null,\n    \"e\": []\n  }\n}");
    dumps("[[1.5,2],[true]]", "[\n  [1.5, 2],\n  [\n    true\n  ]\n]");
    dumps("[\"\\\"\\\\\\n\\u0001/\xF0\x9F\x98\x80\"]", "[\"\\\"\\\\\\n\\u0001/\xF0\x9F\x98\x80\"]");
    dumps("[1e300,1e-7,9223372036854775807,-0.0]", "[1e300, 1e-7, 9223372036854775807, -0.0]");
    dumps("{\"a\\nb\": 1}", "{\n  \"a\\nb\": 1\n}");
}

/* Whatever was read reads the same after having been written. */
static void test_written_back_twice(void **state) {
    (void)state;
    struct json_value *document = read_text(everything);
    struct text first = {0}, second = {0};
    fm_json_dump(document, &first);
    struct json_value *again = read_text(fm_text_chars(&first));
    fm_json_dump(again, &second);
    assert_string_equal(fm_text_chars(&first), fm_text_chars(&second));
    fm_json_free(document);
    fm_json_free(again);
    fm_text_reset(&first);
    fm_text_reset(&second);
}

static void test_a_locale_with_commas(void **state) {
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
    struct json_value *document = read_text("[127.5]");
    assert_true(fm_json_value(fm_json_item(document, 0), 0) == 127.5);
    fm_json_free(document);
    dumps("[127.5]", "[127.5]");
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_doubled_keys),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_depth_and_size),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_entries_come_in_their_order),
        cmocka_unit_test(test_nothing_is_an_answer),
        cmocka_unit_test(test_written_back),
        cmocka_unit_test(test_written_back_twice),
        cmocka_unit_test(test_a_locale_with_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
