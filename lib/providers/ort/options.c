/* Execution providers of ONNX Runtime: the table, their defaults, and how each is appended to a session's options.
   The caller's --provider-option values replace defaults key by key; what the runtime does not know it says itself.
   Pure but for the runtime's own state; any thread. */
#include "providers/ort/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

#define MAX_OPTION_BYTES ((size_t)1 << 20)
#define GIBIBYTE ((uint64_t)1 << 30)

struct ort_append {
    const struct ort_backend *backend;
    struct ort_library *library;
    struct ort_session_options *session_options;
    const struct option_list *list;
    int device;
    bool has_choices; /* some of the list is the caller's: only the ways that take a list will do */
};

/* ---------------------------------------------------------------- option lists */

static fm_status option_set(struct option_list *list, const char *key, const char *value, fm_error *error) {
    size_t index = 0;
    while (index < list->count && strcmp(list->keys[index], key) != 0) {
        index++;
    }
    if (index == FM_ORT_MAX_OPTIONS) {
        return fm_fail(error, FM_LIMIT, "more than %d provider options; '%s' does not fit", FM_ORT_MAX_OPTIONS, key);
    }
    list->strings.limit = MAX_OPTION_BYTES;
    const char *own_key = fm_arena_copy(&list->strings, key), *own_value = fm_arena_copy(&list->strings, value);
    if (!own_key || !own_value) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for provider option '%s'", key);
    }
    list->keys[index] = own_key;
    list->values[index] = own_value;
    list->count += index == list->count;
    return FM_OK;
}

static fm_status option_set_integer(struct option_list *list, const char *key, uint64_t value, fm_error *error) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return option_set(list, key, text, error);
}

/* "KEY=VALUE" */
static fm_status option_set_pair(struct option_list *list, const char *pair, fm_error *error) {
    char key[64];
    const char *equals = strchr(pair, '=');
    snprintf(key, sizeof key, "%.*s", (int)(equals - pair), pair);
    return option_set(list, key, equals + 1, error);
}

/* ---------------------------------------------------------------- defaults */

static fm_status device_defaults(const struct ort_library *library, const struct runtime_options *options,
                                 const struct session_request *request, struct option_list *list, fm_error *error) {
    (void)library;
    (void)request;
    return option_set_integer(list, "device_id", (uint64_t)(options->device > 0 ? options->device : 0), error);
}

/* As the field's GPU workers set them: the models of one picture must fit on a card beside an image generator. */
static uint64_t memory_limit(const struct runtime_options *options, const struct session_request *request) {
    const bool deepfake = request && request->purpose && strcmp(request->purpose, "deepfake") == 0;
    return options->gpu_mem_limit ? options->gpu_mem_limit : (deepfake ? 1 : 2) * GIBIBYTE;
}

static fm_status cuda_defaults(const struct ort_library *library, const struct runtime_options *options,
                               const struct session_request *request, struct option_list *list, fm_error *error) {
    fm_status status = device_defaults(library, options, request, list, error);
    /* The runtime's own default, kNextPowerOfTwo, doubles the arena at each growth and reaches a 2 GiB limit with a bit
       over 1 GiB in use; face workers that met that limit take this one, and sizes here repeat from batch to batch. */
    if (status == FM_OK) {
        status = option_set(list, "arena_extend_strategy", "kSameAsRequested", error);
    }
    if (status == FM_OK) {
        status = option_set_integer(list, "gpu_mem_limit", memory_limit(options, request), error);
    }
    if (status == FM_OK) {
        status = option_set(list, "cudnn_conv_algo_search", "EXHAUSTIVE", error);
    }
    if (status == FM_OK) {
        status = option_set(list, "do_copy_in_default_stream", "1", error);
    }
    /* TF32 would round every product to 10 bits: 1e-3 in an embedding, and no longer the same answer everywhere. */
    if (status == FM_OK && library->api.version >= 17) { /* an older runtime does not know the key, nor the habit */
        status = option_set(list, "use_tf32", "0", error);
    }
    return status;
}

