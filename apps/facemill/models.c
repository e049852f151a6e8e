/* facemill models: which packs there are, and what its actions share; each action has a file. */
#include "models.h"

#include <stdio.h>
#include <string.h>

/* ---- list */

static void list_pack(const char *name, const char *path, const char *reason, void *user) {
    struct output *output = user;
    if (output->table) {
        fm_text_add(&output->text, "%-24s %-12s %s\n", name, reason, path);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "pack", name);
    fm_json_string(&output->json, "path", path);
    fm_json_string(&output->json, "reason", reason);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

struct pack_count {
    int builtin, others;
};

static void count_pack(const char *name, const char *path, const char *reason, void *user) {
    struct pack_count *count = user;
    (void)name, (void)path;
    ++*(strcmp(reason, PACK_BUILTIN_REASON) == 0 ? &count->builtin : &count->others);
}

static void list_known(struct output *output, const struct known_pack *known) {
    char size[48];
    bool same = false, installed = fm_install_has(known, &same);
    if (output->table) {
        fm_text_add(&output->text, "%-24s %-12s %s; %s%s\n%37s %s; %s\n", known->name,
                    installed ? "installed" : "not here", known->about, fm_models_size(known, size),
                    known->sha256 ? "" : ", no published digest", "", known->licence, known->terms);
        if (known->not_here || !known->url)
            fm_text_add(&output->text, "%37s %s\n", "",
                        known->not_here ? known->not_here : "no URL known here; fetch it yourself and run models add");
        return;
    }
    struct json *json = &output->json;
    fm_json_object_open(json, NULL);
    fm_json_string(json, "known", known->name);
    fm_json_bool(json, "installed", installed);
    fm_json_string(json, "about", known->about);
    fm_json_string(json, "url", known->url);
    if (known->bytes)
        fm_json_integer(json, "bytes", (int64_t)known->bytes);
    fm_json_bool(json, "bytes_exact", known->exact);
    fm_json_string(json, "sha256", known->sha256);
    fm_json_string(json, "licence", known->licence);
    fm_json_string(json, "licence_url", known->licence_url);
    fm_json_string(json, "terms", known->terms);
    fm_json_string(json, "not_here", known->not_here);
    fm_json_object_close(json);
    fm_output_end_line(output);
}

static fm_status models_list(struct program *program, struct output *output, bool *failed, fm_error *error) {
    struct known_index index = {0};
    struct pack_count count = {0, 0};
    (void)failed;
    fm_status status = fm_models_index(&program->config, &index, error);
    if (status)
        return status;
    fm_packs_visit(list_pack, output);
    fm_packs_visit(count_pack, &count);
    if (output->table)
        fm_text_add(&output->text, "%sKnown packs, for 'facemill models pull NAME':\n",
                    count.builtin + count.others ? "\n" : "");
    for (size_t i = 0; i < index.count; i++)
        list_known(output, &index.packs[i]);
    for (size_t i = 0; fm_known_row(i); i++) {
        if (fm_known_find(&index, fm_known_row(i)->name) == fm_known_row(i))
            list_known(output, fm_known_row(i));
    }
    fm_known_reset(&index);
    if (count.others == 0 && !fm_config_flag(&program->config, OPT_QUIET))
        fprintf(
            stderr,
            "facemill: no pack is installed%s; 'facemill models pull NAME' fetches a known one, 'facemill models add' "
            "takes files that are here, --pack names a folder\n",
            count.builtin ? " beside the built-in one" : "");
    return FM_OK;
}

/* ---- shared by the actions */

struct builtin_search {
    const char *wanted;
    bool found;
};

static void match_builtin(const char *name, const char *path, const char *reason, void *user) {
    struct builtin_search *search = user;
    search->found = search->found || (strcmp(reason, PACK_BUILTIN_REASON) == 0 &&
                                      (strcmp(name, search->wanted) == 0 || strcmp(path, search->wanted) == 0));
}

bool fm_models_is_builtin(const char *name) {
    struct builtin_search search = {name, false};
    fm_packs_visit(match_builtin, &search);
    return search.found;
}

/* The second argument, or --pack. */
static const char *wanted_pack(const struct config *config) {
    return config->argument_count > 1 ? config->arguments[1] : fm_config_text(config, OPT_PACK);
}

fm_status fm_models_settings(struct engine_settings *settings, const struct config *config, fm_error *error) {
    fm_status status = fm_program_settings(settings, config, error);
    if (config->argument_count > 1) {
        settings->options.pack = config->arguments[1];
        snprintf(settings->pack_source, sizeof settings->pack_source, "the argument of 'models %s'",
                 config->arguments[0]);
        settings->options.pack_source = settings->pack_source;
    }
    return status;
}

fm_status fm_models_visit(const struct config *config, fm_model_visitor visitor, struct visit *visit, char *path,
                          size_t path_size, fm_error *error) {
    struct engine_settings settings;
    fm_engine *engine = NULL;
    fm_error unnamed = {0}, named = {0};
    fm_status status = fm_pack_visit(wanted_pack(config), visitor, visit, path, path_size, &unnamed);
    if (status == FM_NOT_FOUND) {
        if (!fm_models_settings(&settings, config, &named))
            (void)!fm_engine_open(&settings.options, &engine, &named); /* fails likewise; its words are in `named` */
        fm_engine_close(engine);
        fm_program_settings_reset(&settings);
    }
    const fm_error *best = named.status == FM_NOT_FOUND ? &named : &unnamed;
    return status ? fm_fail(error, status, "%s", best->message) : FM_OK;
}

/* ---- the actions */

struct action {
    const char *name;
    fm_status (*run)(struct program *program, struct output *output, bool *failed, fm_error *error);
    size_t most; /* arguments behind it */
};
static const struct action actions[] = {
    {"list", models_list, 0},  {"show", fm_models_show, 1}, {"verify", fm_models_verify, 1},
    {"add", fm_models_add, 1}, {"pull", fm_models_pull, 1}, {"remove", fm_models_remove, 1},
};

static const struct action *find_action(const char *name) {
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    }
    return NULL;
}

int fm_command_models(struct program *program) {
    const struct config *config = &program->config;
    const struct action *action = find_action(config->argument_count ? config->arguments[0] : "");
    bool failed = false;
    struct output output;
    fm_error error = {0};
    if (!action)
        return fm_complain_usage(config, "models takes list, show, verify, add, pull or remove, not '%s'",
                                 config->argument_count ? config->arguments[0] : "");
    if (config->argument_count > action->most + 1)
        return fm_complain_usage(config, "models %s: '%s' is one argument too many", action->name,
                                 config->arguments[config->argument_count - 1]);
    if (fm_output_open(&output, config, &error))
        return fm_complain(config, &error);
    fm_status status = action->run(program, &output, &failed, &error);
    (void)!fm_output_close(&output, status == FM_OK, &error); /* its words are in `error` */
    int interrupted = atomic_load(&program->interrupted);
    if (error.status) {
        int code = fm_complain(config, &error);
        return interrupted && error.status == FM_CANCELLED ? 128 + interrupted : failed ? EXIT_CHECK : code;
    }
    return failed ? EXIT_CHECK : EXIT_DONE;
}
