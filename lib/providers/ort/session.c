/* Sessions of ONNX Runtime: one network opened from memory, run by any number of threads at once, each on its own
   `run`. A session is immutable after open; the runtime's Run() is safe to call concurrently on one session. With one
   thread per session the calling thread does all the work. No allocation of ours per run; the runtime allocates its
   outputs. */
#include "providers/ort/session.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "providers/ort/audit.h"
#include "providers/ort/probe.h"

/* Of the one input and of all outputs, in the runtime's memory. */
struct names {
    char *input, *outputs[FM_MAX_OUTPUTS];
    size_t output_count;
};

struct session {
    const struct ort_backend *backend;
    struct ort_library *library;
    struct ort_session *session;
    struct names names;
    struct log_route route;
    char name[256]; /* of the model, for messages */
    char detail[FM_ORT_PATH + 128];
    char elsewhere[1020];
};

struct run {
    struct session *session;
    struct ort_value *input; /* over the caller's memory, kept while that and the shape stay the same */
    struct tensor input_shape;
    struct ort_value *outputs[FM_MAX_OUTPUTS];
};

/* ---------------------------------------------------------------- open */

/* What is wrong with the model is the model's; what else goes wrong is the provider's, unless it is the CPU, which is
   always there. */
static fm_status open_failure(const struct ort_backend *backend) {
    return backend == fm_ort_backend(ORT_BACKEND_CPU) ? FM_BAD_MODEL : FM_NO_PROVIDER;
}

fm_status fm_ort_session_create(const struct ort_backend *backend, const struct ort_library *library,
                                const struct ort_session_options *session_options,
                                const struct session_request *request, struct ort_session **session, fm_error *error) {
    char what[320];
    snprintf(what, sizeof what, "cannot open '%s' on %s", request->name, backend->name);
    const fm_status status = fm_ort_check(
        &library->api,
        library->api.CreateSessionFromArray(library->env, request->bytes, request->size, session_options, session),
        open_failure(backend), error, what);
    return fm_ort_made(status, *session, error, what);
}

static fm_status input_value(const struct ort_library *library, const struct tensor *tensor, struct ort_value **value,
                             fm_error *error) {
    size_t size = 0;
    if (tensor->memory != FM_MEMORY_HOST) {
        return fm_fail(error, FM_UNSUPPORTED, "ONNX Runtime's providers take their input from host memory here");
    }
    if (!fm_tensor_size(tensor, &size) || size > tensor->capacity) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "an input tensor is larger than its memory of %zu bytes",
                       tensor->capacity);
    }
    static const char *const what = "cannot describe an input to ONNX Runtime";
    const fm_status status = fm_ort_check(
        &library->api,
        library->api.CreateTensorWithDataAsOrtValue(library->host_memory, tensor->bytes, size, tensor->dims,
                                                    (size_t)tensor->rank, (int)tensor->dtype, value),
        FM_PROVIDER_FAILED, error, what);
    return fm_ort_made(status, *value, error, what);
}

static void names_reset(struct names *names, const struct ort_library *library) {
    fm_ort_free_name(library, names->input);
    for (size_t i = 0; i < names->output_count; i++) {
        fm_ort_free_name(library, names->outputs[i]);
    }
}

/* What was read stays in *names also on failure. */
static fm_status names_read(struct names *names, const struct ort_library *library, const struct ort_session *session,
                            const char *model, fm_error *error) {
    const struct ort_api *api = &library->api;
    static const char *const what = "cannot ask ONNX Runtime for a model's inputs and outputs";
    size_t inputs = 0, outputs = 0;
    fm_status status = fm_ort_check(api, api->SessionGetInputCount(session, &inputs), FM_BAD_MODEL, error, what);
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SessionGetOutputCount(session, &outputs), FM_BAD_MODEL, error, what);
    }
    if (status == FM_OK && (inputs != 1 || outputs < 1 || outputs > FM_MAX_OUTPUTS)) {
        status = fm_fail(error, FM_UNSUPPORTED, "'%s' has %zu inputs and %zu outputs; 1 and 1 to %d are expected",
                         model, inputs, outputs, FM_MAX_OUTPUTS);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SessionGetInputName(session, 0, library->allocator, &names->input),
                              FM_BAD_MODEL, error, what);
        status = fm_ort_made(status, names->input, error, what);
    }
    for (; status == FM_OK && names->output_count < outputs; names->output_count++) {
        char **name = &names->outputs[names->output_count];
        status = fm_ort_check(api, api->SessionGetOutputName(session, names->output_count, library->allocator, name),
                              FM_BAD_MODEL, error, what);
        status = fm_ort_made(status, *name, error, what);
    }
    return status;
}

