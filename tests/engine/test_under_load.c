/* Engine under load, on a provider made for the test: what nobody wants any more is not computed, whoever says so and
   whenever; batches wait for company as long as they were told to and no longer; models unload between calls and
   under them. Counts images that reached the provider, so nothing here depends on speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine_support.h"
#include "fake_provider.h"

#define LONG_WAIT_US 10000000 /* a test that waited for it would show */

/* ---- counting */

static int detected_before, embedded_before, detector_runs_before;

/* The provider's trials at load do not count. */
static fm_engine *engine_counted(fm_engine_options options) {
    fm_engine *engine = engine_on_fake(options);
    detected_before = atomic_load(&images[DETECTOR]);
    embedded_before = atomic_load(&images[EMBEDDER]);
    detector_runs_before = atomic_load(&runs[DETECTOR]);
    return engine;
}

static int detected(void) {
    return atomic_load(&images[DETECTOR]) - detected_before;
}

static int embedded(void) {
    return atomic_load(&images[EMBEDDER]) - embedded_before;
}

static int detector_runs(void) {
    return atomic_load(&runs[DETECTOR]) - detector_runs_before;
}

static fm_stats stats_of(const fm_engine *engine) {
    fm_stats stats = {.struct_size = sizeof stats};
    fm_engine_stats(engine, &stats);
    return stats;
}

/* ---- a caller who loses interest */

struct caller {
    atomic_int asked;
    int patience;      /* wants the answer that many times */
    struct gate *gate; /* to hold the worker that asks; NULL: none */
};

static bool still_wanted(void *user) {
    struct caller *caller = user;
    const int before = atomic_fetch_add(&caller->asked, 1);
    if (caller->gate)
        gate_pass(caller->gate);
    return before < caller->patience;
}

static fm_call_options options_of(struct caller *caller) {
    return (fm_call_options){.struct_size = sizeof(fm_call_options), .wanted = still_wanted, .wanted_user = caller};
}

/* What one picture came to, for a caller who wants it `patience` times. */
struct outcome {
    fm_status status;
    int asked, width, detected, embedded;
};

static struct outcome analyze_for(int patience, uint32_t compute) {
    static struct picture picture;
    struct caller caller = {.patience = patience};
    fm_call_options options = options_of(&caller);
    fm_result *result = NULL;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1});
    options.compute = compute;
    picture_make(&picture, 90);
    const fm_input input = fm_input_pixels(&picture.pixels);
    struct outcome outcome = {.status = fm_analyze(engine, &input, &options, &result, NULL)};
    const fm_stats stats = stats_of(engine);
    outcome.asked = atomic_load(&caller.asked);
    outcome.width = fm_result_width(result);
    outcome.detected = detected();
    outcome.embedded = embedded();
    assert_int_equal(fm_result_status(result), outcome.status);
    assert_int_equal(stats.images, 1);
    assert_int_equal(stats.cancelled, outcome.status == FM_CANCELLED);
    assert_int_equal(stats.errors, outcome.status != FM_OK);
    assert_int_equal(stats.expired, 0);
    fm_result_free(result);
    fm_engine_close(engine);
    return outcome;
}

static void check_outcome(struct outcome have, struct outcome want) {
    assert_int_equal(have.status, want.status);
    assert_int_equal(have.asked, want.asked);
    assert_int_equal(have.width, want.width);
    assert_int_equal(have.detected, want.detected);
    assert_int_equal(have.embedded, want.embedded);
}

static void what_is_not_wanted_is_not_computed(void **state) {
    (void)state;
    check_outcome(analyze_for(0, FM_COMPUTE_ALL), (struct outcome){FM_CANCELLED, 1, 0, 0, 0});
    check_outcome(analyze_for(1, FM_COMPUTE_ALL), (struct outcome){FM_CANCELLED, 2, DET_SIDE, 0, 0});
    check_outcome(analyze_for(2, FM_COMPUTE_ALL), (struct outcome){FM_CANCELLED, 3, DET_SIDE, 0, 0});
    check_outcome(analyze_for(3, FM_COMPUTE_ALL), (struct outcome){FM_CANCELLED, 4, DET_SIDE, 1, 0});
    check_outcome(analyze_for(4, FM_COMPUTE_ALL), (struct outcome){FM_OK, 4, DET_SIDE, 1, 1});
    check_outcome(analyze_for(3, FM_COMPUTE_DETECT), (struct outcome){FM_OK, 3, DET_SIDE, 1, 0});
}

