/* Engine on a provider made for the test, whose runs wait at a gate: what happens meanwhile can then be seen without
   luck. Batches fill across images, images are decoded ahead, sessions are opened once, a running call can be
   cancelled, and the options that only accelerators heed arrive. Needs no runtime library. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_support.h"
#include "fake_provider.h"

/* ---- tests */

static void faces_of_several_images_share_a_batch(void **state) {
    (void)state;
    static struct picture pictures[1 + MOST];
    fm_stats stats = {.struct_size = sizeof stats};
    fake.lanes = 1;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 2, .batch = MOST});
    gate_set(&gates[EMBEDDER], true);
    for (int i = 0; i <= MOST; i++) {
        picture_make(&pictures[i], 20 + 25 * i);
        (void)submit(engine, &pictures[i], NULL);
        if (i == 0)
            gate_wait_for(&gates[EMBEDDER], 1); /* the first face runs alone; the others gather behind it */
    }
    wait_until_filled(engine->recogniser, MOST);
    gate_set(&gates[EMBEDDER], false);
    fm_drain(engine);
    for (int i = 0; i <= MOST; i++)
        assert_true(atomic_load(&pictures[i].answered) && pictures[i].status == FM_OK);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.embed_batches[0], 1);
    assert_int_equal(stats.embed_batches[3], 1); /* one run of eight faces of eight images */
    assert_int_equal(stats.faces, 1 + MOST);
    fm_engine_close(engine);
}

static void images_are_decoded_while_the_network_runs(void **state) {
    (void)state;
    enum { AHEAD = 4 };
    static struct picture pictures[1 + AHEAD];
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    fm_stats stats = {.struct_size = sizeof stats};
    assert_true(fm_temporary_folder(folder, sizeof folder));
    fake.lanes = 1;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 1, .batch = AHEAD});
    gate_set(&gates[DETECTOR], true);
    picture_make(&pictures[0], 100);
    (void)submit(engine, &pictures[0], NULL);
    gate_wait_for(&gates[DETECTOR], 1);
    for (int i = 1; i <= AHEAD; i++) {
        char name[32];
        picture_make(&pictures[i], 30 * i);
        (void)snprintf(name, sizeof name, "%d.png", i);
        assert_true(fm_path_join(path, sizeof path, folder, name));
        assert_int_equal(fm_image_write(&pictures[i].pixels, path, FM_FILE_PNG, NULL), FM_OK);
        const fm_input input = fm_input_file(path);
        assert_int_equal(fm_submit(engine, &input, NULL, take_answer, &pictures[i], NULL, NULL), FM_OK);
    }
    wait_until_filled(engine->detector, AHEAD); /* read, decoded and letterboxed, while the only lane is held */
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.images, 0);
    assert_int_equal(stats.queue_depth, 1 + AHEAD);
    gate_set(&gates[DETECTOR], false);
    fm_drain(engine);
    for (int i = 0; i <= AHEAD; i++)
        assert_int_equal(pictures[i].status, FM_OK);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.detect_batches[0], 1);
    assert_int_equal(stats.detect_batches[2], 1);
    for (int stage = STAGE_QUEUE; stage <= STAGE_DETECT; stage++)
        assert_true(stats.stage_ms[stage] > 0);
    assert_true(stats.memory_peak_bytes > 0);
    fm_engine_close(engine);
    fm_folder_remove(folder);
}

static void analyze_some(fm_engine *engine, int count) {
    for (int i = 0; i < count; i++) {
        static struct picture picture;
        fm_result *result = NULL;
        picture_make(&picture, 10 * i);
        const fm_input input = fm_input_pixels(&picture.pixels);
        assert_int_equal(fm_analyze(engine, &input, NULL, &result, NULL), FM_OK);
        fm_result_free(result);
    }
}

static void sessions_are_opened_once(void **state) {
    (void)state;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 3});
    analyze_some(engine, 12);
    assert_int_equal(atomic_load(&opens[0]), 1);
    assert_int_equal(atomic_load(&opens[1]), 1);
    fm_engine_trim(engine);
    analyze_some(engine, 12);
    assert_int_equal(atomic_load(&opens[0]), 2);
    assert_int_equal(atomic_load(&opens[1]), 2);
    fm_engine_close(engine);
    fake.session_per_lane = true;
    engine = engine_on_fake((fm_engine_options){.threads = 3});
    analyze_some(engine, 24);
    assert_true(atomic_load(&opens[1]) <= 2 + 3); /* at most one for each lane */
    fm_engine_close(engine);
}

