/* Exchange: what libmicrohttpd calls while a request comes in and its answer goes out, and the hand-over to a handler.
   libmicrohttpd's threads; handlers come back on any. A handler that has not replied when it returns puts the
   connection to sleep; the reply wakes it. */
#include "http/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_FIRST ((size_t)1 << 20) /* bytes of memory that a declared length gets before they have come */
#define BODY_UNWANTED                                                                                                  \
    ((uint64_t)64 << 10) /* a refused request's body of this size is read, so that the connection stays */

/* ---- connections */

void fm_exchange_connection(void *user, struct MHD_Connection *handle, void **place,
                            enum MHD_ConnectionNotificationCode code) {
    struct http_thread *thread = user;
    struct http_server *server = thread->server;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            server->mhd.MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct connection *connection = fm_alloc(sizeof *connection);
        *place = connection;
        if (connection == NULL)
            return; /* its first request ends it */
        connection->server = server;
        connection->generation = thread->generation;
        connection->socket = info->connect_fd;
        connection->since_ns = fm_clock_ns();
        fm_socket_peer(connection->socket, connection->peer, sizeof connection->peer);
        fm_mutex_lock(&server->mutex);
        connection->next = server->connections;
        if (server->connections)
            server->connections->previous = connection;
        server->connections = connection;
        fm_mutex_unlock(&server->mutex);
        return;
    }
    struct connection *connection = *place;
    fm_mutex_lock(&server->mutex);
    server->connection_count--;
    bool last = --thread->generation->connections == 0 && thread->generation->retired;
    if (connection) {
        if (connection->previous)
            connection->previous->next = connection->next;
        else
            server->connections = connection->next;
        if (connection->next)
            connection->next->previous = connection->previous;
    }
    fm_mutex_unlock(&server->mutex);
    fm_free(connection);
    *place = NULL;
    if (last)
        fm_bell_ring(&server->bell); /* its generation can go */
}

