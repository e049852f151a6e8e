/* Cost: multiply-adds and memory of a graph whose shapes were followed. The graph is foreign: sums saturate, what could
   not be followed is named. Pure; one thread per graph. */
#include "onnx/cost.h"

#include <stdio.h>
#include <string.h>

#include "onnx/message.h"
#include "onnx/shapes.h"

static uint64_t saturating_add(uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t saturating_multiply(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* ------------------------------------------------------------- multiply-adds */

static uint64_t elements_of(const struct value_shape *shape) {
    uint64_t elements = 0;
    return fm_shape_elements(shape, &elements) ? elements : UINT64_MAX;
}

/* Weights that one channel is made with: all dims but the first. */
static uint64_t taps(const struct value_shape *weights) {
    uint64_t product = 1;
    for (int i = 1; i < weights->rank; i++) {
        product = saturating_multiply(product, (uint64_t)weights->dims[i]);
    }
    return product;
}

struct counted_operator {
    const char *op;
    size_t weights; /* index of the second factor */
    enum { CONVOLUTION, TRANSPOSED, PRODUCT, GEMM } kind;
};

static const struct counted_operator counted[] = {
    {"Conv", 1, CONVOLUTION},        {"ConvInteger", 1, CONVOLUTION},
    {"QLinearConv", 3, CONVOLUTION}, {"ConvTranspose", 1, TRANSPOSED},
    {"MatMul", 1, PRODUCT},          {"MatMulInteger", 1, PRODUCT},
    {"QLinearMatMul", 3, PRODUCT},   {"Gemm", 1, GEMM},
};

static void count_node(const struct shapes *shapes, const FmOnnx__Node *node, struct graph_cost *cost) {
    const struct counted_operator *row = NULL;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        row = strcmp(counted[i].op, node->op_type) == 0 ? &counted[i] : row;
    }
    if (row == NULL || node->n_input <= row->weights || node->n_output < 1) {
        return;
    }
    const struct value_shape *in = fm_shapes_find(shapes, node->input[0]);
    const struct value_shape *weights = fm_shapes_find(shapes, node->input[row->weights]);
    const struct value_shape *out = fm_shapes_find(shapes, node->output[0]);
    if (in == NULL || weights == NULL || out == NULL || in->rank < 1) {
        return;
    }
    const FmOnnx__Attribute *turned = row->kind == GEMM ? fm_node_attribute(node, "transA") : NULL;
    uint64_t inner = (uint64_t)in->dims[turned != NULL && turned->i != 0 ? 0 : in->rank - 1];
    switch (row->kind) {
    case CONVOLUTION:
        cost->convolution_macs =
            saturating_add(cost->convolution_macs, saturating_multiply(elements_of(out), taps(weights)));
        break;
    case TRANSPOSED: /* every element of the input meets every weight of its channel once */
        cost->convolution_macs =
            saturating_add(cost->convolution_macs, saturating_multiply(elements_of(in), taps(weights)));
        break;
    case PRODUCT:
    case GEMM:
        cost->product_macs = saturating_add(cost->product_macs, saturating_multiply(elements_of(out), inner));
        break;
    }
}

/* --------------------------------------------------------------------- memory */

static uint64_t stored_bytes(const FmOnnx__Tensor *tensor) {
    size_t elements = 1, bytes = 0;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0 || !fm_size_multiply(elements, (size_t)tensor->dims[i], &elements)) {
            return 0; /* the reader refuses these */
        }
    }
    return fm_tensor_type_bytes(tensor->data_type, elements, &bytes) ? bytes : 0;
}

static uint64_t weight_bytes(const FmOnnx__Graph *body) {
    uint64_t total = 0;
    for (size_t i = 0; i < body->n_initializer; i++) {
        total = saturating_add(total, stored_bytes(body->initializer[i]));
    }
    for (size_t i = 0; i < body->n_node; i++) {
        const FmOnnx__Attribute *value =
            strcmp(body->node[i]->op_type, "Constant") == 0 ? fm_node_attribute(body->node[i], "value") : NULL;
        total = value != NULL && value->t != NULL ? saturating_add(total, stored_bytes(value->t)) : total;
    }
    return total;
}

