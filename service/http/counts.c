/* Counts: how many requests ended how, and how long they took, for /metrics. Guarded by the server's mutex. */
#include "http/server.h"

#include <string.h>

#define COUNTS_MAX ((size_t)4096) /* routes times codes; beyond, nothing new is counted */

const double fm_http_bounds[HTTP_BUCKETS - 1] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                 0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

static struct http_count *find(struct http_server *server, const char *route, const char *method, int code) {
    for (size_t i = 0; i < server->count_count; i++) {
        struct http_count *count = &server->counts[i];
        if (count->code == code && strcmp(count->route, route) == 0 && strcmp(count->method, method) == 0)
            return count;
    }
    if (server->count_count == server->count_capacity) {
        size_t capacity = server->count_capacity ? server->count_capacity * 2 : 32;
        struct http_count *counts = capacity <= COUNTS_MAX ? fm_alloc_array(capacity, sizeof *counts) : NULL;
        if (counts == NULL)
            return NULL;
        if (server->count_count)
            memcpy(counts, server->counts, server->count_count * sizeof *counts);
        fm_free(server->counts);
        server->counts = counts;
        server->count_capacity = capacity;
    }
    struct http_count *count = &server->counts[server->count_count++];
    *count = (struct http_count){.route = route, .method = method, .code = code};
    return count;
}

void fm_counts_add(struct http_server *server, const struct http_exchange *exchange, int code, double seconds) {
    const struct http_route *route = exchange ? exchange->request.route : NULL;
    /* Only names from the table: a client must not be able to make new rows. */
    const char *method = route == NULL ? "" : code == 405 || exchange->refusal == 204 ? "other" : route->method;
    struct http_count *count = find(server, route ? route->path : "other", method, code);
    if (count == NULL)
        return;
    size_t bucket = 0;
    while (bucket < HTTP_BUCKETS - 1 && seconds > fm_http_bounds[bucket])
        bucket++;
    count->requests++;
    count->buckets[bucket]++;
    count->seconds += seconds;
}

void fm_http_visit_counts(struct http_server *server, void (*visit)(const struct http_count *count, void *user),
                          void *user) {
    fm_mutex_lock(&server->mutex);
    size_t number = server->count_count;
    struct http_count *counts = fm_alloc_array(number, sizeof *counts);
    if (counts && number)
        memcpy(counts, server->counts, number * sizeof *counts);
    fm_mutex_unlock(&server->mutex);
    for (size_t i = 0; counts && i < number; i++)
        visit(&counts[i], user);
    fm_free(counts);
}

struct http_level fm_http_level(struct http_server *server) {
    fm_mutex_lock(&server->mutex);
    struct http_level level = {
        .connections = server->connection_count,
        .in_flight = server->exchange_count,
        .body_bytes = server->body_bytes,
        .refused_connections = server->refused_connections,
    };
    fm_mutex_unlock(&server->mutex);
    return level;
}
