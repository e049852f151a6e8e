/* Detector: rows of a batch in both orders lead to the same candidates, wrong shapes are named, and faces are kept by
   size and metric as insightface keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "models/detector.h"

#define HEADS 3
#define ANCHORS 2
#define WIDTH 96
#define HEIGHT 64
#define BATCH 3
#define OUTPUTS 9
#define MOST_VALUES ((WIDTH / 8) * (HEIGHT / 8) * ANCHORS * BATCH * 10)
#define MOST_CANDIDATES 512

static const int columns_of[3] = {1, 4, 10};

static void fill_model(struct model *model, bool interleaved) {
    memset(model, 0, sizeof *model);
    strcpy(model->file, "made.onnx");
    model->detector = (struct detector_recipe){.heads = HEADS,
                                               .anchors = ANCHORS,
                                               .interleaved = interleaved,
                                               .threshold = 0.5f,
                                               .nms_threshold = 0.4f,
                                               .nms_plus_one = true};
    for (int i = 0; i < HEADS; i++) {
        model->detector.strides[i] = 8 << i;
        model->detector.score_output[i] = i;
        model->detector.box_output[i] = 3 + i;
        model->detector.landmark_output[i] = 6 + i;
    }
}

/* What a network would say about column `k` of a row: different for every image, cell and anchor. */
static float answer(int output, int image, int cell, int anchor, int k) {
    uint32_t mixed = (uint32_t)(((((output * 7 + image) * 401 + cell) * 2 + anchor) * 11 + k) + 1) * 2654435761u;
    float unit = (float)(mixed >> 8) / 16777216.0f;
    return output < HEADS ? unit * 0.7f : 0.5f + 2 * unit;
}

struct outputs {
    struct tensor tensors[OUTPUTS];
    float *values[OUTPUTS];
};

static void make_outputs(struct outputs *outputs, int batch, int first_image, bool interleaved, bool rank_3) {
    for (int output = 0; output < OUTPUTS; output++) {
        int stride = 8 << (output % HEADS), columns = columns_of[output / HEADS];
        int cells = (WIDTH / stride) * (HEIGHT / stride);
        float *values = fm_alloc_array(MOST_VALUES, sizeof *values);
        assert_non_null(values);
        for (int image = 0; image < batch; image++) {
            for (int cell = 0; cell < cells; cell++) {
                for (int anchor = 0; anchor < ANCHORS; anchor++) {
                    int row = interleaved ? (cell * batch + image) * ANCHORS + anchor
                                          : (image * cells + cell) * ANCHORS + anchor;
                    for (int k = 0; k < columns; k++) {
                        values[row * columns + k] = answer(output, first_image + image, cell, anchor, k);
                    }
                }
            }
        }
        struct tensor *tensor = &outputs->tensors[output];
        *tensor = (struct tensor){.dtype = DTYPE_F32, .rank = rank_3 ? 3 : 2, .bytes = values};
        int64_t rows = (int64_t)cells * ANCHORS;
        if (rank_3) {
            tensor->dims[0] = batch, tensor->dims[1] = rows, tensor->dims[2] = columns;
        } else {
            tensor->dims[0] = rows * batch, tensor->dims[1] = columns;
        }
        outputs->values[output] = values;
    }
}

static void free_outputs(struct outputs *outputs) {
    for (int i = 0; i < OUTPUTS; i++) {
        fm_free(outputs->values[i]);
    }
}

static int open_device(void **state) {
    struct device *device = NULL;
    assert_int_equal(fm_device_row(0)->open(0, CPU_SCALAR, &device, NULL), FM_OK);
    *state = device;
    return 0;
}

static int close_device(void **state) {
    fm_device_row(0)->close(*state);
    return 0;
}

