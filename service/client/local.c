/* Local: the engine here. A thread of its own opens it and feeds it, because both may wait; its answers go back through
   the client's thread. */
#include "client/client.h"

#include <stdio.h>
#include <string.h>

/* ---- options: copied, with everything that they point to */

static bool copy_text(struct arena *arena, const char **text) {
    if (*text)
        *text = fm_arena_copy(arena, *text);
    return *text != NULL;
}

static bool copy_texts(struct arena *arena, fm_engine_options *options) {
    const char **texts[] = {&options->pack, &options->pack_source, &options->providers, &options->ort_library,
                            &options->cpu_mask};
    bool good = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        good = (!*texts[i] || copy_text(arena, texts[i])) && good;
    return good;
}

static bool copy_provider_options(struct arena *arena, fm_engine_options *options) {
    size_t count = options->provider_option_count;
    if (!count)
        return true;
    fm_provider_option *copies = fm_arena_alloc(arena, count * sizeof *copies);
    bool good = copies != NULL;
    for (size_t i = 0; i < count && good; i++) {
        copies[i] = options->provider_options[i];
        good = copy_text(arena, &copies[i].provider) && copy_text(arena, &copies[i].key) &&
               copy_text(arena, &copies[i].value);
    }
    options->provider_options = copies;
    return good;
}

fm_status fm_local_copy(fm_client *client, const fm_engine_options *given, fm_error *error) {
    struct local *local = &client->local;
    fm_engine_options *options = &local->options;
    if (given) {
        memcpy(options, given, given->struct_size < sizeof *options ? given->struct_size : sizeof *options);
    } else {
        options->log_level = client->options.log_level;
        options->log = client->options.log;
        options->log_user = client->options.log_user;
    }
    options->struct_size = sizeof *options;
    if (options->limits) {
        size_t known = options->limits->struct_size;
        memcpy(&local->limits, options->limits, known < sizeof local->limits ? known : sizeof local->limits);
        local->limits.struct_size = sizeof local->limits;
        options->limits = &local->limits;
    }
    if (!copy_texts(&client->arena, options) || !copy_provider_options(&client->arena, options))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the options of the local engine");
    return FM_OK;
}

/* ---- the thread */

/* Any thread: the task is answered. */
static void finish(fm_client *client, struct task *task) {
    fm_mutex_lock(&client->mutex);
    fm_tasks_add(&client->finished, task);
    fm_mutex_unlock(&client->mutex);
    fm_client_wake(client);
}

static void on_result(fm_result *result, void *user) {
    struct task *task = user;
    task->reply->result = result;
    task->reply->source = "local";
    task->reply->embedded = fm_engine_embedding_size(task->client->local.engine) > 0;
    finish(task->client, task);
}

static void open_engine(fm_client *client) {
    struct local *local = &client->local;
    fm_engine *engine = NULL;
    fm_error error = {0};
    (void)!fm_engine_open(&local->options, &engine, &error); /* its words are in `error` */
    fm_mutex_lock(&client->mutex);
    local->engine = engine;
    local->error = error;
    fm_mutex_unlock(&client->mutex);
}

static void submit(fm_client *client, struct task *task) {
    struct local *local = &client->local;
    fm_error error = {0};
    fm_call_options call = {.struct_size = sizeof call};
    uint64_t now_ns = fm_clock_ns();
    if (task->deadline_ns)
        call.deadline_ms = task->deadline_ns > now_ns ? (uint32_t)((task->deadline_ns - now_ns) / MS + 1) : 1;
    if (!local->engine && !local->error.status)
        open_engine(client);
    if (!local->engine)
        (void)fm_fail(&error, local->error.status, "no worker answers, and the engine here cannot be opened: %.1900s",
                      local->error.message);
    else if (fm_submit(local->engine, &task->input, &call, on_result, task, NULL, &error) == FM_OK)
        return;
    fm_reply_fail(task->reply, error.status, error.message);
    finish(client, task);
}

static void local_run(void *argument) {
    fm_client *client = argument;
    struct local *local = &client->local;
    for (;;) {
        fm_mutex_lock(&client->mutex);
        while (!local->tasks.first && !local->ending)
            fm_cond_wait(&local->work, &client->mutex);
        struct task *task = fm_tasks_take(&local->tasks);
        fm_mutex_unlock(&client->mutex);
        if (!task)
            return;
        submit(client, task);
    }
}

void fm_local_add(fm_client *client, struct task *task) {
    struct local *local = &client->local;
    if (!local->running)
        local->running = fm_thread_start(&local->thread, "fm-local", local_run, client);
    if (!local->running) {
        fm_reply_fail(task->reply, FM_OUT_OF_MEMORY, "not enough memory to start a thread");
        finish(client, task);
        return;
    }
    fm_mutex_lock(&client->mutex);
    fm_tasks_add(&local->tasks, task);
    fm_cond_signal(&local->work);
    fm_mutex_unlock(&client->mutex);
}

void fm_local_close(fm_client *client) {
    struct local *local = &client->local;
    if (local->running) {
        fm_mutex_lock(&client->mutex);
        local->ending = true;
        fm_cond_signal(&local->work);
        fm_mutex_unlock(&client->mutex);
        fm_thread_join(&local->thread);
    }
    fm_engine_close(local->engine);
}
