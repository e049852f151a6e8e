/* Forms, header parameters and base64 of requests: what real clients send, and what nobody may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/text.h"
#include "http/multipart.h"

#define TYPE "multipart/form-data; boundary=b"
#define NAMED(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

static fm_status parse(const char *type, const char *body, struct http_form *form, fm_error *error) {
    fm_error_clear(error);
    return fm_http_form_parse(type, (const uint8_t *)body, strlen(body), form, error);
}

static void assert_part(const struct http_form *form, size_t index, const char *name, const char *filename,
                        const char *type, const char *text) {
    assert_true(index < form->count);
    const struct http_part *part = &form->parts[index];
    assert_string_equal(part->name, name);
    if (filename)
        assert_string_equal(part->filename, filename);
    else
        assert_null(part->filename);
    assert_string_equal(part->type, type);
    assert_int_equal(part->size, strlen(text));
    assert_memory_equal(part->bytes, text, part->size);
}

/* ------------------------------------------------------------------------ forms */

static void what_curl_and_python_send(void **state) {
    (void)state;
    static const char body[] = "--------------------------d74496d66958873e\r\n"
                               "Content-Disposition: form-data; name=\"file\"; filename=\"t1.jpg\"\r\n"
                               "Content-Type: image/jpeg\r\n\r\n"
                               "\xFF\xD8\r\n--not it\r\n\r\n--\n\r\r\n"
                               "\r\n--------------------------d74496d66958873e\r\n"
                               "Content-Disposition: form-data; name=\"threshold\"\r\n\r\n0.5\r\n"
                               "--------------------------d74496d66958873e--\r\n";
    struct http_form form;
    fm_error error;
    assert_int_equal(
        parse("multipart/form-data; boundary=------------------------d74496d66958873e", body, &form, &error), FM_OK);
    assert_int_equal(form.count, 2);
    assert_part(&form, 0, "file", "t1.jpg", "image/jpeg", "\xFF\xD8\r\n--not it\r\n\r\n--\n\r\r\n");
    assert_true(form.parts[0].bytes > (const uint8_t *)body &&
                form.parts[0].bytes < (const uint8_t *)body + sizeof body); /* nothing was copied */
    assert_part(&form, 1, "threshold", NULL, "", "0.5");
    assert_ptr_equal(fm_http_form_part(&form, "threshold"), &form.parts[1]);
    assert_null(fm_http_form_part(&form, "THRESHOLD"));
    assert_string_equal(fm_http_form_text(&form, "threshold"), "0.5");
    assert_null(fm_http_form_text(&form, "none"));
    fm_http_form_reset(&form);
    assert_int_equal(form.count, 0);
}

