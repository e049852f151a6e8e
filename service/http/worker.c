/* Worker: which engine there is, who uses it, when its models are unloaded. Requests come and go on other threads; what
   waits for the engine (closing, unloading) is the keeper thread's. worker_job.c has the jobs. */
#include "http/worker_inside.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define TEST_SIDE 160    /* pixels of the self-test's picture */
#define TEST_BATCH 256   /* the largest there is */
#define TEST_PIXELS 2.0f /* by which boxes may differ: what precisions below fp32 do */
#define TEST_COSINE 0.999f

/* ---- self-test: a batch of one picture, which is the same everywhere, and a batch of one crop */

/* Soft rings on a slope: something for every operator, and no two cells alike. */
static void draw_test_picture(uint8_t *rgb, size_t side) {
    for (size_t y = 0; y < side; y++) {
        for (size_t x = 0; x < side; x++) {
            size_t ring = ((x * x + y * y) / 97) % 64;
            uint8_t *pixel = rgb + (y * side + x) * 3;
            pixel[0] = (uint8_t)(x * 160 / side + ring);
            pixel[1] = (uint8_t)(y * 160 / side + ring / 2);
            pixel[2] = (uint8_t)(190 - (x + y) * 80 / side + ring / 4);
        }
    }
}

static int largest_batch(const fm_engine *engine, const char *task) {
    fm_model_info model;
    for (size_t i = 0; fm_engine_model(engine, i, &model); i++) {
        if (strcmp(model.task, task) == 0)
            return model.max_batch > TEST_BATCH ? TEST_BATCH : model.max_batch > 1 ? model.max_batch : 1;
    }
    return 1;
}

static bool same_faces(const fm_result *a, const fm_result *b) {
    size_t count = fm_result_face_count(a);
    if (count != fm_result_face_count(b))
        return false;
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 4; k++) {
            if (fabsf(fm_result_face(a, i)->box[k] - fm_result_face(b, i)->box[k]) > TEST_PIXELS)
                return false;
        }
    }
    return true;
}

static fm_status fail_test(fm_error *error, const char *what) {
    return fm_fail(error, FM_PROVIDER_FAILED, "self-test: %s; examine the provider with 'facemill models verify'",
                   what);
}

/* A whole batch of one picture, so that no batch waits for company; never less than two of it. */
static fm_status test_detector(fm_engine *engine, const uint8_t *rgb, fm_error *error) {
    fm_pixels pixels = {.struct_size = sizeof pixels, .data = rgb, .width = TEST_SIDE, .height = TEST_SIDE};
    fm_input inputs[TEST_BATCH];
    fm_result *results[TEST_BATCH] = {NULL};
    fm_stats stats = {.struct_size = sizeof stats};
    fm_engine_stats(engine, &stats);
    int batch = largest_batch(engine, "detection");
    int count = batch < 2 || (uint32_t)batch > stats.queue_capacity ? 2 : batch;
    for (int i = 0; i < count; i++)
        inputs[i] = fm_input_pixels(&pixels);
    fm_status status = fm_analyze_batch(engine, inputs, (size_t)count, NULL, results, error);
    for (int i = 0; i < count && !status; i++) {
        status = fm_result_status(results[i]);
        if (status == FM_LIMIT) { /* somebody wants smaller pictures still: then the crop has to do */
            status = FM_OK;
            break;
        }
        if (status)
            (void)fm_fail(error, status, "self-test: %s", fm_result_message(results[i]));
        else if (!same_faces(results[0], results[i]))
            status = fail_test(error, "the same picture gave different faces");
    }
    for (int i = 0; i < count; i++)
        fm_result_free(results[i]);
    return status;
}

static fm_status judge_embeddings(const float *embeddings, size_t count, size_t size, fm_error *error) {
    double sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += (double)embeddings[i] * (double)embeddings[i];
    if (!(isfinite(sum) && sum > 0))
        return fail_test(error, "the embedding of a crop is zero or not finite");
    for (size_t i = 1; i < count; i++) {
        if (!(fm_similarity(embeddings, embeddings + i * size, size) > TEST_COSINE))
            return fail_test(error, "the same crop gave different embeddings");
    }
    return FM_OK;
}

