/* Pack: open a folder of ONNX files (or one file), route each, keep the first of every task. What is passed over is
   noted with its reason; an error is only a file that was named itself, by the caller or by the folder's manifest: then
   it is known what it should have been. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/sha256.h"
#include "models/builtin.h"
#include "models/route.h"

#define MAX_MODEL_BYTES ((uint64_t)INT32_MAX)
#define MAX_FILES 256

/* Changes whenever equal pixels would give other faces or vectors: it is part of the pack's id (RECIPES D1, D2, D15).
 */
#define RECIPE_VERSION "facemill 1: resize D15, scrfd D1, align D2 double, warp bilinear double"

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_onnx(const char *name) {
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".onnx") == 0;
}

static void add_note(struct pack *pack, struct logger *logger, fm_log_level level, const char *file, const char *why) {
    size_t used = strlen(pack->notes);
    snprintf(pack->notes + used, sizeof pack->notes - used, "%s%s: %s", used > 0 ? "\n" : "", file, why);
    fm_log(logger, level, "pack", "%s: %s", file, why);
}

/* --------------------------------------------------------------------- files */

struct listing {
    char (*names)[256];
    size_t count;
    bool nested; /* a folder of the wanted name is inside */
    const char *nested_name;
};

static bool has_manifest_file(const char *folder) {
    char path[OS_PATH_SIZE];
    return fm_path_join(path, sizeof path, folder, FM_MANIFEST_FILE) && fm_pack_path_kind(path) == OS_PATH_FILE;
}

/* pack->manifest, where the folder has one of a kind that is known. */
static fm_status read_manifest(struct pack *pack, const char *folder, struct logger *logger, fm_error *error) {
    fm_status status = fm_manifest_read(folder, &pack->manifest, error);
    if (status == FM_OK && pack->manifest == NULL && has_manifest_file(folder)) {
        add_note(pack, logger, FM_LOG_INFO, FM_MANIFEST_FILE,
                 "neither facemill's nor insightface's V2: the files are told apart by shape");
    }
    return status;
}

static bool list_entry(const char *name, enum os_path_kind kind, void *user) {
    struct listing *listing = user;
    if (kind == OS_PATH_FOLDER) {
        listing->nested = listing->nested || (listing->nested_name != NULL && strcmp(name, listing->nested_name) == 0);
    } else if (kind == OS_PATH_FILE && is_onnx(name) && strlen(name) < sizeof *listing->names) {
        snprintf(listing->names[listing->count++], sizeof *listing->names, "%s", name);
    }
    return listing->count < MAX_FILES;
}

/* The ONNX files of pack->path in name order. An archive that unpacks into a folder of its own name leaves one folder
   inside the other (antelopev2 does): then the inner one is the pack. */
static fm_status list_files(struct pack *pack, struct listing *listing, fm_error *error) {
    listing->nested_name = pack->name;
    fm_status status = fm_pack_folder_visit(pack->path, list_entry, listing, error);
    if (status == FM_OK && listing->count == 0 && listing->nested && !has_manifest_file(pack->path)) {
        char inner[sizeof pack->path];
        if (!fm_path_join(inner, sizeof inner, pack->path, pack->name)) {
            return fm_fail(error, FM_INVALID_ARGUMENT, "the path of pack '%s' is too long", pack->path);
        }
        snprintf(pack->path, sizeof pack->path, "%s", inner);
        listing->nested_name = NULL;
        status = fm_pack_folder_visit(pack->path, list_entry, listing, error);
    }
    if (status == FM_OK && listing->count == 0 && !has_manifest_file(pack->path)) {
        status = fm_fail(error, FM_NOT_FOUND, "pack '%s' holds no .onnx file; name the folder that does", pack->path);
    }
    return status;
}

/* -------------------------------------------------------------------- models */

static void free_model(struct model *model) {
    if (model != NULL) {
        fm_buffer_reset(&model->bytes);
        fm_free(model);
    }
}

static void hash_model(struct model *model) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, model->bytes.bytes, model->bytes.size);
    fm_sha256_hex(&sha, model->sha256);
}

static fm_status describe_model(const struct graph *graph, const struct model_family *family, struct model *model,
                                fm_error *error) {
    model->family = family;
    model->task = family->task;
    if (model->sha256[0] == 0) {
        hash_model(model);
    }
    fm_status status = family->describe(graph, model, error);
    return status == FM_OK ? fm_model_override(model, error) : status;
}