static size_t collect(struct device *device, const struct outputs *outputs, int batch, int slot, bool interleaved,
                      struct candidate *candidates) {
    static struct model model;
    size_t count = 0;
    fm_error error = {FM_OK, ""};
    fill_model(&model, interleaved);
    memset(candidates, 0, MOST_CANDIDATES * sizeof *candidates);
    if (fm_detector_check(&model, outputs->tensors, OUTPUTS, batch, WIDTH, HEIGHT, &error) != FM_OK ||
        fm_detector_collect(&model, device, outputs->tensors, batch, slot, WIDTH, HEIGHT, 0.8, 0.5f, candidates,
                            MOST_CANDIDATES, &count, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    return count;
}

static void test_every_row_order_gives_the_same_candidates(void **state) {
    static struct candidate alone[MOST_CANDIDATES], together[MOST_CANDIDATES];
    for (int image = 0; image < BATCH; image++) {
        struct outputs single;
        make_outputs(&single, 1, image, true, false);
        size_t count = collect(*state, &single, 1, 0, true, alone);
        assert_true(count > 20 && count < MOST_CANDIDATES);
        for (int kind = 0; kind < 3; kind++) { /* cell,image,anchor; image,cell,anchor of rank 2; and of rank 3 */
            struct outputs batch;
            make_outputs(&batch, BATCH, 0, kind == 0, kind == 2);
            assert_int_equal(collect(*state, &batch, BATCH, image, kind == 0, together), count);
            assert_memory_equal(alone, together, count * sizeof *alone);
            free_outputs(&batch);
        }
        free_outputs(&single);
    }
}

/* Stride 8 first, row by row, anchors side by side: the order that decides between equal scores. And the values
 * themselves. */
static void test_rows_come_in_insightfaces_order(void **state) {
    static struct candidate found[MOST_CANDIDATES];
    struct outputs single;
    size_t count = 0;
    make_outputs(&single, 1, 0, true, false);
    size_t total = collect(*state, &single, 1, 0, true, found);
    for (int head = 0; head < HEADS; head++) {
        int stride = 8 << head, across = WIDTH / stride;
        for (int cell = 0; cell < across * (HEIGHT / stride); cell++) {
            for (int anchor = 0; anchor < ANCHORS; anchor++) {
                float score = answer(head, 0, cell, anchor, 0);
                if (score < 0.5f) {
                    continue;
                }
                const struct candidate *candidate = &found[count];
                float x = (float)(cell % across * stride), y = (float)(cell / across * stride);
                float left = x - answer(3 + head, 0, cell, anchor, 0) * (float)stride;
                float below = y + answer(3 + head, 0, cell, anchor, 3) * (float)stride;
                float mouth_y = y + answer(6 + head, 0, cell, anchor, 9) * (float)stride;
                assert_true(candidate->score == score);
                assert_int_equal(candidate->order, count);
                assert_float_equal(candidate->box[0], left / 0.8f, 1e-4f);
                assert_float_equal(candidate->box[3], below / 0.8f, 1e-4f);
                assert_float_equal(candidate->landmarks[4][1], mouth_y / 0.8f, 1e-4f);
                count++;
            }
        }
    }
    assert_int_equal(count, total);
    free_outputs(&single);
}

static void test_a_second_size_continues_the_order(void **state) {
    static struct model model;
    static struct candidate found[2 * MOST_CANDIDATES];
    struct outputs single;
    size_t count = 0;
    fill_model(&model, true);
    make_outputs(&single, 1, 0, true, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fm_detector_collect(&model, *state, single.tensors, 1, 0, WIDTH, HEIGHT, 1.0, 0.5f, found,
                                             2 * MOST_CANDIDATES, &count, NULL),
                         FM_OK);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(found[i].order, i);
    }
    assert_true(count % 2 == 0 && found[0].score == found[count / 2].score);
    free_outputs(&single);
}

static void test_too_many_candidates(void **state) {
    static struct model model;
    static struct candidate found[4];
    struct outputs single;
    size_t count = 0;
    fm_error error = {FM_OK, ""};
    fill_model(&model, true);
    make_outputs(&single, 1, 0, true, false);
    assert_int_equal(
        fm_detector_collect(&model, *state, single.tensors, 1, 0, WIDTH, HEIGHT, 1.0, 0.5f, found, 4, &count, &error),
        FM_LIMIT);
    assert_non_null(strstr(error.message, "more than 4 candidate faces"));
    assert_true(count <= 4);
    free_outputs(&single);
}

static void test_shapes_are_checked(void **state) {
    (void)state;
    static struct model model;
    struct outputs single;
    fm_error error = {FM_OK, ""};
    fill_model(&model, true);
    make_outputs(&single, 1, 0, true, false);
    assert_int_equal(fm_detector_rows(&model, WIDTH, HEIGHT), (12 * 8 + 6 * 4 + 3 * 2) * ANCHORS);
    assert_int_equal(fm_detector_check(&model, single.tensors, OUTPUTS, 1, WIDTH, HEIGHT, NULL), FM_OK);
    assert_int_equal(fm_detector_check(&model, single.tensors, 8, 1, WIDTH, HEIGHT, NULL), FM_BAD_MODEL);
    assert_int_equal(fm_detector_check(&model, single.tensors, OUTPUTS, 2, WIDTH, HEIGHT, NULL), FM_BAD_MODEL);
    assert_int_equal(fm_detector_check(&model, single.tensors, OUTPUTS, 1, WIDTH + 32, HEIGHT, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "'made.onnx': output 0"));
    single.tensors[5].dtype = DTYPE_F16;
    assert_int_equal(fm_detector_check(&model, single.tensors, OUTPUTS, 1, WIDTH, HEIGHT, NULL), FM_BAD_MODEL);
    single.tensors[5].dtype = DTYPE_F32;
    single.tensors[8].dims[0] *= 2, single.tensors[8].dims[1] /= 2; /* as many values, other rows */
    assert_int_equal(fm_detector_check(&model, single.tensors, OUTPUTS, 1, WIDTH, HEIGHT, NULL), FM_BAD_MODEL);
    free_outputs(&single);
}

/* -------------------------------------------------------------------- finishing */

static struct candidate box(float x, float y, float width, float height, float score, uint32_t order) {
    return (struct candidate){.box = {x, y, x + width, y + height}, .score = score, .order = order};
}

static size_t finish(struct device *device, struct candidate *faces, size_t count, float min_face, int max_faces,
                     fm_face_metric metric) {
    static struct model model;
    struct buffer scratch = {0};
    fill_model(&model, true);
    size_t left = fm_detector_finish(&model, device, faces, count, 201, 101, min_face, max_faces, metric, &scratch);
    fm_buffer_reset(&scratch);
    return left;
}

/* Four faces that do not touch, the last overlapping the first. Image 201 x 101: its centre counts as (100, 50). */
static void fill_faces(struct candidate faces[5]) {
    faces[0] = box(0, 0, 40, 40, 0.9f, 4);    /* large, far away: 1600 - 2 * (80^2 + 30^2) */
    faces[1] = box(90, 40, 20, 20, 0.6f, 3);  /* in the middle: 400 */
    faces[2] = box(150, 40, 30, 20, 0.8f, 2); /* 600 - 2 * 65^2 */
    faces[3] = box(95, 70, 10, 10, 0.7f, 1);  /* small, near: 100 - 2 * 25^2 */
    faces[4] = box(2, 2, 40, 40, 0.5f, 0);
}

static void scores_are(const struct candidate *faces, const float *scores, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_float_equal(faces[i].score, scores[i], 0.0f);
    }
}