static fm_status test_recogniser(fm_engine *engine, fm_error *error) {
    size_t side = (size_t)fm_engine_crop_size(engine), size = (size_t)fm_engine_embedding_size(engine);
    size_t count = (size_t)largest_batch(engine, "recognition"), bytes = side * side * 3;
    if (!side || !size)
        return FM_OK;
    uint8_t *crops = fm_alloc_array(count, bytes);
    float *embeddings = fm_alloc_array(count, size * sizeof *embeddings);
    fm_status status = FM_OK;
    if (!crops || !embeddings) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the self-test");
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++)
        draw_test_picture(crops + i * bytes, side);
    status = fm_embed_crops(engine, crops, count, embeddings, error);
    if (!status)
        status = judge_embeddings(embeddings, count, size, error);
cleanup:
    fm_free(crops);
    fm_free(embeddings);
    return status;
}

static fm_status test_engine(fm_engine *engine, fm_error *error) {
    uint8_t *rgb = fm_alloc((size_t)TEST_SIDE * TEST_SIDE * 3);
    if (!rgb)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the self-test");
    draw_test_picture(rgb, TEST_SIDE);
    fm_status status = test_detector(engine, rgb, error);
    fm_free(rgb);
    return status ? status : test_recogniser(engine, error);
}

/* ---- engines */

static bool models_loaded(const fm_engine *engine) {
    fm_model_info model;
    for (size_t i = 0; fm_engine_model(engine, i, &model); i++) {
        if (model.loaded)
            return true;
    }
    return false;
}

static fm_status engine_open(struct worker *worker, const fm_engine_options *options, struct kept_engine **opened,
                             fm_error *error) {
    struct kept_engine *kept = fm_alloc(sizeof *kept);
    if (!kept)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for an engine");
    fm_status status = fm_engine_open(options, &kept->shown.engine, error);
    if (!status)
        status = test_engine(kept->shown.engine, error);
    if (status) {
        fm_engine_close(kept->shown.engine);
        fm_free(kept);
        return status;
    }
    fm_stats stats = {.struct_size = sizeof stats};
    fm_engine_stats(kept->shown.engine, &stats);
    kept->capacity = stats.queue_capacity;
    kept->shown.worker = worker;
    kept->shown.users = 1; /* the worker's own, while it is the current one */
    kept->shown.pack = fm_engine_pack(kept->shown.engine);
    for (int i = 0; i < FM_MAX_DET_SIZES; i++)
        kept->shown.det_size =
            options->det_sizes[i] > kept->shown.det_size ? options->det_sizes[i] : kept->shown.det_size;
    kept->shown.det_size = kept->shown.det_size ? kept->shown.det_size : 640;
    *opened = kept;
    return FM_OK;
}

/* Sums over time; figures of now are the sum over engines that are open. */
static void add_stats(fm_stats *sum, const fm_stats *one) {
    sum->images += one->images;
    sum->faces += one->faces;
    sum->errors += one->errors;
    sum->oom_retries += one->oom_retries;
    sum->detect_items += one->detect_items;
    sum->embed_items += one->embed_items;
    for (int i = 0; i < FM_BATCH_BUCKETS; i++) {
        sum->detect_batches[i] += one->detect_batches[i];
        sum->embed_batches[i] += one->embed_batches[i];
    }
    for (int i = 0; i < FM_STAGES; i++)
        sum->stage_ms[i] += one->stage_ms[i];
}

/* ---- the keeper */

/* An engine that nobody uses, taken out of the list; what it counted stays. */
static struct kept_engine *take_unused(struct worker *worker) {
    for (struct kept_engine **link = &worker->engines; *link; link = &(*link)->next) {
        struct kept_engine *kept = *link;
        if (kept->shown.users > 0)
            continue;
        fm_stats stats = {.struct_size = sizeof stats};
        fm_engine_stats(kept->shown.engine, &stats);
        add_stats(&worker->past.stats, &stats);
        *link = kept->next;
        return kept;
    }
    return NULL;
}

static void unload(struct worker *worker, struct kept_engine *kept) {
    kept->shown.users++;
    worker->past.unloads++;
    fm_mutex_unlock(&worker->mutex);
    fm_engine_trim(kept->shown.engine);
    fm_mutex_lock(&worker->mutex);
    kept->shown.users--;
}

