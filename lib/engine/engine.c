/* Engine: opening, closing, reporting. What it owns: pack, networks (with their lanes), jobs, workspaces, host workers.
 */
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

#define RESULTS_OUTSIDE 64 /* results that callers may hold beyond the queue and still get back from the pool */

/* ---- opening, part by part */

static fm_status open_base(struct fm_engine *engine, const fm_engine_options *options, fm_error *error) {
    enum cpu_level level = CPU_SCALAR;
    if (!fm_cpu_level_masked(options->cpu_mask, &level))
        return fm_fail(error, FM_INVALID_ARGUMENT, "unknown CPU mask '%s': expected scalar, avx2, avx512 or neon",
                       options->cpu_mask ? options->cpu_mask : fm_environment("FM_CPU_MASK"));
    engine->ops = fm_device_row(0);
    fm_status status = engine->ops->open(0, level, &engine->device, error);
    if (status != FM_OK)
        return status;
    if (!fm_data_folder(engine->data_folder, sizeof engine->data_folder))
        engine->data_folder[0] = 0;
    const struct settings *settings = &engine->settings;
    engine->runtime = (struct runtime_options){
        .ort_library = settings->ort_library,
        .data_folder = engine->data_folder,
        .device = settings->device > 0 ? settings->device - 1 : 0,
        .gpu_mem_limit = settings->gpu_mem_limit,
        .threads = settings->threads,
        .options = settings->provider_options,
        .option_count = settings->provider_option_count,
        .logger = &engine->logger,
    };
    engine->budget.available = settings->threads;
    return FM_OK;
}

static const char *precision_name(fm_precision precision) {
    static const char *const names[] = {"fp32", "fp32", "fp16", "bf16", "int8"};
    return names[precision];
}

static fm_status open_pack(struct fm_engine *engine, const char *source, fm_error *error) {
    char path[4096], reason[64];
    fm_status status = fm_pack_find(engine->settings.pack, source ? source : "caller", path, sizeof path, reason,
                                    sizeof reason, error);
    if (status == FM_OK)
        status = fm_pack_open(path, reason, &engine->logger, &engine->pack, error);
    if (status != FM_OK)
        return status;
    if (!engine->pack->tasks[MODEL_DETECTION])
        return fm_fail(error, FM_BAD_MODEL, "pack '%s' has no detector among its files (facemill models show): %s",
                       engine->pack->path, engine->pack->notes);
    fm_pack_id(engine->pack, precision_name(engine->settings.precision), "exact", engine->pack_id);
    if (engine->settings.call.det_threshold == 0.0f)
        engine->settings.call.det_threshold = engine->pack->tasks[MODEL_DETECTION]->detector.threshold;
    return FM_OK;
}

/* A size written into the graph overrides every wish: said once. */
static void warn_fixed_size(struct fm_engine *engine) {
    const struct model *model = engine->detector->model;
    const struct call *call = &engine->settings.call;
    const int width = model->detector.fixed_width, height = model->detector.fixed_height;
    if (width > 0 && height > 0 && (call->det_size_count > 1 || call->det_sizes[0] != width || width != height))
        fm_log(&engine->logger, FM_LOG_WARN, "engine",
               "%s takes one input size, by its graph or manifest: every image is seen once, at %dx%d", model->file,
               width, height);
}

static fm_status open_networks(struct fm_engine *engine, fm_error *error) {
    fm_status status = fm_policy_open_network(engine, engine->pack->tasks[MODEL_DETECTION], &engine->detector, error);
    if (status == FM_OK && engine->pack->tasks[MODEL_RECOGNITION])
        status = fm_policy_open_network(engine, engine->pack->tasks[MODEL_RECOGNITION], &engine->recogniser, error);
    return status;
}

/* Pictures in memory at a time: those that workers decode or cut faces out of, those whose batch runs, and those of
   which the next one is made meanwhile. Pictures whose faces are being embedded are not. */
static int workspace_target(const struct fm_engine *engine) {
    const struct network *detector = engine->detector;
    const int target = 2 * engine->settings.host_workers + 2 * detector->lane_count * detector->max_batch;
    const int most = engine->settings.queue_depth;
    return target < most ? target : most;
}

