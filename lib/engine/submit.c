/* Submit: calls accepted, waited for, cancelled. A call becomes a job from a fixed set: the set is the queue's bound.
 */
#include "engine/engine.h"

#include <string.h>

/* ---- checking and storing the input */

static fm_status check_input(const fm_input *given, fm_input *input, fm_error *error) {
    *input = (fm_input){0};
    if (!given || !fm_options_copy(input, sizeof *input, given))
        return fm_fail(
            error, FM_INVALID_ARGUMENT,
            "no input, or fm_input.struct_size is 0: use fm_input_file, fm_input_encoded or fm_input_pixels");
    switch (input->kind) {
    case FM_INPUT_FILE:
        if (input->path && *input->path)
            return FM_OK;
        return fm_fail(error, FM_INVALID_ARGUMENT, "input without a path: set fm_input.path");
    case FM_INPUT_ENCODED:
        if (input->bytes)
            return FM_OK;
        return fm_fail(error, FM_INVALID_ARGUMENT, "encoded input without bytes: set fm_input.bytes and size");
    case FM_INPUT_PIXELS:
        if (input->pixels)
            return FM_OK;
        return fm_fail(error, FM_INVALID_ARGUMENT, "pixel input without pixels: set fm_input.pixels");
    }
    return fm_fail(error, FM_INVALID_ARGUMENT, "input kind %d: expected a file, encoded bytes or pixels",
                   (int)input->kind);
}

static fm_status store_input(struct job *job, const fm_input *input, fm_error *error) {
    job->input = *input;
    if (input->kind == FM_INPUT_FILE) {
        const size_t size = strlen(input->path) + 1;
        if (!fm_buffer_resize(&job->path, size))
            return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a path of %zu bytes", size);
        memcpy(job->path.bytes, input->path, size);
        job->input.path = (const char *)job->path.bytes;
    } else if (input->kind == FM_INPUT_PIXELS) {
        job->pixels = (fm_pixels){0};
        if (!fm_options_copy(&job->pixels, sizeof job->pixels, input->pixels))
            return fm_fail(error, FM_INVALID_ARGUMENT, "fm_pixels.struct_size is 0: set it to sizeof(fm_pixels)");
        job->pixels.struct_size = sizeof job->pixels;
        job->input.pixels = &job->pixels;
    }
    return FM_OK;
}

/* ---- accepting */

struct receiver {
    fm_callback callback;
    void *user;
    struct waiter *waiter;
    size_t index;
};

static void job_begin(struct job *job, struct fm_engine *engine, const struct receiver *receiver) {
    const uint32_t deadline_ms = job->call.deadline_ms;
    job->ticket = ++engine->last_ticket;
    job->step = JOB_START;
    job->callback = receiver->callback;
    job->user = receiver->user;
    job->waiter = receiver->waiter;
    job->waiter_index = receiver->index;
    job->submitted_ns = fm_clock_ns();
    job->deadline_ns = deadline_ms ? job->submitted_ns + (uint64_t)deadline_ms * 1000000u : 0;
    job->error = (fm_error){0};
    memset(job->stage_ms, 0, sizeof job->stage_ms);
    atomic_store(&job->cancelled, false);
    atomic_store(&job->failed, false);
    atomic_store(&job->detect_us, 0);
    atomic_store(&job->embed_us, 0);
    atomic_store(&job->postprocess_us, 0);
}

static fm_status accept(struct fm_engine *engine, const fm_input *given, const fm_call_options *options,
                        const struct receiver *receiver, bool wait, fm_ticket *ticket, fm_error *error) {
    fm_input input;
    struct call call;
    fm_status status = check_input(given, &input, error);
    if (status == FM_OK)
        status = fm_call_resolve(engine, options, &call, error);
    if (status != FM_OK)
        return status;
    struct fm_result *result =
        fm_result_take(engine->results); /* now, so that a call once accepted can always answer */
    if (!result)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a result");
    fm_mutex_lock(&engine->mutex);
    while (wait && !engine->free_jobs && !engine->closing)
        fm_cond_wait(&engine->space, &engine->mutex);
    struct job *job = engine->free_jobs;
    if (engine->closing)
        status = fm_fail(error, FM_CLOSED, "the engine is being closed: it takes no more images");
    else if (!job)
        status = fm_fail(error, FM_BUSY, "the engine's queue of %d images is full: try again later",
                         engine->settings.queue_depth);
    else
        status = store_input(job, &input, error);
    if (status == FM_OK) {
        engine->free_jobs = job->next;
        job->next = NULL;
        job->call = call;
        job->result = result;
        result = NULL;
        job_begin(job, engine, receiver);
        if (ticket)
            *ticket = job->ticket;
        if (engine->waiting_last)
            engine->waiting_last->next = job;
        else
            engine->waiting_first = job;
        engine->waiting_last = job;
        engine->in_flight++;
        fm_cond_signal(&engine->work);
    }
    fm_mutex_unlock(&engine->mutex);
    fm_result_free(result);
    return status;
}

