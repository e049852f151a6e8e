/* Requests of InsightFace-REST in their three notations: the same values, the same refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "http/extract.h"
#include "http/msgpack.h"

static bool read_json(const char *text, struct extract_request *request, struct extract_failure *failure) {
    return fm_extract_read_json((const uint8_t *)text, strlen(text), request, failure);
}

static void defaults(void **state) {
    (void)state;
    struct extract_request request;
    struct extract_failure failure;
    assert_true(read_json("{\"images\":{}}", &request, &failure));
    assert_true(request.threshold == 0.6 && request.limit_faces == 0 && request.min_face_size == 0);
    assert_true(request.extract_embedding && request.draw_landmarks && request.draw_scores && request.draw_sizes);
    assert_false(request.embed_only || request.return_face_data || request.return_landmarks || request.extract_ga ||
                 request.detect_masks || request.verbose_timings || request.msgpack || request.urls);
    assert_int_equal(request.count + request.header_count, 0);
    fm_extract_reset(&request);
}

static void values_in_other_clothes(void **state) {
    (void)state;
    struct extract_request request;
    struct extract_failure failure;
    assert_true(
        read_json("{\"threshold\":\"1e-1\",\"limit_faces\":\" 7\",\"min_face_size\":3.0,\"embed_only\":\"YES\","
                  "\"return_face_data\":1,\"return_landmarks\":1.0,\"extract_ga\":true,\"extract_embedding\":null,"
                  "\"detect_masks\":\"off\",\"draw_scores\":0,\"draw_sizes\":\"f\",\"msgpack\":\"t\","
                  "\"verbose_timings\":\"on\",\"images\":{\"data\":[\"a\",\"\"],\"urls\":null},\"more\":[{}]}",
                  &request, &failure));
    assert_true(request.threshold == 0.1 && request.limit_faces == 7 && request.min_face_size == 3);
    assert_true(request.embed_only && request.return_face_data && request.return_landmarks && request.extract_ga);
    assert_true(request.msgpack && request.verbose_timings && request.draw_landmarks);
    assert_false(request.extract_embedding || request.detect_masks || request.draw_scores || request.draw_sizes);
    assert_int_equal(request.count, 2);
    assert_string_equal(request.pictures[0].text, "a");
    assert_int_equal(request.pictures[1].size, 0);
    fm_extract_reset(&request);
}

static void urls_and_headers(void **state) {
    (void)state;
    static const char packed[] = "\x82\xA6images\x82\xA4"
                                 "data\x91\xA1x\xA4urls\x92\xA2u1\xA2u2\xAFimg_req_headers\x81\xA1"
                                 "a\xA1z";
    struct extract_request request[2];
    struct extract_failure failure;
    assert_true(read_json("{\"images\":{\"data\":[\"x\"],\"urls\":[\"u1\",\"u2\"]},\"img_req_headers\":{\"a\":\"z\"}}",
                          &request[0], &failure));
    assert_true(fm_extract_read_msgpack((const uint8_t *)packed, sizeof packed - 1, &request[1], &failure));
    for (int i = 0; i < 2; i++) {
        assert_true(request[i].urls);
        assert_int_equal(request[i].count, 2);
        assert_string_equal(request[i].pictures[1].text, "u2");
        assert_int_equal(request[i].header_count, 1);
        assert_string_equal(request[i].headers[0][0], "a");
        assert_string_equal(request[i].headers[0][1], "z");
        fm_extract_reset(&request[i]);
    }
}

static void refusals_name_the_field(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", NULL},
        {"{\"images\":{\"data\":[\"\\u0000\"]}}", NULL},
        {"{\"images\":{},\"images\":{}}", NULL},
        {"7", NULL},
        {"{}", "images"},
        {"{\"images\":null}", "images"},
        {"{\"images\":{\"urls\":7}}", "images"},
        {"{\"images\":{\"urls\":[null]}}", "images"},
        {"{\"images\":{},\"threshold\":\"\"}", "threshold"},
        {"{\"images\":{},\"threshold\":\"1x\"}", "threshold"},
        {"{\"images\":{},\"threshold\":\"nan\"}", "threshold"},
        {"{\"images\":{},\"threshold\":\"inf\"}", "threshold"},
        {"{\"images\":{},\"threshold\":{}}", "threshold"},
        {"{\"images\":{},\"limit_faces\":0.5}", "limit_faces"},
        {"{\"images\":{},\"limit_faces\":1000000001}", "limit_faces"},
        {"{\"images\":{},\"msgpack\":-1}", "msgpack"},
        {"{\"images\":{},\"msgpack\":\"\"}", "msgpack"},
        {"{\"images\":{},\"img_req_headers\":{\"\":\"x\"}}", "img_req_headers"},
        {"{\"images\":{},\"img_req_headers\":{\"a:\":\"x\"}}", "img_req_headers"},
        {"{\"images\":{},\"img_req_headers\":{\"a\":\"x\\r\\nb: c\"}}", "img_req_headers"},
        {"{\"images\":{},\"img_req_headers\":{\"a\":7}}", "img_req_headers"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct extract_request request;
        struct extract_failure failure;
        assert_false(read_json(bad[i][0], &request, &failure));
        assert_true(failure.type && failure.error.status == FM_INVALID_ARGUMENT && failure.error.message[0]);
        if (!bad[i][1])
            assert_null(failure.field);
        else
            assert_string_equal(failure.field, bad[i][1]);
        fm_extract_reset(&request);
    }
}

/* Lists that take memory may not come again and again, and small values only so often. */
static void memory_is_bounded(void **state) {
    (void)state;
    struct extract_request request;
    struct extract_failure failure;
    static const char *const twice[] = {"\x82\xA6images\x81\xA4"
                                        "data\x91\xA0\xA6images\x81\xA4"
                                        "data\x91\xA0",
                                        "\x81\xA6images\x82\xA4urls\x91\xA0\xA4urls\x91\xA0"};
    for (size_t i = 0; i < 2; i++) {
        assert_false(fm_extract_read_msgpack((const uint8_t *)twice[i], strlen(twice[i]), &request, &failure));
        assert_string_equal(failure.error.message, "it is there twice");
        fm_extract_reset(&request);
    }
    struct text text = {0};
    fm_text_add(&text, "{\"images\":{\"data\":[0");
    for (int i = 0; i < 16400; i++)
        fm_text_add(&text, ",0");
    fm_text_add(&text, "]}}");
    assert_false(read_json(text.chars, &request, &failure));
    assert_int_equal(failure.error.status, FM_LIMIT);
    fm_extract_reset(&request);
    fm_text_reset(&text);
}

