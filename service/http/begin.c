/* The beginning of an exchange: everything that libmicrohttpd knows of a request is copied into one block, so that
   handlers may read it from any thread and also when the connection is gone. What is wrong with the request is found
   here, before its body is read. libmicrohttpd's threads. */
#include "http/server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ID_LENGTH 128

/* ---- copying */

struct copy {
    size_t bytes, count;
    struct http_pair *pairs; /* NULL while counting */
    char *next;
    bool has_nul;
};

static enum MHD_Result count_pair(void *user, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                  const char *value, size_t value_size) {
    struct copy *copy = user;
    (void)kind;
    copy->bytes += name_size + 1 + (value ? value_size : 0) + 1;
    copy->count++;
    copy->has_nul = copy->has_nul || memchr(name, 0, name_size) || (value && memchr(value, 0, value_size));
    return MHD_YES;
}

static const char *put(struct copy *copy, const char *text, size_t length) {
    char *start = copy->next;
    if (length > 0)
        memcpy(start, text, length);
    start[length] = 0;
    copy->next += length + 1;
    return start;
}

static enum MHD_Result copy_pair(void *user, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size) {
    struct copy *copy = user;
    (void)kind;
    copy->pairs[copy->count].name = put(copy, name, name_size);
    copy->pairs[copy->count++].value = put(copy, value ? value : "", value ? value_size : 0);
    return MHD_YES;
}

static struct http_exchange *copy_request(struct http_server *server, struct MHD_Connection *handle, const char *path,
                                          const char *method, bool *has_nul) {
    const struct mhd_library *mhd = &server->mhd;
    struct copy copy = {.bytes = strlen(path) + 1 + strlen(method) + 1 + ID_LENGTH + 1};
    mhd->MHD_get_connection_values_n(handle, MHD_HEADER_KIND, count_pair, &copy);
    size_t header_count = copy.count;
    mhd->MHD_get_connection_values_n(handle, MHD_GET_ARGUMENT_KIND, count_pair, &copy);
    size_t pairs_size = copy.count * sizeof(struct http_pair), total = copy.count;
    struct http_exchange *exchange = fm_alloc(sizeof *exchange + pairs_size + copy.bytes);
    if (exchange == NULL)
        return NULL;
    *has_nul = copy.has_nul;
    exchange->pairs = (struct http_pair *)(exchange + 1);
    copy = (struct copy){.pairs = exchange->pairs, .next = (char *)(exchange->pairs + total)};
    mhd->MHD_get_connection_values_n(handle, MHD_HEADER_KIND, copy_pair, &copy);
    mhd->MHD_get_connection_values_n(handle, MHD_GET_ARGUMENT_KIND, copy_pair, &copy);
    exchange->header_count = header_count;
    exchange->query_count = total - header_count;
    exchange->server = server;
    exchange->handle = handle;
    exchange->users = 1;
    exchange->is_head = strcmp(method, "HEAD") == 0;
    exchange->request.path = put(&copy, path, strlen(path));
    exchange->request.method = put(&copy, method, strlen(method));
    exchange->request.id = copy.next; /* filled in by set_id */
    exchange->request.start_ns = fm_clock_ns();
    exchange->request.user = server->options.user;
    exchange->request.exchange = exchange;
    return exchange;
}

const char *fm_http_header(const struct http_request *request, const char *name) {
    const struct http_exchange *exchange = request->exchange;
    for (size_t i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->pairs[i].name, name) == 0)
            return exchange->pairs[i].value;
    return NULL;
}

const char *fm_http_query(const struct http_request *request, const char *name) {
    const struct http_exchange *exchange = request->exchange;
    for (size_t i = 0; i < exchange->query_count; i++)
        if (strcmp(exchange->pairs[exchange->header_count + i].name, name) == 0)
            return exchange->pairs[exchange->header_count + i].value;
    return NULL;
}