static void what_is_not_wanted_is_not_read(void **state) {
    (void)state;
    struct caller caller = {.patience = 0};
    const fm_call_options options = options_of(&caller);
    const fm_input input = fm_input_file("/nowhere/at/all.jpg");
    fm_result *result = NULL;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1});
    assert_int_equal(fm_analyze(engine, &input, &options, &result, NULL), FM_CANCELLED);
    assert_string_equal(fm_result_message(result), "not wanted any more by the caller");
    fm_result_free(result);
    caller = (struct caller){.patience = 1};
    assert_int_equal(fm_analyze(engine, &input, &options, &result, NULL), FM_NOT_FOUND);
    assert_int_equal(atomic_load(&caller.asked), 1); /* a call that has failed asks no more */
    fm_result_free(result);
    fm_engine_close(engine);
}

/* A caller who knows an older fm_call_options: what is behind its end is not looked at. */
static void shorter_call_options_ask_nobody(void **state) {
    (void)state;
    static struct picture picture;
    struct caller caller = {.patience = 0};
    fm_call_options options = options_of(&caller);
    fm_result *result = NULL;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1});
    options.struct_size = offsetof(fm_call_options, wanted);
    picture_make(&picture, 10);
    const fm_input input = fm_input_pixels(&picture.pixels);
    assert_int_equal(fm_analyze(engine, &input, &options, &result, NULL), FM_OK);
    assert_int_equal(atomic_load(&caller.asked), 0);
    fm_result_free(result);
    fm_engine_close(engine);
}

static void wait_until_late(uint64_t until) {
    struct os_mutex mutex;
    struct os_cond never;
    fm_mutex_init(&mutex);
    fm_cond_init(&never);
    fm_mutex_lock(&mutex);
    while (fm_cond_wait_until(&never, &mutex, until)) {
    }
    fm_mutex_unlock(&mutex);
    fm_cond_reset(&never);
    fm_mutex_reset(&mutex);
}

/* Calls end in the queue: cancelled and late ones are known before anybody is asked or anything is read. */
static void cancelled_and_late_calls_end_in_the_queue(void **state) {
    (void)state;
    static struct picture pictures[4];
    struct caller holding = {.patience = 9, .gate = &gates[OPENING]};
    struct caller callers[4] = {{.patience = 9}, {.patience = 9}, {.patience = 0}, {.patience = 9}};
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1});
    const fm_call_options first = options_of(&holding);
    static struct picture held;
    fm_ticket tickets[4];
    picture_make(&held, 60);
    gate_set(&gates[OPENING], true);
    (void)submit(engine, &held, &first);
    gate_wait_for(&gates[OPENING], 1); /* the only worker asks, and is not answered yet */
    for (int i = 0; i < 4; i++) {
        fm_call_options options = options_of(&callers[i]);
        options.deadline_ms = i == 1;
        picture_make(&pictures[i], 20 * i);
        tickets[i] = submit(engine, &pictures[i], &options);
    }
    assert_int_equal(fm_cancel(engine, tickets[0]), FM_OK);
    wait_until_late(fm_clock_ns() + 2000000);
    gate_set(&gates[OPENING], false);
    fm_drain(engine);
    const fm_stats stats = stats_of(engine);
    const fm_status want[4] = {FM_CANCELLED, FM_DEADLINE, FM_CANCELLED, FM_OK};
    const int asked[4] = {0, 0, 1, 4};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pictures[i].status, want[i]);
        assert_int_equal(atomic_load(&callers[i].asked), asked[i]);
    }
    assert_int_equal(held.status, FM_OK);
    assert_int_equal(detected(), 2);
    assert_int_equal(embedded(), 2);
    assert_int_equal(stats.cancelled, 2);
    assert_int_equal(stats.expired, 1);
    assert_int_equal(stats.errors, 3);
    assert_int_equal(fm_cancel(engine, tickets[3]), FM_NOT_FOUND);
    fm_engine_close(engine);
}

/* ---- slots that were taken already */

/* Nobody looks at a call whose slot waits in an open batch: the network's mutex hands the change on to the lane. */
static void let_expire(fm_engine *engine, struct network *network, fm_ticket ticket) {
    fm_mutex_lock(&engine->mutex);
    for (int i = 0; i < engine->settings.queue_depth; i++)
        if (engine->jobs[i].ticket == ticket) {
            fm_mutex_lock(&network->mutex);
            engine->jobs[i].deadline_ns = engine->jobs[i].submitted_ns + 1;
            fm_mutex_unlock(&network->mutex);
        }
    fm_mutex_unlock(&engine->mutex);
}

