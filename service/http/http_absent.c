/* HTTP, in a build without libmicrohttpd (FM_WITH_HTTP): no server can be opened, so nothing else is ever called. */
#include "http/http.h"

const double fm_http_bounds[HTTP_BUCKETS - 1] = {0.0};

fm_status fm_http_open(const struct http_options *options, struct http_server **server, fm_error *error) {
    (void)options;
    *server = NULL;
    return fm_fail(error, FM_UNSUPPORTED, "this build serves no HTTP (FM_WITH_HTTP): build it with libmicrohttpd");
}

fm_status fm_http_reload(struct http_server *server, fm_error *error) {
    (void)server;
    return fm_fail(error, FM_UNSUPPORTED, "this build serves no HTTP");
}

void fm_http_stop(struct http_server *server) {
    (void)server;
}

size_t fm_http_close(struct http_server *server, uint32_t grace_ms) {
    (void)server, (void)grace_ms;
    return 0;
}

const char *fm_http_address(const struct http_server *server, size_t index) {
    (void)server, (void)index;
    return NULL;
}

bool fm_http_is_exposed(const struct http_server *server) {
    (void)server;
    return false;
}

const char *fm_http_header(const struct http_request *request, const char *name) {
    (void)request, (void)name;
    return NULL;
}

const char *fm_http_query(const struct http_request *request, const char *name) {
    (void)request, (void)name;
    return NULL;
}

const char *fm_http_query_entry(const struct http_request *request, size_t index, const char **value) {
    (void)request, (void)index, (void)value;
    return NULL;
}

bool fm_http_client_gone(const struct http_request *request) {
    (void)request;
    return true;
}

void fm_http_reply(struct http_request *request, struct http_reply *reply) {
    (void)request;
    fm_text_reset(&reply->text);
}

void fm_http_refuse(struct http_request *request, int code, int retry_seconds, const char *format, ...) {
    (void)request, (void)code, (void)retry_seconds, (void)format;
}

void fm_http_visit_counts(struct http_server *server, void (*visit)(const struct http_count *count, void *user),
                          void *user) {
    (void)server, (void)visit, (void)user;
}

struct http_level fm_http_level(struct http_server *server) {
    (void)server;
    return (struct http_level){0};
}