static uint64_t value_bytes(const struct shapes *shapes, const char *name) {
    const struct value_shape *shape = fm_shapes_find(shapes, name);
    size_t bytes = 0;
    uint64_t elements = shape != NULL ? elements_of(shape) : 0;
    if (shape == NULL || elements > SIZE_MAX) {
        return 0;
    }
    return fm_tensor_type_bytes(shape->type, (size_t)elements, &bytes) ? bytes : 0;
}

#define NEVER_READ ((size_t)-1)
#define KEPT ((size_t)-2) /* an output of the graph */
#define GONE ((size_t)-3)

/* Who reads each name last: a node's index, or one of the above. */
static void find_last_readers(const struct graph *graph, size_t *last) {
    const FmOnnx__Graph *body = graph->model->graph;
    for (size_t i = 0; i < graph->name_count; i++) {
        last[i] = NEVER_READ;
    }
    for (size_t i = 0; i < body->n_node; i++) {
        for (size_t k = 0; k < body->node[i]->n_input; k++) {
            const struct name_entry *entry = fm_names_find(graph, body->node[i]->input[k]);
            if (entry != NULL) {
                last[entry - graph->names] = i;
            }
        }
    }
    for (size_t i = 0; i < body->n_output; i++) {
        const struct name_entry *entry = fm_names_find(graph, body->output[i]->name);
        if (entry != NULL) {
            last[entry - graph->names] = KEPT;
        }
    }
}

/* Weights are no activations, wherever they stand. */
static bool is_activation(const struct graph *graph, const struct name_entry *entry) {
    return entry != NULL && entry->kind != NAME_TENSOR &&
           (entry->kind != NAME_NODE || strcmp(graph->model->graph->node[entry->position]->op_type, "Constant") != 0);
}

/* Bytes that go when node `index` has run, of `name`, once. */
static uint64_t bytes_gone(const struct graph *graph, const struct shapes *shapes, size_t *last, size_t index,
                           const char *name) {
    const struct name_entry *entry = fm_names_find(graph, name);
    size_t *reader = entry != NULL ? &last[entry - graph->names] : NULL;
    bool made_for_nobody = reader != NULL && *reader == NEVER_READ && entry->kind == NAME_NODE;
    if (!is_activation(graph, entry) || (*reader != index && !made_for_nobody)) {
        return 0;
    }
    *reader = GONE;
    return value_bytes(shapes, name);
}

static uint64_t activation_peak(const struct graph *graph, const struct shapes *shapes, size_t *last) {
    const FmOnnx__Graph *body = graph->model->graph;
    uint64_t alive = value_bytes(shapes, fm_graph_input(graph, 0).name), peak = alive;
    find_last_readers(graph, last);
    for (size_t i = 0; i < body->n_node; i++) {
        const FmOnnx__Node *node = body->node[i];
        for (size_t k = 0; k < node->n_output; k++) {
            bool counts = is_activation(graph, fm_names_find(graph, node->output[k]));
            alive = saturating_add(alive, counts ? value_bytes(shapes, node->output[k]) : 0);
        }
        if (alive == UINT64_MAX) {
            return alive; /* nothing can be taken off it again */
        }
        peak = alive > peak ? alive : peak;
        for (size_t k = 0; k < node->n_input; k++) {
            alive -= bytes_gone(graph, shapes, last, i, node->input[k]);
        }
        for (size_t k = 0; k < node->n_output; k++) {
            alive -= bytes_gone(graph, shapes, last, i, node->output[k]);
        }
    }
    return peak;
}

/* ----------------------------------------------------------------------- notes */

#define NAMED_OPERATORS 8

