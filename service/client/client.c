/* Client: its options, and the calls that any thread may make. */
#include "client/client.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define ARENA_BYTES ((size_t)1 << 20)
#define URL_BYTES 2000
#define SOCKET_BYTES 107 /* sun_path, with its NUL */

void fm_tasks_add(struct task_list *list, struct task *task) {
    task->next = NULL;
    if (list->last)
        list->last->next = task;
    else
        list->first = task;
    list->last = task;
}

struct task *fm_tasks_take(struct task_list *list) {
    struct task *task = list->first;
    if (task) {
        list->first = task->next;
        list->last = list->first ? list->last : NULL;
        task->next = NULL;
    }
    return task;
}

/* ---- opening */

static fm_status no_memory(fm_error *error) {
    return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a client");
}

/* libcurl's own reader, so that what is accepted here is what it asks later. */
static bool is_plain_url(const fm_client *client, const char *url) {
    const struct curl_library *curl = &client->curl;
    static const CURLUPart none[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    CURLU *parts = curl->curl_url();
    bool good = parts && curl->curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
    for (size_t i = 0; good && i < sizeof none / sizeof *none; i++) {
        char *text = NULL;
        good = curl->curl_url_get(parts, none[i], &text, 0) != CURLUE_OK;
        curl->curl_free(text);
    }
    curl->curl_url_cleanup(parts);
    return good;
}

static fm_status add_remote(fm_client *client, const char *text, size_t length, fm_error *error) {
    struct remote *remote = &client->remotes[client->remote_count];
    char url[URL_BYTES + 1];
    if (length > URL_BYTES || client->remote_count == CLIENT_WORKERS)
        return fm_fail(error, FM_INVALID_ARGUMENT, "at most %d workers, with URLs of at most %d characters",
                       CLIENT_WORKERS, URL_BYTES);
    while (length > 8 && text[length - 1] == '/')
        length--;
    memcpy(url, text, length);
    url[length] = 0;
    bool socket = strncmp(url, "unix:", 5) == 0;
    bool good =
        socket ? url[5] && length - 5 <= SOCKET_BYTES
               : (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) && is_plain_url(client, url);
    if (!good)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%s' is no worker's URL; expected http://HOST:PORT, https://HOST:PORT (without user, query or "
                       "fragment) or unix:SOCKET, several with commas between",
                       url);
    for (int i = 0; i < client->remote_count; i++) {
        if (strcmp(client->remotes[i].url, url) == 0)
            return fm_fail(error, FM_INVALID_ARGUMENT, "the worker '%s' is named twice", url);
    }
    remote->url = fm_arena_copy(&client->arena, url);
    if (!remote->url)
        return no_memory(error);
    remote->socket = socket ? remote->url + 5 : NULL;
    remote->base = socket ? "http://localhost" : remote->url;
    remote->index = client->remote_count++;
    return FM_OK;
}

static fm_status read_urls(fm_client *client, const char *urls, fm_error *error) {
    fm_status status = FM_OK;
    while (urls && *urls && !status) {
        size_t length = strcspn(urls, ", ");
        if (length)
            status = add_remote(client, urls, length, error);
        urls += length + (urls[length] != 0);
    }
    if (!status && !client->remote_count)
        status = fm_fail(error, FM_INVALID_ARGUMENT, "no worker is named; expected http://HOST:PORT");
    return status;
}

static fm_status read_token(fm_client *client, const char *token, fm_error *error) {
    char header[4200];
    for (const char *at = token; *at; at++) {
        if (*at <= ' ' || *at >= 0x7F || at - token >= 4096)
            return fm_fail(error, FM_INVALID_ARGUMENT,
                           "the token is no bearer token: expected up to 4,096 visible characters of ASCII");
    }
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    client->authorization = fm_arena_copy(&client->arena, header);
    return client->authorization ? FM_OK : no_memory(error);
}

static void add_float(struct text *text, const char *name, float value) {
    struct json json = {.text = text}; /* its digits are the same whatever the locale is */
    fm_text_add(text, "&%s=", name);
    fm_json_float(&json, NULL, value);
}

/* What POST /v1/analyze is asked beside the picture: what the local engine would be asked, whatever the worker's own
   defaults are. */
