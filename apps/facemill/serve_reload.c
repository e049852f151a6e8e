/* serve: what SIGHUP does. The config file, the tokens and the certificate are read again, the access log is opened
   again, and another engine takes over when the pack's files or an engine's options changed. One thread. */
#include "serve.h"

#include "base/sha256.h"

#include <errno.h>
#include <string.h>

/* ---- has the pack changed? */

static void add_file(const fm_model_file *model, void *user) {
    struct sha256 *sha = user;
    fm_sha256_add(sha, model->file, strlen(model->file) + 1);
    fm_sha256_add(sha, model->sha256, strlen(model->sha256) + 1);
}

static void add_manifest(struct sha256 *sha, const char *folder) {
    char path[OS_PATH_SIZE];
    struct buffer bytes = {0};
    fm_error ignored = {0};
    if (fm_path_join(path, sizeof path, folder, "manifest.json") && fm_path_kind(path) == OS_PATH_FILE &&
        fm_file_read(path, (uint64_t)16 << 20, &bytes, &ignored) == FM_OK)
        fm_sha256_add(sha, bytes.bytes, bytes.size);
    fm_buffer_reset(&bytes);
}

void fm_serve_fingerprint(const struct config *config, char out[65]) {
    struct sha256 sha;
    char folder[OS_PATH_SIZE] = "";
    fm_error ignored = {0};
    fm_sha256_init(&sha);
    for (int i = 0; i < OPT_COUNT; i++) {
        enum option_id id = (enum option_id)i;
        const struct option_row *row = fm_option_row(id);
        const struct option_value *value = &config->values[i];
        bool matters = row->group == GROUP_ENGINE || row->group == GROUP_FACES || row->group == GROUP_INPUT;
        if (!(row->commands & ON_SERVE) || !matters)
            continue;
        const char *text = fm_config_text(config, id);
        fm_sha256_add(&sha, text ? text : "", text ? strlen(text) + 1 : 1);
        for (size_t k = 0; k < value->count; k++)
            fm_sha256_add(&sha, value->items[k], strlen(value->items[k]) + 1);
    }
    if (fm_pack_visit(fm_config_text(config, OPT_PACK), add_file, &sha, folder, sizeof folder, &ignored) == FM_OK)
        add_manifest(&sha, folder);
    fm_sha256_add(&sha, folder, strlen(folder));
    fm_sha256_hex(&sha, out);
}

/* ---- SIGHUP */

fm_status fm_serve_open_log(struct serve *serve, fm_error *error) {
    const char *path = fm_config_text(serve->config, OPT_ACCESS_LOG_FILE);
    FILE *file = path ? fopen(path, "ab") : NULL;
    if (path && !file)
        return fm_fail(error, FM_IO, "--access-log-file: cannot open '%s': %s", path, strerror(errno));
    if (file)
        setvbuf(file, NULL, _IOLBF, 0);
    fm_mutex_lock(&serve->mutex);
    FILE *before = serve->access;
    serve->access = file;
    fm_mutex_unlock(&serve->mutex);
    if (before)
        fclose(before);
    return FM_OK;
}

static void say(fm_log_level level, struct serve *serve, const char *what, const fm_error *error) {
    char words[2600];
    snprintf(words, sizeof words, "%s%s%s", what, error ? ": " : "", error ? error->message : "");
    fm_serve_log(level, "reload", words, serve);
}

/* Options of the server that are only read at the start. */
static void warn_of_restart(struct serve *serve, const struct config *before) {
    static const enum option_id later[] = {OPT_LISTEN,       OPT_TLS_CERT,        OPT_TLS_KEY,
                                           OPT_TOKEN_FILE,   OPT_CORS_ORIGIN,     OPT_MAX_BODY,
                                           OPT_MAX_BODIES,   OPT_MAX_CONNECTIONS, OPT_REQUEST_DEADLINE,
                                           OPT_IDLE_TIMEOUT, OPT_ALLOW_URL_HOST,  OPT_ACCESS_LOG};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        const char *was = fm_config_text(before, later[i]), *is = fm_config_text(serve->config, later[i]);
        const struct option_value *a = &before->values[later[i]], *b = &serve->config->values[later[i]];
        bool same = (was ? is && strcmp(was, is) == 0 : !is) && a->count == b->count;
        for (size_t k = 0; same && k < a->count; k++)
            same = strcmp(a->items[k], b->items[k]) == 0;
        if (!same) {
            char words[160];
            snprintf(words, sizeof words, "--%s changed: that needs a new start", fm_option_row(later[i])->name);
            say(FM_LOG_WARN, serve, words, NULL);
        }
    }
}

static void swap_engine(struct serve *serve) {
    struct engine_settings settings;
    struct worker_options options;
    char fingerprint[65];
    fm_error error = {0};
    fm_serve_fingerprint(serve->config, fingerprint);
    if (strcmp(fingerprint, serve->fingerprint) == 0) {
        fm_worker_set_idle(serve->worker, (uint32_t)(fm_config_integer(serve->config, OPT_IDLE_UNLOAD) * 1000));
        say(FM_LOG_INFO, serve, "the pack and its options are what they were", NULL);
        return;
    }
    fm_status status = fm_serve_options(serve, serve->config, &settings, &options, &error);
    if (!status)
        status = fm_worker_swap(serve->worker, &options, &error);
    fm_program_settings_reset(&settings);
    if (status) {
        say(FM_LOG_ERROR, serve, "the old pack stays", &error);
        return;
    }
    memcpy(serve->fingerprint, fingerprint, sizeof fingerprint);
    struct worker_engine *held = fm_worker_look(serve->worker);
    char words[400];
    snprintf(words, sizeof words, "pack '%.100s' took over (%.100s, id %.16s)", held->pack.name, held->pack.reason,
             held->pack.id);
    fm_worker_release(held);
    say(FM_LOG_WARN, serve, words, NULL); /* shown by default: another pack means other embeddings */
}

void fm_serve_reload(struct serve *serve) {
    struct program *program = serve->program;
    struct config read = {0}, before = *serve->config;
    fm_error error = {0};
    char state[80];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(fm_clock_ns() / 1000));
    fm_manager_tell(state);
    if (fm_config_parse(&read, program->config.command, program->argument_count, program->arguments, &error)) {
        say(FM_LOG_ERROR, serve, "the old configuration stays", &error);
        fm_config_reset(&read);
    } else {
        serve->fresh = read;
        serve->config = &serve->fresh;
        warn_of_restart(serve, &before);
        if (fm_program_log_level(&before) != fm_program_log_level(serve->config)) /* else signals have set it */
            atomic_store(&serve->level, (int)fm_program_log_level(serve->config));
        if (before.arena.first != program->config.arena.first)
            fm_config_reset(&before);
        if (fm_serve_open_log(serve, &(fm_error){0}))
            say(FM_LOG_ERROR, serve, "the old access log stays: the new one cannot be opened", NULL);
        swap_engine(serve);
    }
    error = (fm_error){0};
    if (fm_http_reload(serve->server, &error))
        say(FM_LOG_ERROR, serve, "the old certificate and tokens stay", &error);
    say(FM_LOG_INFO, serve, "done", NULL);
    fm_manager_tell("READY=1");
}
