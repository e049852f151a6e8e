/* Alignment: exact similarity transforms are recovered, degenerate ones refused, and the reference's matrices met. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/os.h"
#include "models/align.h"

static void test_template(void **state) {
    (void)state;
    float of_112[5][2], of_224[5][2], of_128[5][2], of_256[5][2], other[5][2];
    assert_true(fm_align_template(112, of_112) && fm_align_template(224, of_224));
    assert_true(fm_align_template(128, of_128) && fm_align_template(256, of_256));
    assert_float_equal(of_112[0][0], 38.2946f, 0.0f);
    for (int i = 0; i < 5; i++) {
        assert_float_equal(of_224[i][0], 2 * of_112[i][0], 1e-4f);
        assert_float_equal(of_128[i][0], of_112[i][0] + 8, 1e-4f); /* 8 pixels more on either side, none above */
        assert_float_equal(of_128[i][1], of_112[i][1], 1e-4f);
        assert_float_equal(of_256[i][0], 2 * of_128[i][0], 1e-4f);
    }
    assert_false(fm_align_template(0, other) || fm_align_template(-112, other) || fm_align_template(113, other) ||
                 fm_align_template(144, other));
}

/* Points made from the template by a known transform give its inverse back. */
static void test_a_known_transform_is_recovered(void **state) {
    (void)state;
    float points[5][2], moved[5][2];
    assert_true(fm_align_template(112, points));
    for (int turn = 0; turn < 12; turn++) {
        double angle = turn * 0.5236 + 0.1, scale = 0.3 + turn, c = cos(angle) * scale, s = sin(angle) * scale, m[6];
        for (int i = 0; i < 5; i++) {
            moved[i][0] = (float)(c * (double)points[i][0] - s * (double)points[i][1] + 100.0 * turn);
            moved[i][1] = (float)(s * (double)points[i][0] + c * (double)points[i][1] - 50.0 * turn);
        }
        assert_true(fm_align_matrix((const float(*)[2])moved, (const float(*)[2])points, m));
        assert_true(fabs(m[0] - c / (scale * scale)) < 1e-4 && fabs(m[3] + s / (scale * scale)) < 1e-4);
        assert_true(m[0] == m[4] && m[1] == -m[3]);
        for (int i = 0; i < 5; i++) {
            double x = m[0] * (double)moved[i][0] + m[1] * (double)moved[i][1] + m[2];
            double y = m[3] * (double)moved[i][0] + m[4] * (double)moved[i][1] + m[5];
            assert_true(fabs(x - (double)points[i][0]) < 1e-3 && fabs(y - (double)points[i][1]) < 1e-3);
        }
    }
}

static void test_degenerate_landmarks_are_refused(void **state) {
    (void)state;
    float points[5][2], same[5][2];
    double m[6];
    assert_true(fm_align_template(112, points));
    for (int i = 0; i < 5; i++) {
        same[i][0] = same[i][1] = 7.25f;
    }
    assert_false(fm_align_matrix((const float(*)[2])same, (const float(*)[2])points, m));
    memcpy(same, points, sizeof same);
    same[2][1] = NAN;
    assert_false(fm_align_matrix((const float(*)[2])same, (const float(*)[2])points, m));
    same[2][1] = INFINITY;
    assert_false(fm_align_matrix((const float(*)[2])same, (const float(*)[2])points, m));
}

/* Of all similarity transforms none may come closer, mirrored landmarks included: small changes of the answer only add
 * error. */
static double distance_left(const float from[5][2], const float to[5][2], const double m[6]) {
    double sum = 0.0;
    for (int i = 0; i < 5; i++) {
        double x = m[0] * (double)from[i][0] + m[1] * (double)from[i][1] + m[2] - (double)to[i][0];
        double y = m[3] * (double)from[i][0] + m[4] * (double)from[i][1] + m[5] - (double)to[i][1];
        sum += x * x + y * y;
    }
    return sum;
}

static void test_nothing_nearby_is_closer(void **state) {
    (void)state;
    float points[5][2], face[5][2];
    double m[6];
    assert_true(fm_align_template(112, points));
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        for (int i = 0; i < 5; i++) {
            face[i][0] = (mirrored ? -1.0f : 1.0f) * points[i][0] * 3 + (float)(i * i);
            face[i][1] = points[i][1] * 3 - (float)(5 * i % 7);
        }
        assert_true(fm_align_matrix((const float(*)[2])face, (const float(*)[2])points, m));
        double best = distance_left((const float(*)[2])face, (const float(*)[2])points, m);
        for (int k = 0; k < 4; k++) {
            for (double step = -1e-3; step < 2e-3; step += 2e-3) {
                double other[6];
                memcpy(other, m, sizeof other);
                if (k == 0) {
                    other[0] += step, other[4] += step;
                } else if (k == 1) {
                    other[1] -= step, other[3] += step;
                } else {
                    other[k == 2 ? 2 : 5] += step;
                }
                assert_true(distance_left((const float(*)[2])face, (const float(*)[2])points, other) > best);
            }
        }
    }
}

/* ------------------------------------------------------------------ reference */

static void read_points(const json_t *list, float points[5][2]) {
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 2; k++) {
            points[i][k] = (float)json_number_value(json_array_get(json_array_get(list, i), k));
        }
    }
}

static double worst_of(const json_t *face, const char *key, int side) {
    const json_t *matrix = json_object_get(face, key);
    float landmarks[5][2], points[5][2];
    double m[6], worst = 0.0;
    assert_non_null(matrix);
    read_points(json_object_get(face, "landmarks"), landmarks);
    assert_true(fm_align_template(side, points));
    assert_true(fm_align_matrix((const float(*)[2])landmarks, (const float(*)[2])points, m));
    for (size_t i = 0; i < 6; i++) {
        double expected = json_number_value(json_array_get(json_array_get(matrix, i / 3), i % 3));
        worst = fmax(worst, fabs(m[i] - expected));
    }
    return worst;
}

static void check_matrices(const char *path) {
    const char *const lists[] = {"sets", "synthetic"};
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    double exact = 0.0, single = 0.0;
    for (size_t list = 0; list < 2; list++) {
        const json_t *faces = json_object_get(root, lists[list]);
        assert_true(json_array_size(faces) > 0);
        for (size_t i = 0; i < json_array_size(faces); i++) {
            const json_t *face = json_array_get(faces, i);
            exact = fmax(exact, worst_of(face, "matrix_float64", 112));
            single = fmax(single, worst_of(face, "matrix", 112));
            if (list == 0) {
                single = fmax(single, worst_of(face, "matrix_size_128", 128) / 2);
                single = fmax(single, worst_of(face, "matrix_size_224", 224) / 2);
            }
        }
    }
    print_message("worst difference: %.2e to double, %.2e to single precision\n", exact, single);
    assert_true(exact < 1e-5 && single < 2e-4); /* "matrix" was made in single precision throughout */
    json_decref(root);
}

static void test_reference_matrices(void **state) {
    (void)state;
    char path[4096];
    const char *shared = fm_environment("FM_SHARED");
    check_matrices(MINI_ALIGNMENT);
    if (shared == NULL || !fm_path_join(path, sizeof path, shared, "expected/alignment.json") ||
        fm_path_kind(path) != OS_PATH_FILE) {
        print_message("without FM_SHARED/expected: the matrices of tests/golden/mini alone\n");
        return;
    }
    check_matrices(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_a_known_transform_is_recovered),
        cmocka_unit_test(test_degenerate_landmarks_are_refused),
        cmocka_unit_test(test_nothing_nearby_is_closer),
        cmocka_unit_test(test_reference_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
