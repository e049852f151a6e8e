/* Build: add inputs, outputs, tensors, nodes and attributes to a graph. Tests write their graphs with this, packs of
   our own later; edit.c uses it too. A call that fails leaves the graph as it was. One thread per graph. */
#include <string.h>

#include "onnx/message.h"

#define PRODUCER "facemill"

static fm_status no_memory(const struct graph *graph, const char *what, fm_error *error) {
    return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for %s of the model '%s'", what, graph->label);
}

/* A copy of an array of pointers with room for one more, the old one freed; NULL and nothing changed without memory. */
static void *grown(void *items, size_t count) {
    void **longer = fm_alloc_array(count + 1, sizeof *longer);
    if (longer != NULL && count > 0) {
        memcpy(longer, items, count * sizeof *longer);
    }
    if (longer != NULL) {
        fm_free(items);
    }
    return longer;
}

/* -------------------------------------------------------------------- create */

static bool fill_model(FmOnnx__Model *model, const char *name, int64_t opset) {
    model->has_ir_version = 1;
    model->ir_version = 7;
    model->producer_name = fm_string_copy(PRODUCER);
    model->opset_import = fm_alloc_array(1, sizeof *model->opset_import);
    FmOnnx__Opset *version = fm_alloc(sizeof *version);
    FmOnnx__Graph *body = fm_alloc(sizeof *body);
    if (version != NULL) {
        fm_onnx__opset__init(version);
        version->has_version = 1;
        version->version = opset;
    }
    if (body != NULL) {
        fm_onnx__graph__init(body);
        body->name = fm_string_copy(name);
    }
    if (model->opset_import == NULL) {
        fm_free(version);
    } else if (version != NULL) {
        model->opset_import[0] = version;
        model->n_opset_import = 1;
    }
    model->graph = body;
    return model->producer_name != NULL && model->n_opset_import == 1 && body != NULL && body->name != NULL;
}

fm_status fm_graph_create(const char *name, int64_t opset, struct graph **out, fm_error *error) {
    struct graph *graph = fm_graph_new(name);
    FmOnnx__Model *model = fm_alloc(sizeof *model);
    *out = NULL;
    if (graph != NULL && model != NULL) {
        fm_onnx__model__init(model);
        graph->model = model;
        if (fill_model(model, name, opset)) {
            *out = graph;
            return fm_names_build(graph, error);
        }
    } else {
        fm_free(model);
    }
    fm_graph_close(graph);
    return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the model '%s'", name);
}

/* -------------------------------------------------------------------- values */

static bool add_dimensions(FmOnnx__Shape *shape, const int64_t *dims, int rank) {
    shape->dim = fm_alloc_array((size_t)rank + 1, sizeof *shape->dim);
    for (int i = 0; shape->dim != NULL && i < rank; i++) {
        FmOnnx__Dimension *dim = fm_alloc(sizeof *dim);
        if (dim == NULL) {
            return false;
        }
        fm_onnx__dimension__init(dim);
        shape->dim[shape->n_dim++] = dim;
        dim->has_dim_value = dims[i] > 0;
        dim->dim_value = dims[i] > 0 ? dims[i] : 0;
    }
    return shape->dim != NULL;
}

static FmOnnx__Value *make_value(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims,
                                 int rank) {
    FmOnnx__Value *value = fm_alloc(sizeof *value);
    FmOnnx__Type *type = fm_alloc(sizeof *type);
    FmOnnx__TensorType *tensor = fm_alloc(sizeof *tensor);
    FmOnnx__Shape *shape = rank >= 0 ? fm_alloc(sizeof *shape) : NULL;
    if (value == NULL || type == NULL || tensor == NULL || (rank >= 0 && shape == NULL)) {
        fm_free(value), fm_free(type), fm_free(tensor), fm_free(shape);
        return NULL;
    }
    fm_onnx__value__init(value);
    fm_onnx__type__init(type);
    fm_onnx__tensor_type__init(tensor);
    value->name = fm_string_copy(name);
    value->type = type;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)dtype;
    tensor->shape = shape;
    if (shape != NULL) {
        fm_onnx__shape__init(shape);
    }
    if (value->name == NULL || (shape != NULL && !add_dimensions(shape, dims, rank))) {
        fm_onnx__value__free_unpacked(value, &graph->allocator);
        return NULL;
    }
    return value;
}

static fm_status check_rank(const struct graph *graph, const char *name, int rank, int lowest, fm_error *error) {
    if (rank < lowest || rank > FM_MAX_RANK) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "model '%s': '%s' cannot have rank %d", graph->label, name, rank);
    }
    return FM_OK;
}

static fm_status append_value(struct graph *graph, FmOnnx__Value ***list, size_t *count, FmOnnx__Value *value,
                              fm_error *error) {
    FmOnnx__Value **longer = value != NULL ? grown(*list, *count) : NULL;
    if (longer == NULL) {
        if (value != NULL) {
            fm_onnx__value__free_unpacked(value, &graph->allocator);
        }
        return no_memory(graph, "an input or output", error);
    }
    longer[*count] = value;
    *list = longer;
    (*count)++;
    fm_status status = fm_names_build(graph, error);
    if (status != FM_OK) { /* the name was taken */
        (*count)--;
        fm_onnx__value__free_unpacked(value, &graph->allocator);
    }
    return status;
}

