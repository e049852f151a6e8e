/* Job: the main thread walks the inputs and submits them, the engine's threads answer in any order, one writer turns
   the answers into records in the order of the inputs. Between them is a ring of slots, so that memory does not depend
   on the number of inputs; slots keep their buffers from image to image. */
#include "job.h"

#include "base/os_program.h"
#include "finder.h"
#include "progress.h"
#include "sources.h"
#include "summary.h"

#include <stdio.h>
#include <string.h>

#define QUEUE_DEPTH 64        /* the engine's own default */
#define QUEUE_DEPTH_PIXELS 16 /* decoded images stay in memory until they are written */

struct job;

struct slot {
    struct job *job;
    struct text path;
    struct answer answer; /* empty when the input never reached the engine or a worker */
    fm_error error;
    bool done; /* under job->mutex, like what it guards */
};

struct job {
    struct program *program;
    const struct job_kind *kind;
    struct sources sources;
    struct finder finder;
    struct output output;
    struct progress progress;
    struct buffer standard_input; /* an image: read once a run at most */
    struct slot *slots;
    size_t capacity;
    struct os_mutex mutex;
    struct os_cond ready, room;
    size_t head, tail; /* slots head..tail are in flight; counted without end, taken modulo capacity */
    bool ended;        /* no further inputs */
    bool failed;       /* the writer gave up: records are dropped, inputs are not read */
    fm_error error;    /* why */
    bool warns;        /* --quiet and --log-level allow warnings */
    bool warned;       /* of a face without embedding */
};

/* ---- the engine's threads, or the client's */

static void slot_done(struct slot *slot) {
    struct job *job = slot->job;
    fm_mutex_lock(&job->mutex);
    slot->done = true;
    if (slot == &job->slots[job->head % job->capacity])
        fm_cond_signal(&job->ready);
    fm_mutex_unlock(&job->mutex);
}

static void on_result(fm_result *result, void *user) {
    struct slot *slot = user;
    slot->answer.result = result;
    slot_done(slot);
}

static void on_reply(fm_reply *reply, void *user) {
    struct slot *slot = user;
    slot->answer.reply = reply;
    slot_done(slot);
}

/* ---- the main thread: inputs in */

static struct slot *slot_take(struct job *job, const char *path) {
    fm_mutex_lock(&job->mutex);
    while (job->tail - job->head == job->capacity && !job->failed)
        fm_cond_wait(&job->room, &job->mutex);
    bool stop = job->failed || atomic_load(&job->program->interrupted);
    struct slot *slot = stop ? NULL : &job->slots[job->tail % job->capacity];
    if (slot) {
        slot->answer = (struct answer){NULL, NULL};
        slot->error = (fm_error){0};
        slot->done = false;
        fm_text_clear(&slot->path);
        fm_text_add_bytes(&slot->path, path, strlen(path));
        job->tail++;
    }
    fm_mutex_unlock(&job->mutex);
    return slot;
}

static void slot_submit(struct slot *slot, const fm_input *input) {
    struct job *job = slot->job;
    if (slot->path.failed)
        fm_fail(&slot->error, FM_OUT_OF_MEMORY, "out of memory for an input's name");
    else if (fm_finder_submit(&job->finder, input, on_result, on_reply, slot, &slot->error) == FM_OK)
        return;
    slot_done(slot);
}

static bool submit_file(const char *path, void *user) {
    struct slot *slot = slot_take(user, path);
    fm_input input = fm_input_file(path);
    if (slot)
        slot_submit(slot, &input);
    return slot != NULL;
}

