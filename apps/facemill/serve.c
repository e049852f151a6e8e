/* serve: the worker. Opens the engine, then listens, says where, and waits to be told to stop or to read its
   configuration again. What happens in between is service/http's. */
#include "output.h"
#include "serve.h"
#include "summary.h"

#include <string.h>

#define LOOK_UP_NS 100000000u /* how often the main thread looks whether it was interrupted */
#define LAST_ANSWERS_MS 2000  /* for sending what was called off */
#define MS_PER_S 1000
#define CHORE_THREADS 2
#define CHORES_WAITING 64

/* ---- the log */

static const char *const level_names[] = {"warn", "debug", "info", "warn", "error", "off"}; /* by fm_log_level */

void fm_serve_log(fm_log_level level, const char *component, const char *message, void *user) {
    struct serve *serve = user;
    if ((int)level < atomic_load(&serve->level))
        return;
    struct text text = {0};
    fm_text_add(&text, "%s: %s: %s", level_names[level], component, message);
    fm_mutex_lock(&serve->mutex);
    fm_say(fm_text_chars(&text));
    fm_mutex_unlock(&serve->mutex);
    fm_text_reset(&text);
}

static void write_access(const char *line, void *user) {
    struct serve *serve = user;
    fm_mutex_lock(&serve->mutex);
    FILE *file = serve->access ? serve->access : stderr;
    fprintf(file, "%s\n", line);
    fm_mutex_unlock(&serve->mutex);
}

static void on_request(enum os_request request, void *user) {
    struct serve *serve = user;
    int level = atomic_load(&serve->level);
    if (request == OS_REQUEST_LOUDER && level > FM_LOG_DEBUG)
        atomic_store(&serve->level, level - 1);
    if (request == OS_REQUEST_QUIETER && level < FM_LOG_OFF)
        atomic_store(&serve->level, level + 1);
    fm_mutex_lock(&serve->mutex);
    if (request != OS_REQUEST_RELOAD)
        fprintf(stderr, "facemill: the log's level is %s\n", level_names[atomic_load(&serve->level)]);
    else
        serve->reload = true;
    fm_cond_signal(&serve->asked);
    fm_mutex_unlock(&serve->mutex);
}

/* ---- opening */

fm_status fm_serve_options(struct serve *serve, const struct config *config, struct engine_settings *settings,
                           struct worker_options *options, fm_error *error) {
    fm_status status = fm_program_settings(settings, config, error);
    if (status)
        return status;
    *options = (struct worker_options){.engine = settings->options,
                                       .idle_unload_ms = (uint32_t)(fm_config_integer(config, OPT_IDLE_UNLOAD) * 1000)};
    options->engine.batch = (int)fm_config_integer(config, OPT_MAX_BATCH);
    options->engine.max_wait_us = (uint32_t)fm_config_integer(config, OPT_MAX_WAIT_US);
    options->engine.log = fm_serve_log;
    options->engine.log_user = serve;
    /* Filtered here, so that a signal can change it; debug makes the runtime itself talk, and is not on by default. */
    if (options->engine.log_level != FM_LOG_DEBUG)
        options->engine.log_level = FM_LOG_INFO;
    return FM_OK;
}

/* All tables as one. The first row is what unknown paths are answered like. */
static fm_status join_routes(struct serve *serve, size_t *count, fm_error *error) {
    const struct http_route_table tables[] = {fm_routes_health(), fm_routes_gpu(), fm_routes_v1(), fm_routes_immich(),
                                              fm_routes_restful()};
    size_t total = 0, used = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        total += tables[i].count;
    serve->routes = fm_alloc_array(total, sizeof *serve->routes);
    if (!serve->routes)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for %zu routes", total);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (tables[i].count)
            memcpy(serve->routes + used, tables[i].rows, tables[i].count * sizeof *serve->routes);
        used += tables[i].count;
    }
    *count = total;
    return FM_OK;
}

