/* Pipeline: the stages of one image in reading order. Host workers run job_start, job_detected and job_embedded; lanes
   run detect_deliver and embed_deliver. Between them a job belongs to nobody and is in no list: whoever brings its
   pending count to zero puts it into the ready list. */
#include "engine/engine.h"

#include <stddef.h>
#include <string.h>

#define KEPT_IMAGE_BYTES ((size_t)128 << 20) /* a workspace gives larger pictures' memory back */

static double since_ms(uint64_t start_ns) {
    return (double)(fm_clock_ns() - start_ns) / 1e6;
}

/* ---- failing and going on */

/* The first failure of a job wins; lanes and workers may both come here. */
static void job_fail(struct job *job, const fm_error *error) {
    if (!atomic_exchange(&job->failed, true))
        job->error = *error;
}

/* Failed, cancelled or too late: nothing more is computed for it. Asks nobody; workers and lanes. */
static bool job_alive(struct job *job) {
    fm_error error = {0};
    if (atomic_load(&job->failed))
        return false;
    if (atomic_load(&job->cancelled))
        (void)fm_fail(&error, FM_CANCELLED, "cancelled by the caller");
    else if (job->deadline_ns && fm_clock_ns() >= job->deadline_ns)
        (void)fm_fail(&error, FM_DEADLINE, "not done by its deadline, %.0f ms after it was submitted",
                      (double)(job->deadline_ns - job->submitted_ns) / 1e6);
    if (error.status != FM_OK)
        job_fail(job, &error);
    return error.status == FM_OK;
}

/* As job_alive, and the caller still wants the answer. Workers between two stages, and the lane that closes a batch. */
static bool job_wanted(struct job *job) {
    fm_error error = {0};
    if (!job_alive(job))
        return false;
    if (!job->call.wanted || job->call.wanted(job->call.wanted_user))
        return true;
    (void)fm_fail(&error, FM_CANCELLED, "not wanted any more by the caller");
    job_fail(job, &error);
    return false;
}

/* One slot is answered, or the worker has handed out the last one. */
static void job_release(struct job *job) {
    struct fm_engine *engine = job->engine;
    if (atomic_fetch_sub(&job->pending, 1) > 1)
        return;
    fm_mutex_lock(&engine->mutex);
    job->step = job->step == JOB_START ? JOB_DETECTED : JOB_EMBEDDED;
    job->next = NULL;
    if (engine->ready_last)
        engine->ready_last->next = job;
    else
        engine->ready_first = job;
    engine->ready_last = job;
    fm_cond_signal(&engine->work);
    fm_mutex_unlock(&engine->mutex);
}

static struct rgb_view image_view(const struct image *image) {
    return (struct rgb_view){image->rgb.bytes, image->width, image->height, (size_t)image->width * 3};
}

/* ---- stage: bytes to image */

static const char *input_name(const struct job *job) {
    return job->input.kind == FM_INPUT_FILE ? job->input.path : "image in memory";
}

static fm_status read_image(struct job *job, fm_error *error) {
    struct workspace *workspace = job->workspace;
    const fm_limits *limits = &job->engine->settings.limits;
    const uint8_t *bytes = job->input.bytes;
    size_t size = job->input.size;
    uint64_t start = fm_clock_ns();
    fm_status status = FM_OK;
    if (job->input.kind == FM_INPUT_FILE) {
        status = fm_file_read(job->input.path, limits->max_file_bytes, &workspace->file, error);
        bytes = workspace->file.bytes;
        size = workspace->file.size;
        job->stage_ms[STAGE_READ] = since_ms(start);
        start = fm_clock_ns();
    }
    if (status == FM_OK)
        status = job->input.kind == FM_INPUT_PIXELS
                     ? fm_image_convert(&workspace->image, job->input.pixels, limits, error)
                     : fm_image_read(&workspace->image, bytes, size, input_name(job), limits, error);
    job->stage_ms[STAGE_DECODE] = since_ms(start);
    return status;
}