/* All of standard input; false when interrupted. */
static bool read_standard_input(struct job *job, struct buffer *bytes, fm_error *error) {
    const atomic_int *interrupted = &job->program->interrupted;
    uint64_t limit = (uint64_t)fm_config_integer(&job->program->config, OPT_MAX_FILE_SIZE);
    uint8_t piece[16384];
    fm_error why = {0};
    for (size_t got = 1; got > 0 && !error->status;) {
        if (fm_input_read(0, interrupted, piece, sizeof piece, &got, &why))
            fm_fail(error, FM_IO, "cannot read standard input: %s", why.message);
        else if (bytes->size + got > limit)
            fm_fail(error, FM_LIMIT, "standard input is longer than --max-file-size, %llu bytes",
                    (unsigned long long)limit);
        else if (got && !fm_buffer_append(bytes, piece, got, 0))
            fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading standard input");
    }
    if (!error->status && bytes->size == 0)
        fm_fail(error, FM_BAD_IMAGE, "standard input is empty; expected one encoded image");
    return atomic_load(interrupted) == 0;
}

static bool submit_standard_input(void *user) {
    struct job *job = user;
    fm_error error = {0};
    struct slot *slot = read_standard_input(job, &job->standard_input, &error) ? slot_take(job, "-") : NULL;
    if (!slot)
        return false;
    slot->error = error;
    fm_input input = fm_input_encoded(job->standard_input.bytes, job->standard_input.size);
    if (slot->error.status)
        slot_done(slot);
    else
        slot_submit(slot, &input);
    return true;
}

static bool submit_failed(const char *path, const fm_error *error, void *user) {
    struct slot *slot = slot_take(user, path);
    if (slot) {
        slot->error = *error;
        slot_done(slot);
    }
    return slot != NULL;
}

/* ---- the writer: records out */

/* Wait for the oldest slot; NULL when there will be none. Before waiting, what is written so far goes out. */
static struct slot *next_done(struct job *job) {
    bool flushed = false;
    fm_mutex_lock(&job->mutex);
    for (;;) {
        struct slot *slot = &job->slots[job->head % job->capacity];
        if (job->head < job->tail && slot->done) {
            fm_mutex_unlock(&job->mutex);
            return slot;
        }
        if (job->ended && job->head == job->tail)
            break;
        if (!flushed && !job->failed && job->output.text.length) {
            fm_mutex_unlock(&job->mutex);
            if (job->output.terminal)
                fm_progress_hide(&job->progress);
            fm_status status = fm_output_flush(&job->output, &job->error);
            fm_mutex_lock(&job->mutex);
            job->failed = job->failed || status || job->output.reader_gone;
            fm_cond_signal(&job->room);
            flushed = true;
        } else {
            fm_cond_wait(&job->ready, &job->mutex);
        }
    }
    fm_mutex_unlock(&job->mutex);
    return NULL;
}

/* The index of a face that has no embedding though one was asked for; -1. */
static int face_without_embedding(const struct found *found) {
    for (size_t i = 0; i < found->count; i++) {
        if (!found->face(found->owner, i)->embedding)
            return (int)i;
    }
    return -1;
}

static void warn_of_missing_embedding(struct job *job, const char *path, const struct found *found) {
    char message[4400];
    const char *words;
    int index = job->warned || !job->warns ? -1 : face_without_embedding(found);
    if (index < 0)
        return;
    job->warned = true;
    (void)fm_face_unaligned(found->face(found->owner, (size_t)index), &words);
    snprintf(message, sizeof message, "%s: face %d has no embedding: %s; others like it are not reported", path,
             index + 1, words);
    fm_progress_log(FM_LOG_WARN, "embedding", message, &job->progress);
}

/* What the command does with a good result. A failure is this image's alone, unless nothing can be written any more. */
static fm_status finish_slot(struct job *job, const char *path, const struct slot *slot, struct record_options *record,
                             fm_error *error) {
    const struct job_kind *kind = job->kind;
    fm_status status = kind->finish ? kind->finish(path, slot->answer.result, record, kind->user, error) : FM_OK;
    if (status == FM_IO || status == FM_OUT_OF_MEMORY) {
        fm_fail(&job->error, status, "%s", error->message);
        fm_mutex_lock(&job->mutex);
        job->failed = true;
        fm_mutex_unlock(&job->mutex);
    }
    return status;
}

