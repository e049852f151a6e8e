/* MessagePack: every format of the specification read, what is cut off or too large refused, and what we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/notation.h"

struct sample {
    const char *bytes;
    size_t size;
    enum msgpack_kind kind;
    int64_t integer; /* also truth, and `size` of the item */
    double number;
};
#define SAMPLE(text, ...)                                                                                              \
    { text, sizeof text - 1, __VA_ARGS__ }
static const struct sample samples[] = {
    SAMPLE("\xC0", MSGPACK_NIL, 0, 0),
    SAMPLE("\xC2", MSGPACK_BOOL, 0, 0),
    SAMPLE("\xC3", MSGPACK_BOOL, 1, 0),
    SAMPLE("\x00", MSGPACK_INTEGER, 0, 0),
    SAMPLE("\x7F", MSGPACK_INTEGER, 127, 127),
    SAMPLE("\xE0", MSGPACK_INTEGER, -32, -32),
    SAMPLE("\xFF", MSGPACK_INTEGER, -1, -1),
    SAMPLE("\xCC\xFF", MSGPACK_INTEGER, 255, 255),
    SAMPLE("\xCD\xFF\xFE", MSGPACK_INTEGER, 65534, 65534),
    SAMPLE("\xCE\xFF\xFF\xFF\xFF", MSGPACK_INTEGER, 4294967295, 4294967295),
    SAMPLE("\xCF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", MSGPACK_INTEGER, INT64_MAX, 0x1p63),
    SAMPLE("\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", MSGPACK_INTEGER, INT64_MAX, 0x1p64),
    SAMPLE("\xD0\x80", MSGPACK_INTEGER, -128, -128),
    SAMPLE("\xD0\x7F", MSGPACK_INTEGER, 127, 127),
    SAMPLE("\xD1\x80\x00", MSGPACK_INTEGER, -32768, -32768),
    SAMPLE("\xD2\x80\x00\x00\x00", MSGPACK_INTEGER, INT32_MIN, INT32_MIN),
    SAMPLE("\xD3\x80\x00\x00\x00\x00\x00\x00\x00", MSGPACK_INTEGER, INT64_MIN, -0x1p63),
    SAMPLE("\xD3\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", MSGPACK_INTEGER, -2, -2),
    SAMPLE("\xCA\x3F\x20\x00\x00", MSGPACK_FLOAT, 0, 0.625),
    SAMPLE("\xCB\xBF\xE0\x00\x00\x00\x00\x00\x00", MSGPACK_FLOAT, 0, -0.5),
    SAMPLE("\xA0", MSGPACK_TEXT, 0, 0),
    SAMPLE("\xA3"
           "abc",
           MSGPACK_TEXT, 3, 0),
    SAMPLE("\xD9\x03"
           "abc",
           MSGPACK_TEXT, 3, 0),
    SAMPLE("\xDA\x00\x03"
           "abc",
           MSGPACK_TEXT, 3, 0),
    SAMPLE("\xDB\x00\x00\x00\x03"
           "abc",
           MSGPACK_TEXT, 3, 0),
    SAMPLE("\xC4\x03"
           "abc",
           MSGPACK_BYTES, 3, 0),
    SAMPLE("\xC5\x00\x03"
           "abc",
           MSGPACK_BYTES, 3, 0),
    SAMPLE("\xC6\x00\x00\x00\x03"
           "abc",
           MSGPACK_BYTES, 3, 0),
    SAMPLE("\xD4\x01z", MSGPACK_EXTENSION, 2, 0),
    SAMPLE("\xD8\x01"
           "0123456789abcdef",
           MSGPACK_EXTENSION, 17, 0),
    SAMPLE("\xC7\x03\x01"
           "abc",
           MSGPACK_EXTENSION, 4, 0),
    SAMPLE("\x90", MSGPACK_ARRAY, 0, 0),
    SAMPLE("\x92\x01\x02", MSGPACK_ARRAY, 2, 0),
    SAMPLE("\xDC\x00\x02\x01\x02", MSGPACK_ARRAY, 2, 0),
    SAMPLE("\xDD\x00\x00\x00\x02\x01\x02", MSGPACK_ARRAY, 2, 0),
    SAMPLE("\x81\x01\x92\x01\x02", MSGPACK_MAP, 1, 0),
    SAMPLE("\xDE\x00\x01\x01\x80", MSGPACK_MAP, 1, 0),
    SAMPLE("\xDF\x00\x00\x00\x01\x01\x02", MSGPACK_MAP, 1, 0),
};

/* Read one item and what is inside it; false when it is none, or not the whole. */
static bool read_whole(const char *bytes, size_t size, struct msgpack_item *item) {
    uint8_t *copy = malloc(size ? size : 1); /* so that a sanitizer sees every byte too many */
    assert_non_null(copy);
    if (size)
        memcpy(copy, bytes, size);
    struct msgpack_reader reader = {copy, copy + size};
    bool good = fm_msgpack_next(&reader, item) && fm_msgpack_skip(&reader, item) && reader.at == reader.end;
    free(copy);
    return good;
}

