/* Provider: runs one network, knows nothing about faces. One visible table in order of preference. A session is
   immutable after open and may be run from several threads at once; a run belongs to one thread. */
#ifndef FM_PROVIDERS_PROVIDER_H
#define FM_PROVIDERS_PROVIDER_H

#include "base/error.h"
#include "base/log.h"
#include "base/tensor.h"

struct session;
struct run;

/* Everything about the runtime that several sessions of one engine share. Opened once per engine. */
struct runtime_options {
    const char *ort_library;
    const char *data_folder; /* our own library lives below it */
    int device;              /* accelerator index, 0-based */
    uint64_t gpu_mem_limit;  /* 0: default by purpose */
    int threads;
    const fm_provider_option *options; /* all providers'; each takes its own */
    size_t option_count;
    struct logger *logger;
};

struct session_request {
    const char *name;     /* for messages: "det_500m.onnx" */
    const char *purpose;  /* "detection", "recognition", "deepfake": selects defaults */
    const uint8_t *bytes; /* the ONNX file; only read during open */
    size_t size;
    bool strict; /* audit: every node must run on this provider */
    bool report; /* the same audit, but what ran elsewhere is only said (elsewhere) */
    /* A typical input, for the audit and warm-up: dims with batch 1. */
    enum dtype input_dtype;
    int input_rank;
    int64_t input_dims[FM_MAX_RANK];
    fm_precision precision;
};

struct provider_probe {
    bool available;
    char detail[512], reason[512], remedy[512];
};

#define FM_MAX_OUTPUTS 32

struct provider {
    const char *name;              /* "ort:cpu" */
    bool host_compute;             /* its networks use this machine's cores: takes from the CPU budget */
    bool prefer_bytes;             /* u8 input is no slower (measured: docs/PERF_LOG.md) */
    int detect_batch, embed_batch; /* per run, by table */
    int lanes;                     /* runs at a time; 0: one per thread of the budget */
    bool listed_in_auto;
    bool split_prelu;      /* its PRelu is slow: give it the graph in other words (fm_graph_split_prelu) */
    bool session_per_lane; /* a session serialises its callers: every lane opens its own */
    /* Can it be opened here? Cheap: loads libraries, opens no model. */
    void (*probe)(const struct runtime_options *options, struct provider_probe *probe);
    fm_status (*open)(const struct runtime_options *options, const struct session_request *request,
                      struct session **session, fm_error *error);
    void (*close)(struct session *session);
    const char *(*detail)(const struct session *session); /* "ONNX Runtime 1.31.1 (/path/libonnxruntime.so), CPU" */
    /* "" or words on the nodes that run on another provider, and on which: what a strict request refuses. */
    const char *(*elsewhere)(const struct session *session);
    /* The graph's input and outputs by the order of its declaration. */
    size_t (*output_count)(const struct session *session);
    fm_status (*run_open)(struct session *session, struct run **run, fm_error *error);
    void (*run_close)(struct run *run);
    /* Start; `input` must stay as it is until wait returns. Out of memory is FM_OUT_OF_MEMORY. */
    fm_status (*submit)(struct run *run, const struct tensor *input, fm_error *error);
    /* Finish; outputs[0..output_count) point at memory of the run, valid until its next submit or close. */
    fm_status (*wait)(struct run *run, struct tensor *outputs, fm_error *error);
};

/* Rows in order of preference; NULL behind the last. */
const struct provider *fm_provider_row(size_t index);
/* NULL when there is no such name. */
const struct provider *fm_provider_find(const char *name, size_t length);

#endif