/* ---- stage: image to the detector's batches */

/* Sides of the detector's input for one asked size: a graph with a fixed size overrides it. */
static void detector_sides(const struct model *model, int det_size, int *width, int *height) {
    *width = model->detector.fixed_width > 0 ? model->detector.fixed_width : det_size;
    *height = model->detector.fixed_height > 0 ? model->detector.fixed_height : det_size;
}

static fm_status reserve_candidates(struct job *job, fm_error *error) {
    const struct model *model = job->engine->detector->model;
    size_t total = 0;
    for (int k = 0; k < job->call.det_size_count; k++) {
        int width = 0, height = 0;
        detector_sides(model, job->call.det_sizes[k], &width, &height);
        const size_t rows = fm_detector_rows(model, width, height);
        job->region[k] = total;
        total += rows < FM_MAX_CANDIDATES ? rows : FM_MAX_CANDIDATES;
        job->candidate_count[k] = 0;
    }
    job->region[job->call.det_size_count] = total;
    if (!fm_buffer_resize(&job->workspace->candidates, total * sizeof(struct candidate)))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for %zu candidates; use smaller detection sizes", total);
    return FM_OK;
}

static struct candidate *job_candidates(const struct job *job, int size_index) {
    return (struct candidate *)(void *)job->workspace->candidates.bytes + job->region[size_index];
}

static void letterbox_one(struct job *job, int size_index) {
    struct fm_engine *engine = job->engine;
    struct network *network = engine->detector;
    struct workspace *workspace = job->workspace;
    const struct rgb_view view = image_view(&workspace->image);
    struct batch *batch = NULL;
    fm_error error = {0};
    int slot = 0, width = 0, height = 0;
    detector_sides(network->model, job->call.det_sizes[size_index], &width, &height);
    const struct letterbox fit = fm_letterbox_fit(view.width, view.height, width, height);
    job->scale[size_index] = fit.scale;
    if (!job_alive(job)) { /* another size failed, or its slot was long in coming */
        job_release(job);
        return;
    }
    if (fm_network_acquire(network, width, height, &job->detect_owner, size_index, &batch, &slot, &error) != FM_OK) {
        job_fail(job, &error);
        job_release(job);
        return;
    }
    const uint64_t start = fm_clock_ns();
    if (job_alive(job) && /* else the lane drops the slot */
        engine->ops->letterbox(engine->device, &view, &fit, &network->model->pixels, &batch->input, slot,
                               &workspace->scratch, &error) != FM_OK)
        job_fail(job, &error);
    job->stage_ms[STAGE_LETTERBOX] += since_ms(start);
    fm_network_commit(network, batch);
}

static void job_start(struct job *job) {
    fm_error error = {0};
    job->stage_ms[STAGE_QUEUE] = since_ms(job->submitted_ns);
    atomic_store(&job->pending, 1);
    if (job_wanted(job)) {
        fm_status status = read_image(job, &error);
        if (status == FM_OK) {
            job->result->width = job->workspace->image.width;
            job->result->height = job->workspace->image.height;
            status = reserve_candidates(job, &error);
        }
        if (status != FM_OK)
            job_fail(job, &error);
    }
    if (job_wanted(job)) {
        atomic_fetch_add(&job->pending, job->call.det_size_count);
        for (int k = 0; k < job->call.det_size_count; k++)
            letterbox_one(job, k);
    }
    job_release(job);
}

/* ---- stage: the detector's rows to candidates (on a lane) */

/* Its picture may have waited long for company: the caller is asked once more. */
static bool detect_alive(struct slot_owner *owner) {
    return job_wanted((struct job *)(void *)((char *)owner - offsetof(struct job, detect_owner)));
}

