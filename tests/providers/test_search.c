/* Search: where libraries are looked for and in which order, and what a bad one says. Loads no real runtime: a library
   that this process had loaded once would be found again by its bare name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "providers/ort/library.h"
#include "providers/ort/search.h"

struct seen {
    char text[16384];
};

static bool note_candidate(const struct ort_candidate *candidate, void *user) {
    struct seen *seen = user;
    const size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s|%s%s\n", candidate->origin, candidate->path,
             candidate->named ? "|named" : "");
    return true;
}

static void touch(const char *root, const char *folder, const char *name) {
    char path[4096], file[4096];
    assert_true(fm_path_join(path, sizeof path, root, folder));
    assert_int_equal(fm_folder_make(path, NULL), FM_OK);
    assert_true(fm_path_join(file, sizeof file, path, name));
    assert_int_equal(fm_file_write(file, "x", 1, NULL), FM_OK);
}

static size_t place(const struct seen *seen, const char *part) {
    const char *at = strstr(seen->text, part);
    if (!at) {
        fail_msg("'%s' is not among\n%s", part, seen->text);
    }
    return (size_t)(at - seen->text);
}

/* A test may change its own environment; the library only reads it. */
static void with_environment(const char *name, const char *value) {
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static int isolate(void **state) {
    char *root = malloc(4096);
    assert_true(fm_temporary_folder(root, 4096));
    *state = root;
    with_environment("FM_ORT_LIBRARY", NULL);
    with_environment("HOME", root);
    with_environment("VIRTUAL_ENV", NULL);
    with_environment("CONDA_PREFIX", NULL);
    with_environment("XDG_DATA_HOME", NULL);
    return 0;
}

static int restore(void **state) {
    fm_folder_remove(*state);
    free(*state);
    return 0;
}

static void places_are_asked_in_order(void **state) {
    char data[4096], environment[4096];
    struct seen seen = {""};
    assert_true(fm_path_join(data, sizeof data, *state, "data") &&
                fm_path_join(environment, sizeof environment, *state, "venv"));
    with_environment("VIRTUAL_ENV", environment);
    touch(data, "ort", "libonnxruntime.so.1.20.0");
    touch(data, "ort", "libonnxruntime_providers_shared.so");
    touch(data, "ort-openvino", "libonnxruntime.so.1.24.1");
    touch(environment, "lib/python3.11/site-packages/onnxruntime/capi", "libonnxruntime.so.1.22.0");
    touch(*state, ".local/lib/python3.12/site-packages/onnxruntime/capi", "libonnxruntime.so.1.23.0");
    const struct runtime_options options = {.data_folder = data};
    fm_ort_search(&options, "openvino", note_candidate, &seen);
    assert_true(place(&seen, "ort-openvino/libonnxruntime.so.1.24.1") < place(&seen, "ort/libonnxruntime.so.1.20.0"));
    assert_true(place(&seen, "ort/libonnxruntime.so.1.20.0") < place(&seen, "system|libonnxruntime.so.1\n"));
    assert_true(place(&seen, "system|libonnxruntime.so\n") < place(&seen, "venv/lib/python3.11"));
    assert_true(place(&seen, "venv/lib/python3.11") < place(&seen, ".local/lib/python3.12"));
    assert_null(strstr(seen.text, "providers_shared"));
    seen.text[0] = '\0';
    fm_ort_search(&options, "cpu", note_candidate, &seen);
    assert_null(strstr(seen.text, "ort-openvino"));
}

static void a_named_library_is_the_only_candidate(void **state) {
    struct seen seen = {""};
    const struct runtime_options options = {.ort_library = "/option/lib.so", .data_folder = *state};
    touch(*state, "ort", "libonnxruntime.so");
    with_environment("FM_ORT_LIBRARY", "/environment/lib.so");
    fm_ort_search(&options, "cpu", note_candidate, &seen);
    assert_string_equal(seen.text, "--ort-library|/option/lib.so|named\n");
    const struct runtime_options none = {.data_folder = *state};
    seen.text[0] = '\0';
    fm_ort_search(&none, "cpu", note_candidate, &seen);
    assert_string_equal(seen.text, "FM_ORT_LIBRARY|/environment/lib.so|named\n");
}

static void a_named_folder_stands_for_the_library_inside(void **state) {
    char folder[4096];
    struct seen seen = {""};
    assert_true(fm_path_join(folder, sizeof folder, *state, "wheel"));
    touch(*state, "wheel", "libonnxruntime.so.1.24.1");
    const struct runtime_options options = {.ort_library = folder};
    fm_ort_search(&options, "cpu", note_candidate, &seen);
    assert_non_null(strstr(seen.text, "wheel/libonnxruntime.so.1.24.1|named"));
}

static void expect_failure(const char *library, const char *words) {
    const struct runtime_options options = {.ort_library = library};
    struct ort_library *opened = NULL;
    fm_error error = {0};
    assert_int_equal(fm_ort_library_open(&options, "cpu", &opened, &error), FM_NO_PROVIDER);
    assert_null(opened);
    if (!strstr(error.message, words) || !strstr(error.message, "--ort-library")) {
        fail_msg("'%s' does not say '%s' and who named it", error.message, words);
    }
}

static void bad_named_libraries_are_errors_in_words(void **state) {
    char text[4096];
    touch(*state, "odd", "libonnxruntime.so");
    assert_true(fm_path_join(text, sizeof text, *state, "odd/libonnxruntime.so"));
    expect_failure("/no/such/libonnxruntime.so", "/no/such/libonnxruntime.so");
    expect_failure(text, "libonnxruntime.so");
    expect_failure(FM_FAKE_NOTHING, "is not ONNX Runtime");
    expect_failure(FM_FAKE_OLD, "1.9.0");
    expect_failure(FM_FAKE_OLD, "1.12 or newer");
}

static void no_library_at_all_names_the_places_and_the_remedy(void **state) {
    char data[4096];
    struct ort_library *library = NULL;
    fm_error error = {0};
    assert_true(fm_path_join(data, sizeof data, *state, "empty"));
    const struct runtime_options options = {.data_folder = data};
    const fm_status status = fm_ort_library_open(&options, "cpu", &library, &error);
    if (status == FM_OK) {
        print_message("the system has an ONNX Runtime: %s\n", library->path);
        fm_ort_library_close(library);
        skip();
    }
    assert_int_equal(status, FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "FM_ORT_LIBRARY"));
    assert_non_null(strstr(error.message, "pip install onnxruntime"));
}

