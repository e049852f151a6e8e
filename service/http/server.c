/* Server: opened, read again, stopped, closed. The owner's thread; what is shared is guarded by the mutex. */
#include "http/server.h"

#include <stdio.h>
#include <string.h>

#define THREADS 2
#define THREADS_MAX 64
#define IDLE_SECONDS 60
#define CONNECTIONS 10000
#define OTHER_FILES 512 /* descriptors that the rest of the program may need */
#define SETTLE_MS 10    /* how often a closing server looks for requests that were sent before it stopped */
#define LAST_WORDS_NS UINT64_C(1000000000) /* for the refusals of those that were not finished in time */

/* ---- opening */

static fm_status copy_text(struct http_server *server, const char **text, fm_error *error) {
    if (*text == NULL)
        return FM_OK;
    *text = fm_arena_copy(&server->strings, *text);
    return *text ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory opening the HTTP server");
}

static fm_status take_options(struct http_server *server, const struct http_options *given, fm_error *error) {
    struct http_options *options = &server->options;
    *options = *given;
    options->threads = given->threads < 1 ? THREADS : given->threads > THREADS_MAX ? THREADS_MAX : given->threads;
    options->idle_seconds = given->idle_seconds > 0 ? given->idle_seconds : IDLE_SECONDS;
    options->max_connections = given->max_connections > 0 ? given->max_connections : CONNECTIONS;
    options->listen = NULL; /* the caller's */
    if ((options->certificate == NULL) != (options->key == NULL))
        return fm_fail(error, FM_INVALID_ARGUMENT, "TLS needs a certificate and its key: only one of them was given");
    fm_status status = copy_text(server, &options->certificate, error);
    status = status == FM_OK ? copy_text(server, &options->key, error) : status;
    status = status == FM_OK ? copy_text(server, &options->token_file, error) : status;
    return status == FM_OK ? copy_text(server, &options->cors_origin, error) : status;
}

static fm_status read_tokens(const struct http_server *server, struct tokens *tokens, fm_error *error) {
    const struct http_options *options = &server->options;
    *tokens = (struct tokens){0};
    if (options->token_file == NULL)
        return FM_OK;
    fm_status status = fm_tokens_read(options->token_file, tokens, error);
    if (status == FM_OK && options->warn && fm_file_is_exposed(options->token_file)) {
        char words[512];
        (void)snprintf(words, sizeof words, "others than its owner may read or write the token file '%s'; chmod 600 it",
                       options->token_file);
        options->warn(words, options->log_user);
    }
    return status;
}

static fm_status listen_at(struct http_server *server, const char *where, fm_error *error) {
    bool handed_over = strcmp(where, "systemd") == 0;
    size_t count = handed_over ? fm_listeners_handed_over() : 1;
    fm_status status = FM_OK;
    if (count == 0)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "the service manager handed over no sockets (LISTEN_FDS); start this through a socket unit, or "
                       "name an address");
    for (size_t i = 0; i < count && status == FM_OK; i++) {
        if (server->listener_count == HTTP_LISTENERS)
            return fm_fail(error, FM_LIMIT, "more than %d addresses to listen on", HTTP_LISTENERS);
        struct os_listener *listener = &server->listeners[server->listener_count];
        status = handed_over ? fm_listener_take(i, listener, error) : fm_listener_open(where, listener, error);
        if (status != FM_OK)
            return status;
        char address[OS_ADDRESS_SIZE + 16];
        (void)snprintf(address, sizeof address, "%s%s",
                       listener->is_local            ? ""
                       : server->options.certificate ? "https://"
                                                     : "http://",
                       listener->address);
        const char *copy = address;
        status = copy_text(server, &copy, error);
        server->addresses[server->listener_count++] = copy;
        server->exposed = server->exposed || !(listener->is_loopback || server->options.token_file);
    }
    return status;
}

static void release(struct http_server *server) {
    for (size_t i = 0; i < server->listener_count; i++)
        fm_listener_close(&server->listeners[i]);
    for (size_t i = 0; i < server->lingering_count; i++)
        fm_socket_close(server->lingering[i].socket);
    fm_tokens_reset(&server->tokens);
    fm_bell_reset(&server->bell);
    server->listener_count = server->lingering_count = 0;
}

