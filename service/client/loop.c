/* Loop: the client's thread. It gives waiting pictures to workers, takes their answers, and decides what comes after a
   failure: another worker, the same one later, the engine here, or words. Every picture is answered exactly once. */
#include "client/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BACKOFF_MS 100
#define MOST_BACKOFF_MS 5000
#define IN_MEMORY "image in memory" /* what an engine calls an image without a name */

void fm_client_wake(fm_client *client) {
    client->curl.curl_multi_wakeup(client->multi);
}

void fm_client_reasons(const fm_client *client, char *out, size_t size) {
    size_t length = 0;
    out[0] = 0;
    for (int i = 0; i < client->remote_count && length < size; i++) {
        const struct remote *remote = &client->remotes[i];
        int more = snprintf(out + length, size - length, "%s%s: %s", i ? "; " : "", remote->url,
                            remote->last[0] ? remote->last : "it was busy or refused the picture");
        length += more > 0 ? (size_t)more : 0;
    }
}

static const char *task_name(const struct task *task) {
    return task->path ? task->path : IN_MEMORY;
}

/* ---- answers out */

static void deliver(fm_client *client, struct task *task) {
    task->callback(task->reply, task->user);
    fm_buffer_reset(&task->own);
    fm_free(task->path);
    fm_free(task);
    fm_mutex_lock(&client->mutex);
    client->under_way--;
    fm_cond_broadcast(&client->changed);
    fm_mutex_unlock(&client->mutex);
}

static void fail_task(fm_client *client, struct task *task, fm_status status, const char *words) {
    fm_reply_fail(task->reply, status, words);
    deliver(client, task);
}

/* ---- from worker to worker, and here */

/* 100 ms, doubled each time, between half of it and one and a half: clients that failed together do not come back
   together. */
static uint64_t backoff_ns(fm_client *client, int failures) {
    uint64_t ms = FIRST_BACKOFF_MS;
    for (int i = 1; i < failures && ms < MOST_BACKOFF_MS; i++)
        ms *= 2;
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return (ms / 2 + client->random % (ms + 1)) * MS;
}

static void note_failure(fm_client *client, struct task *task, const struct remote *remote) {
    task->failures++;
    task->due_ns = fm_clock_ns() + backoff_ns(client, task->failures);
    if (remote)
        task->tried |= UINT64_C(1) << remote->index;
}

static void go_here(fm_client *client, struct task *task) {
    char reasons[CLIENT_REASONS];
    bool any_used = fm_remote_any_used(client);
    fm_client_reasons(client, reasons, sizeof reasons);
    if (!any_used && !client->here)
        fm_log(&client->logger, FM_LOG_WARN, "client",
               "no worker answers (%s): pictures are analyzed here until one does", reasons);
    else if (any_used && !client->told_one)
        fm_log(&client->logger, FM_LOG_WARN, "client",
               "%s is analyzed here, because no worker did it (%s); others like it are not reported", task_name(task),
               reasons);
    client->here = client->here || !any_used;
    client->told_one = client->told_one || any_used;
    fm_local_add(client, task);
}

static void fail_required(fm_client *client, struct task *task) {
    char words[2 * CLIENT_REASONS], reasons[CLIENT_REASONS];
    fm_client_reasons(client, reasons, sizeof reasons);
    (void)snprintf(words, sizeof words,
                   "no worker analyzed '%s' (%s); start one, name another, or let the engine here do it (worker policy "
                   "'prefer')",
                   task_name(task), reasons);
    fail_task(client, task, FM_IO, words);
}

/* The picture goes where it can; true when it waits, until *wake_ns at most. */
static bool place_task(fm_client *client, struct task *task, uint64_t now_ns, uint64_t *wake_ns) {
    bool exhausted = task->failures > client->options.retries;
    uint64_t wait_ns = 0;
    if (task->deadline_ns && now_ns >= task->deadline_ns) {
        char words[CLIENT_WORDS];
        (void)snprintf(words, sizeof words, "'%.300s': the deadline of %" PRIu32 " ms passed before a worker answered",
                       task_name(task), client->options.deadline_ms);
        fail_task(client, task, FM_DEADLINE, words);
        return false;
    }
    struct remote *remote = exhausted ? NULL : fm_remote_choose(client, task, now_ns, &wait_ns);
    if (remote) {
        if (fm_transfer_picture(client, remote, task, now_ns)) {
            remote->outstanding++;
            remote->begun++;
        } else {
            fail_task(client, task, FM_OUT_OF_MEMORY, "no memory for a request");
        }
        return false;
    }
    if (wait_ns && now_ns < task->patience_ns) {
        wait_ns = wait_ns < task->patience_ns ? wait_ns : task->patience_ns;
    } else if (client->options.policy != FM_WORKER_REQUIRE) {
        go_here(client, task);
        return false;
    } else if (exhausted) {
        fail_required(client, task);
        return false;
    } else { /* a worker may come back between two tries */
        if (now_ns >= task->due_ns)
            note_failure(client, task, NULL);
        wait_ns = task->due_ns;
    }
    if (task->deadline_ns && task->deadline_ns < wait_ns)
        wait_ns = task->deadline_ns;
    *wake_ns = wait_ns < *wake_ns ? wait_ns : *wake_ns;
    return true;
}

static void place_tasks(fm_client *client, uint64_t now_ns, uint64_t *wake_ns) {
    struct task_list waiting = client->waiting;
    struct task *task;
    client->waiting = (struct task_list){NULL, NULL};
    while ((task = fm_tasks_take(&waiting)) != NULL) {
        if (place_task(client, task, now_ns, wake_ns))
            fm_tasks_add(&client->waiting, task);
    }
}

/* ---- answers in */

