/* Pack: open a folder of ONNX files (or one file), route each, keep the first of every task. What is passed over is
   noted with its reason; only a file that was named itself is an error. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/sha256.h"
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
    fm_status status = fm_folder_visit(pack->path, list_entry, listing, error);
    if (status == FM_OK && listing->count == 0 && listing->nested) {
        char inner[sizeof pack->path];
        if (!fm_path_join(inner, sizeof inner, pack->path, pack->name)) {
            return fm_fail(error, FM_INVALID_ARGUMENT, "the path of pack '%s' is too long", pack->path);
        }
        snprintf(pack->path, sizeof pack->path, "%s", inner);
        listing->nested_name = NULL;
        status = fm_folder_visit(pack->path, list_entry, listing, error);
    }
    if (status == FM_OK && listing->count == 0) {
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
    fm_status status = family->describe(graph, model, error);
    if (status == FM_OK) {
        hash_model(model);
    }
    return status;
}

/* Read `model->path` and put the model into its task's place, or say in `note` why not. FM_BAD_MODEL and the like are
   the file's own failure. */
static fm_status load_model(struct pack *pack, struct model *model, char *note, size_t note_size, bool *taken,
                            fm_error *error) {
    struct graph *graph = NULL;
    *taken = false;
    fm_status status = fm_file_read(model->path, MAX_MODEL_BYTES, &model->bytes, error);
    if (status == FM_OK) {
        status = fm_graph_read(model->bytes.bytes, model->bytes.size, model->file, &graph, error);
    }
    if (status != FM_OK) {
        return status;
    }
    const struct model_family *family = fm_route(graph, note, note_size);
    struct model *holder = family != NULL ? pack->tasks[family->task] : NULL;
    if (holder != NULL) {
        snprintf(note, note_size, "%s by '%.200s' already: not used", fm_task_name(family->task), holder->file);
    } else if (family != NULL) {
        status = describe_model(graph, family, model, error);
        *taken = status == FM_OK;
    }
    fm_graph_close(graph);
    if (*taken) {
        pack->tasks[family->task] = model;
    }
    return status;
}

/* A file of a folder fails for itself only; lack of memory fails the pack. */
static fm_status add_file(struct pack *pack, const char *folder, const char *name, bool alone, struct logger *logger,
                          fm_error *error) {
    char note[512] = "";
    fm_error own = {FM_OK, ""};
    bool taken = false;
    struct model *model = fm_alloc(sizeof *model);
    if (model == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to open '%s'", name);
    }
    snprintf(model->file, sizeof model->file, "%s", name);
    fm_status status = FM_OK;
    if (!fm_path_join(model->path, sizeof model->path, folder, name)) {
        status = fm_fail(&own, FM_INVALID_ARGUMENT, "the path of '%s' is too long", name);
    } else {
        status = load_model(pack, model, note, sizeof note, &taken, &own);
    }
    if (!taken) {
        free_model(model);
    }
    if (status != FM_OK && (alone || status == FM_OUT_OF_MEMORY)) {
        return fm_fail(error, status == FM_IO ? FM_BAD_MODEL : status, "%s", own.message);
    }
    if (!taken) {
        pack->damaged = pack->damaged || status != FM_OK;
        add_note(pack, logger, status != FM_OK ? FM_LOG_WARN : FM_LOG_INFO, name, status != FM_OK ? own.message : note);
    }
    return FM_OK;
}

static fm_status add_folder(struct pack *pack, struct logger *logger, fm_error *error) {
    struct listing listing = {.names = fm_alloc_array(MAX_FILES, sizeof *listing.names)};
    if (listing.names == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to list the pack '%s'", pack->path);
    }
    fm_status status = list_files(pack, &listing, error);
    if (listing.count == MAX_FILES) {
        add_note(pack, logger, FM_LOG_WARN, pack->name, "more than 256 .onnx files: the rest was not looked at");
    }
    for (size_t i = 0; status == FM_OK && i < listing.count; i++) {
        status = add_file(pack, pack->path, listing.names[i], false, logger, error);
    }
    fm_free(listing.names);
    return status;
}

/* A single file: its folder is the part before the last slash. */
static fm_status add_single(struct pack *pack, struct logger *logger, fm_error *error) {
    char folder[sizeof pack->path];
    const char *name = last_part(pack->path);
    size_t length = (size_t)(name - pack->path);
    snprintf(folder, sizeof folder, "%.*s", (int)length, length > 0 ? pack->path : "");
    return add_file(pack, length > 0 ? folder : ".", name, true, logger, error);
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
    switch (fm_path_kind(pack->path)) {
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
        }
    }
    add_field(&sha, precision);
    add_field(&sha, decode_mode);
    fm_sha256_hex(&sha, hex);
}