/* Building an engine takes minutes: keep it. */
static fm_status tensorrt_defaults(const struct ort_library *library, const struct runtime_options *options,
                                   const struct session_request *request, struct option_list *list, fm_error *error) {
    char folder[FM_ORT_PATH] = "", cache[FM_ORT_PATH];
    fm_status status = device_defaults(library, options, request, list, error);
    if (status == FM_OK && fm_cache_folder(folder, sizeof folder) &&
        fm_path_join(cache, sizeof cache, folder, "tensorrt")) {
        /* A cache that cannot be made costs time, not the answer: TensorRT builds again. */
        if (fm_folder_make(cache, NULL) == FM_OK) {
            status = option_set(list, "trt_engine_cache_enable", "1", error);
            if (status == FM_OK) {
                status = option_set(list, "trt_engine_cache_path", cache, error);
            }
        }
    }
    return status;
}

/* One thread and one stream per session, since every lane opens its own: networks never use more threads than --threads
   together, and answers do not depend on it. Unpinned, because OpenVINO would pin the only thread of every session to
   the same core, where detector and recogniser then take turns (docs/PERF_LOG.md). */
static const char openvino_config[] =
    "{\"CPU\":{\"ENABLE_CPU_PINNING\":\"NO\",\"INFERENCE_NUM_THREADS\":\"1\",\"NUM_STREAMS\":\"1\"}}";

static fm_status openvino_defaults(const struct ort_library *library, const struct runtime_options *options,
                                   const struct session_request *request, struct option_list *list, fm_error *error) {
    (void)library;
    (void)options;
    (void)request;
    fm_status status = option_set(list, "device_type", "CPU", error);
    /* Said aloud: left to itself OpenVINO takes bfloat16 where the CPU multiplies it fast. */
    if (status == FM_OK) {
        status = option_set(list, "precision", "FP32", error);
    }
    return status == FM_OK ? option_set(list, "load_config", openvino_config, error) : status;
}

/* ---------------------------------------------------------------- appending */

static fm_status check_append(const struct ort_append *append, struct ort_status *status, fm_error *error) {
    char what[64];
    snprintf(what, sizeof what, "cannot use %s", append->backend->name);
    /* What the runtime calls an invalid argument is a mistake in the caller's options, if there are any. */
    const bool refused =
        status && append->has_choices && append->library->api.GetErrorCode(status) == ORT_CODE_INVALID_ARGUMENT;
    return fm_ort_check(&append->library->api, status, refused ? FM_INVALID_ARGUMENT : FM_NO_PROVIDER, error, what);
}

static fm_status append_nothing(struct ort_append *append, fm_error *error) {
    (void)append; /* the CPU provider is always there */
    (void)error;
    return FM_OK;
}

static fm_status append_generic(struct ort_append *append, fm_error *error) {
    const struct option_list *list = append->list;
    return check_append(
        append,
        append->library->api.SessionOptionsAppendExecutionProvider(append->session_options, append->backend->short_name,
                                                                   list->keys, list->values, list->count),
        error);
}

/* The runtime's older way: one exported C function per provider, with a number (a device or flags) and no options. It
   is asked for what the generic call does not know in older runtimes; the caller's own options need the generic call.
 */
static fm_status append_exported(struct ort_append *append, const char *symbol, int number, fm_error *error) {
    struct ort_status *(*function)(struct ort_session_options *, int) = NULL;
    void *address = append->has_choices ? NULL : fm_library_symbol(append->library->handle, symbol);
    if (!address) {
        return append_generic(append, error);
    }
    memcpy(&function, &address, sizeof function);
    return check_append(append, function(append->session_options, number), error);
}

static fm_status append_migraphx(struct ort_append *append, fm_error *error) {
    return append_exported(append, "OrtSessionOptionsAppendExecutionProvider_MIGraphX", append->device, error);
}

static fm_status append_dml(struct ort_append *append, fm_error *error) {
    /* DirectML demands it. */
    const fm_status status =
        check_append(append, append->library->api.DisableMemPattern(append->session_options), error);
    return status != FM_OK
               ? status
               : append_exported(append, "OrtSessionOptionsAppendExecutionProvider_DML", append->device, error);
}

