/* HTTP server: sockets, limits, TLS, tokens, request ids, the access log. It knows nothing about faces: routes are a
   table of the caller's. A request is handed over when its body is whole; its handler answers at once or later, from
   any thread, exactly once. A waiting connection costs no thread. */
#ifndef FM_HTTP_HTTP_H
#define FM_HTTP_HTTP_H

#include "base/error.h"
#include "base/text.h"

#include <facemill/facemill.h>

struct http_server;
struct http_exchange; /* server.c's own */
struct http_route;

/* One request. Belongs to the handler from its call until fm_http_reply; everything in it lives as long. */
struct http_request {
    const char *method, *path; /* "POST", "/v1/analyze": decoded, without the query */
    const char *id;            /* X-Request-Id: the client's when it is 1 to 128 of [A-Za-z0-9._-], else made here */
    const char *type;          /* Content-Type; "" when there is none */
    const uint8_t *body;
    size_t size;
    uint64_t start_ns; /* fm_clock_ns when its headers were complete */
    uint64_t
        deadline_ns; /* fm_clock_ns from which the answer is worthless (X-Deadline-Ms, or the server's own); 0: none */
    const struct http_route *route;
    void *user; /* http_options.user */
    struct http_exchange *exchange;
};
/* The first header or query value of a name; NULL when there is none. Header names in any case. */
const char *fm_http_header(const struct http_request *request, const char *name);
const char *fm_http_query(const struct http_request *request, const char *name);
/* Query entry `index` as written, doubled and unknown ones too: its name and *value; NULL behind the last. */
const char *fm_http_query_entry(const struct http_request *request, size_t index, const char **value);
/* Has the client closed its side? Asks the socket. Any thread. */
bool fm_http_client_gone(const struct http_request *request);

/* Write an error that the server itself answers with on a route (401, 404, 405, 408, 413, 503), in that route's form.
 */
typedef void (*http_error_writer)(struct text *out, int code, const char *words, const char *request_id);

struct http_reply {
    int code;                 /* 200 */
    const char *type;         /* "application/json"; static */
    struct text text;         /* any bytes; taken by fm_http_reply */
    const char *header[4][2]; /* further headers: static names, values copied; NULL-ended */
};
/* Answer, and let the request go. Any thread. A text that ran out of memory becomes 500. Sent are also X-Request-Id
   and, where allowed, the CORS headers. */
void fm_http_reply(struct http_request *request, struct http_reply *reply);
/* The same with the route's error form. `retry_seconds` 0: no Retry-After. */
void fm_http_refuse(struct http_request *request, int code, int retry_seconds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct http_route {
    const char *method, *path; /* exact; HEAD is answered by GET's row */
    void (*handle)(struct http_request *request);
    http_error_writer write_error;
    bool open;       /* needs no token */
    bool takes_body; /* otherwise a body of more than 0 bytes is 413 */
};

struct http_options {
    const char *const *listen; /* "127.0.0.1:8001", "[::1]:8001", "unix:/run/facemill.sock", "systemd" */
    size_t listen_count;
    const char *certificate, *key; /* PEM files; NULL: no TLS */
    const char *token_file;        /* a bearer token per line; NULL: none is asked for */
    const char *cors_origin;       /* "https://a.example" or "*"; NULL: off */
    uint64_t max_body;             /* bytes */
    uint64_t max_bodies;           /* bytes of all bodies in memory together; beyond: 503 */
    int max_connections, idle_seconds, threads;
    uint32_t deadline_ms;            /* of every request; 0: none */
    const struct http_route *routes; /* static; the first is the fallback whose error form unknown paths get */
    size_t route_count;
    void *user;
    bool log_json;                                    /* the access log's form */
    void (*access_log)(const char *line, void *user); /* NULL: none; one call at a time */
    void (*warn)(const char *words, void *user);      /* what stops nothing but should be known; NULL: nobody */
    void *log_user;
};

/* Listen and serve. *server is the caller's (fm_http_close), and set before the first handler is called.
   FM_INVALID_ARGUMENT (address, token file, certificate; named in words), FM_IO (address in use), FM_UNSUPPORTED (no
   libmicrohttpd). */
FM_MUST_USE fm_status fm_http_open(const struct http_options *options, struct http_server **server, fm_error *error);
/* Read certificate, key and token file again; on failure the old ones stay. */
FM_MUST_USE fm_status fm_http_reload(struct http_server *server, fm_error *error);
/* No further connections and requests; those that were handed over go on. */
void fm_http_stop(struct http_server *server);
/* Stop, wait up to `grace_ms` for answers to be sent, close. How many requests stayed unanswered. */
size_t fm_http_close(struct http_server *server, uint32_t grace_ms);
/* "http://127.0.0.1:8001" of listener `index`, with the port that the system chose for 0; NULL out of range. */
const char *fm_http_address(const struct http_server *server, size_t index);
bool fm_http_is_exposed(const struct http_server *server); /* other than loopback and sockets, without a token */

/* Since the start, for /metrics: a row per route and code. buckets[i] are the requests that took at most bounds[i]
   seconds and longer than bounds[i - 1]: not summed up yet. */
#define HTTP_BUCKETS 14
extern const double fm_http_bounds[HTTP_BUCKETS - 1]; /* seconds; the last bucket has none */
struct http_count {
    const char *route, *method; /* the table's path; "other" for unknown ones */
    int code;
    uint64_t requests, buckets[HTTP_BUCKETS];
    double seconds;
};
void fm_http_visit_counts(struct http_server *server, void (*visit)(const struct http_count *count, void *user),
                          void *user);
struct http_level {
    uint64_t connections, in_flight, body_bytes, refused_connections;
};
struct http_level fm_http_level(struct http_server *server);

#endif
