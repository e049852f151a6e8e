/* ONNX Runtime's execution providers as a table, and what each is told: defaults, the caller's options, the runtime's
   session settings. */
#ifndef FM_PROVIDERS_ORT_OPTIONS_H
#define FM_PROVIDERS_ORT_OPTIONS_H

#include "providers/ort/library.h"

/* Keys and values for the runtime; a later setting of a key replaces the earlier one. {0} is empty. */
#define FM_ORT_MAX_OPTIONS 64
struct option_list {
    const char *keys[FM_ORT_MAX_OPTIONS], *values[FM_ORT_MAX_OPTIONS];
    size_t count;
    struct arena strings;
};

struct ort_append; /* an open session's options on their way: options.c */

/* A row per execution provider. */
struct ort_backend {
    const char *name;         /* "ort:cuda": also --provider-option's P */
    const char *suffix;       /* "cuda": the data folder's ort-cuda/ */
    const char *runtime_name; /* "CUDAExecutionProvider": in the list of what is compiled in, and in profiles */
    const char *short_name;   /* "CUDA": in the generic call */
    const char *remedy;       /* when the library was built without it */
    const char *fp16_option, *bf16_option; /* "KEY=VALUE" that asks for this precision; NULL: it cannot */
    fm_status (*defaults)(const struct ort_library *library, const struct runtime_options *options,
                          const struct session_request *request, struct option_list *list, fm_error *error);
    fm_status (*append)(struct ort_append *append, fm_error *error);
};

enum ort_backend_id {
    ORT_BACKEND_CPU,
    ORT_BACKEND_CUDA,
    ORT_BACKEND_TENSORRT,
    ORT_BACKEND_MIGRAPHX,
    ORT_BACKEND_ROCM,
    ORT_BACKEND_DML,
    ORT_BACKEND_OPENVINO,
    ORT_BACKEND_COREML,
    ORT_BACKEND_COUNT
};
const struct ort_backend *fm_ort_backend(enum ort_backend_id id);

/* Session options ready for use: one thread, sequential, no spinning, all optimisations, the provider appended.
   `request` may be NULL (a probe). The caller releases *session_options. FM_NO_PROVIDER, FM_UNSUPPORTED (precision),
   FM_INVALID_ARGUMENT (an option that the runtime refuses, in its own words), FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_ort_options_make(const struct ort_backend *backend, struct ort_library *library,
                                          const struct runtime_options *options, const struct session_request *request,
                                          struct ort_session_options **session_options, fm_error *error);

#endif
