/* Support: which providers run one ONNX file. Each is tried on its own: probed, opened with the bytes the engine would
   give it, run once on a picture of zeros. Caller's thread; slow. */
#include "engine/engine.h"
#include "models/builtin.h"
#include "onnx/cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LARGEST_INPUT ((size_t)64 << 20)    /* elements */
#define LARGEST_TENSORS ((uint64_t)4 << 30) /* bytes at once: foreign graphs must not take the machine down */

/* The file and what is fed to it. */
struct candidate_file {
    const char *name; /* for messages */
    struct buffer bytes;
    struct pack *pack;         /* NULL when no family here can use the file: then it is opened as it is */
    const struct model *model; /* the pack's */
    struct tensor input;       /* no bytes: dtype and dims */
};

/* ---- the file */

static fm_status read_input(struct candidate_file *file, const struct graph *graph, fm_error *error) {
    const struct graph_value input = fm_graph_input(graph, 0);
    const struct manifest_model *said = file->model ? file->model->said : NULL;
    struct graph_cost cost;
    size_t elements = 0;
    file->input.dtype = input.dtype;
    file->input.rank = fm_graph_typical_input(graph, said ? said->width : 0, said ? said->height : 0, file->input.dims);
    if (file->input.rank < 1)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' does not take one picture: it cannot be tried without knowing more",
                       file->name);
    if (input.dtype != DTYPE_F32 && input.dtype != DTYPE_U8)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' takes %s, not f32 or u8: it cannot be tried", file->name,
                       fm_dtype_name(input.dtype));
    if (!fm_tensor_elements(&file->input, &elements) || elements < 1 || elements > LARGEST_INPUT)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' takes an input of none or more than %zu values: it is not tried",
                       file->name, LARGEST_INPUT);
    const fm_status status = fm_graph_cost(graph, file->input.dims, file->input.rank, &cost, error);
    if (status == FM_OK && cost.activation_bytes > LARGEST_TENSORS)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' makes tensors of %llu MiB at once, more than %llu: it is not tried",
                       file->name, (unsigned long long)(cost.activation_bytes >> 20),
                       (unsigned long long)(LARGEST_TENSORS >> 20));
    return status;
}

static fm_status read_candidate(struct candidate_file *file, const char *path, fm_error *error) {
    struct graph *graph = NULL;
    fm_error unused = {0};
    const char *slash = strrchr(path, '/');
    file->name = slash ? slash + 1 : path;
    fm_status status = fm_pack_file_read(path, INT32_MAX, &file->bytes, error);
    if (status == FM_OK)
        status = fm_graph_read(file->bytes.bytes, file->bytes.size, file->name, &graph, error);
    if (status == FM_OK && fm_pack_open(path, "", NULL, &file->pack, &unused) == FM_OK)
        file->model = file->pack->tasks[MODEL_DETECTION] ? file->pack->tasks[MODEL_DETECTION]
                                                         : file->pack->tasks[MODEL_RECOGNITION];
    if (status == FM_OK)
        status = read_input(file, graph, error);
    fm_graph_close(graph);
    return status;
}

static void candidate_reset(struct candidate_file *file) {
    fm_pack_close(file->pack);
    fm_buffer_reset(&file->bytes);
}

/* ---- one provider */