static void write_record(struct job *job, struct slot *slot) {
    struct record_options record = job->kind->record;
    const char *path = fm_text_chars(&slot->path);
    bool answered = slot->answer.result || slot->answer.reply;
    const char *words = slot->error.message;
    fm_status status = answered ? fm_answer_status(&slot->answer, &words) : slot->error.status;
    struct found found = {0};
    fm_error error = {0};
    if (!status) {
        status = finish_slot(job, path, slot, &record, &error);
        words = error.message;
    }
    if (job->failed) /* written by this thread alone */
        return;
    if (status) {
        fm_record_error(&job->output, path, status, words);
    } else {
        found = fm_answer_found(&slot->answer);
        record.embedded = record.embedded && fm_finder_embeds(&job->finder, &slot->answer);
        fm_record_found(&job->output, path, &found, &record);
        if (record.embedded)
            warn_of_missing_embedding(job, path, &found);
    }
    if (answered)
        fm_finder_count(&job->finder, &slot->answer);
    fm_progress_add(&job->progress, found.count, status != FM_OK);
}

static void write_slot(struct job *job, struct slot *slot) {
    if (!job->failed)
        write_record(job, slot);
    fm_answer_free(&slot->answer);
}

static void writer_run(void *argument) {
    struct job *job = argument;
    struct slot *slot;
    while ((slot = next_done(job)) != NULL) {
        write_slot(job, slot);
        fm_mutex_lock(&job->mutex);
        job->head++;
        fm_cond_signal(&job->room);
        fm_mutex_unlock(&job->mutex);
    }
}

/* ---- progress: how many inputs there will be */

struct count {
    struct progress *progress;
    uint64_t images;
};

static bool count_one(struct count *count) {
    count->images++;
    fm_mutex_lock(&count->progress->mutex);
    bool quit = count->progress->quit;
    fm_mutex_unlock(&count->progress->mutex);
    return !quit;
}

static bool count_file(const char *path, void *user) {
    (void)path;
    return count_one(user);
}

static bool count_standard_input(void *user) {
    return count_one(user);
}

static bool count_failed(const char *path, const fm_error *error, void *user) {
    (void)path, (void)error;
    return count_one(user);
}

static uint64_t count_sources(void *user) {
    struct job *job = user;
    struct count count = {.progress = &job->progress};
    if (!fm_sources_can_be_counted(&job->sources))
        return 0;
    fm_sources_walk(&job->sources, &(struct source_visitor){count_file, count_standard_input, count_failed, &count});
    return count.images;
}

/* ---- the whole */

static fm_status job_open(struct job *job, fm_error *error) {
    const struct config *config = &job->program->config;
    struct engine_settings settings;
    fm_status status = fm_program_settings(&settings, config, error);
    if (status)
        goto cleanup;
    if (!settings.options.queue_depth)
        settings.options.queue_depth = job->kind->keep_pixels ? QUEUE_DEPTH_PIXELS : QUEUE_DEPTH;
    settings.options.log = fm_progress_log;
    settings.options.log_user = &job->progress;
    job->warns = !fm_config_flag(config, OPT_QUIET) && settings.options.log_level <= FM_LOG_WARN;
    /* Twice the engine's queue: it stays full while the writer is busy with one image. */
    job->capacity = (size_t)settings.options.queue_depth * (job->kind->keep_pixels ? 1 : 2);
    job->slots = fm_alloc_array(job->capacity, sizeof *job->slots);
    if (!job->slots) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for %zu inputs in flight", job->capacity);
        goto cleanup;
    }
    for (size_t i = 0; i < job->capacity; i++)
        job->slots[i].job = job;
    fm_call_options call = {.struct_size = sizeof call,
                            .compute = job->kind->compute,
                            .deadline_ms = (uint32_t)fm_config_integer(config, OPT_DEADLINE),
                            .keep_pixels = job->kind->keep_pixels};
    status = fm_finder_open(&job->finder, config, &settings.options, &call, error);
    if (!status)
        status = fm_output_open(&job->output, config, error);
    if (!status && job->finder.engine)
        fm_tell_builtin(job->program, job->finder.engine);
