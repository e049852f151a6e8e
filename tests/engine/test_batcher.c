/* Batcher, on a provider made for the test: out of memory halves the batch and is reported once; a batch that mixes its
   images is noticed at load; networks on the host never use more threads together than the budget has; nobody waits
   for company in a place that others need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine_support.h"

#define SIDE 112
#define SIZE 16
#define MOST 8

/* ---- a provider whose network copies the first pixel of each image into its row */

struct session {
    int fits;   /* images that fit into its memory at once */
    bool mixes; /* answers every image with the first one's */
};

struct run {
    struct session *session;
    struct tensor input;
    float rows[MOST * SIZE];
};

static struct session fake = {.fits = MOST};
static atomic_int running, most_running, runs;
static uint64_t max_wait_ns; /* of the next network */

static fm_status fake_open(const struct runtime_options *options, const struct session_request *request,
                           struct session **session, fm_error *error) {
    (void)options;
    (void)request;
    (void)error;
    *session = &fake;
    return FM_OK;
}

static void fake_close(struct session *session) {
    (void)session;
}

static const char *fake_detail(const struct session *session) {
    (void)session;
    return "fake";
}

static const char *fake_elsewhere(const struct session *session) {
    (void)session;
    return "";
}

static size_t fake_outputs(const struct session *session) {
    (void)session;
    return 1;
}

static fm_status fake_run_open(struct session *session, struct run **run, fm_error *error) {
    (void)error;
    *run = calloc(1, sizeof **run);
    assert_non_null(*run);
    (*run)->session = session;
    return FM_OK;
}

static void fake_run_close(struct run *run) {
    free(run);
}

static fm_status fake_submit(struct run *run, const struct tensor *input, fm_error *error) {
    if (input->dims[0] > run->session->fits)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no room for %d images", (int)input->dims[0]);
    run->input = *input;
    return FM_OK;
}

static fm_status fake_wait(struct run *run, struct tensor *outputs, fm_error *error) {
    (void)error;
    const int now = atomic_fetch_add(&running, 1) + 1;
    int most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) {
    }
    const uint64_t until = fm_clock_ns() + 2000000; /* long enough to overlap */
    while (fm_clock_ns() < until) {
    }
    const float *pixels = run->input.bytes;
    for (int i = 0; i < (int)run->input.dims[0]; i++)
        for (int k = 0; k < SIZE; k++)
            run->rows[i * SIZE + k] = pixels[(size_t)(run->session->mixes ? 0 : i) * 3 * SIDE * SIDE] + (float)k;
    outputs[0] = (struct tensor){.dtype = DTYPE_F32, .rank = 2, .dims = {run->input.dims[0], SIZE}, .bytes = run->rows};
    atomic_fetch_add(&runs, 1);
    atomic_fetch_sub(&running, 1);
    return FM_OK;
}

static const struct provider provider = {.name = "fake",
                                         .host_compute = true,
                                         .detect_batch = 1,
                                         .embed_batch = 1,
                                         .open = fake_open,
                                         .close = fake_close,
                                         .detail = fake_detail,
                                         .elsewhere = fake_elsewhere,
                                         .output_count = fake_outputs,
                                         .run_open = fake_run_open,
                                         .run_close = fake_run_close,
                                         .submit = fake_submit,
                                         .wait = fake_wait};

/* ---- the network around it */

struct bench {
    struct pack *pack;
    struct device *device;
    struct logger logger;
    struct budget budget;
    atomic_int reports;
    struct network *network;
};

static void count_reports(fm_log_level level, const char *component, const char *message, void *user) {
    (void)component;
    if (level == FM_LOG_WARN && strstr(message, "out of memory"))
        atomic_fetch_add((atomic_int *)user, 1);
}

static void bench_open(struct bench *bench, int batch, int threads, int budget) {
    fm_error error = {0};
    memset(bench, 0, sizeof *bench);
    fm_logger_init(&bench->logger, FM_LOG_WARN, count_reports, &bench->reports);
    fm_mutex_init(&bench->budget.mutex);
    fm_cond_init(&bench->budget.freed);
    bench->budget.available = budget;
    assert_int_equal(fm_device_row(0)->open(0, CPU_SCALAR, &bench->device, &error), FM_OK);
    assert_int_equal(fm_pack_open(test_pack("stock"), "test", &bench->logger, &bench->pack, &error), FM_OK);
    const struct network_options options = {.model = bench->pack->tasks[MODEL_RECOGNITION],
                                            .provider = &provider,
                                            .device = bench->device,
                                            .logger = &bench->logger,
                                            .budget = &bench->budget,
                                            .batch = batch,
                                            .threads = threads,
                                            .max_wait_ns = max_wait_ns,
                                            .width = SIDE,
                                            .height = SIDE};
    if (fm_network_open(&options, &bench->network, &error) != FM_OK)
        fail_msg("%s", error.message);
    atomic_store(&most_running, 0);
    atomic_store(&runs, 0);
}

static void bench_close(struct bench *bench) {
    fm_network_close(bench->network);
    fm_pack_close(bench->pack);
    fm_device_row(0)->close(bench->device);
    fm_cond_reset(&bench->budget.freed);
    fm_mutex_reset(&bench->budget.mutex);
    fm_logger_reset(&bench->logger);
}