/* A broken file in a place that is searched is passed over, and named when nothing else is found. */
static void a_broken_library_that_was_found_is_named(void **state) {
    struct ort_library *library = NULL;
    fm_error error = {0};
    const struct runtime_options options = {.data_folder = *state};
    touch(*state, "ort", "libonnxruntime.so");
    if (fm_ort_library_open(&options, "cpu", &library, &error) == FM_OK) {
        print_message("the system has an ONNX Runtime: %s\n", library->path);
        fm_ort_library_close(library);
        skip();
    }
    assert_non_null(strstr(error.message, "data folder"));
    assert_non_null(strstr(error.message, "ort/libonnxruntime.so"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_are_asked_in_order, isolate, restore),
        cmocka_unit_test_setup_teardown(a_named_library_is_the_only_candidate, isolate, restore),
        cmocka_unit_test_setup_teardown(a_named_folder_stands_for_the_library_inside, isolate, restore),
        cmocka_unit_test_setup_teardown(bad_named_libraries_are_errors_in_words, isolate, restore),
        cmocka_unit_test_setup_teardown(no_library_at_all_names_the_places_and_the_remedy, isolate, restore),
        cmocka_unit_test_setup_teardown(a_broken_library_that_was_found_is_named, isolate, restore),
    };
    return cmocka_run_group_tests_name("the search for a library", tests, NULL, NULL);
}