static void detect_deliver(struct slot_owner *owner, int index, const struct slot_answer *answer) {
    struct job *job = (struct job *)(void *)((char *)owner - offsetof(struct job, detect_owner));
    const struct model *model = answer->network->model;
    const uint64_t start = fm_clock_ns();
    fm_error error = {0};
    if (answer->status != FM_OK) {
        job_fail(job, answer->error);
    } else if (!atomic_load(&job->failed)) {
        int width = 0, height = 0;
        detector_sides(model, job->call.det_sizes[index], &width, &height);
        fm_status status =
            fm_detector_check(model, answer->outputs, answer->output_count, answer->batch, width, height, &error);
        if (status == FM_OK)
            status =
                fm_detector_collect(model, job->engine->device, answer->outputs, answer->batch, answer->slot, width,
                                    height, job->scale[index], job->call.det_threshold, job_candidates(job, index),
                                    job->region[index + 1] - job->region[index], &job->candidate_count[index], &error);
        if (status != FM_OK)
            job_fail(job, &error);
    }
    atomic_fetch_add(&job->detect_us,
                     (uint64_t)(answer->run_ms * 1e3 / (double)(answer->batch > 0 ? answer->batch : 1)));
    atomic_fetch_add(&job->postprocess_us, (fm_clock_ns() - start) / 1000u);
    job_release(job);
}

/* ---- stage: candidates to faces */

/* Candidates of all sizes side by side, numbered in the order in which ties are kept: first size first. */
static size_t join_candidates(struct job *job) {
    struct candidate *all = job_candidates(job, 0);
    size_t count = 0;
    for (int k = 0; k < job->call.det_size_count; k++) {
        memmove(all + count, job_candidates(job, k), job->candidate_count[k] * sizeof *all);
        count += job->candidate_count[k];
    }
    for (size_t i = 0; i < count; i++)
        all[i].order = (uint32_t)i;
    return count;
}

static fm_status make_faces(struct job *job, fm_error *error) {
    struct fm_engine *engine = job->engine;
    struct fm_result *result = job->result;
    const struct candidate *candidates = job_candidates(job, 0);
    const int size = job->call.embed ? engine->recogniser->embedding_size : 0;
    const size_t count = fm_detector_finish(engine->detector->model, engine->device, job_candidates(job, 0),
                                            join_candidates(job), result->width, result->height, job->call.min_face,
                                            job->call.max_faces, job->call.face_metric, &job->workspace->scratch);
    if (!fm_result_reserve(result, count, size))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for %zu faces", count);
    fm_face *faces = (fm_face *)(void *)result->faces.bytes;
    for (size_t i = 0; i < count; i++) {
        faces[i] = (fm_face){
            .score = candidates[i].score, .rivals = candidates[i].rivals, .rival_shift = candidates[i].rival_shift};
        memcpy(faces[i].box, candidates[i].box, sizeof faces[i].box);
        memcpy(faces[i].landmarks, candidates[i].landmarks, sizeof faces[i].landmarks);
    }
    result->face_count = count;
    return FM_OK;
}

/* ---- stage: faces to the recogniser's batches */

static void align_one(struct job *job, int index) {
    struct fm_engine *engine = job->engine;
    struct network *network = engine->recogniser;
    const struct model *model = network->model;
    const struct rgb_view view = image_view(&job->workspace->image);
    const fm_face *face = fm_result_face(job->result, (size_t)index);
    struct batch *batch = NULL;
    fm_error error = {0};
    double matrix[6];
    int slot = 0;
    const int side = model->recogniser.side;
    if (!job_alive(job)) {
        job_release(job);
        return;
    }
    if (!fm_align_matrix(face->landmarks, model->recogniser.template_points, matrix)) {
        job_release(job); /* no such transform: the face stays, without an embedding */
        return;
    }
    if (fm_network_acquire(network, side, side, &job->embed_owner, index, &batch, &slot, &error) != FM_OK) {
        job_fail(job, &error);
        job_release(job);
        return;
    }
    const uint64_t start = fm_clock_ns();
    if (job_alive(job) && /* else the lane drops the slot */
        engine->ops->warp(engine->device, &view, matrix, &model->pixels, &batch->input, slot, NULL, side,
                          &job->workspace->scratch, &error) != FM_OK)
        job_fail(job, &error);
    job->stage_ms[STAGE_ALIGN] += since_ms(start);
    fm_network_commit(network, batch);
}