static void a_running_call_can_be_cancelled(void **state) {
    (void)state;
    static struct picture picture;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 1});
    gate_set(&gates[DETECTOR], true);
    picture_make(&picture, 50);
    const fm_ticket ticket = submit(engine, &picture, NULL);
    gate_wait_for(&gates[DETECTOR], 1);
    assert_int_equal(fm_cancel(engine, ticket), FM_OK);
    gate_set(&gates[DETECTOR], false);
    fm_drain(engine);
    assert_int_equal(picture.status, FM_CANCELLED);
    fm_engine_close(engine);
}

static void threads_become_lanes(void **state) {
    (void)state;
    fm_model_info info;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 3, .batch = 5});
    for (size_t i = 0; i < fm_engine_model_count(engine); i++) {
        assert_true(fm_engine_model(engine, i, &info));
        assert_int_equal(info.lanes, 3);
        assert_int_equal(info.max_batch, 5);
        assert_string_equal(info.provider, "fake");
        assert_string_equal(info.passed_over, "");
        assert_string_equal(info.elsewhere, "");
    }
    assert_int_equal(engine->budget.available, 3);
    fm_engine_close(engine);
}

/* A caller who knows only a struct's first fields gets those, and nothing behind them is touched. */
static void shorter_structs_are_filled_as_far_as_they_go(void **state) {
    (void)state;
    static struct picture picture;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 1});
    fm_result *result = NULL;
    fm_stats stats = {.struct_size = offsetof(fm_stats, faces), .faces = 77, .oom_retries = 88};
    fm_timings timings = {.struct_size = offsetof(fm_timings, detect_ms), .detect_ms = -1, .total_ms = -2};
    picture_make(&picture, 200);
    const fm_input input = fm_input_pixels(&picture.pixels);
    assert_int_equal(fm_analyze(engine, &input, NULL, &result, NULL), FM_OK);
    fm_engine_stats(engine, &stats);
    fm_result_timings(result, &timings);
    assert_int_equal(stats.images, 1);
    assert_int_equal(stats.faces, 77);
    assert_int_equal(stats.oom_retries, 88);
    assert_true(timings.letterbox_ms > 0 && timings.detect_ms < 0 && timings.total_ms < 0);
    assert_int_equal(timings.struct_size, offsetof(fm_timings, detect_ms));
    fm_result_free(result);
    fm_engine_close(engine);
}

static void device_and_precision_reach_the_provider(void **state) {
    (void)state;
    fm_model_info info;
    char plain[65];
    fake.host_compute = false;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 1});
    assert_int_equal(atomic_load(&device_seen), 0);
    (void)snprintf(plain, sizeof plain, "%s", fm_engine_pack_id(engine));
    fm_engine_close(engine);
    engine = engine_on_fake((fm_engine_options){.threads = 1, .device = 3, .precision = FM_PRECISION_FP16});
    assert_int_equal(atomic_load(&device_seen), 2); /* 1 + index */
    assert_int_equal(atomic_load(&precision_seen), FM_PRECISION_FP16);
    assert_true(fm_engine_model(engine, 0, &info));
    assert_string_equal(info.precision, "fp16");
    assert_string_not_equal(fm_engine_pack_id(engine), plain);
    fm_engine_close(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(faces_of_several_images_share_a_batch, fresh, clean),
        cmocka_unit_test_setup_teardown(images_are_decoded_while_the_network_runs, fresh, clean),
        cmocka_unit_test_setup_teardown(sessions_are_opened_once, fresh, clean),
        cmocka_unit_test_setup_teardown(a_running_call_can_be_cancelled, fresh, clean),
        cmocka_unit_test_setup_teardown(threads_become_lanes, fresh, clean),
        cmocka_unit_test_setup_teardown(shorter_structs_are_filled_as_far_as_they_go, fresh, clean),
        cmocka_unit_test_setup_teardown(device_and_precision_reach_the_provider, fresh, clean),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