static struct connection *connection_of(const struct http_server *server, struct MHD_Connection *handle) {
    const union MHD_ConnectionInfo *info =
        server->mhd.MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* ---- the end */

static void release_body(struct http_exchange *exchange) {
    exchange->server->body_bytes -= exchange->counted;
    exchange->counted = 0;
}

/* One user less; with the mutex held, which is given back. */
static void unref(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    bool last = --exchange->users == 0;
    if (last)
        release_body(exchange);
    fm_mutex_unlock(&server->mutex);
    if (!last)
        return;
    fm_buffer_reset(&exchange->body);
    if (exchange->response)
        server->mhd.MHD_destroy_response(exchange->response);
    fm_free(exchange);
}

/* What the counts and the log call it when no answer was sent; 0: nothing, it was counted as a bad request. */
static int code_without_answer(const struct http_exchange *exchange, enum MHD_RequestTerminationCode code) {
    if (exchange->refusal)
        return exchange->refusal;
    if (exchange->connection && exchange->connection->ended)
        return exchange->connection->ended;
    switch (code) {
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        return 408;
    case MHD_REQUEST_TERMINATED_COMPLETED_OK:
        return 0;
    default:
        return 499; /* the client closed its connection */
    }
}

void fm_exchange_completed(void *user, struct MHD_Connection *handle, void **place,
                           enum MHD_RequestTerminationCode how) {
    struct http_thread *thread = user;
    struct http_server *server = thread->server;
    struct http_exchange *exchange = *place;
    (void)handle;
    if (exchange == NULL)
        return;
    *place = NULL;
    uint64_t now = fm_clock_ns(), duration = now - exchange->request.start_ns;
    struct connection *connection = exchange->connection;
    fm_mutex_lock(&server->mutex);
    int code = exchange->code ? exchange->code : code_without_answer(exchange, how);
    if (code)
        fm_counts_add(server, exchange, code, (double)duration / 1e9);
    if (exchange->lingers)
        fm_listen_linger(server, connection->socket);
    connection->exchange = NULL;
    connection->since_ns = now;
    exchange->connection = NULL;
    exchange->handle = NULL;
    fm_mutex_unlock(&server->mutex);
    if (code && server->options.access_log)
        fm_access_log(server, exchange, connection->peer, code, duration);
    fm_mutex_lock(&server->mutex);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        server->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    server->exchange_count--;
    fm_cond_broadcast(&server->settled);
    unref(exchange);
}

/* ---- the beginning */

static enum MHD_Result queue(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    return exchange->response
               ? server->mhd.MHD_queue_response(exchange->handle, (unsigned)exchange->code, exchange->response)
               : MHD_NO; /* not even memory for an answer */
}

static enum MHD_Result answer_refusal(struct http_exchange *exchange) {
    fm_reply_refuse(exchange);
    fm_mutex_lock(&exchange->server->mutex);
    exchange->state = EXCHANGE_REPLIED;
    exchange->replied_ns = fm_clock_ns();
    fm_mutex_unlock(&exchange->server->mutex);
    return queue(exchange);
}

static enum MHD_Result begin(struct http_thread *thread, struct MHD_Connection *handle, const char *path,
                             const char *method, const char *version, void **place) {
    struct http_server *server = thread->server;
    struct connection *connection = connection_of(server, handle);
    struct http_exchange *exchange = connection ? fm_exchange_begin(server, handle, path, method, version) : NULL;
    if (exchange == NULL)
        return MHD_NO;
    *place = exchange;
    fm_mutex_lock(&server->mutex);
    exchange->connection = connection;
    connection->exchange = exchange;
    exchange->next = server->exchanges;
    if (server->exchanges)
        server->exchanges->previous = exchange;
    server->exchanges = exchange;
    server->exchange_count++;
    fm_mutex_unlock(&server->mutex);
    /* libmicrohttpd ends the connection after an answer from here, so only what should not be sent is refused here */
    bool expects = fm_http_header(&exchange->request, "Expect") != NULL;
    if (exchange->refusal && (exchange->is_chunked || exchange->declared > BODY_UNWANTED ||
                              exchange->declared > server->options.max_body || (exchange->declared > 0 && expects))) {
        exchange->lingers = true;
        return answer_refusal(exchange);
    }
    return MHD_YES;
}

/* ---- the body */

/* Refuse in the middle of a body. libmicrohttpd has no way to: the answer goes straight to the socket. Under TLS
   nobody but libmicrohttpd can write, so as much again is read and thrown away before the answer. */
static enum MHD_Result refuse_body(struct http_exchange *exchange, int code, int retry_seconds, const char *words) {
    struct http_server *server = exchange->server;
    struct connection *connection = exchange->connection;
    struct text answer = {0};
    (void)snprintf(exchange->words, sizeof exchange->words, "%s", words);
    exchange->refusal = code;
    if (connection->generation->has_tls) {
        exchange->retry_seconds = retry_seconds;
        return MHD_YES;
    }
    fm_mutex_lock(&server->mutex); /* which keeps the watching thread from answering, too */
    exchange->retry_seconds = retry_seconds;
    if (connection->ended == 0) {
        fm_reply_raw(exchange, code, words, &answer);
        fm_socket_send(connection->socket, answer.chars, answer.length);
        exchange->code = code;
    }
    exchange->lingers = true;
    fm_mutex_unlock(&server->mutex);
    fm_text_reset(&answer);
    return MHD_NO;
}

static bool make_room(struct http_exchange *exchange, size_t needed) {
    size_t declared = exchange->declared < SIZE_MAX ? (size_t)exchange->declared : SIZE_MAX;
    struct buffer *body = &exchange->body;
    if (needed <= body->capacity && body->bytes)
        return true;
    size_t room = body->capacity ? body->capacity * 2 : exchange->is_chunked ? 16384 : BODY_FIRST;
    if (!exchange->is_chunked && room > declared)
        room = declared;
    room = room < needed ? needed : room;
    struct buffer larger = {0};
    if (!fm_buffer_resize(&larger, room))
        return false;
    larger.size = 0;
    if (body->size && !fm_buffer_append(&larger, body->bytes, body->size, 0)) {
        fm_buffer_reset(&larger);
        return false;
    }
    fm_buffer_reset(body);
    *body = larger;
    return true;
}

static enum MHD_Result take_body(struct http_exchange *exchange, const char *bytes, size_t *size) {
    struct http_server *server = exchange->server;
    const struct http_options *options = &server->options;
    size_t count = *size;
    *size = 0;
    fm_mutex_lock(&server->mutex);
    exchange->received += count;
    bool full = exchange->refusal == 0 && server->body_bytes + count > options->max_bodies;
    if (!full && exchange->refusal == 0) {
        server->body_bytes += count;
        exchange->counted += count;
    }
    fm_mutex_unlock(&server->mutex);
    if (exchange->refusal)
        return exchange->received > 2 * options->max_body + BODY_UNWANTED ? MHD_NO : MHD_YES;
    if (exchange->received > options->max_body) {
        char words[96];
        (void)snprintf(words, sizeof words, "the body is larger than the %" PRIu64 " bytes that are taken here",
                       options->max_body);
        return refuse_body(exchange, 413, 0, words);
    }
    if (full || !make_room(exchange, exchange->body.size + count) ||
        !fm_buffer_append(&exchange->body, bytes, count, 0))
        return refuse_body(exchange, 503, 1, "too many bodies are being read; try again");
    return MHD_YES;
}

/* ---- the handler */

static enum MHD_Result hand_over(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    struct http_request *request = &exchange->request;
    static const uint8_t nothing[1] = {0};
    request->body = exchange->body.bytes ? exchange->body.bytes : nothing;
    request->size = exchange->body.size;
    fm_mutex_lock(&server->mutex);
    exchange->state = EXCHANGE_RUNNING;
    exchange->handed_over = true;
    exchange->users++;
    server->users++;
    fm_mutex_unlock(&server->mutex);
    request->route->handle(request);
    fm_mutex_lock(&server->mutex);
    bool replied = exchange->state != EXCHANGE_RUNNING; /* or forsaken, which is an answer, too */
    if (!replied) {
        server->mhd.MHD_suspend_connection(exchange->handle);
        exchange->state = EXCHANGE_WAITING;
    }
    fm_mutex_unlock(&server->mutex);
    return replied ? queue(exchange) : MHD_YES;
}

enum MHD_Result fm_exchange_access(void *user, struct MHD_Connection *handle, const char *url, const char *method,
                                   const char *version, const char *bytes, size_t *size, void **place) {
    struct http_exchange *exchange = *place;
    if (exchange == NULL)
        return begin(user, handle, url, method, version, place);
    if (*size > 0)
        return take_body(exchange, bytes, size);
    if (exchange->response)
        return queue(exchange); /* woken by the reply */
    if (exchange->refusal)
        return answer_refusal(exchange);
    return hand_over(exchange);
}

/* ---- replies */

static void finish(struct http_exchange *exchange, struct MHD_Response *response, int code, size_t size) {
    struct http_server *server = exchange->server;
    struct buffer body = exchange->body;
    fm_mutex_lock(&server->mutex);
    exchange->body = (struct buffer){0};
    release_body(exchange); /* what waits to be sent needs it no longer */
    bool forsaken = exchange->state == EXCHANGE_FORSAKEN;
    if (!forsaken) {
        exchange->response = response;
        exchange->code = code;
        exchange->body_bytes_out = size;
        exchange->replied_ns = fm_clock_ns();
        /* with the mutex held: the daemon cannot be stopped before it has heard of this */
        if (exchange->state == EXCHANGE_WAITING)
            server->mhd.MHD_resume_connection(exchange->handle);
        exchange->state = EXCHANGE_REPLIED;
    }
    unref(exchange);
    if (forsaken && response)
        server->mhd.MHD_destroy_response(response);
    fm_buffer_reset(&body);
    fm_mutex_lock(&server->mutex);
    fm_http_unref(server);
}

void fm_http_reply(struct http_request *request, struct http_reply *reply) {
    struct http_exchange *exchange = request->exchange;
    size_t size = reply->text.length;
    struct MHD_Response *response = fm_reply_make(exchange, reply); /* may turn it into a 500 */
    finish(exchange, response, reply->code, reply->text.failed ? 0 : size);
}

bool fm_http_client_gone(const struct http_request *request) {
    struct http_exchange *exchange = request->exchange;
    struct http_server *server = exchange->server;
    fm_mutex_lock(&server->mutex); /* so that the socket is not closed meanwhile */
    bool gone = exchange->connection == NULL || exchange->state == EXCHANGE_FORSAKEN ||
                fm_socket_is_gone(exchange->connection->socket);
    fm_mutex_unlock(&server->mutex);
    return gone;
}
