/* Jobs: the pictures of one request, submitted together and answered together. Room in the engine's queue is taken
   before the first picture is handed over, so that a job enters whole or not at all: bytes of a request that was
   refused are nobody's at once. Results come on the engine's threads; the last one calls the route. */
#include "http/worker_inside.h"

#include <string.h>

#define CLIENT_GONE 499 /* as proxies' logs have it: nobody reads the answer */
#define RETRY_S 1

int fm_worker_code(fm_status status) {
    switch (status) {
    case FM_OK:
        return 200;
    case FM_INVALID_ARGUMENT:
        return 400;
    case FM_BAD_IMAGE:
    case FM_TRUNCATED:
        return 422;
    case FM_UNSUPPORTED:
        return 415;
    case FM_LIMIT:
        return 413;
    case FM_NOT_FOUND:
        return 404;
    case FM_BUSY:
    case FM_CANCELLED:
    case FM_CLOSED:
        return 503;
    case FM_DEADLINE:
        return 504;
    case FM_OUT_OF_MEMORY:
    case FM_IO:
    case FM_BAD_MODEL:
    case FM_NO_PROVIDER:
    case FM_PROVIDER_FAILED:
    case FM_INTERNAL:
        break;
    }
    return 500;
}

struct worker_job *fm_worker_job(struct http_request *request, size_t count) {
    struct job_state *state = fm_alloc(sizeof *state);
    if (state) {
        struct worker_job *job = &state->job;
        job->images = fm_arena_alloc(&job->arena, (count ? count : 1) * sizeof *job->images);
        state->slots = fm_arena_alloc(&job->arena, (count ? count : 1) * sizeof *state->slots);
    }
    if (!state || !state->job.images || !state->slots) {
        fm_http_refuse(request, 503, RETRY_S, "out of memory for a request of %zu pictures; try again later", count);
        if (state)
            fm_arena_reset(&state->job.arena);
        fm_free(state);
        return NULL;
    }
    struct service *service = request->user;
    state->worker = service->worker;
    state->job.request = request;
    state->job.count = count;
    for (size_t i = 0; i < count; i++)
        state->slots[i] = (struct job_slot){.state = state, .index = i};
    return &state->job;
}

void fm_worker_job_free(struct worker_job *job) {
    if (!job)
        return;
    for (size_t i = 0; i < job->count; i++) {
        fm_result_free(job->images[i].result);
        fm_buffer_reset(&job->images[i].own);
    }
    fm_http_form_reset(&job->form);
    fm_worker_release(job->held);
    fm_arena_reset(&job->arena);
    fm_free((struct job_state *)(void *)job);
}

static void refuse(struct worker_job *job, int code, int retry_seconds, const char *words) {
    fm_http_refuse(job->request, code, retry_seconds, "%s", words);
    fm_worker_job_free(job);
}

/* ---- the end */

static bool nobody_waits(const struct worker_job *job) {
    for (size_t i = 0; i < job->count; i++) {
        if (job->images[i].status == FM_CANCELLED)
            return true;
    }
    return false;
}

/* All pictures are back. The job is in no list any more, and this thread's alone. */
static void finish(struct job_state *state) {
    struct worker_job *job = &state->job;
    if (state->crowded)
        refuse(job, 503, RETRY_S, "the queue is full; try again");
    else if (nobody_waits(job) && state->stopped)
        refuse(job, 503, RETRY_S, "the worker is shutting down; send it to another one");
    else if (nobody_waits(job))
        refuse(job, CLIENT_GONE, 0, "the client closed the connection");
    else
        job->done(job);
}

/* One pending less. The caller holds the mutex; true: it was the last one, and the job is out of the list. */
static bool settle(struct job_state *state) {
    if (--state->pending > 0)
        return false;
    if (state->link) {
        *state->link = state->next;
        if (state->next)
            state->next->link = state->link;
        state->link = NULL;
    }
    return true;
}

/* Answered: only then is the job gone for fm_worker_drain. `worker` outlives its jobs. */
static void conclude(struct job_state *state) {
    struct worker *worker = state->worker;
    finish(state);
    fm_mutex_lock(&worker->mutex);
    if (--worker->job_count == 0)
        fm_cond_broadcast(&worker->changed);
    fm_mutex_unlock(&worker->mutex);
}

static void on_result(fm_result *result, void *user) {
    struct job_slot *slot = user;
    struct job_state *state = slot->state;
    struct worker *worker = state->worker;
    struct worker_image *image = &state->job.images[slot->index];
    fm_mutex_lock(&worker->mutex);
    image->result = result;
    image->status = fm_result_status(result);
    if (image->status)
        fm_fail(&image->error, image->status, "%s", fm_result_message(result));
    fm_worker_count(worker, result);
    ((struct kept_engine *)(void *)state->job.held)->in_flight--;
    slot->ticket = 0;
    bool last = settle(state);
    fm_mutex_unlock(&worker->mutex);
    if (last)
        conclude(state);
}

