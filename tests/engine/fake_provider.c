/* A provider made for tests: fake_provider.h. Any thread where the header does not say otherwise. */
#include "fake_provider.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_support.h"

#define LEVELS 3
#define ROWS 168 /* of one image: 2 * (8 * 8 + 4 * 4 + 2 * 2) */

/* ---- a gate that runs of one kind wait at */

void gate_pass(struct gate *gate) {
    fm_mutex_lock(&gate->mutex);
    gate->inside++;
    fm_cond_broadcast(&gate->changed);
    while (gate->closed)
        fm_cond_wait(&gate->changed, &gate->mutex);
    gate->inside--;
    fm_mutex_unlock(&gate->mutex);
}

void gate_set(struct gate *gate, bool closed) {
    fm_mutex_lock(&gate->mutex);
    gate->closed = closed;
    fm_cond_broadcast(&gate->changed);
    fm_mutex_unlock(&gate->mutex);
}

void gate_wait_for(struct gate *gate, int inside) {
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
struct gate gates[GATES];
atomic_int opens[2], runs[2], images[2], device_seen, precision_seen;

static void fake_probe(const struct runtime_options *options, struct provider_probe *probe) {
    (void)options;
    *probe = (struct provider_probe){.available = true};
}

static fm_status fake_open(const struct runtime_options *options, const struct session_request *request,
                           struct session **session, fm_error *error) {
    (void)error;
    *session = strcmp(request->purpose, "detection") == 0 ? &detecting : &embedding;
    atomic_fetch_add(&opens[(*session)->detects], 1);
    gate_pass(&gates[OPENING]);
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
    atomic_fetch_add(&runs[run->detects], 1);
    atomic_fetch_add(&images[run->detects], (int)run->input.dims[0]);
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
struct provider fake;

/* The linker puts these between the engine and the table (--wrap). */
const struct provider *__real_fm_provider_find(const char *name, size_t length);
const struct provider *__wrap_fm_provider_find(const char *name, size_t length);

const struct provider *__wrap_fm_provider_find(const char *name, size_t length) {
    return length == 4 && strncmp(name, "fake", 4) == 0 ? &fake : __real_fm_provider_find(name, length);
}

/* ---- around it */

int fresh(void **state) {
    (void)state;
    fake = fake_row;
    for (int i = 0; i < GATES; i++) {
        memset(&gates[i], 0, sizeof gates[i]);
        fm_mutex_init(&gates[i].mutex);
        fm_cond_init(&gates[i].changed);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&opens[i], 0);
        atomic_store(&runs[i], 0);
        atomic_store(&images[i], 0);
    }
    return 0;
}

int clean(void **state) {
    (void)state;
    for (int i = 0; i < GATES; i++) {
        fm_cond_reset(&gates[i].changed);
        fm_mutex_reset(&gates[i].mutex);
    }
    return 0;
}

fm_engine *engine_on_fake(fm_engine_options options) {
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

void picture_make(struct picture *picture, int level) {
    memset(picture->rgb, level, sizeof picture->rgb);
    picture->pixels =
        (fm_pixels){.struct_size = sizeof(fm_pixels), .data = picture->rgb, .width = DET_SIDE, .height = DET_SIDE};
    picture->level = level;
    atomic_store(&picture->answered, 0);
}

/* The face, its score and its embedding must be this picture's, not those of another one in the same batch. */
void take_answer(fm_result *result, void *user) {
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

fm_ticket submit(fm_engine *engine, struct picture *picture, const fm_call_options *options) {
    const fm_input input = fm_input_pixels(&picture->pixels);
    fm_ticket ticket = 0;
    assert_int_equal(fm_submit(engine, &input, options, take_answer, picture, &ticket, NULL), FM_OK);
    return ticket;
}

static int filled_slots(struct network *network) {
    fm_mutex_lock(&network->mutex);
    const int filled = network->open ? network->open->filled : 0;
    fm_mutex_unlock(&network->mutex);
    return filled;
}

/* Until the batch that waits for the lane has that many images in it. */
void wait_until_filled(struct network *network, int count) {
    const uint64_t until = fm_clock_ns() + PATIENCE_NS;
    while (filled_slots(network) < count && fm_clock_ns() < until) {
    }
    const int filled = filled_slots(network);
    for (int i = 0; i < 2 && filled < count; i++)
        gate_set(&gates[i], false); /* a failure must not leave anyone waiting */
    assert_int_equal(filled, count);
}