/* The bytes just read are those that will run: what they are now is what counts. */
static fm_status check_damage(struct model *model, fm_error *error) {
    static const char remedy[] = "the file is damaged or another one; see 'facemill models verify', and install the "
                                 "pack again";
    const struct manifest_model *said = model->said;
    if (said != NULL && said->sha256[0] != 0) {
        hash_model(model);
        if (strcmp(said->sha256, model->sha256) != 0) {
            return fm_fail(error, FM_BAD_MODEL, "'%s' has SHA-256 %s, its manifest says %s: %s", model->file,
                           model->sha256, said->sha256, remedy);
        }
    }
    if (said != NULL && said->bytes > 0 && said->bytes != model->bytes.size) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' has %zu bytes, its manifest says %llu: %s", model->file,
                       model->bytes.size, (unsigned long long)said->bytes, remedy);
    }
    return FM_OK;
}

static fm_status read_model(struct model *model, struct graph **graph, fm_error *error) {
    fm_status status = fm_pack_file_read(model->path, MAX_MODEL_BYTES, &model->bytes, error);
    if (status == FM_OK) {
        status = check_damage(model, error);
    }
    return status == FM_OK ? fm_graph_read(model->bytes.bytes, model->bytes.size, model->file, graph, error) : status;
}

/* Read `model->path` and put the model into its task's place, or say in `note` why not. FM_BAD_MODEL and the like are
   the file's own failure. */
static fm_status load_model(struct pack *pack, struct model *model, char *note, size_t note_size, bool *taken,
                            fm_error *error) {
    struct graph *graph = NULL;
    *taken = false;
    fm_status status = read_model(model, &graph, error);
    if (status != FM_OK) {
        return status;
    }
    const struct model_family *family = fm_route_said(graph, model->said, note, note_size);
    struct model *holder = family != NULL ? pack->tasks[family->task] : NULL;
    if (holder != NULL) {
        snprintf(note, note_size, "%s by '%.200s' already: not used", fm_task_name(family->task), holder->file);
    } else if (family != NULL) {
        status = describe_model(graph, family, model, error);
        *taken = status == FM_OK;
    } else if (fm_route_is_claimed(model->said)) {
        status = fm_fail(error, FM_BAD_MODEL, "'%s': %s", model->file, note);
    }
    fm_graph_close(graph);
    if (*taken) {
        pack->tasks[family->task] = model;
    }
    return status;
}

/* A file of a folder fails for itself only, unless it was named; lack of memory fails the pack. */
static fm_status add_file(struct pack *pack, const char *folder, const char *name, bool named, struct logger *logger,
                          fm_error *error) {
    char note[512] = "";
    fm_error own = {FM_OK, ""};
    bool taken = false;
    struct model *model = fm_alloc(sizeof *model);
    if (model == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to open '%s'", name);
    }
    snprintf(model->file, sizeof model->file, "%s", name);
    model->said = fm_manifest_model(pack->manifest, name);
    fm_status status = FM_OK;
    if (!fm_path_join(model->path, sizeof model->path, folder, name)) {
        status = fm_fail(&own, FM_INVALID_ARGUMENT, "the path of '%s' is too long", name);
    } else {
        status = load_model(pack, model, note, sizeof note, &taken, &own);
    }
    if (!taken) {
        free_model(model);
    }
    if (status != FM_OK && (named || status == FM_OUT_OF_MEMORY)) {
        return fm_fail(error, status == FM_IO ? FM_BAD_MODEL : status, "%s", own.message);
    }
    if (!taken) {
        pack->damaged = pack->damaged || status != FM_OK;
        add_note(pack, logger, status != FM_OK ? FM_LOG_WARN : FM_LOG_INFO, name, status != FM_OK ? own.message : note);
    }
    return FM_OK;
}

/* ------------------------------------------------------------- with a manifest */

/* Is the task taken, so that the entry needs not be read? */
static const struct model *holder_of(const struct pack *pack, const struct manifest_model *said) {
    for (size_t i = 0; said->task[0] != 0 && i < FM_TASKS; i++) {
        if (pack->tasks[i] != NULL && strcmp(said->task, fm_task_name(pack->tasks[i]->task)) == 0) {
            return pack->tasks[i];
        }
    }
    return NULL;
}

/* What is not run is not read either: only that it is there. */
static void note_unused(struct pack *pack, const struct manifest_model *said, const char *path, struct logger *logger) {
    char note[512];
    const struct model *holder = holder_of(pack, said);
    if (fm_pack_path_kind(path) != OS_PATH_FILE) {
        add_note(pack, logger, FM_LOG_WARN, said->file, "listed in the manifest, but not there; not used anyway");
        return;
    }
    if (holder != NULL) {
        snprintf(note, sizeof note, "%s by '%.200s' already: not used", said->task, holder->file);
    } else {
        fm_route_unused(said, note, sizeof note);
    }
    add_note(pack, logger, FM_LOG_INFO, said->file, note);
}

