/* Help: --help of a command and --print-config, written from the option table. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#define HELP_WIDTH 100
#define HELP_INDENT 28

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_ENGINE] = "Models and providers",
    [GROUP_FACES] = "Faces",
    [GROUP_INPUT] = "Input",
    [GROUP_OUTPUT] = "Output",
    [GROUP_COMMAND] = "This command",
    [GROUP_SERVER] = "Server",
    [GROUP_GENERAL] = "General",
};

static const char *const type_names[] = {
    [OPTION_FLAG] = "flag",   [OPTION_TEXT] = "text",     [OPTION_INTEGER] = "integer", [OPTION_NUMBER] = "number",
    [OPTION_BYTES] = "bytes", [OPTION_CHOICE] = "choice", [OPTION_SIZES] = "sizes",     [OPTION_DEVICE] = "device",
    [OPTION_PAIR] = "pair",   [OPTION_LIST] = "list",
};

/* Append `words`, broken at spaces to HELP_WIDTH, lines after the first indented. */
static void add_wrapped(struct text *out, const char *words) {
    int column = HELP_INDENT;
    for (const char *word = words; *word;) {
        int length = (int)strcspn(word, " ");
        if (word != words && column + 1 + length > HELP_WIDTH) {
            fm_text_add(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (word != words) {
            fm_text_add(out, " ");
            column++;
        }
        fm_text_add(out, "%.*s", length, word);
        column += length;
        word += length + (word[length] == ' ');
    }
    fm_text_add(out, "\n");
}

static void add_option(const struct option_row *row, struct text *out) {
    char head[160], words[1200];
    const char *value = row->choices ? row->choices : row->value_name;
    snprintf(head, sizeof head, "  --%s%s%s", row->name, value ? " " : "", value ? value : "");
    int used = snprintf(words, sizeof words, "%s.", row->help);
    if (row->fallback)
        used += snprintf(words + used, sizeof words - (size_t)used, " [default %s]", row->fallback);
    if (row->alias)
        snprintf(words + used, sizeof words - (size_t)used, " [also --%s]", row->alias);
    fm_text_add(out, "%s", head);
    int column = (int)strlen(head);
    if (column + 2 > HELP_INDENT) {
        fm_text_add(out, "\n");
        column = 0;
    }
    fm_text_add(out, "%*s", HELP_INDENT - column, "");
    add_wrapped(out, words);
}

/* One line, or one for each way to use it where these would be too long for a line. */
static void add_usage(const struct command_text *command, struct text *out) {
    const char *rest = command->arguments;
    bool split = strlen(rest) > HELP_WIDTH - HELP_INDENT;
    for (const char *lead = "Usage:"; lead; lead = rest ? "      " : NULL) {
        const char *bar = split ? strstr(rest, " | ") : NULL;
        int length = bar ? (int)(bar - rest) : (int)strlen(rest);
        fm_text_add(out, "%s facemill %s [OPTION...]%s%.*s\n", lead, command->name, length ? " " : "", length, rest);
        rest = bar ? bar + 3 : NULL;
    }
}

void fm_config_help_sources(struct text *out) {
    fm_text_add(out, "Every option can be given in three places; the earlier wins:\n"
                     "  1. the command line: --det-size 640 or --det-size=640; flags: --recursive, --no-recursive\n"
                     "  2. the environment: FM_ and the name in upper case with _: FM_DET_SIZE=640, FM_RECURSIVE=yes;\n"
                     "     options that may be repeated take several values separated by ';'\n"
                     "  3. the config file: --config FILE, or FM_CONFIG, or 'config' in $XDG_CONFIG_HOME/facemill\n"
                     "     (~/.config/facemill), with lines 'det-size = 640'; lines starting with # are comments\n"
                     "Of an option that may be repeated the place that wins replaces every value of the others.\n"
                     "'--' ends the options. BYTES take K, M, G, T (powers of 1024).\n");
}

void fm_config_help(const struct command_text *command, struct text *out) {
    add_usage(command, out);
    fm_text_add(out, "\n%s.\n", command->summary);
    if (command->details[0])
        fm_text_add(out, "\n%s", command->details);
    for (int group = 0; group < GROUP_COUNT; group++) {
        bool titled = false;
        for (int id = 0; id < OPT_COUNT; id++) {
            const struct option_row *row = fm_option_row((enum option_id)id);
            if ((int)row->group != group || !(row->commands & command->bit))
                continue;
            if (!titled)
                fm_text_add(out, "\n%s:\n", group_titles[group]);
            titled = true;
            add_option(row, out);
        }
    }
    fm_text_add(out, "  --help%*sThis text.\n\n", HELP_INDENT - 8, "");
    fm_config_help_sources(out);
    fm_text_add(out, "\nExamples:\n%s", command->examples);
}

static void print_option(const struct config *config, enum option_id id, struct json *json) {
    const struct option_row *row = fm_option_row(id);
    const struct option_value *value = &config->values[id];
    static const char *const sources[] = {"default", "config", "environment", "command"};
    char variable[80];
    fm_option_variable(row->name, variable, sizeof variable);
    fm_json_object_open(json, NULL);
    fm_json_string(json, "option", row->name);
    if (value->items) {
        fm_json_array_open(json, "value");
        for (size_t i = 0; i < value->count; i++)
            fm_json_string(json, NULL, value->items[i]);
        fm_json_array_close(json);
    } else {
        fm_json_string(json, "value", fm_config_text(config, id));
    }
    fm_json_string(json, "source", sources[value->source]);
    fm_json_string(json, "environment", variable);
    fm_json_string(json, "alias", row->alias);
    fm_json_string(json, "type", type_names[row->type]);
    fm_json_string(json, "default", row->fallback);
    if (row->choices)
        fm_json_string(json, "choices", row->choices);
    if (row->type == OPTION_INTEGER || row->type == OPTION_NUMBER || row->type == OPTION_SIZES) {
        fm_json_number(json, "low", row->low);
        fm_json_number(json, "high", row->high);
    }
    fm_json_object_close(json);
}

void fm_config_print(const struct config *config, struct text *out) {
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_integer(&json, "output_version", OUTPUT_VERSION);
    fm_json_string(&json, "command", config->command->name);
    fm_json_string(&json, "config_file", config->file[0] ? config->file : NULL);
    fm_json_array_open(&json, "arguments");
    for (size_t i = 0; i < config->argument_count; i++)
        fm_json_string(&json, NULL, config->arguments[i]);
    fm_json_array_close(&json);
    fm_json_array_open(&json, "options");
    for (int id = 0; id < OPT_COUNT; id++) {
        if (fm_option_row((enum option_id)id)->commands & config->command->bit)
            print_option(config, (enum option_id)id, &json);
    }
    fm_json_array_close(&json);
    fm_json_object_close(&json);
    fm_text_add(out, "\n");
}