/* ---- the beginning */

static void cancel_job(struct job_state *state) {
    state->stopped = true;
    for (size_t i = 0; i < state->job.count; i++) {
        if (state->slots[i].ticket)
            (void)fm_cancel(state->job.held->engine, state->slots[i].ticket);
    }
}

void fm_worker_cancel_jobs(struct worker *worker) {
    for (struct job_state *state = worker->jobs; state; state = state->next)
        cancel_job(state);
}

/* Into the list, with room for its pictures; a code and words when that cannot be. */
static int enter(struct job_state *state, size_t pictures, const char **words) {
    struct worker *worker = state->worker;
    struct kept_engine *kept = (struct kept_engine *)(void *)state->job.held;
    int code = 0;
    fm_mutex_lock(&worker->mutex);
    if (worker->cancelling) {
        code = 503;
        *words = "the worker is shutting down; send it to another one";
    } else if (pictures > kept->capacity) {
        code = 413;
        *words = "more pictures than the queue takes (--queue-depth); send fewer at a time";
    } else if (kept->in_flight + pictures > kept->capacity) {
        worker->past.refused += pictures;
        code = 503;
        *words = "the queue is full; try again";
    } else {
        kept->in_flight += pictures;
        worker->past.jobs++;
        worker->job_count++;
        state->pending = pictures + 1;
    }
    fm_mutex_unlock(&worker->mutex);
    return code;
}

/* After the last picture was handed over: from now on the job can be called off. True: all are back already. */
static bool handed_over(struct job_state *state) {
    struct worker *worker = state->worker;
    fm_mutex_lock(&worker->mutex);
    bool last = settle(state);
    if (!last) {
        state->next = worker->jobs;
        state->link = &worker->jobs;
        if (state->next)
            state->next->link = &state->next;
        worker->jobs = state;
        if (state->crowded || worker->cancelling)
            cancel_job(state);
    }
    fm_mutex_unlock(&worker->mutex);
    return last;
}

static bool client_waits(void *user) {
    return !fm_http_client_gone(user);
}

static void submit_one(struct job_state *state, size_t index, const fm_call_options *call) {
    struct worker *worker = state->worker;
    struct worker_image *image = &state->job.images[index];
    struct job_slot *slot = &state->slots[index];
    fm_ticket ticket = 0;
    fm_error error = {0};
    /* The result may come, and write to the image, before this call returns. */
    fm_status status = fm_try_submit(state->job.held->engine, &image->input, call, on_result, slot, &ticket, &error);
    fm_mutex_lock(&worker->mutex);
    if (!status && !image->result) {
        slot->ticket = ticket;
    } else if (status) {
        image->status = status;
        image->error = error;
        state->crowded = state->crowded || status == FM_BUSY;
        ((struct kept_engine *)(void *)state->job.held)->in_flight--;
        state->pending--; /* never the last: this thread's own is left */
    }
    fm_mutex_unlock(&worker->mutex);
}

/* Milliseconds that are left, at least 1; 0: no limit. False: none are. */
static bool time_left(const struct http_request *request, uint32_t *ms) {
    uint64_t now_ns = fm_clock_ns();
    if (!request->deadline_ns)
        return true;
    if (now_ns >= request->deadline_ns)
        return false;
    uint64_t left_ms = (request->deadline_ns - now_ns) / 1000000u + 1;
    if (!*ms || left_ms < *ms)
        *ms = left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
    return true;
}

static size_t count_pictures(struct worker_job *job, bool expired) {
    size_t pictures = 0;
    for (size_t i = 0; i < job->count; i++) {
        struct worker_image *image = &job->images[i];
        if (image->status)
            continue;
        pictures++;
        if (expired)
            image->status = fm_fail(&image->error, FM_DEADLINE, "the request's deadline passed before it was begun");
    }
    return pictures;
}

void fm_worker_submit(struct worker_job *job, const fm_call_options *options) {
    struct job_state *state = (struct job_state *)(void *)job;
    struct worker *worker = state->worker;
    fm_call_options call = {.struct_size = sizeof call};
    const char *words = "";
    if (options)
        call = *options;
    call.wanted = client_waits;
    call.wanted_user = job->request;
    if (!job->held)
        job->held = fm_worker_hold(worker);
    bool expired = !time_left(job->request, &call.deadline_ms);
    size_t pictures = count_pictures(job, expired);
    if (expired || !pictures) {
        fm_mutex_lock(&worker->mutex);
        worker->past.expired += expired ? pictures : 0;
        fm_mutex_unlock(&worker->mutex);
        job->done(job);
        return;
    }
    int code = enter(state, pictures, &words);
    if (code) {
        refuse(job, code, code == 503 ? RETRY_S : 0, words);
        return;
    }
    for (size_t i = 0; i < job->count; i++) {
        if (!job->images[i].status)
            submit_one(state, i, &call);
    }
    if (handed_over(state))
        conclude(state);
}
