/* Manifest: write one for a folder, by looking at its graphs. The text is put together twice: first what is there
   already and what was chosen, which is read as a manifest, so that every file can be looked at with the eyes of
   opening it; then again with what was seen. What is written has been read back first. */
#include <stdio.h>
#include <string.h>

#include "models/manifest_draft.h"

static const char *const scalars[] = {"name", "display_name", "source", "sha256",     "bytes",
                                      "task", "family",       "metric", "normalised", "labels"};
static const char *const groups[] = {"input", "pixels", "crop", "thresholds", "licence"};
#define SCALARS (sizeof scalars / sizeof *scalars)
#define GROUPS (sizeof groups / sizeof *groups)

/* ------------------------------------------------------------------ the text */

static void add_key(struct text *out, bool *any, const char *key) {
    struct json json = {.text = out};
    fm_text_add(out, *any ? ",\n" : "\n");
    fm_json_string(&json, NULL, key);
    fm_text_add(out, ": ");
    *any = true;
}

static void add_fact_or(const struct fact *fact, const struct json_value *value, struct text *out) {
    if (fact != NULL && (fact->wins || value == NULL)) {
        fm_text_add(out, "%s", fact->json);
    } else {
        fm_json_dump(value, out);
    }
}

/* `value` (NULL: nothing yet) with the facts of its group added. */
static void add_group(const struct entry *entry, const char *group, const struct json_value *value, struct text *out) {
    const char *key;
    bool any = false;
    fm_text_add(out, "{");
    for (size_t i = 0; i < fm_json_count(value); i++) {
        const struct json_value *member = fm_json_entry(value, i, &key);
        add_key(out, &any, key);
        add_fact_or(fm_fact_find(entry, group, key), member, out);
    }
    for (size_t i = 0; i < entry->fact_count; i++) {
        const struct fact *fact = &entry->facts[i];
        if (strcmp(fact->group, group) == 0 && fm_json_member(value, fact->member) == NULL) {
            add_key(out, &any, fact->member);
            fm_text_add(out, "%s", fact->json);
        }
    }
    fm_text_add(out, "}");
}

/* The group that a member is; NULL when it is none. */
static const char *group_of(const char *key) {
    for (size_t i = 0; i < GROUPS; i++) {
        if (strcmp(groups[i], strcmp(key, "license") == 0 ? "licence" : key) == 0) {
            return groups[i];
        }
    }
    return NULL;
}

static bool has_group(const struct json_value *object, const char *group) {
    return fm_json_member(object, group) != NULL ||
           (strcmp(group, "licence") == 0 && fm_json_member(object, "license") != NULL);
}

/* Members that the writer puts where they belong. */
static bool is_placed(const char *key) {
    return strcmp(key, "facemill_pack") == 0 || strcmp(key, "file") == 0 || strcmp(key, "models") == 0;
}

static bool has_facts(const struct entry *entry, const char *group) {
    for (size_t i = 0; i < entry->fact_count; i++) {
        if (strcmp(entry->facts[i].group, group) == 0) {
            return true;
        }
    }
    return false;
}

/* What stands there, in its order, then what is missing. */
static void add_members(const struct entry *entry, const struct json_value *object, bool *any, struct text *out) {
    const char *key;
    for (size_t i = 0; i < fm_json_count(object); i++) {
        const struct json_value *value = fm_json_entry(object, i, &key);
        const char *group = group_of(key);
        if (is_placed(key)) {
            continue;
        }
        add_key(out, any, key);
        if (group != NULL && fm_json_is_object(value)) {
            add_group(entry, group, value, out);
        } else {
            add_fact_or(fm_fact_find(entry, "", key), value, out);
        }
    }
    for (size_t i = 0; i < SCALARS; i++) {
        const struct fact *fact = fm_fact_find(entry, "", scalars[i]);
        if (fact != NULL && fm_json_member(object, scalars[i]) == NULL) {
            add_key(out, any, scalars[i]);
            fm_text_add(out, "%s", fact->json);
        }
    }
    for (size_t i = 0; i < GROUPS; i++) {
        if (!has_group(object, groups[i]) && has_facts(entry, groups[i])) {
            add_key(out, any, groups[i]);
            add_group(entry, groups[i], NULL, out);
        }
    }
}