fm_status fm_graph_add_input(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims, int rank,
                             fm_error *error) {
    fm_status status = check_rank(graph, name, rank, 0, error);
    if (status != FM_OK) {
        return status;
    }
    FmOnnx__Graph *body = graph->model->graph;
    return append_value(graph, &body->input, &body->n_input, make_value(graph, name, dtype, dims, rank), error);
}

fm_status fm_graph_add_output(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims, int rank,
                              fm_error *error) {
    fm_status status = check_rank(graph, name, rank, -1, error);
    if (status != FM_OK) {
        return status;
    }
    FmOnnx__Graph *body = graph->model->graph;
    return append_value(graph, &body->output, &body->n_output, make_value(graph, name, dtype, dims, rank), error);
}

/* ------------------------------------------------------------------- tensors */

/* NULL without memory; the caller has checked the size. */
static FmOnnx__Tensor *make_tensor(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims,
                                   int rank, const void *values, size_t bytes) {
    FmOnnx__Tensor *tensor = fm_alloc(sizeof *tensor);
    if (tensor == NULL) {
        return NULL;
    }
    fm_onnx__tensor__init(tensor);
    tensor->name = fm_string_copy(name);
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)dtype;
    tensor->dims = fm_alloc_array((size_t)rank + 1, sizeof *tensor->dims);
    tensor->raw_data.data = fm_alloc(bytes + 1);
    if (tensor->name == NULL || tensor->dims == NULL || tensor->raw_data.data == NULL) {
        tensor->has_raw_data = tensor->raw_data.data != NULL;
        fm_onnx__tensor__free_unpacked(tensor, &graph->allocator);
        return NULL;
    }
    tensor->n_dims = (size_t)rank;
    for (int i = 0; i < rank; i++) {
        tensor->dims[i] = dims[i];
    }
    tensor->has_raw_data = 1;
    tensor->raw_data.len = bytes;
    if (bytes > 0) {
        memcpy(tensor->raw_data.data, values, bytes);
    }
    return tensor;
}

static fm_status measure(const struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims, int rank,
                         size_t *bytes, fm_error *error) {
    struct tensor shape = {.dtype = dtype, .rank = rank};
    fm_status status = check_rank(graph, name, rank, 0, error);
    for (int i = 0; status == FM_OK && i < rank; i++) {
        shape.dims[i] = dims[i];
    }
    if (status == FM_OK && (fm_dtype_size(dtype) == 0 || !fm_tensor_size(&shape, bytes))) {
        status = fm_fail(error, FM_INVALID_ARGUMENT, "model '%s': '%s' has impossible dimensions", graph->label, name);
    }
    return status;
}

fm_status fm_graph_add_tensor(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims, int rank,
                              const void *values, fm_error *error) {
    FmOnnx__Graph *body = graph->model->graph;
    size_t bytes = 0;
    fm_status status = measure(graph, name, dtype, dims, rank, &bytes, error);
    if (status != FM_OK) {
        return status;
    }
    FmOnnx__Tensor *tensor = make_tensor(graph, name, dtype, dims, rank, values, bytes);
    FmOnnx__Tensor **longer = tensor != NULL ? grown(body->initializer, body->n_initializer) : NULL;
    if (longer == NULL) {
        if (tensor != NULL) {
            fm_onnx__tensor__free_unpacked(tensor, &graph->allocator);
        }
        return no_memory(graph, "a tensor", error);
    }
    longer[body->n_initializer++] = tensor;
    body->initializer = longer;
    status = fm_names_build(graph, error);
    if (status != FM_OK) { /* the name was taken */
        body->n_initializer--;
        fm_onnx__tensor__free_unpacked(tensor, &graph->allocator);
    }
    return status;
}

/* --------------------------------------------------------------------- nodes */

/* Split `names` at spaces; "-" is a value left out. False without memory; what was made hangs on *list. */
static bool split_names(const char *names, char ***list, size_t *count) {
    *list = fm_alloc_array(strlen(names) / 2 + 1, sizeof **list);
    while (*list != NULL && *names != 0) {
        size_t length = strcspn(names, " ");
        if (length > 0) {
            char *name = fm_alloc(length + 1);
            if (name == NULL) {
                return false;
            }
            if (length > 1 || names[0] != '-') {
                memcpy(name, names, length);
            }
            (*list)[(*count)++] = name;
        }
        names += length + (names[length] == ' ');
    }
    return *list != NULL;
}

