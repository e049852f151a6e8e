/* What the worker is: its models, its providers, its OpenAPI document, its page. */
#include "http/chores.h"
#include "http/v1.h"

#include "base/sha256.h"

#include <string.h>

/* ---- models */

static void add_model(struct json *json, const fm_model_info *model) {
    fm_json_object_open(json, NULL);
    fm_json_string(json, "file", model->file);
    fm_json_string(json, "task", model->task);
    fm_json_string(json, "family", model->family);
    fm_json_string(json, "provider", model->provider);
    fm_json_string(json, "detail", model->detail);
    fm_json_string(json, "passed_over", model->passed_over);
    fm_json_string(json, "elsewhere", model->elsewhere);
    fm_json_string(json, "precision", model->precision);
    fm_json_integer(json, "max_batch", model->max_batch);
    fm_json_string(json, "batch_note", model->batch_note);
    fm_json_integer(json, "lanes", model->lanes);
    fm_json_bool(json, "input_u8", model->input_u8);
    fm_json_bool(json, "loaded", model->loaded);
    fm_json_string(json, "sha256", model->sha256);
    fm_json_object_close(json);
}

static void add_pack(struct json *json, const struct worker_engine *held) {
    const fm_pack_info *pack = &held->pack;
    fm_json_object_open(json, "pack");
    fm_json_string(json, "name", pack->name);
    fm_json_string(json, "id", pack->id);
    fm_json_string(json, "reason", pack->reason);
    fm_json_string(json, "licence", pack->licence[0] ? pack->licence : NULL);
    fm_json_string(json, "licence_url", pack->licence_url[0] ? pack->licence_url : NULL);
    if (pack->match_threshold > 0)
        fm_json_float(json, "match_threshold", pack->match_threshold);
    else
        fm_json_string(json, "match_threshold", NULL);
    fm_json_string(json, "metric", pack->metric[0] ? pack->metric : NULL);
    fm_json_integer(json, "embedding_size", fm_engine_embedding_size(held->engine));
    fm_json_integer(json, "crop_size", fm_engine_crop_size(held->engine));
    fm_json_object_close(json);
}

void fm_v1_models(struct http_request *request) {
    struct service *service = request->user;
    struct v1_failure failure = {0};
    struct text text = {0};
    struct json json;
    fm_model_info model;
    if (!fm_v1_read_query(request, 0, &(struct v1_options){0}, &failure)) {
        fm_v1_refuse(request, &failure);
        return;
    }
    struct worker_engine *held = fm_worker_look(service->worker);
    fm_v1_open_reply(&json, &text, request);
    fm_json_string(&json, "version", fm_version());
    add_pack(&json, held);
    fm_json_array_open(&json, "models");
    for (size_t i = 0; fm_engine_model(held->engine, i, &model); i++)
        add_model(&json, &model);
    fm_json_array_close(&json);
    fm_worker_release(held);
    fm_v1_send(request, &json);
}

/* ---- providers */

static void add_provider(const fm_provider_info *info, void *user) {
    struct json *json = user;
    fm_json_object_open(json, NULL);
    fm_json_string(json, "provider", info->name);
    fm_json_bool(json, "available", info->available);
    fm_json_string(json, "detail", info->available ? info->detail : NULL);
    fm_json_string(json, "reason", info->available ? NULL : info->reason);
    fm_json_string(json, "remedy", info->available ? NULL : info->remedy);
    fm_json_object_close(json);
}

/* On a chore's thread: opens every runtime there is. */
static void list_providers(void *argument) {
    struct http_request *request = argument;
    struct service *service = request->user;
    fm_engine_options options = {
        .struct_size = sizeof options, .ort_library = service->ort_library, .log_level = FM_LOG_OFF};
    struct text text = {0};
    struct json json;
    fm_v1_open_reply(&json, &text, request);
    fm_json_array_open(&json, "providers");
    fm_providers_visit(&options, add_provider, &json);
    fm_json_array_close(&json);
    fm_v1_send(request, &json);
}

void fm_v1_providers(struct http_request *request) {
    struct service *service = request->user;
    struct v1_failure failure = {0};
    if (!fm_v1_read_query(request, 0, &(struct v1_options){0}, &failure))
        fm_v1_refuse(request, &failure);
    else if (!fm_chores_add(service->chores, list_providers, request))
        fm_http_refuse(request, 503, 1, "too many requests wait already; try again");
}

/* ---- the OpenAPI document */

#define SERVER_MARK "http://127.0.0.1:8001" /* the document's own server */

/* The address that the client used, as far as it is one: proxies and sockets have other ones than the listener's. */
static void add_server(struct text *text, const struct http_request *request) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    const struct service *service = request->user;
    const char *host = fm_http_header(request, "Host");
    const char *address = fm_http_address(service->server, 0);
    if (host && host[0] && strlen(host) < 256 && strspn(host, plain) == strlen(host))
        fm_text_add(text, "%s://%s", address && strncmp(address, "https:", 6) == 0 ? "https" : "http", host);
    else
        fm_text_add(text, "%s", address && strncmp(address, "http", 4) == 0 ? address : SERVER_MARK);
}

void fm_v1_openapi(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "application/json"};
    const char *mark = strstr(fm_openapi, "\"" SERVER_MARK "\"");
    if (mark) {
        fm_text_add_bytes(&reply.text, fm_openapi, (size_t)(mark + 1 - fm_openapi));
        add_server(&reply.text, request);
        mark += sizeof SERVER_MARK; /* with the opening quote */
    }
    fm_text_add(&reply.text, "%s", mark ? mark : fm_openapi);
    fm_http_reply(request, &reply);
}

/* ---- the page */

static int hex_value(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/* "'sha256-...'" of what stands between two tags: that text alone may run. */
static void add_hash(struct text *policy, const char *open, const char *close) {
    const char *start = strstr(fm_page, open), *end = start ? strstr(start, close) : NULL;
    struct sha256 sha;
    char hex[65];
    uint8_t digest[32];
    if (!end)
        return;
    start += strlen(open);
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, start, (size_t)(end - start));
    fm_sha256_hex(&sha, hex);
    for (size_t i = 0; i < sizeof digest; i++)
        digest[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    fm_text_add(policy, "'sha256-");
    fm_text_add_base64(policy, digest, sizeof digest);
    fm_text_add(policy, "'");
}

void fm_page_reply(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "text/html; charset=utf-8"};
    struct text policy = {0};
    fm_text_add(&policy, "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
                         "form-action 'none'; frame-ancestors 'none'; script-src ");
    add_hash(&policy, "<script>", "</script>");
    fm_text_add(&policy, "; style-src ");
    add_hash(&policy, "<style>", "</style>");
    fm_text_add(&reply.text, "%s", fm_page);
    reply.header[0][0] = "Content-Security-Policy", reply.header[0][1] = fm_text_chars(&policy);
    reply.header[1][0] = "X-Content-Type-Options", reply.header[1][1] = "nosniff";
    reply.header[2][0] = "Vary", reply.header[2][1] = "Accept";
    fm_http_reply(request, &reply);
    fm_text_reset(&policy);
}
