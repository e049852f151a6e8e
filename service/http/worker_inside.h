/* What worker.c and worker_job.c share; nobody else's. */
#ifndef FM_HTTP_WORKER_INSIDE_H
#define FM_HTTP_WORKER_INSIDE_H

#include "http/worker.h"

#include "base/os.h"

struct job_state;

struct kept_engine {
    struct worker_engine shown;
    struct kept_engine *next;
    size_t in_flight, capacity; /* pictures of jobs, and how many the engine takes */
};

struct worker {
    struct os_mutex mutex; /* all below */
    struct os_cond changed;
    struct os_thread keeper; /* closes engines that nobody uses any more and unloads idle models: both wait */
    bool closing, cancelling;
    struct kept_engine *current, *engines;
    uint32_t idle_unload_ms;
    uint64_t used_ns; /* of the last use */
    struct job_state *jobs;
    size_t job_count;
    struct worker_figures past; /* counters, and sums over engines that are closed */
};

/* For worker_job.c: count a result. The caller holds the mutex. */
void fm_worker_count(struct worker *worker, const fm_result *result);

/* One job as worker_job.c has it. */
struct job_slot {
    struct job_state *state;
    size_t index;
    fm_ticket ticket; /* 0: not accepted */
};
struct job_state {
    struct worker_job job; /* first: what routes have a pointer to */
    struct worker *worker;
    struct job_state *next, **link; /* in worker->jobs while pictures are in flight */
    struct job_slot *slots;
    size_t pending;        /* pictures in flight, plus one while they are being submitted; under the worker's mutex */
    bool crowded, stopped; /* the engine had no room after all; called off by the worker's end */
};

/* Call off every job in flight, now and from now on. The caller holds the mutex. */
void fm_worker_cancel_jobs(struct worker *worker);

#endif
