/* ONNX Runtime's C ABI, as far as we call it: our own declaration, because the runtime is found at run time and nothing
   of it is needed to build. The ABI is a table of function pointers that only ever grows at its end, so a slot number
   is stable for ever. tests/providers/test_abi.c compares every number here with the official header where there is
   one.

   One list (FM_ORT_CALLS) says everything about a call: slot, the API version that brought it, name, result,
   parameters. */
#ifndef FM_PROVIDERS_ORT_ABI_H
#define FM_PROVIDERS_ORT_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ort_env;
struct ort_status;
struct ort_memory_info;
struct ort_session;
struct ort_session_options;
struct ort_run_options;
struct ort_value;
struct ort_shape_info;
struct ort_allocator;
struct ort_cuda_options;
struct ort_tensorrt_options;
struct ort_rocm_options;

/* The oldest API version with all calls that we cannot do without (1.12 brought the generic provider call). The runtime
   hands out one table for every version it knows, so asking for the oldest accepts the most libraries. */
#define FM_ORT_API_VERSION 12u

enum ort_error_code {
    ORT_CODE_OK = 0,
    ORT_CODE_FAIL = 1,
    ORT_CODE_INVALID_ARGUMENT = 2,
    ORT_CODE_NO_SUCH_FILE = 3,
    ORT_CODE_NO_MODEL = 4,
    ORT_CODE_ENGINE_ERROR = 5,
    ORT_CODE_RUNTIME_EXCEPTION = 6,
    ORT_CODE_INVALID_PROTOBUF = 7,
    ORT_CODE_MODEL_LOADED = 8,
    ORT_CODE_NOT_IMPLEMENTED = 9,
    ORT_CODE_INVALID_GRAPH = 10,
    ORT_CODE_PROVIDER_FAIL = 11
};
enum ort_log_level { ORT_LOG_VERBOSE = 0, ORT_LOG_INFO = 1, ORT_LOG_WARNING = 2, ORT_LOG_ERROR = 3, ORT_LOG_FATAL = 4 };
enum ort_optimization { ORT_OPTIMIZE_ALL = 99 };
enum ort_execution { ORT_EXECUTION_SEQUENTIAL = 0 };
enum ort_allocator_type { ORT_ALLOCATOR_ARENA = 1 };
enum ort_memory_type { ORT_MEMORY_DEFAULT = 0 };

typedef void (*ort_log_sink)(void *user, int level, const char *category, const char *log_id, const char *location,
                             const char *message);