static fm_status write_query(fm_client *client, fm_error *error) {
    const fm_engine_options *options = &client->local.options;
    const int *sizes = options->det_sizes;
    struct text text = {0};
    fm_text_add(&text, "?embedding=base64&det_size=%d", sizes[0] ? sizes[0] : 640);
    for (int i = 1; i < FM_MAX_DET_SIZES && sizes[0] && sizes[i]; i++)
        fm_text_add(&text, ",%d", sizes[i]);
    if (options->det_threshold > 0)
        add_float(&text, "det_threshold", options->det_threshold);
    fm_text_add(&text, "&max_faces=%d", options->max_faces > 0 ? options->max_faces : 0);
    add_float(&text, "min_face", options->min_face > 0 ? options->min_face : 0);
    fm_text_add(&text, "&face_metric=%s", options->face_metric == FM_METRIC_AREA ? "area" : "centre");
    bool usual_size = !sizes[0] || (sizes[0] == 640 && !sizes[1]);
    client->special = !usual_size                  ? "detection size"
                      : options->det_threshold > 0 ? "detection threshold"
                      : options->max_faces > 0     ? "number of faces"
                      : options->min_face > 0      ? "least size of faces"
                                                   : NULL;
    client->query = text.failed ? NULL : fm_arena_copy(&client->arena, text.chars);
    fm_text_reset(&text);
    return client->query ? FM_OK : no_memory(error);
}

static fm_status read_options(fm_client *client, const fm_client_options *given, fm_error *error) {
    fm_client_options *options = &client->options;
    size_t known = given->struct_size < sizeof *options ? given->struct_size : sizeof *options;
    memcpy(options, given, known);
    options->connect_ms = options->connect_ms ? options->connect_ms : 2000;
    options->timeout_ms = options->timeout_ms ? options->timeout_ms : 30000;
    options->retries = options->retries ? options->retries : 2;
    options->retries = options->retries < 0 ? 0 : options->retries;
    options->breaker_failures = options->breaker_failures > 0 ? options->breaker_failures : 3;
    options->probe_ms = options->probe_ms ? options->probe_ms : 1000;
    fm_status status = read_urls(client, options->urls, error);
    if (!status && options->token && options->token[0])
        status = read_token(client, options->token, error);
    if (!status && options->certificates) {
        options->certificates = fm_arena_copy(&client->arena, options->certificates);
        status = options->certificates ? FM_OK : no_memory(error);
    }
    if (!status)
        status = fm_local_copy(client, options->local, error);
    if (!status)
        status = write_query(client, error);
    options->in_flight = options->in_flight > 0 ? options->in_flight : 8 * client->remote_count;
    options->urls = options->token = NULL;
    options->local = NULL;
    return status;
}

fm_status fm_client_open(const fm_client_options *options, fm_client **result, fm_error *error) {
    fm_error_clear(error);
    *result = NULL;
    if (!options || options->struct_size < sizeof options->struct_size + sizeof options->urls)
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_client_options.struct_size is not set");
    fm_client *client = fm_alloc(sizeof *client);
    if (!client)
        return no_memory(error);
    client->arena.limit = ARENA_BYTES;
    client->random = fm_clock_ns() | 1;
    fm_mutex_init(&client->mutex);
    fm_cond_init(&client->changed);
    fm_cond_init(&client->local.work);
    fm_status status = fm_client_curl_load(&client->curl, error);
    if (!status)
        status = read_options(client, options, error);
    fm_logger_init(&client->logger, client->options.log_level, client->options.log, client->options.log_user);
    if (!status) {
        client->multi = client->curl.curl_multi_init();
        if (client->multi) /* one per request and worker is kept open */
            client->curl.curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS,
                                           (long)(client->options.in_flight + 2 * client->remote_count));
        client->running = client->multi && fm_thread_start(&client->thread, "fm-client", fm_client_run, client);
        status = client->running ? FM_OK : no_memory(error);
    }
    if (status)
        fm_client_close(client);
    else
        *result = client;
    return status;
}

void fm_client_close(fm_client *client) {
    if (!client)
        return;
    if (client->running) {
        fm_client_drain(client);
        fm_mutex_lock(&client->mutex);
        client->ending = true;
        fm_mutex_unlock(&client->mutex);
        fm_client_wake(client);
        fm_thread_join(&client->thread);
    }
    fm_local_close(client);
    if (client->multi) {
        for (int i = 0; i < client->remote_count; i++) {
            if (client->remotes[i].probe)
                fm_transfer_end(client, client->remotes[i].probe);
        }
        fm_transfers_reset(client);
        client->curl.curl_multi_cleanup(client->multi);
    }
    fm_logger_reset(&client->logger);
    fm_cond_reset(&client->local.work);
    fm_cond_reset(&client->changed);
    fm_mutex_reset(&client->mutex);
    fm_arena_reset(&client->arena);
    fm_free(client);
}

const fm_engine *fm_client_engine(fm_client *client) {
    fm_mutex_lock(&client->mutex);
    const fm_engine *engine = client->local.engine;
    fm_mutex_unlock(&client->mutex);
    return engine;
}

/* ---- pictures in */

static void take_png(const void *bytes, size_t size, void *user) {
    struct task *task = user;
    if (!fm_buffer_append(&task->own, bytes, size, 0))
        fm_buffer_reset(&task->own);
}