static fm_status open_queue(struct fm_engine *engine, fm_error *error) {
    const int jobs = engine->settings.queue_depth;
    engine->workspace_count = workspace_target(engine);
    engine->results = fm_result_pool_open(2 * jobs + RESULTS_OUTSIDE);
    engine->jobs = fm_alloc_array((size_t)jobs, sizeof *engine->jobs);
    engine->workspaces = fm_alloc_array((size_t)engine->workspace_count, sizeof *engine->workspaces);
    engine->workers = fm_alloc_array((size_t)engine->settings.host_workers, sizeof *engine->workers);
    if (!engine->results || !engine->jobs || !engine->workspaces || !engine->workers)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a queue of %d images", jobs);
    for (int i = jobs - 1; i >= 0; i--) {
        engine->jobs[i].engine = engine;
        engine->jobs[i].next = engine->free_jobs;
        engine->free_jobs = &engine->jobs[i];
    }
    for (int i = engine->workspace_count - 1; i >= 0; i--) {
        engine->workspaces[i].next = engine->free_workspaces;
        engine->free_workspaces = &engine->workspaces[i];
    }
    for (int i = 0; i < engine->settings.host_workers; i++) {
        if (!fm_thread_start(&engine->workers[i], "fm-host", fm_pipeline_worker, engine))
            return fm_fail(error, FM_OUT_OF_MEMORY, "not enough memory to start host worker %d of %d; lower --threads",
                           i + 1, engine->settings.host_workers);
        engine->worker_count++;
    }
    return FM_OK;
}

fm_status fm_engine_open(const fm_engine_options *given, fm_engine **engine_out, fm_error *error) {
    fm_engine_options options = {.struct_size = sizeof options};
    *engine_out = NULL;
    fm_error_clear(error);
    struct fm_engine *engine = fm_alloc(sizeof *engine);
    if (!engine)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for an engine");
    fm_mutex_init(&engine->mutex);
    fm_cond_init(&engine->work);
    fm_cond_init(&engine->space);
    fm_cond_init(&engine->drained);
    fm_mutex_init(&engine->budget.mutex);
    fm_cond_init(&engine->budget.freed);
    fm_status status = fm_settings_resolve(&engine->settings, given, error);
    if (status == FM_OK && given && !fm_options_copy(&options, sizeof options, given))
        status = FM_INVALID_ARGUMENT;
    fm_logger_init(&engine->logger, options.log_level == FM_LOG_DEFAULT ? FM_LOG_WARN : options.log_level, options.log,
                   options.log_user);
    if (status == FM_OK)
        status = open_base(engine, &options, error);
    if (status == FM_OK)
        status = open_pack(engine, options.pack_source, error);
    if (status == FM_OK)
        status = open_networks(engine, error);
    if (status == FM_OK)
        warn_fixed_size(engine);
    if (status == FM_OK)
        status = open_queue(engine, error);
    if (status != FM_OK) {
        fm_engine_close(engine);
        return status;
    }
    *engine_out = engine;
    return FM_OK;
}

static void workspace_reset(struct workspace *workspace) {
    fm_buffer_reset(&workspace->file);
    fm_buffer_reset(&workspace->candidates);
    fm_buffer_reset(&workspace->scratch);
    fm_image_reset(&workspace->image);
    workspace->held = 0;
}

static void stop_workers(struct fm_engine *engine) {
    fm_mutex_lock(&engine->mutex);
    engine->closing = true;
    fm_cond_broadcast(&engine->work);
    fm_cond_broadcast(&engine->space);
    fm_mutex_unlock(&engine->mutex);
    for (int i = 0; i < engine->worker_count; i++)
        fm_thread_join(&engine->workers[i]);
}

void fm_engine_close(fm_engine *engine) {
    if (!engine)
        return;
    stop_workers(engine);
    fm_network_close(engine->detector);
    fm_network_close(engine->recogniser);
    for (int i = 0; engine->workspaces && i < engine->workspace_count; i++)
        workspace_reset(&engine->workspaces[i]);
    for (int i = 0; engine->jobs && i < engine->settings.queue_depth; i++)
        fm_buffer_reset(&engine->jobs[i].path);
    fm_free(engine->workspaces);
    fm_free(engine->jobs);
    fm_free(engine->workers);
    fm_result_pool_unref(engine->results);
    fm_pack_close(engine->pack);
    if (engine->device)
        engine->ops->close(engine->device);
    fm_logger_reset(&engine->logger);
    fm_settings_reset(&engine->settings);
    fm_cond_reset(&engine->budget.freed);
    fm_mutex_reset(&engine->budget.mutex);
    fm_cond_reset(&engine->work);
    fm_cond_reset(&engine->space);
    fm_cond_reset(&engine->drained);
    fm_mutex_reset(&engine->mutex);
    fm_free(engine);
}