static fm_status check_callback(fm_callback callback, fm_error *error) {
    return callback ? FM_OK
                    : fm_fail(error, FM_INVALID_ARGUMENT, "no callback: a submitted image's result needs a receiver");
}

fm_status fm_submit(fm_engine *engine, const fm_input *input, const fm_call_options *options, fm_callback callback,
                    void *user, fm_ticket *ticket, fm_error *error) {
    const struct receiver receiver = {.callback = callback, .user = user};
    fm_error_clear(error);
    const fm_status status = check_callback(callback, error);
    return status == FM_OK ? accept(engine, input, options, &receiver, true, ticket, error) : status;
}

fm_status fm_try_submit(fm_engine *engine, const fm_input *input, const fm_call_options *options, fm_callback callback,
                        void *user, fm_ticket *ticket, fm_error *error) {
    const struct receiver receiver = {.callback = callback, .user = user};
    fm_error_clear(error);
    const fm_status status = check_callback(callback, error);
    return status == FM_OK ? accept(engine, input, options, &receiver, false, ticket, error) : status;
}

fm_status fm_cancel(fm_engine *engine, fm_ticket ticket) {
    fm_status status = FM_NOT_FOUND;
    fm_mutex_lock(&engine->mutex);
    for (int i = 0; ticket && i < engine->settings.queue_depth; i++)
        if (engine->jobs[i].ticket == ticket) {
            atomic_store(&engine->jobs[i].cancelled, true);
            status = FM_OK;
        }
    fm_mutex_unlock(&engine->mutex);
    return status;
}

void fm_drain(fm_engine *engine) {
    fm_mutex_lock(&engine->mutex);
    while (engine->in_flight > 0)
        fm_cond_wait(&engine->drained, &engine->mutex);
    fm_mutex_unlock(&engine->mutex);
}

/* ---- synchronous calls */

static void waiter_finish(struct waiter *waiter) {
    fm_mutex_lock(&waiter->mutex);
    while (waiter->remaining > 0)
        fm_cond_wait(&waiter->done, &waiter->mutex);
    fm_mutex_unlock(&waiter->mutex);
    fm_cond_reset(&waiter->done);
    fm_mutex_reset(&waiter->mutex);
}

/* An image that was not accepted still gets its result, holding why. */
static fm_status refused_result(fm_engine *engine, const fm_error *why, fm_result **result, fm_error *error) {
    *result = fm_result_take(engine->results);
    if (!*result)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a result");
    (*result)->error = *why;
    return FM_OK;
}

fm_status fm_analyze_batch(fm_engine *engine, const fm_input *inputs, size_t count, const fm_call_options *options,
                           fm_result **results, fm_error *error) {
    struct waiter waiter = {.remaining = count, .results = results};
    fm_status status = FM_OK;
    fm_error_clear(error);
    if (count && results)
        memset(results, 0, count * sizeof *results);
    if (count && (!inputs || !results))
        return fm_fail(error, FM_INVALID_ARGUMENT, "a batch of %zu images without inputs or without room for results",
                       count);
    fm_mutex_init(&waiter.mutex);
    fm_cond_init(&waiter.done);
    for (size_t i = 0; i < count; i++) {
        fm_error why = {0};
        const struct receiver receiver = {.waiter = &waiter, .index = i};
        if (accept(engine, &inputs[i], options, &receiver, true, NULL, &why) == FM_OK)
            continue;
        if (refused_result(engine, &why, &results[i], error) != FM_OK)
            status = FM_OUT_OF_MEMORY;
        fm_mutex_lock(&waiter.mutex);
        waiter.remaining--;
        fm_mutex_unlock(&waiter.mutex);
    }
    waiter_finish(&waiter);
    for (size_t i = 0; i < count; i++)
        if (!results[i])
            status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the result of image %zu", i);
    return status;
}

fm_status fm_analyze(fm_engine *engine, const fm_input *input, const fm_call_options *options, fm_result **result,
                     fm_error *error) {
    fm_status status = fm_analyze_batch(engine, input, 1, options, result, error);
    if (status == FM_OK && fm_result_status(*result) != FM_OK)
        status = fm_fail(error, fm_result_status(*result), "%s", fm_result_message(*result));
    return status;
}