static void add_text(const struct draft *draft, struct text *out) {
    const struct json_value *top = draft->before != NULL ? draft->before->tree : NULL;
    const struct json_value *models = fm_json_member(top, "models");
    bool any = true;
    fm_text_add(out, "{\"facemill_pack\": 1");
    add_members(&draft->top, top, &any, out);
    add_key(out, &any, "models");
    fm_text_add(out, "[");
    for (size_t i = 0; i < draft->count; i++) {
        bool inside = false;
        fm_text_add(out, i > 0 ? ",{" : "{");
        add_key(out, &inside, "file");
        struct json json = {.text = out};
        fm_json_string(&json, NULL, draft->entries[i].file);
        add_members(&draft->entries[i], fm_json_item(models, i), &inside, out);
        fm_text_add(out, "}");
    }
    fm_text_add(out, "]}");
}

/* The text as a manifest; *manifest is the caller's. */
static fm_status make_manifest(const struct draft *draft, struct manifest **manifest, fm_error *error) {
    struct text text = {0};
    char what[OS_PATH_SIZE + 64];
    fm_status status = FM_OK;
    *manifest = NULL;
    snprintf(what, sizeof what, "the manifest for '%s'", draft->folder);
    add_text(draft, &text);
    if (text.failed) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory for %s", what);
    } else {
        status = fm_manifest_parse(text.chars, text.length, what, manifest, error);
    }
    fm_text_reset(&text);
    return status;
}

/* ------------------------------------------------------------------ the draft */

static fm_status add_entry(struct draft *draft, const char *file, fm_error *error) {
    if (draft->count == FM_MANIFEST_MODELS) {
        return fm_fail(error, FM_LIMIT, "'%s' has more than %d .onnx files, which a manifest can list", draft->folder,
                       FM_MANIFEST_MODELS);
    }
    snprintf(draft->entries[draft->count].file, sizeof draft->entries[0].file, "%s", file);
    draft->count++;
    return FM_OK;
}

struct walk {
    struct draft *draft;
    fm_status status;
    fm_error *error;
};

/* Hidden files are other programs' business: what macOS leaves beside unpacked ones ends in .onnx too. */
static bool visit_file(const char *name, enum os_path_kind kind, void *user) {
    struct walk *walk = user;
    size_t length = strlen(name);
    if (kind == OS_PATH_FILE && name[0] != '.' && length > 5 && strcmp(name + length - 5, ".onnx") == 0 &&
        fm_manifest_model(walk->draft->before, name) == NULL) {
        walk->status = add_entry(walk->draft, name, walk->error);
    }
    return walk->status == FM_OK;
}

static fm_status list_entries(struct draft *draft, fm_error *error) {
    struct walk walk = {draft, FM_OK, error};
    fm_status status = FM_OK;
    for (size_t i = 0; status == FM_OK && draft->before != NULL && i < draft->before->model_count; i++) {
        status = add_entry(draft, draft->before->models[i].file, error);
    }
    if (status == FM_OK) {
        status = fm_folder_visit(draft->folder, visit_file, &walk, error);
    }
    if (status == FM_OK && walk.status != FM_OK) {
        status = walk.status;
    }
    if (status == FM_OK && draft->count == 0) {
        status = fm_fail(error, FM_NOT_FOUND, "'%s' holds no .onnx file; name the folder that does", draft->folder);
    }
    return status;
}

/* The folder's own name, also for "." */
static void folder_name(const char *folder, char *out, size_t size) {
    char real[OS_PATH_SIZE];
    const char *path = fm_path_real(folder, real, sizeof real) ? real : folder, *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    snprintf(out, size, "%s", name + strspn(name, "."));
}

static fm_status set_top(struct draft *draft, const fm_pack_draft *given, fm_error *error) {
    char name[128];
    folder_name(draft->folder, name, sizeof name);
    const struct {
        const char *group, *member, *value;
    } rows[] = {
        {"", "name", given->name != NULL ? given->name : name},
        {"", "display_name", given->display_name},
        {"", "source", given->source},
        {"licence", "name", given->licence},
        {"licence", "url", given->licence_url},
    };
    fm_status status = FM_OK;
    for (size_t i = 0; status == FM_OK && i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value != NULL && rows[i].value[0] != 0) {
            fm_error own = {FM_OK, ""}; /* which names a file, and there is none */
            status = fm_fact_add_text(&draft->top, rows[i].group, rows[i].member, rows[i].value, &own);
            if (status != FM_OK) {
                status = fm_fail(error, status, "the manifest for '%s' cannot have that %s%s%s: %s", draft->folder,
                                 rows[i].group, rows[i].group[0] != 0 ? " " : "", rows[i].member,
                                 own.message + strspn(own.message, "': "));
            }
        }
    }
    for (size_t i = 0; status == FM_OK && i < given->choice_count; i++) {
        status = fm_draft_choose(draft, &given->choices[i], error);
    }
    return status;
}

