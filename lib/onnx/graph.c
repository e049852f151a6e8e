/* Graph: questions about a decoded ONNX graph. Names returned are the message's own. One thread per graph. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/message.h"

/* --------------------------------------------------------- inputs and outputs */

const FmOnnx__Shape *fm_value_shape(const FmOnnx__Value *value) {
    bool typed = value->type != NULL && value->type->tensor_type != NULL;
    return typed ? value->type->tensor_type->shape : NULL;
}

static struct graph_value describe(const FmOnnx__Value *value) {
    struct graph_value out = {.name = fm_onnx_text(value->name), .rank = -1};
    if (value->type != NULL && value->type->tensor_type != NULL) {
        out.dtype = (enum dtype)value->type->tensor_type->elem_type;
    }
    const FmOnnx__Shape *shape = fm_value_shape(value);
    if (shape != NULL) {
        out.rank = (int)shape->n_dim;
        for (size_t i = 0; i < shape->n_dim; i++) {
            const FmOnnx__Dimension *dim = shape->dim[i];
            out.dims[i] = dim->has_dim_value && dim->dim_value > 0 ? dim->dim_value : -1;
        }
    }
    return out;
}

static bool is_fed(const struct graph *graph, const FmOnnx__Value *input) {
    const struct name_entry *entry = fm_names_find(graph, input->name);
    return entry == NULL || entry->kind != NAME_TENSOR;
}

size_t fm_graph_input_count(const struct graph *graph) {
    size_t count = 0;
    for (size_t i = 0; i < graph->model->graph->n_input; i++) {
        count += is_fed(graph, graph->model->graph->input[i]);
    }
    return count;
}

struct graph_value fm_graph_input(const struct graph *graph, size_t index) {
    for (size_t i = 0; i < graph->model->graph->n_input; i++) {
        if (is_fed(graph, graph->model->graph->input[i]) && index-- == 0) {
            return describe(graph->model->graph->input[i]);
        }
    }
    return (struct graph_value){.name = "", .rank = -1};
}

size_t fm_graph_output_count(const struct graph *graph) {
    return graph->model->graph->n_output;
}

struct graph_value fm_graph_output(const struct graph *graph, size_t index) {
    bool known = index < graph->model->graph->n_output;
    return known ? describe(graph->model->graph->output[index]) : (struct graph_value){.name = "", .rank = -1};
}

int64_t fm_graph_opset(const struct graph *graph) {
    for (size_t i = 0; i < graph->model->n_opset_import; i++) {
        const FmOnnx__Opset *opset = graph->model->opset_import[i];
        const char *domain = fm_onnx_text(opset->domain);
        if (domain[0] == 0 || strcmp(domain, "ai.onnx") == 0) {
            return opset->version;
        }
    }
    return 0;
}

/* --------------------------------------------------------------------- nodes */

static const FmOnnx__Node *node_at(const struct graph *graph, size_t node) {
    return node < graph->model->graph->n_node ? graph->model->graph->node[node] : NULL;
}

size_t fm_graph_node_count(const struct graph *graph) {
    return graph->model->graph->n_node;
}

const char *fm_graph_node_operator(const struct graph *graph, size_t node) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL ? fm_onnx_text(found->op_type) : "";
}

const char *fm_graph_node_name(const struct graph *graph, size_t node) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL ? fm_onnx_text(found->name) : "";
}

size_t fm_graph_node_input_count(const struct graph *graph, size_t node) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL ? found->n_input : 0;
}

size_t fm_graph_node_output_count(const struct graph *graph, size_t node) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL ? found->n_output : 0;
}

const char *fm_graph_node_input(const struct graph *graph, size_t node, size_t index) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL && index < found->n_input ? found->input[index] : "";
}

const char *fm_graph_node_output(const struct graph *graph, size_t node, size_t index) {
    const FmOnnx__Node *found = node_at(graph, node);
    return found != NULL && index < found->n_output ? found->output[index] : "";
}

size_t fm_graph_producer(const struct graph *graph, const char *value) {
    const struct name_entry *entry = fm_names_find(graph, value);
    return entry != NULL && entry->kind == NAME_NODE ? entry->position : SIZE_MAX;
}

const FmOnnx__Attribute *fm_node_attribute(const FmOnnx__Node *node, const char *name) {
    for (size_t i = 0; node != NULL && i < node->n_attribute; i++) {
        if (strcmp(fm_onnx_text(node->attribute[i]->name), name) == 0) {
            return node->attribute[i];
        }
    }
    return NULL;
}

size_t fm_graph_node_integers(const struct graph *graph, size_t node, const char *name, int64_t *values,
                              size_t capacity) {
    const FmOnnx__Attribute *attribute = fm_node_attribute(node_at(graph, node), name);
    if (attribute == NULL) {
        return 0;
    }
    if (attribute->n_ints == 0 && attribute->has_i) { /* a single integer counts as a list of one */
        if (capacity > 0) {
            values[0] = attribute->i;
        }
        return 1;
    }
    for (size_t i = 0; i < attribute->n_ints && i < capacity; i++) {
        values[i] = attribute->ints[i];
    }
    return attribute->n_ints;
}

