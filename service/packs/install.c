/* Install: a pack is put together beside its place, on the same file system, looked at, waited for until it is on the
   disk, and then gets its name by one rename. Until then nothing that was there is touched. One thread. */
#include "packs/install.h"

#include "base/text.h"
#include "packs/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 4 /* folders inside folders that are looked into */

/* ---- folders as a source */

struct walk {
    struct members *members;
    const char *root;
    char inside[OS_PATH_SIZE]; /* below root, with its slash */
    int depth;
    fm_status status;
    fm_error *error;
};

static bool walk_entry(const char *name, enum os_path_kind kind, void *user) {
    struct walk *walk = user;
    char path[OS_PATH_SIZE], inside[OS_PATH_SIZE];
    (void)snprintf(inside, sizeof inside, "%s%s", walk->inside, name);
    if (name[0] == '.' || !fm_path_join(path, sizeof path, walk->root, inside))
        return true;
    if (kind == OS_PATH_FILE) {
        walk->status = fm_members_add(walk->members, inside, fm_file_size(path), 0, walk->error);
    } else if (kind == OS_PATH_FOLDER && walk->depth < DEPTH) {
        struct walk below = {walk->members, walk->root, "", walk->depth + 1, FM_OK, walk->error};
        if (snprintf(below.inside, sizeof below.inside, "%s/", inside) < (int)sizeof below.inside) {
            walk->status = fm_folder_visit(path, walk_entry, &below, walk->error);
            walk->status = walk->status ? walk->status : below.status;
        }
    }
    return walk->status == FM_OK;
}

static fm_status copy_member(const char *source, const struct member *member, const char *folder, fm_error *error) {
    char from[OS_PATH_SIZE], to[OS_PATH_SIZE], parent[OS_PATH_SIZE];
    const char *slash = strrchr(member->target, '/');
    if (!fm_path_join(from, sizeof from, source, member->path) ||
        !fm_path_join(to, sizeof to, folder, member->target) ||
        snprintf(parent, sizeof parent, "%s/%.*s", folder, slash ? (int)(slash - member->target) : 0, member->target) >=
            (int)sizeof parent)
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", member->path);
    fm_status status = slash ? fm_folder_make(parent, error) : FM_OK;
    return status ? status : fm_file_copy(from, to, PACK_MAX_FILE, error);
}