static fm_status add_listed(struct pack *pack, const struct manifest_model *said, struct logger *logger,
                            fm_error *error) {
    char path[OS_PATH_SIZE];
    if (!fm_path_join(path, sizeof path, pack->path, said->file)) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", said->file);
    }
    bool by_shape = said->task[0] == 0 && said->family[0] == 0;
    if (holder_of(pack, said) != NULL || (!by_shape && !fm_route_is_claimed(said))) {
        note_unused(pack, said, path, logger);
        return FM_OK;
    }
    if (fm_pack_path_kind(path) == OS_PATH_NONE) {
        return fm_fail(
            error, FM_BAD_MODEL,
            "pack '%s' has no file '%s', which its manifest lists; install the pack again, or take the entry "
            "out of " FM_MANIFEST_FILE,
            pack->path, said->file);
    }
    return add_file(pack, pack->path, said->file, true, logger, error);
}

/* The manifest's files in its order, and words about the others. */
static fm_status add_manifest(struct pack *pack, const struct listing *listing, struct logger *logger,
                              fm_error *error) {
    const struct manifest *manifest = pack->manifest;
    fm_status status = FM_OK;
    for (size_t i = 0; status == FM_OK && i < manifest->model_count; i++) {
        status = add_listed(pack, &manifest->models[i], logger, error);
    }
    for (size_t i = 0; status == FM_OK && i < listing->count; i++) {
        if (fm_manifest_model(manifest, listing->names[i]) == NULL) {
            add_note(pack, logger, FM_LOG_INFO, listing->names[i], "not listed in " FM_MANIFEST_FILE ": not used");
        }
    }
    return status;
}

/* What the manifest says of the pack as a whole. */
static void describe_pack(struct pack *pack) {
    const struct manifest *manifest = pack->manifest;
    const struct model *recogniser = pack->tasks[MODEL_RECOGNITION];
    const struct manifest_model *said = recogniser != NULL ? recogniser->said : NULL;
    if (manifest == NULL) {
        return;
    }
    if (manifest->name[0] != 0) {
        snprintf(pack->name, sizeof pack->name, "%s", manifest->name);
    }
    snprintf(pack->licence, sizeof pack->licence, "%s", manifest->licence);
    snprintf(pack->licence_url, sizeof pack->licence_url, "%s", manifest->licence_url);
    if (said == NULL) {
        return;
    }
    snprintf(pack->metric, sizeof pack->metric, "%s", said->metric);
    pack->match_threshold = said->match_threshold;
    if (said->match_threshold > 0 && strcmp(said->metric, "euclidean") == 0) {
        /* |a - b|^2 = 2 - 2 cos, for vectors of length 1 */
        pack->match_threshold = 1 - said->match_threshold * said->match_threshold / 2;
    }
}

/* ---------------------------------------------------------- folders and files */

static fm_status add_files(struct pack *pack, const struct listing *listing, struct logger *logger, fm_error *error) {
    fm_status status = FM_OK;
    if (listing->count == MAX_FILES) {
        add_note(pack, logger, FM_LOG_WARN, pack->name, "more than 256 .onnx files: the rest was not looked at");
    }
    for (size_t i = 0; status == FM_OK && i < listing->count; i++) {
        status = add_file(pack, pack->path, listing->names[i], false, logger, error);
    }
    return status;
}

static fm_status add_folder(struct pack *pack, struct logger *logger, fm_error *error) {
    struct listing listing = {.names = fm_alloc_array(MAX_FILES, sizeof *listing.names)};
    if (listing.names == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to list the pack '%s'", pack->path);
    }
    fm_status status = list_files(pack, &listing, error);
    if (status == FM_OK) {
        status = read_manifest(pack, pack->path, logger, error);
    }
    if (status == FM_OK && pack->manifest != NULL) {
        status = add_manifest(pack, &listing, logger, error);
    } else if (status == FM_OK && listing.count == 0) {
        status = fm_fail(error, FM_NOT_FOUND, "pack '%s' holds no .onnx file; name the folder that does", pack->path);
    } else if (status == FM_OK) {
        status = add_files(pack, &listing, logger, error);
    }
    fm_free(listing.names);
    return status;
}

/* A single file: its folder is the part before the last slash. A manifest there that lists the file says how it is run,
   as it does for the whole pack. */