static bool embed_alive(struct slot_owner *owner) {
    return job_alive((struct job *)(void *)((char *)owner - offsetof(struct job, embed_owner)));
}

static void embed_deliver(struct slot_owner *owner, int index, const struct slot_answer *answer) {
    struct job *job = (struct job *)(void *)((char *)owner - offsetof(struct job, embed_owner));
    const struct fm_engine *engine = job->engine;
    const size_t size = (size_t)answer->network->embedding_size;
    size_t elements = 0;
    fm_error error = {0};
    if (answer->status != FM_OK) {
        job_fail(job, answer->error);
    } else if (!fm_tensor_elements(&answer->outputs[0], &elements) || elements != size * (size_t)answer->batch) {
        (void)fm_fail(&error, FM_BAD_MODEL, "%s: %zu values came back for %d faces, expected %zu each",
                      answer->network->model->file, elements, answer->batch, size);
        job_fail(job, &error);
    } else {
        fm_face *face = (fm_face *)(void *)job->result->faces.bytes + index;
        float *embedding = (float *)(void *)job->result->embeddings.bytes + (size_t)index * size;
        memcpy(embedding, (const float *)answer->outputs[0].bytes + (size_t)answer->slot * size,
               size * sizeof *embedding);
        engine->ops->norms(engine->device, embedding, 1, size, &face->embedding_norm);
        face->embedding = embedding;
        face->embedding_size = (int)size;
    }
    atomic_fetch_add(&job->embed_us,
                     (uint64_t)(answer->run_ms * 1e3 / (double)(answer->batch > 0 ? answer->batch : 1)));
    job_release(job);
}

/* ---- the picture is not needed any more */

static void keep_pixels(struct job *job) {
    struct image image = job->result->image;
    job->result->image = job->workspace->image;
    job->workspace->image = image;
    job->result->has_pixels = true;
}

static uint64_t workspace_bytes(struct workspace *workspace) {
    if (workspace->image.rgb.capacity + workspace->image.scratch.capacity > KEPT_IMAGE_BYTES)
        fm_image_reset(&workspace->image);
    if (workspace->file.capacity > KEPT_IMAGE_BYTES)
        fm_buffer_reset(&workspace->file);
    return workspace->file.capacity + workspace->candidates.capacity + workspace->scratch.capacity +
           workspace->image.rgb.capacity + workspace->image.scratch.capacity;
}

/* The next image may be decoded while this one's faces are embedded. */
static void release_workspace(struct job *job) {
    struct fm_engine *engine = job->engine;
    struct workspace *workspace = job->workspace;
    if (job->call.keep_pixels && !atomic_load(&job->failed))
        keep_pixels(job);
    const uint64_t held = workspace_bytes(workspace);
    job->workspace = NULL;
    fm_mutex_lock(&engine->mutex);
    workspace->held = held;
    workspace->next = engine->free_workspaces;
    engine->free_workspaces = workspace;
    fm_cond_signal(&engine->work);
    fm_mutex_unlock(&engine->mutex);
}

static void job_detected(struct job *job) {
    fm_error error = {0};
    const uint64_t start = fm_clock_ns();
    atomic_store(&job->pending, 1);
    if (job_alive(job) && make_faces(job, &error) != FM_OK)
        job_fail(job, &error);
    job->stage_ms[STAGE_POSTPROCESS] = since_ms(start) + (double)atomic_load(&job->postprocess_us) / 1e3;
    const int count = (int)job->result->face_count;
    if (job->call.embed && count > 0 && job_wanted(job)) { /* what needs nothing more is done, late or not */
        atomic_fetch_add(&job->pending, count);
        for (int i = 0; i < count; i++)
            align_one(job, i);
    }
    release_workspace(job);
    job_release(job);
}

/* ---- the end */

