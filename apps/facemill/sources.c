/* Sources: walks what was named. Folders are walked depth first in the order of names, so that two runs agree. */
#include "sources.h"

#include "base/os.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096
#define MAX_DEPTH 64

struct folder {
    const struct folder *parent;
    const struct source_visitor *visitor;
    bool recursive;
    bool stopped;
    int depth;
    const char *path;
    char real[PATH_SIZE]; /* against links that lead back */
};

static bool looks_like_image(const char *name) {
    static const char *const endings[] = {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "heic", "heif", "hif", "avif"};
    const char *dot = strrchr(name, '.');
    char ending[8] = "";
    if (!dot || strlen(dot + 1) >= sizeof ending)
        return false;
    for (size_t i = 0; dot[i + 1]; i++)
        ending[i] = (char)tolower((unsigned char)dot[i + 1]);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (strcmp(ending, endings[i]) == 0)
            return true;
    }
    return false;
}

static bool report(const struct source_visitor *visitor, const char *path, const fm_error *error) {
    return visitor->failed(path, error, visitor->user);
}

static bool walk_folder(const char *path, const struct folder *parent, const struct source_visitor *visitor,
                        bool recursive);

static bool visit_entry(const char *name, enum os_path_kind kind, void *user) {
    struct folder *folder = user;
    char path[PATH_SIZE];
    bool wanted = name[0] != '.' &&
                  ((kind == OS_PATH_FOLDER && folder->recursive) || (kind != OS_PATH_FOLDER && looks_like_image(name)));
    if (!wanted)
        return true;
    if (!fm_path_join(path, sizeof path, folder->path, name)) {
        fm_error error = {0};
        fm_fail(&error, FM_LIMIT, "the path of '%s' in '%s' is longer than %d bytes", name, folder->path,
                PATH_SIZE - 1);
        folder->stopped = !report(folder->visitor, name, &error);
    } else if (kind == OS_PATH_FOLDER) {
        folder->stopped = !walk_folder(path, folder, folder->visitor, true);
    } else {
        folder->stopped = !folder->visitor->file(path, folder->visitor->user);
    }
    return !folder->stopped;
}

static bool leads_back(const struct folder *folder) {
    for (const struct folder *above = folder->parent; above; above = above->parent) {
        if (strcmp(above->real, folder->real) == 0)
            return true;
    }
    return false;
}

static bool walk_folder(const char *path, const struct folder *parent, const struct source_visitor *visitor,
                        bool recursive) {
    struct folder folder = {.parent = parent, .visitor = visitor, .recursive = recursive, .path = path};
    fm_error error = {0};
    folder.depth = parent ? parent->depth + 1 : 1;
    if (folder.depth > MAX_DEPTH) {
        fm_fail(&error, FM_LIMIT, "folder '%s' lies more than %d folders deep", path, MAX_DEPTH);
        return report(visitor, path, &error);
    }
    if (!fm_path_real(path, folder.real, sizeof folder.real))
        snprintf(folder.real, sizeof folder.real, "%s", path);
    if (leads_back(&folder))
        return true;
    if (fm_folder_visit(path, visit_entry, &folder, &error) && !folder.stopped)
        return report(visitor, path, &error);
    return !folder.stopped;
}

static bool walk_path(const char *path, const struct source_visitor *visitor, bool recursive) {
    if (strcmp(path, "-") == 0)
        return visitor->standard_input(visitor->user);
    if (fm_path_kind(path) == OS_PATH_FOLDER)
        return walk_folder(path, NULL, visitor, recursive);
    return visitor->file(path, visitor->user);
}

/* One line without its end; false at the end of the file. A line that does not fit is cut and `*cut` says so. */
static bool read_line(FILE *file, char *line, size_t size, bool *cut) {
    *cut = false;
    if (!fgets(line, (int)size, file))
        return false;
    size_t length = strlen(line);
    if (length + 1 == size && line[length - 1] != '\n') {
        int next = getc(file);
        *cut = next != '\n' && next != EOF;
        while (next != '\n' && next != EOF)
            next = getc(file);
    }
    while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = 0;
    return true;
}

static bool walk_list(const char *path, const struct sources *sources, const struct source_visitor *visitor) {
    bool from_standard_input = strcmp(path, "-") == 0, going = true, cut = false;
    FILE *file = from_standard_input ? stdin : fopen(path, "r");
    char line[PATH_SIZE];
    fm_error error = {0};
    if (!file) {
        fm_fail(&error, errno == ENOENT ? FM_NOT_FOUND : FM_IO, "cannot read list '%s': %s", path, strerror(errno));
        return report(visitor, path, &error);
    }
    while (going && read_line(file, line, sizeof line, &cut)) {
        if (cut) {
            fm_error too_long = {0};
            fm_fail(&too_long, FM_LIMIT, "a line of list '%s' is longer than %d bytes", path, PATH_SIZE - 1);
            going = report(visitor, line, &too_long);
        } else if (line[0]) {
            going = walk_path(line, visitor, sources->recursive);
        }
    }
    if (going && ferror(file)) {
        fm_fail(&error, FM_IO, "cannot read list '%s': %s", path, strerror(errno));
        going = report(visitor, path, &error);
    }
    if (!from_standard_input)
        fclose(file);
    return going;
}

struct sources fm_sources_from(const struct config *config) {
    const struct option_value *lists = &config->values[OPT_FROM_FILE];
    return (struct sources){.paths = config->arguments,
                            .path_count = config->argument_count,
                            .lists = lists->items,
                            .list_count = lists->count,
                            .recursive = fm_config_flag(config, OPT_RECURSIVE)};
}

size_t fm_sources_standard_input_uses(const struct sources *sources) {
    size_t uses = 0;
    for (size_t i = 0; i < sources->path_count; i++)
        uses += strcmp(sources->paths[i], "-") == 0;
    for (size_t i = 0; i < sources->list_count; i++)
        uses += strcmp(sources->lists[i], "-") == 0;
    return uses;
}

void fm_sources_walk(const struct sources *sources, const struct source_visitor *visitor) {
    bool going = true;
    for (size_t i = 0; i < sources->path_count && going; i++)
        going = walk_path(sources->paths[i], visitor, sources->recursive);
    for (size_t i = 0; i < sources->list_count && going; i++)
        going = walk_list(sources->lists[i], sources, visitor);
}