/* Six pictures in one open batch of the detector or of the recogniser, behind one that runs: the first, one in the
   middle and the last are given up meanwhile. */
static void given_up_in_an_open_batch(int kind) {
    enum { COUNT = 6 };
    static struct picture pictures[1 + COUNT];
    fm_ticket tickets[1 + COUNT];
    fake.lanes = 1;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = MOST});
    struct network *network = kind == DETECTOR ? engine->detector : engine->recogniser;
    gate_set(&gates[kind], true);
    for (int i = 0; i <= COUNT; i++) {
        picture_make(&pictures[i], 30 * i);
        tickets[i] = submit(engine, &pictures[i], NULL);
        if (i == 0)
            gate_wait_for(&gates[kind], 1);
        else
            wait_until_filled(network, i); /* so slots are in the order of pictures */
    }
    assert_int_equal(fm_cancel(engine, tickets[1]), FM_OK);
    let_expire(engine, network, tickets[3]);
    assert_int_equal(fm_cancel(engine, tickets[COUNT]), FM_OK);
    gate_set(&gates[kind], false);
    fm_drain(engine);
    for (int i = 0; i <= COUNT; i++)
        assert_int_equal(pictures[i].status, i == 1 || i == COUNT ? FM_CANCELLED : i == 3 ? FM_DEADLINE : FM_OK);
    const fm_stats stats = stats_of(engine);
    const uint64_t *histogram = kind == DETECTOR ? stats.detect_batches : stats.embed_batches;
    assert_int_equal(kind == DETECTOR ? detected() : embedded(), 4);
    assert_int_equal(histogram[0], 1); /* the first picture alone, then the three that were left of six */
    assert_int_equal(histogram[2], 1);
    assert_int_equal(histogram[3], 0);
    assert_int_equal(stats.cancelled, 2);
    assert_int_equal(stats.expired, 1);
    assert_int_equal(stats.faces, 4);
    fm_engine_close(engine);
}

static void slots_given_up_are_not_detected(void **state) {
    (void)state;
    given_up_in_an_open_batch(DETECTOR);
}

static void slots_given_up_are_not_embedded(void **state) {
    (void)state;
    given_up_in_an_open_batch(EMBEDDER);
}

static void a_batch_of_nobody_is_not_run(void **state) {
    (void)state;
    static struct picture pictures[3];
    fm_ticket tickets[3];
    fake.lanes = 1;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1, .batch = MOST});
    gate_set(&gates[DETECTOR], true);
    for (int i = 0; i < 3; i++) {
        picture_make(&pictures[i], 100 * i);
        tickets[i] = submit(engine, &pictures[i], NULL);
        if (i == 0)
            gate_wait_for(&gates[DETECTOR], 1);
    }
    wait_until_filled(engine->detector, 2);
    for (int i = 1; i < 3; i++)
        assert_int_equal(fm_cancel(engine, tickets[i]), FM_OK);
    gate_set(&gates[DETECTOR], false);
    fm_drain(engine);
    assert_int_equal(pictures[0].status, FM_OK);
    assert_int_equal(pictures[1].status, FM_CANCELLED);
    assert_int_equal(pictures[2].status, FM_CANCELLED);
    assert_int_equal(detector_runs(), 1);
    assert_int_equal(detected(), 1);
    assert_int_equal(stats_of(engine).detect_batches[1], 0);
    fm_engine_close(engine);
}

/* ---- waiting for company */

static void a_full_batch_does_not_wait(void **state) {
    (void)state;
    static struct picture pictures[2 * MOST];
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = 4, .max_wait_us = LONG_WAIT_US});
    const uint64_t start = fm_clock_ns();
    for (int i = 0; i < 2 * MOST; i++) {
        picture_make(&pictures[i], 10 * i);
        (void)submit(engine, &pictures[i], NULL);
    }
    fm_drain(engine);
    const uint64_t took = fm_clock_ns() - start;
    const fm_stats stats = stats_of(engine);
    for (int i = 0; i < 2 * MOST; i++)
        assert_int_equal(pictures[i].status, FM_OK);
    for (int i = 0; i < FM_BATCH_BUCKETS; i++) {
        assert_int_equal(stats.detect_batches[i], i == 2 ? 4 : 0); /* four by four, all of them */
        assert_int_equal(stats.embed_batches[i], i == 2 ? 4 : 0);
    }
    assert_true(took < (uint64_t)LONG_WAIT_US * 1000u);
    fm_engine_close(engine);
}

