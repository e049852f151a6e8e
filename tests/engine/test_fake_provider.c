/* Engine on a provider made for the test, whose runs wait at a gate: what happens meanwhile can then be seen without
   luck. Batches fill across images, images are decoded ahead, sessions are opened once, a running call can be
   cancelled, and the options that only accelerators heed arrive. Needs no runtime library.

   The detector answers every picture with one face, whose score tells the picture's grey; the embedder answers with
   the grey of the crop's middle. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine_support.h"

#define DET_SIDE 64
#define VALUES 64
#define MOST 8
#define LEVELS 3
#define ROWS 168 /* of one image: 2 * (8 * 8 + 4 * 4 + 2 * 2) */
#define PATIENCE_NS UINT64_C(10000000000)

/* ---- a gate that runs of one kind wait at */

struct gate {
    struct os_mutex mutex;
    struct os_cond changed;
    bool closed;
    int inside; /* runs waiting now */
};

static void gate_pass(struct gate *gate) {
    fm_mutex_lock(&gate->mutex);
    gate->inside++;
    fm_cond_broadcast(&gate->changed);
    while (gate->closed)
        fm_cond_wait(&gate->changed, &gate->mutex);
    gate->inside--;
    fm_mutex_unlock(&gate->mutex);
}

static void gate_set(struct gate *gate, bool closed) {
    fm_mutex_lock(&gate->mutex);
    gate->closed = closed;
    fm_cond_broadcast(&gate->changed);
    fm_mutex_unlock(&gate->mutex);
}

static void gate_wait_for(struct gate *gate, int inside) {
    const uint64_t until = fm_clock_ns() + PATIENCE_NS;
    fm_mutex_lock(&gate->mutex);
    bool in_time = true;
    while (gate->inside < inside && in_time)
        in_time = fm_cond_wait_until(&gate->changed, &gate->mutex, until);
    const int seen = gate->inside;
    fm_mutex_unlock(&gate->mutex);
    if (seen < inside)
        gate_set(gate, false); /* a failure must not leave anyone waiting */
    assert_int_equal(seen, inside);
}

/* ---- the provider */

struct session {
    bool detects;
};

struct run {
    bool detects;
    struct tensor input;
    float rows[MOST * ROWS * 15];
};

static struct session detecting = {true}, embedding = {false};
static struct gate gates[2]; /* of the embedder, of the detector */
static atomic_int opens[2], device_seen, precision_seen;

static void fake_probe(const struct runtime_options *options, struct provider_probe *probe) {
    (void)options;
    *probe = (struct provider_probe){.available = true};
}

static fm_status fake_open(const struct runtime_options *options, const struct session_request *request,
                           struct session **session, fm_error *error) {
    (void)error;
    *session = strcmp(request->purpose, "detection") == 0 ? &detecting : &embedding;
    atomic_fetch_add(&opens[(*session)->detects], 1);
    atomic_store(&device_seen, options->device);
    atomic_store(&precision_seen, (int)request->precision);
    return FM_OK;
}

static void fake_close(struct session *session) {
    (void)session;
}

static const char *no_words(const struct session *session) {
    (void)session;
    return "";
}

static size_t fake_outputs(const struct session *session) {
    return session->detects ? 3 * LEVELS : 1;
}

static fm_status fake_run_open(struct session *session, struct run **run, fm_error *error) {
    (void)error;
    *run = calloc(1, sizeof **run);
    assert_non_null(*run);
    (*run)->detects = session->detects;
    return FM_OK;
}

static void fake_run_close(struct run *run) {
    free(run);
}

static fm_status fake_submit(struct run *run, const struct tensor *input, fm_error *error) {
    (void)error;
    assert_true(input->dims[0] <= MOST);
    run->input = *input;
    return FM_OK;
}

/* Rows of a batch run cell, image, anchor, as in the pack "stock": image i's first row is row 2 * i. */
static void answer_detection(struct run *run, int batch, struct tensor *outputs) {
    static const int64_t columns[3] = {1, 4, 10};
    static const float box[4] = {0, 0, 6, 6}, points[10] = {2, 2, 5, 2, 3.5f, 3.5f, 2.5f, 5, 4.5f, 5};
    const float *pixels = run->input.bytes;
    float *at = run->rows;
    memset(run->rows, 0, sizeof run->rows);
    for (int k = 0; k < 3 * LEVELS; k++) {
        const int64_t cells = DET_SIDE / (8 << k % LEVELS), rows = 2 * cells * cells * batch,
                      width = columns[k / LEVELS];
        outputs[k] = (struct tensor){.dtype = DTYPE_F32, .rank = 2, .dims = {rows, width}, .bytes = at};
        for (int i = 0; i < batch && k % LEVELS == 0; i++) {
            float *row = at + 2 * i * width;
            if (width == 1)
                row[0] = 0.75f + 0.2f * fminf(1, fmaxf(-1, pixels[(size_t)i * 3 * DET_SIDE * DET_SIDE]));
            else
                memcpy(row, width == 4 ? box : points, (size_t)width * sizeof *row);
        }
        at += rows * width;
    }
}

static void answer_embedding(struct run *run, int batch, struct tensor *outputs) {
    const size_t side = (size_t)run->input.dims[2], image = 3 * side * side;
    const float *pixels = run->input.bytes;
    for (int i = 0; i < batch; i++)
        for (int k = 0; k < VALUES; k++)
            run->rows[i * VALUES + k] = pixels[(size_t)i * image + side * side / 2 + side / 2] + (float)k;
    outputs[0] = (struct tensor){.dtype = DTYPE_F32, .rank = 2, .dims = {batch, VALUES}, .bytes = run->rows};
}