static struct ort_status *run_session(const struct ort_library *library, struct ort_session *session,
                                      const struct names *names, const struct ort_value *input,
                                      struct ort_value **outputs) {
    return library->api.Run(session, NULL, (const char *const *)&names->input, &input, 1,
                            (const char *const *)names->outputs, names->output_count, outputs);
}

fm_status fm_ort_session_try(const struct ort_backend *backend, const struct ort_library *library,
                             struct ort_session *session, const struct session_request *request, fm_error *error) {
    struct names names = {.output_count = 0};
    struct tensor input = {.dtype = request->input_dtype, .rank = request->input_rank, .memory = FM_MEMORY_HOST};
    struct ort_value *value = NULL, *outputs[FM_MAX_OUTPUTS] = {NULL};
    char what[320];
    fm_status status = names_read(&names, library, session, request->name, error);
    snprintf(what, sizeof what, "cannot run '%s' on %s", request->name, backend->name);
    memcpy(input.dims, request->input_dims, sizeof input.dims);
    if (status == FM_OK && !fm_tensor_size(&input, &input.capacity)) {
        status = fm_fail(error, FM_INVALID_ARGUMENT, "%s: the typical input's shape is not one", what);
    }
    if (status == FM_OK) {
        input.bytes = fm_alloc_aligned(input.capacity);
        status = input.bytes ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "%s: no memory for its input", what);
    }
    if (status == FM_OK) {
        memset(input.bytes, 0, input.capacity);
        status = input_value(library, &input, &value, error);
    }
    if (status == FM_OK) {
        status = fm_ort_check(&library->api, run_session(library, session, &names, value, outputs), FM_NO_PROVIDER,
                              error, what);
    }
    for (size_t i = 0; i < FM_MAX_OUTPUTS; i++) {
        if (outputs[i]) {
            library->api.ReleaseValue(outputs[i]);
        }
    }
    if (value) {
        library->api.ReleaseValue(value);
    }
    names_reset(&names, library);
    fm_free_aligned(input.bytes);
    return status;
}

/* The runtime's session with its messages routed to the engine's logger. */
static fm_status create_routed(struct session *session, const struct runtime_options *options,
                               const struct session_request *request, fm_error *error) {
    const struct ort_api *api = &session->library->api;
    struct ort_session_options *session_options = NULL;
    char log_id[32];
    fm_ort_log_id(log_id, sizeof log_id);
    fm_ort_route_add(&session->route, log_id, options->logger);
    fm_status status =
        fm_ort_options_make(session->backend, session->library, options, request, &session_options, error);
    if (status != FM_OK) {
        return status;
    }
    status =
        fm_ort_check(api, api->SetSessionLogId(session_options, log_id), FM_INTERNAL, error, "cannot name a session");
    if (status == FM_OK) {
        status = fm_ort_check(api, api->SetSessionLogSeverityLevel(session_options, fm_ort_log_level(options->logger)),
                              FM_INTERNAL, error, "cannot set a session's log level");
    }
    if (status == FM_OK) {
        status = fm_ort_session_create(session->backend, session->library, session_options, request, &session->session,
                                       error);
    }
    api->ReleaseSessionOptions(session_options);
    return status;
}

/* Strict: the audit decides. Otherwise its words are kept for the report; what else goes wrong in it will go wrong in
   the real session too, and is told there. */
