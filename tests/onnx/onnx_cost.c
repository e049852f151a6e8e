/* onnx_cost FILE: the cost of a graph and the shapes of all its values as JSON, for check_cost.py to compare with what
   a runtime says. */
#include <stdio.h>

#include "base/os.h"
#include "base/text.h"
#include "onnx/cost.h"
#include "onnx/shapes.h"

static void add_dims(struct json *json, const char *key, const int64_t *dims, int rank) {
    fm_json_array_open(json, key);
    for (int i = 0; i < rank; i++) {
        fm_json_integer(json, NULL, dims[i]);
    }
    fm_json_array_close(json);
}

static void add_shapes(struct json *json, const struct graph *graph, const struct shapes *shapes) {
    fm_json_object_open(json, "shapes");
    for (size_t i = 0; i < fm_graph_node_count(graph); i++) {
        for (size_t k = 0; k < fm_graph_node_output_count(graph, i); k++) {
            const char *name = fm_graph_node_output(graph, i, k);
            const struct value_shape *shape = fm_shapes_find(shapes, name);
            if (shape != NULL) {
                add_dims(json, name, shape->dims, shape->rank);
            }
        }
    }
    fm_json_object_close(json);
}

static void add_cost(struct json *json, const struct graph_cost *cost) {
    fm_json_integer(json, "convolution_macs", (int64_t)cost->convolution_macs);
    fm_json_integer(json, "product_macs", (int64_t)cost->product_macs);
    fm_json_integer(json, "weight_bytes", (int64_t)cost->weight_bytes);
    fm_json_integer(json, "activation_bytes", (int64_t)cost->activation_bytes);
    fm_json_integer(json, "not_followed", (int64_t)cost->not_followed);
    fm_json_string(json, "note", cost->note);
}

int main(int argc, char **argv) {
    struct buffer file = {0};
    struct text text = {0};
    struct json json = {.text = &text};
    struct graph *graph = NULL;
    struct shapes *shapes = NULL;
    struct graph_cost cost;
    fm_error error = {FM_OK, ""};
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = -1, code = 1;
    if (argc != 2) {
        fprintf(stderr, "usage: onnx_cost FILE\n");
        return 2;
    }
    if (fm_file_read(argv[1], INT32_MAX, &file, &error) != FM_OK ||
        fm_graph_read(file.bytes, file.size, argv[1], &graph, &error) != FM_OK) {
        goto cleanup;
    }
    rank = fm_graph_typical_input(graph, 0, 0, dims);
    if (rank < 0 || fm_graph_cost(graph, dims, rank, &cost, &error) != FM_OK ||
        fm_shapes_open(graph, dims, rank, &shapes, &error) != FM_OK) {
        goto cleanup;
    }
    fm_json_object_open(&json, NULL);
    add_dims(&json, "input", dims, rank);
    add_cost(&json, &cost);
    add_shapes(&json, graph, shapes);
    fm_json_object_close(&json);
    code = text.failed || puts(fm_text_chars(&text)) < 0;
cleanup:
    if (code != 0) {
        fprintf(stderr, "onnx_cost: %s: %s\n", argv[1],
                rank < 0 && error.message[0] == 0 ? "not one picture" : error.message);
    }
    fm_shapes_close(shapes);
    fm_graph_close(graph);
    fm_buffer_reset(&file);
    fm_text_reset(&text);
    return code;
}
