/* Shapes and costs of small graphs, worked out by hand; graphs that contradict themselves, or are made to overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "onnx/cost.h"
#include "onnx/shapes.h"

#define OK(call) assert_int_equal((call), FM_OK)

static const float zeros[4096];

static struct graph *start(const int64_t *dims, int rank) {
    struct graph *graph = NULL;
    OK(fm_graph_create("small", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", DTYPE_F32, dims, rank, NULL));
    return graph;
}

static size_t add(struct graph *graph, const char *op, const char *inputs, const char *outputs) {
    size_t node = 0;
    OK(fm_graph_add_node(graph, op, outputs, inputs, outputs, &node, NULL));
    return node;
}

static void add_integers(struct graph *graph, const char *name, const int64_t *values, int64_t count) {
    OK(fm_graph_add_tensor(graph, name, DTYPE_I64, &count, 1, values, NULL));
}

/* Written and read again: the checks of the reader hold for what is counted. */
static struct graph *finish(struct graph *graph, const char *output) {
    struct buffer bytes = {0};
    struct graph *again = NULL;
    fm_error error = {FM_OK, ""};
    OK(fm_graph_add_output(graph, output, DTYPE_F32, NULL, -1, NULL));
    OK(fm_graph_write(graph, &bytes, NULL));
    fm_graph_close(graph);
    if (fm_graph_read(bytes.bytes, bytes.size, "again", &again, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    fm_buffer_reset(&bytes);
    return again;
}

static struct graph_cost cost_of(const struct graph *graph) {
    struct graph_cost cost;
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = fm_graph_typical_input(graph, 0, 0, dims);
    assert_true(rank > 0);
    OK(fm_graph_cost(graph, dims, rank, &cost, NULL));
    return cost;
}

/* Is `name` of these dims? Rank -1: not known. */
static void expect_shape(const struct graph *graph, const char *name, int rank, const int64_t *wanted) {
    struct shapes *shapes = NULL;
    int64_t dims[FM_MAX_RANK] = {0};
    int given = fm_graph_typical_input(graph, 0, 0, dims);
    OK(fm_shapes_open(graph, dims, given, &shapes, NULL));
    const struct value_shape *shape = fm_shapes_find(shapes, name);
    assert_int_equal(shape != NULL ? shape->rank : -1, rank);
    for (int i = 0; i < rank; i++) {
        assert_int_equal(shape->dims[i], wanted[i]);
    }
    fm_shapes_close(shapes);
}

/* 3x3 convolution of 3 to 4 channels, stride 2, pads 1, on 8x8: 4x4 places, 4 * 16 * 27 = 1728 multiply-adds. */
static void test_convolution_by_hand(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){1, 3, 8, 8}, 4);
    OK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){4, 3, 3, 3}, 4, zeros, NULL));
    OK(fm_graph_add_tensor(graph, "b", DTYPE_F32, (int64_t[]){4}, 1, zeros, NULL));
    size_t node = add(graph, "Conv", "x w b", "y");
    OK(fm_graph_set_integers(graph, node, "strides", (int64_t[]){2, 2}, 2, NULL));
    OK(fm_graph_set_integers(graph, node, "pads", (int64_t[]){1, 1, 1, 1}, 4, NULL));
    add(graph, "Relu", "y", "z");
    graph = finish(graph, "z");
    const struct graph_cost cost = cost_of(graph);
    assert_int_equal(cost.macs, 1728);
    assert_int_equal(cost.convolution_macs, 1728);
    assert_int_equal(cost.product_macs, 0);
    assert_int_equal(cost.weight_bytes, 4 * (108 + 4));
    /* x and y: 768 + 256 bytes, then y and z: 512 */
    assert_int_equal(cost.activation_bytes, 1024);
    assert_int_equal(cost.not_followed, 0);
    assert_string_equal(cost.note, "");
    fm_graph_close(graph);
}

/* Depthwise: 8 channels of 3x3 on 4x4 without padding: 2x2 places, 8 * 4 * 9 = 288. Then Gemm of 32 to 10: 320. */
static void test_groups_and_gemm_by_hand(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){-1, 8, 4, 4}, 4);
    OK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){8, 1, 3, 3}, 4, zeros, NULL));
    OK(fm_graph_add_tensor(graph, "m", DTYPE_F32, (int64_t[]){10, 32}, 2, zeros, NULL));
    OK(fm_graph_set_integer(graph, add(graph, "Conv", "x w", "y"), "group", 8, NULL));
    add(graph, "Flatten", "y", "row");
    OK(fm_graph_set_integer(graph, add(graph, "Gemm", "row m", "z"), "transB", 1, NULL));
    graph = finish(graph, "z");
    const struct graph_cost cost = cost_of(graph);
    assert_int_equal(cost.convolution_macs, 288);
    assert_int_equal(cost.product_macs, 320);
    assert_int_equal(cost.macs, 608);
    expect_shape(graph, "z", 2, (int64_t[]){1, 10});
    fm_graph_close(graph);
}