const char *fm_http_query_entry(const struct http_request *request, size_t index, const char **value) {
    const struct http_exchange *exchange = request->exchange;
    if (index >= exchange->query_count)
        return NULL;
    const struct http_pair *pair = &exchange->pairs[exchange->header_count + index];
    *value = pair->value;
    return pair->name;
}

static size_t count_header(const struct http_exchange *exchange, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < exchange->header_count; i++)
        count += strcasecmp(exchange->pairs[i].name, name) == 0;
    return count;
}

/* ---- what is known at once */

static void set_id(struct http_exchange *exchange) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct http_server *server = exchange->server;
    char *out = (char *)(uintptr_t)exchange->request.id; /* the room behind the copies */
    const char *given = fm_http_header(&exchange->request, "X-Request-Id");
    size_t length = given ? strlen(given) : 0;
    if (length >= 1 && length <= ID_LENGTH && strspn(given, allowed) == length) {
        memcpy(out, given, length + 1);
        return;
    }
    fm_mutex_lock(&server->mutex);
    uint64_t id = server->id_seed + ++server->id_count * UINT64_C(0x9e3779b97f4a7c15);
    fm_mutex_unlock(&server->mutex);
    id = (id ^ id >> 30) * UINT64_C(0xbf58476d1ce4e5b9); /* SplitMix64: a permutation, so no two are the same */
    id = (id ^ id >> 27) * UINT64_C(0x94d049bb133111eb);
    (void)snprintf(out, ID_LENGTH, "%016" PRIx64, id ^ id >> 31);
}

