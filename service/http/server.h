/* The server's own structs. A *connection* is a client's socket while libmicrohttpd has it; an *exchange* is one
   request and its answer; a *generation* is a set of libmicrohttpd's daemons with one certificate. One mutex guards all
   that threads share; libmicrohttpd's own locks are taken inside it, never the other way round. */
#ifndef FM_HTTP_SERVER_H
#define FM_HTTP_SERVER_H

#include "base/memory.h"
#include "base/os_sockets.h"
#include "http/http.h"
#include "http/mhd_library.h"
#include "http/tokens.h"

#include <stdatomic.h>

#define HTTP_LINGERING 64 /* sockets that are read out after an early answer */
#define HTTP_LISTENERS 64
#define HTTP_PEER 48
#define HTTP_LEAVING 64 /* connections beyond the limit while others that were ended for them close */

struct generation;

/* One daemon of libmicrohttpd, one thread. */
struct http_thread {
    struct http_server *server;
    struct generation *generation;
    struct MHD_Daemon *daemon;
    atomic_bool started;
    fm_error words; /* its last complaint before that */
};

struct generation {
    struct generation *next; /* older ones */
    struct buffer key, certificate;
    size_t connections;
    bool has_tls, retired;
    int thread_count, next_thread;
    struct http_thread threads[];
};

struct connection {
    struct connection *previous, *next; /* of the server's list */
    struct http_server *server;
    struct generation *generation;
    struct http_exchange *exchange; /* NULL between requests */
    int socket;
    uint64_t since_ns; /* of the state it is in */
    int ended;         /* disconnected by us, and what that is counted as */
    char peer[HTTP_PEER];
};

enum exchange_state {
    EXCHANGE_READING = 0,  /* headers are there, the body is not */
    EXCHANGE_RUNNING = 1,  /* in its handler, on libmicrohttpd's thread */
    EXCHANGE_WAITING = 2,  /* its connection sleeps until somebody replies */
    EXCHANGE_REPLIED = 3,  /* has its answer */
    EXCHANGE_FORSAKEN = 4, /* the server was closed over it; the handler may still reply, to nobody */
};

struct http_pair {
    const char *name, *value;
};

struct http_exchange {
    struct http_request request;
    struct http_exchange *previous, *next; /* of the server's list */
    struct http_server *server;
    struct connection *connection; /* NULL once it is over */
    struct MHD_Connection *handle;
    enum exchange_state state;
    int users; /* libmicrohttpd, and the handler from its call to its reply */

    struct buffer body;
    uint64_t declared; /* Content-Length */
    uint64_t received;
    uint64_t counted; /* bytes of the server's body_bytes */
    bool is_chunked, is_head, lingers;

    int refusal, retry_seconds; /* a code that the server answers with itself, or 0 */
    bool handed_over;
    char words[256], allow[128];

    struct MHD_Response *response;
    int code;
    size_t body_bytes_out;
    uint64_t replied_ns;

    size_t header_count, query_count;
    struct http_pair *pairs; /* headers, then query */
};

struct lingering {
    int socket;
    uint64_t until_ns;
};

struct http_server {
    struct http_options options;
    struct mhd_library mhd;
    struct arena strings; /* copies behind `options`, addresses */

    struct os_listener listeners[HTTP_LISTENERS];
    const char *addresses[HTTP_LISTENERS];
    size_t listener_count;
    bool exposed;

    struct os_bell bell;
    struct os_thread thread; /* accepts, watches over time */
    bool has_thread;

    struct os_mutex mutex;  /* all below */
    struct os_cond settled; /* an exchange ended */
    int users;              /* the owner, and handlers that have not replied */
    bool stopping, closing, listeners_closed;
    struct tokens tokens;
    struct generation *generations; /* the newest takes connections */
    struct connection *connections;
    struct http_exchange *exchanges;
    size_t connection_count, exchange_count;
    uint64_t body_bytes, refused_connections, id_seed, id_count;
    struct lingering lingering[HTTP_LINGERING];
    size_t lingering_count;
    struct http_count *counts;
    size_t count_count, count_capacity;

    struct os_mutex log_mutex; /* calls of access_log */
};

/* server.c */
void fm_http_unref(struct http_server *server); /* with the mutex held; it is given back */

/* generation.c: FM_INVALID_ARGUMENT when certificate and key are not accepted. */
FM_MUST_USE fm_status fm_generation_open(struct http_server *server, struct generation **generation, fm_error *error);
void fm_generation_close(const struct mhd_library *mhd, struct generation *generation);

/* listen.c: the thread that accepts, lingers and watches. */
void fm_listen_run(void *server);
/* Read the socket out for a while before it is closed, so that the answer is not lost with what the client still
   sends. With the mutex held. */
void fm_listen_linger(struct http_server *server, int socket);

/* exchange.c: what libmicrohttpd calls. */
enum MHD_Result fm_exchange_access(void *thread, struct MHD_Connection *handle, const char *url, const char *method,
                                   const char *version, const char *bytes, size_t *size, void **user);
void fm_exchange_completed(void *thread, struct MHD_Connection *handle, void **user,
                           enum MHD_RequestTerminationCode code);
void fm_exchange_connection(void *thread, struct MHD_Connection *handle, void **user,
                            enum MHD_ConnectionNotificationCode code);

/* reply.c */
/* A response of `text` (taken) with the headers that every answer has; NULL when out of memory. */
struct MHD_Response *fm_reply_make(struct http_exchange *exchange, struct http_reply *reply);
/* Build the answer to `exchange->refusal` into response, code and body_bytes_out. */
void fm_reply_refuse(struct http_exchange *exchange);
/* The same as bytes for the socket itself, behind libmicrohttpd's back. */
void fm_reply_raw(struct http_exchange *exchange, int code, const char *words, struct text *out);
/* Give every handed-over exchange without an answer 503 and forsake it; how many those were. With the mutex held. */
size_t fm_reply_forsake(struct http_server *server);

/* begin.c: a request whose headers are there. NULL when out of memory. */
struct http_exchange *fm_exchange_begin(struct http_server *server, struct MHD_Connection *handle, const char *path,
                                        const char *method, const char *version);
const struct http_route *fm_exchange_fallback(const struct http_server *server);

/* counts.c: with the mutex held. `exchange` NULL: a request that never became one. */
void fm_counts_add(struct http_server *server, const struct http_exchange *exchange, int code, double seconds);

/* access_log.c */
void fm_access_log(struct http_server *server, const struct http_exchange *exchange, const char *peer, int code,
                   uint64_t duration_ns);

#endif
