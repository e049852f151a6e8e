/* os_install.h: locks between processes, growing files, copies, exchange, and words when something cannot be. */
#include "base/os_install.h"

#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static void check_file(const char *path, const char *wanted) {
    struct buffer bytes = {0};
    assert_int_equal(fm_file_read(path, 1000, &bytes, NULL), FM_OK);
    assert_int_equal(bytes.size, strlen(wanted));
    assert_memory_equal(bytes.bytes, wanted, bytes.size);
    fm_buffer_reset(&bytes);
}

/* What another process is answered. */
static int status_elsewhere(const char *path) {
    pid_t child = fork();
    if (child == 0) {
        struct os_lock lock;
        _exit((int)fm_lock_take(path, &lock, NULL));
    }
    int answer = -1;
    assert_int_equal(waitpid(child, &answer, 0), child);
    return WEXITSTATUS(answer);
}

static void test_lock(void **state) {
    char path[OS_PATH_SIZE];
    struct os_lock lock, other;
    fm_error error = {0};
    below(*state, "lock", path);
    assert_int_equal(fm_lock_take(path, &lock, &error), FM_OK);
    assert_int_equal(status_elsewhere(path), FM_BUSY);
    assert_int_equal(fm_lock_take(path, &other, &error), FM_BUSY);
    assert_non_null(strstr(error.message, path));
    fm_lock_release(&lock);
    fm_lock_release(&lock);
    assert_int_equal(status_elsewhere(path), FM_OK); /* and the end of that process gave it back */
    assert_int_equal(fm_lock_take(path, &lock, NULL), FM_OK);
    fm_lock_release(&lock);
    assert_int_equal(fm_lock_take(below(*state, "none/lock", path), &lock, NULL), FM_NOT_FOUND);
}

static void test_growing(void **state) {
    char path[OS_PATH_SIZE], link[OS_PATH_SIZE];
    struct os_growing file;
    fm_error error = {0};
    below(*state, "part", path);
    assert_int_equal(fm_growing_open(&file, path, true, &error), FM_OK);
    assert_int_equal(fm_growing_add(&file, "abc", 3, &error), FM_OK);
    assert_int_equal(fm_growing_close(&file, true, &error), FM_OK);
    assert_int_equal(fm_growing_close(&file, true, &error), FM_OK);
    assert_int_equal(fm_growing_open(&file, path, true, NULL), FM_IO); /* not fresh any more */
    assert_int_equal(fm_growing_open(&file, path, false, &error), FM_OK);
    assert_int_equal(file.size, 3);
    assert_int_equal(fm_growing_add(&file, "def", 3, &error), FM_OK);
    check_file(path, "abcdef");
    assert_int_equal(fm_growing_cut(&file, &error), FM_OK);
    assert_int_equal(fm_growing_add(&file, "g", 1, &error), FM_OK);
    assert_int_equal(fm_growing_close(&file, false, &error), FM_OK);
    check_file(path, "g");
    assert_int_equal(symlink(path, below(*state, "link", link)), 0);
    assert_int_equal(fm_growing_open(&file, link, false, NULL), FM_IO);
    check_file(path, "g");
    assert_int_equal(fm_growing_open(&file, ((struct place *)*state)->folder, false, NULL), FM_IO);
}

/* In a process of its own: the limit cannot be taken back. */
static void test_growing_beyond_a_limit(void **state) {
    char path[OS_PATH_SIZE];
    below(*state, "part", path);
    pid_t child = fork();
    if (child == 0) {
        struct os_growing file;
        fm_error error = {0};
        char bytes[5000] = "x";
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){4000, 4000});
        bool good = fm_growing_open(&file, path, true, &error) == FM_OK &&
                    fm_growing_add(&file, bytes, sizeof bytes, &error) == FM_IO && strstr(error.message, path) &&
                    strstr(error.message, "limit") && file.size == 4000;
        _exit(good ? 0 : 1);
    }
    int answer = -1;
    assert_int_equal(waitpid(child, &answer, 0), child);
    assert_int_equal(answer, 0);
}

