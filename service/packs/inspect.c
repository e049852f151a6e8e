/* Inspect: what was put together is described and looked at before it takes anything's place. What a graph cannot tell
   is asked where somebody can answer, and said where nobody did. */
#include "packs/install.h"

#include "base/json_read.h"

#include <stdio.h>
#include <string.h>

#define MANIFEST "manifest.json"
#define MANIFEST_BYTES ((size_t)1 << 20)
#define WAY_OUT "say what it is: --model-option FILE:points=... --model-option FILE:side=... (docs/manifest.md)"

struct look {
    struct install_result *result;
    char bad[1024];
};

static void look_at(const fm_model_file *model, void *user) {
    struct look *look = user;
    if (model->licence[0])
        (void)snprintf(look->result->licence, sizeof look->result->licence, "%.127s", model->licence);
    look->result->networks++;
    look->result->useful += model->task[0] != 0 && model->status == FM_OK;
    look->result->detector |= strcmp(model->task, "detection") == 0;
    look->result->recogniser |= strcmp(model->task, "recognition") == 0;
    if (model->status != FM_OK && !look->bad[0])
        (void)snprintf(look->bad, sizeof look->bad, "%s: %s", model->file, model->note);
}

/* ---- nothing can be used */

static void add_reason(const fm_model_file *model, void *user) {
    struct text *reasons = user;
    const char *reason = model->note[0] ? model->note : "for nothing that is run here, as its manifest says";
    fm_text_add(reasons, "%s%s: %s", reasons->length ? "; " : "", model->file, reason);
}

/* A manifest that has just been written calls every file's task "none"; why that is so, the files say without it. */
static fm_status fail_unused(const char *folder, fm_error *error) {
    char path[OS_PATH_SIZE];
    struct text reasons = {0};
    fm_error ignored = {0};
    if (fm_path_join(path, sizeof path, folder, MANIFEST) && fm_file_remove(path))
        (void)!fm_pack_visit(folder, add_reason, &reasons, NULL, 0, &ignored);
    fm_status status =
        fm_fail(error, FM_BAD_MODEL, "nothing in it can be run here (%.1500s); nothing was installed; " WAY_OUT,
                fm_text_chars(&reasons));
    fm_text_reset(&reasons);
    return status;
}

/* ---- what a graph cannot tell */

/* NULL when there is none that can be read: describing the folder says why. */
static struct json_value *read_manifest(const char *folder) {
    char path[OS_PATH_SIZE];
    struct buffer bytes = {0};
    struct json_value *manifest = NULL;
    fm_error ignored = {0};
    if (fm_path_join(path, sizeof path, folder, MANIFEST) &&
        fm_file_read(path, MANIFEST_BYTES, &bytes, &ignored) == FM_OK)
        (void)!fm_json_read(bytes.bytes, bytes.size, MANIFEST_BYTES, path, &manifest, &ignored);
    fm_buffer_reset(&bytes);
    return manifest;
}

static const struct json_value *pixels_of(const struct json_value *manifest, const char *file) {
    const struct json_value *models = fm_json_member(manifest, "models");
    for (size_t i = 0; i < fm_json_count(models); i++) {
        const struct json_value *model = fm_json_item(models, i);
        const char *name = fm_json_text(fm_json_member(model, "file"));
        if (name && strcmp(name, file) == 0)
            return fm_json_member(model, "pixels");
    }
    return NULL;
}

/* Was `key` chosen, or in the manifest that the file came with? */
static bool was_said(const struct install_options *options, const struct json_value *before, const char *file,
                     const char *key) {
    for (size_t i = 0; i < options->draft.choice_count; i++) {
        if (strcmp(options->draft.choices[i].file, file) == 0 && strcmp(options->draft.choices[i].key, key) == 0)
            return true;
    }
    return fm_json_member(pixels_of(before, file), key) != NULL;
}

static void say_assumed(const struct install_options *options, const struct json_value *before,
                        const struct json_value *after, const char *file, bool answered) {
    static const char *const keys[] = {"order", "mean", "std"};
    const struct json_value *pixels = pixels_of(after, file);
    const bool inside = fm_json_value(fm_json_member(pixels, "mean"), 1) == 0; /* seen: the graph does it itself */
    struct text assumed = {0};
    for (size_t i = answered ? 1 : 0; i < sizeof keys / sizeof *keys; i++) {
        const struct json_value *value = fm_json_member(pixels, keys[i]);
        if (value == NULL || was_said(options, before, file, keys[i]) || (i > 0 && inside))
            continue;
        fm_text_add(&assumed, "%s%s ", assumed.length ? ", " : "", keys[i]);
        if (fm_json_text(value))
            fm_text_add(&assumed, "%s", fm_json_text(value));
        else
            fm_json_dump(value, &assumed);
    }
    if (assumed.length)
        fm_note(options->notes,
                "'%s': assumed %s; where it was trained with others, --model-option %s:KEY=VALUE says so "
                "(docs/manifest.md)",
                file, fm_text_chars(&assumed), file);
    fm_text_reset(&assumed);
}