/* X(slot, since, name, result, parameters) */
#define FM_ORT_CALLS(X)                                                                                                \
    X(1, 1, GetErrorCode, int, (const struct ort_status *status))                                                      \
    X(2, 1, GetErrorMessage, const char *, (const struct ort_status *status))                                          \
    X(4, 1, CreateEnvWithCustomLogger, struct ort_status *,                                                            \
      (ort_log_sink sink, void *user, int level, const char *log_id, struct ort_env **env))                            \
    X(6, 1, DisableTelemetryEvents, struct ort_status *, (const struct ort_env *env))                                  \
    X(8, 1, CreateSessionFromArray, struct ort_status *,                                                               \
      (const struct ort_env *env, const void *bytes, size_t size, const struct ort_session_options *options,           \
       struct ort_session **session))                                                                                  \
    X(9, 1, Run, struct ort_status *,                                                                                  \
      (struct ort_session * session, const struct ort_run_options *options, const char *const *input_names,            \
       const struct ort_value *const *inputs, size_t input_count, const char *const *output_names,                     \
       size_t output_count, struct ort_value **outputs))                                                               \
    X(10, 1, CreateSessionOptions, struct ort_status *, (struct ort_session_options * *options))                       \
    X(13, 1, SetSessionExecutionMode, struct ort_status *, (struct ort_session_options * options, int mode))           \
    X(14, 1, EnableProfiling, struct ort_status *, (struct ort_session_options * options, const char *prefix))         \
    X(17, 1, DisableMemPattern, struct ort_status *, (struct ort_session_options * options))                           \
    X(20, 1, SetSessionLogId, struct ort_status *, (struct ort_session_options * options, const char *log_id))         \
    X(22, 1, SetSessionLogSeverityLevel, struct ort_status *, (struct ort_session_options * options, int level))       \
    X(23, 1, SetSessionGraphOptimizationLevel, struct ort_status *, (struct ort_session_options * options, int level)) \
    X(24, 1, SetIntraOpNumThreads, struct ort_status *, (struct ort_session_options * options, int threads))           \
    X(25, 1, SetInterOpNumThreads, struct ort_status *, (struct ort_session_options * options, int threads))           \
    X(30, 1, SessionGetInputCount, struct ort_status *, (const struct ort_session *session, size_t *count))            \
    X(31, 1, SessionGetOutputCount, struct ort_status *, (const struct ort_session *session, size_t *count))           \
    X(36, 1, SessionGetInputName, struct ort_status *,                                                                 \
      (const struct ort_session *session, size_t index, struct ort_allocator *allocator, char **name))                 \
    X(37, 1, SessionGetOutputName, struct ort_status *,                                                                \
      (const struct ort_session *session, size_t index, struct ort_allocator *allocator, char **name))                 \
    X(49, 1, CreateTensorWithDataAsOrtValue, struct ort_status *,                                                      \
      (const struct ort_memory_info *memory, void *bytes, size_t size, const int64_t *dims, size_t rank, int dtype,    \
       struct ort_value **value))                                                                                      \
    X(50, 1, IsTensor, struct ort_status *, (const struct ort_value *value, int *is_tensor))                           \
    X(51, 1, GetTensorMutableData, struct ort_status *, (struct ort_value * value, void **bytes))                      \
    X(60, 1, GetTensorElementType, struct ort_status *, (const struct ort_shape_info *info, int *dtype))               \
    X(61, 1, GetDimensionsCount, struct ort_status *, (const struct ort_shape_info *info, size_t *rank))               \
    X(62, 1, GetDimensions, struct ort_status *, (const struct ort_shape_info *info, int64_t *dims, size_t rank))      \
    X(65, 1, GetTensorTypeAndShape, struct ort_status *,                                                               \
      (const struct ort_value *value, struct ort_shape_info **info))                                                   \
    X(69, 1, CreateCpuMemoryInfo, struct ort_status *, (int allocator, int memory, struct ort_memory_info **info))     \
    X(76, 1, AllocatorFree, struct ort_status *, (struct ort_allocator * allocator, void *block))                      \
    X(78, 1, GetAllocatorWithDefaultOptions, struct ort_status *, (struct ort_allocator * *allocator))                 \
    X(92, 1, ReleaseEnv, void, (struct ort_env * env))                                                                 \
    X(93, 1, ReleaseStatus, void, (struct ort_status * status))                                                        \
    X(94, 1, ReleaseMemoryInfo, void, (struct ort_memory_info * info))                                                 \
    X(95, 1, ReleaseSession, void, (struct ort_session * session))                                                     \
    X(96, 1, ReleaseValue, void, (struct ort_value * value))                                                           \
    X(99, 1, ReleaseTensorTypeAndShapeInfo, void, (struct ort_shape_info * info))                                      \
    X(100, 1, ReleaseSessionOptions, void, (struct ort_session_options * options))                                     \
    X(110, 2, SessionEndProfiling, struct ort_status *,                                                                \
      (struct ort_session * session, struct ort_allocator * allocator, char **path))                                   \
    X(125, 4, GetAvailableProviders, struct ort_status *, (char ***names, int *count))                                 \
    X(126, 4, ReleaseAvailableProviders, struct ort_status *, (char **names, int count))                               \
    X(130, 6, AddSessionConfigEntry, struct ort_status *,                                                              \
      (struct ort_session_options * options, const char *key, const char *value))                                      \
    X(170, 10, SessionOptionsAppendExecutionProvider_TensorRT_V2, struct ort_status *,                                 \
      (struct ort_session_options * options, const struct ort_tensorrt_options *tensorrt))                             \
    X(171, 10, CreateTensorRTProviderOptions, struct ort_status *, (struct ort_tensorrt_options * *tensorrt))          \
    X(172, 10, UpdateTensorRTProviderOptions, struct ort_status *,                                                     \
      (struct ort_tensorrt_options * tensorrt, const char *const *keys, const char *const *values, size_t count))      \
    X(174, 10, ReleaseTensorRTProviderOptions, void, (struct ort_tensorrt_options * tensorrt))                         \
    X(204, 11, SessionOptionsAppendExecutionProvider_CUDA_V2, struct ort_status *,                                     \
      (struct ort_session_options * options, const struct ort_cuda_options *cuda))                                     \
    X(205, 11, CreateCUDAProviderOptions, struct ort_status *, (struct ort_cuda_options * *cuda))                      \
    X(206, 11, UpdateCUDAProviderOptions, struct ort_status *,                                                         \
      (struct ort_cuda_options * cuda, const char *const *keys, const char *const *values, size_t count))              \
    X(208, 11, ReleaseCUDAProviderOptions, void, (struct ort_cuda_options * cuda))                                     \
    X(216, 12, SessionOptionsAppendExecutionProvider, struct ort_status *,                                             \
      (struct ort_session_options * options, const char *provider, const char *const *keys, const char *const *values, \
       size_t count))                                                                                                  \
    X(153, 2, SessionOptionsAppendExecutionProvider_ROCM, struct ort_status *,                                         \
      (struct ort_session_options * options, const struct ort_rocm_options *rocm))                                     \
    X(255, 16, CreateROCMProviderOptions, struct ort_status *, (struct ort_rocm_options * *rocm))                      \
    X(256, 16, UpdateROCMProviderOptions, struct ort_status *,                                                         \
      (struct ort_rocm_options * rocm, const char *const *keys, const char *const *values, size_t count))              \
    X(258, 16, ReleaseROCMProviderOptions, void, (struct ort_rocm_options * rocm))

/* The calls by name, typed. Those younger than FM_ORT_API_VERSION are NULL in an older runtime. */
struct ort_api {
    unsigned version; /* the runtime's own: 24 for 1.24.1 */
#define FM_ORT_FIELD(slot, since, name, result, parameters) result(*name) parameters;
    FM_ORT_CALLS(FM_ORT_FIELD)
#undef FM_ORT_FIELD
};

/* What the library exports: OrtGetApiBase() returns this. */
struct ort_api_base {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

/* Fill *api from a runtime's base. False when the runtime is older than FM_ORT_API_VERSION. */
bool fm_ort_api_bind(const struct ort_api_base *base, struct ort_api *api);

#endif
