/* Remote: which worker gets a picture, how each is doing, and what it is. A worker that fails several times in a row is
   left alone (the circuit breaker is open) and asked for its health until it answers. The client's thread. */
#include "client/client.h"

#include <stdio.h>
#include <string.h>

#define MOST_RELAPSES 6 /* 64 times probe_ms */

bool fm_remote_any_used(const fm_client *client) {
    for (int i = 0; i < client->remote_count; i++) {
        if (client->remotes[i].state == REMOTE_USED)
            return true;
    }
    return false;
}

/* ---- choosing */

/* When this worker could have the picture; UINT64_MAX: never, as things are. */
static uint64_t ready_ns(const struct remote *remote, const struct task *task, uint64_t now_ns) {
    uint64_t bit = UINT64_C(1) << remote->index;
    if (remote->state == REMOTE_LEFT || (task->refused & bit))
        return UINT64_MAX;
    if (remote->state == REMOTE_NEW)
        return now_ns + 1000 * MS; /* the end of its first probe comes before */
    uint64_t due_ns = task->tried & bit ? task->due_ns : 0;
    return due_ns > remote->busy_ns ? due_ns : remote->busy_ns;
}

/* One that has not failed with this picture, then the one with fewest requests, then the one that had fewest. */
static bool is_better(const struct remote *a, const struct remote *b, const struct task *task) {
    bool a_tried = task->tried >> a->index & 1, b_tried = task->tried >> b->index & 1;
    if (a_tried != b_tried)
        return b_tried;
    if (a->outstanding != b->outstanding)
        return a->outstanding < b->outstanding;
    return a->begun < b->begun;
}

struct remote *fm_remote_choose(fm_client *client, struct task *task, uint64_t now_ns, uint64_t *wait_ns) {
    struct remote *best = NULL;
    *wait_ns = 0;
    for (int i = 0; i < client->remote_count; i++) {
        struct remote *remote = &client->remotes[i];
        uint64_t ready = ready_ns(remote, task, now_ns);
        if (ready <= now_ns)
            best = !best || is_better(remote, best, task) ? remote : best;
        else if (ready != UINT64_MAX && (!*wait_ns || ready < *wait_ns))
            *wait_ns = ready;
    }
    return best;
}

/* ---- the breaker */

void fm_remote_succeeded(struct remote *remote) {
    remote->failures = 0;
    remote->proved = true;
}

static void leave(fm_client *client, struct remote *remote) {
    bool relapsed = remote->state == REMOTE_USED && !remote->proved;
    remote->relapses = !relapsed ? 0 : remote->relapses < MOST_RELAPSES ? remote->relapses + 1 : MOST_RELAPSES;
    remote->proved = false;
    remote->state = REMOTE_LEFT;
    /* Whoever is in good health and analyzes nothing is not believed as soon the next time. */
    remote->probe_ns = fm_clock_ns() + ((uint64_t)client->options.probe_ms << remote->relapses) * MS;
    /* With no other worker, whoever takes the next picture says so. */
    fm_log(&client->logger, fm_remote_any_used(client) ? FM_LOG_WARN : FM_LOG_INFO, "client",
           "worker %s gets no more pictures (%s); it is asked for its health every %u ms", remote->url, remote->last,
           client->options.probe_ms);
}

void fm_remote_failed(fm_client *client, struct remote *remote, bool at_once, const char *words) {
    remote->failures++;
    (void)snprintf(remote->last, sizeof remote->last, "%s", words);
    fm_log(&client->logger, FM_LOG_DEBUG, "client", "worker %s: %s (%d in a row)", remote->url, words,
           remote->failures);
    if (remote->state == REMOTE_USED && (at_once || remote->failures >= client->options.breaker_failures))
        leave(client, remote);
}

/* ---- health */

uint64_t fm_remotes_probe(fm_client *client, uint64_t now_ns) {
    uint64_t next_ns = UINT64_MAX;
    for (int i = 0; i < client->remote_count && client->asked; i++) {
        struct remote *remote = &client->remotes[i];
        if (remote->state == REMOTE_USED || remote->probe)
            continue;
        if (now_ns >= remote->probe_ns) {
            remote->probe_ns = now_ns + client->options.probe_ms * MS;
            remote->probe = fm_transfer_probe(client, remote, false);
        }
        if (!remote->probe && remote->probe_ns < next_ns)
            next_ns = remote->probe_ns;
    }
    return next_ns;
}