/* What is chosen must make a manifest by itself; then every file is looked at in its light. */
static fm_status look_at_files(struct draft *draft, fm_error *error) {
    struct manifest *chosen = NULL;
    fm_error own = {FM_OK, ""};
    fm_status status = make_manifest(draft, &chosen, &own);
    if (status != FM_OK) { /* what was there is good: so it is the caller's words that are not */
        return fm_fail(error, status == FM_BAD_MODEL ? FM_INVALID_ARGUMENT : status, "%s", own.message);
    }
    for (size_t i = 0; status == FM_OK && i < draft->count; i++) {
        status = fm_draft_look(draft, &draft->entries[i], &chosen->models[i], error);
    }
    fm_manifest_close(chosen);
    return status;
}

static fm_status write_draft(const struct draft *draft, fm_error *error) {
    char path[OS_PATH_SIZE];
    struct text text = {0};
    struct manifest *manifest = NULL;
    if (!fm_path_join(path, sizeof path, draft->folder, FM_MANIFEST_FILE)) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", draft->folder);
    }
    fm_status status = make_manifest(draft, &manifest, error);
    if (status != FM_OK) {
        return status;
    }
    fm_json_dump(manifest->tree, &text);
    fm_text_add(&text, "\n");
    if (text.failed || text.length > FM_MANIFEST_BYTES) {
        status = text.failed ? fm_fail(error, FM_OUT_OF_MEMORY, "no memory for '%s'", path)
                             : fm_fail(error, FM_LIMIT, "'%s' would be larger than 1 MiB", path);
    } else {
        status = fm_file_write(path, text.chars, text.length, error);
    }
    fm_text_reset(&text);
    fm_manifest_close(manifest);
    return status;
}

/* ---------------------------------------------------------------------- public */

/* *done: there is nothing to write. */
static fm_status read_before(struct draft *draft, const fm_pack_draft *given, bool *done, fm_error *error) {
    char path[OS_PATH_SIZE];
    if (fm_path_kind(draft->folder) != OS_PATH_FOLDER) {
        return fm_fail(error, FM_NOT_FOUND, "there is no folder '%s'", draft->folder);
    }
    fm_status status = fm_manifest_read(draft->folder, &draft->before, error);
    if (status != FM_OK) {
        return status;
    }
    if (draft->before == NULL) {
        bool there =
            fm_path_join(path, sizeof path, draft->folder, FM_MANIFEST_FILE) && fm_path_kind(path) != OS_PATH_NONE;
        return !there ? FM_OK
                      : fm_fail(error, FM_BAD_MODEL,
                                "'%s' is no manifest of a pack and will not be overwritten; move it away", path);
    }
    *done = draft->before->kind == MANIFEST_INSIGHTFACE;
    if (*done && given->choice_count > 0) {
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%s' has insightface's manifest, which is kept as it is: '%s' cannot be chosen", draft->folder,
                       given->choices[0].key != NULL ? given->choices[0].key : "");
    }
    return FM_OK;
}

fm_status fm_pack_describe(const char *folder, const fm_pack_draft *given_or_null, fm_error *error) {
    fm_pack_draft given = {.struct_size = sizeof given};
    bool done = false;
    fm_error_clear(error);
    if (folder == NULL || (given_or_null != NULL && given_or_null->struct_size == 0)) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_pack_describe needs a folder, and a draft with its struct_size");
    }
    if (given_or_null != NULL) {
        memcpy(&given, given_or_null,
               given_or_null->struct_size < sizeof given ? given_or_null->struct_size : sizeof given);
    }
    struct draft *draft = fm_alloc(sizeof *draft);
    struct entry *entries = fm_alloc_array(FM_MANIFEST_MODELS, sizeof *entries);
    fm_status status = FM_OK;
    if (draft == NULL || entries == NULL) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory to describe '%s'", folder);
        goto cleanup;
    }
    draft->entries = entries;
    if ((size_t)snprintf(draft->folder, sizeof draft->folder, "%s", folder) >= sizeof draft->folder) {
        status = fm_fail(error, FM_INVALID_ARGUMENT, "the folder's path is longer than %zu characters",
                         sizeof draft->folder - 1);
        goto cleanup;
    }
    status = read_before(draft, &given, &done, error);
    if (status != FM_OK || done) {
        goto cleanup;
    }
    status = list_entries(draft, error);
    status = status == FM_OK ? set_top(draft, &given, error) : status;
    status = status == FM_OK ? look_at_files(draft, error) : status;
    status = status == FM_OK ? write_draft(draft, error) : status;
cleanup:
    if (draft != NULL) {
        fm_manifest_close(draft->before);
    }
    fm_free(entries);
    fm_free(draft);
    return status;
}
