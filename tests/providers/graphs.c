/* Graphs of the provider tests. A failure to make one ends the test at once. */
#include "graphs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/graph.h"

static void require(fm_status status, const fm_error *error) {
    if (status != FM_OK) {
        fprintf(stderr, "cannot make a graph: %s\n", error->message);
        exit(99);
    }
}

static struct graph *begin(const char *name) {
    static const int64_t dims[4] = {-1, 3, -1, -1};
    struct graph *graph = NULL;
    fm_error error = {0};
    require(fm_graph_create(name, 17, &graph, &error), &error);
    require(fm_graph_add_input(graph, "x", DTYPE_F32, dims, 4, &error), &error);
    return graph;
}

static void node(struct graph *graph, const char *op, const char *name, const char *inputs, const char *outputs) {
    fm_error error = {0};
    require(fm_graph_add_node(graph, op, name, inputs, outputs, NULL, &error), &error);
}

static void end(struct graph *graph, const char *first, const char *second, struct buffer *onnx) {
    fm_error error = {0};
    require(fm_graph_add_output(graph, first, DTYPE_F32, NULL, -1, &error), &error);
    if (second) {
        require(fm_graph_add_output(graph, second, DTYPE_F32, NULL, -1, &error), &error);
    }
    require(fm_graph_write(graph, onnx, &error), &error);
    fm_graph_close(graph);
}

static void constant(struct graph *graph, const char *name, float value) {
    fm_error error = {0};
    require(fm_graph_add_tensor(graph, name, DTYPE_F32, NULL, 0, &value, &error), &error);
}

void graph_affine(struct buffer *onnx) {
    struct graph *graph = begin("affine");
    constant(graph, "two", 2.0f);
    constant(graph, "one", 1.0f);
    node(graph, "Mul", "twice", "x two", "doubled");
    node(graph, "Add", "plus", "doubled one", "y0");
    node(graph, "Neg", "negative", "x", "negated");
    node(graph, "Relu", "positive", "negated", "y1");
    end(graph, "y0", "y1", onnx);
}

void graph_foreign(struct buffer *onnx) {
    struct graph *graph = begin("foreign");
    node(graph, "Relu", "plain_relu", "x", "a");
    node(graph, "Det", "odd_determinant", "a", "y");
    end(graph, "y", NULL, onnx);
}

void graph_shapes(struct buffer *onnx) {
    struct graph *graph = begin("shapes");
    const int64_t zero = 0, minus_one = -1, one_dim = 1;
    fm_error error = {0};
    require(fm_graph_add_tensor(graph, "zero", DTYPE_I64, &one_dim, 1, &zero, &error), &error);
    require(fm_graph_add_tensor(graph, "rest", DTYPE_I64, &one_dim, 1, &minus_one, &error), &error);
    node(graph, "Relu", "plain_relu", "x", "a");
    node(graph, "Shape", "shape", "a", "s");
    node(graph, "Gather", "batch", "s zero", "n");
    size_t index = 0;
    require(fm_graph_add_node(graph, "Concat", "target", "n rest", "t", &index, &error), &error);
    require(fm_graph_set_integer(graph, index, "axis", 0, &error), &error);
    node(graph, "Reshape", "flat", "a t", "y");
    end(graph, "y", NULL, onnx);
}

void graph_two_inputs(struct buffer *onnx) {
    static const int64_t dims[4] = {-1, 3, -1, -1};
    struct graph *graph = begin("two_inputs");
    fm_error error = {0};
    require(fm_graph_add_input(graph, "z", DTYPE_F32, dims, 4, &error), &error);
    node(graph, "Add", "sum", "x z", "y");
    end(graph, "y", NULL, onnx);
}

struct session_request graph_request(const char *name, const struct buffer *onnx) {
    return (struct session_request){.name = name,
                                    .purpose = "detection",
                                    .bytes = onnx->bytes,
                                    .size = onnx->size,
                                    .input_dtype = DTYPE_F32,
                                    .input_rank = 4,
                                    .input_dims = {1, 3, GRAPH_SIDE, GRAPH_SIDE}};
}

struct tensor graph_input(int64_t batch, float start) {
    struct tensor tensor = {.dtype = DTYPE_F32, .rank = 4, .dims = {batch, 3, GRAPH_SIDE, GRAPH_SIDE}};
    const size_t count = (size_t)batch * 3 * GRAPH_SIDE * GRAPH_SIDE;
    float *values = fm_alloc_aligned(count * sizeof *values);
    if (!values) {
        exit(99);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = start + 0.25f * (float)(i % 97) - 12.0f;
    }
    tensor.bytes = values;
    tensor.capacity = count * sizeof *values;
    return tensor;
}

bool graph_provider_there(const char *provider) {
    const struct runtime_options options = {.threads = 2};
    struct provider_probe probe;
    fm_provider_find(provider, strlen(provider))->probe(&options, &probe);
    if (!probe.available) {
        printf("%s is not here: %s\n", provider, probe.reason);
    }
    return probe.available;
}
