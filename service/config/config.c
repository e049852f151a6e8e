/* Config: collects what the command line, the environment and the config file say about every option of one command.
   Each value is checked when it is taken, so that readers of values need no errors. One thread. */
#include "config/config.h"

#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT ((size_t)16 << 20) /* argument and list pointers, and the config file's strings */

static bool is_list(enum option_id id) {
    enum option_type type = fm_option_row(id)->type;
    return type == OPTION_PAIR || type == OPTION_LIST;
}

static fm_status append_item(struct config *config, struct option_value *value, const char *text, fm_error *error) {
    /* Lists are typed by hand and short: growing by one keeps them exact. */
    const char **items = fm_arena_alloc(&config->arena, (value->count + 1) * sizeof *items);
    if (!items)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading options");
    if (value->count)
        memcpy(items, value->items, value->count * sizeof *items);
    items[value->count++] = text;
    value->items = items;
    return FM_OK;
}

fm_status fm_config_assign(struct config *config, enum option_id id, const char *text, enum option_source source,
                           const char *where, fm_error *error) {
    const struct option_row *row = fm_option_row(id);
    struct option_value *value = &config->values[id];
    char expected[256];
    if (!fm_value_check(row, text, expected, sizeof expected))
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s: '%s' is not a value of it; expected %s", where, text, expected);
    if (source < value->source)
        return FM_OK;
    if (source > value->source)
        *value = (struct option_value){.source = source};
    value->text = text;
    return is_list(id) ? append_item(config, value, text, error) : FM_OK;
}

static fm_status fail_unknown(const struct command_text *command, const char *name, int length, fm_error *error) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", length, name);
    const char *nearest = fm_option_suggest(word, command->bit);
    return fm_fail(error, FM_INVALID_ARGUMENT, "unknown option --%s%s%s%s; 'facemill %s --help' lists the options",
                   word, nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "", command->name);
}

/* The option that `name` (without dashes) means for this command; a flag may be turned off by "no-". */
static fm_status find_option(const struct command_text *command, const char *name, size_t length, enum option_id *id,
                             bool *negated, fm_error *error) {
    *negated = false;
    *id = fm_option_find(name, length);
    if (*id == OPT_COUNT && length > 3 && memcmp(name, "no-", 3) == 0) {
        *id = fm_option_find(name + 3, length - 3);
        *negated = *id != OPT_COUNT && fm_option_row(*id)->type == OPTION_FLAG;
        *id = *negated ? *id : OPT_COUNT;
    }
    if (*id == OPT_COUNT)
        return fail_unknown(command, name, (int)length, error);
    if (!(fm_option_row(*id)->commands & command->bit))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "--%.*s is not an option of 'facemill %s'; 'facemill %s --help' lists its own", (int)length,
                       name, command->name, command->name);
    return FM_OK;
}

/* One option at argv[*position]; moves past its value. */
static fm_status take_option(struct config *config, int argc, char **argv, int *position, fm_error *error) {
    const char *name = argv[*position] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const char *text = equals ? equals + 1 : NULL;
    enum option_id id = OPT_COUNT;
    bool negated = false;
    fm_status status = find_option(config->command, name, length, &id, &negated, error);
    if (status)
        return status;
    const struct option_row *row = fm_option_row(id);
    if (negated && text)
        return fm_fail(error, FM_INVALID_ARGUMENT, "--%.*s takes no value", (int)length, name);
    if (!text && row->type == OPTION_FLAG)
        text = negated ? "no" : "yes";
    if (!text && *position + 1 < argc)
        text = argv[++*position];
    if (!text)
        return fm_fail(error, FM_INVALID_ARGUMENT, "--%.*s needs a value: --%s %s", (int)length, name, row->name,
                       row->value_name);
    char where[80];
    snprintf(where, sizeof where, "--%.*s", (int)length, name);
    return fm_config_assign(config, id, text, SOURCE_COMMAND, where, error);
}

static fm_status take_command_line(struct config *config, int argc, char **argv, fm_error *error) {
    bool options_ended = false;
    config->arguments = fm_arena_alloc(&config->arena, ((size_t)argc + 1) * sizeof *config->arguments);
    if (!config->arguments)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading %d arguments", argc);
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (options_ended || word[0] != '-' || word[1] == 0) {
            config->arguments[config->argument_count++] = word;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            config->help = true;
            return FM_OK;
        } else if (word[1] != '-') {
            return fm_fail(
                error, FM_INVALID_ARGUMENT,
                "unknown option %s; options are written --name, and a file named like one needs -- or ./ before it",
                word);
        } else {
            fm_status status = take_option(config, argc, argv, &i, error);
            if (status)
                return status;
        }
    }
    return FM_OK;
}

/* A list in one variable: items separated by ';'. */
static fm_status take_list_variable(struct config *config, enum option_id id, const char *text, const char *variable,
                                    fm_error *error) {
    char *copy = fm_arena_copy(&config->arena, text);
    if (!copy)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading %s", variable);
    for (char *item = copy; item;) {
        char *end = strchr(item, ';');
        if (end)
            *end = 0;
        fm_status status = *item ? fm_config_assign(config, id, item, SOURCE_ENVIRONMENT, variable, error) : FM_OK;
        if (status)
            return status;
        item = end ? end + 1 : NULL;
    }
    return FM_OK;
}

