/* Reading ONNX: what is well formed is read and written back unchanged; what is not is refused with words that name it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "onnx/graph.h"
#include "support/onnx_maker.h"

/* ------------------------------------------------- protobuf by hand, to write what our writer would not */

struct bytes {
    uint8_t at[65536];
    size_t size;
};

static void put_number(struct bytes *out, uint64_t value) {
    do {
        out->at[out->size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
}

static void put_integer(struct bytes *out, uint32_t field, uint64_t value) {
    put_number(out, (uint64_t)field << 3);
    put_number(out, value);
}

static void put_bytes(struct bytes *out, uint32_t field, const void *bytes, size_t size) {
    put_number(out, ((uint64_t)field << 3) | 2);
    put_number(out, size);
    memcpy(out->at + out->size, bytes, size);
    out->size += size;
}

static void put_text(struct bytes *out, uint32_t field, const char *text) {
    put_bytes(out, field, text, strlen(text));
}

static void put_message(struct bytes *out, uint32_t field, const struct bytes *message) {
    put_bytes(out, field, message->at, message->size);
}

/* A model around `graph`: IR 7, operator set 11. */
static void wrap(struct bytes *model, const struct bytes *graph) {
    static const struct bytes opset = {{2 << 3, 11}, 2};
    model->size = 0;
    put_integer(model, 1, 7);
    put_message(model, 7, graph);
    put_message(model, 8, &opset);
}

static void put_node(struct bytes *graph, const char *op, const char *input, const char *output) {
    struct bytes node = {.size = 0};
    put_text(&node, 1, input);
    put_text(&node, 2, output);
    put_text(&node, 4, op);
    put_message(graph, 1, &node);
}

static void put_value(struct bytes *graph, uint32_t field, const char *name) {
    struct bytes value = {.size = 0};
    put_text(&value, 1, name);
    put_message(graph, field, &value);
}

/* x -> Relu -> y, which every test below then spoils. */
static void put_good(struct bytes *graph) {
    graph->size = 0;
    put_node(graph, "Relu", "x", "y");
    put_value(graph, 11, "x");
    put_value(graph, 12, "y");
}

static void refused(const struct bytes *model, const char *words) {
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_graph_read(model->at, model->size, "m.onnx", &graph, &error), FM_BAD_MODEL);
    assert_null(graph);
    if (strstr(error.message, words) == NULL || strstr(error.message, "m.onnx") == NULL) {
        fail_msg("expected '%s' in '%s'", words, error.message);
    }
}

static void refused_graph(const struct bytes *graph, const char *words) {
    struct bytes model;
    wrap(&model, graph);
    refused(&model, words);
}

static void test_the_good_one_is_read(void **state) {
    (void)state;
    struct bytes graph, model;
    struct graph *read = NULL;
    put_good(&graph);
    wrap(&model, &graph);
    assert_int_equal(fm_graph_read(model.at, model.size, "m.onnx", &read, NULL), FM_OK);
    assert_int_equal(fm_graph_input_count(read), 1);
    assert_string_equal(fm_graph_input(read, 0).name, "x");
    assert_int_equal(fm_graph_input(read, 0).rank, -1);
    assert_int_equal(fm_graph_opset(read), 11);
    assert_int_equal(fm_graph_producer(read, "y"), 0);
    assert_true(fm_graph_producer(read, "x") == SIZE_MAX);
    fm_graph_close(read);
}

static void test_no_model(void **state) {
    (void)state;
    struct bytes model = {.size = 0};
    refused(&model, "0 bytes");
    put_integer(&model, 1, 7);
    refused(&model, "holds no graph");
    struct bytes graph, body = {.size = 0};
    put_good(&graph);
    put_integer(&body, 1, 7);
    put_message(&body, 7, &graph);
    refused(&body, "no operator set");
    memcpy(model.at, "\x89PNG\r\n\x1a\n", 8);
    model.size = 8;
    refused(&model, "not a valid ONNX file");
}

static void test_wire_damage(void **state) {
    (void)state;
    struct bytes graph, model;
    put_good(&graph);
    wrap(&model, &graph);
    struct bytes cut = model;
    for (cut.size = 1; cut.size < model.size; cut.size++) { /* no prefix may crash; only whole fields may be read */
        struct graph *read = NULL;
        (void)!fm_graph_read(cut.at, cut.size, "cut", &read, NULL);
        fm_graph_close(read);
    }
    cut = model;
    cut.at[cut.size++] = 0x0b; /* a group, which ONNX never has */
    refused(&cut, "unknown wire type");
    cut = model;
    memset(cut.at + cut.size, 0xff, 12);
    cut.size += 12;
    refused(&cut, "no field tag");
    cut = model;
    put_integer(&cut, 1, 8);
    refused(&cut, "comes twice");
    put_value(&graph, 12, "a");
    graph.at[graph.size - 1] = 0;
    refused_graph(&graph, "NUL");
}

static void test_nesting_is_limited(void **state) {
    (void)state;
    static struct bytes inner, outer;
    inner.size = 0;
    put_good(&inner);
    for (int depth = 0; depth < 30; depth++) { /* graph in attribute in node in graph ... */
        static struct bytes attribute, node;
        attribute.size = node.size = outer.size = 0;
        put_text(&attribute, 1, "body");
        put_message(&attribute, 6, &inner);
        put_text(&node, 2, "y");
        put_text(&node, 4, "If");
        put_message(&node, 5, &attribute);
        put_message(&outer, 1, &node);
        put_value(&outer, 12, "y");
        inner = outer;
        if (depth == 2) {
            static struct bytes model;
            struct graph *graph = NULL;
            wrap(&model, &inner);
            assert_int_equal(fm_graph_read(model.at, model.size, "m", &graph, NULL), FM_OK);
            fm_graph_close(graph);
        }
    }
    refused_graph(&inner, "nested too deeply");
}

static void test_names(void **state) {
    (void)state;
    struct bytes graph;
    put_good(&graph);
    put_node(&graph, "Relu", "x", "y");
    refused_graph(&graph, "'y' is defined twice");
    put_good(&graph);
    put_node(&graph, "Relu", "elsewhere", "z");
    refused_graph(&graph, "uses 'elsewhere', which nothing makes");
    graph.size = 0;
    put_node(&graph, "Relu", "b", "a");
    put_node(&graph, "Relu", "a", "b");
    refused_graph(&graph, "'b', which is made only later");
    put_good(&graph);
    put_value(&graph, 12, "nobody");
    refused_graph(&graph, "nothing makes the output 'nobody'");
    put_good(&graph);
    put_value(&graph, 11, "");
    refused_graph(&graph, "has no name");
    put_good(&graph);
    put_node(&graph, "", "x", "z");
    refused_graph(&graph, "has no operator");
}

static void put_tensor(struct bytes *graph, int64_t dim, int type, size_t raw) {
    static const uint8_t zeros[64];
    struct bytes tensor = {.size = 0};
    put_integer(&tensor, 1, (uint64_t)dim);
    put_integer(&tensor, 2, (uint64_t)type);
    put_text(&tensor, 8, "w");
    put_bytes(&tensor, 9, zeros, raw);
    put_message(graph, 5, &tensor);
}

static void test_tensor_size_must_equal_its_dimensions(void **state) {
    (void)state;
    struct bytes graph;
    const struct {
        int64_t dim;
        int type;
        size_t raw;
        const char *words;
    } cases[] = {{4, 1, 12, "holds 12 bytes where its dimensions need 16"},
                 {4, 1, 20, "holds 20 bytes where its dimensions need 16"},
                 {-1, 1, 0, "impossible dimension -1"},
                 {INT64_MAX, 7, 8, "has impossible dimensions"},
                 {3, 22, 1, "holds 1 bytes where its dimensions need 2"},
                 {4, 99, 4, "unknown element type 99"},
                 {4, 0, 4, "unknown element type 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_good(&graph);
        put_tensor(&graph, cases[i].dim, cases[i].type, cases[i].raw);
        refused_graph(&graph, cases[i].words);
    }
    put_good(&graph);
    struct bytes typed = {.size = 0}, wide = {.size = 0};
    put_integer(&typed, 1, 3);
    put_integer(&typed, 2, 7);
    put_integer(&typed, 7, 1); /* one 64-bit value where three are promised */
    put_text(&typed, 8, "w");
    put_message(&graph, 5, &typed);
    refused_graph(&graph, "holds 1 values where its dimensions need 3");
    put_good(&graph);
    for (int i = 0; i < 9; i++) {
        put_integer(&wide, 1, 1);
    }
    put_integer(&wide, 2, 1);
    put_text(&wide, 8, "w");
    put_message(&graph, 5, &wide);
    refused_graph(&graph, "has 9 dimensions");
}

static void test_external_data_is_refused_by_name(void **state) {
    (void)state;
    struct buffer onnx = {0};
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_maker_external(&onnx, NULL), FM_OK);
    assert_int_equal(fm_graph_read(onnx.bytes, onnx.size, "external.onnx", &graph, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "'weights' keeps its data in another file"));
    fm_buffer_reset(&onnx);
}

/* Attributes hide tensors too, in nested graphs as well. */
static void test_external_data_in_a_nested_graph(void **state) {
    (void)state;
    struct bytes tensor = {.size = 0}, constant = {.size = 0}, value = {.size = 0}, body = {.size = 0},
                 attribute = {.size = 0}, node = {.size = 0}, graph;
    put_integer(&tensor, 2, 1);
    put_text(&tensor, 8, "hidden");
    put_integer(&tensor, 14, 1);
    put_text(&value, 1, "value");
    put_message(&value, 5, &tensor);
    put_text(&constant, 2, "c");
    put_text(&constant, 4, "Constant");
    put_message(&constant, 5, &value);
    put_message(&body, 1, &constant);
    put_text(&attribute, 1, "then_branch");
    put_message(&attribute, 6, &body);
    put_text(&node, 2, "z");
    put_text(&node, 4, "If");
    put_message(&node, 5, &attribute);
    put_good(&graph);
    put_message(&graph, 1, &node);
    refused_graph(&graph, "'hidden' keeps its data in another file");
}

/* Two bytes of file become a struct of 150: a file of nothing but empty nodes must not eat the memory. */
static void test_memory_is_bounded_by_the_file(void **state) {
    (void)state;
    const size_t pairs = 2000000;
    struct buffer file = {0};
    struct bytes head = {.size = 0};
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    put_integer(&head, 1, 7);
    put_number(&head, (7 << 3) | 2);
    put_number(&head, 2 * pairs);
    assert_true(fm_buffer_resize(&file, head.size + 2 * pairs));
    memcpy(file.bytes, head.at, head.size);
    for (size_t i = 0; i < pairs; i++) {
        file.bytes[head.size + 2 * i] = (1 << 3) | 2;
        file.bytes[head.size + 2 * i + 1] = 0;
    }
    assert_int_equal(fm_graph_read(file.bytes, file.size, "bomb.onnx", &graph, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "MiB of memory"));
    fm_buffer_reset(&file);
}

static bool contains(const struct buffer *haystack, const char *needle) {
    size_t length = strlen(needle);
    for (size_t i = 0; i + length <= haystack->size; i++) {
        if (memcmp(haystack->bytes + i, needle, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Metadata, documentation and whatever comes after this version of the format survive. */
static void test_unknown_fields_are_kept(void **state) {
    (void)state;
    struct bytes graph, model;
    struct graph *read = NULL;
    struct buffer out = {0};
    put_good(&graph);
    put_text(&graph, 10, "documentation of the graph");
    put_text(&graph, 7777, "a field of the year 2040");
    wrap(&model, &graph);
    put_text(&model, 14, "metadata of the model");
    assert_int_equal(fm_graph_read(model.at, model.size, "m", &read, NULL), FM_OK);
    assert_int_equal(fm_graph_make_batch_dynamic(read, 0, NULL),
                     FM_BAD_MODEL); /* x has no dimensions; nothing changes */
    assert_int_equal(fm_graph_write(read, &out, NULL), FM_OK);
    assert_int_equal(out.size, model.size);
    assert_true(contains(&out, "documentation of the graph"));
    assert_true(contains(&out, "a field of the year 2040"));
    assert_true(contains(&out, "metadata of the model"));
    fm_graph_close(read);
    fm_buffer_reset(&out);
}

/* ------------------------------------------------------------- the real files */

static bool check_file(const char *name, enum os_path_kind kind, void *user) {
    char path[4096];
    struct buffer file = {0}, out = {0};
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    size_t length = strlen(name);
    if (kind != OS_PATH_FILE || length < 5 || strcmp(name + length - 5, ".onnx") != 0) {
        return true;
    }
    assert_true(fm_path_join(path, sizeof path, user, name));
    assert_int_equal(fm_file_read(path, INT32_MAX, &file, &error), FM_OK);
    if (fm_graph_read(file.bytes, file.size, name, &graph, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(fm_graph_write(graph, &out, &error), FM_OK);
    assert_int_equal(out.size, file.size); /* fields may change places, none may be lost or grow */
    assert_true(fm_graph_node_count(graph) > 10 && fm_graph_parameter_count(graph) > 10000);
    fm_graph_close(graph);
    fm_buffer_reset(&file);
    fm_buffer_reset(&out);
    return true;
}

static void test_real_models_are_read_and_written(void **state) {
    (void)state;
    char folder[4096] = TEST_MINI_PACK;
    const char *shared = fm_environment("FM_SHARED");
    assert_int_equal(fm_folder_visit(folder, check_file, folder, NULL), FM_OK);
    if (shared == NULL || !fm_path_join(folder, sizeof folder, shared, "models") ||
        fm_path_kind(folder) != OS_PATH_FOLDER) {
        print_message("without FM_SHARED/models: done on packs/mini alone\n");
        return;
    }
    assert_int_equal(fm_folder_visit(folder, check_file, folder, NULL), FM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_good_one_is_read),
        cmocka_unit_test(test_no_model),
        cmocka_unit_test(test_wire_damage),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_tensor_size_must_equal_its_dimensions),
        cmocka_unit_test(test_external_data_is_refused_by_name),
        cmocka_unit_test(test_external_data_in_a_nested_graph),
        cmocka_unit_test(test_memory_is_bounded_by_the_file),
        cmocka_unit_test(test_unknown_fields_are_kept),
        cmocka_unit_test(test_real_models_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