static void fields_of_a_form(void **state) {
    (void)state;
    static const char body[] = "--b\r\nContent-Disposition: form-data; name=threshold\r\n\r\n0.25\r\n"
                               "--b\r\nContent-Disposition: form-data; name=limit_faces\r\n\r\n3\r\n"
                               "--b\r\nContent-Disposition: form-data; name=draw_scores\r\n\r\nFalse\r\n--b--";
    struct http_form form;
    struct extract_request request;
    struct extract_failure failure;
    fm_error error = {0};
    assert_int_equal(
        fm_http_form_parse("multipart/form-data; boundary=b", (const uint8_t *)body, sizeof body - 1, &form, &error),
        FM_OK);
    assert_true(fm_extract_read_form(&form, &request, &failure));
    assert_true(request.threshold == 0.25 && request.limit_faces == 3 && !request.draw_scores && request.draw_sizes);
    fm_extract_reset(&request);
    fm_http_form_reset(&form);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),          cmocka_unit_test(values_in_other_clothes),
        cmocka_unit_test(urls_and_headers),  cmocka_unit_test(refusals_name_the_field),
        cmocka_unit_test(memory_is_bounded), cmocka_unit_test(fields_of_a_form),
    };
    return cmocka_run_group_tests_name("extract", tests, NULL, NULL);
}
