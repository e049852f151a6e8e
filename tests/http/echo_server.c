/* http_echo: the HTTP server with routes that know no faces, for test_server.py.

   /echo    GET, POST  says what it was asked and how long the body was; with ?body, the body itself
   /slow    GET, POST  the same from another thread, after ?ms=N, or when the line "go" comes on standard input
   /gone    GET        from another thread, when the client has gone or after ?ms=N: writes "gone" or "there" on
   standard output /never   GET        no answer before the program ends /open    GET        needs no token /level   GET
   the server's counters and counts

   Lines on standard input: "go", "reload", "stop" (accept nothing more), "close MS" (and end). Standard output: the
   addresses, then an answer per line. Standard error: access log ("log ...") and warnings ("warn ..."). */
#include "base/os.h"
#include "base/os_sockets.h"
#include "http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAYED 8192

/* Requests whose answers come later, from `answer_run`'s thread. */
struct delayed {
    struct http_request *request;
    uint64_t due_ns; /* UINT64_MAX: at "go" */
    bool watches;
};
struct echo {
    struct os_mutex mutex;
    struct os_cond changed;
    struct delayed delayed[DELAYED];
    size_t count;
    struct http_request *never[64];
    size_t never_count;
    bool ended;
    struct http_server *server;
};

static void say(const char *line) {
    printf("%s\n", line);
    fflush(stdout);
}

static void describe(const struct http_request *request, struct text *text) {
    struct json json = {.text = text};
    const char *name, *value = NULL;
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "method", request->method);
    fm_json_string(&json, "path", request->path);
    fm_json_string(&json, "id", request->id);
    fm_json_string(&json, "type", request->type);
    fm_json_integer(&json, "size", (int64_t)request->size);
    fm_json_number(&json, "deadline_ms",
                   request->deadline_ns ? ((double)request->deadline_ns - (double)request->start_ns) / 1e6 : 0.0);
    fm_json_string(&json, "header", fm_http_header(request, "x-TEST"));
    fm_json_string(&json, "query", fm_http_query(request, "q"));
    fm_json_array_open(&json, "entries");
    for (size_t i = 0; (name = fm_http_query_entry(request, i, &value)) != NULL; i++) {
        fm_json_string(&json, NULL, name);
        fm_json_string(&json, NULL, value);
    }
    fm_json_array_close(&json);
    fm_json_object_close(&json);
}

static void answer(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "application/json", .header = {{"X-Echo", "yes"}}};
    const char *size = fm_http_query(request, "answer");
    if (size) {
        reply.type = "application/octet-stream";
        for (long i = strtol(size, NULL, 10); i > 0; i -= 1000)
            fm_text_add(&reply.text, "%01000d", 0);
    } else if (fm_http_query(request, "body")) {
        reply.type = "application/octet-stream";
        fm_text_add_bytes(&reply.text, (const char *)request->body, request->size);
    } else {
        describe(request, &reply.text);
    }
    fm_http_reply(request, &reply);
}

static void refuse_busy(struct http_request *request) {
    fm_http_refuse(request, 503, 7, "no room for '%s'", request->path);
}

static void delay(struct http_request *request, bool watches) {
    struct echo *echo = request->user;
    const char *ms = fm_http_query(request, "ms");
    fm_mutex_lock(&echo->mutex);
    bool room = echo->count < DELAYED;
    if (room)
        echo->delayed[echo->count++] = (struct delayed){
            .request = request,
            .due_ns = ms ? fm_clock_ns() + strtoull(ms, NULL, 10) * UINT64_C(1000000) : UINT64_MAX,
            .watches = watches,
        };
    fm_cond_signal(&echo->changed);
    fm_mutex_unlock(&echo->mutex);
    if (!room)
        refuse_busy(request);
}

static void delay_echo(struct http_request *request) {
    delay(request, false);
}

static void delay_watch(struct http_request *request) {
    delay(request, true);
    say("watching");
}

static void keep(struct http_request *request) {
    struct echo *echo = request->user;
    fm_mutex_lock(&echo->mutex);
    if (echo->never_count < sizeof echo->never / sizeof *echo->never)
        echo->never[echo->never_count++] = request;
    fm_mutex_unlock(&echo->mutex);
    say("kept");
}

