/* Folders: made, visited, removed, and the ones that the desktop's conventions (XDG) name. Any thread. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMES_BYTES ((size_t)1 << 30) /* names of one folder, about 20 million */
#define REMOVE_DESCRIPTORS 16

/* Make one folder; fine when it is there. */
static bool make_one(const char *path) {
    return mkdir(path, 0777) == 0 || fm_path_kind(path) == OS_PATH_FOLDER;
}

fm_status fm_folder_make(const char *path, fm_error *error) {
    char parent[OS_PATH_SIZE];
    int length = snprintf(parent, sizeof parent, "%s", path);
    if (length <= 0 || (size_t)length >= sizeof parent) {
        return fm_fail(error, FM_IO, "cannot make the folder '%s': the path is empty or too long", path);
    }
    for (char *slash = strchr(parent + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        if (!make_one(parent)) {
            const char *why = errno == EEXIST ? "a file of that name is there" : strerror(errno);
            return fm_fail(error, FM_IO, "cannot make the folder '%s': '%s': %s", path, parent, why);
        }
        if (slash == NULL) {
            return FM_OK;
        }
        *slash = '/';
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of all entries into `names` (strings of `arena`). Both are the caller's also on failure. */
static fm_status list_names(const char *path, DIR *folder, struct arena *arena, struct buffer *names, fm_error *error) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char *name = fm_arena_copy(arena, entry->d_name);
        if (name == NULL || !fm_buffer_append(names, &name, sizeof name, 0)) {
            return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory listing the folder '%s'", path);
        }
    }
    return errno == 0 ? FM_OK : fm_fail(error, FM_IO, "cannot list the folder '%s': %s", path, strerror(errno));
}

static fm_status fail_to_list(const char *path, int code, fm_error *error) {
    if (code == ENOENT) {
        return fm_fail(error, FM_NOT_FOUND, "there is no folder '%s'; check the path", path);
    }
    return fm_fail(error, FM_IO, "cannot list the folder '%s': %s", path, strerror(code));
}

fm_status fm_folder_visit(const char *path, bool (*visit)(const char *name, enum os_path_kind kind, void *user),
                          void *user, fm_error *error) {
    struct arena arena = {.limit = MAX_NAMES_BYTES};
    struct buffer names = {0};
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return fail_to_list(path, errno, error);
    }
    fm_status status = list_names(path, folder, &arena, &names, error);
    closedir(folder); /* before the visits: visitors may descend without holding a descriptor per level */
    if (status != FM_OK) {
        goto cleanup;
    }
    char **sorted = (void *)names.bytes;
    size_t count = names.size / sizeof *sorted;
    if (count > 1) {
        qsort(sorted, count, sizeof *sorted, compare_names);
    }
    for (size_t i = 0; i < count; i++) {
        char full[OS_PATH_SIZE];
        bool fits = fm_path_join(full, sizeof full, path, sorted[i]);
        if (!visit(sorted[i], fits ? fm_path_kind(full) : OS_PATH_NONE, user)) {
            break;
        }
    }
cleanup:
    fm_buffer_reset(&names);
    fm_arena_reset(&arena);
    return status;
}

void fm_environment_offer(const char *name, const char *value) {
    (void)setenv(name, value, 0);
}

const char *fm_environment(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool fm_home_folder(char *out, size_t size) {
    const char *home = fm_environment("HOME");
    struct passwd entry, *found = NULL;
    char strings[4096];
    if (home == NULL && getpwuid_r(getuid(), &entry, strings, sizeof strings, &found) == 0 && found != NULL) {
        home = entry.pw_dir;
    }
    if (home == NULL || home[0] != '/') {
        return false;
    }
    int length = snprintf(out, size, "%s", home);
    return length >= 0 && (size_t)length < size;
}

/* $variable/facemill, or ~/fallback/facemill. A relative value is to be ignored (XDG base directories 0.8). */
static bool xdg_folder(const char *variable, const char *fallback, char *out, size_t size) {
    char home[OS_PATH_SIZE], base[OS_PATH_SIZE];
    const char *value = fm_environment(variable);
    if (value != NULL && value[0] == '/') {
        return fm_path_join(out, size, value, "facemill");
    }
    return fm_home_folder(home, sizeof home) && fm_path_join(base, sizeof base, home, fallback) &&
           fm_path_join(out, size, base, "facemill");
}

bool fm_data_folder(char *out, size_t size) {
    return xdg_folder("XDG_DATA_HOME", ".local/share", out, size);
}

bool fm_cache_folder(char *out, size_t size) {
    return xdg_folder("XDG_CACHE_HOME", ".cache", out, size);
}

bool fm_config_folder(char *out, size_t size) {
    return xdg_folder("XDG_CONFIG_HOME", ".config", out, size);
}

bool fm_temporary_folder(char *out, size_t size) {
    const char *parent = fm_environment("TMPDIR");
    return fm_path_join(out, size, parent != NULL ? parent : "/tmp", "facemill-XXXXXX") && mkdtemp(out) != NULL;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    (void)remove(path);
    return 0; /* go on with the rest */
}

void fm_folder_remove(const char *path) {
    (void)nftw(path, remove_entry, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}