static fm_status take_environment(struct config *config, fm_error *error) {
    for (int i = 0; i < OPT_COUNT; i++) {
        enum option_id id = (enum option_id)i;
        const struct option_row *row = fm_option_row(id);
        char variable[80];
        if (!(row->commands & config->command->bit) || config->values[id].source == SOURCE_COMMAND)
            continue; /* a variable for another command, or one that does not matter, stops nobody */
        fm_option_variable(row->name, variable, sizeof variable);
        const char *text = fm_environment(variable);
        if (!text && row->alias) {
            fm_option_variable(row->alias, variable, sizeof variable);
            text = fm_environment(variable);
        }
        if (!text && fm_option_other_variable(id)) {
            snprintf(variable, sizeof variable, "%s", fm_option_other_variable(id));
            text = fm_environment(variable);
        }
        if (!text)
            continue;
        fm_status status = is_list(id) ? take_list_variable(config, id, text, variable, error)
                                       : fm_config_assign(config, id, text, SOURCE_ENVIRONMENT, variable, error);
        if (status)
            return status;
    }
    return FM_OK;
}

static fm_status take_file(struct config *config, fm_error *error) {
    const char *named = fm_config_text(config, OPT_CONFIG);
    char folder[4000], path[4096];
    if (named)
        return fm_config_read(config, named, error);
    if (fm_config_folder(folder, sizeof folder) && fm_path_join(path, sizeof path, folder, "config") &&
        fm_path_kind(path) == OS_PATH_FILE)
        return fm_config_read(config, path, error);
    return FM_OK;
}

fm_status fm_config_parse(struct config *config, const struct command_text *command, int argc, char **argv,
                          fm_error *error) {
    *config = (struct config){.command = command, .arena = {.limit = ARENA_LIMIT}};
    fm_status status = take_command_line(config, argc, argv, error);
    if (status || config->help)
        return status;
    /* The command line first: a bad variable that it overrules is nobody's business. */
    status = take_environment(config, error);
    return status ? status : take_file(config, error);
}

void fm_config_reset(struct config *config) {
    fm_arena_reset(&config->arena);
    *config = (struct config){0};
}

void fm_config_derive(struct config *child, const struct config *parent) {
    *child = *parent;
    child->arena = (struct arena){.limit = ARENA_LIMIT};
}

fm_status fm_config_set(struct config *config, const char *name, const char *value, const char *where,
                        fm_error *error) {
    enum option_id id = OPT_COUNT;
    bool negated = false;
    fm_status status = find_option(config->command, name, strlen(name), &id, &negated, error);
    if (status)
        return status;
    char *copy = fm_arena_copy(&config->arena, value);
    if (!copy)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading %s", where);
    return fm_config_assign(config, id, copy, SOURCE_COMMAND, where, error);
}

bool fm_config_given(const struct config *config, enum option_id id) {
    return config->values[id].source != SOURCE_DEFAULT;
}

const char *fm_config_text(const struct config *config, enum option_id id) {
    return fm_config_given(config, id) ? config->values[id].text : fm_option_row(id)->fallback;
}

bool fm_config_flag(const struct config *config, enum option_id id) {
    const char *text = fm_config_text(config, id);
    bool value = false;
    return text && fm_value_flag(text, &value) && value;
}

int64_t fm_config_integer(const struct config *config, enum option_id id) {
    const char *text = fm_config_text(config, id);
    uint64_t bytes = 0;
    if (text && fm_option_row(id)->type == OPTION_BYTES)
        return fm_value_bytes(text, &bytes) ? (int64_t)bytes : 0;
    return text ? strtoll(text, NULL, 10) : 0;
}

double fm_config_number(const struct config *config, enum option_id id) {
    const char *text = fm_config_text(config, id);
    return text ? strtod(text, NULL) : 0;
}

bool fm_config_is(const struct config *config, enum option_id id, const char *word) {
    const char *text = fm_config_text(config, id);
    return text && strcmp(text, word) == 0;
}

void fm_config_sizes(const struct config *config, enum option_id id, int *out, size_t room) {
    const char *text = fm_config_text(config, id);
    for (size_t i = 0; i < room; i++) {
        out[i] = 0;
        if (!text || !*text)
            continue;
        char *end = NULL;
        out[i] = (int)strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

const char *fm_config_source(const struct config *config, enum option_id id, char out[64]) {
    switch (config->values[id].source) {
    case SOURCE_COMMAND:
        snprintf(out, 64, "--%s", fm_option_row(id)->name);
        break;
    case SOURCE_ENVIRONMENT:
        fm_option_variable(fm_option_row(id)->name, out, 64);
        if (fm_option_other_variable(id) && !fm_environment(out))
            snprintf(out, 64, "%s", fm_option_other_variable(id));
        break;
    case SOURCE_FILE:
        snprintf(out, 64, "config");
        break;
    case SOURCE_DEFAULT:
        snprintf(out, 64, "default");
        break;
    }
    return out;
}