static bool take_once(const void *bytes, size_t size, void *user) {
    snprintf(user, 16, "%.*s", (int)size, (const char *)bytes);
    return false;
}

static void test_stream_and_copy(void **state) {
    char from[OS_PATH_SIZE], to[OS_PATH_SIZE], seen[16] = "";
    fm_error error = {0};
    assert_int_equal(fm_file_write(below(*state, "from", from), "12345", 5, NULL), FM_OK);
    assert_int_equal(fm_file_stream(from, take_once, seen, NULL), FM_OK);
    assert_string_equal(seen, "12345");
    below(*state, "to", to);
    assert_int_equal(fm_file_copy(from, to, 4, &error), FM_LIMIT);
    assert_false(fm_path_exists(to));
    assert_int_equal(fm_file_copy(from, to, 5, NULL), FM_OK);
    check_file(to, "12345");
    assert_int_equal(fm_file_size(to), 5);
    assert_int_equal(fm_file_copy(from, to, 5, NULL), FM_IO); /* never over something */
    assert_int_equal(fm_file_copy(((struct place *)*state)->folder, below(*state, "x", to), 5, NULL), FM_IO);
    assert_false(fm_path_exists(to));
    assert_int_equal(fm_file_copy("/nowhere/x", to, 5, NULL), FM_NOT_FOUND);
    assert_true(fm_file_remove(from));
    assert_true(fm_file_remove(from)); /* gone already */
    assert_int_equal(fm_file_size(from), 0);
}

static void test_folders(void **state) {
    char a[OS_PATH_SIZE], b[OS_PATH_SIZE], path[OS_PATH_SIZE];
    fm_error error = {0};
    below(*state, "new-XXXXXX", a);
    assert_int_equal(fm_folder_make_unique(a, &error), FM_OK);
    assert_int_equal(fm_path_kind(a), OS_PATH_FOLDER);
    struct stat info;
    assert_int_equal(stat(a, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0755);
    assert_int_equal(fm_folder_make(below(*state, "b", b), NULL), FM_OK);
    snprintf(path, sizeof path, "%s/one", a);
    assert_int_equal(fm_file_write(path, "1", 1, NULL), FM_OK);
    snprintf(path, sizeof path, "%s/two", b);
    assert_int_equal(fm_file_write(path, "2", 1, NULL), FM_OK);
    assert_int_equal(fm_folder_sync(a, &error), FM_OK);
    assert_int_equal(fm_folder_rename(a, b, &error), FM_IO);
    fm_status exchanged = fm_folder_exchange(a, b, NULL);
    if (exchanged == FM_UNSUPPORTED)
        print_message("this file system cannot exchange folders: not tested\n");
    else {
        assert_int_equal(exchanged, FM_OK);
        snprintf(path, sizeof path, "%s/one", b);
        check_file(path, "1");
        snprintf(path, sizeof path, "%s/two", a);
        check_file(path, "2");
    }
    assert_int_equal(fm_folder_rename(a, below(*state, "c", path), NULL), FM_OK);
    assert_false(fm_path_exists(a));
    assert_int_not_equal(fm_folder_exchange(a, b, NULL), FM_OK);
    assert_int_equal(fm_folder_sync(a, NULL), FM_NOT_FOUND);
}

static void test_links_and_space(void **state) {
    char path[OS_PATH_SIZE];
    assert_int_equal(symlink("/nowhere/at/all", below(*state, "broken", path)), 0);
    assert_true(fm_path_is_link(path));
    assert_true(fm_path_exists(path));
    assert_int_equal(fm_path_kind(path), OS_PATH_NONE);
    assert_false(fm_path_is_link(((struct place *)*state)->folder));
    uint64_t here = fm_free_space(((struct place *)*state)->folder);
    assert_true(here > 0 && here < UINT64_MAX);
    assert_true(fm_free_space(below(*state, "not/yet/there", path)) < UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lock, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_growing, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_growing_beyond_a_limit, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_stream_and_copy, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_folders, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_links_and_space, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
