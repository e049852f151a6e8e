/* Access log: a line per request, when its answer has gone or cannot go any more. libmicrohttpd's threads, one at a
   time. */
#include "http/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void write_time(char *out, size_t size) {
    struct timespec now;
    struct tm parts;
    char date[32];
    if (timespec_get(&now, TIME_UTC) != TIME_UTC || gmtime_r(&now.tv_sec, &parts) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        (void)snprintf(out, size, "-");
        return;
    }
    (void)snprintf(out, size, "%s.%03dZ", date, (int)(now.tv_nsec / 1000000));
}

static void write_json(const struct http_exchange *exchange, const char *time, const char *peer, int code, double ms,
                       struct text *out) {
    const struct http_request *request = &exchange->request;
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "time", time);
    fm_json_string(&json, "id", request->id);
    fm_json_string(&json, "client", peer);
    fm_json_string(&json, "method", request->method);
    fm_json_string(&json, "path", request->path);
    fm_json_integer(&json, "code", code);
    fm_json_integer(&json, "bytes_in", (int64_t)exchange->received);
    fm_json_integer(&json, "bytes_out", (int64_t)exchange->body_bytes_out);
    fm_json_number(&json, "ms", ms);
    fm_json_object_close(&json);
}

/* Printable characters as they are, others as %XX: a line stays a line. */
static void write_word(struct text *out, const char *word) {
    for (const char *c = word; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte > ' ' && byte < 127 && byte != '"' && byte != '%')
            fm_text_add_bytes(out, c, 1);
        else
            fm_text_add(out, "%%%02X", byte);
    }
}

static void write_text(const struct http_exchange *exchange, const char *time, const char *peer, int code, double ms,
                       struct text *out) {
    const struct http_request *request = &exchange->request;
    fm_text_add(out, "%s %s \"", time, peer);
    write_word(out, request->method);
    fm_text_add(out, " ");
    write_word(out, request->path);
    fm_text_add(out, "\" %d in=%" PRIu64 " out=%zu ms=%.3f id=%s", code, exchange->received, exchange->body_bytes_out,
                ms, request->id);
}

void fm_access_log(struct http_server *server, const struct http_exchange *exchange, const char *peer, int code,
                   uint64_t duration_ns) {
    struct text line = {0};
    char time[48];
    double ms = (double)(duration_ns / 1000) / 1000.0; /* whole microseconds */
    write_time(time, sizeof time);
    if (server->options.log_json)
        write_json(exchange, time, peer, code, ms, &line);
    else
        write_text(exchange, time, peer, code, ms, &line);
    if (!line.failed) {
        fm_mutex_lock(&server->log_mutex);
        server->options.access_log(fm_text_chars(&line), server->options.log_user);
        fm_mutex_unlock(&server->log_mutex);
    }
    fm_text_reset(&line);
}
