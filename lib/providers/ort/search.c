/* Search for ONNX Runtime's library: --ort-library, FM_ORT_LIBRARY, the data folder (ort-<provider>, then ort), the
   system's loader, the wheels of Python environments. Python is never run: its folders have known names. No state. */
#include "providers/ort/search.h"

#include <stdio.h>
#include <string.h>

#include "base/os.h"

#define SEARCH_PATH 4096
#define LIBRARY_NAME "libonnxruntime.so"

struct search {
    bool (*visit)(const struct ort_candidate *candidate, void *user);
    void *user;
    bool stopped;
};

static void offer(struct search *search, const char *path, const char *origin, bool named) {
    const struct ort_candidate candidate = {path, origin, named};
    search->stopped = search->stopped || !search->visit(&candidate, search->user);
}

/* The last of libonnxruntime.so, .so.1, .so.1.24.1 in a folder: the fullest name, the newest of several. */
static bool keep_library_name(const char *name, enum os_path_kind kind, void *user) {
    char *best = user;
    if (kind == OS_PATH_FILE && strncmp(name, LIBRARY_NAME, sizeof LIBRARY_NAME - 1) == 0 && strlen(name) < 256) {
        memcpy(best, name, strlen(name) + 1);
    }
    return true;
}

static bool library_in_folder(const char *folder, char *path, size_t size) {
    char name[256] = "";
    if (fm_path_kind(folder) != OS_PATH_FOLDER || fm_folder_visit(folder, keep_library_name, name, NULL) != FM_OK) {
        return false;
    }
    return name[0] && fm_path_join(path, size, folder, name);
}

static void offer_folder(struct search *search, const char *parent, const char *name, const char *origin) {
    char folder[SEARCH_PATH], path[SEARCH_PATH];
    if (!search->stopped && fm_path_join(folder, sizeof folder, parent, name) &&
        library_in_folder(folder, path, sizeof path)) {
        offer(search, path, origin, false);
    }
}

/* A named folder stands for the library inside. */
static void offer_named(struct search *search, const char *wanted, const char *origin) {
    char path[SEARCH_PATH];
    offer(search, library_in_folder(wanted, path, sizeof path) ? path : wanted, origin, true);
}

struct python_folders {
    struct search *search;
    const char *parent; /* ".../lib" */
};

static bool visit_python(const char *name, enum os_path_kind kind, void *user) {
    static const char *const packages[] = {"site-packages", "dist-packages"};
    const struct python_folders *folders = user;
    for (size_t i = 0; i < 2 && kind == OS_PATH_FOLDER && strncmp(name, "python3", 7) == 0; i++) {
        char tail[512];
        const int length = snprintf(tail, sizeof tail, "%s/%s/onnxruntime/capi", name, packages[i]);
        if (length > 0 && (size_t)length < sizeof tail) {
            offer_folder(folders->search, folders->parent, tail, "Python environment");
        }
    }
    return !folders->search->stopped;
}

static void search_python(struct search *search) {
    char user_root[SEARCH_PATH] = "", home[SEARCH_PATH];
    if (fm_home_folder(home, sizeof home) && !fm_path_join(user_root, sizeof user_root, home, ".local")) {
        user_root[0] = '\0';
    }
    const char *roots[] = {fm_environment("VIRTUAL_ENV"), fm_environment("CONDA_PREFIX"), user_root, "/usr/local",
                           "/usr"};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0] && !search->stopped; i++) {
        char folder[SEARCH_PATH];
        if (roots[i] && roots[i][0] && fm_path_join(folder, sizeof folder, roots[i], "lib") &&
            fm_path_kind(folder) == OS_PATH_FOLDER) {
            struct python_folders folders = {search, folder};
            /* An unreadable folder has nothing for us: its words would only hide the real reason. */
            if (fm_folder_visit(folder, visit_python, &folders, NULL) != FM_OK) {
                continue;
            }
        }
    }
}

static void search_data_folder(struct search *search, const struct runtime_options *options, const char *suffix) {
    char own[SEARCH_PATH], name[64];
    const char *folder = options->data_folder;
    if (!folder && fm_data_folder(own, sizeof own)) {
        folder = own;
    }
    if (folder) {
        if (suffix && snprintf(name, sizeof name, "ort-%s", suffix) < (int)sizeof name) {
            offer_folder(search, folder, name, "data folder");
        }
        offer_folder(search, folder, "ort", "data folder");
    }
}

void fm_ort_search(const struct runtime_options *options, const char *suffix,
                   bool (*visit)(const struct ort_candidate *candidate, void *user), void *user) {
    struct search search = {visit, user, false};
    const char *environment = fm_environment("FM_ORT_LIBRARY");
    if (options->ort_library && options->ort_library[0]) {
        offer_named(&search, options->ort_library, "--ort-library");
    } else if (environment) {
        offer_named(&search, environment, "FM_ORT_LIBRARY");
    } else {
        search_data_folder(&search, options, suffix);
        if (!search.stopped) {
            offer(&search, LIBRARY_NAME ".1", "system", false);
        }
        if (!search.stopped) {
            offer(&search, LIBRARY_NAME, "system", false);
        }
        if (!search.stopped) {
            search_python(&search);
        }
    }
}
