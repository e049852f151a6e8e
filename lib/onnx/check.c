/* Check: what an ONNX message must hold before anyone may index into it. Tensors carry exactly the bytes their dims
   promise, nothing lives in another file, nodes use only values made before them. Pure; any thread. */
#include <string.h>

#include "onnx/message.h"

/* TensorProto.DataType beyond base/tensor.h's. */
enum {
    TYPE_FLOAT = 1,
    TYPE_UINT8 = 2,
    TYPE_INT8 = 3,
    TYPE_UINT16 = 4,
    TYPE_INT16 = 5,
    TYPE_INT32 = 6,
    TYPE_INT64 = 7,
    TYPE_STRING = 8,
    TYPE_BOOL = 9,
    TYPE_FLOAT16 = 10,
    TYPE_DOUBLE = 11,
    TYPE_UINT32 = 12,
    TYPE_UINT64 = 13,
    TYPE_COMPLEX64 = 14,
    TYPE_COMPLEX128 = 15,
    TYPE_BFLOAT16 = 16,
    TYPE_FLOAT8_FIRST = 17,
    TYPE_FLOAT8_LAST = 20,
    TYPE_UINT4 = 21,
    TYPE_INT4 = 22,
    TYPE_FLOAT4 = 23,
    TYPE_FLOAT8_E8M0 = 24
};

bool fm_tensor_type_bytes(int32_t type, size_t elements, size_t *bytes) {
    switch (type) {
    case TYPE_UINT8:
    case TYPE_INT8:
    case TYPE_BOOL:
    case TYPE_FLOAT8_E8M0:
        *bytes = elements;
        return true;
    case TYPE_UINT16:
    case TYPE_INT16:
    case TYPE_FLOAT16:
    case TYPE_BFLOAT16:
        return fm_size_multiply(elements, 2, bytes);
    case TYPE_FLOAT:
    case TYPE_INT32:
    case TYPE_UINT32:
        return fm_size_multiply(elements, 4, bytes);
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_DOUBLE:
    case TYPE_COMPLEX64:
        return fm_size_multiply(elements, 8, bytes);
    case TYPE_COMPLEX128:
        return fm_size_multiply(elements, 16, bytes);
    case TYPE_UINT4:
    case TYPE_INT4:
    case TYPE_FLOAT4:
        *bytes = elements / 2 + elements % 2;
        return true;
    default:
        break;
    }
    *bytes = elements;
    return type >= TYPE_FLOAT8_FIRST && type <= TYPE_FLOAT8_LAST;
}

/* How many values the typed list that belongs to the tensor's type holds. */
static size_t typed_values(const FmOnnx__Tensor *tensor) {
    switch (tensor->data_type) {
    case TYPE_FLOAT:
        return tensor->n_float_data;
    case TYPE_COMPLEX64:
        return tensor->n_float_data / 2;
    case TYPE_INT64:
        return tensor->n_int64_data;
    case TYPE_DOUBLE:
        return tensor->n_double_data;
    case TYPE_COMPLEX128:
        return tensor->n_double_data / 2;
    case TYPE_UINT32:
    case TYPE_UINT64:
        return tensor->n_uint64_data;
    case TYPE_STRING:
        return tensor->n_string_data;
    default:
        return tensor->n_int32_data;
    }
}

static fm_status check_dims(const struct graph *graph, const FmOnnx__Tensor *tensor, const char *name, size_t *elements,
                            fm_error *error) {
    *elements = 1;
    if (tensor->n_dims > FM_MAX_RANK) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' has %zu dimensions; at most %d are supported",
                       graph->label, name, tensor->n_dims, FM_MAX_RANK);
    }
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0 || !fm_size_multiply(*elements, (size_t)tensor->dims[i], elements)) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' has an impossible dimension %lld", graph->label,
                           name, (long long)tensor->dims[i]);
        }
    }
    return FM_OK;
}

static fm_status check_tensor(const struct graph *graph, const FmOnnx__Tensor *tensor, fm_error *error) {
    const char *name = fm_onnx_text(tensor->name);
    size_t elements = 0, bytes = 0;
    if (tensor->data_location != 0 || tensor->n_external_data > 0) {
        return fm_fail(error, FM_BAD_MODEL,
                       "'%s': tensor '%.200s' keeps its data in another file, which is not supported; save the model "
                       "with all data inside",
                       graph->label, name);
    }
    if (tensor->has_segment) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' is stored in segments, which is not supported",
                       graph->label, name);
    }
    fm_status status = check_dims(graph, tensor, name, &elements, error);
    if (status != FM_OK) {
        return status;
    }
    bool text = tensor->data_type == TYPE_STRING;
    if (!text && !fm_tensor_type_bytes(tensor->data_type, 1, &bytes)) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' has the unknown element type %d", graph->label, name,
                       (int)tensor->data_type);
    }
    if (!text && !fm_tensor_type_bytes(tensor->data_type, elements, &bytes)) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' has impossible dimensions", graph->label, name);
    }
    if (!text && tensor->has_raw_data) {
        if (tensor->raw_data.len != bytes) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' holds %zu bytes where its dimensions need %zu",
                           graph->label, name, tensor->raw_data.len, bytes);
        }
        return FM_OK;
    }
    bool packed_pairs = tensor->data_type >= TYPE_UINT4 && tensor->data_type <= TYPE_FLOAT4;
    if (typed_values(tensor) != (packed_pairs ? bytes : elements)) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': tensor '%.200s' holds %zu values where its dimensions need %zu",
                       graph->label, name, typed_values(tensor), elements);
    }
    return FM_OK;
}