/* ---- reporting */

fm_pack_info fm_engine_pack(const fm_engine *engine) {
    const struct manifest *manifest = engine->pack->manifest;
    return (fm_pack_info){.name = engine->pack->name,
                          .path = engine->pack->path,
                          .reason = engine->pack->reason,
                          .id = engine->pack_id,
                          .manifest = manifest ? fm_manifest_kind_name(manifest->kind) : "",
                          .licence = engine->pack->licence,
                          .licence_url = engine->pack->licence_url,
                          .match_threshold = engine->pack->match_threshold,
                          .metric = engine->pack->metric};
}

const char *fm_engine_pack_id(const fm_engine *engine) {
    return engine->pack_id;
}

static struct network *network_at(const fm_engine *engine, size_t index) {
    return index == 0 ? engine->detector : index == 1 ? engine->recogniser : NULL;
}

size_t fm_engine_model_count(const fm_engine *engine) {
    return engine->recogniser ? 2 : 1;
}

bool fm_engine_model(const fm_engine *engine, size_t index, fm_model_info *info) {
    struct network *network = network_at(engine, index);
    if (!network)
        return false;
    const struct model *model = network->model;
    fm_mutex_lock(&network->mutex);
    const int max_batch = network->max_batch;
    fm_mutex_unlock(&network->mutex);
    *info = (fm_model_info){
        .task = fm_task_name(model->task),
        .family = model->family->name,
        .file = model->file,
        .provider = network->provider->name,
        .detail = network->detail,
        .passed_over = network->passed_over,
        .elsewhere = network->elsewhere,
        .batch_note = network->batch_note,
        .precision = precision_name(engine->settings.precision),
        .sha256 = model->sha256,
        .max_batch = max_batch,
        .lanes = network->lane_count,
        .input_u8 = network->input_dtype == DTYPE_U8,
        .loaded = fm_network_loaded(network),
    };
    return true;
}

const char *fm_stage_name(size_t stage) {
    static const char *const names[FM_STAGES] = {"queue",  "read",        "decode", "letterbox",
                                                 "detect", "postprocess", "align",  "embed"};
    return stage < FM_STAGES ? names[stage] : NULL;
}

static void network_stats(struct network *network, uint64_t histogram[FM_BATCH_BUCKETS], uint64_t *items,
                          fm_stats *stats) {
    if (!network)
        return;
    stats->memory_bytes += fm_network_memory(network);
    fm_mutex_lock(&network->mutex);
    memcpy(histogram, network->histogram, sizeof network->histogram);
    *items = network->items;
    stats->oom_retries += network->oom_retries;
    fm_mutex_unlock(&network->mutex);
}

void fm_engine_stats(const fm_engine *engine_const, fm_stats *stats) {
    struct fm_engine *engine = (struct fm_engine *)(uintptr_t)engine_const; /* its mutex is not what const speaks of */
    const size_t given = stats->struct_size;
    fm_stats all = {.struct_size = given, .memory_peak_bytes = fm_memory_figures().process_peak};
    network_stats(engine->detector, all.detect_batches, &all.detect_items, &all);
    network_stats(engine->recogniser, all.embed_batches, &all.embed_items, &all);
    fm_mutex_lock(&engine->mutex);
    all.images = engine->images;
    all.faces = engine->faces;
    all.errors = engine->errors;
    all.cancelled = engine->cancelled;
    all.expired = engine->expired;
    all.queue_depth = engine->in_flight;
    all.queue_capacity = (uint32_t)engine->settings.queue_depth;
    memcpy(all.stage_ms, engine->stage_ms, sizeof all.stage_ms);
    for (int i = 0; i < engine->workspace_count; i++)
        all.memory_bytes += engine->workspaces[i].held;
    fm_mutex_unlock(&engine->mutex);
    memcpy(stats, &all, given < sizeof all ? given : sizeof all);
}

/* Take every idle workspace's memory; those in use keep theirs until they come back. */
static void trim_workspaces(struct fm_engine *engine) {
    fm_mutex_lock(&engine->mutex);
    for (struct workspace *workspace = engine->free_workspaces; workspace; workspace = workspace->next)
        workspace_reset(workspace);
    fm_mutex_unlock(&engine->mutex);
}

void fm_engine_trim(fm_engine *engine) {
    fm_network_trim(engine->detector);
    fm_network_trim(engine->recogniser);
    trim_workspaces(engine);
    fm_result_pool_trim(engine->results);
}
