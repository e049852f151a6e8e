/* Engine, inside: the structs that the stages of one image share. Callers' threads only submit and wait; host workers
   read, decode, letterbox, suppress and align; lanes run networks. Host workers may wait for lanes (a slot in a batch),
   lanes never wait for host workers beyond the moment in which a taken slot is being filled: so nothing can lock up. */
#ifndef FM_ENGINE_ENGINE_H
#define FM_ENGINE_ENGINE_H

#include <stdatomic.h>

#include "base/log.h"
#include "base/os.h"
#include "device/device.h"
#include "image/image.h"
#include "models/align.h"
#include "models/detector.h"
#include "models/pack.h"
#include "providers/provider.h"

enum stage {
    STAGE_QUEUE,
    STAGE_READ,
    STAGE_DECODE,
    STAGE_LETTERBOX,
    STAGE_DETECT,
    STAGE_POSTPROCESS,
    STAGE_ALIGN,
    STAGE_EMBED
};

#define FM_MAX_CANDIDATES ((size_t)65536) /* per image and detector size; more means a threshold of almost zero */

/* ---- networks, lanes, batches (batcher.c) */

struct network;

/* What a lane hands back for one slot; valid during the call. */
struct slot_answer {
    const struct network *network;
    const struct tensor *outputs;
    size_t output_count;
    int batch, slot; /* images in that run, and which of them this is */
    double run_ms;
    fm_status status;
    const fm_error *error;
};

/* Who took a slot. Both run on the lane's thread and must not wait. */
struct slot_owner {
    void (*deliver)(struct slot_owner *owner, int index, const struct slot_answer *answer);
    /* Asked when a lane closes the batch; false: the slot is answered FM_CANCELLED and not computed. NULL: always. */
    bool (*alive)(struct slot_owner *owner);
};

struct batch_slot {
    struct slot_owner *owner;
    int index; /* the owner's own number: detector size or face */
};

struct batch {
    struct batch *next;
    int width, height; /* shape it is laid out for */
    int capacity, taken, filled;
    uint64_t opened_ns;  /* its first slot was taken */
    struct tensor input; /* [capacity, 3, height, width] */
    struct batch_slot *slots;
};

struct lane {
    struct network *network;
    struct os_thread thread;
    bool started;
    struct session *session; /* its own, where the provider wants one per lane; NULL until it is needed */
    struct run *run;         /* on its own session or on the network's */
};

/* CPU budget: how many of the threads that networks on this machine's cores may use together are free. */
struct budget {
    struct os_mutex mutex;
    struct os_cond freed;
    int available;
};

struct network {
    const struct model *model;
    const struct provider *provider;
    const struct runtime_options *runtime;
    struct device *device;
    struct logger *logger;
    struct budget *budget; /* NULL when the provider does not compute on the host */
    bool strict;
    fm_precision precision;

    int max_batch, lane_count, embedding_size;
    uint64_t max_wait_ns;
    size_t output_count;
    enum dtype input_dtype;
    char batch_note[512], detail[512], passed_over[2048], elsewhere[1024];

    struct os_mutex mutex;                     /* all below */
    struct os_cond work, written, space, idle; /* batches to run; closed ones, to their last slot; free; at rest */
    struct session *session; /* the lanes' common one; NULL when unloaded, or when lanes have their own */
    int sessions_open, running;
    int waiting; /* callers without a batch to take a slot of */
    bool closing, trimming, opening, oom_reported, audited;
    struct batch *batches; /* all of them */
    int batch_count;
    struct batch *open, *free; /* open: oldest first */
    struct lane *lanes;
    uint64_t histogram[FM_BATCH_BUCKETS], items, oom_retries; /* items: slots of all runs */
};

struct network_options {
    const struct model *model;
    const struct provider *provider;
    const struct runtime_options *runtime;
    struct device *device;
    struct logger *logger;
    struct budget *budget;
    bool strict;
    fm_precision precision;
    int batch;            /* 0: the provider's own */
    int threads;          /* lanes when the provider leaves it open */
    uint64_t max_wait_ns; /* how long a batch that is not full may keep a free lane waiting */
    int width, height;    /* typical input, opened at once */
};
/* Open the session for the typical size, check batching once, start the lanes. */
FM_MUST_USE fm_status fm_network_open(const struct network_options *options, struct network **network, fm_error *error);
void fm_network_close(struct network *network);
/* Take a slot of a batch of this shape; waits while all batches are busy. FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_network_acquire(struct network *network, int width, int height, struct slot_owner *owner,
                                         int index, struct batch **batch, int *slot, fm_error *error);
/* The slot is written: the batch may run as far as this slot goes. */
void fm_network_commit(struct network *network, struct batch *batch);
/* Wait for running batches, then close sessions and free tensors; they return on demand. */
void fm_network_trim(struct network *network);
uint64_t fm_network_memory(struct network *network);
bool fm_network_loaded(struct network *network);

/* session.c: opening, warming and checking graphs on a provider; used under the network's rules. */
FM_MUST_USE fm_status fm_network_session_open(struct network *network, int width, int height, struct session **session,
                                              fm_error *error);
/* Compare one batch of three images with three single runs; false: *note says why not. */
FM_MUST_USE bool fm_network_batch_holds(struct network *network, struct session *session, int width, int height,
                                        char *note, size_t note_size);