static bool is_finite(const struct tensor *tensor) {
    size_t count = 0;
    if (!fm_tensor_elements(tensor, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if ((tensor->dtype == DTYPE_F32 && !isfinite(((const float *)tensor->bytes)[i])) ||
            (tensor->dtype == DTYPE_F64 && !isfinite(((const double *)tensor->bytes)[i])) ||
            (tensor->dtype == DTYPE_F16 && (((const uint16_t *)tensor->bytes)[i] & 0x7c00u) == 0x7c00u) ||
            (tensor->dtype == DTYPE_BF16 && (((const uint16_t *)tensor->bytes)[i] & 0x7f80u) == 0x7f80u))
            return false;
    }
    return true;
}

static fm_status run_once(const struct provider *provider, struct session *session, const struct candidate_file *file,
                          enum dtype dtype, fm_error *error) {
    struct tensor input = file->input, outputs[FM_MAX_OUTPUTS] = {{0}};
    struct run *run = NULL;
    fm_status status = FM_OK;
    input.dtype = dtype;
    input.memory = FM_MEMORY_HOST;
    if (fm_tensor_size(&input, &input.capacity))
        input.bytes = fm_alloc_aligned(input.capacity);
    if (!input.bytes)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to try '%s'", file->name);
    memset(input.bytes, 0, input.capacity);
    status = provider->run_open(session, &run, error);
    if (status == FM_OK)
        status = provider->submit(run, &input, error);
    if (status == FM_OK)
        status = provider->wait(run, outputs, error);
    for (size_t i = 0; status == FM_OK && i < provider->output_count(session); i++) {
        if (!is_finite(&outputs[i]))
            status =
                fm_fail(error, FM_BAD_MODEL, "output %zu of '%s' is not finite for a picture of zeros", i, file->name);
    }
    provider->run_close(run);
    fm_free_aligned(input.bytes);
    return status;
}

/* The bytes that the engine would open, or the file's own. */
static fm_status build_bytes(const struct candidate_file *file, const struct provider *provider, struct buffer *bytes,
                             enum dtype *dtype, fm_error *error) {
    *dtype = file->input.dtype;
    if (!file->model)
        return FM_OK;
    const struct model_build build = {.batch = file->model->batch_possible,
                                      .take_bytes = provider->prefer_bytes,
                                      .split_prelu = provider->split_prelu};
    *dtype = provider->prefer_bytes ? DTYPE_U8 : DTYPE_F32;
    return fm_model_build(file->model, &build, bytes, error);
}

static fm_status try_provider(const struct provider *provider, const struct runtime_options *runtime,
                              fm_precision precision, const struct candidate_file *file, char *elsewhere, size_t size,
                              fm_error *error) {
    struct buffer built = {0};
    struct session *session = NULL;
    enum dtype dtype = DTYPE_NONE;
    fm_status status = build_bytes(file, provider, &built, &dtype, error);
    if (status == FM_OK) {
        struct session_request request = {
            .name = file->name,
            .purpose = file->model && file->model->task == MODEL_DETECTION ? "detection" : "recognition",
            .bytes = file->model ? built.bytes : file->bytes.bytes,
            .size = file->model ? built.size : file->bytes.size,
            .report = true,
            .input_dtype = dtype,
            .input_rank = file->input.rank,
            .precision = precision,
        };
        memcpy(request.input_dims, file->input.dims, sizeof request.input_dims);
        status = provider->open(runtime, &request, &session, error);
    }
    if (status == FM_OK)
        status = run_once(provider, session, file, dtype, error);
    if (status == FM_OK)
        (void)snprintf(elsewhere, size, "%s", provider->elsewhere(session));
    if (session)
        provider->close(session);
    fm_buffer_reset(&built);
    /* "not here" is what the probe says; behind it, this file is what does not run */
    return status == FM_NO_PROVIDER ? FM_PROVIDER_FAILED : status;
}

static void visit_provider(const struct provider *provider, const struct runtime_options *runtime,
                           fm_precision precision, const struct candidate_file *file, fm_support_visitor visitor,
                           void *user) {
    struct provider_probe probe = {0};
    char words[2048] = "";
    fm_error error = {0};
    fm_status status = FM_NO_PROVIDER;
    provider->probe(runtime, &probe);
    if (probe.available) {
        status = try_provider(provider, runtime, precision, file, words, sizeof words, &error);
        if (status != FM_OK)
            (void)snprintf(words, sizeof words, "%s", error.message);
    } else {
        (void)snprintf(words, sizeof words, "%s%s%s", probe.reason, probe.remedy[0] ? "; " : "", probe.remedy);
    }
    const fm_model_support support = {provider->name, status, words};
    visitor(&support, user);
}

fm_status fm_model_visit_support(const char *path, const fm_engine_options *given, fm_support_visitor visitor,
                                 void *user, fm_error *error) {
    struct settings settings = {0};
    struct candidate_file file = {0};
    struct logger logger;
    fm_engine_options options = {.struct_size = sizeof options};
    char data_folder[1024] = "";
    fm_error_clear(error);
    if (!path || !visitor)
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_model_visit_support needs a path and a visitor");
    fm_status status = fm_settings_resolve(&settings, given, error);
    if (status == FM_OK && given && !fm_options_copy(&options, sizeof options, given))
        status = fm_fail(error, FM_INVALID_ARGUMENT, "fm_engine_options.struct_size is 0");
    fm_logger_init(&logger, options.log_level == FM_LOG_DEFAULT ? FM_LOG_WARN : options.log_level, options.log,
                   options.log_user);
    if (status == FM_OK)
        status = read_candidate(&file, path, error);
    if (!fm_data_folder(data_folder, sizeof data_folder))
        data_folder[0] = 0;
    const struct runtime_options runtime = {.ort_library = settings.ort_library,
                                            .data_folder = data_folder,
                                            .device = settings.device > 0 ? settings.device - 1 : 0,
                                            .gpu_mem_limit = settings.gpu_mem_limit,
                                            .threads = settings.threads,
                                            .options = settings.provider_options,
                                            .option_count = settings.provider_option_count,
                                            .logger = &logger};
    for (size_t i = 0; status == FM_OK && fm_provider_row(i); i++)
        visit_provider(fm_provider_row(i), &runtime, settings.precision, &file, visitor, user);
    candidate_reset(&file);
    fm_logger_reset(&logger);
    fm_settings_reset(&settings);
    return status;
}
