/* The client's inside. One thread, the client's own (loop.c), has the workers, the transfers and every picture that
   waits; callers hand pictures over in `incoming`, the engine hands answers over in `finished`. A second thread
   (local.c) opens the local engine and feeds it, so that opening a pack stops no transfer. */
#ifndef FM_CLIENT_CLIENT_H
#define FM_CLIENT_CLIENT_H

#include "base/log.h"
#include "base/os.h"
#include "client/curl.h"
#include "client/reply.h"

#define CLIENT_WORKERS 64
#define CLIENT_WORDS 512
#define CLIENT_REASONS 1600  /* of all workers, in one message */
#define MS UINT64_C(1000000) /* in nanoseconds */

/* One picture on its way. */
struct task {
    struct task *next;
    fm_client *client;
    fm_input input; /* what the local engine gets; `path` is the task's own */
    char *path;
    struct buffer own; /* the file's bytes, or pixels as PNG */
    const void *bytes;
    size_t size;
    fm_reply *reply;
    fm_reply_callback callback;
    void *user;
    bool answered;        /* `reply` is complete */
    int failures;         /* of workers, with this picture */
    uint64_t tried;       /* workers that failed with it, as bits */
    uint64_t refused;     /* those that would fail with it again */
    uint64_t due_ns;      /* back-off: not to the same worker before */
    uint64_t patience_ns; /* busy workers are waited for until then */
    uint64_t deadline_ns; /* 0: none */
};
struct task_list {
    struct task *first, *last;
};
void fm_tasks_add(struct task_list *list, struct task *task);
struct task *fm_tasks_take(struct task_list *list); /* NULL when empty */

struct transfer;

/* One worker. */
enum remote_state {
    REMOTE_NEW,  /* never asked */
    REMOTE_USED, /* gets pictures */
    REMOTE_LEFT  /* the breaker is open: it gets health probes */
};
struct remote {
    const char *url;    /* its name; without a slash at the end */
    const char *base;   /* for libcurl */
    const char *socket; /* file of a Unix socket; NULL */
    int index;
    enum remote_state state;
    enum dialect dialect;
    int outstanding;         /* requests under way */
    uint64_t begun;          /* requests, ever: of equals the least used one is taken */
    int failures;            /* in a row */
    uint64_t busy_ns;        /* it asked to be left alone until then */
    uint64_t probe_ns;       /* when the next probe is due */
    struct transfer *probe;  /* under way; NULL */
    bool proved;             /* it analyzed a picture since it was last left alone */
    int relapses;            /* times in a row that it answered a probe and then no picture */
    char last[CLIENT_WORDS]; /* its last failure; "" */
    struct worker_pack pack;
};

/* One request under way: a picture's, or a probe of a worker's health. */
struct transfer {
    struct transfer *next; /* of those that are free */
    CURL *easy;
    struct curl_slist *headers;
    curl_mime *mime;
    struct remote *remote;
    struct task *task; /* NULL: a probe */
    bool at_root;      /* a probe's second question: GET / */
    bool too_large, no_memory;
    bool has_retry_after;
    uint64_t retry_after_ms;
    struct buffer answer;
    char why[CURL_ERROR_SIZE];
};

/* The engine here, opened when it is first needed. */
struct local {
    fm_engine_options options; /* copied into the client's arena */
    fm_limits limits;
    struct os_thread thread;
    bool running;
    struct os_cond work;
    struct task_list tasks; /* under the client's mutex, like all below */
    bool ending;
    fm_engine *engine; /* NULL until it was opened */
    fm_error error;    /* why it could not be */
};

struct fm_client {
    struct arena arena;
    fm_client_options options; /* defaults filled in; strings in the arena */
    struct logger logger;
    struct curl_library curl;
    CURLM *multi;
    char *query;         /* of POST /v1/analyze */
    const char *special; /* the option that workers without options cannot have; NULL: none is set */
    char *authorization; /* a header; NULL */
    struct remote remotes[CLIENT_WORKERS];
    int remote_count;

    struct os_mutex mutex;
    struct os_cond changed; /* fewer pictures are under way */
    int under_way;
    bool ending;
    struct task_list incoming, finished;
    struct local local;

    /* The client's thread alone. */
    struct os_thread thread;
    bool running;
    struct task_list waiting;
    struct transfer *free_transfers;
    uint64_t random;
    bool asked; /* there was a picture: workers may be asked for their health */
    bool here;  /* pictures go to the local engine: said once */
    bool told_apart, told_one, told_engine;
};

/* loop.c */
void fm_client_run(void *client);
/* Any thread: there is something to look at. */
void fm_client_wake(fm_client *client);
/* "URL: its last failure; ..." of all workers. */
void fm_client_reasons(const fm_client *client, char *out, size_t size);

/* remote.c: which worker, and how each is doing. The client's thread. */
/* The worker for a picture now; NULL: none. *wait_ns is then when to look again, or 0: no worker will have it. */
struct remote *fm_remote_choose(fm_client *client, struct task *task, uint64_t now_ns, uint64_t *wait_ns);
void fm_remote_succeeded(struct remote *remote);
/* Note a failure; opens the breaker after enough of them, or at once. */
void fm_remote_failed(fm_client *client, struct remote *remote, bool at_once, const char *words);
/* Begin the probes that are due; when the next one is, UINT64_MAX for none. */
uint64_t fm_remotes_probe(fm_client *client, uint64_t now_ns);
void fm_remote_probed(fm_client *client, struct transfer *transfer, CURLcode code);
bool fm_remote_any_used(const fm_client *client);
/* Say once when embeddings of different packs come out of this client. */
void fm_remotes_compare_packs(fm_client *client);

/* transfer.c: requests of libcurl. The client's thread. */
/* NULL when libcurl cannot: out of memory. */
struct transfer *fm_transfer_picture(fm_client *client, struct remote *remote, struct task *task, uint64_t now_ns);
struct transfer *fm_transfer_probe(fm_client *client, struct remote *remote, bool at_root);
long fm_transfer_code(fm_client *client, const struct transfer *transfer);
/* Words on a request that got no answer. */
void fm_transfer_words(fm_client *client, const struct transfer *transfer, CURLcode code, char out[CLIENT_WORDS]);
void fm_transfer_end(fm_client *client, struct transfer *transfer);
void fm_transfers_reset(fm_client *client);

/* local.c */
void fm_local_add(fm_client *client, struct task *task); /* the client's thread */
FM_MUST_USE fm_status fm_local_copy(fm_client *client, const fm_engine_options *options, fm_error *error);
void fm_local_close(fm_client *client);

#endif