static void refuse(struct http_exchange *exchange, int code, int retry_seconds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void refuse(struct http_exchange *exchange, int code, int retry_seconds, const char *format, ...) {
    va_list arguments;
    if (exchange->refusal)
        return; /* the first reason is the one to tell */
    exchange->refusal = code;
    exchange->retry_seconds = retry_seconds;
    va_start(arguments, format);
    (void)vsnprintf(exchange->words, sizeof exchange->words, format, arguments);
    va_end(arguments);
}

static void set_deadline(struct http_exchange *exchange) {
    const char *given = fm_http_header(&exchange->request, "X-Deadline-Ms");
    uint64_t ms = exchange->server->options.deadline_ms;
    if (given) {
        size_t digits = strspn(given, "0123456789");
        if (digits == 0 || digits > 9 || given[digits]) {
            refuse(exchange, 400, 0, "the header X-Deadline-Ms is no whole number of milliseconds below 1000000000");
            return;
        }
        uint64_t asked = strtoull(given, NULL, 10);
        asked = asked ? asked : 1; /* 0 stands for none; who asks for no time at all gets the least */
        ms = ms && ms < asked ? ms : asked;
    }
    exchange->request.deadline_ns = ms ? exchange->request.start_ns + ms * UINT64_C(1000000) : 0;
}

const struct http_route *fm_exchange_fallback(const struct http_server *server) {
    return &server->options.routes[0];
}

static void add_allowed(struct http_exchange *exchange, const char *method) {
    size_t used = strlen(exchange->allow);
    (void)snprintf(exchange->allow + used, sizeof exchange->allow - used, "%s%s", used ? ", " : "", method);
}

/* The route of path and method; without one the exchange is refused with the form of the path, or the fallback's. */
static void set_route(struct http_exchange *exchange) {
    const struct http_server *server = exchange->server;
    struct http_request *request = &exchange->request;
    const char *method = exchange->is_head ? "GET" : request->method;
    const struct http_route *same_path = NULL;
    for (size_t i = 0; i < server->options.route_count; i++) {
        const struct http_route *route = &server->options.routes[i];
        if (strcmp(route->path, request->path) != 0)
            continue;
        if (strcmp(route->method, method) == 0) {
            request->route = route;
            return;
        }
        same_path = same_path ? same_path : route;
        add_allowed(exchange, route->method);
        if (strcmp(route->method, "GET") == 0)
            add_allowed(exchange, "HEAD");
    }
    request->route = same_path;
    if (same_path == NULL) {
        refuse(exchange, 404, 0, "there is nothing at '%.128s'", request->path);
    } else if (server->options.cors_origin && strcmp(method, "OPTIONS") == 0) {
        add_allowed(exchange, "OPTIONS");
        refuse(exchange, 204, 0, "%s", "");
    } else {
        refuse(exchange, 405, 0, "'%.128s' takes %s, not %.16s", request->path, exchange->allow, request->method);
    }
}

/* How the body comes. Two lengths, or a length beside chunks, are how requests are smuggled past a proxy. */
static void set_body(struct http_exchange *exchange, const char *version) {
    const struct http_request *request = &exchange->request;
    const char *length = fm_http_header(request, "Content-Length");
    const char *coding = fm_http_header(request, "Transfer-Encoding");
    if (count_header(exchange, "Content-Length") + count_header(exchange, "Transfer-Encoding") > 1)
        refuse(exchange, 400, 0, "the request says more than once how long its body is");
    if (coding && (strcasecmp(coding, "chunked") != 0 || strcmp(version, "HTTP/1.1") != 0))
        refuse(exchange, 400, 0, "bodies come with a Content-Length, or chunked in HTTP/1.1");
    exchange->is_chunked = coding != NULL;
    exchange->declared = !coding && length ? strtoull(length, NULL, 10) : 0;
}

static void check_token(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    const struct http_route *route = exchange->request.route;
    if (server->options.token_file == NULL || (route && route->open) || exchange->refusal == 204)
        return;
    fm_mutex_lock(&server->mutex);
    bool allowed = fm_tokens_allow(&server->tokens, fm_http_header(&exchange->request, "Authorization"));
    fm_mutex_unlock(&server->mutex);
    if (!allowed) {
        exchange->refusal = 0; /* who has no token need not know what else is wrong */
        refuse(exchange, 401, 0, "send a valid token in the header 'Authorization: Bearer ...'");
    }
}

static void check_size(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    const struct http_options *options = &server->options;
    const struct http_route *route = exchange->request.route;
    uint64_t body_max = route && route->takes_body ? options->max_body : 0;
    if (exchange->refusal)
        return;
    if (body_max == 0 && (exchange->is_chunked || exchange->declared > 0)) {
        refuse(exchange, 413, 0, "'%.128s' takes no body", exchange->request.path);
        return;
    }
    if (exchange->declared > body_max) {
        refuse(exchange, 413, 0, "the body has %" PRIu64 " bytes, at most %" PRIu64 " are taken here",
               exchange->declared, body_max);
        return;
    }
    fm_mutex_lock(&server->mutex);
    bool full = server->body_bytes + exchange->declared > options->max_bodies;
    fm_mutex_unlock(&server->mutex);
    if (full)
        refuse(exchange, 503, 1, "too many bodies are being read; try again");
}

struct http_exchange *fm_exchange_begin(struct http_server *server, struct MHD_Connection *handle, const char *path,
                                        const char *method, const char *version) {
    bool has_nul = false;
    struct http_exchange *exchange = copy_request(server, handle, path, method, &has_nul);
    if (exchange == NULL)
        return NULL;
    set_id(exchange);
    const char *type = fm_http_header(&exchange->request, "Content-Type");
    exchange->request.type = type ? type : "";
    set_route(exchange);
    check_token(exchange);
    if (has_nul)
        refuse(exchange, 400, 0, "a header or query value has a NUL inside");
    set_body(exchange, version);
    set_deadline(exchange);
    check_size(exchange);
    fm_mutex_lock(&server->mutex);
    if (server->stopping && exchange->refusal == 0) {
        exchange->refusal = 503;
        exchange->retry_seconds = 1;
        (void)snprintf(exchange->words, sizeof exchange->words, "the server is stopping; try again");
    }
    fm_mutex_unlock(&server->mutex);
    return exchange;
}
