/* The table of providers, in order of preference: what `auto` tries from top to bottom, and what `--provider` can name.
   To add one: a folder beside ort/, a row here, and the conformance suite (tests/providers/test_conformance.c) runs it.
   Batch sizes, lanes and prefer_bytes are measured, not assumed: docs/PERF_LOG.md. */
#include "providers/provider.h"

#include <stdio.h>
#include <string.h>

#include "providers/ort/probe.h"
#include "providers/ort/session.h"

/* ---------------------------------------------------------------- providers that this build does not have */

static void absent_probe(const struct runtime_options *options, struct provider_probe *probe) {
    (void)options;
    memset(probe, 0, sizeof *probe);
    snprintf(probe->reason, sizeof probe->reason, "not in this build");
    snprintf(probe->remedy, sizeof probe->remedy, "use ort:cuda on an NVIDIA GPU, ort:cpu or ort:openvino on a CPU");
}

static fm_status absent_open(const struct runtime_options *options, const struct session_request *request,
                             struct session **session, fm_error *error) {
    (void)options;
    *session = NULL;
    return fm_fail(
        error, FM_NO_PROVIDER,
        "'%s': this provider is not in this build; use ort:cuda on an NVIDIA GPU, ort:cpu or ort:openvino on a CPU",
        request->name);
}

static void absent_close(struct session *session) {
    (void)session; /* there is never one */
}

/* ---------------------------------------------------------------- ONNX Runtime's providers */

/* The contract's open and probe do not say which row is meant, so each row has its own two. */
#define ORT_ROW(id)                                                                                                    \
    static void probe_##id(const struct runtime_options *options, struct provider_probe *probe) {                      \
        fm_ort_probe(fm_ort_backend(id), options, probe);                                                              \
    }                                                                                                                  \
    static fm_status open_##id(const struct runtime_options *options, const struct session_request *request,           \
                               struct session **session, fm_error *error) {                                            \
        return fm_ort_session_open(fm_ort_backend(id), options, request, session, error);                              \
    }
ORT_ROW(ORT_BACKEND_CPU)
ORT_ROW(ORT_BACKEND_CUDA)
ORT_ROW(ORT_BACKEND_TENSORRT)
ORT_ROW(ORT_BACKEND_MIGRAPHX)
ORT_ROW(ORT_BACKEND_ROCM)
ORT_ROW(ORT_BACKEND_DML)
ORT_ROW(ORT_BACKEND_OPENVINO)
ORT_ROW(ORT_BACKEND_COREML)

#define ABSENT_OPERATIONS .probe = absent_probe, .open = absent_open, .close = absent_close
#define ORT_OPERATIONS(id)                                                                                             \
    .probe = probe_##id, .open = open_##id, .close = fm_ort_session_close, .detail = fm_ort_session_detail,            \
    .elsewhere = fm_ort_session_elsewhere, .output_count = fm_ort_session_output_count, .run_open = fm_ort_run_open,   \
    .run_close = fm_ort_run_close, .submit = fm_ort_run_submit, .wait = fm_ort_run_wait

/* On an accelerator one run at a time: a second lane would only queue behind the first, and keep a second workspace. */
#define ACCELERATOR .host_compute = false, .prefer_bytes = true, .detect_batch = 8, .embed_batch = 32, .lanes = 1

static const struct provider rows[] = {
    {.name = "cuda", ACCELERATOR, .listed_in_auto = true, ABSENT_OPERATIONS},
    {.name = "ort:cuda", ACCELERATOR, .listed_in_auto = true, ORT_OPERATIONS(ORT_BACKEND_CUDA)},
    {.name = "ort:migraphx", ACCELERATOR, .listed_in_auto = true, ORT_OPERATIONS(ORT_BACKEND_MIGRAPHX)},
    {.name = "ort:dml", ACCELERATOR, .listed_in_auto = true, ORT_OPERATIONS(ORT_BACKEND_DML)},
    {.name = "ort:coreml", ACCELERATOR, .listed_in_auto = true, ORT_OPERATIONS(ORT_BACKEND_COREML)},
    {.name = "ort:openvino",
     .host_compute = true,
     .prefer_bytes = true,
     .detect_batch = 1,
     .embed_batch = 1,
     .lanes = 0,
     .session_per_lane = true,
     .listed_in_auto = true,
     ORT_OPERATIONS(ORT_BACKEND_OPENVINO)},
    {.name = "native",
     .host_compute = true,
     .prefer_bytes = true,
     .detect_batch = 1,
     .embed_batch = 1,
     .lanes = 0,
     .listed_in_auto = true,
     ABSENT_OPERATIONS},
    /* Batches are slower here: one picture's activations fit into the second-level cache, eight pictures' do not. */
    {.name = "ort:cpu",
     .host_compute = true,
     .prefer_bytes = false,
     .detect_batch = 1,
     .embed_batch = 1,
     .lanes = 0,
     .split_prelu = true,
     .listed_in_auto = true,
     ORT_OPERATIONS(ORT_BACKEND_CPU)},
    /* Only when asked: building engines takes minutes, and its answers differ from engine to engine. */
    {.name = "ort:tensorrt", ACCELERATOR, .listed_in_auto = false, ORT_OPERATIONS(ORT_BACKEND_TENSORRT)},
    /* Gone from newer runtimes: kept for those who name an older one. */
    {.name = "ort:rocm", ACCELERATOR, .listed_in_auto = false, ORT_OPERATIONS(ORT_BACKEND_ROCM)},
};

const struct provider *fm_provider_row(size_t index) {
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const struct provider *fm_provider_find(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}