static void test_all_faces_by_score(void **state) {
    struct candidate faces[5];
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 0, 0, FM_METRIC_DEFAULT), 4);
    scores_are(faces, (const float[]){0.9f, 0.8f, 0.7f, 0.6f}, 4);
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 0, 4, FM_METRIC_CENTRE), 4); /* nothing to cut: still by score */
    scores_are(faces, (const float[]){0.9f, 0.8f, 0.7f, 0.6f}, 4);
    assert_int_equal(finish(*state, faces, 0, 0, 3, FM_METRIC_CENTRE), 0);
}

static void test_small_faces_are_dropped_before_the_cut(void **state) {
    struct candidate faces[5];
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 20, 0, FM_METRIC_DEFAULT), 3); /* the smaller side counts, 20 is enough */
    scores_are(faces, (const float[]){0.9f, 0.8f, 0.6f}, 3);
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 20.5f, 1, FM_METRIC_CENTRE), 1);
    assert_float_equal(faces[0].score, 0.9f, 0.0f); /* the nearer ones were too small */
}

static void test_the_cut_is_by_metric_and_so_is_the_order(void **state) {
    struct candidate faces[5];
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 0, 3, FM_METRIC_AREA), 3);
    scores_are(faces, (const float[]){0.9f, 0.8f, 0.6f}, 3);
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 0, 3, FM_METRIC_CENTRE), 3);
    scores_are(faces, (const float[]){0.6f, 0.7f, 0.8f}, 3);
    fill_faces(faces);
    assert_int_equal(finish(*state, faces, 5, 0, 1, FM_METRIC_DEFAULT), 1);
    assert_float_equal(faces[0].score, 0.6f, 0.0f);
}

/* Area less TWICE the squared distance: 1600 - 2 * 800 loses to 400 in the middle, which 1600 - 800 would not. */
static void test_distance_counts_twice(void **state) {
    struct candidate faces[3] = {box(100, 50, 40, 40, 0.9f, 0), box(90, 40, 20, 20, 0.8f, 1), box(0, 0, 5, 5, 0.7f, 2)};
    assert_int_equal(finish(*state, faces, 3, 0, 2, FM_METRIC_CENTRE), 2);
    scores_are(faces, (const float[]){0.8f, 0.9f}, 2);
}

static void test_equal_values_keep_their_order(void **state) {
    struct candidate faces[4];
    for (int i = 0; i < 4; i++) {
        faces[i] = box((float)(i * 50), 10, 20, 20, 0.9f - 0.1f * (float)i, (uint32_t)i);
    }
    assert_int_equal(finish(*state, faces, 4, 0, 2, FM_METRIC_AREA), 2);
    scores_are(faces, (const float[]){0.9f, 0.9f - 0.1f}, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_order_gives_the_same_candidates),
        cmocka_unit_test(test_rows_come_in_insightfaces_order),
        cmocka_unit_test(test_a_second_size_continues_the_order),
        cmocka_unit_test(test_too_many_candidates),
        cmocka_unit_test(test_shapes_are_checked),
        cmocka_unit_test(test_all_faces_by_score),
        cmocka_unit_test(test_small_faces_are_dropped_before_the_cut),
        cmocka_unit_test(test_the_cut_is_by_metric_and_so_is_the_order),
        cmocka_unit_test(test_distance_counts_twice),
        cmocka_unit_test(test_equal_values_keep_their_order),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