static void the_oldest_slot_waits_as_long_as_it_may(void **state) {
    (void)state;
    enum { WAIT_US = 200000 };
    static struct picture picture;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = 4, .max_wait_us = WAIT_US});
    const uint64_t start = fm_clock_ns();
    const clock_t computed = clock();
    picture_make(&picture, 70);
    (void)submit(engine, &picture, NULL);
    fm_drain(engine);
    const uint64_t took = fm_clock_ns() - start;
    assert_int_equal(picture.status, FM_OK);
    assert_true(took >= 2 * (uint64_t)WAIT_US * 1000u); /* once for each network */
    assert_true(took < PATIENCE_NS);
    assert_true((double)(clock() - computed) / CLOCKS_PER_SEC < 2 * WAIT_US / 1e6 / 2); /* asleep meanwhile */
    assert_int_equal(stats_of(engine).detect_batches[0], 1);
    fm_engine_close(engine);
}

static void batches_of_one_do_not_wait(void **state) {
    (void)state;
    static struct picture picture;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1, .batch = 1, .max_wait_us = LONG_WAIT_US});
    const uint64_t start = fm_clock_ns();
    picture_make(&picture, 70);
    (void)submit(engine, &picture, NULL);
    fm_drain(engine);
    assert_int_equal(picture.status, FM_OK);
    assert_true(fm_clock_ns() - start < (uint64_t)LONG_WAIT_US * 1000u);
    fm_engine_close(engine);
}

static void take_detected(fm_result *result, void *user) {
    ((struct picture *)user)->status = fm_result_status(result);
    fm_result_free(result);
}

/* Trimming lets no company in, so what waits for it goes at once. */
static void trimming_ends_the_wait(void **state) {
    (void)state;
    static struct picture picture;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 1, .batch = 4, .max_wait_us = LONG_WAIT_US});
    const fm_call_options options = {.struct_size = sizeof options, .compute = FM_COMPUTE_DETECT};
    const uint64_t start = fm_clock_ns();
    picture_make(&picture, 70);
    const fm_input input = fm_input_pixels(&picture.pixels);
    assert_int_equal(fm_submit(engine, &input, &options, take_detected, &picture, NULL, NULL), FM_OK);
    wait_until_filled(engine->detector, 1);
    fm_engine_trim(engine);
    fm_drain(engine);
    assert_int_equal(picture.status, FM_OK);
    assert_true(fm_clock_ns() - start < (uint64_t)LONG_WAIT_US * 1000u);
    fm_engine_close(engine);
}

static void too_long_a_wait_is_refused(void **state) {
    (void)state;
    fm_engine *engine = NULL;
    fm_error error;
    const fm_engine_options options = {.struct_size = sizeof options, .max_wait_us = LONG_WAIT_US + 1};
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_INVALID_ARGUMENT);
    assert_string_equal(error.message, "longest wait 10000001 us: expected 0 (none) to 10000000");
    assert_null(engine);
}

/* ---- pictures in memory */

/* The detector's batches fill although the recogniser's are full: faces on their way hold no picture. */
static void both_networks_have_full_batches_at_once(void **state) {
    (void)state;
    enum { EMBEDDED = 1 + MOST, COUNT = EMBEDDED + 1 + MOST };
    static struct picture pictures[COUNT];
    fake.lanes = 1;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = MOST});
    gate_set(&gates[EMBEDDER], true);
    for (int i = 0; i < COUNT; i++) {
        picture_make(&pictures[i], 10 * i);
        if (i == EMBEDDED)
            gate_set(&gates[DETECTOR], true);
        (void)submit(engine, &pictures[i], NULL);
        if (i == 0 || i == EMBEDDED)
            gate_wait_for(&gates[i ? DETECTOR : EMBEDDER], 1);
        else
            wait_until_filled(i < EMBEDDED ? engine->recogniser : engine->detector, i < EMBEDDED ? i : i - EMBEDDED);
    }
    gate_set(&gates[DETECTOR], false);
    gate_set(&gates[EMBEDDER], false);
    fm_drain(engine);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pictures[i].status, FM_OK);
    assert_true(stats_of(engine).embed_batches[3] >= 1);
    assert_true(stats_of(engine).detect_batches[3] >= 1);
    fm_engine_close(engine);
}