static fm_status append_coreml(struct ort_append *append, fm_error *error) {
    return append_exported(append, "OrtSessionOptionsAppendExecutionProvider_CoreML", 0, error);
}

static fm_status append_cuda(struct ort_append *append, fm_error *error) {
    const struct ort_api *api = &append->library->api;
    const struct option_list *list = append->list;
    struct ort_cuda_options *cuda = NULL;
    fm_status status = check_append(append, api->CreateCUDAProviderOptions(&cuda), error);
    status = fm_ort_made(status, cuda, error, append->backend->name);
    if (status == FM_OK) {
        status =
            check_append(append, api->UpdateCUDAProviderOptions(cuda, list->keys, list->values, list->count), error);
    }
    if (status == FM_OK) {
        status = check_append(append, api->SessionOptionsAppendExecutionProvider_CUDA_V2(append->session_options, cuda),
                              error);
    }
    if (cuda) {
        api->ReleaseCUDAProviderOptions(cuda);
    }
    return status;
}

static fm_status append_tensorrt(struct ort_append *append, fm_error *error) {
    const struct ort_api *api = &append->library->api;
    const struct option_list *list = append->list;
    struct ort_tensorrt_options *tensorrt = NULL;
    fm_status status = check_append(append, api->CreateTensorRTProviderOptions(&tensorrt), error);
    status = fm_ort_made(status, tensorrt, error, append->backend->name);
    if (status == FM_OK) {
        status = check_append(
            append, api->UpdateTensorRTProviderOptions(tensorrt, list->keys, list->values, list->count), error);
    }
    if (status == FM_OK) {
        status = check_append(
            append, api->SessionOptionsAppendExecutionProvider_TensorRT_V2(append->session_options, tensorrt), error);
    }
    if (tensorrt) {
        api->ReleaseTensorRTProviderOptions(tensorrt);
    }
    return status;
}

static fm_status append_rocm(struct ort_append *append, fm_error *error) {
    const struct ort_api *api = &append->library->api;
    const struct option_list *list = append->list;
    struct ort_rocm_options *rocm = NULL;
    if (!api->CreateROCMProviderOptions || !api->UpdateROCMProviderOptions || !api->ReleaseROCMProviderOptions) {
        return append_exported(append, "OrtSessionOptionsAppendExecutionProvider_ROCM", append->device, error);
    }
    fm_status status = check_append(append, api->CreateROCMProviderOptions(&rocm), error);
    status = fm_ort_made(status, rocm, error, append->backend->name);
    if (status == FM_OK) {
        status =
            check_append(append, api->UpdateROCMProviderOptions(rocm, list->keys, list->values, list->count), error);
    }
    if (status == FM_OK) {
        status =
            check_append(append, api->SessionOptionsAppendExecutionProvider_ROCM(append->session_options, rocm), error);
    }
    if (rocm) {
        api->ReleaseROCMProviderOptions(rocm);
    }
    return status;
}

/* ---------------------------------------------------------------- the table */

#define NVIDIA_WHEEL "install the onnxruntime-gpu wheel (pip install onnxruntime-gpu) and name its libonnxruntime.so"