/* A value that a later node still reads stays alive: x 64, a 64, b 64, then sum 64 while x is gone. */
static void test_lifetimes(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){1, 16}, 2);
    add(graph, "Relu", "x", "a");
    add(graph, "Exp", "a", "b");
    add(graph, "Sqrt", "b", "c");
    add(graph, "Add", "a c", "sum");
    add(graph, "Sigmoid", "sum", "unread");
    graph = finish(graph, "sum");
    assert_int_equal(cost_of(graph).activation_bytes, 3 * 64); /* a, b, c; a, c, sum */
    fm_graph_close(graph);
}

/* The exporter's way of writing x.view(N, -1, 4) and of doubling the size. */
static void test_shape_arithmetic(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){1, 4, -1, -1}, 4);
    add_integers(graph, "zero", (int64_t[]){0}, 1);
    add_integers(graph, "rest", (int64_t[]){-1, 4}, 2);
    add_integers(graph, "two", (int64_t[]){2}, 1);
    add_integers(graph, "four", (int64_t[]){4}, 1);
    OK(fm_graph_add_tensor(graph, "none", DTYPE_F32, (int64_t[]){0}, 1, zeros, NULL));
    add(graph, "Shape", "x", "size");
    add(graph, "Gather", "size zero", "batch");
    OK(fm_graph_set_integer(graph, add(graph, "Concat", "batch rest", "target"), "axis", 0, NULL));
    add(graph, "Reshape", "x target", "rows");
    add(graph, "Slice", "size two four", "sides");
    add(graph, "Mul", "sides two", "doubled");
    add(graph, "Slice", "size zero two", "front");
    OK(fm_graph_set_integer(graph, add(graph, "Concat", "front doubled", "wanted"), "axis", 0, NULL));
    add(graph, "Resize", "x none none wanted", "large");
    graph = finish(graph, "large");
    expect_shape(graph, "rows", 3, (int64_t[]){1, 640 * 640, 4});
    expect_shape(graph, "large", 4, (int64_t[]){1, 4, 1280, 1280});
    assert_int_equal(cost_of(graph).not_followed, 0);
    fm_graph_close(graph);
}

/* Sides are open, a reshape says 5 x 5 cells of 64 pixels: only 320 fits. */
static void test_a_side_written_into_the_graph(void **state) {
    (void)state;
    int64_t dims[FM_MAX_RANK] = {0};
    struct graph *graph = start((int64_t[]){-1, 3, -1, -1}, 4);
    add_integers(graph, "cells", (int64_t[]){-1, 3, 5, 64, 5, 64}, 6);
    add_integers(graph, "one", (int64_t[]){1, 3, 320, 320}, 4);
    add(graph, "Reshape", "x one", "checked");
    add(graph, "Reshape", "checked cells", "y");
    graph = finish(graph, "y");
    assert_int_equal(fm_graph_typical_input(graph, 0, 0, dims), 4);
    assert_int_equal(dims[2], 320);
    assert_int_equal(dims[3], 320);
    assert_int_equal(fm_graph_typical_input(graph, 64, 48, dims), 4); /* who knows better is obeyed */
    assert_int_equal(dims[2], 48);
    assert_int_equal(dims[3], 64);
    fm_graph_close(graph);
}

static void test_typical_inputs(void **state) {
    (void)state;
    static const struct {
        int rank, expected;
        int64_t dims[4], wanted[4];
    } cases[] = {
        {4, 4, {1, 3, 112, 112}, {1, 3, 112, 112}},
        {4, 4, {-1, -1, -1, -1}, {1, 3, 640, 640}},
        {4, 4, {-1, -1, -1, 3}, {1, 640, 640, 3}},
        {4, 4, {-1, 1, -1, 3}, {1, 1, 640, 3}},
        {4, 4, {8, 3, -1, 96}, {8, 3, 640, 96}},
        {2, 2, {-1, 512}, {1, 512}},
        {2, -1, {1, -1}, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t dims[FM_MAX_RANK] = {0};
        struct graph *graph = start(cases[i].dims, cases[i].rank);
        add(graph, "Relu", "x", "y");
        graph = finish(graph, "y");
        assert_int_equal(fm_graph_typical_input(graph, 0, 0, dims), cases[i].expected);
        for (int k = 0; k < cases[i].expected; k++) {
            assert_int_equal(dims[k], cases[i].wanted[k]);
        }
        fm_graph_close(graph);
    }
}

/* What cannot be followed is named once, and what depends on it is counted. */
static void test_unknown_operators_are_named(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){1, 3, 8, 8}, 4);
    OK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){2, 3, 1, 1}, 4, zeros, NULL));
    add(graph, "Conv", "x w", "y");
    add(graph, "Mystery", "y", "a");
    add(graph, "Relu", "a", "b");
    add(graph, "Mystery", "y", "c");
    add(graph, "Conv", "b w", "d");
    graph = finish(graph, "d");
    const struct graph_cost cost = cost_of(graph);
    assert_int_equal(cost.macs, 2 * 3 * 64);
    assert_int_equal(cost.not_followed, 4);
    assert_string_equal(cost.note, "shapes could not be followed through Mystery: 4 of 5 nodes are not in the figures");
    fm_graph_close(graph);
}