struct kept {
    fm_status status;
    bool has_pixels, same;
};

static void take_kept(fm_result *result, void *user) {
    const fm_pixels pixels = fm_result_pixels(result);
    struct kept *kept = user;
    kept->status = fm_result_status(result);
    kept->has_pixels = pixels.data != NULL;
    kept->same = pixels.data && pixels.width == DET_SIDE && ((const uint8_t *)pixels.data)[0] == 80;
    fm_result_free(result);
}

/* Kept pixels are the result's before the faces are embedded, and are not told of when that fails. */
static void kept_pixels_come_with_a_success_only(void **state) {
    (void)state;
    static struct picture pictures[2];
    struct kept kept[2];
    fm_ticket tickets[2];
    const fm_call_options options = {.struct_size = sizeof options, .keep_pixels = true};
    fake.lanes = 1;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = MOST});
    gate_set(&gates[EMBEDDER], true);
    for (int i = 0; i < 2; i++) {
        picture_make(&pictures[i], 80);
        const fm_input input = fm_input_pixels(&pictures[i].pixels);
        assert_int_equal(fm_submit(engine, &input, &options, take_kept, &kept[i], &tickets[i], NULL), FM_OK);
        if (i == 0)
            gate_wait_for(&gates[EMBEDDER], 1);
    }
    wait_until_filled(engine->recogniser, 1);
    assert_int_equal(fm_cancel(engine, tickets[1]), FM_OK);
    gate_set(&gates[EMBEDDER], false);
    fm_drain(engine);
    assert_int_equal(kept[0].status, FM_OK);
    assert_true(kept[0].same);
    assert_int_equal(kept[1].status, FM_CANCELLED);
    assert_false(kept[1].has_pixels);
    fm_engine_close(engine);
}

/* ---- unloading */

static bool loaded(const fm_engine *engine, size_t index) {
    fm_model_info info;
    assert_true(fm_engine_model(engine, index, &info));
    return info.loaded;
}

static void unloaded_models_come_back_with_the_next_call(void **state) {
    (void)state;
    static struct picture picture;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2});
    assert_true(loaded(engine, 0) && loaded(engine, 1));
    for (int i = 0; i < 3; i++) {
        fm_engine_trim(engine);
        assert_false(loaded(engine, 0) || loaded(engine, 1));
        fm_engine_trim(engine); /* nothing left to unload */
        picture_make(&picture, 40 * i);
        (void)submit(engine, &picture, NULL);
        fm_drain(engine);
        assert_int_equal(picture.status, FM_OK);
        assert_true(loaded(engine, 0) && loaded(engine, 1));
        assert_int_equal(atomic_load(&opens[DETECTOR]), 2 + i);
        assert_int_equal(atomic_load(&opens[EMBEDDER]), 2 + i);
    }
    fm_engine_close(engine);
}

/* A model may take seconds to open: whoever only asks how things are does not wait for it. */
static void reports_do_not_wait_for_a_model_to_open(void **state) {
    (void)state;
    static struct picture pictures[3];
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 3});
    fm_engine_trim(engine);
    gate_set(&gates[OPENING], true);
    for (int i = 0; i < 3; i++) {
        picture_make(&pictures[i], 50 * i);
        (void)submit(engine, &pictures[i], NULL);
    }
    gate_wait_for(&gates[OPENING], 1);
    assert_false(loaded(engine, 0));
    assert_int_equal(stats_of(engine).queue_depth, 3);
    gate_set(&gates[OPENING], false);
    fm_drain(engine);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pictures[i].status, FM_OK);
    assert_int_equal(atomic_load(&opens[DETECTOR]), 2); /* the other lanes waited for the one that opened it */
    fm_engine_close(engine);
}

struct traffic {
    fm_engine *engine;
    atomic_bool stop;
    atomic_int done;
    struct os_thread thread;
    struct picture picture;
};

static void send_pictures(void *user) {
    struct traffic *traffic = user;
    while (!atomic_load(&traffic->stop)) {
        const fm_input input = fm_input_pixels(&traffic->picture.pixels);
        fm_result *result = NULL;
        if (fm_analyze(traffic->engine, &input, NULL, &result, NULL) != FM_OK || fm_result_face_count(result) != 1 ||
            fm_result_face(result, 0)->embedding_size != VALUES)
            break; /* `done` stays where it is, and is waited for in vain */
        fm_result_free(result);
        atomic_fetch_add(&traffic->done, 1);
    }
}

