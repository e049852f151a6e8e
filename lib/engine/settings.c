/* Settings: what the caller asked for, checked at the API's edge, copied, with the defaults put in. */
#include "engine/engine.h"

#include <string.h>

#define DEFAULT_DET_SIZE 640
#define LARGEST_DET_SIZE 4096
#define DEFAULT_QUEUE_DEPTH 64
#define LARGEST_QUEUE_DEPTH 4096
#define LARGEST_THREADS 1024
#define LARGEST_BATCH 256
#define LARGEST_WAIT_US 10000000

bool fm_options_copy(void *to, size_t to_size, const void *from) {
    size_t from_size = 0;
    memcpy(&from_size, from, sizeof from_size);
    if (from_size < sizeof from_size)
        return false;
    memcpy(to, from, from_size < to_size ? from_size : to_size);
    return true;
}

/* ---- what an engine and a call have in common */

static fm_status check_det_sizes(const int sizes[FM_MAX_DET_SIZES], struct call *call, fm_error *error) {
    call->det_size_count = 0;
    for (int i = 0; i < FM_MAX_DET_SIZES && sizes[i] != 0; i++) {
        if (sizes[i] < 32 || sizes[i] > LARGEST_DET_SIZE || sizes[i] % 32 != 0)
            return fm_fail(error, FM_INVALID_ARGUMENT, "detection size %d: expected a multiple of 32 from 32 to %d",
                           sizes[i], LARGEST_DET_SIZE);
        call->det_sizes[call->det_size_count++] = sizes[i];
    }
    return FM_OK;
}

/* A graph with its size written in sees every picture once, at that size. */
static void keep_to_fixed_size(const struct fm_engine *engine, struct call *call) {
    const struct detector_recipe *detector = &engine->detector->model->detector;
    if (detector->fixed_width > 0 && detector->fixed_height > 0)
        call->det_size_count = 1;
}

static fm_status check_call(const struct call *call, fm_error *error) {
    if (!(call->det_threshold > 0.0f && call->det_threshold <= 1.0f))
        return fm_fail(error, FM_INVALID_ARGUMENT, "detection threshold %g: expected more than 0 and at most 1",
                       (double)call->det_threshold);
    if (!(call->min_face >= 0.0f && call->min_face < 1e6f))
        return fm_fail(error, FM_INVALID_ARGUMENT, "smallest face %g: expected pixels from 0 to 1,000,000",
                       (double)call->min_face);
    if (call->face_metric < FM_METRIC_DEFAULT || call->face_metric > FM_METRIC_CENTRE)
        return fm_fail(error, FM_INVALID_ARGUMENT, "face metric %d: expected area or centre", (int)call->face_metric);
    return FM_OK;
}

fm_status fm_call_resolve(const struct fm_engine *engine, const fm_call_options *given, struct call *call,
                          fm_error *error) {
    fm_call_options options = {.struct_size = sizeof options};
    *call = engine->settings.call;
    call->embed = engine->recogniser != NULL;
    keep_to_fixed_size(engine, call);
    if (!given)
        return FM_OK;
    if (!fm_options_copy(&options, sizeof options, given))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "fm_call_options.struct_size is 0: set it to sizeof(fm_call_options)");
    if (options.det_sizes[0] != 0) {
        const fm_status status = check_det_sizes(options.det_sizes, call, error);
        if (status != FM_OK)
            return status;
        keep_to_fixed_size(engine, call);
    }
    if (options.det_threshold != 0.0f)
        call->det_threshold = options.det_threshold;
    if (options.max_faces != 0)
        call->max_faces = options.max_faces > 0 ? options.max_faces : 0;
    if (options.face_metric != FM_METRIC_DEFAULT)
        call->face_metric = options.face_metric;
    if (options.min_face < 0.0f || options.min_face > 0.0f)
        call->min_face = options.min_face > 0.0f ? options.min_face : 0.0f;
    call->keep_pixels = options.keep_pixels;
    if (options.compute & ~(FM_COMPUTE_DETECT | FM_COMPUTE_EMBED))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "compute bits %#x: expected FM_COMPUTE_DETECT and FM_COMPUTE_EMBED only",
                       (unsigned)options.compute);
    if (options.compute != FM_COMPUTE_ALL && !(options.compute & FM_COMPUTE_DETECT))
        return fm_fail(error, FM_INVALID_ARGUMENT, "compute bits %u: FM_COMPUTE_DETECT is needed for everything else",
                       (unsigned)options.compute);
    if ((options.compute & FM_COMPUTE_EMBED) && !engine->recogniser)
        return fm_fail(error, FM_UNSUPPORTED,
                       "pack '%s' has no recogniser: embeddings need one; name a pack that has it", engine->pack->name);
    if (options.compute != FM_COMPUTE_ALL)
        call->embed = (options.compute & FM_COMPUTE_EMBED) != 0;
    call->deadline_ms = options.deadline_ms;
    call->wanted = options.wanted;
    call->wanted_user = options.wanted_user;
    return check_call(call, error);
}

/* ---- the engine's own */

static fm_status check_range(const char *what, int value, int largest, fm_error *error) {
    if (value < 0 || value > largest)
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s %d: expected 0 (default) to %d", what, value, largest);
    return FM_OK;
}

