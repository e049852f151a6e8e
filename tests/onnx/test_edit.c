/* Building and editing graphs: what an edit changes, and what it must leave alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "onnx/graph.h"

#define OK(call) assert_int_equal((call), FM_OK)

/* input.1 -> Conv -> Transpose -> Reshape -> rows, and a second use of the input. */
static struct graph *small_graph(void) {
    static const float weights[2 * 3] = {1, 2, 3, 4, 5, 6};
    struct graph *graph = NULL;
    size_t node = 0;
    OK(fm_graph_create("small", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "input.1", DTYPE_F32, (int64_t[]){1, 3, -1, -1}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){2, 3, 1, 1}, 4, weights, NULL));
    OK(fm_graph_add_tensor(graph, "shape", DTYPE_I64, (int64_t[]){2}, 1, (int64_t[]){-1, 1}, NULL));
    OK(fm_graph_add_node(graph, "Conv", "conv", "input.1 w", "map", NULL, NULL));
    OK(fm_graph_add_node(graph, "Transpose", "turn", "map", "turned", &node, NULL));
    OK(fm_graph_set_integers(graph, node, "perm", (int64_t[]){2, 3, 0, 1}, 4, NULL));
    OK(fm_graph_add_node(graph, "Reshape", "flat", "turned shape", "rows", NULL, NULL));
    OK(fm_graph_add_node(graph, "Shape", "measure", "input.1", "size", NULL, NULL));
    OK(fm_graph_add_output(graph, "rows", DTYPE_F32, (int64_t[]){12800, 1}, 2, NULL));
    OK(fm_graph_add_output(graph, "size", DTYPE_I64, (int64_t[]){4}, 1, NULL));
    return graph;
}

