/* Metrics in Prometheus' text format 0.0.4: families with HELP and TYPE, then their samples. Names end in their unit;
   what only grows ends in _total. */
#include "http/routes.h"
#include "http/worker.h"

#include "base/os.h"

#include <string.h>

enum { GAUGE, COUNTER, HISTOGRAM };

static void family(struct text *out, const char *name, int kind, const char *help) {
    static const char *const kinds[] = {"gauge", "counter", "histogram"};
    fm_text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

static void single(struct text *out, const char *name, int kind, const char *help, double value) {
    family(out, name, kind, help);
    fm_text_add(out, "%s %.17g\n", name, value);
}

/* label="value", with what would end it escaped. */
static void label(struct text *out, const char *separator, const char *name, const char *value) {
    fm_text_add(out, "%s%s=\"", separator, name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"')
            fm_text_add(out, "\\%c", *c);
        else if (*c == '\n')
            fm_text_add(out, "\\n");
        else
            fm_text_add_bytes(out, c, 1);
    }
    fm_text_add(out, "\"");
}

/* Buckets by seconds, given one by one, written as sums. `labels` has no braces and may be "". */
static void seconds_histogram(struct text *out, const char *name, const char *labels, const uint64_t *buckets,
                              double seconds) {
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    uint64_t sum = 0;
    for (int i = 0; i < HTTP_BUCKETS; i++) {
        sum += buckets[i];
        if (i < HTTP_BUCKETS - 1)
            fm_text_add(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, fm_http_bounds[i],
                        (unsigned long long)sum);
        else
            fm_text_add(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)sum);
    }
    fm_text_add(out, "%s_sum%s%s%s %.9g\n", name, open, labels, close, seconds);
    fm_text_add(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)sum);
}

/* ---- requests */

struct request_rows {
    struct text *out, labels;
    bool times; /* histograms; otherwise counters */
};

static void visit_count(const struct http_count *count, void *user) {
    struct request_rows *rows = user;
    char code[16];
    struct text number = {0};
    fm_text_add(&number, "%d", count->code);
    memcpy(code, fm_text_chars(&number), number.length < 15 ? number.length + 1 : 1);
    fm_text_reset(&number);
    fm_text_clear(&rows->labels);
    label(&rows->labels, "", "method", count->method);
    label(&rows->labels, ",", "route", count->route);
    label(&rows->labels, ",", "code", code);
    const char *labels = fm_text_chars(&rows->labels);
    if (rows->times)
        seconds_histogram(rows->out, "facemill_http_request_duration_seconds", labels, count->buckets, count->seconds);
    else
        fm_text_add(rows->out, "facemill_http_requests_total{%s} %llu\n", labels, (unsigned long long)count->requests);
}

static void add_requests(struct service *service, struct text *out) {
    struct request_rows rows = {.out = out};
    family(out, "facemill_http_requests_total", COUNTER, "Requests answered, by method, route and status code.");
    fm_http_visit_counts(service->server, visit_count, &rows);
    rows.times = true;
    family(out, "facemill_http_request_duration_seconds", HISTOGRAM,
           "From the end of a request's headers to its answer being ready.");
    fm_http_visit_counts(service->server, visit_count, &rows);
    fm_text_reset(&rows.labels);
    struct http_level level = fm_http_level(service->server);
    single(out, "facemill_http_connections", GAUGE, "Open connections.", (double)level.connections);
    single(out, "facemill_http_requests_in_flight", GAUGE, "Requests begun and not answered.", (double)level.in_flight);
    single(out, "facemill_http_body_bytes", GAUGE, "Bodies of requests in memory.", (double)level.body_bytes);
    single(out, "facemill_http_refused_connections_total", COUNTER, "Connections beyond --max-connections.",
           (double)level.refused_connections);
}

/* ---- pictures */

static void add_batches(struct text *out, const char *network, const uint64_t *runs, uint64_t sum) {
    static const char *const bounds[FM_BATCH_BUCKETS] = {"1", "2", "4", "8", "16", "32", "64", "128", "+Inf"};
    uint64_t count = 0;
    for (int i = 0; i < FM_BATCH_BUCKETS; i++) {
        count += runs[i];
        fm_text_add(out, "facemill_batch_size_bucket{network=\"%s\",le=\"%s\"} %llu\n", network, bounds[i],
                    (unsigned long long)count);
    }
    fm_text_add(out, "facemill_batch_size_sum{network=\"%s\"} %llu\n", network, (unsigned long long)sum);
    fm_text_add(out, "facemill_batch_size_count{network=\"%s\"} %llu\n", network, (unsigned long long)count);
}

