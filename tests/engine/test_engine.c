/* Engine, through the public API and on a generated pack with known answers: order, own statuses, cancel, deadline,
   busy, drain, trim, reports, policies. Needs a runtime library (FM_ORT_LIBRARY, or where scripts/setup.sh puts it);
   skips visibly without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"

static fm_engine *engine_with(const fm_engine_options *options) {
    fm_engine *engine = NULL;
    fm_error error = {0};
    if (fm_engine_open(options, &engine, &error) != FM_OK)
        fail_msg("engine: %s", error.message);
    return engine;
}

static fm_engine *engine_of(int threads, int batch, int queue_depth) {
    const fm_engine_options options = {.struct_size = sizeof options,
                                       .pack = test_pack("stock"),
                                       .providers = "ort:cpu",
                                       .threads = threads,
                                       .batch = batch,
                                       .queue_depth = queue_depth};
    return engine_with(&options);
}

static int need_runtime(void **state) {
    (void)state;
    if (!test_has_runtime())
        skip();
    return 0;
}

/* ---- one image, a batch */

static void known_answer(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(640, 400, 1);
    fm_engine *engine = engine_of(2, 0, 0);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_result *result = NULL;
    fm_error error = {0};
    assert_int_equal(fm_analyze(engine, &input, NULL, &result, &error), FM_OK);
    assert_int_equal(fm_result_width(result), 640);
    assert_int_equal(fm_result_height(result), 400);
    test_check_faces(&image, result);
    const fm_face *face = fm_result_face(result, 0);
    assert_int_equal(face->embedding_size, fm_engine_embedding_size(engine));
    assert_true(face->embedding_norm > 0.0f);
    assert_null(fm_result_face(result, fm_result_face_count(result)));
    fm_result_free(result);
    fm_engine_close(engine);
    test_image_free(&image);
}

static void batch_keeps_order_and_single_failures(void **state) {
    (void)need_runtime(state);
    enum { COUNT = 9 };
    struct test_image images[COUNT];
    fm_pixels pixels[COUNT];
    fm_input inputs[COUNT];
    fm_result *results[COUNT] = {NULL};
    fm_error error = {0};
    fm_engine *engine = engine_of(2, 3, 4);
    for (int i = 0; i < COUNT; i++) {
        images[i] = test_image_make(640, 80 + 80 * (i % 8), (uint32_t)i);
        pixels[i] = test_image_pixels(&images[i]);
        inputs[i] = fm_input_pixels(&pixels[i]);
    }
    inputs[4] = fm_input_encoded("not an image", 12);
    inputs[7] = fm_input_file("/nowhere/there is no such file.jpg");
    assert_int_equal(fm_analyze_batch(engine, inputs, COUNT, NULL, results, &error), FM_OK);
    for (int i = 0; i < COUNT; i++) {
        if (i == 4) {
            assert_int_equal(fm_result_status(results[i]), FM_BAD_IMAGE);
            assert_true(strlen(fm_result_message(results[i])) > 10);
        } else if (i == 7) {
            assert_int_equal(fm_result_status(results[i]), FM_NOT_FOUND);
            assert_non_null(strstr(fm_result_message(results[i]), "no such file.jpg"));
        } else {
            assert_int_equal(fm_result_status(results[i]), FM_OK);
            assert_int_equal(fm_result_height(results[i]), 80 + 80 * (i % 8));
            test_check_faces(&images[i], results[i]);
        }
        fm_result_free(results[i]);
        test_image_free(&images[i]);
    }
    fm_engine_close(engine);
}

static void result_outlives_its_engine(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(640, 160, 3);
    fm_engine *engine = engine_of(1, 0, 0);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    const fm_call_options options = {.struct_size = sizeof options, .keep_pixels = true};
    fm_result *result = NULL;
    assert_int_equal(fm_analyze(engine, &input, &options, &result, NULL), FM_OK);
    fm_engine_close(engine);
    test_check_faces(&image, result);
    const fm_pixels kept = fm_result_pixels(result);
    assert_int_equal(kept.width, 640);
    assert_memory_equal(kept.data, image.rgb, (size_t)640 * 160 * 3);
    fm_result_free(result);
    test_image_free(&image);
}

