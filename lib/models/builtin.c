/* Built in: paths of the pack inside the library; all others are handed to the operating system. */
#include "models/builtin.h"

#include <stdio.h>
#include <string.h>

static const size_t prefix_length = sizeof FM_BUILTIN_PREFIX - 1;

bool fm_builtin_is(const char *path) {
    return strncmp(path, FM_BUILTIN_PREFIX, prefix_length) == 0;
}

bool fm_builtin_find(const char *wanted, char *path, size_t size) {
    const char *name = fm_builtin_pack.name;
    if (name == NULL || (wanted != NULL && strcmp(wanted, name) != 0)) {
        return false;
    }
    return (size_t)snprintf(path, size, FM_BUILTIN_PREFIX "%s", name) < size;
}

/* What of "builtin:NAME" or "builtin:NAME/FILE" follows the name, without slashes: "" is the folder itself; NULL: it is
   not inside. */
static const char *inside(const char *path) {
    const char *name = fm_builtin_pack.name, *rest = path + prefix_length;
    size_t length = name != NULL ? strlen(name) : 0;
    if (name == NULL || strncmp(rest, name, length) != 0 || (rest[length] != 0 && rest[length] != '/')) {
        return NULL;
    }
    return rest + length + strspn(rest + length, "/");
}

static const struct builtin_file *find_file(const char *path) {
    const char *name = inside(path);
    for (size_t i = 0; name != NULL && i < fm_builtin_pack.count; i++) {
        if (strcmp(fm_builtin_pack.files[i].name, name) == 0) {
            return &fm_builtin_pack.files[i];
        }
    }
    return NULL;
}

enum os_path_kind fm_pack_path_kind(const char *path) {
    if (!fm_builtin_is(path)) {
        return fm_path_kind(path);
    }
    const char *name = inside(path);
    return name != NULL && name[0] == 0 ? OS_PATH_FOLDER : find_file(path) != NULL ? OS_PATH_FILE : OS_PATH_NONE;
}

void fm_builtin_words(char *words, size_t size) {
    const char *name = fm_builtin_pack.name;
    snprintf(words, size, "%s%s", name != NULL ? "the pack that is built in is " FM_BUILTIN_PREFIX : "",
             name != NULL ? name : "this build has no pack inside");
}

static fm_status not_inside(const char *path, fm_error *error) {
    char words[256];
    fm_builtin_words(words, sizeof words);
    return fm_fail(error, FM_NOT_FOUND, "there is no '%s': %s; 'facemill models list' shows the packs that there are",
                   path, words);
}

fm_status fm_pack_file_read(const char *path, uint64_t max_bytes, struct buffer *buffer, fm_error *error) {
    if (!fm_builtin_is(path)) {
        return fm_file_read(path, max_bytes, buffer, error);
    }
    const struct builtin_file *file = find_file(path);
    if (file == NULL) {
        return not_inside(path, error);
    }
    size_t size = (size_t)(file->end - file->bytes);
    if (size > max_bytes) {
        return fm_fail(error, FM_LIMIT, "'%s' has %zu bytes, more than the %llu allowed", path, size,
                       (unsigned long long)max_bytes);
    }
    if (!fm_buffer_resize(buffer, size)) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the %zu bytes of '%s'", size, path);
    }
    memcpy(buffer->bytes, file->bytes, size);
    return FM_OK;
}

fm_status fm_pack_folder_visit(const char *path, bool (*visit)(const char *name, enum os_path_kind kind, void *user),
                               void *user, fm_error *error) {
    if (!fm_builtin_is(path)) {
        return fm_folder_visit(path, visit, user, error);
    }
    const char *name = inside(path);
    if (name == NULL || name[0] != 0) {
        return not_inside(path, error);
    }
    for (size_t i = 0; i < fm_builtin_pack.count && visit(fm_builtin_pack.files[i].name, OS_PATH_FILE, user); i++) {
    }
    return FM_OK;
}
