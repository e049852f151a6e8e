/* fm_model_visit_support on graphs of any kind: what runs, what does not and why, what is not tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"
#include "onnx/graph.h"

#define OK(call) assert_int_equal((call), FM_OK)

struct seen {
    size_t rows;
    fm_status cpu;
    char words[2048];
};

static void see(const fm_model_support *support, void *user) {
    struct seen *seen = user;
    seen->rows++;
    assert_non_null(support->words);
    assert_true(support->status == FM_OK || support->words[0] != 0);
    if (strcmp(support->provider, "ort:cpu") == 0) {
        seen->cpu = support->status;
        snprintf(seen->words, sizeof seen->words, "%s", support->words);
    }
}

static void count_row(const fm_provider_info *info, void *user) {
    (void)info;
    ++*(size_t *)user;
}

/* One node of `op` from an input of `dims`; "b" is a constant of four elements of `fill`. */
static struct graph *one_node(const char *op, const char *inputs, enum dtype dtype, const int64_t *dims, int rank,
                              int64_t fill) {
    struct graph *graph = NULL;
    const int64_t count = 4, values[4] = {fill, fill, fill, fill};
    OK(fm_graph_create("small", 13, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", dtype, dims, rank, NULL));
    OK(fm_graph_add_tensor(graph, "b", DTYPE_I64, &count, 1, values, NULL));
    OK(fm_graph_add_node(graph, op, "n", inputs, "y", NULL, NULL));
    OK(fm_graph_add_output(graph, "y", dtype, NULL, -1, NULL));
    return graph;
}

static fm_status visit(struct graph *graph, struct seen *seen, fm_error *error) {
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    struct buffer bytes = {0};
    *seen = (struct seen){.cpu = FM_INTERNAL};
    assert_true(fm_temporary_folder(folder, sizeof folder) && fm_path_join(path, sizeof path, folder, "m.onnx"));
    OK(fm_graph_write(graph, &bytes, NULL));
    OK(fm_file_write(path, bytes.bytes, bytes.size, NULL));
    memset(error, 0xee, sizeof *error);
    fm_status status = fm_model_visit_support(path, NULL, see, seen, error);
    assert_int_equal(error->status, status);
    fm_graph_close(graph);
    fm_buffer_reset(&bytes);
    fm_folder_remove(folder);
    return status;
}

static const int64_t picture[4] = {1, 3, 8, 8};

static void every_row_of_the_table_is_visited(void **state) {
    (void)state;
    struct seen seen;
    fm_error error;
    size_t rows = 0;
    fm_providers_visit(NULL, count_row, &rows);
    OK(visit(one_node("Relu", "x", DTYPE_F32, picture, 4, 0), &seen, &error));
    assert_int_equal(seen.rows, rows);
    assert_int_equal(seen.cpu, test_has_runtime() ? FM_OK : FM_NO_PROVIDER);
}

static void need_runtime(void) {
    if (!test_has_runtime()) {
        print_message("skipped: no ONNX Runtime here; set FM_ORT_LIBRARY\n");
        skip();
    }
}

static void bytes_and_open_sizes_run(void **state) {
    (void)state;
    need_runtime();
    struct seen seen;
    fm_error error;
    OK(visit(one_node("Identity", "x", DTYPE_U8, (int64_t[]){-1, -1, -1, 3}, 4, 0), &seen, &error));
    assert_int_equal(seen.cpu, FM_OK);
    OK(visit(one_node("Relu", "x", DTYPE_F32, (int64_t[]){-1, 512}, 2, 0), &seen, &error));
    assert_int_equal(seen.cpu, FM_OK);
}

static void answers_that_are_no_numbers_are_told(void **state) {
    (void)state;
    need_runtime();
    struct seen seen;
    fm_error error;
    OK(visit(one_node("Div", "x x", DTYPE_F32, picture, 4, 0), &seen, &error)); /* nought by nought */
    assert_int_equal(seen.cpu, FM_BAD_MODEL);
    assert_non_null(strstr(seen.words, "not finite"));
    OK(visit(one_node("Log", "x", DTYPE_F32, picture, 4, 0), &seen, &error)); /* minus infinity */
    assert_int_equal(seen.cpu, FM_BAD_MODEL);
}

static void operators_that_a_provider_does_not_know_are_named(void **state) {
    (void)state;
    need_runtime();
    struct seen seen;
    fm_error error;
    OK(visit(one_node("Mystery", "x", DTYPE_F32, picture, 4, 0), &seen, &error));
    assert_true(seen.cpu != FM_OK && seen.cpu != FM_NO_PROVIDER);
    assert_non_null(strstr(seen.words, "Mystery"));
}

static void refused(struct graph *graph, const char *word) {
    struct seen seen;
    fm_error error;
    assert_int_equal(visit(graph, &seen, &error), FM_UNSUPPORTED);
    assert_int_equal(seen.rows, 0);
    if (strstr(error.message, word) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, word);
    }
}

static void what_cannot_be_fed_is_not_tried(void **state) {
    (void)state;
    struct graph *two = one_node("Relu", "x", DTYPE_F32, picture, 4, 0);
    OK(fm_graph_add_input(two, "second", DTYPE_F32, picture, 4, NULL));
    refused(two, "one picture");
    refused(one_node("Identity", "x", DTYPE_I64, picture, 4, 0), "i64");
    refused(one_node("Relu", "x", DTYPE_F32, (int64_t[]){1, -1}, 2, 0), "one picture");
    refused(one_node("Relu", "x", DTYPE_F32, (int64_t[]){1, 3, 65536, 65536}, 4, 0), "more than 67108864 values");
    refused(one_node("Relu", "x", DTYPE_F32, (int64_t[]){INT64_MAX, 3, INT64_MAX, 8}, 4, 0), "more than");
    /* a small picture, a hundred times along each of four axes */
    refused(one_node("Tile", "x b", DTYPE_F32, picture, 4, 100), "MiB at once");
}

static void files_that_are_none(void **state) {
    (void)state;
    fm_error error;
    struct seen seen = {0};
    assert_int_equal(fm_model_visit_support("/nowhere/m.onnx", NULL, see, &seen, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/m.onnx"));
    assert_int_equal(fm_model_visit_support(NULL, NULL, see, &seen, &error), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_model_visit_support("/nowhere/m.onnx", NULL, NULL, NULL, NULL), FM_INVALID_ARGUMENT);
    const fm_engine_options unset = {.struct_size = 0};
    assert_int_equal(fm_model_visit_support("/nowhere/m.onnx", &unset, see, &seen, &error), FM_INVALID_ARGUMENT);
    assert_int_equal(seen.rows, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_visited),
        cmocka_unit_test(bytes_and_open_sizes_run),
        cmocka_unit_test(answers_that_are_no_numbers_are_told),
        cmocka_unit_test(operators_that_a_provider_does_not_know_are_named),
        cmocka_unit_test(what_cannot_be_fed_is_not_tried),
        cmocka_unit_test(files_that_are_none),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