static void ask_and_trim(void *user) {
    struct traffic *traffic = user;
    while (!atomic_load(&traffic->stop)) {
        fm_model_info info;
        fm_stats stats = {.struct_size = sizeof stats};
        fm_engine_trim(traffic->engine);
        for (size_t i = 0; fm_engine_model(traffic->engine, i, &info); i++)
            fm_engine_stats(traffic->engine, &stats);
        atomic_fetch_add(&traffic->done, 1);
    }
}

static void wait_until_done(struct traffic *traffic, int count) {
    const uint64_t until = fm_clock_ns() + 6 * PATIENCE_NS;
    while (atomic_load(&traffic->done) < count && fm_clock_ns() < until)
        wait_until_late(fm_clock_ns() + 1000000);
}

/* Four callers and two that unload, all at once: every call is answered, and rightly. */
static void unload_under_traffic(bool session_per_lane, uint32_t max_wait_us) {
    enum { CALLERS = 4, THREADS = 6, ENOUGH = 50 };
    static struct traffic traffic[THREADS];
    fake.session_per_lane = session_per_lane;
    fm_engine *engine = engine_counted((fm_engine_options){.threads = 2, .batch = 2, .max_wait_us = max_wait_us});
    for (int i = 0; i < THREADS; i++) {
        traffic[i].engine = engine;
        atomic_store(&traffic[i].stop, false);
        atomic_store(&traffic[i].done, 0);
        picture_make(&traffic[i].picture, 40 * i);
        assert_true(
            fm_thread_start(&traffic[i].thread, "test", i < CALLERS ? send_pictures : ask_and_trim, &traffic[i]));
    }
    for (int i = 0; i < THREADS; i++)
        wait_until_done(&traffic[i], ENOUGH);
    for (int i = 0; i < THREADS; i++)
        atomic_store(&traffic[i].stop, true);
    for (int i = 0; i < THREADS; i++)
        fm_thread_join(&traffic[i].thread);
    for (int i = 0; i < THREADS; i++)
        assert_true(atomic_load(&traffic[i].done) >= ENOUGH);
    assert_int_equal(stats_of(engine).errors, 0);
    assert_true(atomic_load(&opens[DETECTOR]) > 1);
    fm_engine_close(engine);
}

static void models_unload_under_calls(void **state) {
    (void)state;
    unload_under_traffic(false, 0);
}

static void models_of_each_lane_unload_under_calls(void **state) {
    (void)state;
    unload_under_traffic(true, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_not_computed, fresh, clean),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_not_read, fresh, clean),
        cmocka_unit_test_setup_teardown(shorter_call_options_ask_nobody, fresh, clean),
        cmocka_unit_test_setup_teardown(cancelled_and_late_calls_end_in_the_queue, fresh, clean),
        cmocka_unit_test_setup_teardown(slots_given_up_are_not_detected, fresh, clean),
        cmocka_unit_test_setup_teardown(slots_given_up_are_not_embedded, fresh, clean),
        cmocka_unit_test_setup_teardown(a_batch_of_nobody_is_not_run, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_batch_does_not_wait, fresh, clean),
        cmocka_unit_test_setup_teardown(the_oldest_slot_waits_as_long_as_it_may, fresh, clean),
        cmocka_unit_test_setup_teardown(batches_of_one_do_not_wait, fresh, clean),
        cmocka_unit_test_setup_teardown(trimming_ends_the_wait, fresh, clean),
        cmocka_unit_test_setup_teardown(too_long_a_wait_is_refused, fresh, clean),
        cmocka_unit_test_setup_teardown(both_networks_have_full_batches_at_once, fresh, clean),
        cmocka_unit_test_setup_teardown(kept_pixels_come_with_a_success_only, fresh, clean),
        cmocka_unit_test_setup_teardown(unloaded_models_come_back_with_the_next_call, fresh, clean),
        cmocka_unit_test_setup_teardown(reports_do_not_wait_for_a_model_to_open, fresh, clean),
        cmocka_unit_test_setup_teardown(models_unload_under_calls, fresh, clean),
        cmocka_unit_test_setup_teardown(models_of_each_lane_unload_under_calls, fresh, clean),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