static fm_status resolve_numbers(struct settings *settings, const fm_engine_options *options, fm_error *error) {
    fm_status status = check_range("threads", options->threads, LARGEST_THREADS, error);
    if (status == FM_OK)
        status = check_range("batch", options->batch, LARGEST_BATCH, error);
    if (status == FM_OK)
        status = check_range("queue depth", options->queue_depth, LARGEST_QUEUE_DEPTH, error);
    if (status == FM_OK)
        status = check_range("largest number of faces", options->max_faces, 1000000, error);
    if (status == FM_OK && options->max_wait_us > LARGEST_WAIT_US)
        status = fm_fail(error, FM_INVALID_ARGUMENT, "longest wait %lu us: expected 0 (none) to %d",
                         (unsigned long)options->max_wait_us, LARGEST_WAIT_US);
    if (status == FM_OK && (options->policy < FM_POLICY_DEFAULT || options->policy > FM_POLICY_AUTO))
        status =
            fm_fail(error, FM_INVALID_ARGUMENT, "policy %d: expected strict, ordered or auto", (int)options->policy);
    if (status == FM_OK && (options->precision < FM_PRECISION_AUTO || options->precision > FM_PRECISION_INT8))
        status = fm_fail(error, FM_INVALID_ARGUMENT, "precision %d: expected fp32, fp16, bf16, int8 or auto",
                         (int)options->precision);
    if (status == FM_OK && options->device < FM_DEVICE_CPU)
        status =
            fm_fail(error, FM_INVALID_ARGUMENT, "device %d: expected FM_DEVICE_CPU, 0 or 1 + index", options->device);
    settings->policy = options->policy;
    settings->precision = options->precision;
    settings->device = options->device;
    settings->gpu_mem_limit = options->gpu_mem_limit;
    settings->batch = options->batch;
    settings->max_wait_us = options->max_wait_us;
    settings->threads = options->threads > 0 ? options->threads : fm_core_count();
    settings->host_workers = settings->threads;
    settings->queue_depth = options->queue_depth > 0 ? options->queue_depth : DEFAULT_QUEUE_DEPTH;
    settings->limits = fm_limits_resolve(options->limits);
    return status;
}

static fm_status resolve_call(struct call *call, const fm_engine_options *options, fm_error *error) {
    fm_status status = check_det_sizes(options->det_sizes, call, error);
    if (status != FM_OK)
        return status;
    if (call->det_size_count == 0)
        call->det_sizes[call->det_size_count++] = DEFAULT_DET_SIZE;
    call->max_faces = options->max_faces;
    call->face_metric = options->face_metric;
    call->min_face = options->min_face;
    call->det_threshold = options->det_threshold;
    struct call checked = *call;
    if (checked.det_threshold == 0.0f)
        checked.det_threshold = 0.5f; /* the pack's comes when it is open */
    return check_call(&checked, error);
}

static char *copy_string(struct settings *settings, const char *text, bool *failed) {
    char *copy = text && *text ? fm_arena_copy(&settings->arena, text) : NULL;
    *failed = *failed || (text && *text && !copy);
    return copy;
}

static fm_status copy_strings(struct settings *settings, const fm_engine_options *options, fm_error *error) {
    bool failed = false;
    settings->pack = copy_string(settings, options->pack, &failed);
    settings->providers = copy_string(settings, options->providers, &failed);
    settings->ort_library = copy_string(settings, options->ort_library, &failed);
    const size_t count = options->provider_option_count;
    if (count && !options->provider_options)
        return fm_fail(error, FM_INVALID_ARGUMENT, "%zu provider options, but provider_options is NULL", count);
    if (count > 256)
        return fm_fail(error, FM_INVALID_ARGUMENT, "%zu provider options: expected at most 256", count);
    settings->provider_options =
        count ? fm_arena_alloc(&settings->arena, count * sizeof *settings->provider_options) : NULL;
    for (size_t i = 0; i < count && settings->provider_options; i++) {
        const fm_provider_option *from = &options->provider_options[i];
        if (!from->provider || !from->key || !from->value)
            return fm_fail(error, FM_INVALID_ARGUMENT, "provider option %zu: provider, key and value must all be given",
                           i);
        if (!fm_provider_find(from->provider, strlen(from->provider)))
            return fm_fail(error, FM_INVALID_ARGUMENT, "provider option '%s:%s': there is no provider '%s'",
                           from->provider, from->key, from->provider);
        settings->provider_options[i] = (fm_provider_option){copy_string(settings, from->provider, &failed),
                                                             copy_string(settings, from->key, &failed),
                                                             fm_arena_copy(&settings->arena, from->value)};
    }
    settings->provider_option_count = count;
    if (failed || (count && !settings->provider_options))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the engine's options");
    return FM_OK;
}

fm_status fm_settings_resolve(struct settings *settings, const fm_engine_options *given, fm_error *error) {
    fm_engine_options options = {.struct_size = sizeof options};
    if (given && !fm_options_copy(&options, sizeof options, given))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "fm_engine_options.struct_size is 0: set it to sizeof(fm_engine_options)");
    settings->arena.limit = (size_t)1 << 20;
    fm_status status = resolve_numbers(settings, &options, error);
    if (status == FM_OK)
        status = resolve_call(&settings->call, &options, error);
    if (status == FM_OK)
        status = copy_strings(settings, &options, error);
    return status;
}

void fm_settings_reset(struct settings *settings) {
    fm_arena_reset(&settings->arena);
    *settings = (struct settings){0};
}