cleanup:
    fm_program_settings_reset(&settings);
    return status;
}

static fm_status job_work(struct job *job) {
    struct os_thread writer;
    struct source_visitor visitor = {submit_file, submit_standard_input, submit_failed, job};
    fm_record_header(&job->output);
    if (!fm_config_flag(&job->program->config, OPT_QUIET) && fm_is_terminal(2))
        fm_progress_start(&job->progress, count_sources, job);
    if (!fm_thread_start(&writer, "writer", writer_run, job))
        return fm_fail(&job->error, FM_OUT_OF_MEMORY, "not enough memory to start a thread");
    fm_sources_walk(&job->sources, &visitor);
    fm_mutex_lock(&job->mutex);
    job->ended = true;
    fm_cond_signal(&job->ready);
    fm_mutex_unlock(&job->mutex);
    fm_thread_join(&writer);
    fm_progress_stop(&job->progress);
    return job->error.status;
}

/* Output closed, summary said; the exit code. */
static int job_conclude(struct job *job, uint64_t start_ns) {
    const struct config *config = &job->program->config;
    const char *summary_file = fm_config_text(config, OPT_SUMMARY);
    int interrupted = atomic_load(&job->program->interrupted);
    bool complete = !interrupted && !job->error.status;
    struct summary summary = {.images = job->progress.images,
                              .faces = job->progress.faces,
                              .errors = job->progress.errors,
                              .interrupted = interrupted,
                              .has_workers = job->finder.client != NULL,
                              .sources = job->finder.sources,
                              .source_count = job->finder.source_count};
    const fm_engine *engine = fm_finder_engine(&job->finder);
    if (engine)
        fm_tell_builtin(job->program, engine);
    (void)!fm_output_close(&job->output, complete, &job->error); /* its words are in job->error */
    summary.seconds = (double)(fm_clock_ns() - start_ns) * 1e-9;
    if (summary_file)
        (void)!fm_summary_write(&summary, engine, summary_file, &job->error);
    if (job->error.status) {
        fm_complain(config, &job->error);
        return EXIT_INTERNAL;
    }
    if (interrupted && job->output.renames)
        fprintf(stderr, "facemill: the records so far are in '%s'\n", job->output.part);
    if (!fm_config_flag(config, OPT_QUIET) && !job->output.reader_gone)
        fm_summary_print(&summary, engine, fm_config_text(config, OPT_PROVIDER) != NULL);
    if (interrupted)
        return 128 + interrupted;
    return summary.errors ? EXIT_INPUTS : EXIT_DONE;
}

static void job_reset(struct job *job) {
    fm_finder_close(&job->finder);
    for (size_t i = 0; job->slots && i < job->capacity; i++)
        fm_text_reset(&job->slots[i].path);
    fm_free(job->slots);
    fm_buffer_reset(&job->standard_input);
    fm_progress_reset(&job->progress);
    fm_cond_reset(&job->ready);
    fm_cond_reset(&job->room);
    fm_mutex_reset(&job->mutex);
}

int fm_job_run(struct program *program, const struct job_kind *kind) {
    struct job job = {.program = program, .kind = kind, .sources = fm_sources_from(program)};
    int code;
    if (job.sources.path_count + job.sources.list_count == 0)
        return fm_complain_usage(&program->config,
                                 "no input; name files or folders, '-' for an image on standard input, or "
                                 "--from-file LIST");
    if (fm_sources_standard_input_uses(&job.sources) > 1)
        return fm_complain_usage(&program->config,
                                 "standard input ('-') can be read once only, as an image or as a list");
    fm_mutex_init(&job.mutex);
    fm_cond_init(&job.ready);
    fm_cond_init(&job.room);
    fm_progress_init(&job.progress);
    if (job_open(&job, &job.error)) {
        code = fm_complain(&program->config, &job.error);
    } else {
        uint64_t start_ns = fm_clock_ns();
        (void)!job_work(&job);
        code = job_conclude(&job, start_ns);
    }
    job_reset(&job);
    return code;
}