/* Wait for something to do. `seen_ns` is the use whose idle time has been dealt with. */
static void keeper_wait(struct worker *worker, uint64_t *seen_ns) {
    struct kept_engine *kept = worker->current;
    uint64_t due_ns = worker->used_ns + (uint64_t)worker->idle_unload_ms * NS_PER_MS;
    if (!kept || !worker->idle_unload_ms || *seen_ns == worker->used_ns) {
        fm_cond_wait(&worker->changed, &worker->mutex);
    } else if (fm_clock_ns() < due_ns || kept->in_flight) {
        uint64_t soon_ns = fm_clock_ns() + (uint64_t)worker->idle_unload_ms * NS_PER_MS;
        (void)fm_cond_wait_until(&worker->changed, &worker->mutex, kept->in_flight ? soon_ns : due_ns);
    } else {
        *seen_ns = worker->used_ns;
        if (models_loaded(kept->shown.engine))
            unload(worker, kept);
    }
}

static void keeper_run(void *argument) {
    struct worker *worker = argument;
    uint64_t seen_ns = 0;
    fm_mutex_lock(&worker->mutex);
    while (!worker->closing || worker->engines) {
        struct kept_engine *kept = take_unused(worker);
        if (!kept) {
            keeper_wait(worker, &seen_ns);
            continue;
        }
        fm_mutex_unlock(&worker->mutex);
        fm_engine_close(kept->shown.engine);
        fm_free(kept);
        fm_mutex_lock(&worker->mutex);
    }
    fm_mutex_unlock(&worker->mutex);
}

/* ---- using an engine */

struct worker_engine *fm_worker_look(struct worker *worker) {
    fm_mutex_lock(&worker->mutex);
    struct worker_engine *held = &worker->current->shown;
    held->users++;
    fm_mutex_unlock(&worker->mutex);
    return held;
}

struct worker_engine *fm_worker_hold(struct worker *worker) {
    fm_mutex_lock(&worker->mutex);
    struct worker_engine *held = &worker->current->shown;
    uint64_t before_ns = worker->used_ns;
    held->users++;
    worker->used_ns = fm_clock_ns();
    if (worker->idle_unload_ms && worker->used_ns - before_ns >= (uint64_t)worker->idle_unload_ms * NS_PER_MS)
        fm_cond_broadcast(&worker->changed); /* the keeper sleeps until there is a use */
    fm_mutex_unlock(&worker->mutex);
    return held;
}

void fm_worker_release(struct worker_engine *held) {
    if (!held)
        return;
    struct worker *worker = held->worker;
    fm_mutex_lock(&worker->mutex);
    if (--held->users == 0)
        fm_cond_broadcast(&worker->changed);
    fm_mutex_unlock(&worker->mutex);
}

/* ---- figures */

static void count_seconds(struct worker_figures *figures, size_t row, double ms) {
    size_t bucket = 0;
    while (bucket < HTTP_BUCKETS - 1 && ms / 1000 > fm_http_bounds[bucket])
        bucket++;
    figures->stage_buckets[row][bucket]++;
    figures->stage_seconds[row] += ms / 1000;
}

void fm_worker_count(struct worker *worker, const fm_result *result) {
    fm_timings timings = {.struct_size = sizeof timings};
    fm_status status = fm_result_status(result);
    worker->past.expired += status == FM_DEADLINE;
    worker->past.cancelled += status == FM_CANCELLED;
    if (status)
        return;
    fm_result_timings(result, &timings);
    const double ms[FM_STAGES + 1] = {timings.queue_ms,     timings.read_ms,   timings.decode_ms,
                                      timings.letterbox_ms, timings.detect_ms, timings.postprocess_ms,
                                      timings.align_ms,     timings.embed_ms,  timings.total_ms};
    for (size_t i = 0; i < FM_STAGES + 1; i++)
        count_seconds(&worker->past, i, ms[i]);
}

