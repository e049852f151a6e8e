/* os.h, files: what may be read, limits before reading, files that change meanwhile, and writes that leave nothing. */
#include "base/os.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char folder[OS_PATH_SIZE], file[OS_PATH_SIZE];
};

static int make_place(void **state) {
    static struct place place;
    *state = &place;
    return fm_temporary_folder(place.folder, sizeof place.folder) &&
                   fm_path_join(place.file, sizeof place.file, place.folder, "file")
               ? 0
               : -1;
}

static int remove_place(void **state) {
    struct place *place = *state;
    fm_folder_remove(place->folder);
    return fm_path_kind(place->folder) == OS_PATH_NONE ? 0 : -1;
}

static bool count_entry(const char *name, enum os_path_kind kind, void *user) {
    (void)name, (void)kind;
    ++*(int *)user;
    return true;
}

static int entries(const struct place *place) {
    int count = 0;
    assert_int_equal(fm_folder_visit(place->folder, count_entry, &count, NULL), FM_OK);
    return count;
}

static void test_read_back(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    fm_error error = {0};
    static const size_t sizes[] = {100000, 0, 1, 16384, 16385};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *bytes = fm_alloc(sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++) {
            bytes[at] = (unsigned char)(at * 31 + i);
        }
        assert_int_equal(fm_file_write(place->file, bytes, sizes[i], &error), FM_OK);
        assert_int_equal(fm_file_read(place->file, sizes[i], &buffer, &error), FM_OK);
        assert_int_equal(buffer.size, sizes[i]);
        assert_memory_equal(buffer.bytes, bytes, sizes[i]);
        for (size_t at = 0; at < FM_PADDING; at++) {
            assert_int_equal(buffer.bytes[sizes[i] + at], 0);
        }
        fm_free(bytes);
    }
    assert_int_equal(entries(place), 1);
    fm_buffer_reset(&buffer);
}

static void test_refusals(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    fm_error error = {0};
    assert_int_equal(fm_file_read(place->file, 10, &buffer, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, place->file));
    error = (fm_error){0};
    assert_int_equal(fm_file_read(place->folder, 10, &buffer, &error), FM_IO);
    assert_non_null(strstr(error.message, "is a folder"));
    error = (fm_error){0};
    assert_int_equal(fm_file_read("/dev/zero", 10, &buffer, &error), FM_IO);
    assert_non_null(strstr(error.message, "device"));
    error = (fm_error){0};
    assert_int_equal(fm_file_write(place->file, "12345678901", 11, &error), FM_OK);
    assert_int_equal(fm_file_read(place->file, 10, &buffer, &error), FM_LIMIT);
    assert_non_null(strstr(error.message, "10 bytes"));
    assert_null(buffer.bytes); /* nothing was read: the size said it */
    assert_int_equal(fm_file_read(place->file, 11, &buffer, NULL), FM_OK);
    fm_buffer_reset(&buffer);
}

static void test_unreadable(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    fm_error error = {0};
    bool root = geteuid() == 0; /* who may read everything, hence reads as nobody */
    assert_int_equal(fm_file_write(place->file, "x", 1, &error), FM_OK);
    assert_int_equal(chmod(place->file, 0), 0);
    if (root && seteuid(65534) != 0) {
        print_message("root may read everything and cannot become nobody here\n");
        skip();
    }
    fm_status status = fm_file_read(place->file, 10, &buffer, &error);
    assert_true(!root || seteuid(0) == 0);
    assert_int_equal(status, FM_IO);
    assert_non_null(strstr(error.message, "permissions"));
}

/* Sparse, far larger than memory: the limit must answer before an allocation or a read. */
static void test_limit_before_reading(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    fm_error error = {0};
    assert_int_equal(fm_file_write(place->file, "x", 1, &error), FM_OK);
    if (truncate(place->file, (off_t)1 << 42) != 0) {
        print_message("no sparse files of 4 TiB here\n");
        skip();
    }
    assert_int_equal(fm_file_read(place->file, (uint64_t)256 << 20, &buffer, &error), FM_LIMIT);
    assert_null(buffer.bytes);
}

/* /proc files say size 0 and have content; the reader must not believe the size. */
static void test_file_without_size(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_int_equal(fm_file_read("/proc/self/status", 1 << 20, &buffer, NULL), FM_OK);
    assert_non_null(strstr((char *)buffer.bytes, "VmRSS:"));
    assert_int_equal(fm_file_read("/proc/self/status", 10, &buffer, NULL), FM_LIMIT);
    fm_buffer_reset(&buffer);
}

struct writer {
    const char *path;
    size_t size;
};

static void write_pipe(void *user) {
    struct writer *writer = user;
    int descriptor = open(writer->path, O_WRONLY);
    char piece[1000];
    memset(piece, 'p', sizeof piece);
    for (size_t left = writer->size; left > 0;) {
        ssize_t done = write(descriptor, piece, left < sizeof piece ? left : sizeof piece);
        if (done <= 0) {
            break; /* the reader has had enough */
        }
        left -= (size_t)done;
    }
    close(descriptor);
}

static void test_pipe(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    struct os_thread thread;
    struct writer writer = {place->file, 200001};
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(place->file, 0600), 0);
    assert_int_equal(fm_path_kind(place->file), OS_PATH_OTHER);
    assert_true(fm_thread_start(&thread, "pipe", write_pipe, &writer));
    assert_int_equal(fm_file_read(place->file, 1 << 20, &buffer, NULL), FM_OK);
    fm_thread_join(&thread);
    assert_int_equal(buffer.size, 200001);
    assert_int_equal(strspn((char *)buffer.bytes, "p"), 200001);
    assert_true(fm_thread_start(&thread, "pipe", write_pipe, &writer));
    assert_int_equal(fm_file_read(place->file, 100000, &buffer, NULL), FM_LIMIT);
    fm_thread_join(&thread);
    fm_buffer_reset(&buffer);
}