static FmOnnx__Node *make_node(struct graph *graph, const char *op, const char *name, const char *inputs,
                               const char *outputs) {
    FmOnnx__Node *node = fm_alloc(sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    fm_onnx__node__init(node);
    node->op_type = fm_string_copy(op);
    node->name = fm_string_copy(name);
    if (!split_names(inputs, &node->input, &node->n_input) || !split_names(outputs, &node->output, &node->n_output) ||
        node->op_type == NULL || node->name == NULL) {
        fm_onnx__node__free_unpacked(node, &graph->allocator);
        return NULL;
    }
    return node;
}

fm_status fm_graph_add_node(struct graph *graph, const char *op, const char *name, const char *inputs,
                            const char *outputs, size_t *index, fm_error *error) {
    FmOnnx__Graph *body = graph->model->graph;
    FmOnnx__Node *node = make_node(graph, op, name, inputs, outputs);
    FmOnnx__Node **longer = node != NULL ? grown(body->node, body->n_node) : NULL;
    if (longer == NULL) {
        if (node != NULL) {
            fm_onnx__node__free_unpacked(node, &graph->allocator);
        }
        return no_memory(graph, "a node", error);
    }
    longer[body->n_node++] = node;
    body->node = longer;
    fm_status status = fm_names_build(graph, error);
    if (status != FM_OK) { /* an output's name was taken */
        body->n_node--;
        fm_onnx__node__free_unpacked(node, &graph->allocator);
        return status;
    }
    if (index != NULL) {
        *index = body->n_node - 1;
    }
    return FM_OK;
}

/* ---------------------------------------------------------------- attributes */

/* Append an empty attribute; NULL and words without memory or with a wrong index. */
static FmOnnx__Attribute *add_attribute(struct graph *graph, size_t index, const char *name, int32_t type,
                                        fm_error *error) {
    FmOnnx__Graph *body = graph->model->graph;
    if (index >= body->n_node) {
        (void)fm_fail(error, FM_INVALID_ARGUMENT, "model '%s' has no node %zu", graph->label, index);
        return NULL;
    }
    FmOnnx__Node *node = body->node[index];
    FmOnnx__Attribute *attribute = fm_alloc(sizeof *attribute);
    char *copy = fm_string_copy(name);
    FmOnnx__Attribute **longer = attribute != NULL && copy != NULL ? grown(node->attribute, node->n_attribute) : NULL;
    if (longer == NULL) {
        fm_free(attribute), fm_free(copy);
        (void)no_memory(graph, "an attribute", error);
        return NULL;
    }
    fm_onnx__attribute__init(attribute);
    attribute->name = copy;
    attribute->has_type = 1;
    attribute->type = type;
    longer[node->n_attribute++] = attribute;
    node->attribute = longer;
    return attribute;
}

fm_status fm_graph_set_integer(struct graph *graph, size_t node, const char *name, int64_t value, fm_error *error) {
    fm_error own = {FM_OK, ""};
    error = error != NULL ? error : &own;
    FmOnnx__Attribute *attribute = add_attribute(graph, node, name, ONNX_ATTRIBUTE_INT, error);
    if (attribute == NULL) {
        return error->status;
    }
    attribute->has_i = 1;
    attribute->i = value;
    return FM_OK;
}

fm_status fm_graph_set_float(struct graph *graph, size_t node, const char *name, float value, fm_error *error) {
    fm_error own = {FM_OK, ""};
    error = error != NULL ? error : &own;
    FmOnnx__Attribute *attribute = add_attribute(graph, node, name, ONNX_ATTRIBUTE_FLOAT, error);
    if (attribute == NULL) {
        return error->status;
    }
    attribute->has_f = 1;
    attribute->f = value;
    return FM_OK;
}

fm_status fm_graph_set_integers(struct graph *graph, size_t node, const char *name, const int64_t *values, size_t count,
                                fm_error *error) {
    fm_error own = {FM_OK, ""};
    error = error != NULL ? error : &own;
    int64_t *copy = fm_alloc_array(count + 1, sizeof *copy);
    if (copy == NULL) {
        return no_memory(graph, "an attribute", error);
    }
    FmOnnx__Attribute *attribute = add_attribute(graph, node, name, ONNX_ATTRIBUTE_INTS, error);
    if (attribute == NULL) {
        fm_free(copy);
        return error->status;
    }
    memcpy(copy, values, count * sizeof *copy);
    attribute->ints = copy;
    attribute->n_ints = count;
    return FM_OK;
}

fm_status fm_graph_set_tensor(struct graph *graph, size_t node, const char *name, enum dtype dtype, const int64_t *dims,
                              int rank, const void *values, fm_error *error) {
    fm_error own = {FM_OK, ""};
    size_t bytes = 0;
    error = error != NULL ? error : &own;
    fm_status status = measure(graph, name, dtype, dims, rank, &bytes, error);
    if (status != FM_OK) {
        return status;
    }
    FmOnnx__Tensor *tensor = make_tensor(graph, "", dtype, dims, rank, values, bytes);
    if (tensor == NULL) {
        return no_memory(graph, "a tensor", error);
    }
    FmOnnx__Attribute *attribute = add_attribute(graph, node, name, ONNX_ATTRIBUTE_TENSOR, error);
    if (attribute == NULL) {
        fm_onnx__tensor__free_unpacked(tensor, &graph->allocator);
        return error->status;
    }
    attribute->t = tensor;
    return FM_OK;
}