static fm_status listen_there(struct serve *serve, fm_error *error) {
    static const char *const fallback[] = {"127.0.0.1:8001"};
    const struct config *config = serve->config;
    const struct option_value *listen = &config->values[OPT_LISTEN], *hosts = &config->values[OPT_ALLOW_URL_HOST];
    int cores = fm_core_count();
    struct http_options options = {
        .listen = listen->count ? listen->items : fallback,
        .listen_count = listen->count ? listen->count : 1,
        .certificate = fm_config_text(config, OPT_TLS_CERT),
        .key = fm_config_text(config, OPT_TLS_KEY),
        .token_file = fm_config_text(config, OPT_TOKEN_FILE),
        .cors_origin = fm_config_text(config, OPT_CORS_ORIGIN),
        .max_body = (uint64_t)fm_config_integer(config, OPT_MAX_BODY),
        .max_bodies = (uint64_t)fm_config_integer(config, OPT_MAX_BODIES),
        .max_connections = (int)fm_config_integer(config, OPT_MAX_CONNECTIONS),
        .idle_seconds = (int)fm_config_integer(config, OPT_IDLE_TIMEOUT),
        .threads = cores >= 16  ? 4
                   : cores >= 4 ? 2
                                : 1,
        .deadline_ms = (uint32_t)fm_config_integer(config, OPT_REQUEST_DEADLINE),
        .user = &serve->service,
        .log_json = fm_config_is(config, OPT_ACCESS_LOG, "json"),
        .access_log = fm_config_is(config, OPT_ACCESS_LOG, "off") ? NULL : write_access,
        .log_user = serve,
    };
    if (!options.certificate != !options.key)
        return fm_fail(error, FM_INVALID_ARGUMENT, "--tls-cert and --tls-key belong together; give both, or neither");
    fm_status status = join_routes(serve, &options.route_count, error);
    options.routes = serve->routes;
    if (!status)
        status = fm_chores_open(CHORE_THREADS, CHORES_WAITING, &serve->chores, error);
    serve->service = (struct service){.worker = serve->worker,
                                      .chores = serve->chores,
                                      .ort_library = fm_config_text(&serve->program->config, OPT_ORT_LIBRARY),
                                      .url_hosts = hosts->items,
                                      .url_host_count = hosts->count,
                                      .limits = fm_program_limits(config),
                                      .body_limit = options.max_body,
                                      .log = fm_serve_log,
                                      .log_user = serve};
    return status ? status : fm_http_open(&options, &serve->server, error);
}

static fm_status serve_open(struct serve *serve, fm_error *error) {
    struct engine_settings settings;
    struct worker_options options;
    fm_status status = fm_serve_options(serve, serve->config, &settings, &options, error);
    if (!status)
        status = fm_serve_open_log(serve, error);
    if (!status)
        status = fm_worker_open(&options, &serve->worker, error);
    fm_program_settings_reset(&settings);
    if (!status)
        status = listen_there(serve, error);
    if (!status)
        serve->service.server = serve->server;
    if (!status)
        fm_serve_fingerprint(serve->config, serve->fingerprint);
    return status;
}

/* ---- what is said at the start */

static void add_words(struct text *text, const struct serve *serve, const struct worker_engine *held) {
    fm_model_info model;
    const char *address;
    fm_text_add(text, "Listening on");
    for (size_t i = 0; (address = fm_http_address(serve->server, i)) != NULL; i++)
        fm_text_add(text, "%s %s", i ? "," : "", address);
    fm_text_add(text, "; pack %s (%s)", held->pack.name, held->pack.reason);
    for (size_t i = 0; fm_engine_model(held->engine, i, &model); i++)
        fm_text_add(text, "%s %s on %s", i ? "," : ";", model.file, model.provider);
}

static void add_record(struct json *json, const struct serve *serve, const struct worker_engine *held) {
    const char *address;
    fm_json_object_open(json, NULL);
    fm_json_array_open(json, "listening");
    for (size_t i = 0; (address = fm_http_address(serve->server, i)) != NULL; i++)
        fm_json_string(json, NULL, address);
    fm_json_array_close(json);
    fm_json_integer(json, "process", (int64_t)fm_process_number());
    fm_json_string(json, "pack", held->pack.name);
    fm_json_string(json, "pack_path", held->pack.path);
    fm_json_string(json, "pack_reason", held->pack.reason);
    fm_json_string(json, "pack_id", held->pack.id);
    fm_json_providers(json, held->engine);
    fm_json_object_close(json);
}

