/* Answers of workers as they are read: faces bit for bit in both interfaces, refusals, health, packs. What is wrong
   with an answer is tests/client/test_client_failures.py's and the fuzzer's. */
#include "client/reply.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static fm_reply *read_good(enum dialect dialect, const char *json) {
    fm_reply *reply = fm_reply_new();
    fm_error error = {0};
    assert_non_null(reply);
    fm_status status = fm_reply_read(reply, dialect, json, strlen(json), &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, FM_OK);
    assert_int_equal(fm_reply_status(reply), FM_OK);
    assert_string_equal(fm_reply_message(reply), "");
    return reply;
}

static void ours_bit_for_bit(void **state) {
    (void)state;
    fm_reply *reply = read_good(
        DIALECT_V1,
        "{\"width\":3,\"height\":2,\"faces\":[{\"box\":[0.1,-1e-45,3.4028235e38,16777216],\"score\":0.87654322,"
        "\"landmarks\":[[1,2],[3,4],[5,6],[7,8],[9,0.3]],\"embedding\":\"zczMPQAAgL8=\",\"embedding_norm\":7.5},"
        "{\"box\":[1,2,3,4],\"score\":0,\"landmarks\":null,\"embedding\":null}],\"more\":{}}");
    const float box[4] = {0.1f, -1e-45f, 3.4028235e38f, 16777216.0f};
    const fm_face *face = fm_reply_face(reply, 0);
    assert_int_equal(fm_reply_width(reply), 3);
    assert_int_equal(fm_reply_height(reply), 2);
    assert_int_equal(fm_reply_face_count(reply), 2);
    assert_memory_equal(face->box, box, sizeof box);
    assert_true(face->score == 0.87654322f && face->landmarks[4][1] == 0.3f);
    assert_int_equal(face->embedding_size, 2);
    assert_true(face->embedding[0] == 0.1f && face->embedding[1] == -1.0f && face->embedding_norm == 7.5f);
    face = fm_reply_face(reply, 1);
    assert_null(face->embedding);
    assert_int_equal(face->embedding_size, 0);
    assert_true(face->landmarks[2][0] == 0.0f);
    assert_true(fm_reply_embedded(reply));
    assert_null(fm_reply_face(reply, 2));
    fm_reply_free(reply);
}

static void without_a_recogniser(void **state) {
    (void)state;
    fm_reply *reply = read_good(DIALECT_V1, "{\"width\":3,\"height\":2,\"faces\":[{\"box\":[1,2,3,4],\"score\":1,"
                                            "\"landmarks\":[[1,2],[3,4],[5,6],[7,8],[9,0]]}]}");
    assert_false(fm_reply_embedded(reply));
    fm_reply_free(reply);
}

static void a_gpu_workers(void **state) {
    (void)state;
    fm_reply *reply =
        read_good(DIALECT_GPU, "{\"image_width\":640,\"image_height\":480,\"faces\":[{\"bbox_x\":10,\"bbox_y\":-2,"
                               "\"bbox_width\":30,\"bbox_height\":40,\"confidence\":0.5,\"embedding\":[3,4],"
                               "\"landmarks\":[[1,2],[3,4],[5,6],[7,8],[9,0]]}],\"processing_time_ms\":1}");
    const float box[4] = {10, -2, 40, 38};
    const fm_face *face = fm_reply_face(reply, 0);
    assert_memory_equal(face->box, box, sizeof box);
    assert_true(face->embedding_norm == 5.0f && face->score == 0.5f);
    fm_reply_free(reply);
}