/* Pixels as PNG, which keeps every bit of them. */
static fm_status encode_pixels(struct task *task, const fm_pixels *pixels, fm_error *error) {
    fm_status status = fm_image_encode(pixels, FM_FILE_PNG, take_png, task, error);
    if (!status && !task->own.size)
        status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory for an image as PNG");
    return status;
}

/* The bytes to send. A failure is the picture's, and its words are those of the engine. */
static fm_status read_input(struct task *task, const fm_input *input, fm_error *error) {
    uint64_t limit = task->client->local.limits.max_file_bytes;
    fm_status status = FM_OK;
    limit = limit ? limit : (uint64_t)256 << 20;
    if (input->kind == FM_INPUT_FILE)
        status = fm_file_read(input->path, limit, &task->own, error);
    else if (input->kind == FM_INPUT_PIXELS)
        status = encode_pixels(task, input->pixels, error);
    bool encoded = input->kind == FM_INPUT_ENCODED;
    task->bytes = encoded ? input->bytes : task->own.bytes;
    task->size = encoded ? input->size : task->own.size;
    if (!status && (!task->bytes || !task->size))
        status = fm_fail(error, FM_BAD_IMAGE, "'%s' is empty; an image was expected",
                         input->kind == FM_INPUT_FILE ? input->path : "image in memory");
    return status;
}

static struct task *make_task(fm_client *client, const fm_input *input) {
    struct task *task = fm_alloc(sizeof *task);
    if (!task)
        return NULL;
    task->client = client;
    task->input = *input;
    task->reply = fm_reply_new();
    if (input->kind == FM_INPUT_FILE)
        task->input.path = task->path = fm_string_copy(input->path);
    if (task->reply && (task->path || input->kind != FM_INPUT_FILE))
        return task;
    fm_reply_free(task->reply);
    fm_free(task->path);
    fm_free(task);
    return NULL;
}

fm_status fm_client_submit(fm_client *client, const fm_input *input, fm_reply_callback callback, void *user,
                           fm_error *error) {
    fm_error_clear(error);
    if (!client || !callback || !input || input->struct_size < sizeof *input ||
        !((input->kind == FM_INPUT_FILE && input->path) || input->kind == FM_INPUT_ENCODED ||
          (input->kind == FM_INPUT_PIXELS && input->pixels)))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "the client, the callback or the input is not set; make the input "
                       "by fm_input_file, fm_input_encoded or fm_input_pixels");
    struct task *task = make_task(client, input);
    fm_error why = {0};
    if (!task)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a request");
    task->callback = callback;
    task->user = user;
    fm_mutex_lock(&client->mutex);
    while (client->under_way >= client->options.in_flight)
        fm_cond_wait(&client->changed, &client->mutex);
    client->under_way++;
    fm_mutex_unlock(&client->mutex);
    uint64_t now_ns = fm_clock_ns();
    task->deadline_ns = client->options.deadline_ms ? now_ns + client->options.deadline_ms * MS : 0;
    task->patience_ns = now_ns + client->options.timeout_ms * MS;
    if (read_input(task, input, &why)) {
        fm_reply_fail(task->reply, why.status, why.message);
        task->answered = true;
    }
    fm_mutex_lock(&client->mutex);
    fm_tasks_add(task->answered ? &client->finished : &client->incoming, task);
    fm_mutex_unlock(&client->mutex);
    fm_client_wake(client);
    return FM_OK;
}

void fm_client_drain(fm_client *client) {
    fm_mutex_lock(&client->mutex);
    while (client->under_way)
        fm_cond_wait(&client->changed, &client->mutex);
    fm_mutex_unlock(&client->mutex);
}

/* ---- one picture, waited for */

struct wait {
    struct os_mutex mutex;
    struct os_cond done;
    fm_reply *reply;
};

static void wait_done(fm_reply *reply, void *user) {
    struct wait *wait = user;
    fm_mutex_lock(&wait->mutex);
    wait->reply = reply;
    fm_cond_signal(&wait->done);
    fm_mutex_unlock(&wait->mutex);
}

fm_status fm_client_analyze(fm_client *client, const fm_input *input, fm_reply **reply, fm_error *error) {
    struct wait wait = {.reply = NULL};
    *reply = NULL;
    fm_mutex_init(&wait.mutex);
    fm_cond_init(&wait.done);
    fm_status status = fm_client_submit(client, input, wait_done, &wait, error);
    if (!status) {
        fm_mutex_lock(&wait.mutex);
        while (!wait.reply)
            fm_cond_wait(&wait.done, &wait.mutex);
        fm_mutex_unlock(&wait.mutex);
        *reply = wait.reply;
        status = fm_reply_status(wait.reply);
        if (status)
            (void)fm_fail(error, status, "%s", fm_reply_message(wait.reply));
    }
    fm_cond_reset(&wait.done);
    fm_mutex_reset(&wait.mutex);
    return status;
}
