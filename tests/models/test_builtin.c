/* The pack inside the library: its paths, its bytes, and that it is the very pack it was made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "models/builtin.h"
#include "models/pack.h"
#include "models/place.h"

/* BUILTIN_FOLDER: the folder that the build put in; "" when none. */

static void need_one(void) {
    if (fm_builtin_pack.name == NULL) {
        print_message("skipped: this build has no pack inside (FM_BUILTIN_PACK is OFF)\n");
        skip();
    }
}

/* "builtin:NAME" and what comes behind it. */
static const char *at(const char *behind, char path[1024]) {
    snprintf(path, 1024, FM_BUILTIN_PREFIX "%s%s", fm_builtin_pack.name, behind);
    return path;
}

static size_t size_of(const struct builtin_file *file) {
    return (size_t)(file->end - file->bytes);
}

/* ---------------------------------------------------------------------- paths */

static void test_a_build_has_the_pack_it_was_given(void **state) {
    (void)state;
    char path[1024], small[8], wanted[1024];
    const bool given = BUILTIN_FOLDER[0] != 0;
    assert_int_equal(fm_builtin_pack.name != NULL, given);
    assert_int_equal(fm_builtin_find(NULL, path, sizeof path), given);
    assert_false(fm_builtin_find("nope", path, sizeof path));
    assert_false(fm_builtin_find("", path, sizeof path));
    fm_builtin_words(wanted, sizeof wanted);
    assert_non_null(strstr(wanted, given ? fm_builtin_pack.name : "no pack inside"));
    if (given) {
        assert_string_equal(fm_builtin_pack.name, strrchr(BUILTIN_FOLDER, '/') + 1);
        assert_string_equal(path, at("", wanted));
        assert_true(fm_builtin_find(fm_builtin_pack.name, path, sizeof path));
        assert_string_equal(path, wanted);
        assert_false(fm_builtin_find(NULL, small, sizeof small)); /* too long for it */
    }
}

static void test_the_prefix(void **state) {
    (void)state;
    assert_true(fm_builtin_is("builtin:"));
    assert_true(fm_builtin_is("builtin:x/y"));
    assert_false(fm_builtin_is("builtin"));
    assert_false(fm_builtin_is("./builtin:x"));
    assert_false(fm_builtin_is("/builtin:x"));
    assert_false(fm_builtin_is(""));
}

static void test_kinds_of_paths(void **state) {
    (void)state;
    need_one();
    char path[1024], behind[512];
    assert_int_equal(fm_pack_path_kind(at("", path)), OS_PATH_FOLDER);
    assert_int_equal(fm_pack_path_kind(at("/", path)), OS_PATH_FOLDER);
    assert_int_equal(fm_pack_path_kind(at("///", path)), OS_PATH_FOLDER);
    for (size_t i = 0; i < fm_builtin_pack.count; i++) {
        const char *name = fm_builtin_pack.files[i].name;
        snprintf(behind, sizeof behind, "/%s", name);
        assert_int_equal(fm_pack_path_kind(at(behind, path)), OS_PATH_FILE);
        snprintf(behind, sizeof behind, "//%s", name);
        assert_int_equal(fm_pack_path_kind(at(behind, path)), OS_PATH_FILE);
        snprintf(behind, sizeof behind, "/%s/", name);
        assert_int_equal(fm_pack_path_kind(at(behind, path)), OS_PATH_NONE);
        snprintf(behind, sizeof behind, "%s", name); /* no slash between */
        assert_int_equal(fm_pack_path_kind(at(behind, path)), OS_PATH_NONE);
        snprintf(behind, sizeof behind, "/%.*s", (int)strlen(name) - 1, name);
        assert_int_equal(fm_pack_path_kind(at(behind, path)), OS_PATH_NONE);
    }
    static const char *const others[] = {"x", "/nope", "/../manifest.json", "/./manifest.json", ":", "\\manifest.json"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(fm_pack_path_kind(at(others[i], path)), OS_PATH_NONE);
    }
    (void)at("", path);
    path[strlen(path) - 1] = 0; /* one letter short */
    assert_int_equal(fm_pack_path_kind(path), OS_PATH_NONE);
    assert_int_equal(fm_pack_path_kind(FM_BUILTIN_PREFIX), OS_PATH_NONE);
}

/* Other paths are the disk's. */
static void test_the_disk(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct buffer bytes = {0};
    write_file(place, "file", "words");
    assert_int_equal(fm_pack_path_kind(place->root), OS_PATH_FOLDER);
    assert_int_equal(fm_pack_path_kind(below(place, "file", path)), OS_PATH_FILE);
    OK(fm_pack_file_read(path, 5, &bytes, NULL));
    assert_true(bytes.size == 5 && memcmp(bytes.bytes, "words", 5) == 0);
    assert_int_equal(fm_pack_file_read(path, 4, &bytes, NULL), FM_LIMIT);
    assert_int_equal(fm_pack_file_read(below(place, "none", path), 4, &bytes, NULL), FM_NOT_FOUND);
    assert_int_equal(fm_pack_path_kind(path), OS_PATH_NONE);
    fm_buffer_reset(&bytes);
}

/* ---------------------------------------------------------------------- files */