/* ---- submit, busy, cancel, deadline, drain */

struct gate {
    struct os_mutex mutex;
    struct os_cond changed;
    bool inside, open;
    atomic_int calls;
    fm_status last;
};

static void gate_init(struct gate *gate) {
    memset(gate, 0, sizeof *gate);
    fm_mutex_init(&gate->mutex);
    fm_cond_init(&gate->changed);
}

static void gate_reset(struct gate *gate) {
    fm_cond_reset(&gate->changed);
    fm_mutex_reset(&gate->mutex);
}

/* A callback that holds its host worker until the gate opens. */
static void hold_worker(fm_result *result, void *user) {
    struct gate *gate = user;
    fm_mutex_lock(&gate->mutex);
    gate->inside = true;
    fm_cond_broadcast(&gate->changed);
    while (!gate->open)
        fm_cond_wait(&gate->changed, &gate->mutex);
    fm_mutex_unlock(&gate->mutex);
    fm_result_free(result);
}

static void note_status(fm_result *result, void *user) {
    struct gate *gate = user;
    fm_mutex_lock(&gate->mutex);
    gate->last = fm_result_status(result);
    fm_mutex_unlock(&gate->mutex);
    atomic_fetch_add(&gate->calls, 1);
    fm_result_free(result);
}

static void gate_wait_inside(struct gate *gate) {
    fm_mutex_lock(&gate->mutex);
    while (!gate->inside)
        fm_cond_wait(&gate->changed, &gate->mutex);
    fm_mutex_unlock(&gate->mutex);
}

static void gate_open(struct gate *gate) {
    fm_mutex_lock(&gate->mutex);
    gate->open = true;
    fm_cond_broadcast(&gate->changed);
    fm_mutex_unlock(&gate->mutex);
}

static void busy_cancel_and_deadline(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(64, 64, 2);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    struct gate gate;
    gate_init(&gate);
    fm_ticket ticket = 0;
    fm_error error = {0};
    fm_stats stats = {.struct_size = sizeof stats};
    fm_engine *engine = engine_of(1, 0, 2);
    assert_int_equal(fm_submit(engine, &input, NULL, hold_worker, &gate, NULL, &error), FM_OK);
    gate_wait_inside(&gate); /* the only host worker is held; two calls fit into the queue */
    const fm_call_options soon = {.struct_size = sizeof soon, .deadline_ms = 1};
    assert_int_equal(fm_try_submit(engine, &input, NULL, note_status, &gate, &ticket, &error), FM_OK);
    assert_int_equal(fm_try_submit(engine, &input, NULL, note_status, &gate, NULL, &error), FM_OK);
    assert_int_equal(fm_try_submit(engine, &input, NULL, note_status, &gate, NULL, &error), FM_BUSY);
    assert_int_equal(error.status, FM_BUSY);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.queue_depth, 3); /* the held one, which is answered but not done, and the two */
    assert_int_equal(stats.queue_capacity, 2);
    assert_int_equal(fm_cancel(engine, ticket), FM_OK);
    assert_int_equal(fm_cancel(engine, ticket + 1000), FM_NOT_FOUND);
    gate_open(&gate);
    fm_drain(engine);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.queue_depth, 0);
    assert_int_equal(atomic_load(&gate.calls), 2);
    assert_int_equal(fm_cancel(engine, ticket), FM_NOT_FOUND);

    gate.open = gate.inside = false;
    assert_int_equal(fm_submit(engine, &input, NULL, hold_worker, &gate, NULL, NULL), FM_OK);
    gate_wait_inside(&gate);
    assert_int_equal(fm_submit(engine, &input, &soon, note_status, &gate, NULL, NULL), FM_OK);
    const uint64_t until = fm_clock_ns() + 5000000;
    while (fm_clock_ns() < until) {
    }
    gate_open(&gate);
    fm_drain(engine);
    assert_int_equal(gate.last, FM_DEADLINE);

    gate.open = gate.inside = false;
    assert_int_equal(fm_submit(engine, &input, NULL, hold_worker, &gate, NULL, NULL), FM_OK);
    gate_wait_inside(&gate);
    assert_int_equal(fm_submit(engine, &input, NULL, note_status, &gate, &ticket, NULL), FM_OK);
    assert_int_equal(fm_cancel(engine, ticket), FM_OK);
    gate_open(&gate);
    fm_drain(engine);
    assert_int_equal(gate.last, FM_CANCELLED);
    fm_engine_close(engine);
    gate_reset(&gate);
    test_image_free(&image);
}

