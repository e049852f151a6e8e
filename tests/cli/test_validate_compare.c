/* validate's arithmetic on made-up results: what counts, what is set apart because rounding alone decides, and what
   fails. The two accessors of fm_result are replaced at link time, so that a result is a plain array of faces here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "validate.h"

struct made {
    const fm_face *faces;
    size_t count;
};

size_t __wrap_fm_result_face_count(const fm_result *result);
const fm_face *__wrap_fm_result_face(const fm_result *result, size_t index);

size_t __wrap_fm_result_face_count(const fm_result *result) {
    return ((const struct made *)(const void *)result)->count;
}

const fm_face *__wrap_fm_result_face(const fm_result *result, size_t index) {
    const struct made *made = (const void *)result;
    return index < made->count ? &made->faces[index] : NULL;
}

static const struct limits limits = {.cosine = 0.999, .box = 2, .landmark = 1, .thresholds = {0.5, 0.5}};
static const float along[4] = {1, 0, 0, 0}, nearly[4] = {1, 0.01f, 0, 0}, across[4] = {0, 1, 0, 0};

static fm_face face(float x, float score) {
    fm_face made = {.box = {x, 10, x + 40, 60}, .score = score, .embedding = along, .embedding_size = 4};
    for (int k = 0; k < 5; k++) {
        made.landmarks[k][0] = x + (float)k;
        made.landmarks[k][1] = 30;
    }
    return made;
}

static struct tally compare(const fm_face *a, size_t count_a, const fm_face *b, size_t count_b, struct text *words) {
    struct made made_a = {a, count_a}, made_b = {b, count_b};
    struct tally tally;
    fm_text_clear(words);
    fm_results_compare((const fm_result *)(const void *)&made_a, (const fm_result *)(const void *)&made_b, NULL, 0,
                       &limits, &tally, words);
    return tally;
}

static void test_equal_faces_pass(void **state) {
    (void)state;
    struct text words = {0};
    fm_face faces[2] = {face(0, 0.9f), face(100, 0.8f)};
    struct tally tally = compare(faces, 2, faces, 2, &words);
    assert_true(fm_tally_good(&tally));
    assert_int_equal(tally.pairs, 2);
    assert_int_equal(tally.cosine.count, 2);
    assert_string_equal(fm_text_chars(&words), "");
    fm_text_reset(&words);
}

static void test_each_limit_fails_alone(void **state) {
    (void)state;
    struct text words = {0};
    fm_face a = face(0, 0.9f), b[3] = {a, a, a};
    b[0].box[2] += 2.5f;
    b[1].landmarks[3][1] -= 1.5f;
    b[2].embedding = across;
    for (int i = 0; i < 3; i++) {
        struct tally tally = compare(&a, 1, &b[i], 1, &words);
        assert_false(fm_tally_good(&tally));
        assert_int_equal(tally.over_limit, 1);
        assert_non_null(strstr(fm_text_chars(&words), "past a limit"));
    }
    fm_face close = a; /* within every limit */
    close.box[0] -= 1.9f;
    close.landmarks[0][0] += 0.9f;
    close.embedding = nearly;
    struct tally tally = compare(&a, 1, &close, 1, &words);
    assert_true(fm_tally_good(&tally));
    assert_true(tally.box.worst > 1.8 && tally.landmark.worst > 0.8 && tally.cosine.worst < 1);
    fm_text_reset(&words);
}

static void test_embeddings_of_other_sizes_fail(void **state) {
    (void)state;
    struct text words = {0};
    fm_face a = face(0, 0.9f), b = a;
    b.embedding_size = 3;
    struct tally tally = compare(&a, 1, &b, 1, &words);
    assert_false(fm_tally_good(&tally));
    assert_non_null(strstr(fm_text_chars(&words), "4 and 3 values"));
    fm_text_reset(&words);
}