static void test_reading(void **state) {
    (void)state;
    need_one();
    char path[1024], behind[512];
    struct buffer bytes = {0};
    fm_error error;
    for (size_t i = 0; i < fm_builtin_pack.count; i++) {
        const struct builtin_file *file = &fm_builtin_pack.files[i];
        snprintf(behind, sizeof behind, "/%s", file->name);
        OK(fm_pack_file_read(at(behind, path), size_of(file), &bytes, NULL));
        assert_true(bytes.size == size_of(file) && memcmp(bytes.bytes, file->bytes, bytes.size) == 0);
        error = (fm_error){FM_OK, ""};
        assert_int_equal(fm_pack_file_read(path, size_of(file) - 1, &bytes, &error), FM_LIMIT);
        assert_non_null(strstr(error.message, file->name));
    }
    error = (fm_error){FM_OK, ""};
    assert_int_equal(fm_pack_file_read(at("/nope.onnx", path), 100, &bytes, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "models list"));
    assert_int_equal(fm_pack_file_read(at("", path), 100, &bytes, NULL), FM_NOT_FOUND); /* a folder is no file */
    fm_buffer_reset(&bytes);
}

struct names {
    size_t count, most;
};

static bool count_name(const char *name, enum os_path_kind kind, void *user) {
    struct names *names = user;
    assert_int_equal(kind, OS_PATH_FILE);
    assert_string_equal(name, fm_builtin_pack.files[names->count].name);
    return ++names->count < names->most;
}

static void test_visiting(void **state) {
    (void)state;
    need_one();
    char path[1024];
    struct names all = {0, 100}, one = {0, 1};
    fm_error error = {FM_OK, ""};
    OK(fm_pack_folder_visit(at("/", path), count_name, &all, NULL));
    assert_int_equal(all.count, fm_builtin_pack.count);
    OK(fm_pack_folder_visit(at("", path), count_name, &one, NULL));
    assert_int_equal(one.count, 1);
    assert_int_equal(fm_pack_folder_visit(FM_BUILTIN_PREFIX "nope", count_name, &one, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, fm_builtin_pack.name));
    assert_int_equal(fm_pack_folder_visit(at("/manifest.json", path), count_name, &one, NULL), FM_NOT_FOUND);
    assert_int_equal(one.count, 1);
}

/* ------------------------------------------------------- the folder it came from */

static bool is_inside(const char *name) {
    size_t length = strlen(name);
    return strcmp(name, "manifest.json") == 0 || (length > 5 && strcmp(name + length - 5, ".onnx") == 0);
}

static bool count_inside(const char *name, enum os_path_kind kind, void *user) {
    *(size_t *)user += kind == OS_PATH_FILE && is_inside(name);
    return true;
}

static void test_the_bytes_are_the_folders(void **state) {
    (void)state;
    need_one();
    char path[2048];
    struct buffer bytes = {0};
    size_t count = 0;
    OK(fm_folder_visit(BUILTIN_FOLDER, count_inside, &count, NULL));
    assert_int_equal(fm_builtin_pack.count, count);
    for (size_t i = 0; i < fm_builtin_pack.count; i++) {
        const struct builtin_file *file = &fm_builtin_pack.files[i];
        snprintf(path, sizeof path, "%s/%s", BUILTIN_FOLDER, file->name);
        OK(fm_file_read(path, INT32_MAX, &bytes, NULL));
        assert_int_equal(bytes.size, size_of(file));
        assert_memory_equal(bytes.bytes, file->bytes, bytes.size);
        assert_true((uintptr_t)file->bytes % 64 == 0); /* as tensors are */
        assert_true(i == 0 || strcmp(fm_builtin_pack.files[i - 1].name, file->name) < 0);
    }
    fm_buffer_reset(&bytes);
}

static struct pack *opened(const char *path) {
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_pack_open(path, "test", NULL, &pack, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    return pack;
}

static void test_it_is_the_same_pack(void **state) {
    (void)state;
    need_one();
    char path[1024], inside_id[65], folder_id[65], behind[512];
    struct pack *inside = opened(at("/", path)), *folder = opened(BUILTIN_FOLDER);
    assert_string_equal(inside->path, at("", path));
    assert_string_equal(inside->name, folder->name);
    assert_string_equal(inside->notes, folder->notes);
    assert_string_equal(inside->licence, folder->licence);
    assert_true(inside->match_threshold == folder->match_threshold);
    fm_pack_id(inside, "fp32", "exact", inside_id);
    fm_pack_id(folder, "fp32", "exact", folder_id);
    assert_string_equal(inside_id, folder_id);
    for (size_t task = MODEL_DETECTION; task < FM_TASKS; task++) {
        const struct model *model = inside->tasks[task];
        assert_non_null(model);
        assert_string_equal(model->file, folder->tasks[task]->file);
        snprintf(behind, sizeof behind, "/%s", model->file);
        struct pack *alone = opened(at(behind, path)); /* with what its manifest says of it */
        assert_string_equal(alone->tasks[task]->sha256, model->sha256);
        assert_string_equal(alone->tasks[task]->changed, model->changed);
        fm_pack_close(alone);
    }
    fm_pack_close(inside);
    fm_pack_close(folder);
}

static void test_a_name_that_is_not_inside(void **state) {
    (void)state;
    char path[4096], reason[64];
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_pack_find("builtin:nope", "--pack", path, sizeof path, reason, sizeof reason, &error),
                     FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "'builtin:nope' (--pack named it)"));
    assert_non_null(strstr(error.message, fm_builtin_pack.name != NULL ? fm_builtin_pack.name : "no pack inside"));
    assert_null(strstr(error.message, "insightface")); /* looked for nowhere else */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_build_has_the_pack_it_was_given),
        cmocka_unit_test(test_the_prefix),
        cmocka_unit_test(test_kinds_of_paths),
        cmocka_unit_test_setup_teardown(test_the_disk, make_place, remove_place),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_visiting),
        cmocka_unit_test(test_the_bytes_are_the_folders),
        cmocka_unit_test(test_it_is_the_same_pack),
        cmocka_unit_test(test_a_name_that_is_not_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