/* body, and what its parts are: name=contents, each behind a '|' */
static const char *const accepted[][2] = {
    {"--b--", ""},
    {"--b--\r\n", ""},
    {"--b--and an epilogue\r\n--b\r\n", ""},
    {"\r\n--b\r\n" NAMED("a") "\r\nx\r\n--b--", "|a=x"},
    {"x--b\r\n" NAMED("a") "\r\nx\r\n--b--", ""}, /* the first line is a preamble's */
    {"a preamble\r\nof lines\n--b\r\n\r\n--b\r\n" NAMED("a") "\r\nx\r\n--b--\r\n", "|a=x"},
    {"--b \t\r\n" NAMED("a") "\r\nx\r\n--b  \r\n" NAMED("b") "\r\ny\r\n--b--", "|a=x|b=y"},
    {"--b\r\n" NAMED("a") "\r\n\r\n--b--", "|a="},
    {"--b\r\n" NAMED("a") "\r\n--b--", "|a="}, /* the delimiter's CRLF is the empty line's */
    {"--b\r\n" NAMED("a") "\r\n\r\n\r\n--b--", "|a=\r\n"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--bb\r\n--b-\r\n--b \n\r\n--b--", "|a=x\r\n--bb\r\n--b-\r\n--b \n"},
    {"--b\r\n" NAMED("a") "\r\nx\n--b\r\n\r\n--b--", "|a=x\n--b\r\n"},
    {"--b\r\n" NAMED("a") "\r\n\r\r\n--b--", "|a=\r"},
    {"--b\r\nX-Other: 1\r\ncontent-DISPOSITION :form-data;name=a\r\nEmpty:\r\n\r\nx\r\n--b--", "|a=x"},
    {"--b\r\nContent-Disposition:\r\n form-data;\r\n\tname=\"a\"\r\n\r\nx\r\n--b--", "|a=x"},
    {"--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--b--", "|=x"},
    {"--b\r\nContent-Disposition: FORM-DATA ; ; x ; NAME = a b ;y=\"z\"\r\n\r\nx\r\n--b--", "|a b=x"},
    {"--b\r\nContent-Disposition: form-data; name=\"a;b=c\"\r\n\r\nx\r\n--b--", "|a;b=c=x"},
    {"--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--b--", "|a=x"},
    {"--b\r\nContent-Disposition: form-data; name*=utf-8''n%C3%a9\r\n\r\nx\r\n--b--", "|n\xC3\xA9=x"},
    {"--b\r\n" NAMED("a") "Content-Transfer-Encoding: BINARY\r\n\r\nx\r\n--b--", "|a=x"},
    {"--b\r\n" NAMED("a") "\r\n1\r\n--b\r\n" NAMED("a") "\r\n2\r\n--b--", "|a=1|a=2"},
};

static void forms_as_clients_make_them(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct http_form form;
        struct text found = {0};
        fm_error error;
        if (parse(TYPE, accepted[i][0], &form, &error) != FM_OK)
            fail_msg("%s: %s", accepted[i][0], error.message);
        for (size_t k = 0; k < form.count; k++) {
            fm_text_add(&found, "|%s=", form.parts[k].name);
            fm_text_add_bytes(&found, (const char *)form.parts[k].bytes, form.parts[k].size);
        }
        assert_string_equal(fm_text_chars(&found), accepted[i][1]);
        fm_text_reset(&found);
        fm_http_form_reset(&form);
    }
}

/* body, and words of the refusal */
static const char *const refused[][2] = {
    {"", "no line '--b'"},
    {"x", "no line '--b'"},
    {"--b", "no line '--b'"},
    {"--b\n" NAMED("a") "\r\nx\n--b--", "lines end with CRLF"},
    {"--b\r\n", "do not end within 8192 bytes"},
    {"--b\r\n--b--", "do not end within"},
    {"--b\r\n\r\nx\r\n--b--", "part 1 of the form has no name"},
    {"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: form-data; filename=a\r\n\r\nx\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: form-data; xname=a\r\n\r\nx\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: form-data; name*=utf-8''%00\r\n\r\nx\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--", "other than form-data"},
    {"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b--", "quotes do not match"},
    {"--b\r\nContent-Disposition: form-data; name=\"a\\\"\r\n\r\nx\r\n--b--", "quotes do not match"},
    {"--b\r\nContent-Disposition: form-data; name=\"a\"b\r\n\r\nx\r\n--b--", "quotes do not match"},
    {"--b\r\n" NAMED("a") "no colon\r\n\r\nx\r\n--b--", "without a name and a colon"},
    {"--b\r\n" NAMED("a") ": x\r\n\r\nx\r\n--b--", "without a name and a colon"},
    {"--b\r\n" NAMED("a") "X: 1\n\r\nx\r\n--b--", "does not end with CRLF"},
    {"--b\r\n" NAMED("a") "X: 1\rY: 2\r\n\r\nx\r\n--b--", "does not end with CRLF"},
    {"--b\r\n" NAMED("a") "\r\nx", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b \t ", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b-", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b\r", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\n--b--", "part 1 of the form never ends"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b\r\n", "part 2 of the form has headers that do not end"},
    {"--b\r\n" NAMED("a") "\r\nx\r\n--b\r\n" NAMED("b") "\r\ny", "part 2 of the form never ends"},
    {"--b\r\n" NAMED("a") "Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--", "is encoded"},
    {"--b\r\n" NAMED("a") "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--", "multipart itself"},
};

static void forms_that_mean_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct http_form form;
        fm_error error;
        assert_int_equal(parse(TYPE, refused[i][0], &form, &error), FM_INVALID_ARGUMENT);
        if (!strstr(error.message, refused[i][1]))
            fail_msg("%s: %s", refused[i][0], error.message);
        fm_http_form_reset(&form);
    }
}