static void write_count(const struct http_count *count, void *user) {
    struct json *json = user;
    fm_json_object_open(json, NULL);
    fm_json_string(json, "route", count->route);
    fm_json_string(json, "method", count->method);
    fm_json_integer(json, "code", count->code);
    fm_json_integer(json, "requests", (int64_t)count->requests);
    fm_json_number(json, "seconds", count->seconds);
    fm_json_array_open(json, "buckets");
    for (size_t i = 0; i < HTTP_BUCKETS; i++)
        fm_json_integer(json, NULL, (int64_t)count->buckets[i]);
    fm_json_array_close(json);
    fm_json_object_close(json);
}

static void write_level(struct http_request *request) {
    struct echo *echo = request->user;
    struct http_reply reply = {.code = 200, .type = "application/json"};
    struct json json = {.text = &reply.text};
    struct http_level level = fm_http_level(echo->server);
    fm_json_object_open(&json, NULL);
    fm_json_integer(&json, "connections", (int64_t)level.connections);
    fm_json_integer(&json, "in_flight", (int64_t)level.in_flight);
    fm_json_integer(&json, "body_bytes", (int64_t)level.body_bytes);
    fm_json_integer(&json, "refused_connections", (int64_t)level.refused_connections);
    fm_json_integer(&json, "memory", (int64_t)fm_memory_figures().process);
    fm_json_array_open(&json, "counts");
    fm_http_visit_counts(echo->server, write_count, &json);
    fm_json_array_close(&json);
    fm_json_object_close(&json);
    fm_http_reply(request, &reply);
}

/* ---- the thread that answers later */

static void answer_later(struct delayed *delayed, bool gone) {
    if (delayed->watches) {
        say(gone ? "gone" : "there");
        if (gone) {
            fm_http_refuse(delayed->request, 503, 0, "nobody is there");
            return;
        }
    }
    answer(delayed->request);
}

static void answer_run(void *user) {
    struct echo *echo = user;
    fm_mutex_lock(&echo->mutex);
    while (!echo->ended) {
        uint64_t now = fm_clock_ns(), next = now + UINT64_C(10000000000);
        bool answered = false; /* without the mutex: what changed meanwhile was not waited for */
        for (size_t i = 0; i < echo->count; i++) {
            struct delayed delayed = echo->delayed[i];
            bool gone = delayed.watches && fm_http_client_gone(delayed.request);
            if (gone || delayed.due_ns <= now) {
                echo->delayed[i--] = echo->delayed[--echo->count];
                fm_mutex_unlock(&echo->mutex);
                answer_later(&delayed, gone);
                fm_mutex_lock(&echo->mutex);
                answered = true;
                continue;
            }
            uint64_t look = delayed.watches ? now + UINT64_C(5000000) : delayed.due_ns;
            next = look < next ? look : next;
        }
        if (!answered)
            (void)fm_cond_wait_until(&echo->changed, &echo->mutex, next);
    }
    fm_mutex_unlock(&echo->mutex);
}

/* ---- the program */

static void write_error(struct text *out, int code, const char *words, const char *request_id) {
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_integer(&json, "code", code);
    fm_json_string(&json, "detail", words);
    fm_json_string(&json, "request_id", request_id);
    fm_json_object_close(&json);
}

static void write_other_error(struct text *out, int code, const char *words, const char *request_id) {
    (void)code, (void)request_id;
    fm_text_add(out, "\"%s\"", words);
}

static const struct http_route routes[] = {
    {"GET", "/echo", answer, write_error, false, false},
    {"POST", "/echo", answer, write_error, false, true},
    {"GET", "/slow", delay_echo, write_error, false, false},
    {"POST", "/slow", delay_echo, write_error, false, true},
    {"GET", "/gone", delay_watch, write_error, false, false},
    {"GET", "/never", keep, write_error, false, false},
    {"GET", "/busy", refuse_busy, write_other_error, false, false},
    {"GET", "/open", answer, write_error, true, false},
    {"GET", "/level", write_level, write_error, true, false},
};

static void log_line(const char *line, void *user) {
    (void)user;
    fprintf(stderr, "log %s\n", line);
}

static void warn(const char *words, void *user) {
    (void)user;
    fprintf(stderr, "warn %s\n", words);
}

static long number_of(const char *text) {
    return strtol(text, NULL, 10);
}

/* --listen A --cert F --key F --tokens F --cors O --max-body N --max-bodies N --connections N --idle S --threads N
   --deadline MS --log text|json */