fm_status fm_http_open(const struct http_options *options, struct http_server **result, fm_error *error) {
    struct http_server *server = fm_alloc(sizeof *server);
    *result = NULL;
    if (server == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory opening the HTTP server");
    fm_mutex_init(&server->mutex);
    fm_mutex_init(&server->log_mutex);
    fm_cond_init(&server->settled);
    server->users = 1;
    server->bell = (struct os_bell){{-1, -1}};
    server->id_seed = fm_random_number();
    fm_status status = fm_mhd_load(&server->mhd, error);
    if (status == FM_OK)
        status = take_options(server, options, error);
    if (status == FM_OK) {
        uint64_t wanted = (uint64_t)server->options.max_connections + OTHER_FILES;
        uint64_t files = fm_descriptors_raise(wanted);
        if (files < wanted && options->warn) {
            char words[256];
            (void)snprintf(words, sizeof words,
                           "only %llu files may be open, too few for %d connections; raise the limit (ulimit -Hn)",
                           (unsigned long long)files, server->options.max_connections);
            options->warn(words, options->log_user);
        }
        status = read_tokens(server, &server->tokens, error);
    }
    for (size_t i = 0; i < options->listen_count && status == FM_OK; i++)
        status = listen_at(server, options->listen[i], error);
    *result = server; /* before the first thread: handlers may use it */
    if (status == FM_OK)
        status = fm_generation_open(server, &server->generations, error);
    if (status == FM_OK &&
        !(fm_bell_init(&server->bell) &&
          (server->has_thread = fm_thread_start(&server->thread, "http-listen", fm_listen_run, server))))
        status = fm_fail(error, FM_OUT_OF_MEMORY, "cannot start the HTTP server's thread");
    if (status != FM_OK) {
        fm_http_close(server, 0);
        *result = NULL;
    }
    return status;
}

fm_status fm_http_reload(struct http_server *server, fm_error *error) {
    struct tokens tokens = {0};
    struct generation *generation = NULL;
    fm_status status = read_tokens(server, &tokens, error);
    if (status == FM_OK && server->options.certificate)
        status = fm_generation_open(server, &generation, error);
    if (status == FM_OK) {
        fm_mutex_lock(&server->mutex);
        struct tokens old = server->tokens;
        server->tokens = tokens;
        tokens = old;
        if (generation) {
            server->generations->retired = true;
            generation->next = server->generations;
            server->generations = generation;
        }
        fm_mutex_unlock(&server->mutex);
        fm_bell_ring(&server->bell);
    }
    fm_tokens_reset(&tokens);
    return status;
}

/* ---- the end */

void fm_http_stop(struct http_server *server) {
    fm_mutex_lock(&server->mutex);
    server->stopping = true;
    fm_mutex_unlock(&server->mutex);
    fm_bell_ring(&server->bell);
}

void fm_http_unref(struct http_server *server) {
    bool last = --server->users == 0;
    fm_mutex_unlock(&server->mutex);
    if (!last)
        return;
    fm_free(server->counts);
    fm_arena_reset(&server->strings);
    fm_cond_reset(&server->settled);
    fm_mutex_reset(&server->log_mutex);
    fm_mutex_reset(&server->mutex);
    fm_free(server);
}

/* Is there a connection whose next request has arrived, but was not read yet? With the mutex held. */
static bool has_unread(struct http_server *server) {
    bool found = false, readable;
    for (const struct connection *one = server->connections; one && !found; one = one->next)
        found = one->exchange == NULL && !one->ended && fm_sockets_wait(&one->socket, &readable, 1, 0) > 0 &&
                !fm_socket_is_gone(one->socket);
    return found;
}

/* Wait until every request that was begun has its answer, and no other has arrived. False when the time was up. */
static bool settle(struct http_server *server, uint64_t deadline_ns) {
    for (;;) {
        bool quiet = server->exchange_count == 0 && server->listeners_closed && !has_unread(server);
        uint64_t now = fm_clock_ns(), look_ns = now + SETTLE_MS * UINT64_C(1000000);
        if (quiet || now >= deadline_ns)
            return quiet;
        (void)fm_cond_wait_until(&server->settled, &server->mutex, look_ns < deadline_ns ? look_ns : deadline_ns);
    }
}

size_t fm_http_close(struct http_server *server, uint32_t grace_ms) {
    size_t unanswered = 0;
    if (server == NULL)
        return 0;
    if (server->has_thread) {
        fm_http_stop(server);
        fm_mutex_lock(&server->mutex);
        if (!settle(server, fm_clock_ns() + grace_ms * UINT64_C(1000000))) {
            unanswered = fm_reply_forsake(server);
            (void)settle(server, fm_clock_ns() + LAST_WORDS_NS);
            for (const struct http_exchange *one = server->exchanges; one; one = one->next)
                unanswered += one->state == EXCHANGE_REPLIED && one->handed_over; /* not read to its end */
        }
        server->closing = true;
        fm_mutex_unlock(&server->mutex);
        fm_bell_ring(&server->bell);
        fm_thread_join(&server->thread);
    }
    while (server->generations) {
        struct generation *generation = server->generations;
        server->generations = generation->next;
        fm_generation_close(&server->mhd, generation);
    }
    release(server);
    fm_mutex_lock(&server->mutex);
    fm_http_unref(server);
    return unanswered;
}

/* ---- questions */

const char *fm_http_address(const struct http_server *server, size_t index) {
    return index < server->listener_count ? server->addresses[index] : NULL;
}

bool fm_http_is_exposed(const struct http_server *server) {
    return server->exposed;
}