static fm_status fake_wait(struct run *run, struct tensor *outputs, fm_error *error) {
    (void)error;
    gate_pass(&gates[run->detects]);
    if (run->detects)
        answer_detection(run, (int)run->input.dims[0], outputs);
    else
        answer_embedding(run, (int)run->input.dims[0], outputs);
    return FM_OK;
}

static const struct provider fake_row = {.name = "fake",
                                         .host_compute = true,
                                         .detect_batch = 1,
                                         .embed_batch = 1,
                                         .probe = fake_probe,
                                         .open = fake_open,
                                         .close = fake_close,
                                         .detail = no_words,
                                         .elsewhere = no_words,
                                         .output_count = fake_outputs,
                                         .run_open = fake_run_open,
                                         .run_close = fake_run_close,
                                         .submit = fake_submit,
                                         .wait = fake_wait};
static struct provider fake; /* fake_row, with what a test changes */

/* The linker puts these between the engine and the table (--wrap). */
const struct provider *__real_fm_provider_find(const char *name, size_t length);
const struct provider *__wrap_fm_provider_find(const char *name, size_t length);

const struct provider *__wrap_fm_provider_find(const char *name, size_t length) {
    return length == 4 && strncmp(name, "fake", 4) == 0 ? &fake : __real_fm_provider_find(name, length);
}

/* ---- around it */

static int fresh(void **state) {
    (void)state;
    fake = fake_row;
    for (int i = 0; i < 2; i++) {
        memset(&gates[i], 0, sizeof gates[i]);
        fm_mutex_init(&gates[i].mutex);
        fm_cond_init(&gates[i].changed);
        atomic_store(&opens[i], 0);
    }
    return 0;
}

static int clean(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        fm_cond_reset(&gates[i].changed);
        fm_mutex_reset(&gates[i].mutex);
    }
    return 0;
}

static fm_engine *engine_on_fake(fm_engine_options options) {
    fm_engine *engine = NULL;
    fm_error error;
    options.struct_size = sizeof options;
    options.pack = test_pack("stock");
    options.providers = "fake";
    options.det_sizes[0] = DET_SIDE;
    if (fm_engine_open(&options, &engine, &error) != FM_OK)
        fail_msg("%s", error.message);
    return engine;
}

struct picture {
    uint8_t rgb[DET_SIDE * DET_SIDE * 3];
    fm_pixels pixels;
    int level;
    atomic_int answered;
    fm_status status;
};

static void picture_make(struct picture *picture, int level) {
    memset(picture->rgb, level, sizeof picture->rgb);
    picture->pixels =
        (fm_pixels){.struct_size = sizeof(fm_pixels), .data = picture->rgb, .width = DET_SIDE, .height = DET_SIDE};
    picture->level = level;
    atomic_store(&picture->answered, 0);
}

/* The face, its score and its embedding must be this picture's, not those of another one in the same batch. */
static void take_answer(fm_result *result, void *user) {
    struct picture *picture = user;
    picture->status = fm_result_status(result);
    if (picture->status == FM_OK) {
        const fm_face *face = fm_result_face(result, 0);
        assert_int_equal(fm_result_face_count(result), 1);
        assert_true(fabsf(face->score - (0.75f + 0.2f * ((float)picture->level - 127.5f) / 128.0f)) < 1e-4f);
        assert_int_equal(face->embedding_size, VALUES);
        assert_true(fabsf(face->embedding[0] - ((float)picture->level - 127.5f) / 127.5f) < 1e-3f);
    }
    fm_result_free(result);
    atomic_store(&picture->answered, 1);
}

static fm_ticket submit(fm_engine *engine, struct picture *picture) {
    const fm_input input = fm_input_pixels(&picture->pixels);
    fm_ticket ticket = 0;
    assert_int_equal(fm_submit(engine, &input, NULL, take_answer, picture, &ticket, NULL), FM_OK);
    return ticket;
}

static int filled_slots(struct network *network) {
    fm_mutex_lock(&network->mutex);
    const int filled = network->open ? network->open->filled : 0;
    fm_mutex_unlock(&network->mutex);
    return filled;
}

/* Until the batch that waits for the lane has that many images in it. */
static void wait_until_filled(struct network *network, int count) {
    const uint64_t until = fm_clock_ns() + PATIENCE_NS;
    while (filled_slots(network) < count && fm_clock_ns() < until) {
    }
    const int filled = filled_slots(network);
    for (int i = 0; i < 2 && filled < count; i++)
        gate_set(&gates[i], false); /* a failure must not leave anyone waiting */
    assert_int_equal(filled, count);
}

/* ---- tests */

static void faces_of_several_images_share_a_batch(void **state) {
    (void)state;
    static struct picture pictures[1 + MOST];
    fm_stats stats = {.struct_size = sizeof stats};
    fake.lanes = 1;
    fm_engine *engine = engine_on_fake((fm_engine_options){.threads = 2, .batch = MOST});
    gate_set(&gates[0], true);
    for (int i = 0; i <= MOST; i++) {
        picture_make(&pictures[i], 20 + 25 * i);
        (void)submit(engine, &pictures[i]);
        if (i == 0)
            gate_wait_for(&gates[0], 1); /* the first face runs alone; the others gather behind it */
    }
    wait_until_filled(engine->recogniser, MOST);
    gate_set(&gates[0], false);
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
    gate_set(&gates[1], true);
    picture_make(&pictures[0], 100);
    (void)submit(engine, &pictures[0]);
    gate_wait_for(&gates[1], 1);
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
    gate_set(&gates[1], false);
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
    gate_set(&gates[1], true);
    picture_make(&picture, 50);
    const fm_ticket ticket = submit(engine, &picture);
    gate_wait_for(&gates[1], 1);
    assert_int_equal(fm_cancel(engine, ticket), FM_OK);
    gate_set(&gates[1], false);
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
