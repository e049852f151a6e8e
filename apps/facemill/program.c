/* What every sub-command has in common: exit codes, complaints, and an engine out of the options. */
#include "program.h"
#include "record.h"

#include "base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fm_exit_code(fm_status status) {
    switch (status) {
    case FM_OK:
        return EXIT_DONE;
    case FM_INVALID_ARGUMENT:
        return EXIT_USAGE;
    case FM_NOT_FOUND:
    case FM_UNSUPPORTED:
    case FM_BAD_MODEL:
    case FM_NO_PROVIDER:
    case FM_PROVIDER_FAILED:
        return EXIT_UNAVAILABLE;
    case FM_BAD_IMAGE:
    case FM_TRUNCATED:
    case FM_LIMIT:
    case FM_DEADLINE:
        return EXIT_INPUTS;
    case FM_OUT_OF_MEMORY:
    case FM_IO:
    case FM_BUSY:
    case FM_CANCELLED:
    case FM_CLOSED:
    case FM_INTERNAL:
        break;
    }
    return EXIT_INTERNAL;
}

void fm_help_place(const char *section, char out[HELP_SIZE]) {
    snprintf(out, HELP_SIZE, "troubleshooting.md#%s", section);
}

void fm_json_help(struct json *json, fm_status status) {
    char place[HELP_SIZE];
    fm_help_place(fm_status_name(status), place);
    fm_json_string(json, "help", place);
}

void fm_complain_help(const struct config *config, fm_status status) {
    char place[HELP_SIZE];
    fm_help_place(fm_status_name(status), place);
    if (!config || !fm_config_flag(config, OPT_QUIET))
        fprintf(stderr, "facemill: help: %s\n", place);
}

void fm_show(const char *words) {
    struct text text = {0};
    fm_text_add_visible(&text, words);
    fputs(text.failed ? "(out of memory for these words)" : fm_text_chars(&text), stderr);
    fm_text_reset(&text);
}

void fm_say(const char *words) {
    fputs("facemill: ", stderr);
    fm_show(words);
    fputs("\n", stderr);
}

int fm_complain(const struct config *config, const fm_error *error) {
    fm_say(error->message[0] ? error->message : fm_status_name(error->status));
    fm_complain_help(config, error->status);
    return fm_exit_code(error->status);
}

int fm_complain_usage(const struct config *config, const char *format, ...) {
    char words[4096];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    fputs("facemill: ", stderr);
    fm_show(words);
    fprintf(stderr, "; see 'facemill %s --help'\n", config->command->name);
    fm_complain_help(config, FM_INVALID_ARGUMENT);
    return EXIT_USAGE;
}

fm_log_level fm_program_log_level(const struct config *config) {
    static const char *const words[] = {"debug", "info", "warn", "error", "off"};
    if (fm_config_flag(config, OPT_QUIET) && !fm_config_given(config, OPT_LOG_LEVEL))
        return FM_LOG_ERROR;
    for (int i = 0; i < 5; i++) {
        if (fm_config_is(config, OPT_LOG_LEVEL, words[i]))
            return (fm_log_level)(FM_LOG_DEBUG + i);
    }
    return FM_LOG_DEFAULT;
}

static fm_precision precision(const struct config *config) {
    static const char *const words[] = {"auto", "fp32", "fp16", "bf16", "int8"};
    for (int i = 0; i < 5; i++) {
        if (fm_config_is(config, OPT_PRECISION, words[i]))
            return (fm_precision)i;
    }
    return FM_PRECISION_AUTO;
}

static fm_policy policy(const struct config *config) {
    static const char *const words[] = {"strict", "ordered", "auto"};
    for (int i = 0; i < 3; i++) {
        if (fm_config_is(config, OPT_POLICY, words[i]))
            return (fm_policy)(FM_POLICY_STRICT + i);
    }
    return FM_POLICY_DEFAULT;
}

fm_limits fm_program_limits(const struct config *config) {
    return (fm_limits){.struct_size = sizeof(fm_limits),
                       .max_file_bytes = (uint64_t)fm_config_integer(config, OPT_MAX_FILE_SIZE),
                       .max_pixels = (uint64_t)fm_config_integer(config, OPT_MAX_PIXELS),
                       .max_width = (int)fm_config_integer(config, OPT_MAX_WIDTH),
                       .max_height = (int)fm_config_integer(config, OPT_MAX_HEIGHT),
                       .accept_truncated = fm_config_flag(config, OPT_ACCEPT_TRUNCATED)};
}