struct changing {
    const char *path;
    struct os_mutex mutex;
    bool stop;
};

static void change_size(void *user) {
    struct changing *changing = user;
    for (int i = 0; i < 3000; i++) {
        fm_mutex_lock(&changing->mutex);
        bool stop = changing->stop;
        fm_mutex_unlock(&changing->mutex);
        if (stop || truncate(changing->path, (i * 7919) % 300000) != 0) {
            break;
        }
    }
}

static void test_file_that_grows_and_shrinks(void **state) {
    struct place *place = *state;
    struct buffer buffer = {0};
    struct os_thread thread;
    struct changing changing = {.path = place->file};
    fm_mutex_init(&changing.mutex);
    assert_int_equal(fm_file_write(place->file, "x", 1, NULL), FM_OK);
    assert_true(fm_thread_start(&thread, "change", change_size, &changing));
    for (int i = 0; i < 300; i++) {
        assert_int_equal(fm_file_read(place->file, 300000, &buffer, NULL), FM_OK);
        assert_true(buffer.size <= 300000);
        for (size_t at = 0; at < FM_PADDING; at++) {
            assert_int_equal(buffer.bytes[buffer.size + at], 0);
        }
    }
    fm_mutex_lock(&changing.mutex);
    changing.stop = true;
    fm_mutex_unlock(&changing.mutex);
    fm_thread_join(&thread);
    fm_mutex_reset(&changing.mutex);
    fm_buffer_reset(&buffer);
}

static void assert_holds(const char *path, const char *words) {
    struct buffer buffer = {0};
    assert_int_equal(fm_file_read(path, 1 << 20, &buffer, NULL), FM_OK);
    assert_string_equal((char *)buffer.bytes, words);
    fm_buffer_reset(&buffer);
}

static void test_write_replaces_whole(void **state) {
    struct place *place = *state;
    char link[OS_PATH_SIZE];
    struct stat info;
    assert_int_equal(fm_file_write(place->file, "first", 5, NULL), FM_OK);
    assert_int_equal(chmod(place->file, 0640), 0);
    assert_true(fm_path_join(link, sizeof link, place->folder, "link"));
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(fm_file_write(link, "second", 6, NULL), FM_OK);
    assert_holds(place->file, "second");
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(place->file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(entries(place), 2);
}

static void test_devices_are_written_not_replaced(void **state) {
    struct place *place = *state;
    struct stat info;
    fm_error error = {0};
    assert_int_equal(fm_file_write("/dev/null", "gone", 4, &error), FM_OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(fm_file_write("/dev/full", "full", 4, &error), FM_IO);
    assert_non_null(strstr(error.message, strerror(ENOSPC)));
    assert_int_equal(entries(place), 0);
}

/* A limit on file size stands for the full disk: the write fails half-way. */
static void test_failed_write_leaves_the_old_file(void **state) {
    struct place *place = *state;
    struct rlimit before, small;
    fm_error error = {0};
    char *bytes = fm_alloc(1 << 20);
    assert_int_equal(fm_file_write(place->file, "old", 3, NULL), FM_OK);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 65536;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fm_status status = fm_file_write(place->file, bytes, 1 << 20, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    fm_free(bytes);
    assert_int_equal(status, FM_IO);
    assert_non_null(strstr(error.message, strerror(EFBIG)));
    assert_holds(place->file, "old");
    assert_int_equal(entries(place), 1);
}

static void test_write_to_nowhere(void **state) {
    struct place *place = *state;
    char path[OS_PATH_SIZE], *longest;
    fm_error error = {0};
    assert_true(fm_path_join(path, sizeof path, place->folder, "no/such/file"));
    assert_int_equal(fm_file_write(path, "x", 1, &error), FM_IO);
    assert_non_null(strstr(error.message, "make its folder"));
    error = (fm_error){0};
    assert_int_equal(fm_file_write(place->folder, "x", 1, &error), FM_IO);
    assert_non_null(strstr(error.message, "is a folder"));
    longest = fm_alloc(OS_PATH_SIZE + 10);
    memset(longest, 'n', OS_PATH_SIZE + 5);
    assert_int_equal(fm_file_write(longest, "x", 1, NULL), FM_IO);
    fm_free(longest);
}

static void test_join_and_real(void **state) {
    struct place *place = *state;
    char out[8], real[OS_PATH_SIZE], odd[OS_PATH_SIZE];
    assert_true(fm_path_join(out, sizeof out, "abc", "def"));
    assert_string_equal(out, "abc/def");
    assert_false(fm_path_join(out, sizeof out, "abc", "defg"));
    assert_true(fm_path_join(out, sizeof out, "/", "a"));
    assert_string_equal(out, "/a");
    assert_true(fm_path_join(out, sizeof out, "", "a"));
    assert_string_equal(out, "a");
    assert_true(fm_path_join(odd, sizeof odd, place->folder, "../"));
    assert_true(fm_path_real(odd, real, sizeof real));
    assert_null(strstr(real, ".."));
    assert_false(fm_path_real(place->file, real, sizeof real));
    assert_false(fm_path_real(place->folder, real, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_back, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_refusals, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_unreadable, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_limit_before_reading, make_place, remove_place),
        cmocka_unit_test(test_file_without_size),
        cmocka_unit_test_setup_teardown(test_pipe, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_file_that_grows_and_shrinks, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_write_replaces_whole, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_devices_are_written_not_replaced, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_failed_write_leaves_the_old_file, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_write_to_nowhere, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_join_and_real, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
