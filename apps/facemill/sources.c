/* Sources: walks what was named. Folders are walked depth first in the order of names, so that two runs agree. */
#include "sources.h"

#include "base/os_program.h"

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
    /* Pipes and devices may wait for ever; what cannot be looked at (a dangling link) is worth its error record. */
    bool file = kind == OS_PATH_FILE || kind == OS_PATH_NONE;
    bool wanted = name[0] != '.' && ((kind == OS_PATH_FOLDER && folder->recursive) || (file && looks_like_image(name)));
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

/* ---- lists */

struct list {
    const char *path;
    FILE *file;
    const atomic_int *interrupted;
    char bytes[16384], line[PATH_SIZE];
    size_t at, end; /* bytes[at..end) are not used yet */
    size_t length;  /* of the line; PATH_SIZE and more did not fit and were dropped */
    fm_error error;
};

/* A byte, or EOF at the end, after a failure (list->error) and when interrupted. */
static int next_byte(struct list *list) {
    if (list->at == list->end) {
        fm_error why = {0};
        list->at = list->end = 0;
        if (fm_input_read(fileno(list->file), list->interrupted, list->bytes, sizeof list->bytes, &list->end, &why))
            fm_fail(&list->error, FM_IO, "cannot read list '%s': %s", list->path, why.message);
    }
    return list->at < list->end ? (unsigned char)list->bytes[list->at++] : EOF;
}

/* One line without its end; false when there is none. */
static bool next_line(struct list *list) {
    int byte = next_byte(list);
    bool any = byte != EOF;
    for (list->length = 0; byte != '\n' && byte != EOF; byte = next_byte(list)) {
        if (list->length < PATH_SIZE)
            list->line[list->length] = (char)byte;
        list->length++;
    }
    bool cut = list->length >= PATH_SIZE;
    while (!cut && list->length && list->line[list->length - 1] == '\r')
        list->length--;
    list->line[cut ? PATH_SIZE - 1 : list->length] = 0;
    return any && atomic_load(list->interrupted) == 0; /* half a line is no name */
}

static bool walk_line(struct list *list, const struct source_visitor *visitor, bool recursive) {
    fm_error error = {0};
    if (list->length >= PATH_SIZE)
        fm_fail(&error, FM_LIMIT, "a line of list '%s' is longer than %d bytes", list->path, PATH_SIZE - 1);
    else if (strlen(list->line) != list->length)
        fm_fail(&error, FM_INVALID_ARGUMENT, "a line of list '%s' has a zero byte; expected one path per line",
                list->path);
    if (error.status)
        return report(visitor, list->line, &error);
    return !list->line[0] || walk_path(list->line, visitor, recursive);
}

static bool walk_list(const char *path, const struct sources *sources, const struct source_visitor *visitor) {
    bool from_standard_input = strcmp(path, "-") == 0, going = true;
    struct list list = {.path = path, .interrupted = sources->interrupted};
    list.file = from_standard_input ? stdin : fopen(path, "r");
    if (!list.file) {
        fm_fail(&list.error, errno == ENOENT ? FM_NOT_FOUND : FM_IO, "cannot read list '%s': %s", path,
                strerror(errno));
        return report(visitor, path, &list.error);
    }
    while (going && next_line(&list))
        going = walk_line(&list, visitor, sources->recursive);
    if (going && list.error.status)
        going = report(visitor, path, &list.error);
    if (!from_standard_input)
        fclose(list.file);
    return going;
}

/* ---- all of them */

struct sources fm_sources_from(const struct program *program) {
    const struct config *config = &program->config;
    const struct option_value *lists = &config->values[OPT_FROM_FILE];
    return (struct sources){.paths = config->arguments,
                            .path_count = config->argument_count,
                            .lists = lists->items,
                            .list_count = lists->count,
                            .recursive = fm_config_flag(config, OPT_RECURSIVE),
                            .interrupted = &program->interrupted};
}

size_t fm_sources_standard_input_uses(const struct sources *sources) {
    size_t uses = 0;
    for (size_t i = 0; i < sources->path_count; i++)
        uses += strcmp(sources->paths[i], "-") == 0;
    for (size_t i = 0; i < sources->list_count; i++)
        uses += strcmp(sources->lists[i], "-") == 0;
    return uses;
}

bool fm_sources_can_be_counted(const struct sources *sources) {
    for (size_t i = 0; i < sources->list_count; i++) {
        if (strcmp(sources->lists[i], "-") == 0 || fm_path_kind(sources->lists[i]) != OS_PATH_FILE)
            return false;
    }
    return true;
}

void fm_sources_walk(const struct sources *sources, const struct source_visitor *visitor) {
    bool going = true;
    for (size_t i = 0; i < sources->path_count && going; i++)
        going = walk_path(sources->paths[i], visitor, sources->recursive);
    for (size_t i = 0; i < sources->list_count && going; i++)
        going = walk_list(sources->lists[i], sources, visitor);
}