/* A worker knows no names: "'image in memory' is not an image" becomes what the engine here would say. */
static void name_picture(const struct task *task, const char *words, char *out, size_t size) {
    const char *at = task->path ? strstr(words, IN_MEMORY) : NULL;
    (void)snprintf(out, size, "%.*s%s%s", at ? (int)(at - words) : 0, words, at ? task->path : "",
                   at ? at + sizeof IN_MEMORY - 1 : words);
}

static void take_refusal(fm_client *client, struct transfer *transfer, const struct refusal *refusal) {
    struct task *task = transfer->task;
    char words[CLIENT_REASONS];
    name_picture(task, refusal->words, words, sizeof words);
    fm_remote_succeeded(transfer->remote); /* it answers: the picture is what is wrong */
    const char *url = fm_arena_copy(&task->reply->arena, transfer->remote->url);
    task->reply->source = url ? url : "";
    fail_task(client, task, refusal->status, words);
}

/* True when the answer is one of a worker that does its work, and the task is done with; otherwise words. */
static bool take_faces(fm_client *client, struct transfer *transfer, char words[CLIENT_WORDS]) {
    struct task *task = transfer->task;
    fm_error error = {0};
    fm_status status =
        fm_reply_read(task->reply, transfer->remote->dialect, transfer->answer.bytes, transfer->answer.size, &error);
    const char *url = fm_arena_copy(&task->reply->arena, transfer->remote->url);
    if (!url || status == FM_OUT_OF_MEMORY) {
        fail_task(client, task, FM_OUT_OF_MEMORY, "no memory for an answer");
        return true;
    }
    if (status) {
        task->reply->embedded = false;
        (void)snprintf(words, CLIENT_WORDS, "its answer cannot be read: %.400s", error.message);
        return false;
    }
    task->reply->source = url;
    fm_remote_succeeded(transfer->remote);
    deliver(client, task);
    return true;
}

static bool is_deadline(const struct task *task, CURLcode code) {
    return code == CURLE_OPERATION_TIMEDOUT && task->deadline_ns && fm_clock_ns() >= task->deadline_ns;
}

/* Codes of a worker that will not do better in a moment: no token, no such route, a page elsewhere. */
static bool is_hopeless(long http) {
    return (http >= 300 && http < 400) || http == 401 || http == 403 || http == 404 || http == 405;
}

static void picture_done(fm_client *client, struct transfer *transfer, CURLcode code) {
    struct task *task = transfer->task;
    struct remote *remote = transfer->remote;
    long http = code == CURLE_OK ? fm_transfer_code(client, transfer) : 0;
    char words[CLIENT_WORDS];
    remote->outstanding--;
    if (http == 200 && take_faces(client, transfer, words))
        return;
    if (is_deadline(task, code)) { /* nobody's failure; the next look at the task says so */
        fm_tasks_add(&client->waiting, task);
        return;
    }
    if (code != CURLE_OK) {
        fm_transfer_words(client, transfer, code, words);
    } else if (http != 200) {
        struct refusal refusal = fm_refusal_read(http, transfer->answer.bytes, transfer->answer.size);
        if (refusal.status) {
            take_refusal(client, transfer, &refusal);
            return;
        }
        if ((http == 503 || http == 429) && transfer->has_retry_after) { /* busy, not broken */
            fm_remote_succeeded(remote);
            remote->busy_ns = fm_clock_ns() + transfer->retry_after_ms * MS;
            fm_tasks_add(&client->waiting, task);
            return;
        }
        (void)snprintf(words, sizeof words, "%ld: %.400s", http, refusal.words);
    }
    /* A GPU worker's 500 may be about the picture: no use in asking it again. */
    if (http == 500 && remote->dialect == DIALECT_GPU)
        task->refused |= UINT64_C(1) << remote->index;
    fm_remote_failed(client, remote, is_hopeless(http), words);
    note_failure(client, task, remote);
    fm_tasks_add(&client->waiting, task);
}

static bool take_answers(fm_client *client) {
    bool any = false;
    CURLMsg *message;
    int left;
    while ((message = client->curl.curl_multi_info_read(client->multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)client->curl.curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&transfer);
        if (transfer->task)
            picture_done(client, transfer, code);
        else
            fm_remote_probed(client, transfer, code);
        fm_transfer_end(client, transfer);
        any = true;
    }
    return any;
}

/* ---- the thread */

/* What callers and the engine handed over; false at the end. */
static bool take_over(fm_client *client) {
    struct task_list finished;
    struct task *task;
    fm_mutex_lock(&client->mutex);
    finished = client->finished;
    client->finished = (struct task_list){NULL, NULL};
    while ((task = fm_tasks_take(&client->incoming)) != NULL) {
        fm_tasks_add(&client->waiting, task);
        client->asked = true;
    }
    bool ending = client->ending;
    fm_mutex_unlock(&client->mutex);
    while ((task = fm_tasks_take(&finished)) != NULL) {
        if (task->reply->result)
            fm_remotes_compare_packs(client);
        deliver(client, task);
    }
    return !ending;
}

void fm_client_run(void *argument) {
    fm_client *client = argument;
    while (take_over(client)) {
        uint64_t now_ns = fm_clock_ns(), wake_ns = now_ns + 60000 * MS;
        int running = 0;
        uint64_t probe_ns = fm_remotes_probe(client, now_ns);
        place_tasks(client, now_ns, &wake_ns);
        wake_ns = probe_ns < wake_ns ? probe_ns : wake_ns;
        (void)client->curl.curl_multi_perform(client->multi, &running);
        if (take_answers(client))
            continue;
        now_ns = fm_clock_ns();
        if (wake_ns > now_ns) /* also ends at fm_client_wake */
            (void)client->curl.curl_multi_poll(client->multi, NULL, 0, (int)((wake_ns - now_ns) / MS + 1), NULL);
    }
}
