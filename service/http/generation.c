/* Generation: libmicrohttpd's daemons that share a certificate. They have no listening socket: our own thread accepts
   and gives connections to them in turn. So there is one set of threads for any number of addresses, one limit of
   connections, words for what was refused, and a new certificate is a new generation beside the old one, which ends
   with its last connection. A pool of threads inside one daemon cannot be had without a listening socket. */
#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory of a connection for headers, both ways; idle ones keep it. 10000 of them stay below 100 MB. */
#define CONNECTION_BYTES ((size_t)8192)
#define CONNECTION_STEP ((size_t)2048)
#define PEM_BYTES ((uint64_t)1 << 20)

/* libmicrohttpd's complaints: words for a failed start, and the only news of requests that it refuses itself. */
static void take_words(void *user, const char *format, va_list arguments) {
    static const char refused[] = "Error processing request (HTTP response code is ";
    struct http_thread *thread = user;
    char words[256];
    (void)vsnprintf(words, sizeof words, format, arguments);
    if (strncmp(words, refused, sizeof refused - 1) == 0) {
        long code = strtol(words + sizeof refused - 1, NULL, 10);
        fm_mutex_lock(&thread->server->mutex);
        fm_counts_add(thread->server, NULL, code >= 400 && code < 600 ? (int)code : 400, 0.0);
        fm_mutex_unlock(&thread->server->mutex);
    } else if (!atomic_load(&thread->started)) {
        words[strcspn(words, "\r\n")] = 0;
        (void)snprintf(thread->words.message, sizeof thread->words.message, "%s", words);
    }
}

#define FUNCTION(function) (intptr_t)(function)

static bool start(struct http_server *server, struct http_thread *thread) {
    const struct http_options *options = &server->options;
    const struct generation *generation = thread->generation;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (generation->has_tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (intptr_t)CONNECTION_STEP, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(options->max_connections + HTTP_LEAVING), NULL}, /* ours comes first */
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_seconds, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, FUNCTION(fm_exchange_completed), thread},
        {MHD_OPTION_NOTIFY_CONNECTION, FUNCTION(fm_exchange_connection), thread},
        {generation->has_tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, generation->key.bytes},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, generation->certificate.bytes},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    thread->daemon =
        server->mhd.MHD_start_daemon(flags, 0, NULL, NULL, fm_exchange_access, thread, MHD_OPTION_EXTERNAL_LOGGER,
                                     take_words, thread, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    atomic_store(&thread->started, thread->daemon != NULL);
    return thread->daemon != NULL;
}

/* PEM text with its NUL, which libmicrohttpd wants. */
static fm_status read_pem(const char *path, struct buffer *text, fm_error *error) {
    fm_status status = fm_file_read(path, PEM_BYTES, text, error);
    if (status == FM_OK && !fm_buffer_append(text, "", 1, 0))
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s'", path);
    if (status == FM_OK && strlen((const char *)text->bytes) + 1 != text->size)
        status = fm_fail(error, FM_INVALID_ARGUMENT, "'%s' is no PEM file: it has a NUL inside", path);
    return status;
}

fm_status fm_generation_open(struct http_server *server, struct generation **result, fm_error *error) {
    const struct http_options *options = &server->options;
    int count = options->threads;
    struct generation *generation = fm_alloc(sizeof *generation + (size_t)count * sizeof *generation->threads);
    if (generation == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory starting the HTTP server");
    fm_status status = FM_OK;
    generation->has_tls = options->certificate != NULL;
    if (generation->has_tls) {
        if (!server->mhd.MHD_is_feature_supported(MHD_FEATURE_TLS))
            status = fm_fail(error, FM_UNSUPPORTED, "libmicrohttpd of this machine was built without TLS");
        if (status == FM_OK)
            status = read_pem(options->certificate, &generation->certificate, error);
        if (status == FM_OK)
            status = read_pem(options->key, &generation->key, error);
    }
    for (int i = 0; i < count && status == FM_OK; i++) {
        struct http_thread *thread = &generation->threads[i];
        thread->server = server;
        thread->generation = generation;
        if (start(server, thread))
            generation->thread_count++;
        else if (generation->has_tls)
            status = fm_fail(error, FM_INVALID_ARGUMENT,
                             "the certificate '%s' and the key '%s' are not accepted: %s; both must be PEM files and "
                             "belong together",
                             options->certificate, options->key, thread->words.message);
        else
            status = fm_fail(error, FM_IO, "cannot start the HTTP server: %s", thread->words.message);
    }
    if (status != FM_OK) {
        fm_generation_close(&server->mhd, generation);
        generation = NULL;
    }
    *result = generation;
    return status;
}

void fm_generation_close(const struct mhd_library *mhd, struct generation *generation) {
    if (generation == NULL)
        return;
    for (int i = 0; i < generation->thread_count; i++)
        mhd->MHD_stop_daemon(generation->threads[i].daemon);
    fm_buffer_reset(&generation->key);
    fm_buffer_reset(&generation->certificate);
    fm_free(generation);
}
