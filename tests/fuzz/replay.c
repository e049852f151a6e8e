/* Stands in for libFuzzer's main(): gives every file of the named folders to the fuzzer's entry once, so that seeds and
   former findings are tests in every build, whatever the compiler. */
#include "base/memory.h"
#include "base/os.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct walk {
    const char *folder;
    size_t files;
    bool failed;
};

static bool replay_file(const char *name, enum os_path_kind kind, void *user) {
    struct walk *walk = user;
    struct buffer bytes = {0};
    fm_error error = {0};
    char path[4096];
    if (kind != OS_PATH_FILE)
        return true;
    if (!fm_path_join(path, sizeof path, walk->folder, name) || fm_file_read(path, UINT64_C(1) << 30, &bytes, &error)) {
        printf("cannot replay %s: %s\n", name, error.message);
        walk->failed = true;
    } else {
        printf("%s\n", path); /* the last line names a crash's input */
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes.bytes, bytes.size);
        walk->files++;
    }
    fm_buffer_reset(&bytes);
    return !walk->failed;
}

int main(int argc, char **argv) {
    struct walk walk = {0};
    for (int i = 1; i < argc && !walk.failed; i++) {
        fm_error error = {0};
        walk.folder = argv[i];
        if (fm_path_kind(argv[i]) == OS_PATH_FOLDER && fm_folder_visit(argv[i], replay_file, &walk, &error)) {
            printf("%s\n", error.message);
            walk.failed = true;
        }
    }
    printf("%zu inputs\n", walk.files);
    return walk.failed || walk.files == 0;
}