/* Values per embedding, by running one black crop. */
FM_MUST_USE fm_status fm_network_measure_embedding(struct network *network, struct session *session, fm_error *error);

/* policy.c: the provider of each model. */
struct settings;
FM_MUST_USE fm_status fm_policy_open_network(struct fm_engine *engine, const struct model *model,
                                             struct network **network, fm_error *error);

/* ---- results (result.c) */

struct result_pool {
    atomic_int references; /* the engine's and one per result outside */
    struct os_mutex mutex;
    struct fm_result *free;
    int free_count, capacity;
};

struct fm_result {
    struct result_pool *pool;
    struct fm_result *next;
    fm_error error;
    int width, height;
    size_t face_count;
    struct buffer faces;      /* fm_face[] */
    struct buffer embeddings; /* float[face_count][embedding_size] */
    struct image image;       /* kept pixels, else only memory */
    bool has_pixels;
    double stage_ms[FM_STAGES], total_ms;
};
FM_MUST_USE struct result_pool *fm_result_pool_open(int capacity);
void fm_result_pool_unref(struct result_pool *pool);
void fm_result_pool_trim(struct result_pool *pool);
/* A result of no faces; NULL when out of memory. */
FM_MUST_USE struct fm_result *fm_result_take(struct result_pool *pool);
/* Room for `count` faces with embeddings of `size` (0: none). */
FM_MUST_USE bool fm_result_reserve(struct fm_result *result, size_t count, int size);

/* ---- jobs (pipeline.c runs them, submit.c accepts them) */

/* Big memory of an image in flight; there are fewer of these than of jobs. */
struct workspace {
    struct workspace *next;
    struct buffer file, candidates, scratch;
    struct image image;
    uint64_t held; /* bytes, as of its last return; under the engine's mutex */
};

/* A synchronous caller waiting for its images. */
struct waiter {
    struct os_mutex mutex;
    struct os_cond done;
    size_t remaining;
    fm_result **results;
};

/* Options of one call after the engine's were put in. */
struct call {
    int det_sizes[FM_MAX_DET_SIZES], det_size_count;
    float det_threshold, min_face;
    int max_faces;
    fm_face_metric face_metric;
    bool embed, keep_pixels;
    uint32_t deadline_ms;
    bool (*wanted)(void *user);
    void *wanted_user;
};

enum job_step { JOB_START, JOB_DETECTED, JOB_EMBEDDED };

struct job {
    struct slot_owner detect_owner, embed_owner; /* deliver() finds the job by its member */
    struct job *next;
    struct fm_engine *engine;
    enum job_step step;
    fm_ticket ticket; /* 0: free */
    fm_input input;
    fm_pixels pixels;
    struct buffer path;
    struct call call;
    fm_callback callback;
    void *user;
    struct waiter *waiter; /* instead of a callback */
    size_t waiter_index;
    uint64_t submitted_ns, deadline_ns;
    atomic_bool cancelled, failed;
    atomic_int pending; /* slots out, plus one while a worker still hands slots out */
    fm_error error;
    struct workspace *workspace;
    struct fm_result *result;
    size_t region[FM_MAX_DET_SIZES + 1]; /* candidates of size k start here */
    size_t candidate_count[FM_MAX_DET_SIZES];
    double scale[FM_MAX_DET_SIZES];
    _Atomic uint64_t detect_us, embed_us, postprocess_us; /* summed by lanes */
    double stage_ms[FM_STAGES];
};

struct settings {
    char *pack, *providers, *ort_library;
    fm_policy policy;
    fm_provider_option *provider_options;
    size_t provider_option_count;
    int device, threads, batch, host_workers, queue_depth;
    uint32_t max_wait_us;
    uint64_t gpu_mem_limit;
    fm_precision precision;
    fm_limits limits;
    struct call call;
    struct arena arena; /* the strings above */
};

struct fm_engine {
    struct settings settings;
    struct logger logger;
    struct runtime_options runtime;
    char data_folder[1024];
    struct device *device;
    const struct device_ops *ops;
    struct pack *pack;
    char pack_id[65];
    struct budget budget;
    struct network *detector, *recogniser; /* recogniser NULL when the pack has none */
    struct result_pool *results;

    struct os_mutex mutex; /* all below */
    struct os_cond work, space, drained;
    struct job *jobs, *free_jobs;
    struct job *waiting_first, *waiting_last; /* accepted, not started */
    struct job *ready_first, *ready_last;     /* back from a lane */
    struct workspace *workspaces, *free_workspaces;
    int workspace_count;
    struct os_thread *workers;
    int worker_count;
    bool closing;
    uint32_t in_flight;
    fm_ticket last_ticket;
    uint64_t images, faces, errors, cancelled, expired;
    double stage_ms[FM_STAGES];
};

/* settings.c */
FM_MUST_USE fm_status fm_settings_resolve(struct settings *settings, const fm_engine_options *options, fm_error *error);
void fm_settings_reset(struct settings *settings);
FM_MUST_USE fm_status fm_call_resolve(const struct fm_engine *engine, const fm_call_options *options, struct call *call,
                                      fm_error *error);
/* Copy a struct that begins with struct_size from a caller who may know fewer or more fields; false: struct_size is 0.
 */
FM_MUST_USE bool fm_options_copy(void *to, size_t to_size, const void *from);

/* pipeline.c: the body of a host worker's thread. */
void fm_pipeline_worker(void *engine);

#endif