static void a_nul_is_no_header(void **state) {
    (void)state;
    static const char body[] = "--b\r\nContent-Disposition: form-data; name=\"a\0b\"\r\n\r\nx\r\n--b--";
    struct http_form form;
    fm_error error = {0};
    assert_int_equal(fm_http_form_parse(TYPE, (const uint8_t *)body, sizeof body - 1, &form, &error),
                     FM_INVALID_ARGUMENT);
    fm_http_form_reset(&form);
    static const char value[] = "--b\r\n" NAMED("a") "\r\nx\0y\r\n--b--";
    error = (fm_error){0};
    assert_int_equal(fm_http_form_parse(TYPE, (const uint8_t *)value, sizeof value - 1, &form, &error), FM_OK);
    assert_int_equal(form.parts[0].size, 3);
    assert_null(fm_http_form_text(&form, "a")); /* bytes, but no text */
    fm_http_form_reset(&form);
}

/* what stands behind the name, and the file name read */
static const char *const filenames[][2] = {
    {"filename=\"a.jpg\"", "a.jpg"},
    {"filename=a.jpg", "a.jpg"},
    {"filename = my photo.jpg ; x=y", "my photo.jpg"},
    {"FileName=\"a;b=\\\"c\\\\.jpg\"", "a;b=\"c\\.jpg"},
    {"filename=\"C:\\photos\\new.jpg\"", "C:\\photos\\new.jpg"}, /* old browsers */
    {"filename=\"%22quoted%22.jpg\"", "%22quoted%22.jpg"},       /* new browsers; kept, as other servers do */
    {"filename=\"\"", ""},
    {"filename=", ""},
    {"filename=\"\xC3\xA9.jpg\"", "\xC3\xA9.jpg"},
    {"filename*=UTF-8''%e2%82%ac%20x.jpg", "\xE2\x82\xAC x.jpg"},
    {"filename*=utf-8'en'plain.jpg; filename=\"fallback.jpg\"", "plain.jpg"},
    {"filename=\"fallback.jpg\"; filename*=iso-8859-1''%E9.jpg", "fallback.jpg"},
    {"filename=\"fallback.jpg\"; filename*=utf-8''%E", "fallback.jpg"},
    {"filename=\"fallback.jpg\"; filename*=utf-8''%4x", "fallback.jpg"},
    {"filename=\"fallback.jpg\"; filename*=utf-8''a%00b", "fallback.jpg"},
    {"filename=\"fallback.jpg\"; filename*=nonsense", "fallback.jpg"},
};

static void file_names(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof filenames / sizeof *filenames; i++) {
        struct http_form form;
        char body[400];
        fm_error error;
        (void)snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=\"f\"; %s\r\n\r\nx\r\n--b--",
                       filenames[i][0]);
        assert_int_equal(parse(TYPE, body, &form, &error), FM_OK);
        assert_part(&form, 0, "f", filenames[i][1], "", "x");
        fm_http_form_reset(&form);
    }
}

