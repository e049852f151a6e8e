/* facemill models add and remove. */
#include "models.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN "unknown"

/* "buffalo_l" of "/downloads/buffalo_l.zip", "my_pack" of "./my_pack/" and of "." inside it. */
static void default_name(const char *source, char *out, size_t size) {
    char real[OS_PATH_SIZE];
    const char *base = fm_base_name(fm_path_real(source, real, sizeof real) ? real : source);
    size_t length = strlen(base);
    const char *dot = strrchr(base, '.');
    if (fm_path_kind(source) == OS_PATH_FILE && dot && (strcmp(dot, ".zip") == 0 || strcmp(dot, ".onnx") == 0))
        length = (size_t)(dot - base);
    (void)snprintf(out, size, "%.*s", (int)length, base);
}

/* --model-option FILE:KEY=VALUE, with the strings in `arena`. */
static fm_status take_choices(const struct config *config, struct arena *arena, fm_pack_draft *draft, fm_error *error) {
    const struct option_value *value = &config->values[OPT_MODEL_OPTION];
    fm_model_choice *choices = fm_arena_alloc(arena, (value->count + 1) * sizeof *choices);
    bool good = choices != NULL;
    for (size_t i = 0; i < value->count && good; i++) {
        size_t colon = 0, equals = 0;
        char *text = fm_arena_copy(arena, value->items[i]);
        good = text && fm_value_pair(text, &colon, &equals);
        if (good) {
            text[colon] = text[equals] = 0;
            choices[i] = (fm_model_choice){text, text + colon + 1, text + equals + 1};
        }
    }
    draft->choices = choices;
    draft->choice_count = good ? value->count : 0;
    return good ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading --model-option");
}

/* Name and licence, from options, from somebody who is there, or as they are by default. */
struct answers {
    char name[256], licence[256];
};

static void ask(struct talk *talk, const char *source, struct answers *answers) {
    const struct config *config = &talk->program->config;
    const char *name = fm_config_text(config, OPT_NAME), *licence = fm_config_text(config, OPT_LICENCE);
    char question[512], answer[256] = "";
    default_name(source, answers->name, sizeof answers->name);
    (void)snprintf(question, sizeof question, "Name of the pack [%.200s]: ", answers->name);
    if (name)
        (void)snprintf(answers->name, sizeof answers->name, "%s", name);
    else if (talk->asks && fm_talk_ask(talk, question, answer, sizeof answer) && answer[0])
        (void)snprintf(answers->name, sizeof answers->name, "%s", answer);
    (void)snprintf(answers->licence, sizeof answers->licence, "%s", licence ? licence : "");
    if (!licence && talk->asks &&
        fm_talk_ask(talk, "Licence that the models came with [unknown]: ", answer, sizeof answer))
        (void)snprintf(answers->licence, sizeof answers->licence, "%s", answer);
}

static fm_status check_licence(const struct answers *answers, const struct config *config, fm_error *error) {
    const char *given = fm_config_text(config, OPT_LICENCE);
    size_t length = strlen(given ? given : answers->licence);
    return length <= PACK_LICENCE_BYTES
               ? FM_OK
               : fm_fail(error, FM_INVALID_ARGUMENT,
                         "the licence has %zu bytes, at most %d are kept: give its name as --licence, and as "
                         "--licence-url where its text is",
                         length, PACK_LICENCE_BYTES);
}

/* For install_options.ask_order; `user` is the struct talk. */
static const char *ask_order(const char *file, void *user) {
    char question[512], answer[16];
    (void)snprintf(question, sizeof question, "Channel order that '%.300s' was trained with, rgb or bgr [rgb]: ", file);
    while (fm_talk_ask(user, question, answer, sizeof answer)) {
        if (answer[0] == 0 || strcmp(answer, "rgb") == 0)
            return "rgb";
        if (strcmp(answer, "bgr") == 0)
            return "bgr";
    }
    return NULL;
}

fm_status fm_models_add(struct program *program, struct output *output, bool *failed, fm_error *error) {
    const struct config *config = &program->config;
    struct talk talk;
    struct answers answers;
    struct arena arena = {.limit = (size_t)4 << 20};
    struct install_result result;
    if (config->argument_count < 2)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "models add takes a .onnx file, a folder or a zip file; see 'facemill "
                       "models --help'");
    const char *source = config->arguments[1];
    fm_talk_init(&talk, program);
    if (fm_path_kind(source) == OS_PATH_NONE && fm_models_is_builtin(source))
        return fm_fail(error, FM_UNSUPPORTED,
                       "pack '%s' is part of the program and needs no installing: --pack %s takes it as it is", source,
                       source);
    if (fm_path_kind(source) == OS_PATH_NONE)
        return fm_fail(error, FM_NOT_FOUND, "there is no file or folder '%s'; check the path", source);
    ask(&talk, source, &answers);
    struct install_options options = {.name = answers.name,
                                      .replace = fm_config_flag(config, OPT_REPLACE),
                                      .draft = {.struct_size = sizeof options.draft,
                                                .licence = answers.licence[0] ? answers.licence : NULL,
                                                .licence_url = fm_config_text(config, OPT_LICENCE_URL)},
                                      .notes = &talk.notes,
                                      .interrupted = &program->interrupted,
                                      .ask_order = talk.asks ? ask_order : NULL,
                                      .user = &talk};
    fm_status status = check_licence(&answers, config, error);
    if (status == FM_OK)
        status = take_choices(config, &arena, &options.draft, error);
    if (status == FM_OK)
        status = fm_install_add(source, &options, &result, error);
    *failed = status != FM_OK && result.digest_wrong;
    if (status == FM_OK && !answers.licence[0] && !result.licence[0])
        fm_note(&talk.notes,
                "the licence of '%s' is unknown; --licence puts it into the manifest, and it is yours to find "
                "out what it allows",
                answers.name);
    if (status == FM_OK)
        fm_talk_shadow(&talk, answers.name);
    if (status == FM_OK)
        fm_models_report(output, answers.name, result.replaced ? "replaced" : "installed", &result,
                         answers.licence[0]  ? answers.licence
                         : result.licence[0] ? result.licence
                                             : UNKNOWN);
    fm_arena_reset(&arena);
    return status;
}

fm_status fm_models_remove(struct program *program, struct output *output, bool *failed, fm_error *error) {
    const struct config *config = &program->config;
    struct talk talk;
    struct install_result result;
    (void)failed;
    if (config->argument_count < 2)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "models remove takes the name of an installed pack; 'facemill models "
                       "list' shows them");
    fm_talk_init(&talk, program);
    const char *name = config->arguments[1];
    fm_error why = {0};
    fm_status status = fm_pack_name_is_good(name) || !fm_models_is_builtin(name)
                           ? fm_install_remove(name, &talk.notes, &program->interrupted, &result, &why)
                           : FM_NOT_FOUND;
    if (status == FM_NOT_FOUND && fm_models_is_builtin(name))
        status = fm_fail(error, FM_UNSUPPORTED,
                         "pack '%s' is part of the program and cannot be removed; a pack that is named or installed is "
                         "used instead of it",
                         name);
    else if (status != FM_OK)
        status = fm_fail(error, status, "%s", why.message);
    else
        fm_models_report(output, name, "removed", &result, NULL);
    return status;
}