static fm_status copy_folder(const char *source, const char *what, const char *folder, const struct notes *notes,
                             fm_error *error) {
    struct members *members = fm_alloc(sizeof *members);
    if (members == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory listing '%s'", source);
    members->source = what;
    struct walk walk = {members, source, "", 0, FM_OK, error};
    fm_status status = fm_folder_visit(source, walk_entry, &walk, error);
    if (status == FM_OK)
        status = walk.status;
    if (status == FM_OK)
        status = fm_members_choose(members, notes, error);
    uint64_t total = fm_members_total(members), free_bytes = fm_free_space(folder);
    if (status == FM_OK && total > free_bytes)
        status = fm_fail(error, FM_IO,
                         "no room for %s: %" PRIu64 " bytes are needed in '%s', %" PRIu64 " are free; make "
                         "room and try again",
                         what, total, folder, free_bytes);
    for (size_t i = 0; i < members->count && status == FM_OK; i++) {
        if (members->items[i].target)
            status = copy_member(source, &members->items[i], folder, error);
    }
    fm_members_reset(members);
    fm_free(members);
    return status;
}

/* ---- one pack */

/* File name for a single network: that of the source, or of the URL it was fetched from. */
static void network_name(const char *source, const struct install_options *options, char *out, size_t size) {
    const char *from = options->known && options->known->url ? options->known->url : source;
    const char *slash = strrchr(from, '/');
    const char *name = slash ? slash + 1 : from;
    size_t length = strcspn(name, "?#");
    if (length > 5 && strncmp(name + length - 5, ".onnx", 5) == 0 && name[0] != '.')
        (void)snprintf(out, size, "%.*s", (int)length, name);
    else
        (void)snprintf(out, size, "%s.onnx", options->name);
}

static fm_status bring(const char *source, const char *what, const char *folder, const struct install_options *options,
                       struct install_result *result, fm_error *error) {
    char name[OS_PATH_SIZE], to[OS_PATH_SIZE];
    size_t length = strlen(source);
    switch (fm_path_kind(source)) {
    case OS_PATH_NONE:
        return fm_fail(error, FM_NOT_FOUND, "there is no file or folder '%s'; check the path", source);
    case OS_PATH_FOLDER:
        return copy_folder(source, what, folder, options->notes, error);
    case OS_PATH_FILE:
        break;
    default:
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s' is neither a file nor a folder", source);
    }
    fm_status status = result->sha256[0] ? FM_OK : fm_place_digest(source, result->sha256, error);
    if (status != FM_OK)
        return status;
    if (fm_archive_is_one(source))
        return fm_archive_unpack(source, what, folder, options->notes, error);
    if (!options->known && (length <= 5 || strcmp(source + length - 5, ".onnx") != 0))
        return fm_fail(error, FM_BAD_MODEL, "'%s' is neither a zip file nor a .onnx file nor a folder of them", source);
    network_name(source, options, name, sizeof name);
    if (!fm_path_join(to, sizeof to, folder, name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", source);
    return fm_file_copy(source, to, PACK_MAX_FILE, error);
}

static fm_status check_known_files(const char *folder, const struct install_options *options,
                                   struct install_result *result, fm_error *error) {
    for (size_t i = 0; options->known && i < KNOWN_MEMBERS && options->known->members[i].file; i++) {
        const struct known_file *file = &options->known->members[i];
        char path[OS_PATH_SIZE], sha256[65];
        if (!fm_path_join(path, sizeof path, folder, file->file) || fm_path_kind(path) != OS_PATH_FILE)
            continue;
        fm_status status = fm_place_digest(path, sha256, error);
        if (status != FM_OK)
            return status;
        result->digest_wrong = strcmp(sha256, file->sha256) != 0;
        if (result->digest_wrong)
            return fm_fail(error, FM_BAD_MODEL,
                           "'%s' in '%s' has SHA-256 %s, expected %s: it is another file, nothing was "
                           "installed",
                           file->file, options->name, sha256, file->sha256);
    }
    return FM_OK;
}

static fm_status write_receipt(const char *folder, const struct install_options *options,
                               const struct install_result *result, fm_error *error) {
    char path[OS_PATH_SIZE];
    struct text text = {0};
    struct json json = {.text = &text};
    if (!fm_path_join(path, sizeof path, folder, ".installed.json"))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", folder);
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "source", options->draft.source);
    fm_json_string(&json, "sha256", result->sha256[0] ? result->sha256 : NULL);
    fm_json_object_close(&json);
    fm_text_add(&text, "\n");
    fm_status status = text.failed ? fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for '%s'", path)
                                   : fm_file_write(path, text.chars, text.length, error);
    fm_text_reset(&text);
    return status;
}

/* ---- words about the source */

/* One "'STAGED" or "'STAGED/FILE" of an archive or a single file, from behind STAGED on; returns what comes next. */
static const char *add_what(struct text *text, const char *behind, const char *what, bool packed) {
    const bool inside = behind[0] == '/';
    if (text->length && text->chars[text->length - 1] == '\'')
        text->chars[--text->length] = 0; /* `what` has its own quotes */
    fm_text_add(text, "%s%s", what, inside && packed ? " entry '" : "");
    if (!inside || !packed)
        behind += strcspn(behind, "'");
    return behind + (behind[0] == '/' || behind[0] == '\'');
}

/* The folder that a pack is put together in is gone when its words are read: they name the source instead, and where
   nothing could be written, the place that it was meant for. */
static void name_source(const char *staged, const char *target, const char *source, const char *what, fm_error *error) {
    const bool folder = fm_path_kind(source) == OS_PATH_FOLDER, packed = !folder && fm_archive_is_one(source);
    const size_t length = strlen(staged);
    size_t bare = strlen(source);
    const char *at = error->message;
    struct text text = {0};
    while (bare > 1 && source[bare - 1] == '/')
        bare--;
    for (const char *found = strstr(at, staged); found; found = strstr(at, staged)) {
        fm_text_add_bytes(&text, at, (size_t)(found - at));
        at = found + length;
        if (error->status == FM_IO)
            fm_text_add(&text, "%s", target);
        else if (folder)
            fm_text_add_bytes(&text, source, bare);
        else
            at = add_what(&text, at, what, packed);
    }
    fm_text_add(&text, "%s", at);
    const char *words = fm_text_chars(&text);
    const bool unnamed = packed && error->status != FM_IO && !strstr(words, what);
    if (!text.failed)
        (void)snprintf(error->message, sizeof error->message, "%s%s%s", unnamed ? what : "", unnamed ? ": " : "",
                       words);
    fm_text_reset(&text);
}

/* ---- into its place */

static bool make_template(char out[OS_PATH_SIZE], const struct place *place, const char *prefix, const char *name) {
    return snprintf(out, OS_PATH_SIZE, "%s/%s%s.XXXXXX", place->packs, prefix, name) < OS_PATH_SIZE;
}

/* Where folders cannot be exchanged: two renames, and a way back that the next run finds, too. */
static fm_status swap(const struct place *place, const char *name, const char *staged, fm_error *error) {
    char old[OS_PATH_SIZE], inner[OS_PATH_SIZE];
    if (!make_template(old, place, ".old-", name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    fm_status status = fm_folder_make_unique(old, error);
    if (status != FM_OK)
        return status;
    if (!fm_path_join(inner, sizeof inner, old, "pack"))
        status = fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    if (status == FM_OK)
        status = fm_folder_rename(place->target, inner, error);
    if (status == FM_OK) {
        status = fm_folder_rename(staged, place->target, error);
        fm_error ignored = {0};
        if (status != FM_OK && fm_folder_rename(inner, place->target, &ignored) != FM_OK)
            return status; /* the old pack stays in .old-*, where the next run looks for it */
    }
    fm_folder_remove(old);
    return status;
}

static fm_status put_in_place(struct place *place, const struct install_options *options, const char *staged,
                              struct install_result *result, fm_error *error) {
    fm_error why = {0};
    result->replaced = fm_path_exists(place->target);
    if (!result->replaced)
        return fm_folder_rename(staged, place->target, error);
    fm_status status = fm_folder_exchange(staged, place->target, &why);
    if (status == FM_UNSUPPORTED)
        return swap(place, options->name, staged, error);
    if (status != FM_OK)
        return fm_fail(error, status, "%s", why.message);
    fm_folder_remove(staged); /* the old one by now */
    return FM_OK;
}

static fm_status check_free(const struct place *place, const struct install_options *options, fm_error *error) {
    if (!fm_path_exists(place->target))
        return FM_OK;
    if (!options->replace)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "a pack '%s' is installed ('%s'); --replace puts the new one into its place, --name gives it "
                       "another name",
                       options->name, place->target);
    if (fm_path_is_link(place->target) || fm_path_kind(place->target) != OS_PATH_FOLDER)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%s' is no folder but a link or file; 'facemill models remove %s' "
                       "takes it away",
                       place->target, options->name);
    return FM_OK;
}

/* All of the pack, in the folder `staged`. */
static fm_status put_together(const char *staged, const char *source, const char *what,
                              const struct install_options *options, struct install_result *result, fm_error *error) {
    fm_status status = bring(source, what, staged, options, result, error);
    if (status == FM_OK)
        status = check_known_files(staged, options, result, error);
    if (status == FM_OK)
        status = write_receipt(staged, options, result, error);
    if (status == FM_OK)
        status = fm_place_inspect(staged, what, options, result, error);
    if (status == FM_OK)
        status = fm_pull_check_used(staged, options, result, error);
    return status ? status : fm_folder_sync(staged, error);
}

fm_status fm_place_fill(struct place *place, const char *source, const char *what,
                        const struct install_options *options, struct install_result *result, fm_error *error) {
    char staged[OS_PATH_SIZE];
    fm_status status = check_free(place, options, error);
    (void)snprintf(result->path, sizeof result->path, "%s", place->target);
    if (status != FM_OK)
        return status;
    if (!make_template(staged, place, ".new-", options->name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    status = fm_folder_make_unique(staged, error);
    if (status != FM_OK)
        return status;
    status = put_together(staged, source, what, options, result, error);
    if (status != FM_OK && error)
        name_source(staged, place->target, source, what, error);
    if (status == FM_OK && options->interrupted && atomic_load(options->interrupted))
        status = fm_fail(error, FM_CANCELLED, "interrupted: nothing was installed");
    if (status == FM_OK)
        status = put_in_place(place, options, staged, result, error);
    if (status != FM_OK)
        fm_folder_remove(staged);
    return status;
}

fm_status fm_install_add(const char *source, const struct install_options *options, struct install_result *result,
                         fm_error *error) {
    struct place place;
    char what[OS_PATH_SIZE + 2];
    *result = (struct install_result){.sha256 = ""};
    (void)snprintf(what, sizeof what, "'%s'", source);
    fm_status status = fm_place_take(&place, options->name, options->notes, options->interrupted, error);
    if (status != FM_OK)
        return status;
    status = fm_place_fill(&place, source, what, options, result, error);
    fm_place_release(&place);
    return status;
}

/* ---- removing */

static fm_status put_away(const struct place *place, const char *name, fm_error *error) {
    char gone[OS_PATH_SIZE], inner[OS_PATH_SIZE];
    if (!make_template(gone, place, ".gone-", name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    fm_status status = fm_folder_make_unique(gone, error);
    if (status != FM_OK)
        return status;
    status = fm_path_join(inner, sizeof inner, gone, "pack")
                 ? fm_folder_rename(place->target, inner, error)
                 : fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    fm_folder_remove(gone);
    return status;
}

fm_status fm_install_remove(const char *name, const struct notes *notes, const atomic_int *interrupted,
                            struct install_result *result, fm_error *error) {
    struct place place;
    *result = (struct install_result){.sha256 = ""};
    fm_status status = fm_place_take(&place, name, notes, interrupted, error);
    if (status != FM_OK)
        return status;
    (void)snprintf(result->path, sizeof result->path, "%s", place.target);
    bool part = fm_path_exists(place.part);
    bool there = fm_path_exists(place.target);
    if (!there && !part)
        status = fm_fail(error, FM_NOT_FOUND,
                         "no pack '%s' is installed in '%s'; 'facemill models list' shows those that are", name,
                         place.packs);
    else if (there && (fm_path_is_link(place.target) || fm_path_kind(place.target) != OS_PATH_FOLDER)) {
        fm_note(notes, "'%s' is a link or file: that alone is removed, not what it leads to", place.target);
        status = fm_file_remove(place.target) ? FM_OK : fm_fail(error, FM_IO, "cannot remove '%s'", place.target);
    } else if (there)
        status = put_away(&place, name, error);
    if (status == FM_OK && part)
        fm_note(notes, "what had been fetched of '%s' is removed, too", name);
    if (status == FM_OK && (!fm_file_remove(place.part) || !fm_file_remove(place.sidecar)))
        status = fm_fail(error, FM_IO, "cannot remove '%s'", place.part);
    fm_place_release(&place);
    return status;
}