static fm_status check_graph(const struct graph *graph, const FmOnnx__Graph *body, fm_error *error);

static fm_status check_attribute(const struct graph *graph, const FmOnnx__Attribute *attribute, fm_error *error) {
    fm_status status = FM_OK;
    if (attribute->has_sparse_tensor || attribute->n_sparse_tensors > 0) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': attribute '%.200s' is a sparse tensor, which is not supported",
                       graph->label, fm_onnx_text(attribute->name));
    }
    if (attribute->t != NULL) {
        status = check_tensor(graph, attribute->t, error);
    }
    for (size_t i = 0; status == FM_OK && i < attribute->n_tensors; i++) {
        status = check_tensor(graph, attribute->tensors[i], error);
    }
    if (status == FM_OK && attribute->g != NULL) {
        status = check_graph(graph, attribute->g, error);
    }
    for (size_t i = 0; status == FM_OK && i < attribute->n_graphs; i++) {
        status = check_graph(graph, attribute->graphs[i], error);
    }
    return status;
}

static fm_status check_node(const struct graph *graph, const FmOnnx__Node *node, fm_error *error) {
    if (fm_onnx_text(node->op_type)[0] == 0) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': node '%.200s' has no operator", graph->label,
                       fm_onnx_text(node->name));
    }
    fm_status status = FM_OK;
    for (size_t i = 0; status == FM_OK && i < node->n_attribute; i++) {
        status = check_attribute(graph, node->attribute[i], error);
    }
    return status;
}

static fm_status check_value(const struct graph *graph, const FmOnnx__Value *value, fm_error *error) {
    const FmOnnx__Shape *shape = fm_value_shape(value);
    if (fm_onnx_text(value->name)[0] == 0) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': an input or output has no name", graph->label);
    }
    if (shape == NULL) {
        return FM_OK;
    }
    if (shape->n_dim > FM_MAX_RANK) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': value '%.200s' has %zu dimensions; at most %d are supported",
                       graph->label, value->name, shape->n_dim, FM_MAX_RANK);
    }
    for (size_t i = 0; i < shape->n_dim; i++) {
        if (shape->dim[i]->has_dim_value && shape->dim[i]->dim_param != NULL) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': dimension %zu of '%.200s' has both a size and a name",
                           graph->label, i, value->name);
        }
    }
    return FM_OK;
}

/* Everything of a graph that does not depend on names: the main graph and nested ones. */
static fm_status check_graph(const struct graph *graph, const FmOnnx__Graph *body, fm_error *error) {
    fm_status status = FM_OK;
    if (body->n_sparse_initializer > 0) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' has sparse initializers, which are not supported", graph->label);
    }
    for (size_t i = 0; status == FM_OK && i < body->n_initializer; i++) {
        status = check_tensor(graph, body->initializer[i], error);
    }
    for (size_t i = 0; status == FM_OK && i < body->n_node; i++) {
        status = check_node(graph, body->node[i], error);
    }
    for (size_t i = 0; status == FM_OK && i < body->n_input; i++) {
        status = check_value(graph, body->input[i], error);
    }
    for (size_t i = 0; status == FM_OK && i < body->n_output; i++) {
        status = check_value(graph, body->output[i], error);
    }
    return status;
}

/* Nodes stand in an order in which they can run: this also rules out cycles, so walks over producers end. */
static fm_status check_order(const struct graph *graph, fm_error *error) {
    const FmOnnx__Graph *body = graph->model->graph;
    for (size_t i = 0; i < body->n_node; i++) {
        for (size_t k = 0; k < body->node[i]->n_input; k++) {
            const char *name = body->node[i]->input[k];
            const struct name_entry *made = name[0] != 0 ? fm_names_find(graph, name) : NULL;
            if (name[0] != 0 && (made == NULL || (made->kind == NAME_NODE && made->position >= i))) {
                return fm_fail(error, FM_BAD_MODEL, "'%s': node %zu (%.80s '%.200s') uses '%.200s', which %s",
                               graph->label, i, body->node[i]->op_type, fm_onnx_text(body->node[i]->name), name,
                               made == NULL ? "nothing makes" : "is made only later");
            }
        }
    }
    for (size_t i = 0; i < body->n_output; i++) {
        if (fm_names_find(graph, body->output[i]->name) == NULL) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': nothing makes the output '%.200s'", graph->label,
                           body->output[i]->name);
        }
    }
    return FM_OK;
}

fm_status fm_message_check(const struct graph *graph, fm_error *error) {
    const FmOnnx__Model *model = graph->model;
    fm_status status = check_graph(graph, model->graph, error);
    for (size_t i = 0; status == FM_OK && i < model->n_functions; i++) {
        for (size_t k = 0; status == FM_OK && k < model->functions[i]->n_node; k++) {
            status = check_node(graph, model->functions[i]->node[k], error);
        }
    }
    return status == FM_OK ? check_order(graph, error) : status;
}