static void every_format_is_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *sample = &samples[i];
        struct msgpack_item item;
        assert_true(read_whole(sample->bytes, sample->size, &item));
        assert_int_equal(item.kind, sample->kind);
        int64_t found = item.kind == MSGPACK_INTEGER ? item.integer
                        : item.kind == MSGPACK_BOOL  ? item.truth
                                                     : item.size;
        assert_true(found == sample->integer);
        if (item.kind == MSGPACK_INTEGER || item.kind == MSGPACK_FLOAT)
            assert_memory_equal(&item.number, &sample->number, sizeof item.number);
        for (size_t cut = 0; cut < sample->size; cut++)
            assert_false(read_whole(sample->bytes, cut, &item));
    }
    struct msgpack_item item;
    assert_false(read_whole("\xC1", 1, &item)); /* never used */
}

static void sizes_beyond_the_document(void **state) {
    (void)state;
    static const char *const bad[] = {"\xDD\xFF\xFF\xFF\xFFx", "\xDF\xFF\xFF\xFF\xFFx", "\xDB\xFF\xFF\xFF\xFFx",
                                      "\xC9\xFF\xFF\xFF\xFFx", "\xC6\x7F\xFF\xFF\xFFx", "\x92\x91"};
    struct msgpack_item item;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(read_whole(bad[i], strlen(bad[i]), &item));
    char deep[100000]; /* arrays of one array each cost no stack */
    memset(deep, 0x91, sizeof deep);
    assert_false(read_whole(deep, sizeof deep, &item));
    deep[sizeof deep - 1] = 0;
    assert_true(read_whole(deep, sizeof deep, &item));
}

static void assert_written(struct text *text, const char *bytes, size_t size) {
    assert_false(text->failed);
    assert_int_equal(text->length, size);
    assert_memory_equal(text->chars, bytes, size);
    fm_text_clear(text);
}

static void shortest_integers_and_strings(void **state) {
    (void)state;
    struct text text = {0};
    struct msgpack_writer writer = {.text = &text};
    const int64_t numbers[] = {0,  127, 128, 255,  256,  65535,  65536,  UINT32_MAX, INT64_C(1) << 32,
                               -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,  INT64_MIN};
    const size_t sizes[] = {1, 1, 2, 2, 3, 3, 5, 5, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct msgpack_item item;
        fm_msgpack_integer(&writer, NULL, numbers[i]);
        assert_int_equal(text.length, sizes[i]);
        assert_true(read_whole(text.chars, text.length, &item));
        assert_true(item.kind == MSGPACK_INTEGER && item.integer == numbers[i]);
        fm_text_clear(&text);
    }
    char string[70001];
    memset(string, 'x', sizeof string);
    for (size_t length = 70000; length > 0; length = length > 65535 ? 65535
                                                     : length > 255 ? 255
                                                     : length > 31  ? 31
                                                                    : 0) {
        struct msgpack_item item;
        string[length] = 0;
        fm_msgpack_string(&writer, NULL, string);
        assert_true(read_whole(text.chars, text.length, &item));
        item.bytes = (const uint8_t *)text.chars + (text.length - length); /* read_whole's own are gone */
        assert_true(fm_msgpack_is_text(&item, string));
        assert_int_equal(text.length - length, length > 65535 ? 5 : length > 255 ? 3 : length > 31 ? 2 : 1);
        fm_text_clear(&text);
    }
    fm_text_reset(&text);
}

static void write_document(struct notation *out) {
    fm_notation_map_open(out, NULL);
    fm_notation_array_open(out, "a");
    fm_notation_integer(out, NULL, 1);
    fm_notation_map_open(out, NULL);
    fm_notation_map_close(out);
    fm_notation_float(out, NULL, 0.5f);
    fm_notation_array_close(out);
    fm_notation_bool(out, "b", true);
    fm_notation_string(out, "c", NULL);
    fm_notation_string(out, "d", "e");
    fm_notation_number(out, "f", -2.25);
    fm_notation_map_close(out);
}

static void one_document_in_two_notations(void **state) {
    (void)state;
    static const char packed[] = "\xDF\0\0\0\x05\xA1"
                                 "a\xDD\0\0\0\x03\x01\xDF\0\0\0\0\xCA\x3F\0\0\0\xA1"
                                 "b\xC3\xA1"
                                 "c\xC0\xA1"
                                 "d\xA1"
                                 "e\xA1"
                                 "f\xCA\xC0\x10\0\0";
    static const char json[] = "{\"a\":[1,{},0.5],\"b\":true,\"c\":null,\"d\":\"e\",\"f\":-2.25}";
    struct text text = {0};
    struct notation out;
    fm_notation_init(&out, true, &text);
    write_document(&out);
    assert_written(&text, packed, sizeof packed - 1);
    fm_notation_init(&out, false, &text);
    write_document(&out);
    assert_written(&text, json, sizeof json - 1);
    fm_text_reset(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),
        cmocka_unit_test(sizes_beyond_the_document),
        cmocka_unit_test(shortest_integers_and_strings),
        cmocka_unit_test(one_document_in_two_notations),
    };
    return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}