static void probe_failed(fm_client *client, struct remote *remote, const char *words) {
    bool was_new = remote->state == REMOTE_NEW;
    (void)snprintf(remote->last, sizeof remote->last, "%s", words);
    remote->probe_ns = fm_clock_ns() + client->options.probe_ms * MS;
    if (was_new)
        leave(client, remote);
}

static void probe_succeeded(fm_client *client, struct remote *remote, enum dialect dialect) {
    bool was_left = remote->state == REMOTE_LEFT;
    if (dialect == DIALECT_GPU && client->special) {
        char words[CLIENT_WORDS];
        (void)snprintf(words, sizeof words, "it has the GPU worker's interface, which takes no %s", client->special);
        probe_failed(client, remote, words);
        return;
    }
    remote->state = REMOTE_USED;
    remote->dialect = dialect;
    remote->failures = 0;
    remote->busy_ns = 0;
    remote->last[0] = 0;
    if (client->here)
        fm_log(&client->logger, FM_LOG_WARN, "client", "worker %s answers: pictures go there from now on", remote->url);
    else if (was_left)
        fm_log(&client->logger, FM_LOG_INFO, "client", "worker %s answers again", remote->url);
    else
        fm_log(&client->logger, FM_LOG_INFO, "client", "worker %s has %s%s", remote->url,
               dialect == DIALECT_V1 ? "pack " : "the GPU worker's interface", remote->pack.name);
    client->here = false;
    fm_remotes_compare_packs(client);
}

/* GET /v1/models says that it is ours; where there is no such route, GET / says whether it is a GPU worker. */
void fm_remote_probed(fm_client *client, struct transfer *transfer, CURLcode code) {
    struct remote *remote = transfer->remote;
    long http = fm_transfer_code(client, transfer);
    char words[REPLY_WORDS];
    remote->probe = NULL;
    if (code != CURLE_OK) {
        fm_transfer_words(client, transfer, code, words);
        probe_failed(client, remote, words);
    } else if (!transfer->at_root && http == 200 &&
               fm_worker_pack_read(transfer->answer.bytes, transfer->answer.size, &remote->pack)) {
        probe_succeeded(client, remote, DIALECT_V1);
    } else if (!transfer->at_root && (http == 200 || http == 404 || http == 405 || http == 501)) {
        remote->probe = fm_transfer_probe(client, remote, true);
        if (!remote->probe)
            probe_failed(client, remote, "out of memory for a request");
    } else if (transfer->at_root && http == 200 &&
               fm_worker_health_read(transfer->answer.bytes, transfer->answer.size, words)) {
        remote->pack = (struct worker_pack){.name = ""};
        probe_succeeded(client, remote, DIALECT_GPU);
    } else {
        struct refusal refusal = fm_refusal_read(http, transfer->answer.bytes, transfer->answer.size);
        if (transfer->at_root && http == 200)
            (void)snprintf(refusal.words, sizeof refusal.words, "%s", words);
        else if (http == 401 || http == 403)
            (void)snprintf(refusal.words, sizeof refusal.words, "it answers %ld: it wants %s token", http,
                           client->authorization ? "another" : "a");
        probe_failed(client, remote, refusal.words);
    }
}

/* ---- packs */

void fm_remotes_compare_packs(fm_client *client) {
    const struct remote *first = NULL;
    const fm_engine *engine = fm_client_engine(client);
    for (int i = 0; i < client->remote_count; i++) {
        const struct remote *remote = &client->remotes[i];
        if (!remote->pack.id[0])
            continue;
        if (first && strcmp(first->pack.id, remote->pack.id) != 0 && !client->told_apart) {
            client->told_apart = true;
            fm_log(&client->logger, FM_LOG_WARN, "client",
                   "worker %s has pack %s, worker %s another (%s): embeddings of the two cannot be compared",
                   first->url, first->pack.name, remote->url, remote->pack.name);
        }
        first = first ? first : remote;
    }
    if (first && engine && !client->told_engine && strcmp(first->pack.id, fm_engine_pack_id(engine)) != 0) {
        client->told_engine = true;
        fm_log(&client->logger, FM_LOG_WARN, "client",
               "worker %s has pack %s, the engine here another (%s): embeddings of the two cannot be compared",
               first->url, first->pack.name, fm_engine_pack(engine).name);
    }
}
