/* A folder of a test's own, and files in it. cmocka.h and what it wants come before. */
#ifndef FM_TESTS_MODELS_PLACE_H
#define FM_TESTS_MODELS_PLACE_H

#include "base/os.h"

#define OK(call) assert_int_equal((call), FM_OK)

struct place {
    char root[1024];
};

static inline int make_place(void **state) {
    struct place *place = malloc(sizeof *place);
    assert_non_null(place);
    assert_true(fm_temporary_folder(place->root, sizeof place->root));
    *state = place;
    return 0;
}

static inline int remove_place(void **state) {
    struct place *place = *state;
    fm_folder_remove(place->root);
    free(place);
    return 0;
}

static inline const char *below(const struct place *place, const char *name, char path[2048]) {
    snprintf(path, 2048, "%s/%s", place->root, name);
    return path;
}

static inline void write_file(const struct place *place, const char *name, const char *text) {
    char path[2048];
    OK(fm_file_write(below(place, name, path), text, strlen(text), NULL));
}

#endif
