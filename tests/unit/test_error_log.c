/* error.h and log.h: the first failure wins, nothing overflows, sinks are called one at a time and not below level. */
#include "base/error.h"
#include "base/log.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

static void test_first_failure_wins(void **state) {
    (void)state;
    fm_error error = {0};
    assert_int_equal(fm_fail(&error, FM_IO, "cannot read '%s'", "a.jpg"), FM_IO);
    assert_int_equal(error.status, FM_IO);
    assert_string_equal(error.message, "cannot read 'a.jpg'");
    assert_int_equal(fm_fail(&error, FM_LIMIT, "later"), FM_LIMIT);
    assert_int_equal(error.status, FM_IO);
    assert_string_equal(error.message, "cannot read 'a.jpg'");
    assert_int_equal(fm_fail(NULL, FM_BUSY, "%d", 1), FM_BUSY);
}

static void test_long_words_are_cut(void **state) {
    (void)state;
    struct {
        fm_error error;
        char guard[8];
    } place = {.guard = "guarded"};
    char words[3000];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    assert_int_equal(fm_fail(&place.error, FM_INTERNAL, "%s", words), FM_INTERNAL);
    assert_int_equal(strlen(place.error.message), sizeof place.error.message - 1);
    assert_string_equal(place.guard, "guarded");
}

static void test_status_names(void **state) {
    (void)state;
    assert_string_equal(fm_status_name(FM_OK), "ok");
    assert_string_equal(fm_status_name(FM_BAD_IMAGE), "bad_image");
    assert_string_equal(fm_status_name(FM_INTERNAL), "internal");
    assert_string_equal(fm_status_name((fm_status)(FM_INTERNAL + 1)), "unknown");
    assert_string_equal(fm_status_name((fm_status)-1), "unknown");
    for (int i = FM_OK; i <= FM_INTERNAL; i++) {
        assert_non_null(fm_status_name((fm_status)i));
        assert_string_not_equal(fm_status_name((fm_status)i), "unknown");
    }
}

struct heard {
    int calls;
    fm_log_level level;
    char component[32], message[4096];
};

static void hear(fm_log_level level, const char *component, const char *message, void *user) {
    struct heard *heard = user;
    heard->calls++; /* not atomic: calls of the sink are serialised, ThreadSanitizer checks it */
    heard->level = level;
    snprintf(heard->component, sizeof heard->component, "%s", component);
    snprintf(heard->message, sizeof heard->message, "%s", message);
}

static void test_levels(void **state) {
    (void)state;
    struct heard heard = {0};
    struct logger logger;
    fm_logger_init(&logger, FM_LOG_DEFAULT, hear, &heard);
    fm_log(&logger, FM_LOG_INFO, "pack", "quiet");
    assert_int_equal(heard.calls, 0);
    fm_log(&logger, FM_LOG_WARN, "pack", "%d of %d", 1, 2);
    assert_int_equal(heard.calls, 1);
    assert_int_equal(heard.level, FM_LOG_WARN);
    assert_string_equal(heard.component, "pack");
    assert_string_equal(heard.message, "1 of 2");
    fm_log(&logger, FM_LOG_ERROR, "pack", "loud");
    assert_int_equal(heard.calls, 2);
    assert_false(fm_log_enabled(&logger, FM_LOG_DEBUG));
    assert_false(fm_log_enabled(&logger, FM_LOG_OFF));
    fm_logger_reset(&logger);
    fm_logger_init(&logger, FM_LOG_OFF, hear, &heard);
    fm_log(&logger, FM_LOG_ERROR, "pack", "off");
    assert_int_equal(heard.calls, 2);
    fm_logger_reset(&logger);
    fm_log(NULL, FM_LOG_ERROR, "pack", "nobody");
    assert_false(fm_log_enabled(NULL, FM_LOG_ERROR));
}

static void test_long_message_is_cut(void **state) {
    (void)state;
    struct heard heard = {0};
    struct logger logger;
    char words[5000];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    fm_logger_init(&logger, FM_LOG_DEBUG, hear, &heard);
    fm_log(&logger, FM_LOG_DEBUG, "pack", "%s", words);
    assert_in_range(strlen(heard.message), 1000, 4000);
    fm_logger_reset(&logger);
}

static void test_standard_error_line(void **state) {
    (void)state;
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    struct logger logger;
    struct buffer text = {0};
    assert_true(fm_temporary_folder(folder, sizeof folder));
    assert_true(fm_path_join(path, sizeof path, folder, "stderr"));
    FILE *before = stderr;
    stderr = fopen(path, "w"); /* glibc and musl: an object, assignable on Linux where these tests run */
    assert_non_null(stderr);
    fm_logger_init(&logger, FM_LOG_DEBUG, NULL, NULL);
    fm_log(&logger, FM_LOG_WARN, "provider", "passed over");
    fm_log(&logger, FM_LOG_DEBUG, "lane", "ran");
    fm_logger_reset(&logger);
    fclose(stderr);
    stderr = before;
    assert_int_equal(fm_file_read(path, 1000, &text, NULL), FM_OK);
    assert_string_equal((char *)text.bytes, "facemill: warn: provider: passed over\nfacemill: debug: lane: ran\n");
    fm_buffer_reset(&text);
    fm_folder_remove(folder);
}

static void log_many(void *user) {
    for (int i = 0; i < 1000; i++) {
        fm_log(user, FM_LOG_INFO, "lane", "run %d", i);
    }
}

static void test_sink_is_serialised(void **state) {
    (void)state;
    struct heard heard = {0};
    struct logger logger;
    struct os_thread threads[4];
    fm_logger_init(&logger, FM_LOG_INFO, hear, &heard);
    for (int i = 0; i < 4; i++) {
        assert_true(fm_thread_start(&threads[i], "log", log_many, &logger));
    }
    for (int i = 0; i < 4; i++) {
        fm_thread_join(&threads[i]);
    }
    assert_int_equal(heard.calls, 4000);
    fm_logger_reset(&logger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_failure_wins),  cmocka_unit_test(test_long_words_are_cut),
        cmocka_unit_test(test_status_names),        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_message_is_cut), cmocka_unit_test(test_standard_error_line),
        cmocka_unit_test(test_sink_is_serialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
