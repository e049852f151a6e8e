/* Worker: the engine behind the routes. It may be swapped for another pack, or unloaded and loaded again, under
   requests: whoever works with an engine holds it. Routes submit the pictures of a request together and are called when
   all of them are done. Any thread. */
#ifndef FM_HTTP_WORKER_H
#define FM_HTTP_WORKER_H

#include "http/http.h"
#include "http/multipart.h"

#include <stdatomic.h>

struct worker;

/* An engine in use; it lives until released by everybody, also when the worker has a newer one. */
struct worker_engine {
    struct worker *worker;
    fm_engine *engine;
    fm_pack_info pack;
    int det_size; /* side of its largest detector input */
    int users;    /* the worker's own count */
};
struct worker_engine *fm_worker_hold(struct worker *worker);
void fm_worker_release(struct worker_engine *held);
/* The same to look at models and figures: does not count as use, so that monitoring keeps no idle model loaded. */
struct worker_engine *fm_worker_look(struct worker *worker);

/* What became of one picture of a request. */
struct worker_image {
    fm_input input;    /* encoded bytes inside the request's body or in `decoded` */
    struct buffer own; /* bytes of its own (from base64, a URL); {0} otherwise */
    const char *name;  /* the part's file name, or NULL */
    fm_status status;  /* set before submission for what could not even be read; else the result's */
    fm_error error;
    fm_result *result; /* NULL when it never reached the engine */
};

/* The pictures of one request, and what happens when they are done. */
struct worker_job {
    struct http_request *request;
    struct worker_engine *held;
    struct worker_image *images;
    size_t count;
    struct http_form form;                /* where names and bytes are; {0} for other bodies */
    struct arena arena;                   /* for whatever lives as long */
    void (*done)(struct worker_job *job); /* writes the reply; on one of the engine's threads */
    void *state;                          /* the route's, in the arena */
};
/* A job for a request, with `count` zeroed images; NULL when out of memory (then the request was answered). */
struct worker_job *fm_worker_job(struct http_request *request, size_t count);
/* Hand the job's pictures to the engine, all or none: when the queue has no room the request is answered with 503 and
   Retry-After and the job is gone; one of more pictures than the queue takes is 413. Pictures with a status are
   skipped. The client's leaving and the deadline end the
   work before it enters a batch; a request whose client is gone is not answered but let go. */
void fm_worker_submit(struct worker_job *job, const fm_call_options *options);
/* Free the job; after `done` has replied. */
void fm_worker_job_free(struct worker_job *job);

/* A status as HTTP has it: FM_BAD_IMAGE 422, FM_UNSUPPORTED 415, FM_LIMIT 413, FM_BUSY 503, FM_DEADLINE 504, ... */
int fm_worker_code(fm_status status);

struct worker_options {
    fm_engine_options engine;
    uint32_t idle_unload_ms; /* unload models after so long without a request; 0: never */
};
FM_MUST_USE fm_status fm_worker_open(const struct worker_options *options, struct worker **worker, fm_error *error);
/* Open another engine and let new requests use it; the old one ends with its last request. On failure nothing changes.
 */
FM_MUST_USE fm_status fm_worker_swap(struct worker *worker, const struct worker_options *options, fm_error *error);
/* Wait until no picture is in flight, at most until fm_clock_ns() is `deadline_ns`; false when it was. Then, or with
   `cancel`, what is still in flight is called off: its requests are answered with 503. */
bool fm_worker_drain(struct worker *worker, uint64_t deadline_ns);
void fm_worker_cancel(struct worker *worker);
void fm_worker_set_idle(struct worker *worker, uint32_t idle_unload_ms);
/* After every request was answered. */
void fm_worker_close(struct worker *worker);
/* Models opened, self-test passed, queue not full. `words` says what is missing. */
bool fm_worker_ready(struct worker *worker, char *words, size_t size);

/* Since the start, over all engines there were. */
struct worker_figures {
    fm_stats stats;                                      /* queue_depth and queue_capacity: pictures in flight, now */
    uint64_t expired, cancelled, refused;                /* pictures: past the deadline, client gone, queue full */
    uint64_t unloads, swaps, jobs;                       /* jobs: requests that reached the engine */
    uint64_t stage_buckets[FM_STAGES + 1][HTTP_BUCKETS]; /* pictures by seconds (fm_http_bounds); last row: in all */
    double stage_seconds[FM_STAGES + 1];
    bool loaded; /* models are in memory; they come back on demand */
};
void fm_worker_figures(struct worker *worker, struct worker_figures *figures);

/* The routes, a table per interface; serve.c joins them. Their http_request.user is a struct service. */
struct chores;
struct service {
    struct worker *worker;
    struct http_server *server;
    struct chores *chores;        /* threads for what must wait (chores.h) */
    const char *ort_library;      /* that the worker was opened with; NULL: searched for */
    const char *const *url_hosts; /* hosts that pictures may be fetched from; none: fetching is off */
    size_t url_host_count;
    fm_limits limits;    /* of pictures */
    uint64_t body_limit; /* bytes of a request, also of what is fetched for one */
    fm_log_callback log; /* for what routes have to say; NULL: nothing is said */
    void *log_user;
    atomic_bool told_pack; /* that immich asked for a model by another name */
};
struct http_route_table {
    const struct http_route *rows;
    size_t count;
};
struct http_route_table fm_routes_health(void);  /* /, /healthz, /readyz, /metrics */
struct http_route_table fm_routes_gpu(void);     /* /detect, /detect-batch: the GPU worker's interface */
struct http_route_table fm_routes_v1(void);      /* /v1/..., /openapi.json */
struct http_route_table fm_routes_immich(void);  /* /ping, /predict */
struct http_route_table fm_routes_restful(void); /* /extract, /draw_detections, /info, /health: InsightFace-REST's */
/* The page for browsers, which "/" answers with when Accept prefers text/html. */
extern const char fm_page[];
/* Answer with it and with the headers it needs: a policy that lets nothing else run. */
void fm_page_reply(struct http_request *request);

#endif