static void fill_result(struct job *job) {
    struct fm_result *result = job->result;
    job->stage_ms[STAGE_DETECT] = (double)atomic_load(&job->detect_us) / 1e3;
    job->stage_ms[STAGE_EMBED] = (double)atomic_load(&job->embed_us) / 1e3;
    memcpy(result->stage_ms, job->stage_ms, sizeof result->stage_ms);
    result->total_ms = since_ms(job->submitted_ns);
    if (atomic_load(&job->failed)) {
        result->error = job->error;
        result->face_count = 0;
        result->has_pixels = false;
    }
}

static void count_job(struct fm_engine *engine, const struct job *job) {
    const bool failed = atomic_load(&job->failed);
    engine->images++;
    engine->errors += failed;
    engine->cancelled += failed && job->error.status == FM_CANCELLED;
    engine->expired += failed && job->error.status == FM_DEADLINE;
    engine->faces += job->result->face_count;
    for (int i = 0; i < FM_STAGES; i++)
        engine->stage_ms[i] += job->stage_ms[i];
}

static void waiter_deliver(struct waiter *waiter, size_t index, fm_result *result) {
    fm_mutex_lock(&waiter->mutex);
    waiter->results[index] = result;
    if (--waiter->remaining == 0)
        fm_cond_signal(&waiter->done);
    fm_mutex_unlock(&waiter->mutex);
}

/* The job goes back to the free list before the callback, so that the callback can submit the next image. */
static void job_embedded(struct job *job) {
    struct fm_engine *engine = job->engine;
    fill_result(job);
    fm_result *result = job->result;
    struct waiter *waiter = job->waiter;
    const size_t index = job->waiter_index;
    const fm_callback callback = job->callback;
    void *user = job->user;

    fm_mutex_lock(&engine->mutex);
    count_job(engine, job);
    job->ticket = 0;
    job->result = NULL;
    job->next = engine->free_jobs;
    engine->free_jobs = job;
    fm_cond_signal(&engine->space);
    fm_mutex_unlock(&engine->mutex);

    if (waiter)
        waiter_deliver(waiter, index, result);
    else
        callback(result, user);

    fm_mutex_lock(&engine->mutex);
    if (--engine->in_flight == 0) {
        fm_cond_broadcast(&engine->drained);
        if (engine->closing)
            fm_cond_broadcast(&engine->work);
    }
    fm_mutex_unlock(&engine->mutex);
}

/* ---- a host worker's life */

static struct job *list_pop(struct job **first, struct job **last) {
    struct job *job = *first;
    *first = job->next;
    if (!*first)
        *last = NULL;
    job->next = NULL;
    return job;
}

/* What was begun is finished before anything new is begun: it frees memory and answers sooner. NULL: go home. */
static struct job *next_job(struct fm_engine *engine) {
    struct job *job = NULL;
    fm_mutex_lock(&engine->mutex);
    for (;;) {
        if (engine->ready_first) {
            job = list_pop(&engine->ready_first, &engine->ready_last);
            break;
        }
        if (engine->waiting_first && engine->free_workspaces) {
            job = list_pop(&engine->waiting_first, &engine->waiting_last);
            job->workspace = engine->free_workspaces;
            engine->free_workspaces = job->workspace->next;
            break;
        }
        if (engine->closing && engine->in_flight == 0)
            break;
        fm_cond_wait(&engine->work, &engine->mutex);
    }
    fm_mutex_unlock(&engine->mutex);
    return job;
}

void fm_pipeline_worker(void *argument) {
    struct fm_engine *engine = argument;
    struct job *job = NULL;
    while ((job = next_job(engine))) {
        job->detect_owner = (struct slot_owner){detect_deliver, detect_alive};
        job->embed_owner = (struct slot_owner){embed_deliver, embed_alive};
        switch (job->step) {
        case JOB_START:
            job_start(job);
            break;
        case JOB_DETECTED:
            job_detected(job);
            break;
        case JOB_EMBEDDED:
            job_embedded(job);
            break;
        }
    }
}