/* One operator with its attributes and inputs; the answer must be: not known. */
static void test_contradictions_are_not_followed(void **state) {
    (void)state;
    static const struct {
        const char *op, *inputs, *attribute;
        int64_t values[8];
        size_t count; /* 0: one integer */
    } cases[] = {
        {"Conv", "x w", "group", {2}, 0},
        {"Conv", "x w", "group", {0}, 0},
        {"Conv", "x w", "group", {INT64_MIN}, 0},
        {"Conv", "x w", "strides", {0, 1}, 2},
        {"Conv", "x w", "strides", {1}, 1},
        {"Conv", "x w", "pads", {-1, 0, 0, 0}, 4},
        {"Conv", "x w", "dilations", {INT64_MAX, 1}, 2},
        {"Conv", "x w", "dilations", {100, 1}, 2}, /* the window does not fit once */
        {"ConvTranspose", "x w", "pads", {0, 0, INT32_MAX, INT32_MAX}, 4},
        {"ConvTranspose", "x w", "output_shape", {-4, 4}, 2},
        {"MaxPool", "x", "kernel_shape", {0, 2}, 2},
        {"MaxPool", "x", "kernel_shape", {INT64_MAX, INT64_MAX}, 2},
        {"AveragePool", "x", "ceil_mode", {1}, 0}, /* without a kernel */
        {"Transpose", "x", "perm", {0, 1, 2}, 3},
        {"Transpose", "x", "perm", {0, 1, 2, 2}, 4},
        {"Transpose", "x", "perm", {0, 1, 2, INT64_MIN}, 4},
        {"Reshape", "x far", "allowzero", {0}, 0},
        {"Reshape", "x huge", "allowzero", {0}, 0},
        {"Reshape", "x opens", "allowzero", {0}, 0},
        {"Reshape", "x none", "allowzero", {1}, 0},
        {"Expand", "x huge", "unused", {0}, 0},
        {"Tile", "x huge", "unused", {0}, 0},
        {"ConstantOfShape", "huge", "unused", {0}, 0},
        {"Concat", "x w", "axis", {0}, 0},
        {"Concat", "x x", "axis", {INT64_MAX}, 0},
        {"Squeeze", "x", "axes", {1}, 1},
        {"Unsqueeze", "x", "axes", {0, 0}, 2},
        {"Unsqueeze", "x", "axes", {0, 1, 2, 3, 4}, 5}, /* rank 9 */
        {"Flatten", "x", "axis", {5}, 0},
        {"Gather", "x far", "axis", {-5}, 0},
        {"Split", "x", "split", {9}, 1},
        {"Split", "x", "split", {-1}, 1},
        {"DepthToSpace", "x", "blocksize", {INT64_MAX}, 0},
        {"DepthToSpace", "x", "blocksize", {2}, 0},
        {"TopK", "x", "k", {100}, 0},
        {"Pad", "x", "pads", {0, 0, -9, 0, 0, 0, 0, 0}, 8},
        {"Pad", "x", "pads", {0, 0, INT64_MAX, 0, 0, 0, INT64_MAX, 0}, 8},
        {"ReduceMean", "x", "axes", {4}, 1},
        {"ReduceMean", "x", "axes", {1, -3}, 2},
        {"MatMul", "x w", "unused", {0}, 0},
        {"Gemm", "x w", "unused", {0}, 0},
        {"Cast", "x", "to", {0}, 0},
        {"Resize", "x none none huge", "unused", {0}, 0},
        {"Range", "far far far", "unused", {0}, 0},
        {"Shape", "-", "unused", {0}, 0},
        {"Add", "x w", "unused", {0}, 0},
        {"Where", "x x w", "unused", {0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct graph *graph = start((int64_t[]){1, 3, 8, 8}, 4);
        OK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){4, 3, 3, 3}, 4, zeros, NULL));
        add_integers(graph, "far", (int64_t[]){7, 7}, 2);
        add_integers(graph, "huge", (int64_t[]){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, 4);
        add_integers(graph, "opens", (int64_t[]){-1, -1}, 2);
        OK(fm_graph_add_tensor(graph, "none", DTYPE_F32, (int64_t[]){0}, 1, zeros, NULL));
        size_t node = add(graph, cases[i].op, cases[i].inputs, "y");
        if (cases[i].count == 0) {
            OK(fm_graph_set_integer(graph, node, cases[i].attribute, cases[i].values[0], NULL));
        } else {
            OK(fm_graph_set_integers(graph, node, cases[i].attribute, cases[i].values, cases[i].count, NULL));
        }
        graph = finish(graph, "y");
        struct graph_cost cost = cost_of(graph);
        if (cost.not_followed != 1 || strstr(cost.note, cases[i].op) == NULL) {
            fail_msg("case %zu, %s with %s: %zu nodes not followed, '%s'", i, cases[i].op, cases[i].attribute,
                     cost.not_followed, cost.note);
        }
        fm_graph_close(graph);
    }
}