static void boundaries(void **state) {
    (void)state;
    static const char *const good[][2] = {
        {"multipart/form-data; boundary=\"b c'()+_,-./:=?\"", "b c'()+_,-./:=?"},
        {"Multipart/Form-Data;charset=utf-8;BOUNDARY=*****", "*****"},
        {" multipart/form-data ; boundary=----=_Part_1_2.3 ; x=y", "----=_Part_1_2.3"},
        {"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890"},
    };
    static const char *const bad[] = {
        "",
        "application/json",
        "multipart/form-datax; boundary=b",
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=\"b \"",
        "multipart/form-data; boundary=\"b\tc\"",
        "multipart/form-data; boundary=\xC3\xA9",
        "multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
    };
    struct http_form form;
    fm_error error;
    char body[300];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        (void)snprintf(body, sizeof body, "--%s\r\n" NAMED("a") "\r\nx\r\n--%s--", good[i][1], good[i][1]);
        assert_int_equal(parse(good[i][0], body, &form, &error), FM_OK);
        assert_part(&form, 0, "a", NULL, "", "x");
        fm_http_form_reset(&form);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i], "--b\r\n" NAMED("a") "\r\nx\r\n--b--", &form, &error), FM_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, "Content-Type"));
        fm_http_form_reset(&form);
    }
}

static void too_many_parts_and_headers(void **state) {
    (void)state;
    struct text body = {0};
    struct http_form form;
    fm_error error = {0};
    for (int i = 0; i < HTTP_PARTS; i++)
        fm_text_add(&body, "--b\r\nContent-Disposition: form-data; name=n%d\r\n\r\n%d\r\n", i, i);
    size_t length = body.length;
    fm_text_add(&body, "--b--");
    assert_int_equal(fm_http_form_parse(TYPE, (uint8_t *)body.chars, body.length, &form, &error), FM_OK);
    assert_int_equal(form.count, HTTP_PARTS);
    assert_part(&form, HTTP_PARTS - 1, "n1023", NULL, "", "1023");
    fm_http_form_reset(&form);
    body.length = length;
    fm_text_add(&body, "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--b--");
    assert_int_equal(fm_http_form_parse(TYPE, (uint8_t *)body.chars, body.length, &form, &error), FM_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "more than 1024 parts"));
    fm_http_form_reset(&form);

    fm_text_clear(&body);
    error = (fm_error){0};
    fm_text_add(&body, "--b\r\n" NAMED("a") "X: %*s\r\n\r\nx\r\n--b--", 8192, "y");
    assert_int_equal(fm_http_form_parse(TYPE, (uint8_t *)body.chars, body.length, &form, &error), FM_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "8192 bytes"));
    fm_http_form_reset(&form);
    fm_text_reset(&body);
}

/* Bodies made to be looked at again and again: with a search that begins anew these would take hours. */
static void hostile_bodies_take_linear_time(void **state) {
    (void)state;
    static const char *const repeated[] = {"\r", "\r\n", "\r\n--", "\r\n--b ", "\r\n--b", " ", "--b\r\n", "\r\n\r\n"};
    enum { SIZE = 8 << 20 };
    struct text body = {0};
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
        struct http_form form;
        fm_error error = {0};
        fm_text_clear(&body);
        fm_text_add(&body, "--b\r\n" NAMED("a") "\r\nx");
        while (body.length < SIZE)
            fm_text_add_bytes(&body, repeated[i], strlen(repeated[i]));
        assert_int_equal(fm_http_form_parse(TYPE, (uint8_t *)body.chars, body.length, &form, &error),
                         FM_INVALID_ARGUMENT);
        fm_http_form_reset(&form);
    }
    fm_text_reset(&body);
}

static void media_types(void **state) {
    (void)state;
    assert_true(fm_http_type_is("application/json", "application/json"));
    assert_true(fm_http_type_is(" Application/JSON ; charset=utf-8", "application/json"));
    assert_true(fm_http_type_is("application/json;charset=utf-8", "application/json"));
    assert_false(fm_http_type_is("application/jsonx", "application/json"));
    assert_false(fm_http_type_is("application/json/x", "application/json"));
    assert_false(fm_http_type_is("application/js", "application/json"));
    assert_false(fm_http_type_is("", "application/json"));
}

/* ----------------------------------------------------------------------- base64 */