static void add_stages(struct text *out, const struct worker_figures *figures) {
    struct text labels = {0};
    family(out, "facemill_stage_duration_seconds", HISTOGRAM,
           "Seconds a good picture spent in each stage; total: from being accepted to its result.");
    for (size_t i = 0; i <= FM_STAGES; i++) {
        fm_text_clear(&labels);
        label(&labels, "", "stage", i < FM_STAGES ? fm_stage_name(i) : "total");
        seconds_histogram(out, "facemill_stage_duration_seconds", fm_text_chars(&labels), figures->stage_buckets[i],
                          figures->stage_seconds[i]);
    }
    fm_text_reset(&labels);
}

static void add_pictures(struct text *out, const struct worker_figures *figures) {
    const fm_stats *stats = &figures->stats;
    single(out, "facemill_images_total", COUNTER, "Pictures that were done, failed ones too.", (double)stats->images);
    single(out, "facemill_faces_total", COUNTER, "Faces found.", (double)stats->faces);
    single(out, "facemill_image_errors_total", COUNTER, "Pictures that failed, for whatever reason.",
           (double)stats->errors);
    single(out, "facemill_images_cancelled_total", COUNTER,
           "Pictures called off because the client was gone or the worker ended.", (double)figures->cancelled);
    single(out, "facemill_images_expired_total", COUNTER, "Pictures called off because their deadline passed.",
           (double)figures->expired);
    single(out, "facemill_images_refused_total", COUNTER, "Pictures refused because the queue was full.",
           (double)figures->refused);
    single(out, "facemill_queue_depth", GAUGE, "Pictures accepted and not yet done.", stats->queue_depth);
    single(out, "facemill_queue_capacity", GAUGE, "Pictures that can be accepted (--queue-depth).",
           stats->queue_capacity);
    family(out, "facemill_batch_size", HISTOGRAM, "Runs of each network by pictures or faces in one run.");
    add_batches(out, "detection", stats->detect_batches, stats->detect_items);
    add_batches(out, "recognition", stats->embed_batches, stats->embed_items);
    add_stages(out, figures);
    single(out, "facemill_batches_halved_total", COUNTER, "Batches halved because a provider ran out of memory.",
           (double)stats->oom_retries);
}

/* ---- the engine and the process */

static void add_models(struct service *service, struct text *out) {
    struct worker_engine *held = fm_worker_look(service->worker);
    fm_model_info model;
    family(out, "facemill_model_info", GAUGE, "What runs each model; always 1.");
    for (size_t i = 0; fm_engine_model(held->engine, i, &model); i++) {
        label(out, "facemill_model_info{", "task", model.task);
        label(out, ",", "file", model.file);
        label(out, ",", "provider", model.provider);
        label(out, ",", "precision", model.precision);
        fm_text_add(out, "} 1\n");
    }
    family(out, "facemill_model_loaded", GAUGE,
           "Whether the model is in memory: 0 after --idle-unload, until its use.");
    for (size_t i = 0; fm_engine_model(held->engine, i, &model); i++) {
        label(out, "facemill_model_loaded{", "file", model.file);
        fm_text_add(out, "} %d\n", model.loaded);
    }
    family(out, "facemill_pack_info", GAUGE, "The pack in use; always 1.");
    label(out, "facemill_pack_info{", "name", held->pack.name);
    label(out, ",", "id", held->pack.id);
    fm_text_add(out, "} 1\n");
    fm_worker_release(held);
}

static void add_process(struct text *out, const struct worker_figures *figures) {
    struct os_memory memory = fm_memory_figures();
    single(out, "facemill_pool_bytes", GAUGE, "Memory of pools and tensors.", (double)figures->stats.memory_bytes);
    single(out, "process_resident_memory_bytes", GAUGE, "Memory of the process.", (double)memory.process);
    single(out, "facemill_process_peak_memory_bytes", GAUGE, "The most memory that the process had.",
           (double)memory.process_peak);
    single(out, "facemill_unloads_total", COUNTER, "Times that idle models were unloaded.", (double)figures->unloads);
    single(out, "facemill_swaps_total", COUNTER, "Times that another pack took over.", (double)figures->swaps);
    family(out, "facemill_build_info", GAUGE, "The version; always 1.");
    label(out, "facemill_build_info{", "version", fm_version());
    fm_text_add(out, "} 1\n");
}

void fm_metrics_write(struct service *service, struct text *out) {
    struct worker_figures figures;
    fm_worker_figures(service->worker, &figures);
    add_requests(service, out);
    add_pictures(out, &figures);
    add_models(service, out);
    add_process(out, &figures);
}