static bool read_option(const char *name, const char *value, struct http_options *options, const char **listen) {
    if (strcmp(name, "--listen") == 0)
        listen[options->listen_count++] = value;
    else if (strcmp(name, "--cert") == 0)
        options->certificate = value;
    else if (strcmp(name, "--key") == 0)
        options->key = value;
    else if (strcmp(name, "--tokens") == 0)
        options->token_file = value;
    else if (strcmp(name, "--cors") == 0)
        options->cors_origin = value;
    else if (strcmp(name, "--max-body") == 0)
        options->max_body = (uint64_t)number_of(value);
    else if (strcmp(name, "--max-bodies") == 0)
        options->max_bodies = (uint64_t)number_of(value);
    else if (strcmp(name, "--connections") == 0)
        options->max_connections = (int)number_of(value);
    else if (strcmp(name, "--idle") == 0)
        options->idle_seconds = (int)number_of(value);
    else if (strcmp(name, "--threads") == 0)
        options->threads = (int)number_of(value);
    else if (strcmp(name, "--deadline") == 0)
        options->deadline_ms = (uint32_t)number_of(value);
    else if (strcmp(name, "--log") == 0) {
        options->access_log = log_line;
        options->log_json = strcmp(value, "json") == 0;
    } else
        return false;
    return true;
}

static void go(struct echo *echo) {
    fm_mutex_lock(&echo->mutex);
    for (size_t i = 0; i < echo->count; i++)
        if (!echo->delayed[i].watches && echo->delayed[i].due_ns == UINT64_MAX)
            echo->delayed[i].due_ns = 0;
    fm_cond_signal(&echo->changed);
    fm_mutex_unlock(&echo->mutex);
}

static bool obey(struct echo *echo, char *line) {
    fm_error error = {0};
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "close ", 6) == 0) {
        printf("unanswered %zu\n", fm_http_close(echo->server, (uint32_t)number_of(line + 6)));
        fflush(stdout);
        return false;
    }
    if (strcmp(line, "go") == 0)
        go(echo);
    else if (strcmp(line, "stop") == 0)
        fm_http_stop(echo->server);
    else if (strcmp(line, "reload") == 0)
        say(fm_http_reload(echo->server, &error) == FM_OK ? "reloaded" : error.message);
    return true;
}

int main(int argc, char **argv) {
    static const char empty[] = "close 0";
    struct echo *echo = fm_alloc(sizeof *echo);
    const char *listen[64];
    struct http_options options = {.max_body = 1 << 20,
                                   .max_bodies = 64 << 20,
                                   .routes = routes,
                                   .route_count = sizeof routes / sizeof *routes,
                                   .warn = warn};
    struct os_thread thread;
    char line[256];
    fm_error error = {0};
    if (echo == NULL)
        return 1;
    for (int i = 1; i + 1 < argc; i += 2)
        if (options.listen_count == 64 || !read_option(argv[i], argv[i + 1], &options, listen))
            return 2;
    options.listen = listen;
    options.user = echo;
    fm_mutex_init(&echo->mutex);
    fm_cond_init(&echo->changed);
    if (fm_http_open(&options, &echo->server, &error) != FM_OK) {
        fprintf(stderr, "error %d %s\n", (int)error.status, error.message);
        fm_free(echo);
        return error.status == FM_UNSUPPORTED ? 77 : 1;
    }
    for (size_t i = 0; fm_http_address(echo->server, i); i++)
        say(fm_http_address(echo->server, i));
    say(fm_http_is_exposed(echo->server) ? "exposed" : "private");
    if (!fm_thread_start(&thread, "answers", answer_run, echo))
        return 1;
    bool more = true;
    while (more) {
        if (fgets(line, sizeof line, stdin) == NULL)
            memcpy(line, empty, sizeof empty);
        more = obey(echo, line);
    }
    fm_mutex_lock(&echo->mutex);
    echo->ended = true;
    fm_cond_signal(&echo->changed);
    fm_mutex_unlock(&echo->mutex);
    fm_thread_join(&thread);
    /* Handlers may reply to nobody after the server has gone. */
    for (size_t i = 0; i < echo->count; i++)
        fm_http_refuse(echo->delayed[i].request, 503, 0, "too late");
    for (size_t i = 0; i < echo->never_count; i++)
        answer(echo->never[i]);
    fm_free(echo);
    return 0;
}