static void test_a_rival_anchor_is_apart(void **state) {
    (void)state;
    struct text words = {0};
    fm_face a = face(0, 0.9f), b = a;
    b.box[0] += 5;
    b.embedding = across;
    b.rivals = 1; /* on either side */
    struct tally tally = compare(&a, 1, &b, 1, &words);
    assert_true(fm_tally_good(&tally));
    assert_int_equal(tally.rivals, 1);
    assert_int_equal(tally.pairs, 0);
    assert_int_equal(tally.cosine.count, 0);
    assert_true(tally.rival_box.worst > 4.9);
    assert_non_null(strstr(fm_text_chars(&words), "apart: "));
    fm_text_reset(&words);
}

static void test_missing_faces_fail_unless_at_the_threshold(void **state) {
    (void)state;
    struct text words = {0};
    fm_face faces[2] = {face(0, 0.9f), face(100, 0.8f)};
    struct tally tally = compare(faces, 2, faces, 1, &words);
    assert_false(fm_tally_good(&tally));
    assert_int_equal(tally.missing[1], 1);
    assert_int_equal(tally.missing[0], 0);
    tally = compare(faces, 1, faces, 2, &words);
    assert_int_equal(tally.missing[0], 1);
    faces[1].score = 0.5015f;
    tally = compare(faces, 2, faces, 1, &words);
    assert_true(fm_tally_good(&tally));
    assert_int_equal(tally.at_threshold, 1);
    faces[1].score = 0.5035f;
    tally = compare(faces, 2, faces, 1, &words);
    assert_int_equal(tally.missing[1], 1);
    fm_text_reset(&words);
}

static void test_another_order_fails_unless_scores_tie(void **state) {
    (void)state;
    struct text words = {0};
    fm_face a[2] = {face(0, 0.9f), face(100, 0.8f)}, b[2] = {a[1], a[0]};
    struct tally tally = compare(a, 2, b, 2, &words);
    assert_false(fm_tally_good(&tally));
    assert_int_equal(tally.disordered, 1);
    assert_int_equal(tally.pairs, 2);
    a[0].score = b[1].score = 0.801f;
    tally = compare(a, 2, b, 2, &words);
    assert_true(fm_tally_good(&tally));
    assert_int_equal(tally.order_ties, 1);
    fm_text_reset(&words);
}

static void test_crops_are_judged_for_every_face(void **state) {
    (void)state;
    struct text words = {0};
    fm_face faces[2] = {face(0, 0.9f), face(100, 0.8f)};
    faces[1].rivals = 1; /* the crop is identical, whatever anchor won */
    struct made made = {faces, 2};
    const fm_result *result = (const fm_result *)(const void *)&made;
    float left[8] = {1, 0, 0, 0, 1, 0, 0, 0}, right[8] = {1, 0, 0, 0, 0, 1, 0, 0};
    const float *const crops[2] = {left, right};
    struct tally tally, sum = {0};
    fm_results_compare(result, result, crops, 4, &limits, &tally, &words);
    assert_int_equal(tally.crops_over_limit, 1);
    assert_int_equal(tally.over_limit, 0);
    assert_false(fm_tally_good(&tally));
    fm_tally_add(&sum, &tally);
    fm_tally_add(&sum, &tally);
    assert_int_equal(sum.crop_cosine.count, 4);
    assert_true(sum.crop_cosine.worst < 0.01 && fm_spread_mean(&sum.crop_cosine) > 0.49);
    fm_text_reset(&words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_faces_pass),
        cmocka_unit_test(test_each_limit_fails_alone),
        cmocka_unit_test(test_embeddings_of_other_sizes_fail),
        cmocka_unit_test(test_a_rival_anchor_is_apart),
        cmocka_unit_test(test_missing_faces_fail_unless_at_the_threshold),
        cmocka_unit_test(test_another_order_fails_unless_scores_tie),
        cmocka_unit_test(test_crops_are_judged_for_every_face),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
