/* Libraries: where they are searched, what a bad one says, counting, two side by side. The real ones come from the
   ordinary search (FM_ORT_LIBRARY, the data folder); what is not there skips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "graphs.h"
#include "providers/ort/library.h"

/* ---------------------------------------------------------------- as the ordinary search finds them */

static char real_library[4096], openvino_library[4096];

static void find_real(const char *suffix, const char *provider, char *path) {
    const struct runtime_options options = {.threads = 1};
    struct ort_library *library = NULL;
    if (fm_ort_library_open(&options, suffix, &library, NULL) == FM_OK && fm_ort_has_provider(library, provider)) {
        snprintf(path, 4096, "%s", library->path);
    }
    fm_ort_library_close(library);
}

static int find_real_libraries(void **state) {
    (void)state;
    find_real("cpu", "CPUExecutionProvider", real_library);
    find_real("openvino", "OpenVINOExecutionProvider", openvino_library);
    return 0;
}

static void need(const char *path, const char *what) {
    if (!path[0]) {
        print_message("no %s here\n", what);
        skip();
    }
}

static void one_library_is_opened_once_and_counted(void **state) {
    struct ort_library *first = NULL, *second = NULL;
    char link[4096];
    (void)state;
    need(real_library, "ONNX Runtime library");
    const struct runtime_options options = {.ort_library = real_library};
    assert_int_equal(fm_ort_library_open(&options, "cpu", &first, NULL), FM_OK);
    snprintf(link, sizeof link, "%.*s/./%s", (int)(strrchr(real_library, '/') - real_library), real_library,
             strrchr(real_library, '/') + 1);
    const struct runtime_options other_name = {.ort_library = link};
    assert_int_equal(fm_ort_library_open(&other_name, "cuda", &second, NULL), FM_OK);
    assert_ptr_equal(first, second);
    assert_int_equal(first->references, 2);
    fm_ort_library_close(second);
    assert_int_equal(first->references, 1);
    fm_ort_library_close(first);
    fm_ort_library_close(NULL);
}

static void run_affine(const char *provider, const char *library) {
    const struct runtime_options options = {.ort_library = library, .threads = 1};
    const struct provider *row = fm_provider_find(provider, strlen(provider));
    struct buffer onnx = {0};
    struct session *session = NULL;
    struct run *run = NULL;
    struct tensor outputs[FM_MAX_OUTPUTS], input = graph_input(1, 0);
    fm_error error = {0};
    graph_affine(&onnx);
    const struct session_request request = graph_request("affine", &onnx);
    if (row->open(&options, &request, &session, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    assert_non_null(strstr(row->detail(session), library));
    assert_int_equal(row->run_open(session, &run, NULL), FM_OK);
    assert_int_equal(row->submit(run, &input, NULL), FM_OK);
    assert_int_equal(row->wait(run, outputs, NULL), FM_OK);
    assert_true(((const float *)outputs[0].bytes)[0] == 2 * ((const float *)input.bytes)[0] + 1);
    row->run_close(run);
    row->close(session);
    fm_free_aligned(input.bytes);
    fm_buffer_reset(&onnx);
}

static void a_library_can_be_opened_again_after_its_last_close(void **state) {
    (void)state;
    need(real_library, "ONNX Runtime library");
    for (int i = 0; i < 3; i++) {
        run_affine("ort:cpu", real_library);
    }
}

static void two_libraries_live_side_by_side(void **state) {
    struct ort_library *plain = NULL, *openvino = NULL;
    (void)state;
    need(real_library, "ONNX Runtime library");
    need(openvino_library, "ONNX Runtime library with OpenVINO");
    const struct runtime_options one = {.ort_library = real_library}, two = {.ort_library = openvino_library};
    assert_int_equal(fm_ort_library_open(&one, "cpu", &plain, NULL), FM_OK);
    assert_int_equal(fm_ort_library_open(&two, "openvino", &openvino, NULL), FM_OK);
    if (strcmp(real_library, openvino_library) != 0) {
        assert_ptr_not_equal(plain, openvino);
    }
    run_affine("ort:cpu", real_library);
    run_affine("ort:openvino", openvino_library);
    run_affine("ort:cpu", openvino_library);
    fm_ort_library_close(openvino);
    run_affine("ort:openvino", openvino_library);
    fm_ort_library_close(plain);
}

/* Once loaded by its path, the library answers to its bare name too: it must not pass for the system's. */
static void a_loaded_library_does_not_pass_for_the_systems(void **state) {
    struct ort_library *library = NULL;
    char empty[4096];
    (void)state;
    need(real_library, "ONNX Runtime library");
    if (!strchr(real_library, '/') || fm_environment("FM_ORT_LIBRARY")) {
        print_message("the library here is the system's or named by FM_ORT_LIBRARY\n");
        skip();
    }
    assert_true(fm_temporary_folder(empty, sizeof empty));
    const struct runtime_options options = {.data_folder = empty};
    if (fm_ort_library_open(&options, "cpu", &library, NULL) == FM_OK) {
        assert_string_not_equal(library->origin, "system");
        fm_ort_library_close(library);
    }
    fm_folder_remove(empty);
}

static void open_and_close_often(void *user) {
    (void)user;
    const struct runtime_options options = {.ort_library = real_library};
    for (int i = 0; i < 20; i++) {
        struct ort_library *library = NULL;
        if (fm_ort_library_open(&options, "cpu", &library, NULL) != FM_OK) {
            abort();
        }
        fm_ort_library_close(library);
    }
}

static void threads_open_and_close_at_once(void **state) {
    struct os_thread threads[4];
    (void)state;
    need(real_library, "ONNX Runtime library");
    for (int i = 0; i < 4; i++) {
        assert_true(fm_thread_start(&threads[i], "opener", open_and_close_often, NULL));
    }
    for (int i = 0; i < 4; i++) {
        fm_thread_join(&threads[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_library_is_opened_once_and_counted),
        cmocka_unit_test(a_library_can_be_opened_again_after_its_last_close),
        cmocka_unit_test(two_libraries_live_side_by_side),
        cmocka_unit_test(a_loaded_library_does_not_pass_for_the_systems),
        cmocka_unit_test(threads_open_and_close_at_once),
    };
    return cmocka_run_group_tests_name("ONNX Runtime's libraries", tests, find_real_libraries, NULL);
}