/* "not followed: Loop, NonMaxSuppression; 3 of 120 nodes are not in the figures". */
static void write_note(const struct graph *graph, const struct shapes *shapes, struct graph_cost *cost) {
    const FmOnnx__Graph *body = graph->model->graph;
    const char *named[NAMED_OPERATORS];
    size_t count = 0, used = 0;
    bool more = false;
    for (size_t i = 0; i < body->n_node; i++) {
        bool cause = false, known = false;
        cost->not_followed += !fm_shapes_followed(shapes, i, &cause);
        for (size_t k = 0; k < count; k++) {
            known = known || strcmp(named[k], body->node[i]->op_type) == 0;
        }
        more = more || (cause && !known && count == NAMED_OPERATORS);
        if (cause && !known && count < NAMED_OPERATORS) {
            named[count++] = body->node[i]->op_type;
        }
    }
    if (cost->not_followed > 0) {
        used = (size_t)snprintf(cost->note, sizeof cost->note, "shapes could not be followed through ");
        for (size_t k = 0; k < count; k++) {
            used +=
                (size_t)snprintf(cost->note + used, sizeof cost->note - used, "%s%.32s", k > 0 ? ", " : "", named[k]);
        }
        used += (size_t)snprintf(cost->note + used, sizeof cost->note - used,
                                 "%s%s: %zu of %zu nodes are not in the figures", count == 0 ? "its input" : "",
                                 more ? " and others" : "", cost->not_followed, cost->nodes);
    }
    if (cost->macs == UINT64_MAX || cost->activation_bytes == UINT64_MAX || cost->weight_bytes == UINT64_MAX) {
        snprintf(cost->note + used, sizeof cost->note - used, "%sa figure is too large to be counted",
                 used > 0 ? "; " : "");
    }
}

fm_status fm_graph_cost(const struct graph *graph, const int64_t *dims, int rank, struct graph_cost *cost,
                        fm_error *error) {
    const FmOnnx__Graph *body = graph->model->graph;
    struct shapes *shapes = NULL;
    size_t *last = NULL;
    *cost = (struct graph_cost){.nodes = body->n_node};
    fm_status status = fm_shapes_open(graph, dims, rank, &shapes, error);
    if (status != FM_OK) {
        return status;
    }
    last = fm_alloc_array(graph->name_count + 1, sizeof *last);
    if (last == NULL) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory to count the work of '%s'", graph->label);
        goto cleanup;
    }
    for (size_t i = 0; i < body->n_node; i++) {
        count_node(shapes, body->node[i], cost);
    }
    cost->macs = saturating_add(cost->convolution_macs, cost->product_macs);
    cost->weight_bytes = weight_bytes(body);
    cost->activation_bytes = activation_peak(graph, shapes, last);
    write_note(graph, shapes, cost);
cleanup:
    fm_free(last);
    fm_shapes_close(shapes);
    return status;
}

/* ----------------------------------------------------------------- the input */

/* False when a dimension is open that nothing is known of. */
static bool fill_input(const struct graph_value *input, int64_t width, int64_t height, int64_t dims[FM_MAX_RANK]) {
    const int64_t first[4] = {1, 3, height, width}, last[4] = {1, height, width, 3};
    bool picture = input->rank == 4, thin = input->dims[1] == 3 || input->dims[1] == 1;
    bool channels_last = picture && (input->dims[3] == 3 || input->dims[3] == 1) && !thin;
    for (int i = 0; i < input->rank; i++) {
        dims[i] = input->dims[i];
        if (dims[i] < 0 && picture) {
            dims[i] = channels_last ? last[i] : first[i];
        } else if (dims[i] < 0 && i == 0) {
            dims[i] = 1;
        } else if (dims[i] < 0) {
            return false;
        }
    }
    return true;
}

/* A graph may leave its sides open and still have one of them written into its reshapes. */
static int64_t allowed_side(const struct graph *graph, const struct graph_value *input) {
    static const int64_t sides[] = {640, 320, 256, 224, 160, 128, 112, 96};
    int64_t dims[FM_MAX_RANK];
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct graph_cost cost;
        fm_error error = {FM_OK, ""};
        if (!fill_input(input, sides[i], sides[i], dims) ||
            fm_graph_cost(graph, dims, input->rank, &cost, &error) != FM_OK) {
            break;
        }
        if (cost.not_followed == 0) {
            return sides[i];
        }
    }
    return sides[0];
}

int fm_graph_typical_input(const struct graph *graph, int64_t width, int64_t height, int64_t dims[FM_MAX_RANK]) {
    const struct graph_value input = fm_graph_input(graph, 0);
    if (fm_graph_input_count(graph) != 1 || input.rank < 1) {
        return -1;
    }
    if (width <= 0 || height <= 0) {
        bool open = false;
        for (int i = 1; i < input.rank; i++) {
            open = open || input.dims[i] < 0;
        }
        width = height = open ? allowed_side(graph, &input) : 0;
    }
    return fill_input(&input, width, height, dims) ? input.rank : -1;
}