static fm_status audit_session(struct session *session, const struct runtime_options *options,
                               const struct session_request *request, fm_error *error) {
    fm_error why = {0};
    if (request->strict) {
        return fm_ort_audit(session->backend, session->library, options, request, error);
    }
    if (request->report && fm_ort_audit(session->backend, session->library, options, request, &why) != FM_OK) {
        snprintf(session->elsewhere, sizeof session->elsewhere, "%s", why.message);
    }
    return FM_OK;
}

static fm_status open_session(struct session *session, const struct runtime_options *options,
                              const struct session_request *request, fm_error *error) {
    const bool is_cpu = session->backend == fm_ort_backend(ORT_BACKEND_CPU);
    /* Nothing but the CPU can run a node of a CPU session: no audit. */
    fm_status status = is_cpu ? FM_OK : audit_session(session, options, request, error);
    if (status == FM_OK) {
        status = create_routed(session, options, request, error);
    }
    if (status == FM_OK) {
        status = names_read(&session->names, session->library, session->session, request->name, error);
    }
    /* Accelerators load half of their libraries and choose their kernels in the first run: what fails then must be
       known while another provider can still be taken. */
    if (status == FM_OK && !is_cpu) {
        status = fm_ort_session_try(session->backend, session->library, session->session, request, error);
    }
    return status;
}

fm_status fm_ort_session_open(const struct ort_backend *backend, const struct runtime_options *options,
                              const struct session_request *request, struct session **out, fm_error *error) {
    struct provider_probe why = {0};
    fm_error failure = {0};
    struct session *session = fm_alloc(sizeof *session);
    *out = NULL;
    if (!session) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to open '%s'", request->name);
    }
    session->backend = backend;
    snprintf(session->name, sizeof session->name, "%s", request->name);
    fm_status status = fm_ort_probe_library(backend, options, &session->library, &why);
    if (status != FM_OK) {
        fm_fail(error, status, "%s%s%s", why.reason, why.remedy[0] ? "; " : "", why.remedy);
        goto cleanup;
    }
    status = open_session(session, options, request, &failure);
    if (status != FM_OK) {
        fm_ort_fail(error, &failure);
        goto cleanup;
    }
    snprintf(session->detail, sizeof session->detail, "ONNX Runtime %s (%s), %s", session->library->version,
             session->library->path, backend->short_name);
    *out = session;
    session = NULL;
cleanup:
    fm_ort_session_close(session);
    return status;
}

void fm_ort_session_close(struct session *session) {
    if (!session) {
        return;
    }
    if (session->library) {
        names_reset(&session->names, session->library);
        if (session->session) {
            session->library->api.ReleaseSession(session->session);
        }
        if (session->route.log_id[0]) {
            fm_ort_route_remove(&session->route);
        }
        fm_ort_library_close(session->library);
    }
    fm_free(session);
}

const char *fm_ort_session_detail(const struct session *session) {
    return session->detail;
}

const char *fm_ort_session_elsewhere(const struct session *session) {
    return session->elsewhere;
}

size_t fm_ort_session_output_count(const struct session *session) {
    return session->names.output_count;
}

/* ---------------------------------------------------------------- runs */

fm_status fm_ort_run_open(struct session *session, struct run **run, fm_error *error) {
    *run = fm_alloc(sizeof **run);
    if (!*run) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a run of '%s'", session->name);
    }
    (*run)->session = session;
    return FM_OK;
}

static void release_outputs(struct run *run) {
    for (size_t i = 0; i < FM_MAX_OUTPUTS; i++) {
        if (run->outputs[i]) {
            run->session->library->api.ReleaseValue(run->outputs[i]);
            run->outputs[i] = NULL;
        }
    }
}

static void release_input(struct run *run) {
    if (run->input) {
        run->session->library->api.ReleaseValue(run->input);
        run->input = NULL;
    }
}

void fm_ort_run_close(struct run *run) {
    if (run) {
        release_outputs(run);
        release_input(run);
        fm_free(run);
    }
}