static const struct ort_backend backends[ORT_BACKEND_COUNT] = {
    [ORT_BACKEND_CPU] = {"ort:cpu", "cpu", "CPUExecutionProvider", "CPU", "", NULL, NULL, NULL, append_nothing},
    [ORT_BACKEND_CUDA] = {"ort:cuda", "cuda", "CUDAExecutionProvider", "CUDA", NVIDIA_WHEEL, NULL, NULL, cuda_defaults,
                          append_cuda},
    [ORT_BACKEND_TENSORRT] = {"ort:tensorrt", "tensorrt", "TensorrtExecutionProvider", "TensorRT",
                              "install TensorRT (pip install tensorrt), then " NVIDIA_WHEEL, "trt_fp16_enable=1",
                              "trt_bf16_enable=1", tensorrt_defaults, append_tensorrt},
    [ORT_BACKEND_MIGRAPHX] = {"ort:migraphx", "migraphx", "MIGraphXExecutionProvider", "MIGraphX",
                              "install AMD's onnxruntime-migraphx wheel and name its libonnxruntime.so",
                              "migraphx_fp16_enable=1", "migraphx_bf16_enable=1", device_defaults, append_migraphx},
    [ORT_BACKEND_ROCM] =
        {"ort:rocm", "rocm", "ROCMExecutionProvider", "ROCM",
         "ONNX Runtime dropped it in 1.23: use ort:migraphx, or name an older onnxruntime-rocm library", NULL, NULL,
         device_defaults, append_rocm},
    [ORT_BACKEND_DML] = {"ort:dml", "dml", "DmlExecutionProvider", "DML",
                         "only on Windows: install the onnxruntime-directml wheel and name its onnxruntime.dll", NULL,
                         NULL, device_defaults, append_dml},
    [ORT_BACKEND_OPENVINO] = {"ort:openvino", "openvino", "OpenVINOExecutionProvider", "OpenVINO",
                              "run scripts/setup_openvino.sh, or install the onnxruntime-openvino wheel and name its "
                              "libonnxruntime.so",
                              NULL, NULL, openvino_defaults, append_generic},
    [ORT_BACKEND_COREML] = {"ort:coreml", "coreml", "CoreMLExecutionProvider", "CoreML",
                            "only on macOS: install the onnxruntime wheel there", NULL, NULL, NULL, append_coreml},
};

const struct ort_backend *fm_ort_backend(enum ort_backend_id id) {
    return &backends[id];
}

/* ---------------------------------------------------------------- session options */

/* Keys of the runtime itself, not of a provider ("session.disable_prepacking"). The CPU provider has no other. */
static bool is_session_key(const char *key) {
    static const char *const prefixes[] = {"session.", "optimization.", "memory.", "mlas.", "ep."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static fm_status set_precision(struct ort_append *append, const struct session_request *request,
                               struct option_list *list, fm_error *error) {
    const struct ort_backend *backend = append->backend;
    static const char *const names[] = {"auto", "fp32", "fp16", "bf16", "int8"};
    if (request->precision == FM_PRECISION_AUTO || request->precision == FM_PRECISION_FP32) {
        return FM_OK;
    }
    const char *pair = request->precision == FM_PRECISION_FP16   ? backend->fp16_option
                       : request->precision == FM_PRECISION_BF16 ? backend->bf16_option
                                                                 : NULL;
    if (!pair) {
        return fm_fail(error, FM_UNSUPPORTED, "%s cannot run '%s' in %s; use --precision fp32, or a model stored in %s",
                       backend->name, request->name, names[request->precision], names[request->precision]);
    }
    append->has_choices = true;
    return option_set_pair(list, pair, error);
}

/* One thread per run: the lanes are the threads, and no pool of the runtime spins or competes with them. */
static fm_status set_basics(const struct ort_api *api, struct ort_session_options *session_options, fm_error *error) {
    static const char *const entries[][2] = {{"session.intra_op.allow_spinning", "0"},
                                             {"session.inter_op.allow_spinning", "0"}};
    static const char *const what = "cannot set ONNX Runtime's session options";
    fm_status status = fm_ort_check(api, api->SetIntraOpNumThreads(session_options, 1), FM_INTERNAL, error, what);
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SetInterOpNumThreads(session_options, 1), FM_INTERNAL, error, what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SetSessionExecutionMode(session_options, ORT_EXECUTION_SEQUENTIAL), FM_INTERNAL,
                              error, what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SetSessionLogSeverityLevel(session_options, ORT_LOG_FATAL), FM_INTERNAL, error,
                              what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SetSessionGraphOptimizationLevel(session_options, ORT_OPTIMIZE_ALL),
                              FM_INTERNAL, error, what);
    }
    for (size_t i = 0; i < 2 && status == FM_OK; i++) {
        status = fm_ort_check(api, api->AddSessionConfigEntry(session_options, entries[i][0], entries[i][1]),
                              FM_INTERNAL, error, what);
    }
    return status;
}