/* Multiply-adds beyond 64 bits are not wrapped around: 2^31 squared times itself. */
static void test_figures_saturate(void **state) {
    (void)state;
    struct graph *graph = start((int64_t[]){INT32_MAX, 1, INT32_MAX}, 3);
    add_integers(graph, "turn", (int64_t[]){1, INT32_MAX, INT32_MAX}, 3);
    add(graph, "Reshape", "x turn", "a");
    add(graph, "MatMul", "a a", "b");
    add(graph, "MatMul", "b b", "c");
    add(graph, "MatMul", "c c", "d");
    add(graph, "MatMul", "d d", "e");
    graph = finish(graph, "e");
    const struct graph_cost cost = cost_of(graph);
    assert_true(cost.macs == UINT64_MAX && cost.activation_bytes == UINT64_MAX);
    assert_non_null(strstr(cost.note, "too large to be counted"));
    fm_graph_close(graph);
}

static void test_not_one_input(void **state) {
    (void)state;
    struct graph_cost cost;
    fm_error error = {FM_OK, ""};
    int64_t dims[FM_MAX_RANK] = {0};
    struct graph *graph = start((int64_t[]){1, 3, 8, 8}, 4);
    OK(fm_graph_add_input(graph, "second", DTYPE_F32, (int64_t[]){1}, 1, NULL));
    add(graph, "Add", "x second", "y");
    graph = finish(graph, "y");
    assert_int_equal(fm_graph_typical_input(graph, 0, 0, dims), -1);
    assert_int_equal(fm_graph_cost(graph, (int64_t[]){1, 3, 8, 8}, 4, &cost, &error), FM_UNSUPPORTED);
    assert_non_null(strstr(error.message, "2 inputs"));
    fm_graph_close(graph);
}

/* The networks of packs/mini: every shape is followed, and twice the images are twice the work. */
static void test_the_pack_of_our_own(void **state) {
    static const char *const files[] = {TEST_MINI_PACK "/mini-det.onnx", TEST_MINI_PACK "/mini-rec.onnx"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct buffer file = {0};
        struct graph *graph = NULL;
        struct graph_cost one, two;
        int64_t dims[FM_MAX_RANK] = {0};
        OK(fm_file_read(files[i], INT32_MAX, &file, NULL));
        OK(fm_graph_read(file.bytes, file.size, files[i], &graph, NULL));
        const int rank = fm_graph_typical_input(graph, 0, 0, dims);
        assert_int_equal(rank, 4);
        OK(fm_graph_cost(graph, dims, rank, &one, NULL));
        dims[0] = 2;
        OK(fm_graph_cost(graph, dims, rank, &two, NULL));
        assert_string_equal(one.note, "");
        assert_int_equal(one.not_followed, 0);
        assert_true(one.macs > 1000000 && one.weight_bytes < file.size);
        assert_true(two.macs == 2 * one.macs && two.weight_bytes == one.weight_bytes);
        fm_graph_close(graph);
        fm_buffer_reset(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution_by_hand),
        cmocka_unit_test(test_groups_and_gemm_by_hand),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_shape_arithmetic),
        cmocka_unit_test(test_a_side_written_into_the_graph),
        cmocka_unit_test(test_typical_inputs),
        cmocka_unit_test(test_unknown_operators_are_named),
        cmocka_unit_test(test_contradictions_are_not_followed),
        cmocka_unit_test(test_figures_saturate),
        cmocka_unit_test(test_not_one_input),
        cmocka_unit_test(test_the_pack_of_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