struct collector {
    struct slot_owner owner;
    float answers[64];
    fm_status status[64];
    atomic_int count;
};

static void collect(struct slot_owner *owner, int index, const struct slot_answer *answer) {
    struct collector *collector = (struct collector *)(void *)owner;
    collector->status[index] = answer->status;
    if (answer->status == FM_OK)
        collector->answers[index] = ((const float *)answer->outputs[0].bytes)[answer->slot * SIZE];
    atomic_fetch_add(&collector->count, 1);
}

static void send(struct bench *bench, struct collector *collector, int first, int count) {
    struct batch *batches[MOST];
    fm_error error = {0};
    int slot = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(
            fm_network_acquire(bench->network, SIDE, SIDE, &collector->owner, first + i, &batches[i], &slot, &error),
            FM_OK);
        ((float *)batches[i]->input.bytes)[(size_t)slot * 3 * SIDE * SIDE] = (float)(100 * (first + i));
    }
    for (int i = 0; i < count; i++)
        fm_network_commit(bench->network, batches[i]);
}

static void wait_for(struct collector *collector, int count) {
    while (atomic_load(&collector->count) < count) {
    }
}

static void out_of_memory_halves_the_batch_and_is_said_once(void **state) {
    (void)state;
    struct bench bench;
    struct collector collector = {.owner = {collect}};
    fake = (struct session){.fits = MOST};
    bench_open(&bench, MOST, 1, 1);
    assert_int_equal(bench.network->max_batch, MOST);
    fake.fits = 3;
    send(&bench, &collector, 0, MOST);
    wait_for(&collector, MOST);
    fake.fits = 1;
    send(&bench, &collector, MOST, 2);
    wait_for(&collector, MOST + 2);
    for (int i = 0; i < MOST + 2; i++) {
        assert_int_equal(collector.status[i], FM_OK);
        assert_true(collector.answers[i] == (float)(100 * i));
    }
    assert_int_equal(atomic_load(&bench.reports), 1);
    assert_int_equal(bench.network->max_batch, 1);
    assert_true(bench.network->oom_retries >= 2);
    bench_close(&bench);
}

static void out_of_memory_for_one_image_fails_that_image(void **state) {
    (void)state;
    struct bench bench;
    struct collector collector = {.owner = {collect}};
    fake = (struct session){.fits = MOST};
    bench_open(&bench, 2, 1, 1);
    fake.fits = 0;
    send(&bench, &collector, 0, 2);
    wait_for(&collector, 2);
    assert_int_equal(collector.status[0], FM_OUT_OF_MEMORY);
    assert_int_equal(collector.status[1], FM_OUT_OF_MEMORY);
    bench_close(&bench);
}

static void mixed_images_are_noticed_at_load(void **state) {
    (void)state;
    struct bench bench;
    fake = (struct session){.fits = MOST, .mixes = true};
    bench_open(&bench, MOST, 1, 1);
    assert_int_equal(bench.network->max_batch, 1);
    assert_non_null(strstr(bench.network->batch_note, "other rows"));
    bench_close(&bench);
}

static void networks_stay_inside_the_budget(void **state) {
    (void)state;
    struct bench bench;
    struct collector collector = {.owner = {collect}};
    fake = (struct session){.fits = MOST};
    bench_open(&bench, 1, 4, 2); /* four lanes, a budget of two threads */
    for (int i = 0; i < 24; i++)
        send(&bench, &collector, i, 1);
    wait_for(&collector, 24);
    assert_int_equal(atomic_load(&runs), 24);
    assert_true(atomic_load(&most_running) <= 2);
    bench_close(&bench);
}

/* Two batches and three shapes: the third image needs the place of one that waits. The last ones go when the network is
   trimmed. */
static void no_batch_waits_in_a_place_that_is_needed(void **state) {
    (void)state;
    static const int sides[3] = {SIDE, SIDE / 2, SIDE / 4};
    struct bench bench;
    struct collector collector = {.owner = {collect}};
    fake = (struct session){.fits = MOST};
    max_wait_ns = UINT64_C(10000000000);
    bench_open(&bench, MOST, 1, 1);
    const uint64_t start = fm_clock_ns();
    for (int i = 0; i < 3; i++) {
        struct batch *batch = NULL;
        fm_error error = {0};
        int slot = 0;
        assert_int_equal(
            fm_network_acquire(bench.network, sides[i], sides[i], &collector.owner, i, &batch, &slot, &error), FM_OK);
        ((float *)batch->input.bytes)[0] = (float)(100 * i);
        fm_network_commit(bench.network, batch);
    }
    assert_true(atomic_load(&collector.count) >= 1);
    fm_network_trim(bench.network);
    assert_int_equal(atomic_load(&collector.count), 3);
    assert_true(fm_clock_ns() - start < max_wait_ns);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(collector.status[i], FM_OK);
        assert_true(collector.answers[i] == (float)(100 * i));
    }
    assert_int_equal(atomic_load(&runs), 3);
    max_wait_ns = 0;
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_halves_the_batch_and_is_said_once),
        cmocka_unit_test(out_of_memory_for_one_image_fails_that_image),
        cmocka_unit_test(mixed_images_are_noticed_at_load),
        cmocka_unit_test(networks_stay_inside_the_budget),
        cmocka_unit_test(no_batch_waits_in_a_place_that_is_needed),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
