/* Find: where a pack is. A path is taken as it is; a name is looked up among the installed packs, then among
   insightface's, last inside the library; without either, FM_PACK and the installed packs are asked before the one
   that is built in. A failure says what was looked at. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/text.h"
#include "models/builtin.h"
#include "models/pack.h"

#define PATH_SIZE 4096

/* Where packs with names are. */
static bool packs_folder(char *out, size_t size) {
    char folder[PATH_SIZE];
    return fm_data_folder(folder, sizeof folder) && fm_path_join(out, size, folder, "packs");
}

static bool insightface_folder(char *out, size_t size) {
    char home[PATH_SIZE];
    return fm_home_folder(home, sizeof home) && fm_path_join(out, size, home, ".insightface/models");
}

static fm_status found(const char *at, const char *why, char *path, size_t path_size, char *reason, size_t reason_size,
                       fm_error *error) {
    if (strlen(at) >= path_size) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the pack's path is longer than %zu characters", path_size - 1);
    }
    snprintf(path, path_size, "%s", at);
    snprintf(reason, reason_size, "%s", why);
    return FM_OK;
}

static bool exists(const char *path) {
    enum os_path_kind kind = fm_pack_path_kind(path);
    return kind == OS_PATH_FOLDER || kind == OS_PATH_FILE;
}

/* "~/packs/x" as a config file may have it: no shell expands that one. */
static bool expand_home(const char *wanted, char *out, size_t size) {
    char home[PATH_SIZE];
    if (strncmp(wanted, "~/", 2) == 0 && fm_home_folder(home, sizeof home)) {
        return fm_path_join(out, size, home, wanted + 2);
    }
    return (size_t)snprintf(out, size, "%s", wanted) < size;
}

static fm_status find_wanted(const char *wanted, const char *source, char *path, size_t path_size, char *reason,
                             size_t reason_size, fm_error *error) {
    char at[PATH_SIZE], folder[PATH_SIZE];
    struct text looked = {0};
    if (expand_home(wanted, at, sizeof at) && exists(at)) {
        return found(at, source, path, path_size, reason, reason_size, error);
    }
    if (fm_builtin_is(wanted)) {
        fm_builtin_words(at, sizeof at);
        return fm_fail(error, FM_NOT_FOUND,
                       "there is no pack '%s' (%s named it): %s; 'facemill models list' shows the packs that there are",
                       wanted, source, at);
    }
    fm_text_add(&looked, "'%s'", wanted);
    bool (*const folders[])(char *, size_t) = {packs_folder, insightface_folder};
    for (size_t i = 0; i < 2 && strchr(wanted, '/') == NULL; i++) {
        if (!folders[i](folder, sizeof folder) || !fm_path_join(at, sizeof at, folder, wanted)) {
            continue;
        }
        if (exists(at)) {
            fm_text_reset(&looked);
            return found(at, source, path, path_size, reason, reason_size, error);
        }
        fm_text_add(&looked, ", '%s'", at);
    }
    if (fm_builtin_find(wanted, at, sizeof at)) {
        fm_text_reset(&looked);
        return found(at, source, path, path_size, reason, reason_size, error);
    }
    fm_status status =
        fm_fail(error, FM_NOT_FOUND, "there is no pack '%s' (%s named it; looked at %s); name a folder of .onnx files",
                wanted, source, fm_text_chars(&looked));
    fm_text_reset(&looked);
    return status;
}

struct first_pack {
    const char *folder;
    char path[PATH_SIZE];
};

static bool visit_file(const char *name, enum os_path_kind kind, void *user) {
    bool *any = user;
    size_t length = strlen(name);
    *any = *any || (kind == OS_PATH_FILE && length > 5 && strcmp(name + length - 5, ".onnx") == 0);
    return !*any;
}

/* insightface's V2 packs may keep their files in folders of their own. */
static bool lists_models(const char *folder) {
    struct manifest *manifest = NULL;
    bool any = fm_manifest_read(folder, &manifest, NULL) == FM_OK && manifest != NULL && manifest->model_count > 0;
    fm_manifest_close(manifest);
    return any;
}

static bool visit_installed(const char *name, enum os_path_kind kind, void *user) {
    struct first_pack *first = user;
    bool any = false;
    if (kind != OS_PATH_FOLDER || !fm_path_join(first->path, sizeof first->path, first->folder, name) ||
        fm_folder_visit(first->path, visit_file, &any, NULL) != FM_OK || !(any || lists_models(first->path))) {
        first->path[0] = 0;
    }
    return first->path[0] == 0;
}

static fm_status find_installed(char *path, size_t path_size, char *reason, size_t reason_size, fm_error *error) {
    char folder[PATH_SIZE] = "";
    struct first_pack first = {.folder = folder};
    if (packs_folder(folder, sizeof folder) && fm_path_kind(folder) == OS_PATH_FOLDER &&
        fm_folder_visit(folder, visit_installed, &first, error) == FM_OK && first.path[0] != 0) {
        return found(first.path, "installed", path, path_size, reason, reason_size, error);
    }
    if (fm_builtin_find(NULL, first.path, sizeof first.path)) {
        return found(first.path, FM_BUILTIN_REASON, path, path_size, reason, reason_size, error);
    }
    return fm_fail(
        error, FM_NOT_FOUND,
        "no pack: none was named, FM_PACK is not set, and no pack is installed in '%s'; use --pack with a folder of "
        ".onnx files, or install one: 'facemill models list' has those that can be fetched by name",
        folder);
}

fm_status fm_pack_find(const char *wanted, const char *source, char *path, size_t path_size, char *reason,
                       size_t reason_size, fm_error *error) {
    if (wanted != NULL && wanted[0] != 0) {
        return find_wanted(wanted, source != NULL ? source : "caller", path, path_size, reason, reason_size, error);
    }
    const char *environment = fm_environment("FM_PACK");
    if (environment != NULL) {
        return find_wanted(environment, "FM_PACK", path, path_size, reason, reason_size, error);
    }
    return find_installed(path, path_size, reason, reason_size, error);
}