/* Write, close, read: what a provider sees. */
static struct graph *passed_on(struct graph *graph) {
    struct buffer bytes = {0};
    struct graph *again = NULL;
    fm_error error = {FM_OK, ""};
    OK(fm_graph_write(graph, &bytes, NULL));
    fm_graph_close(graph);
    if (fm_graph_read(bytes.bytes, bytes.size, "again", &again, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    fm_buffer_reset(&bytes);
    return again;
}

static void test_questions(void **state) {
    (void)state;
    struct graph *graph = passed_on(small_graph());
    struct graph_value input = fm_graph_input(graph, 0), rows = fm_graph_output(graph, 0);
    int64_t values[8] = {0};
    char operators[64], tiny[6];
    assert_string_equal(input.name, "input.1");
    assert_int_equal(input.dtype, DTYPE_F32);
    assert_int_equal(input.rank, 4);
    assert_true(input.dims[0] == 1 && input.dims[1] == 3 && input.dims[2] == -1 && input.dims[3] == -1);
    assert_true(rows.rank == 2 && rows.dims[0] == 12800 && rows.dims[1] == 1);
    assert_string_equal(fm_graph_input(graph, 1).name, "");
    assert_int_equal(fm_graph_node_count(graph), 4);
    assert_string_equal(fm_graph_node_operator(graph, 2), "Reshape");
    assert_string_equal(fm_graph_node_name(graph, 2), "flat");
    assert_int_equal(fm_graph_node_input_count(graph, 2), 2);
    assert_int_equal(fm_graph_node_output_count(graph, 2), 1);
    assert_string_equal(fm_graph_node_input(graph, 2, 0), "turned");
    assert_string_equal(fm_graph_node_output(graph, 2, 0), "rows");
    assert_int_equal(fm_graph_producer(graph, "turned"), 1);
    assert_int_equal(fm_graph_node_integers(graph, 1, "perm", values, 2),
                     4); /* the length, and no more than two values */
    assert_true(values[0] == 2 && values[1] == 3 && values[2] == 0);
    assert_int_equal(fm_graph_node_integers(graph, 1, "axes", values, 8), 0);
    assert_int_equal(fm_graph_constant_integers(graph, "shape", values, 8), 2);
    assert_true(values[0] == -1 && values[1] == 1);
    assert_int_equal(fm_graph_constant_integers(graph, "w", values, 8), 0);
    assert_int_equal(fm_graph_constant_integers(graph, "map", values, 8), 0);
    assert_int_equal(fm_graph_constant_dims(graph, "w", values), 4);
    assert_true(values[0] == 2 && values[1] == 3);
    assert_int_equal(fm_graph_constant_dims(graph, "input.1", values), -1);
    assert_int_equal(fm_graph_parameter_count(graph), 8);
    fm_graph_operators(graph, operators, sizeof operators);
    assert_string_equal(operators, "Conv 1, Reshape 1, Shape 1, Transpose 1");
    fm_graph_operators(graph, tiny, sizeof tiny);
    assert_string_equal(tiny, "Conv ");
    fm_graph_close(graph);
}

static void test_batch_becomes_symbolic(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    OK(fm_graph_make_batch_dynamic(graph, 0, NULL));
    graph = passed_on(graph);
    struct graph_value input = fm_graph_input(graph, 0), rows = fm_graph_output(graph, 0);
    assert_int_equal(input.dims[0], -1);
    assert_int_equal(input.dims[1], 3);
    assert_int_equal(rows.rank, -1);
    assert_int_equal(rows.dtype, DTYPE_F32);
    assert_int_equal(fm_graph_output(graph, 1).dtype, DTYPE_I64);
    assert_int_equal(fm_graph_make_batch_dynamic(graph, 1, NULL), FM_BAD_MODEL);
    fm_graph_close(graph);
}

static void test_bytes_go_in_through_three_nodes(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    OK(fm_graph_take_bytes(graph, 0, 127.5f, 1.0f / 128.0f, NULL));
    graph = passed_on(graph);
    struct graph_value input = fm_graph_input(graph, 0);
    assert_string_equal(input.name, "input.1");
    assert_int_equal(input.dtype, DTYPE_U8);
    assert_int_equal(input.dims[1], 3);
    size_t conv = fm_graph_producer(graph, "map"), shape = fm_graph_producer(graph, "size");
    size_t scaled = fm_graph_producer(graph, fm_graph_node_input(graph, conv, 0));
    size_t shifted = fm_graph_producer(graph, fm_graph_node_input(graph, scaled, 0));
    size_t cast = fm_graph_producer(graph, fm_graph_node_input(graph, shifted, 0));
    int64_t to = 0;
    assert_string_equal(fm_graph_node_operator(graph, scaled), "Mul");
    assert_string_equal(fm_graph_node_operator(graph, shifted), "Sub");
    assert_string_equal(fm_graph_node_operator(graph, cast), "Cast");
    assert_string_equal(fm_graph_node_input(graph, cast, 0), "input.1");
    assert_int_equal(fm_graph_node_integers(graph, cast, "to", &to, 1), 1);
    assert_int_equal(to, DTYPE_F32);
    assert_string_equal(fm_graph_node_input(graph, shape, 0),
                        fm_graph_node_input(graph, conv, 0));                            /* every use was moved */
    assert_int_equal(fm_graph_take_bytes(graph, 0, 127.5f, 1.0f, NULL), FM_UNSUPPORTED); /* they are bytes already */
    fm_graph_close(graph);
}

static void test_bytes_without_normalisation_need_only_a_cast(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    size_t before = fm_graph_node_count(graph);
    OK(fm_graph_take_bytes(graph, 0, 0.0f, 1.0f, NULL));
    assert_int_equal(fm_graph_node_count(graph), before + 1);
    assert_string_equal(fm_graph_node_operator(graph, 0), "Cast");
    fm_graph_close(passed_on(graph));
}

/* A value that already has the name the edit would choose. */
static void test_new_names_avoid_old_ones(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    OK(fm_graph_add_node(graph, "Relu", "", "map", "input.1_float", NULL, NULL));
    OK(fm_graph_add_node(graph, "Relu", "", "map", "input.1_scaled", NULL, NULL));
    OK(fm_graph_take_bytes(graph, 0, 1.0f, 2.0f, NULL));
    fm_graph_close(passed_on(graph));
}

static void test_an_input_that_is_an_output_stays(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    fm_error error = {FM_OK, ""};
    OK(fm_graph_add_output(graph, "input.1", DTYPE_F32, NULL, -1, NULL));
    assert_int_equal(fm_graph_take_bytes(graph, 0, 1.0f, 2.0f, &error), FM_UNSUPPORTED);
    assert_non_null(strstr(error.message, "'input.1' is an output too"));
    assert_int_equal(fm_graph_input(graph, 0).dtype, DTYPE_F32);
    fm_graph_close(graph);
}

static void test_sizes_can_be_fixed(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    OK(fm_graph_fix_input(graph, 0, (int64_t[]){-1, -1, 320, 640}, 4, NULL));
    graph = passed_on(graph);
    struct graph_value input = fm_graph_input(graph, 0);
    assert_true(input.dims[0] == 1 && input.dims[1] == 3 && input.dims[2] == 320 && input.dims[3] == 640);
    assert_int_equal(fm_graph_output(graph, 0).rank, -1); /* 12800 rows were those of another size */
    assert_int_equal(fm_graph_fix_input(graph, 0, (int64_t[]){1, 1}, 2, NULL), FM_INVALID_ARGUMENT);
    fm_graph_close(graph);
}

static void test_a_name_is_given_once(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    fm_error error = {FM_OK, ""};
    size_t nodes = fm_graph_node_count(graph);
    assert_int_equal(fm_graph_add_node(graph, "Relu", "", "map", "rows", NULL, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "'rows' is defined twice"));
    assert_int_equal(fm_graph_add_tensor(graph, "map", DTYPE_F32, NULL, 0, &(float){0}, NULL), FM_BAD_MODEL);
    assert_int_equal(fm_graph_add_input(graph, "map", DTYPE_F32, NULL, 0, NULL), FM_BAD_MODEL);
    assert_int_equal(fm_graph_node_count(graph), nodes);
    assert_int_equal(fm_graph_input_count(graph), 1);
    fm_graph_close(passed_on(graph)); /* and the graph is as it was */
}

static void test_builder_refuses_what_cannot_be(void **state) {
    (void)state;
    struct graph *graph = small_graph();
    const int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, huge[3] = {INT64_MAX, INT64_MAX, 2}, negative = -1;
    assert_int_equal(fm_graph_add_tensor(graph, "t", DTYPE_F32, dims, 9, "", NULL), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_graph_add_tensor(graph, "t", DTYPE_F32, huge, 3, "", NULL), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_graph_add_tensor(graph, "t", DTYPE_F32, &negative, 1, "", NULL), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_graph_add_tensor(graph, "t", DTYPE_NONE, dims, 1, "", NULL), FM_INVALID_ARGUMENT);
    assert_int_equal(fm_graph_set_integer(graph, 99, "axis", 1, NULL), FM_INVALID_ARGUMENT);
    fm_graph_close(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_batch_becomes_symbolic),
        cmocka_unit_test(test_bytes_go_in_through_three_nodes),
        cmocka_unit_test(test_bytes_without_normalisation_need_only_a_cast),
        cmocka_unit_test(test_new_names_avoid_old_ones),
        cmocka_unit_test(test_an_input_that_is_an_output_stays),
        cmocka_unit_test(test_sizes_can_be_fixed),
        cmocka_unit_test(test_a_name_is_given_once),
        cmocka_unit_test(test_builder_refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