/* The caller's options: a provider's into the list, the runtime's straight into the session options. */
static fm_status take_user_options(const struct runtime_options *options, struct ort_append *append,
                                   struct option_list *list, fm_error *error) {
    fm_status status = FM_OK;
    for (size_t i = 0; i < options->option_count && status == FM_OK; i++) {
        const fm_provider_option *option = &options->options[i];
        if (strcmp(option->provider, append->backend->name) != 0) {
            continue;
        }
        if (is_session_key(option->key)) {
            status = fm_ort_check(
                &append->library->api,
                append->library->api.AddSessionConfigEntry(append->session_options, option->key, option->value),
                FM_INVALID_ARGUMENT, error, append->backend->name);
        } else {
            append->has_choices = true;
            status = append->backend == &backends[ORT_BACKEND_CPU]
                         ? fm_fail(error, FM_INVALID_ARGUMENT,
                                   "ort:cpu has no option '%s'; it takes session keys only, such as "
                                   "session.set_denormal_as_zero",
                                   option->key)
                         : option_set(list, option->key, option->value, error);
        }
    }
    return status;
}

/* The runtime loads libonnxruntime_providers_shared.so for the whole process to see, and the libraries of its providers
   call home through that symbol. A second runtime's would call into the first and crash: so the first one is the only
   one, be it ours or one that the host program loaded. Without providers (ort:cpu) any number live side by side. */
static fm_status claim_bridge(const struct ort_append *append, fm_error *error) {
    struct ort_library *library = append->library;
    const bool needs_bridge = append->backend != &backends[ORT_BACKEND_CPU];
    if (needs_bridge && !library->owns_bridge && fm_library_symbol(NULL, "Provider_GetHost")) {
        return fm_fail(
            error, FM_NO_PROVIDER,
            "another ONNX Runtime in this process has loaded providers, and two such cannot live together; name "
            "one library for all providers with --ort-library");
    }
    library->owns_bridge = library->owns_bridge || needs_bridge;
    return FM_OK;
}

/* Why a provider's library does not load is said in the runtime's log alone: gather it. */
static fm_status append_provider(struct ort_append *append, fm_error *error) {
    struct log_route gather;
    fm_error failure = {0};
    fm_ort_route_add(&gather, "", NULL);
    fm_status status = claim_bridge(append, &failure);
    if (status == FM_OK) {
        status = append->backend->append(append, &failure);
    }
    fm_ort_route_remove(&gather);
    return status == FM_OK
               ? FM_OK
               : fm_fail(error, status, "%s%s%s", failure.message, gather.words[0] ? ": " : "", gather.words);
}

fm_status fm_ort_options_make(const struct ort_backend *backend, struct ort_library *library,
                              const struct runtime_options *options, const struct session_request *request,
                              struct ort_session_options **session_options, fm_error *error) {
    struct option_list list = {.count = 0};
    struct ort_append append = {.backend = backend, .library = library, .list = &list, .device = options->device};
    const struct ort_api *api = &library->api;
    static const char *const what = "cannot make ONNX Runtime's session options";
    fm_status status =
        fm_ort_check(api, api->CreateSessionOptions(&append.session_options), FM_OUT_OF_MEMORY, error, what);
    status = fm_ort_made(status, append.session_options, error, what);
    if (status == FM_OK) {
        status = set_basics(api, append.session_options, error);
    }
    if (status == FM_OK && backend->defaults) {
        status = backend->defaults(library, options, request, &list, error);
    }
    if (status == FM_OK && request) {
        status = set_precision(&append, request, &list, error);
    }
    if (status == FM_OK) {
        status = take_user_options(options, &append, &list, error);
    }
    if (status == FM_OK) {
        status = append_provider(&append, error);
    }
    if (status != FM_OK && append.session_options) {
        api->ReleaseSessionOptions(append.session_options);
        append.session_options = NULL;
    }
    fm_arena_reset(&list.strings);
    *session_options = append.session_options;
    return status;
}