static void count_call(fm_result *result, void *user) {
    atomic_fetch_add((atomic_int *)user, 1);
    fm_result_free(result);
}

static void close_finishes_what_was_accepted(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(300, 200, 4);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    atomic_int calls = 0;
    fm_engine *engine = engine_of(2, 0, 32);
    for (int i = 0; i < 20; i++)
        assert_int_equal(fm_submit(engine, &input, NULL, count_call, &calls, NULL, NULL), FM_OK);
    fm_engine_close(engine);
    assert_int_equal(atomic_load(&calls), 20);
    test_image_free(&image);
}

struct chain {
    fm_engine *engine;
    const fm_input *input;
    atomic_int left;
};

static void submit_next(fm_result *result, void *user) {
    struct chain *chain = user;
    fm_result_free(result);
    if (atomic_fetch_sub(&chain->left, 1) > 1)
        assert_int_equal(fm_try_submit(chain->engine, chain->input, NULL, submit_next, chain, NULL, NULL), FM_OK);
}

static void callback_may_submit_the_next(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(64, 64, 5);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    struct chain chain = {.engine = engine_of(2, 0, 1), .input = &input, .left = 10};
    assert_int_equal(fm_submit(chain.engine, &input, NULL, submit_next, &chain, NULL, NULL), FM_OK);
    fm_drain(chain.engine);
    assert_int_equal(atomic_load(&chain.left), 0);
    fm_engine_close(chain.engine);
    test_image_free(&image);
}

/* ---- trim, stats, reports */

static void trim_unloads_and_models_return(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(500, 300, 6);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_engine *engine = engine_of(2, 0, 0);
    fm_result *before = NULL, *after = NULL;
    fm_model_info info;
    fm_stats stats = {.struct_size = sizeof stats};
    assert_int_equal(fm_analyze(engine, &input, NULL, &before, NULL), FM_OK);
    fm_engine_stats(engine, &stats);
    const uint64_t held = stats.memory_bytes;
    assert_true(fm_engine_model(engine, 0, &info) && info.loaded);
    fm_engine_trim(engine);
    fm_engine_stats(engine, &stats);
    assert_true(stats.memory_bytes < held / 10);
    assert_true(fm_engine_model(engine, 0, &info) && !info.loaded);
    assert_int_equal(fm_analyze(engine, &input, NULL, &after, NULL), FM_OK);
    test_same_faces(before, after);
    assert_true(fm_engine_model(engine, 0, &info) && info.loaded);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.images, 2);
    assert_int_equal(stats.errors, 0);
    assert_int_equal(stats.faces, 2 * fm_result_face_count(before));
    assert_int_equal(stats.detect_batches[0], 2);
    assert_true(stats.stage_ms[4] > 0);
    fm_result_free(before);
    fm_result_free(after);
    fm_engine_close(engine);
    test_image_free(&image);
}