static fm_status decode(const char *text, uint64_t limit, struct buffer *bytes, fm_error *error) {
    fm_error_clear(error);
    return fm_base64_read(text, strlen(text), limit, bytes, error);
}

static void base64_in_every_spelling(void **state) {
    (void)state;
    static const char *const good[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zg", "f"},
        {"Zm8=", "fo"},
        {"Zm8", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYmFy", "foobar"},
        {"Zm9v\r\nYm Fy\n", "foobar"},
        {" Z\tm9vYg = = ", "foob"},
        {"+/-_", "\xFB\xFF\xBF"},
        {"data:image/jpeg;base64,Zm9v", "foo"},
        {"DATA:;base64,a,b,Zm9v", "foo"},
        {"data:,", ""},
    };
    struct buffer bytes = {0};
    fm_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(decode(good[i][0], 100, &bytes, &error), FM_OK);
        assert_int_equal(bytes.size, strlen(good[i][1]));
        assert_memory_equal(bytes.bytes, good[i][1], bytes.size);
        assert_int_equal(decode(good[i][0], strlen(good[i][1]), &bytes, &error), FM_OK); /* the limit itself */
        if (bytes.size)
            assert_int_equal(decode(good[i][0], strlen(good[i][1]) - 1, &bytes, &error), FM_LIMIT);
    }
    fm_buffer_reset(&bytes);
}

static void base64_that_is_none(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"Z", "cut off after 1 characters"}, {"Zm9vY", "cut off after 5"},
        {"Zg=", "cut off after 3"},          {"Zm9v=", "character 5 (0x3d)"},
        {"Zg===", "character 5 (0x3d)"},     {"Zm8==", "character 5 (0x3d)"},
        {"=", "character 1 (0x3d)"},         {"Z===", "character 2 (0x3d)"},
        {"Zg==Zg==", "character 5 (0x5a)"},  {"Zm9v!mFy", "character 5 (0x21)"},
        {"Zm9\xC3", "character 4 (0xc3)"},   {"data:image/png;base64", "character 5 (0x3a)"},
        {"x,Zm9v", "character 2 (0x2c)"},
    };
    struct buffer bytes = {0};
    fm_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(decode(bad[i][0], 100, &bytes, &error), FM_INVALID_ARGUMENT);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], error.message);
        assert_int_equal(bytes.size, 0);
    }
    assert_int_equal(fm_base64_read("Zm\0v", 4, 100, &bytes, &error), FM_INVALID_ARGUMENT);
    fm_buffer_reset(&bytes);
}

/* What our writer writes comes back, at every length and with line breaks anywhere. */
static void base64_round_trip(void **state) {
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t size = 0; size <= sizeof bytes; size++)
        for (size_t width = 1; width < 9; width++) {
            struct text text = {0}, broken = {0};
            struct buffer back = {0};
            fm_error error = {0};
            fm_text_add_base64(&text, bytes, size);
            for (size_t i = 0; i < text.length; i++)
                fm_text_add(&broken, i % width ? "%c" : "%c\n", text.chars[i]);
            assert_int_equal(fm_base64_read(fm_text_chars(&broken), broken.length, size, &back, &error), FM_OK);
            assert_int_equal(back.size, size);
            assert_memory_equal(back.bytes, bytes, size);
            fm_buffer_reset(&back);
            fm_text_reset(&text);
            fm_text_reset(&broken);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_curl_and_python_send),
        cmocka_unit_test(forms_as_clients_make_them),
        cmocka_unit_test(forms_that_mean_nothing),
        cmocka_unit_test(a_nul_is_no_header),
        cmocka_unit_test(file_names),
        cmocka_unit_test(boundaries),
        cmocka_unit_test(too_many_parts_and_headers),
        cmocka_unit_test(hostile_bodies_take_linear_time),
        cmocka_unit_test(media_types),
        cmocka_unit_test(base64_in_every_spelling),
        cmocka_unit_test(base64_that_is_none),
        cmocka_unit_test(base64_round_trip),
    };
    return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