static void a_failure_leaves_no_faces(void **state) {
    (void)state;
    static const char json[] = "{\"width\":3,\"height\":2,\"faces\":[{\"box\":[1,2,3,4],\"score\":1,\"landmarks\":null,"
                               "\"embedding\":[1]},{\"box\":[1,2,3,4],\"score\":1,\"embedding\":[1,2]}]}";
    fm_reply *reply = fm_reply_new();
    fm_error error = {0};
    assert_int_equal(fm_reply_read(reply, DIALECT_V1, json, strlen(json), &error), FM_INVALID_ARGUMENT);
    assert_string_equal(error.message, "face 2: its embedding has another number of values than those before");
    assert_int_equal(fm_reply_face_count(reply), 0);
    assert_int_equal(fm_reply_width(reply), 0);
    fm_reply_fail(reply, FM_IO, "words");
    assert_int_equal(fm_reply_status(reply), FM_IO);
    assert_string_equal(fm_reply_message(reply), "words");
    assert_string_equal(fm_reply_source(reply), "");
    fm_reply_free(reply);
    fm_reply_free(NULL);
}

static struct refusal refused(long code, const char *json) {
    return fm_refusal_read(code, json, strlen(json));
}

static void refusals(void **state) {
    (void)state;
    struct refusal refusal = refused(422, "{\"error\":{\"code\":\"truncated\",\"message\":\"ends early\"}}");
    assert_int_equal(refusal.status, FM_TRUNCATED);
    assert_string_equal(refusal.words, "ends early");
    assert_int_equal(refused(422, "{\"error\":{\"code\":\"out_of_memory\"}}").status, FM_BAD_IMAGE);
    assert_int_equal(refused(413, "").status, FM_LIMIT);
    assert_int_equal(refused(415, "[]").status, FM_UNSUPPORTED);
    assert_int_equal(refused(400, "{}").status, FM_BAD_IMAGE);
    assert_int_equal(refused(500, "{\"error\":{\"code\":\"limit\"}}").status, FM_OK);
    refusal = refused(503, "{\"detail\":\"not\\u001b yet\"}");
    assert_int_equal(refusal.status, FM_OK);
    assert_string_equal(refusal.words, "not  yet");
    assert_string_equal(refused(404, "{\"detail\":[{\"msg\":\"a list\"}]}").words, "it answers 404");
}

/* Words too long are cut between two characters. */
static void long_words(void **state) {
    (void)state;
    char json[4000] = "{\"detail\":\"";
    for (size_t i = strlen(json); i + 8 < sizeof json; i += 2)
        memcpy(json + i, "\xC3\xA9", 3);
    memcpy(json + strlen(json), "\"}", 3);
    struct refusal refusal = refused(500, json);
    size_t length = strlen(refusal.words);
    assert_in_range(length, REPLY_WORDS - 4, REPLY_WORDS - 1);
    assert_int_equal(length % 2, 0);
}

static void health_and_packs(void **state) {
    (void)state;
    static const char healthy[] = "{\"status\":\"healthy\",\"gpu_available\":true}",
                      starting[] = "{\"status\":\"initializing\"}";
    static const char models[] = "{\"version\":\"0.1.0\",\"pack\":{\"name\":\"mini\",\"id\":\"abc\"},\"models\":[]}";
    char words[REPLY_WORDS];
    struct worker_pack pack;
    assert_true(fm_worker_health_read(healthy, sizeof healthy - 1, words));
    assert_false(fm_worker_health_read(starting, sizeof starting - 1, words));
    assert_string_equal(words, "it says it is 'initializing'");
    assert_false(fm_worker_health_read("<html>", 6, words));
    assert_true(fm_worker_pack_read(models, sizeof models - 1, &pack));
    assert_string_equal(pack.name, "mini");
    assert_string_equal(pack.id, "abc");
    assert_false(fm_worker_pack_read(healthy, sizeof healthy - 1, &pack));
    assert_string_equal(pack.id, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_bit_for_bit), cmocka_unit_test(without_a_recogniser),
        cmocka_unit_test(a_gpu_workers),    cmocka_unit_test(a_failure_leaves_no_faces),
        cmocka_unit_test(refusals),         cmocka_unit_test(long_words),
        cmocka_unit_test(health_and_packs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