/* "ort:cuda:device_id=1" into its three strings. */
static fm_status add_provider_options(struct engine_settings *settings, const struct config *config, fm_error *error) {
    const struct option_value *value = &config->values[OPT_PROVIDER_OPTION];
    fm_provider_option *made = fm_arena_alloc(&settings->arena, (value->count + 1) * sizeof *made);
    if (!made)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading --provider-option");
    for (size_t i = 0; i < value->count; i++) {
        size_t colon = 0, equals = 0;
        char *text = fm_arena_copy(&settings->arena, value->items[i]);
        if (!text || !fm_value_pair(text, &colon, &equals))
            return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading --provider-option");
        text[colon] = text[equals] = 0;
        made[i] = (fm_provider_option){text, text + colon + 1, text + equals + 1};
    }
    settings->options.provider_options = made;
    settings->options.provider_option_count = value->count;
    return FM_OK;
}

fm_status fm_program_settings(struct engine_settings *settings, const struct config *config, fm_error *error) {
    *settings = (struct engine_settings){.arena = {.limit = (size_t)4 << 20}};
    fm_engine_options *options = &settings->options;
    settings->limits = fm_program_limits(config);
    const char *device = fm_config_text(config, OPT_DEVICE);
    *options = (fm_engine_options){
        .struct_size = sizeof *options,
        .pack = fm_config_text(config, OPT_PACK),
        .providers = fm_config_text(config, OPT_PROVIDER),
        .policy = policy(config),
        .ort_library = fm_config_text(config, OPT_ORT_LIBRARY),
        .gpu_mem_limit = (uint64_t)fm_config_integer(config, OPT_GPU_MEM_LIMIT),
        .precision = precision(config),
        .threads = (int)fm_config_integer(config, OPT_THREADS),
        .batch = (int)fm_config_integer(config, OPT_BATCH),
        .det_threshold = (float)fm_config_number(config, OPT_DET_THRESHOLD),
        .max_faces = (int)fm_config_integer(config, OPT_MAX_FACES),
        .face_metric = fm_config_is(config, OPT_FACE_METRIC, "area") ? FM_METRIC_AREA : FM_METRIC_CENTRE,
        .min_face = (float)fm_config_number(config, OPT_MIN_FACE),
        .limits = &settings->limits,
        .queue_depth = (int)fm_config_integer(config, OPT_QUEUE_DEPTH),
        .log_level = fm_program_log_level(config),
        .cpu_mask = fm_config_text(config, OPT_CPU_MASK),
    };
    if (config->values[OPT_ORT_LIBRARY].source == SOURCE_ENVIRONMENT)
        options->ort_library = NULL; /* the library reads FM_ORT_LIBRARY itself and then says so */
    if (device)
        options->device = strcmp(device, "cpu") == 0 ? FM_DEVICE_CPU : 1 + (int)fm_config_integer(config, OPT_DEVICE);
    if (options->pack)
        options->pack_source = fm_config_source(config, OPT_PACK, settings->pack_source);
    fm_config_sizes(config, OPT_DET_SIZE, options->det_sizes, FM_MAX_DET_SIZES);
    return add_provider_options(settings, config, error);
}

void fm_program_settings_reset(struct engine_settings *settings) {
    fm_arena_reset(&settings->arena);
}

fm_status fm_program_open(const struct config *config, fm_engine **engine, fm_error *error) {
    struct engine_settings settings;
    fm_status status = fm_program_settings(&settings, config, error);
    if (!status)
        status = fm_engine_open(&settings.options, engine, error);
    fm_program_settings_reset(&settings);
    return status;
}

void fm_tell_builtin(struct program *program, const fm_engine *engine) {
    fm_pack_info pack = fm_engine_pack(engine);
    if (program->told_builtin || strcmp(pack.reason, PACK_BUILTIN_REASON) != 0 ||
        fm_config_flag(&program->config, OPT_QUIET))
        return;
    program->told_builtin = true;
    fprintf(stderr,
            "facemill: pack '%s' is built in and small, for trying things; a stronger one, once you accept its licence "
            "(non-commercial research): facemill models pull " PACK_STRONGER "\n",
            pack.name);
}

const char *fm_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void fm_model_stem(const char *file, char *out, size_t size) {
    const char *dot = strrchr(file, '.');
    size_t length = dot && strcmp(dot, ".onnx") == 0 ? (size_t)(dot - file) : strlen(file);
    snprintf(out, size, "%.*s", (int)length, file);
}
