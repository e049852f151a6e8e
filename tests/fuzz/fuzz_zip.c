/* Fuzzer: zip files as `facemill models add` unpacks them. Whatever an archive says, only plain files and folders may
   come out, inside the folder given, none larger than allowed; and a refusal has words. */
#define _GNU_SOURCE
#include "packs/archive.h"

#include "base/os_install.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct look {
    const char *folder;
    int networks;
};

static bool look_at(const char *name, enum os_path_kind kind, void *user) {
    struct look *look = user;
    char path[OS_PATH_SIZE];
    fm_error error = {0};
    size_t length = strlen(name);
    if (!fm_path_join(path, sizeof path, look->folder, name) || fm_path_is_link(path) ||
        (kind != OS_PATH_FILE && kind != OS_PATH_FOLDER) || fm_file_size(path) > PACK_MAX_FILE)
        abort();
    struct look below = {path, 0};
    if (kind == OS_PATH_FOLDER && fm_folder_visit(path, look_at, &below, &error))
        abort();
    look->networks += below.networks + (length > 5 && strcmp(name + length - 5, ".onnx") == 0);
    return true;
}

/* The only thing in a folder of its own is the one to unpack into: what climbs out is seen beside it. */
static bool is_inner(const char *name, enum os_path_kind kind, void *user) {
    (void)user;
    if (strcmp(name, "inner") != 0 || kind != OS_PATH_FOLDER)
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char outer[OS_PATH_SIZE], inner[OS_PATH_SIZE], path[64];
    const char *memory = "/dev/shm"; /* no disk is waited for there */
    fm_error error = {0};
    int file = memfd_create("zip", 0);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    snprintf(outer, sizeof outer, "%s/facemill-fuzz-XXXXXX", fm_path_kind(memory) == OS_PATH_FOLDER ? memory : "/tmp");
    if (fm_folder_make_unique(outer, &error) || !fm_path_join(inner, sizeof inner, outer, "inner") ||
        fm_folder_make(inner, &error))
        abort();
    fm_status status = fm_archive_unpack(path, "the input", inner, &(struct notes){0}, &error);
    struct look look = {inner, 0};
    if (status && !error.message[0])
        abort(); /* a failure without words */
    if (fm_folder_visit(outer, is_inner, NULL, &error) || fm_folder_visit(inner, look_at, &look, &error))
        abort();
    if (status == FM_OK && look.networks == 0)
        abort(); /* no pack, but no failure */
    fm_folder_remove(outer);
    close(file);
    return 0;
}
