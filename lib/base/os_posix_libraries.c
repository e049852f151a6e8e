/* Shared libraries of this process and of the loader's path, for `doctor`. glibc and musl have dl_iterate_phdr. */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "base/os_program.h"

#include <link.h>
#include <stdio.h>
#include <string.h>

struct visit {
    void (*visit)(const char *path, void *user);
    void *user;
};

static int visit_object(struct dl_phdr_info *info, size_t size, void *user) {
    const struct visit *visit = user;
    (void)size;
    if (info->dlpi_name && strchr(info->dlpi_name, '/')) {
        visit->visit(info->dlpi_name, visit->user);
    }
    return 0;
}

void fm_libraries_visit(void (*visit)(const char *path, void *user), void *user) {
    struct visit state = {visit, user};
    dl_iterate_phdr(visit_object, &state);
}

struct search {
    const char *name;
    char *out;
    size_t size;
};

static void match_name(const char *path, void *user) {
    const struct search *search = user;
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, search->name) == 0) {
        snprintf(search->out, search->size, "%s", path);
    }
}

bool fm_library_find(const char *name, char *out, size_t size) {
    struct search search = {name, out, size};
    void *library = NULL;
    fm_error ignored = {0}; /* not being there is the answer */
    if (fm_library_open(name, &library, &ignored)) {
        return false;
    }
    snprintf(out, size, "%s", name); /* a link's name may differ from the file's */
    fm_libraries_visit(match_name, &search);
    return true;
}