static fm_status add_single(struct pack *pack, struct logger *logger, fm_error *error) {
    char folder[sizeof pack->path];
    const char *name = last_part(pack->path);
    size_t length = (size_t)(name - pack->path);
    snprintf(folder, sizeof folder, "%.*s", length > 0 ? (int)length : 1, length > 0 ? pack->path : ".");
    fm_status status = read_manifest(pack, folder, logger, error);
    if (status == FM_OK && fm_manifest_model(pack->manifest, name) == NULL) {
        fm_manifest_close(pack->manifest);
        pack->manifest = NULL;
    }
    return status == FM_OK ? add_file(pack, folder, name, true, logger, error) : status;
}

/* ---------------------------------------------------------------------- open */

static fm_status set_name(struct pack *pack, const char *path, const char *reason, fm_error *error) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    if (length >= sizeof pack->path) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the pack's path is longer than %zu characters",
                       sizeof pack->path - 1);
    }
    char real[4096];
    memcpy(pack->path, path, length);
    const char *name = last_part(pack->path);
    if ((strcmp(name, ".") == 0 || strcmp(name, "..") == 0) && fm_path_real(pack->path, real, sizeof real)) {
        name = last_part(real); /* "--pack ." is called what the folder is called */
    }
    if (name == pack->path && fm_builtin_is(name)) {
        name += sizeof FM_BUILTIN_PREFIX - 1;
    }
    snprintf(pack->name, sizeof pack->name, "%.*s", (int)sizeof pack->name - 1, name);
    snprintf(pack->reason, sizeof pack->reason, "%s", reason != NULL ? reason : "");
    return FM_OK;
}

static bool is_empty(const struct pack *pack) {
    for (size_t i = 0; i < FM_TASKS; i++) {
        if (pack->tasks[i] != NULL) {
            return false;
        }
    }
    return true;
}

fm_status fm_pack_open(const char *path, const char *reason, struct logger *logger, struct pack **out,
                       fm_error *error) {
    *out = NULL;
    struct pack *pack = fm_alloc(sizeof *pack);
    if (pack == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to open the pack '%s'", path);
    }
    fm_status status = set_name(pack, path, reason, error);
    if (status != FM_OK) {
        goto cleanup;
    }
    switch (fm_pack_path_kind(pack->path)) {
    case OS_PATH_FOLDER:
        status = add_folder(pack, logger, error);
        break;
    case OS_PATH_FILE:
        status = add_single(pack, logger, error);
        break;
    default:
        status = fm_fail(error, FM_NOT_FOUND, "there is no pack at '%s'; name a folder of .onnx files", path);
    }
    if (status == FM_OK && is_empty(pack)) {
        status = fm_fail(error, FM_BAD_MODEL, "nothing in pack '%s' can be used: %s", path, pack->notes);
    }
    /* A damaged file may have been the model that is missing: half an answer must not look like a whole one. */
    if (status == FM_OK && pack->damaged && (!pack->tasks[MODEL_DETECTION] || !pack->tasks[MODEL_RECOGNITION])) {
        status = fm_fail(error, FM_BAD_MODEL, "pack '%s' has a file that cannot be read, and no %s: %s", path,
                         pack->tasks[MODEL_DETECTION] ? "recogniser" : "detector", pack->notes);
    }
    if (status == FM_OK) {
        describe_pack(pack);
        *out = pack;
        pack = NULL;
    }
cleanup:
    fm_pack_close(pack);
    return status;
}

void fm_pack_close(struct pack *pack) {
    for (size_t i = 0; pack != NULL && i < FM_TASKS; i++) {
        free_model(pack->tasks[i]);
    }
    if (pack != NULL) {
        fm_manifest_close(pack->manifest);
    }
    fm_free(pack);
}

/* Fields are ended by a NUL, so that no two different lists read the same. */
static void add_field(struct sha256 *sha, const char *text) {
    fm_sha256_add(sha, text, strlen(text) + 1);
}

void fm_pack_id(const struct pack *pack, const char *precision, const char *decode_mode, char hex[65]) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    add_field(&sha, RECIPE_VERSION);
    for (size_t i = 0; i < FM_TASKS; i++) {
        const struct model *model = pack->tasks[i];
        if (model != NULL) {
            add_field(&sha, fm_task_name(model->task));
            add_field(&sha, model->family->name);
            add_field(&sha, model->sha256);
            if (model->changed[0] != 0) { /* packs that change nothing keep the id they had without a manifest */
                add_field(&sha, model->changed);
            }
        }
    }
    add_field(&sha, precision);
    add_field(&sha, decode_mode);
    fm_sha256_hex(&sha, hex);
}
