/* Health: GET / (the GPU worker's health, or the page for browsers), /healthz (alive), /readyz (takes work), /metrics.
 */
#include "http/routes.h"
#include "http/worker.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what runs the networks, in the words that clients of this interface know */

struct device_words {
    const char *provider, *device;
};

static const char *device_of(const fm_engine *engine) {
    static const struct device_words known[] = {
        {"ort:cuda", "CUDA (NVIDIA GPU)"},     {"ort:tensorrt", "CUDA (NVIDIA GPU)"}, {"cuda", "CUDA (NVIDIA GPU)"},
        {"ort:dml", "DirectML (Windows GPU)"}, {"ort:migraphx", "ROCm (AMD GPU)"},    {"ort:rocm", "ROCm (AMD GPU)"},
        {"ort:coreml", "CoreML (Apple)"},
    };
    fm_model_info model;
    for (size_t i = 0; fm_engine_model(engine, i, &model); i++) {
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            if (strcmp(model.provider, known[k].provider) == 0)
                return known[k].device;
        }
    }
    return "CPU";
}

static void write_health(struct http_request *request, struct text *out) {
    struct service *service = request->user;
    struct worker_engine *held = fm_worker_look(service->worker);
    const char *device = device_of(held->engine);
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "status", "healthy");
    fm_json_bool(&json, "gpu_available", strcmp(device, "CPU") != 0);
    fm_json_bool(&json, "model_loaded", true); /* one that was unloaded comes back with the next picture */
    fm_json_string(&json, "device", device);
    fm_json_object_close(&json);
    fm_worker_release(held);
}

/* ---- does Accept prefer HTML? (RFC 9110, 12.5.1) */

/* The weight of one range "text/html;q=0.9" from `text` to `end`; 1 when it has none. */
static double weight_of(const char *text, const char *end) {
    for (const char *part = text; part && part < end; part = memchr(part, ';', (size_t)(end - part))) {
        part += *part == ';';
        while (part < end && (*part == ' ' || *part == '\t'))
            part++;
        if (end - part > 2 && (part[0] == 'q' || part[0] == 'Q') && part[1] == '=')
            return strtod(part + 2, NULL);
    }
    return 1;
}

/* How much Accept wants a type: by the most specific range that has it. */
static double wish_for(const char *accept, const char *type) {
    size_t family = strcspn(type, "/") + 1;
    double weight = 0;
    int best = 0;
    for (const char *range = accept; *range; range += *range == ',') {
        range += strspn(range, " \t");
        const char *end = range + strcspn(range, ",");
        size_t length = strcspn(range, "; \t,");
        int match = length == strlen(type) && strncasecmp(range, type, length) == 0                         ? 3
                    : length == family + 1 && strncasecmp(range, type, family) == 0 && range[family] == '*' ? 2
                    : length == 3 && memcmp(range, "*/*", 3) == 0                                           ? 1
                                                                                                            : 0;
        if (match > best) {
            best = match;
            weight = weight_of(range, end);
        }
        range = end;
    }
    return weight;
}

static bool prefers_html(const struct http_request *request) {
    const char *accept = fm_http_header(request, "Accept");
    return accept && wish_for(accept, "text/html") > wish_for(accept, "application/json");
}

/* ---- routes */

static void get_root(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "application/json", .header = {{"Vary", "Accept"}}};
    if (prefers_html(request)) {
        fm_page_reply(request);
        return;
    }
    write_health(request, &reply.text);
    fm_http_reply(request, &reply);
}

static void reply_words(struct http_request *request, int code, const char *words) {
    struct http_reply reply = {.code = code, .type = "text/plain; charset=utf-8"};
    fm_text_add(&reply.text, "%s\n", words);
    fm_http_reply(request, &reply);
}

static void get_healthz(struct http_request *request) {
    reply_words(request, 200, "alive");
}

static void get_readyz(struct http_request *request) {
    struct service *service = request->user;
    char words[256];
    bool ready = fm_worker_ready(service->worker, words, sizeof words);
    reply_words(request, ready ? 200 : 503, words);
}

static void get_metrics(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "text/plain; version=0.0.4; charset=utf-8"};
    fm_metrics_write(request->user, &reply.text);
    fm_http_reply(request, &reply);
}

struct http_route_table fm_routes_health(void) {
    static const struct http_route rows[] = {
        {"GET", "/", get_root, fm_routes_detail_error, true, false},
        {"GET", "/healthz", get_healthz, fm_routes_detail_error, true, false},
        {"GET", "/readyz", get_readyz, fm_routes_detail_error, true, false},
        {"GET", "/metrics", get_metrics, fm_routes_detail_error, false, false},
    };
    return (struct http_route_table){rows, sizeof rows / sizeof rows[0]};
}