static fm_status announce(struct serve *serve, fm_error *error) {
    struct output output;
    struct worker_engine *held = fm_worker_look(serve->worker);
    fm_status status = fm_output_open(&output, serve->config, error);
    if (status)
        goto cleanup;
    if (output.table)
        add_words(&output.text, serve, held);
    else
        add_record(&output.json, serve, held);
    fm_output_end_line(&output);
    status = fm_output_flush(&output, error);
    fm_status closed = fm_output_close(&output, !status, error);
    status = status ? status : closed;
    fm_tell_builtin(serve->program, held->engine);
    if (fm_http_is_exposed(serve->server))
        fm_serve_log(FM_LOG_WARN, "serve",
                     "anybody who reaches this machine can use the worker: it listens on more than loopback without a "
                     "token; see --token-file and docs/serve.md",
                     serve);
cleanup:
    fm_worker_release(held);
    return status;
}

/* ---- running and ending */

static void run(struct serve *serve) {
    uint64_t every_ns = fm_manager_watchdog_ns(), next_ns = fm_clock_ns() + every_ns;
    char ignored[64];
    while (!atomic_load(&serve->program->interrupted)) {
        fm_mutex_lock(&serve->mutex);
        if (!serve->reload)
            (void)fm_cond_wait_until(&serve->asked, &serve->mutex, fm_clock_ns() + LOOK_UP_NS);
        bool reload = serve->reload;
        serve->reload = false;
        fm_mutex_unlock(&serve->mutex);
        if (reload)
            fm_serve_reload(serve);
        if (every_ns && fm_clock_ns() >= next_ns) {
            (void)fm_worker_ready(serve->worker, ignored, sizeof ignored); /* hangs where a request would, too */
            fm_manager_tell("WATCHDOG=1");
            next_ns = fm_clock_ns() + every_ns;
        }
    }
}

/* What was accepted is answered: in full within the grace period, after it with 503. */
static void stop(struct serve *serve) {
    uint64_t grace_ms = (uint64_t)fm_config_integer(serve->config, OPT_GRACE) * MS_PER_S;
    uint64_t end_ns = fm_clock_ns() + grace_ms * 1000000u;
    fm_manager_tell("STOPPING=1");
    fm_http_stop(serve->server);
    bool drained = fm_worker_drain(serve->worker, end_ns);
    if (!drained) {
        fm_serve_log(FM_LOG_WARN, "serve", "the grace period is over; what is still in work is called off", serve);
        fm_worker_cancel(serve->worker);
        (void)fm_worker_drain(serve->worker, fm_clock_ns() + (uint64_t)LAST_ANSWERS_MS * 1000000u);
    }
    uint64_t now_ns = fm_clock_ns();
    uint64_t left_ms = now_ns < end_ns ? (end_ns - now_ns) / 1000000u : 0;
    size_t unanswered = fm_http_close(serve->server, (uint32_t)(left_ms > LAST_ANSWERS_MS ? left_ms : LAST_ANSWERS_MS));
    serve->server = NULL;
    if (unanswered) {
        char words[120];
        snprintf(words, sizeof words, "%zu requests stayed unanswered", unanswered);
        fm_serve_log(FM_LOG_WARN, "serve", words, serve);
    }
}

static void serve_reset(struct serve *serve) {
    if (serve->server)
        (void)fm_http_close(serve->server, 0);
    fm_chores_close(serve->chores);
    if (serve->worker) {
        fm_worker_cancel(serve->worker);
        (void)fm_worker_drain(serve->worker, UINT64_MAX); /* those whose answer has no reader any more */
    }
    fm_worker_close(serve->worker);
    fm_free(serve->routes);
    if (serve->config == &serve->fresh)
        fm_config_reset(&serve->fresh);
    if (serve->access)
        fclose(serve->access);
    fm_cond_reset(&serve->asked);
    fm_mutex_reset(&serve->mutex);
}

int fm_command_serve(struct program *program) {
    struct serve serve = {.program = program, .config = &program->config};
    fm_error error = {0};
    if (program->config.argument_count)
        return fm_complain_usage(&program->config, "'%s': serve takes no arguments", program->config.arguments[0]);
    atomic_store(&serve.level, (int)fm_program_log_level(serve.config));
    fm_mutex_init(&serve.mutex);
    fm_cond_init(&serve.asked);
    int code = EXIT_DONE;
    if (!fm_requests_watch(on_request, &serve))
        fm_fail(&error, FM_OUT_OF_MEMORY, "not enough memory to start a thread");
    if (!error.status && !serve_open(&serve, &error) && !announce(&serve, &error)) {
        fm_manager_tell("READY=1");
        run(&serve);
        stop(&serve);
    }
    if (error.status)
        code = fm_complain(serve.config, &error);
    serve_reset(&serve);
    return code;
}
