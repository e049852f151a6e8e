/* PRelu: spelled with operators that a runtime's fast layouts know. For slopes a <= 1,
       prelu(x) = max(x, a x) = relu((1 - a) x) + a x,
   and a product per channel is a depthwise 1x1 convolution. ONNX Runtime's CPU provider keeps all of that in its
   blocked layout and fuses relu and sum into the convolutions; its own PRelu leaves the layout and takes half of
   ArcFace's time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "onnx/message.h"

#define MAX_CHANNELS ((size_t)8192)
#define STEPS 6 /* nodes that take one PRelu's place */

struct slopes {
    int64_t channels;
    float direct[MAX_CHANNELS], clipped[MAX_CHANNELS]; /* a and 1 - a */
};

static bool read_float(const FmOnnx__Tensor *tensor, size_t index, float *value) {
    if (!tensor->has_raw_data) {
        *value = index < tensor->n_float_data ? tensor->float_data[index] : NAN;
        return true;
    }
    const uint8_t *bytes = tensor->raw_data.data + index * 4;
    const uint32_t bits =
        (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    memcpy(value, &bits, sizeof bits);
    return index * 4 + 4 <= tensor->raw_data.len;
}

/* Shapes [C,1,1] and [1,C,1,1] mean one slope per channel of an image; anything else may mean something else. */
static bool per_channel(const FmOnnx__Tensor *tensor, int64_t *channels) {
    const int64_t *dims = tensor->dims;
    const bool batched = tensor->n_dims == 4 && dims[0] == 1;
    if ((tensor->n_dims != 3 && !batched) || tensor->data_type != DTYPE_F32) {
        return false;
    }
    dims += batched;
    *channels = dims[0];
    return dims[0] > 1 && (uint64_t)dims[0] <= MAX_CHANNELS && dims[1] == 1 && dims[2] == 1;
}

static bool read_slopes(const struct graph *graph, const FmOnnx__Node *node, struct slopes *slopes) {
    if (strcmp(fm_onnx_text(node->op_type), "PRelu") != 0 || node->n_input != 2 || node->n_output != 1) {
        return false;
    }
    const FmOnnx__Tensor *tensor = fm_onnx_constant(graph, fm_names_find(graph, node->input[1]));
    if (tensor == NULL || !per_channel(tensor, &slopes->channels)) {
        return false;
    }
    for (size_t i = 0; i < (size_t)slopes->channels; i++) {
        if (!read_float(tensor, i, &slopes->direct[i]) || !(slopes->direct[i] <= 1.0f)) {
            return false;
        }
        slopes->clipped[i] = 1.0f - slopes->direct[i];
    }
    return true;
}

/* Append Constant weights and the depthwise convolution output = weights * input. */
static fm_status add_product(struct graph *graph, const char *input, const char *output, const float *weights,
                             int64_t channels, fm_error *error) {
    static const int64_t one_by_one[2] = {1, 1};
    const int64_t dims[4] = {channels, 1, 1, 1};
    char constant[280], inputs[600];
    size_t node = 0;
    snprintf(constant, sizeof constant, "%s_weights", output);
    snprintf(inputs, sizeof inputs, "%s %s", input, constant);
    fm_status status = fm_graph_add_node(graph, "Constant", constant, "", constant, &node, error);
    if (status == FM_OK) {
        status = fm_graph_set_tensor(graph, node, "value", DTYPE_F32, dims, 4, weights, error);
    }
    if (status == FM_OK) {
        status = fm_graph_add_node(graph, "Conv", output, inputs, output, &node, error);
    }
    if (status == FM_OK) {
        status = fm_graph_set_integer(graph, node, "group", channels, error);
    }
    return status == FM_OK ? fm_graph_set_integers(graph, node, "kernel_shape", one_by_one, 2, error) : status;
}

static fm_status add_steps(struct graph *graph, const char *input, const char *output, const struct slopes *slopes,
                           fm_error *error) {
    char direct[256], clipped[256], positive[256], inputs[600];
    snprintf(direct, sizeof direct, "%.200s_direct", output);
    snprintf(clipped, sizeof clipped, "%.200s_clipped", output);
    snprintf(positive, sizeof positive, "%.200s_positive", output);
    snprintf(inputs, sizeof inputs, "%s %s", direct, positive);
    fm_status status = add_product(graph, input, clipped, slopes->clipped, slopes->channels, error);
    if (status == FM_OK) {
        status = fm_graph_add_node(graph, "Relu", positive, clipped, positive, NULL, error);
    }
    if (status == FM_OK) {
        status = add_product(graph, input, direct, slopes->direct, slopes->channels, error);
    }
    return status == FM_OK ? fm_graph_add_node(graph, "Add", output, inputs, output, NULL, error) : status;
}

/* The output's name moves from the old node to the new ones: free it first, because a name has one producer. */
static fm_status replace_node(struct graph *graph, size_t position, const struct slopes *slopes, fm_error *error) {
    FmOnnx__Graph *body = graph->model->graph;
    FmOnnx__Node *old = body->node[position];
    char input[256], output[256];
    if (strlen(old->input[0]) >= 200 || strlen(old->output[0]) >= 200 || strpbrk(old->input[0], " ") ||
        strpbrk(old->output[0], " ")) {
        return FM_UNSUPPORTED;
    }
    snprintf(input, sizeof input, "%s", old->input[0]);
    snprintf(output, sizeof output, "%s", old->output[0]);
    const size_t before = body->n_node;
    memmove(body->node + position, body->node + position + 1, (before - position - 1) * sizeof *body->node);
    body->n_node--;
    fm_onnx__node__free_unpacked(old, &graph->allocator);
    fm_status status = fm_names_build(graph, error);
    if (status == FM_OK) {
        status = add_steps(graph, input, output, slopes, error);
    }
    if (status != FM_OK) {
        return status;
    }
    /* Into the old place, so that the nodes stay in topological order. */
    FmOnnx__Node *steps[STEPS];
    memcpy(steps, body->node + body->n_node - STEPS, sizeof steps);
    memmove(body->node + position + STEPS, body->node + position,
            (body->n_node - STEPS - position) * sizeof *body->node);
    memcpy(body->node + position, steps, sizeof steps);
    return fm_names_build(graph, error);
}

fm_status fm_graph_split_prelu(struct graph *graph, size_t *count, fm_error *error) {
    struct slopes *slopes = fm_alloc(sizeof *slopes);
    fm_status status =
        slopes != NULL ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "no memory to edit the model '%s'", graph->label);
    *count = 0;
    for (size_t i = 0; status == FM_OK && i < graph->model->graph->n_node; i++) {
        if (fm_graph_opset(graph) < 7 || !read_slopes(graph, graph->model->graph->node[i], slopes)) {
            continue;
        }
        status = replace_node(graph, i, slopes, error);
        if (status == FM_UNSUPPORTED) { /* odd names: that one stays as it is */
            status = FM_OK;
            continue;
        }
        *count += status == FM_OK;
    }
    fm_free(slopes);
    return status;
}
