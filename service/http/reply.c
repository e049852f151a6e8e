/* Replies: the headers that every answer has, the server's own refusals in their route's form, and the 503 of a server
   that is closed. Any thread. */
#include "http/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define JSON_TYPE "application/json"
#define PREFLIGHT_S "600"

static const char *reason_of(int code) {
    switch (code) {
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    default:
        return "Service Unavailable";
    }
}

/* ---- headers, whichever way they go out */

typedef void (*header_function)(void *user, const char *name, const char *value);

static void visit_common_headers(const struct http_exchange *exchange, header_function visit, void *user) {
    const struct http_options *options = &exchange->server->options;
    visit(user, "X-Request-Id", exchange->request.id);
    if (options->cors_origin == NULL)
        return;
    visit(user, "Access-Control-Allow-Origin", options->cors_origin);
    visit(user, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    if (strcmp(options->cors_origin, "*") != 0)
        visit(user, "Vary", "Origin");
}

/* What belongs to a refusal's code. */
static void visit_refusal_headers(const struct http_exchange *exchange, int code, int retry_seconds,
                                  header_function visit, void *user) {
    char seconds[16];
    if (code == 401)
        visit(user, "WWW-Authenticate", "Bearer realm=\"facemill\"");
    if (code == 405)
        visit(user, "Allow", exchange->allow);
    if (code == 204) {
        visit(user, "Access-Control-Allow-Methods", exchange->allow);
        visit(user, "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id, X-Deadline-Ms");
        visit(user, "Access-Control-Max-Age", PREFLIGHT_S);
    }
    if (retry_seconds > 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", retry_seconds);
        visit(user, "Retry-After", seconds);
    }
}

static void write_plain_error(struct text *out, int code, const char *words, const char *request_id) {
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_integer(&json, "code", code);
    fm_json_string(&json, "error", words);
    fm_json_string(&json, "request_id", request_id);
    fm_json_object_close(&json);
}

static void write_error(const struct http_exchange *exchange, int code, const char *words, struct text *out) {
    const struct http_route *route =
        exchange->request.route ? exchange->request.route : fm_exchange_fallback(exchange->server);
    http_error_writer writer = route->write_error ? route->write_error : write_plain_error;
    writer(out, code, words, exchange->request.id);
}

/* ---- as libmicrohttpd sends it */

struct target {
    const struct mhd_library *mhd;
    struct MHD_Response *response;
};

static void add_header(void *user, const char *name, const char *value) {
    struct target *target = user;
    target->mhd->MHD_add_response_header(target->response, name, value); /* one that cannot be sent is left out */
}

static bool must_end(const struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    fm_mutex_lock(&server->mutex);
    bool ends = server->stopping || (exchange->connection && exchange->connection->generation->retired);
    fm_mutex_unlock(&server->mutex);
    return ends;
}

/* Only what needs no lock; `ends`: the connection ends with it. */
static struct MHD_Response *make(const struct http_exchange *exchange, struct http_reply *reply, bool ends) {
    static const char exhausted[] = "{\"error\":\"out of memory\"}";
    const struct mhd_library *mhd = &exchange->server->mhd;
    struct target target = {.mhd = mhd};
    struct text *text = &reply->text;
    if (text->failed) {
        fm_text_reset(text);
        text->failed = true;
        reply->code = 500;
        reply->type = JSON_TYPE;
        target.response = mhd->MHD_create_response_from_buffer(sizeof exhausted - 1, (void *)(uintptr_t)exhausted,
                                                               MHD_RESPMEM_PERSISTENT);
    } else if (text->length == 0) {
        fm_text_reset(text);
        target.response = mhd->MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        target.response =
            mhd->MHD_create_response_from_buffer_with_free_callback(text->length, text->chars, fm_free_aligned);
        if (target.response == NULL)
            fm_text_reset(text);
    }
    *text = (struct text){.failed = text->failed};
    if (target.response == NULL)
        return NULL;
    if (reply->type && reply->code != 204)
        add_header(&target, "Content-Type", reply->type);
    for (size_t i = 0; i < sizeof reply->header / sizeof *reply->header && reply->header[i][0]; i++)
        add_header(&target, reply->header[i][0], reply->header[i][1]);
    visit_common_headers(exchange, add_header, &target);
    if (ends)
        add_header(&target, "Connection", "close");
    return target.response;
}

struct MHD_Response *fm_reply_make(struct http_exchange *exchange, struct http_reply *reply) {
    return make(exchange, reply, must_end(exchange));
}

static struct MHD_Response *make_refusal(struct http_exchange *exchange, int code, int retry_seconds, const char *words,
                                         bool ends, size_t *size) {
    struct http_reply reply = {.code = code, .type = JSON_TYPE};
    struct target target = {.mhd = &exchange->server->mhd};
    if (code != 204)
        write_error(exchange, code, words, &reply.text);
    *size = reply.text.length;
    target.response = make(exchange, &reply, ends);
    if (target.response)
        visit_refusal_headers(exchange, code, retry_seconds, add_header, &target);
    exchange->code = reply.code;
    return target.response;
}

void fm_reply_refuse(struct http_exchange *exchange) {
    exchange->response = make_refusal(exchange, exchange->refusal, exchange->retry_seconds, exchange->words,
                                      must_end(exchange), &exchange->body_bytes_out);
}

void fm_http_refuse(struct http_request *request, int code, int retry_seconds, const char *format, ...) {
    struct http_reply reply = {.code = code, .type = JSON_TYPE};
    char words[1024], seconds[16];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    write_error(request->exchange, code, words, &reply.text);
    if (retry_seconds > 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", retry_seconds);
        reply.header[0][0] = "Retry-After";
        reply.header[0][1] = seconds;
    }
    fm_http_reply(request, &reply);
}

/* ---- as we send it ourselves */

static void add_line(void *user, const char *name, const char *value) {
    fm_text_add(user, "%s: %s\r\n", name, value);
}

void fm_reply_raw(struct http_exchange *exchange, int code, const char *words, struct text *out) {
    struct text body = {0};
    write_error(exchange, code, words, &body);
    fm_text_add(out, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: " JSON_TYPE "\r\nContent-Length: %zu\r\n",
                code, reason_of(code), body.length);
    visit_common_headers(exchange, add_line, out);
    visit_refusal_headers(exchange, code, exchange->retry_seconds, add_line, out);
    fm_text_add(out, "\r\n%s", fm_text_chars(&body));
    exchange->body_bytes_out = body.length;
    fm_text_reset(&body);
}

size_t fm_reply_forsake(struct http_server *server) {
    size_t count = 0;
    for (struct http_exchange *exchange = server->exchanges; exchange; exchange = exchange->next) {
        if (exchange->state != EXCHANGE_RUNNING && exchange->state != EXCHANGE_WAITING)
            continue;
        bool waits = exchange->state == EXCHANGE_WAITING;
        exchange->response = make_refusal(exchange, 503, 1, "the server was stopped before this was done; try again",
                                          true, &exchange->body_bytes_out);
        exchange->state = EXCHANGE_FORSAKEN;
        exchange->replied_ns = fm_clock_ns();
        if (waits)
            server->mhd.MHD_resume_connection(exchange->handle);
        count++;
    }
    return count;
}