static void stats_count_every_stage(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(640, 240, 4);
    const fm_pixels pixels = test_image_pixels(&image);
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    fm_result *result = NULL;
    fm_stats stats = {.struct_size = sizeof stats};
    fm_timings timings = {.struct_size = sizeof timings};
    assert_true(fm_temporary_folder(folder, sizeof folder));
    assert_true(fm_path_join(path, sizeof path, folder, "a.png"));
    assert_int_equal(fm_image_write(&pixels, path, FM_FILE_PNG, NULL), FM_OK);
    fm_engine *engine = engine_of(1, 0, 0);
    const fm_input input = fm_input_file(path);
    assert_int_equal(fm_analyze(engine, &input, NULL, &result, NULL), FM_OK);
    fm_engine_stats(engine, &stats);
    for (size_t i = 0; i < FM_STAGES; i++)
        assert_true(stats.stage_ms[i] > 0);
    assert_true(stats.memory_bytes > (uint64_t)640 * 640 * 3 && stats.memory_peak_bytes > stats.memory_bytes);
    fm_result_timings(result, &timings);
    assert_true(timings.decode_ms > 0 && timings.embed_ms > 0 && timings.total_ms >= timings.decode_ms);
    fm_result_free(result);
    fm_engine_close(engine);
    fm_folder_remove(folder);
    test_image_free(&image);
}

static void two_engines_side_by_side(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(320, 240, 7);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_engine *one = engine_of(1, 0, 0), *two = engine_of(2, 4, 0);
    fm_result *a = NULL, *b = NULL;
    assert_int_equal(fm_analyze(one, &input, NULL, &a, NULL), FM_OK);
    assert_int_equal(fm_analyze(two, &input, NULL, &b, NULL), FM_OK);
    test_same_faces(a, b);
    assert_string_equal(fm_engine_pack_id(one), fm_engine_pack_id(two));
    assert_int_equal(strlen(fm_engine_pack_id(one)), 64);
    fm_engine_close(one);
    fm_result_free(a);
    fm_result_free(b);
    fm_engine_close(two);
    test_image_free(&image);
}

static void crops_embed_as_faces_do(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(640, 320, 8);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_engine *engine = engine_of(2, 0, 0);
    fm_result *result = NULL;
    fm_error error = {0};
    assert_int_equal(fm_analyze(engine, &input, NULL, &result, &error), FM_OK);
    const int side = fm_engine_crop_size(engine), size = fm_engine_embedding_size(engine);
    uint8_t *crop = malloc((size_t)side * (size_t)side * 3);
    float *embedding = malloc((size_t)size * sizeof *embedding);
    for (size_t i = 0; i < fm_result_face_count(result); i++) {
        const fm_face *face = fm_result_face(result, i);
        assert_int_equal(fm_crop_aligned(&pixels, face->landmarks, side, crop, &error), FM_OK);
        assert_int_equal(fm_embed_crops(engine, crop, 1, embedding, &error), FM_OK);
        assert_memory_equal(embedding, face->embedding, (size_t)size * sizeof *embedding);
        assert_true(fm_similarity(embedding, face->embedding, (size_t)size) > 0.999999f);
    }
    assert_int_equal(fm_crop_aligned(&pixels, fm_result_face(result, 0)->landmarks, 100, crop, &error),
                     FM_INVALID_ARGUMENT);
    free(crop);
    free(embedding);
    fm_result_free(result);
    fm_engine_close(engine);
    test_image_free(&image);
}

static void call_options_override_the_engine(void **state) {
    (void)need_runtime(state);
    struct test_image image = test_image_make(640, 480, 9);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_engine *engine = engine_of(2, 0, 0);
    fm_result *result = NULL;
    fm_error error = {0};
    fm_call_options options = {.struct_size = sizeof options, .max_faces = 1, .compute = FM_COMPUTE_DETECT};
    assert_int_equal(fm_analyze(engine, &input, &options, &result, &error), FM_OK);
    assert_int_equal(fm_result_face_count(result), 1);
    assert_null(fm_result_face(result, 0)->embedding);
    fm_result_free(result);
    options = (fm_call_options){.struct_size = sizeof options, .det_sizes = {320, 640}};
    assert_int_equal(fm_analyze(engine, &input, &options, &result, &error), FM_OK);
    assert_true(fm_result_face_count(result) >= TEST_SQUARES);
    fm_result_free(result);
    options = (fm_call_options){.struct_size = sizeof options, .min_face = 100000.0f};
    assert_int_equal(fm_analyze(engine, &input, &options, &result, &error), FM_OK);
    assert_int_equal(fm_result_face_count(result), 0);
    fm_result_free(result);
    options = (fm_call_options){.struct_size = sizeof options, .det_sizes = {333}};
    assert_int_equal(fm_analyze(engine, &input, &options, &result, &error), FM_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "333"));
    fm_result_free(result);
    fm_engine_close(engine);
    test_image_free(&image);
}