/* Ask for the channel order of one recogniser and put the answer into the manifest. */
static fm_status ask_order(const char *folder, const struct install_options *options, const char *file, bool *answered,
                           fm_error *error) {
    fm_model_choice choice = {file, "order", options->ask_order(file, options->user)};
    fm_pack_draft draft = {.struct_size = sizeof draft, .name = options->name, .choices = &choice, .choice_count = 1};
    *answered = choice.value != NULL;
    return *answered ? fm_pack_describe(folder, &draft, error) : FM_OK;
}

/* `before` is the manifest that came with the files; NULL: none. */
static fm_status settle_pixels(const char *folder, const struct install_options *options,
                               const struct json_value *before, fm_error *error) {
    struct json_value *after = read_manifest(folder);
    const struct json_value *models = fm_json_member(after, "models");
    fm_status status = FM_OK;
    for (size_t i = 0; i < fm_json_count(models) && status == FM_OK; i++) {
        const struct json_value *model = fm_json_item(models, i);
        const char *file = fm_json_text(fm_json_member(model, "file"));
        const char *task = fm_json_text(fm_json_member(model, "task"));
        bool answered = false;
        if (!file || !task || strcmp(task, "recognition") != 0)
            continue;
        if (options->ask_order && !was_said(options, before, file, "order"))
            status = ask_order(folder, options, file, &answered, error);
        if (status == FM_OK)
            say_assumed(options, before, after, file, answered);
    }
    fm_json_free(after);
    return status;
}

/* ---- manifests of others */

static bool is_insightface(const struct json_value *manifest) {
    return !fm_json_member(manifest, "facemill_pack") &&
           fm_json_whole(fm_json_member(manifest, "manifest_version"), 0) == 2;
}

/* The folder is a copy: what is no manifest of a pack is left out of it, and the source keeps its own. */
static fm_status leave_foreign(const char *folder, const char *what, const struct notes *notes, fm_error *error) {
    char path[OS_PATH_SIZE];
    struct json_value *manifest = read_manifest(folder);
    bool foreign = manifest && !is_insightface(manifest) && !fm_json_member(manifest, "facemill_pack");
    fm_json_free(manifest);
    if (!foreign)
        return FM_OK;
    if (!fm_path_join(path, sizeof path, folder, MANIFEST) || !fm_file_remove(path))
        return fm_fail(error, FM_IO, "cannot remove '%s/" MANIFEST "'", folder);
    fm_note(notes, "%s: its '" MANIFEST "' is no manifest of a pack and is left out; a new one is written", what);
    return FM_OK;
}

static fm_status check_licence(const char *what, const struct install_options *options, const struct json_value *before,
                               fm_error *error) {
    const fm_pack_draft *draft = &options->draft;
    if (options->known || !is_insightface(before) || (!draft->licence && !draft->licence_url))
        return FM_OK;
    return fm_fail(error, FM_INVALID_ARGUMENT,
                   "%s has insightface's manifest, which is kept as it is with its own licence: no licence can be "
                   "given; leave --licence and --licence-url out; nothing was installed",
                   what);
}

/* ---- all of it */

static fm_status describe(const char *folder, const struct install_options *options, struct look *look,
                          fm_error *error) {
    fm_pack_draft draft = options->draft;
    fm_error why = {0};
    draft.struct_size = sizeof draft;
    draft.name = options->name;
    fm_status status = fm_pack_describe(folder, &draft, &why);
    if (status == FM_OK)
        status = fm_pack_visit(folder, look_at, look, NULL, 0, &why);
    if (status != FM_OK)
        return fm_fail(error, status, "%s; nothing was installed", why.message);
    if (look->bad[0])
        return fm_fail(error, FM_BAD_MODEL, "%s; nothing was installed", look->bad);
    return look->result->useful ? FM_OK : fail_unused(folder, error);
}

fm_status fm_place_inspect(const char *folder, const char *what, const struct install_options *options,
                           struct install_result *result, fm_error *error) {
    struct look look = {.result = result};
    fm_status status = leave_foreign(folder, what, options->notes, error);
    struct json_value *before = read_manifest(folder);
    if (status == FM_OK)
        status = check_licence(what, options, before, error);
    if (status == FM_OK)
        status = describe(folder, options, &look, error);
    if (status == FM_OK && (!result->detector || !result->recogniser))
        fm_note(options->notes, "the pack has no %s",
                result->detector ? "recogniser: it finds faces, but embeds none"
                                 : "detector: it embeds aligned faces alone");
    if (status == FM_OK && !options->known) /* what is known by name is known to be so */
        status = settle_pixels(folder, options, before, error);
    fm_json_free(before);
    return status;
}