/* ----------------------------------------------------------------- constants */

static uint64_t little_endian(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static size_t tensor_integers(const FmOnnx__Tensor *tensor, int64_t *values, size_t capacity) {
    bool wide = tensor->data_type == DTYPE_I64;
    if (!wide && tensor->data_type != DTYPE_I32) {
        return 0;
    }
    size_t width = wide ? 8 : 4;
    size_t typed = wide ? tensor->n_int64_data : tensor->n_int32_data;
    size_t count = tensor->has_raw_data ? tensor->raw_data.len / width : typed;
    for (size_t i = 0; i < count && i < capacity; i++) {
        if (!tensor->has_raw_data) {
            values[i] = wide ? tensor->int64_data[i] : tensor->int32_data[i];
        } else {
            uint64_t bits = little_endian(tensor->raw_data.data + i * width, width);
            values[i] = wide ? (int64_t)bits : (int32_t)(uint32_t)bits;
        }
    }
    return count;
}

/* The tensor behind a name: an initializer, or the value of a Constant node. */
const FmOnnx__Tensor *fm_onnx_constant(const struct graph *graph, const struct name_entry *entry) {
    if (entry == NULL || entry->kind == NAME_INPUT) {
        return NULL;
    }
    if (entry->kind == NAME_TENSOR) {
        return graph->model->graph->initializer[entry->position];
    }
    const FmOnnx__Node *node = graph->model->graph->node[entry->position];
    const FmOnnx__Attribute *attribute = NULL;
    if (strcmp(node->op_type, "Constant") == 0) {
        attribute = fm_node_attribute(node, "value");
    }
    return attribute != NULL ? attribute->t : NULL;
}

size_t fm_graph_constant_integers(const struct graph *graph, const char *value, int64_t *values, size_t capacity) {
    const struct name_entry *entry = fm_names_find(graph, value);
    const FmOnnx__Tensor *tensor = fm_onnx_constant(graph, entry);
    if (tensor != NULL) {
        return tensor_integers(tensor, values, capacity);
    }
    if (entry == NULL || entry->kind != NAME_NODE ||
        strcmp(graph->model->graph->node[entry->position]->op_type, "Constant") != 0) {
        return 0;
    }
    size_t count = fm_graph_node_integers(graph, entry->position, "value_ints", values, capacity);
    return count > 0 ? count : fm_graph_node_integers(graph, entry->position, "value_int", values, capacity);
}

int fm_graph_constant_dims(const struct graph *graph, const char *value, int64_t dims[FM_MAX_RANK]) {
    const FmOnnx__Tensor *tensor = fm_onnx_constant(graph, fm_names_find(graph, value));
    if (tensor == NULL) {
        return -1;
    }
    for (size_t i = 0; i < tensor->n_dims; i++) {
        dims[i] = tensor->dims[i];
    }
    return (int)tensor->n_dims;
}

/* ------------------------------------------------------------------- figures */

uint64_t fm_graph_parameter_count(const struct graph *graph) {
    uint64_t total = 0;
    for (size_t i = 0; i < graph->model->graph->n_initializer; i++) {
        const FmOnnx__Tensor *tensor = graph->model->graph->initializer[i];
        uint64_t elements = 1;
        for (size_t k = 0; k < tensor->n_dims; k++) {
            elements *= (uint64_t)tensor->dims[k];
        }
        total += elements;
    }
    return total;
}

struct operator_count {
    const char *name;
    size_t count;
};

static int compare_names(const void *a, const void *b) {
    const struct operator_count *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int compare_counts(const void *a, const void *b) {
    const struct operator_count *left = a, *right = b;
    int order = (left->count < right->count) - (left->count > right->count);
    return order != 0 ? order : strcmp(left->name, right->name);
}

void fm_graph_operators(const struct graph *graph, char *out, size_t size) {
    size_t nodes = graph->model->graph->n_node, kinds = 0, length = 0;
    struct operator_count *counts = fm_alloc_array(nodes + 1, sizeof *counts);
    if (size > 0) {
        out[0] = 0;
    }
    if (counts == NULL) {
        return;
    }
    for (size_t i = 0; i < nodes; i++) {
        counts[i] = (struct operator_count){graph->model->graph->node[i]->op_type, 1};
    }
    qsort(counts, nodes, sizeof *counts, compare_names);
    for (size_t i = 0; i < nodes; i++) {
        if (kinds > 0 && strcmp(counts[kinds - 1].name, counts[i].name) == 0) {
            counts[kinds - 1].count++;
        } else {
            counts[kinds++] = counts[i];
        }
    }
    qsort(counts, kinds, sizeof *counts, compare_counts);
    for (size_t i = 0; i < kinds && length < size; i++) {
        int written =
            snprintf(out + length, size - length, "%s%s %zu", i > 0 ? ", " : "", counts[i].name, counts[i].count);
        length += written > 0 ? (size_t)written : 0;
    }
    fm_free(counts);
}