/* ---- policies */

static fm_status open_with(const char *providers, fm_policy policy, int device, fm_engine **engine, fm_error *error) {
    const fm_engine_options options = {.struct_size = sizeof options,
                                       .pack = test_pack("stock"),
                                       .providers = providers,
                                       .policy = policy,
                                       .device = device,
                                       .threads = 1};
    *error = (fm_error){0};
    return fm_engine_open(&options, engine, error);
}

static void policies_say_what_they_did(void **state) {
    (void)need_runtime(state);
    fm_engine *engine = NULL;
    fm_model_info info;
    fm_error error;
    assert_int_equal(open_with("ort:quantum", FM_POLICY_DEFAULT, 0, &engine, &error), FM_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "ort:quantum"));
    assert_non_null(strstr(error.message, "ort:cpu"));
    assert_int_equal(open_with("native", FM_POLICY_DEFAULT, 0, &engine, &error), FM_NO_PROVIDER);
    assert_null(engine);
    assert_non_null(strstr(error.message, "native"));
    assert_int_equal(open_with("native,ort:cpu", FM_POLICY_STRICT, 0, &engine, &error), FM_INVALID_ARGUMENT);
    assert_int_equal(open_with("ort:cuda", FM_POLICY_DEFAULT, FM_DEVICE_CPU, &engine, &error), FM_INVALID_ARGUMENT);
    assert_int_equal(open_with("native,ort:cpu", FM_POLICY_DEFAULT, 0, &engine, &error), FM_OK);
    assert_true(fm_engine_model(engine, 0, &info));
    assert_string_equal(info.provider, "ort:cpu");
    assert_non_null(strstr(info.passed_over, "native: "));
    fm_engine_close(engine);
    assert_int_equal(open_with(NULL, FM_POLICY_DEFAULT, FM_DEVICE_CPU, &engine, &error), FM_OK);
    fm_engine_close(engine);
}

static void edges_of_the_api(void **state) {
    (void)need_runtime(state);
    fm_engine *engine = NULL;
    fm_error error = {0};
    fm_engine_options options = {0};
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_INVALID_ARGUMENT);
    options = (fm_engine_options){.struct_size = sizeof options, .pack = "/nowhere/pack"};
    error = (fm_error){0};
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/pack"));
    options = (fm_engine_options){.struct_size = sizeof options, .pack = test_pack("stock"), .threads = -1};
    error = (fm_error){0};
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_INVALID_ARGUMENT);
    engine = engine_of(1, 0, 0);
    fm_result *result = NULL;
    const fm_input empty = {0};
    assert_int_equal(fm_analyze(engine, &empty, NULL, &result, &error), FM_INVALID_ARGUMENT);
    fm_result_free(result);
    const fm_input input = fm_input_encoded("x", 1);
    assert_int_equal(fm_submit(engine, &input, NULL, NULL, NULL, NULL, &error), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_analyze_batch(engine, NULL, 0, NULL, NULL, &error), FM_OK);
    fm_result_free(NULL);
    fm_image_free(NULL);
    fm_engine_close(engine);
    fm_engine_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answer),
        cmocka_unit_test(batch_keeps_order_and_single_failures),
        cmocka_unit_test(result_outlives_its_engine),
        cmocka_unit_test(busy_cancel_and_deadline),
        cmocka_unit_test(close_finishes_what_was_accepted),
        cmocka_unit_test(callback_may_submit_the_next),
        cmocka_unit_test(trim_unloads_and_models_return),
        cmocka_unit_test(stats_count_every_stage),
        cmocka_unit_test(two_engines_side_by_side),
        cmocka_unit_test(crops_embed_as_faces_do),
        cmocka_unit_test(call_options_override_the_engine),
        cmocka_unit_test(policies_say_what_they_did),
        cmocka_unit_test(edges_of_the_api),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
