/* os.h, folders: making, visiting in order, removing without following links, and where things are kept. */
#include "base/os.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char folder[OS_PATH_SIZE];
};

static int make_place(void **state) {
    static struct place place;
    *state = &place;
    return fm_temporary_folder(place.folder, sizeof place.folder) ? 0 : -1;
}

static int remove_place(void **state) {
    struct place *place = *state;
    fm_folder_remove(place->folder);
    return fm_path_kind(place->folder) == OS_PATH_NONE ? 0 : -1;
}

static const char *below(const struct place *place, const char *name, char path[OS_PATH_SIZE]) {
    assert_true(fm_path_join(path, OS_PATH_SIZE, place->folder, name));
    return path;
}

static void test_make(void **state) {
    struct place *place = *state;
    char path[OS_PATH_SIZE];
    fm_error error = {0};
    assert_int_equal(fm_folder_make(below(place, "a/b//c/", path), &error), FM_OK);
    assert_int_equal(fm_path_kind(below(place, "a/b/c", path)), OS_PATH_FOLDER);
    assert_int_equal(fm_folder_make(path, &error), FM_OK);
    assert_int_equal(fm_folder_make("/", &error), FM_OK);
    assert_int_equal(fm_file_write(below(place, "a/file", path), "x", 1, &error), FM_OK);
    assert_int_equal(fm_folder_make(path, &error), FM_IO);
    assert_non_null(strstr(error.message, "a file of that name"));
    assert_int_equal(fm_folder_make(below(place, "a/file/deeper", path), NULL), FM_IO);
    assert_int_equal(fm_folder_make("", NULL), FM_IO);
}

struct seen {
    char names[512];
    int stop_after;
};

static bool see(const char *name, enum os_path_kind kind, void *user) {
    struct seen *seen = user;
    size_t length = strlen(seen->names);
    snprintf(seen->names + length, sizeof seen->names - length, "%s:%d ", name, (int)kind);
    return --seen->stop_after != 0;
}

static void test_visit(void **state) {
    struct place *place = *state;
    char path[OS_PATH_SIZE];
    struct seen all = {0}, two = {.stop_after = 2}, none = {0};
    static const char *const files[] = {"b.jpg", "a.jpg", "B.jpg", "a10", "a9", ".hidden"};
    assert_int_equal(fm_folder_visit(place->folder, see, &none, NULL), FM_OK);
    assert_string_equal(none.names, "");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(fm_file_write(below(place, files[i], path), "x", 1, NULL), FM_OK);
    }
    assert_int_equal(fm_folder_make(below(place, "folder", path), NULL), FM_OK);
    assert_int_equal(symlink("folder", below(place, "link", path)), 0);
    assert_int_equal(symlink("nowhere", below(place, "lost", path)), 0);
    assert_int_equal(fm_folder_visit(place->folder, see, &all, NULL), FM_OK);
    assert_string_equal(all.names, ".hidden:1 B.jpg:1 a.jpg:1 a10:1 a9:1 b.jpg:1 folder:2 link:2 lost:0 ");
    assert_int_equal(fm_folder_visit(place->folder, see, &two, NULL), FM_OK);
    assert_string_equal(two.names, ".hidden:1 B.jpg:1 ");
}

static void test_visit_refused(void **state) {
    struct place *place = *state;
    char path[OS_PATH_SIZE];
    struct seen seen = {0};
    fm_error error = {0};
    assert_int_equal(fm_folder_visit(below(place, "none", path), see, &seen, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(fm_file_write(path, "x", 1, NULL), FM_OK);
    assert_int_equal(fm_folder_visit(path, see, &seen, NULL), FM_IO);
    assert_string_equal(seen.names, "");
}

static void test_remove_does_not_follow_links(void **state) {
    struct place *place = *state;
    char kept[OS_PATH_SIZE], path[OS_PATH_SIZE];
    assert_int_equal(fm_folder_make(below(place, "kept", kept), NULL), FM_OK);
    assert_int_equal(fm_file_write(below(place, "kept/file", path), "x", 1, NULL), FM_OK);
    assert_int_equal(fm_folder_make(below(place, "gone/deep/deeper", path), NULL), FM_OK);
    assert_int_equal(symlink(kept, below(place, "gone/deep/link", path)), 0);
    fm_folder_remove(below(place, "gone", path));
    assert_int_equal(fm_path_kind(path), OS_PATH_NONE);
    assert_int_equal(fm_path_kind(below(place, "kept/file", path)), OS_PATH_FILE);
    fm_folder_remove(below(place, "never was", path));
}

static void test_xdg_folders(void **state) {
    (void)state;
    char path[OS_PATH_SIZE], tiny[4];
    setenv("HOME", "/home/someone", 1);
    unsetenv("XDG_DATA_HOME");
    setenv("XDG_CONFIG_HOME", "", 1);
    assert_true(fm_data_folder(path, sizeof path));
    assert_string_equal(path, "/home/someone/.local/share/facemill");
    assert_true(fm_config_folder(path, sizeof path));
    assert_string_equal(path, "/home/someone/.config/facemill");
    setenv("XDG_DATA_HOME", "/data/", 1);
    setenv("XDG_CONFIG_HOME", "relative", 1);
    assert_true(fm_data_folder(path, sizeof path));
    assert_string_equal(path, "/data/facemill");
    assert_true(fm_config_folder(path, sizeof path)); /* relative: ignored, as the convention says */
    assert_string_equal(path, "/home/someone/.config/facemill");
    assert_false(fm_data_folder(tiny, sizeof tiny));
    assert_true(fm_home_folder(path, sizeof path));
    assert_string_equal(path, "/home/someone");
    setenv("HOME", "relative", 1);
    assert_false(fm_home_folder(path, sizeof path));
    unsetenv("HOME");
    if (fm_home_folder(path, sizeof path)) { /* from the user database, where this user has an entry */
        assert_int_equal(path[0], '/');
    }
}

static void test_temporary_folders_differ(void **state) {
    (void)state;
    char a[OS_PATH_SIZE], b[OS_PATH_SIZE];
    assert_true(fm_temporary_folder(a, sizeof a));
    assert_true(fm_temporary_folder(b, sizeof b));
    assert_string_not_equal(a, b);
    assert_int_equal(fm_path_kind(a), OS_PATH_FOLDER);
    fm_folder_remove(a);
    fm_folder_remove(b);
}

static void test_environment(void **state) {
    (void)state;
    setenv("FM_TEST_VALUE", "x", 1);
    setenv("FM_TEST_EMPTY", "", 1);
    assert_string_equal(fm_environment("FM_TEST_VALUE"), "x");
    assert_null(fm_environment("FM_TEST_EMPTY"));
    assert_null(fm_environment("FM_TEST_UNSET"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_make, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_visit, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_visit_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_remove_does_not_follow_links, make_place, remove_place),
        cmocka_unit_test(test_xdg_folders),
        cmocka_unit_test(test_temporary_folders_differ),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
