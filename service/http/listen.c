/* Listen: the one thread that accepts connections for all daemons of libmicrohttpd, reads out sockets whose clients
   still send when their answer is there, watches over requests that take too long to come or answers that take too long
   to be read, and ends generations that nobody needs. */
#include "http/server.h"

#include <string.h>

#define TICK_MS 250
#define LINGER_NS UINT64_C(10000000000)
#define SLOWEST_BYTES_S UINT64_C(4096) /* a body or a reader that is slower than that is no client */
#define ACCEPTS_AT_ONCE 64             /* before the others get their turn */
#define FRESH_NS UINT64_C(1000000000)  /* a connection may be idle for so long and is not in anybody's way */
#define SECOND_NS UINT64_C(1000000000)
#define NEWS_NS (4 * TICK_MS * UINT64_C(1000000)) /* for so long an idle connection is asked whether it has ended */

/* ---- lingering */

void fm_listen_linger(struct http_server *server, int socket) {
    int copy = server->lingering_count < HTTP_LINGERING ? fm_socket_copy(socket) : -1;
    if (copy < 0)
        return; /* then the client may lose its answer, no more */
    server->lingering[server->lingering_count++] =
        (struct lingering){.socket = copy, .until_ns = fm_clock_ns() + LINGER_NS};
    fm_bell_ring(&server->bell);
}

static void read_out(struct http_server *server, uint64_t now) {
    fm_mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->lingering_count;) {
        struct lingering *one = &server->lingering[i];
        if (now < one->until_ns && fm_socket_drain(one->socket)) {
            i++;
            continue;
        }
        fm_socket_close(one->socket);
        *one = server->lingering[--server->lingering_count];
    }
    fm_mutex_unlock(&server->mutex);
}

/* ---- accepting */

static void end_connection(struct connection *connection, int code, bool tell) {
    struct http_exchange *exchange = connection->exchange;
    struct text answer = {0};
    connection->ended = code;
    if (tell && !connection->generation->has_tls) { /* libmicrohttpd is only reading: nobody else writes */
        fm_reply_raw(exchange, code, "the request took too long to arrive", &answer);
        fm_socket_send(connection->socket, answer.chars, answer.length);
        fm_text_reset(&answer);
    }
    fm_socket_disconnect(connection->socket); /* libmicrohttpd hears of it and closes */
}

static void refuse_connection(struct http_server *server, int socket) {
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    fm_mutex_lock(&server->mutex);
    server->refused_connections++;
    if (server->options.certificate == NULL) {
        fm_socket_send(socket, answer, sizeof answer - 1);
        fm_socket_finish(socket);
        fm_listen_linger(server, socket);
    }
    fm_mutex_unlock(&server->mutex);
    fm_socket_close(socket);
}

/* Make room for a client by ending the connection that has been idle for longest: idle connections, kept for later or
   made to take all places, must not keep out who has something to ask. With the mutex held. */
static bool make_room(struct http_server *server) {
    struct connection *longest = NULL;
    for (struct connection *one = server->connections; one; one = one->next)
        if (one->exchange == NULL && one->ended == 0 && (longest == NULL || one->since_ns < longest->since_ns))
            longest = one;
    if (longest == NULL || fm_clock_ns() - longest->since_ns < FRESH_NS)
        return false;
    end_connection(longest, 408, false);
    return true;
}

static void add_connection(struct http_server *server, int socket) {
    fm_mutex_lock(&server->mutex);
    struct generation *generation = server->generations;
    size_t limit = (size_t)server->options.max_connections;
    bool full =
        server->connection_count >= limit && (server->connection_count >= limit + HTTP_LEAVING || !make_room(server));
    struct http_thread *thread = &generation->threads[generation->next_thread];
    if (!full) {
        generation->next_thread = (generation->next_thread + 1) % generation->thread_count;
        server->connection_count++; /* libmicrohttpd says later that it has begun; it is here already */
        generation->connections++;
    }
    fm_mutex_unlock(&server->mutex);
    if (full) {
        refuse_connection(server, socket);
        return;
    }
    if (server->mhd.MHD_add_connection(thread->daemon, socket, NULL, 0) == MHD_YES)
        return;
    fm_mutex_lock(&server->mutex); /* it has closed the socket */
    server->connection_count--;
    generation->connections--;
    server->refused_connections++;
    fm_mutex_unlock(&server->mutex);
}

/* False when there are no descriptors left: then it is better to wait than to ask again at once. */
static bool accept_all(struct http_server *server, const struct os_listener *listener) {
    bool full = false;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int socket = fm_listener_accept(listener, &full);
        if (socket < 0)
            break;
        add_connection(server, socket);
    }
    if (full) {
        fm_mutex_lock(&server->mutex);
        server->refused_connections++;
        fm_mutex_unlock(&server->mutex);
    }
    return !full;
}

/* ---- watching over time */

static bool is_slow(uint64_t since_ns, uint64_t bytes, uint64_t patience_ns, uint64_t now) {
    return now > since_ns && now - since_ns > patience_ns + bytes * SECOND_NS / SLOWEST_BYTES_S;
}