static bool same_input(const struct run *run, const struct tensor *input) {
    const struct tensor *known = &run->input_shape;
    return run->input && known->bytes == input->bytes && known->dtype == input->dtype && known->rank == input->rank &&
           memcmp(known->dims, input->dims, (size_t)input->rank * sizeof input->dims[0]) == 0;
}

fm_status fm_ort_run_submit(struct run *run, const struct tensor *input, fm_error *error) {
    struct session *session = run->session;
    char what[320];
    release_outputs(run);
    if (!same_input(run, input)) {
        release_input(run);
        const fm_status status = input_value(session->library, input, &run->input, error);
        if (status != FM_OK) {
            return status;
        }
        run->input_shape = *input;
    }
    struct ort_status *failure =
        run_session(session->library, session->session, &session->names, run->input, run->outputs);
    snprintf(what, sizeof what, "cannot run '%s' on %s", session->name, session->backend->name);
    fm_status status = fm_ort_check(&session->library->api, failure, FM_PROVIDER_FAILED, error, what);
    for (size_t i = 0; i < session->names.output_count; i++) {
        status = fm_ort_made(status, run->outputs[i], error, what);
    }
    return status;
}

static fm_status describe_output(struct run *run, size_t index, struct tensor *output, fm_error *error) {
    const struct ort_api *api = &run->session->library->api;
    static const char *const what = "cannot read an output from ONNX Runtime";
    struct ort_shape_info *info = NULL;
    int dtype = 0, is_tensor = 0;
    size_t rank = 0;
    fm_status status =
        fm_ort_check(api, api->IsTensor(run->outputs[index], &is_tensor), FM_PROVIDER_FAILED, error, what);
    if (status == FM_OK && !is_tensor) {
        return fm_fail(error, FM_UNSUPPORTED, "output '%s' of '%s' is not a tensor", run->session->names.outputs[index],
                       run->session->name);
    }
    if (status == FM_OK) {
        status =
            fm_ort_check(api, api->GetTensorTypeAndShape(run->outputs[index], &info), FM_PROVIDER_FAILED, error, what);
        status = fm_ort_made(status, info, error, what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->GetTensorElementType(info, &dtype), FM_PROVIDER_FAILED, error, what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->GetDimensionsCount(info, &rank), FM_PROVIDER_FAILED, error, what);
    }
    *output = (struct tensor){.dtype = (enum dtype)dtype, .rank = (int)rank, .memory = FM_MEMORY_HOST};
    if (status == FM_OK && (rank > FM_MAX_RANK || fm_dtype_size((enum dtype)dtype) == 0)) {
        status = fm_fail(error, FM_UNSUPPORTED,
                         "output '%s' of '%s' has rank %zu and element type %d; rank up to %d and "
                         "plain numbers are expected",
                         run->session->names.outputs[index], run->session->name, rank, dtype, FM_MAX_RANK);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->GetDimensions(info, output->dims, rank), FM_PROVIDER_FAILED, error, what);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->GetTensorMutableData(run->outputs[index], &output->bytes), FM_PROVIDER_FAILED,
                              error, what);
    }
    if (status == FM_OK && !fm_tensor_size(output, &output->capacity)) {
        status = fm_fail(error, FM_PROVIDER_FAILED, "output '%s' of '%s' has an impossible shape",
                         run->session->names.outputs[index], run->session->name);
    }
    if (output->capacity > 0) { /* an output of no elements has no memory */
        status = fm_ort_made(status, output->bytes, error, what);
    }
    if (info) {
        api->ReleaseTensorTypeAndShapeInfo(info);
    }
    return status;
}

fm_status fm_ort_run_wait(struct run *run, struct tensor *outputs, fm_error *error) {
    fm_status status = FM_OK;
    for (size_t i = 0; i < run->session->names.output_count && status == FM_OK; i++) {
        status = run->outputs[i]
                     ? describe_output(run, i, &outputs[i], error)
                     : fm_fail(error, FM_INTERNAL, "wait without a submitted run of '%s'", run->session->name);
    }
    return status;
}