void fm_worker_figures(struct worker *worker, struct worker_figures *figures) {
    fm_mutex_lock(&worker->mutex);
    *figures = worker->past;
    for (const struct kept_engine *kept = worker->engines; kept; kept = kept->next) {
        fm_stats stats = {.struct_size = sizeof stats};
        fm_engine_stats(kept->shown.engine, &stats);
        add_stats(&figures->stats, &stats);
        figures->stats.queue_depth += (uint32_t)kept->in_flight;
        figures->stats.memory_bytes += stats.memory_bytes;
        figures->stats.memory_peak_bytes = stats.memory_peak_bytes;
    }
    figures->stats.queue_capacity = (uint32_t)worker->current->capacity;
    figures->loaded = models_loaded(worker->current->shown.engine);
    fm_mutex_unlock(&worker->mutex);
}

bool fm_worker_ready(struct worker *worker, char *words, size_t size) {
    fm_mutex_lock(&worker->mutex);
    size_t in_flight = worker->current->in_flight, capacity = worker->current->capacity;
    bool closing = worker->cancelling;
    fm_mutex_unlock(&worker->mutex);
    if (closing)
        snprintf(words, size, "the worker is shutting down");
    else if (in_flight >= capacity)
        snprintf(words, size, "the queue is full: %zu of %zu pictures", in_flight, capacity);
    else
        snprintf(words, size, "ready");
    return !closing && in_flight < capacity;
}

/* ---- opening, swapping, closing */

fm_status fm_worker_open(const struct worker_options *options, struct worker **opened, fm_error *error) {
    struct worker *worker = fm_alloc(sizeof *worker);
    if (!worker)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the worker");
    fm_mutex_init(&worker->mutex);
    fm_cond_init(&worker->changed);
    worker->idle_unload_ms = options->idle_unload_ms;
    worker->used_ns = fm_clock_ns();
    fm_status status = engine_open(worker, &options->engine, &worker->current, error);
    worker->engines = worker->current;
    if (!status && !fm_thread_start(&worker->keeper, "keeper", keeper_run, worker)) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "not enough memory to start a thread");
        fm_engine_close(worker->current->shown.engine);
        fm_free(worker->current);
    }
    if (status) {
        fm_cond_reset(&worker->changed);
        fm_mutex_reset(&worker->mutex);
        fm_free(worker);
        return status;
    }
    *opened = worker;
    return FM_OK;
}

fm_status fm_worker_swap(struct worker *worker, const struct worker_options *options, fm_error *error) {
    struct kept_engine *kept = NULL;
    fm_status status = engine_open(worker, &options->engine, &kept, error);
    if (status)
        return status;
    fm_mutex_lock(&worker->mutex);
    worker->current->shown.users--;
    kept->next = worker->engines;
    worker->engines = worker->current = kept;
    worker->used_ns = fm_clock_ns();
    worker->idle_unload_ms = options->idle_unload_ms;
    worker->past.swaps++;
    fm_cond_broadcast(&worker->changed);
    fm_mutex_unlock(&worker->mutex);
    return FM_OK;
}

void fm_worker_set_idle(struct worker *worker, uint32_t idle_unload_ms) {
    fm_mutex_lock(&worker->mutex);
    worker->idle_unload_ms = idle_unload_ms;
    worker->used_ns = fm_clock_ns();
    fm_cond_broadcast(&worker->changed);
    fm_mutex_unlock(&worker->mutex);
}

bool fm_worker_drain(struct worker *worker, uint64_t deadline_ns) {
    fm_mutex_lock(&worker->mutex);
    while (worker->job_count && fm_cond_wait_until(&worker->changed, &worker->mutex, deadline_ns))
        continue;
    bool drained = worker->job_count == 0;
    fm_mutex_unlock(&worker->mutex);
    return drained;
}

void fm_worker_cancel(struct worker *worker) {
    fm_mutex_lock(&worker->mutex);
    worker->cancelling = true;
    fm_worker_cancel_jobs(worker);
    fm_mutex_unlock(&worker->mutex);
}

void fm_worker_close(struct worker *worker) {
    if (!worker)
        return;
    fm_mutex_lock(&worker->mutex);
    worker->closing = true;
    worker->current->shown.users--;
    worker->current = NULL;
    fm_cond_broadcast(&worker->changed);
    fm_mutex_unlock(&worker->mutex);
    fm_thread_join(&worker->keeper);
    fm_cond_reset(&worker->changed);
    fm_mutex_reset(&worker->mutex);
    fm_free(worker);
}