static void watch_one(struct connection *connection, uint64_t idle_ns, uint64_t now) {
    const struct http_exchange *exchange = connection->exchange;
    if (exchange == NULL) {
        if (is_slow(connection->since_ns, 0, 2 * idle_ns, now)) /* idle, and then slowly sending its headers */
            end_connection(connection, 408, false);
        else if (now - connection->since_ns < NEWS_NS && fm_socket_is_finished(connection->socket))
            end_connection(connection, 499, false);
    } else if (exchange->state == EXCHANGE_READING) {
        if (is_slow(exchange->request.start_ns, exchange->received, idle_ns, now))
            end_connection(connection, 408, true);
        else if (fm_socket_is_finished(connection->socket))
            end_connection(connection, 499, false);
    } else if (exchange->state == EXCHANGE_REPLIED || exchange->state == EXCHANGE_FORSAKEN) {
        if (is_slow(exchange->replied_ns, exchange->body_bytes_out, idle_ns, now))
            end_connection(connection, 408, false);
    }
}

/* libmicrohttpd ends connections on which nothing happens. Here end those on which something happens all the time, but
   never enough; and those whose end came together with the last bytes, of which its epoll loop is told only once. */
static void watch(struct http_server *server, uint64_t now) {
    const uint64_t idle_ns = (uint64_t)server->options.idle_seconds * SECOND_NS;
    fm_mutex_lock(&server->mutex);
    for (struct connection *connection = server->connections; connection; connection = connection->next)
        if (connection->ended == 0)
            watch_one(connection, idle_ns, now);
    fm_mutex_unlock(&server->mutex);
}

static void end_generations(struct http_server *server) {
    struct generation *over = NULL;
    fm_mutex_lock(&server->mutex);
    for (struct generation **place = &server->generations; *place;) {
        struct generation *generation = *place;
        if (generation->retired && generation->connections == 0) {
            *place = generation->next;
            generation->next = over;
            over = generation;
        } else {
            place = &generation->next;
        }
    }
    fm_mutex_unlock(&server->mutex);
    while (over) {
        struct generation *next = over->next;
        fm_generation_close(&server->mhd, over);
        over = next;
    }
}

/* ---- the thread */

/* No further connections. Those that wait to be accepted come in first: their clients have sent their requests. On a
   socket of the service manager they wait for the next start. */
static void stop_listening(struct http_server *server) {
    for (size_t i = 0; i < server->listener_count; i++) {
        struct os_listener *listener = &server->listeners[i];
        bool full = false;
        for (int socket = 0; !listener->is_handed_over && listener->descriptor >= 0 && socket >= 0;) {
            socket = fm_listener_accept(listener, &full);
            if (socket >= 0)
                add_connection(server, socket);
        }
        fm_listener_close(listener);
    }
    fm_mutex_lock(&server->mutex);
    server->listeners_closed = true;
    fm_cond_broadcast(&server->settled);
    fm_mutex_unlock(&server->mutex);
}

static size_t gather(struct http_server *server, bool accepting, int *sockets, bool *closing, bool *busy) {
    size_t count = 0;
    sockets[count++] = server->bell.ends[0];
    for (size_t i = 0; i < server->listener_count; i++)
        sockets[count++] = accepting ? server->listeners[i].descriptor : -1;
    fm_mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->lingering_count; i++)
        sockets[count++] = server->lingering[i].socket;
    *busy = server->connection_count > 0 || server->lingering_count > 0 || server->generations->next;
    *closing = server->closing;
    bool stopping = server->stopping;
    fm_mutex_unlock(&server->mutex);
    if (stopping)
        for (size_t i = 0; i < server->listener_count; i++)
            sockets[1 + i] = -1;
    return count;
}

static bool is_stopping(struct http_server *server) {
    fm_mutex_lock(&server->mutex);
    bool stopping = server->stopping;
    fm_mutex_unlock(&server->mutex);
    return stopping;
}

void fm_listen_run(void *user) {
    struct http_server *server = user;
    int sockets[1 + HTTP_LISTENERS + HTTP_LINGERING];
    bool readable[1 + HTTP_LISTENERS + HTTP_LINGERING];
    bool accepting = true, stopped = false;
    uint64_t watched_ns = fm_clock_ns();
    for (;;) {
        bool closing, busy;
        size_t count = gather(server, accepting, sockets, &closing, &busy);
        if (closing)
            return;
        fm_sockets_wait(sockets, readable, count, busy || !accepting ? TICK_MS : -1);
        fm_bell_hush(&server->bell);
        accepting = true;
        if (!stopped && is_stopping(server)) {
            stop_listening(server);
            stopped = true;
        }
        for (size_t i = 0; i < server->listener_count && !stopped; i++)
            if (readable[1 + i] && !accept_all(server, &server->listeners[i]))
                accepting = false;
        uint64_t now = fm_clock_ns();
        read_out(server, now);
        if (now - watched_ns > (uint64_t)TICK_MS * UINT64_C(1000000)) {
            watch(server, now);
            watched_ns = now;
        }
        end_generations(server);
    }
}
