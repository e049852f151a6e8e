/* facemill models pull: what is to be fetched, under which terms, and whether they are accepted, before the first byte.
 */
#include "models.h"

#include <stdio.h>
#include <string.h>

static fm_status fail_unknown(const struct known_index *index, const char *name, fm_error *error) {
    struct text names = {0};
    for (size_t i = 0; i < index->count; i++)
        fm_text_add(&names, "%s%s", names.length ? ", " : "", index->packs[i].name);
    for (size_t i = 0; fm_known_row(i); i++)
        fm_text_add(&names, "%s%s", names.length ? ", " : "", fm_known_row(i)->name);
    fm_status status =
        fm_fail(error, FM_NOT_FOUND,
                "no pack '%s' is known here, only %s; --index FILE names others, 'facemill models add' takes "
                "what you have fetched yourself",
                name, fm_text_chars(&names));
    fm_text_reset(&names);
    return status;
}

/* What is being accepted is said with --quiet, too: nobody can accept what was not shown. */
static void say_terms(const char *words, void *user) {
    fm_talk_hide(user);
    fm_say(words);
}

static void show_terms(struct talk *talk, const struct known_pack *known) {
    const struct notes notes = {say_terms, talk};
    fm_note(&notes, "%s: licence %s%s%s; %s", known->name, known->licence, known->licence_url ? ", " : "",
            known->licence_url ? known->licence_url : "", known->terms);
    if (known->sha256)
        return;
    struct text files = {0};
    for (size_t i = 0; i < KNOWN_MEMBERS && known->members[i].file; i++)
        fm_text_add(&files, "%s%s", files.length ? ", " : "", known->members[i].file);
    if (files.length)
        fm_note(&notes, "%s: no published digest of the whole, only of %s: the rest cannot be compared with anything",
                known->name, fm_text_chars(&files));
    else
        fm_note(&notes, "%s: no published digest: what comes cannot be compared with anything", known->name);
    fm_text_reset(&files);
}

static void show(struct talk *talk, const struct known_pack *known, const char *mirror) {
    char size[48];
    fm_note(&talk->notes, "%s: %s", known->name, known->about);
    fm_note(&talk->notes, "  from     %s%s%s", known->url, mirror ? ", by way of " : "", mirror ? mirror : "");
    fm_note(&talk->notes, "  size     %s", fm_models_size(known, size));
    if (known->sha256)
        fm_note(&talk->notes, "  SHA-256  %s", known->sha256);
    show_terms(talk, known);
}

static fm_status accept(struct talk *talk, const struct known_pack *known, fm_error *error) {
    char answer[16] = "";
    if (fm_config_flag(&talk->program->config, OPT_ACCEPT_LICENSE))
        return FM_OK;
    if (talk->asks && fm_talk_ask(talk, "Do you accept this licence (yes/no)? ", answer, sizeof answer) &&
        (strcmp(answer, "yes") == 0 || strcmp(answer, "y") == 0))
        return FM_OK;
    if (atomic_load(&talk->program->interrupted))
        return fm_fail(error, FM_CANCELLED, "interrupted: nothing was fetched");
    return fm_fail(
        error, FM_INVALID_ARGUMENT,
        "the licence of '%s' (%s%s%s) is not accepted: nothing was fetched; read it, then --accept-license says "
        "that you do",
        known->name, known->licence, known->licence_url ? ", " : "", known->licence_url ? known->licence_url : "");
}

static fm_status pull(struct talk *talk, const struct known_pack *known, struct output *output, bool *failed,
                      fm_error *error) {
    const struct config *config = &talk->program->config;
    struct install_result result = {.sha256 = ""};
    const char *file = known->url ? strrchr(known->url, '/') : NULL;
    fm_model_choice choice = {file ? file + 1 : "", known->choice_key, known->choice_value};
    struct install_options options = {.name = known->name,
                                      .replace = fm_config_flag(config, OPT_REPLACE),
                                      .draft = {.struct_size = sizeof options.draft,
                                                .licence = known->licence,
                                                .licence_url = known->licence_url,
                                                .source = known->url,
                                                .choices = &choice,
                                                .choice_count = known->choice_key ? 1 : 0},
                                      .known = known,
                                      .mirror = fm_config_text(config, OPT_MIRROR),
                                      .notes = &talk->notes,
                                      .interrupted = &talk->program->interrupted,
                                      .progress = fm_talk_progress,
                                      .user = talk};
    bool same = false, there = fm_install_has(known, &same);
    fm_status status = FM_OK;
    if ((!there || !same || options.replace) && !known->not_here && known->url) {
        show(talk, known, options.mirror);
        status = accept(talk, known, error);
    }
    if (status == FM_OK)
        status = fm_install_pull(&options, &result, error);
    fm_talk_hide(talk);
    *failed = status != FM_OK && result.digest_wrong;
    if (status == FM_OK && result.already)
        fm_note(&talk->notes, "'%s' is already installed, digest equal", known->name);
    else if (status == FM_OK)
        fm_talk_shadow(talk, known->name);
    if (status == FM_OK)
        fm_models_report(output, known->name,
                         result.already    ? "already installed"
                         : result.replaced ? "replaced"
                                           : "installed",
                         &result, known->licence);
    return status;
}

fm_status fm_models_pull(struct program *program, struct output *output, bool *failed, fm_error *error) {
    const struct config *config = &program->config;
    struct known_index index = {0};
    struct talk talk;
    if (config->argument_count < 2)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "models pull takes the name of a known pack; 'facemill models list' "
                       "shows them");
    fm_talk_init(&talk, program);
    fm_status status = fm_models_index(config, &index, error);
    if (status != FM_OK)
        return status;
    const struct known_pack *known = fm_known_find(&index, config->arguments[1]);
    status = known ? pull(&talk, known, output, failed, error) : fail_unknown(&index, config->arguments[1], error);
    fm_known_reset(&index);
    return status;
}
