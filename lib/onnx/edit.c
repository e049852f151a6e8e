/* Edit: the changes facemill makes to a graph before a provider opens it: a symbolic batch, pixels as bytes, fixed
   sizes. One thread per graph. */
#include <stdio.h>
#include <string.h>

#include "onnx/message.h"

static const char symbol[] = "N";

/* The fed input `index`, NULL when there is none. */
static FmOnnx__Value *input_at(struct graph *graph, size_t index) {
    struct graph_value wanted = fm_graph_input(graph, index);
    for (size_t i = 0; wanted.name[0] != 0 && i < graph->model->graph->n_input; i++) {
        if (strcmp(graph->model->graph->input[i]->name, wanted.name) == 0) {
            return graph->model->graph->input[i];
        }
    }
    return NULL;
}

/* The dimensions of input `index`, which must be declared; NULL and words otherwise. */
static FmOnnx__Shape *input_shape(struct graph *graph, size_t index, fm_error *error) {
    FmOnnx__Value *input = input_at(graph, index);
    bool typed = input != NULL && input->type != NULL && input->type->tensor_type != NULL;
    FmOnnx__Shape *shape = typed ? input->type->tensor_type->shape : NULL;
    if (shape == NULL || shape->n_dim == 0) {
        (void)fm_fail(error, FM_BAD_MODEL, "'%s': input %zu does not declare its dimensions", graph->label, index);
        return NULL;
    }
    return shape;
}

/* Declared shapes of outputs and intermediate values hold for the size the model was exported with; runtimes believe
   them or warn at every run. Element types stay. */
static void forget_shapes(struct graph *graph) {
    FmOnnx__Graph *body = graph->model->graph;
    for (size_t i = 0; i < body->n_value_info; i++) {
        fm_onnx__value__free_unpacked(body->value_info[i], &graph->allocator);
    }
    fm_free(body->value_info);
    body->value_info = NULL;
    body->n_value_info = 0;
    for (size_t i = 0; i < body->n_output; i++) {
        FmOnnx__Type *type = body->output[i]->type;
        if (type != NULL && type->tensor_type != NULL && type->tensor_type->shape != NULL) {
            fm_onnx__shape__free_unpacked(type->tensor_type->shape, &graph->allocator);
            type->tensor_type->shape = NULL;
        }
    }
}

static void set_size(FmOnnx__Dimension *dim, int64_t size) {
    fm_free(dim->dim_param);
    dim->dim_param = NULL;
    dim->has_dim_value = 1;
    dim->dim_value = size;
}

fm_status fm_graph_make_batch_dynamic(struct graph *graph, size_t index, fm_error *error) {
    FmOnnx__Shape *shape = input_shape(graph, index, error);
    if (shape == NULL) {
        return FM_BAD_MODEL;
    }
    char *name = fm_string_copy(symbol);
    if (name == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to edit the model '%s'", graph->label);
    }
    fm_free(shape->dim[0]->dim_param);
    shape->dim[0]->dim_param = name;
    shape->dim[0]->has_dim_value = 0;
    forget_shapes(graph);
    return FM_OK;
}

fm_status fm_graph_fix_input(struct graph *graph, size_t index, const int64_t *dims, int rank, fm_error *error) {
    FmOnnx__Shape *shape = input_shape(graph, index, error);
    if (shape == NULL) {
        return FM_BAD_MODEL;
    }
    if (rank < 0 || (size_t)rank != shape->n_dim) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s': input %zu has %zu dimensions, not %d", graph->label, index,
                       shape->n_dim, rank);
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] >= 0) {
            set_size(shape->dim[i], dims[i]);
        }
    }
    forget_shapes(graph);
    return FM_OK;
}

/* ---------------------------------------------------------------- take bytes */

/* A value name that nothing uses yet: "input.1_float", "input.1_float_2", ... */
static void unused_name(const struct graph *graph, const char *base, const char *suffix, char *out, size_t size) {
    snprintf(out, size, "%.200s_%s", base, suffix);
    for (int i = 2; fm_names_find(graph, out) != NULL; i++) {
        snprintf(out, size, "%.200s_%s_%d", base, suffix, i);
    }
}

/* Make every use of `from` below `body`, nested graphs included, a use of `to`. False without memory. */
static bool rename_uses(FmOnnx__Graph *body, size_t node_count, const char *from, const char *to) {
    for (size_t i = 0; i < node_count; i++) {
        FmOnnx__Node *node = body->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            if (strcmp(node->input[k], from) != 0) {
                continue;
            }
            char *copy = fm_string_copy(to);
            if (copy == NULL) {
                return false;
            }
            fm_free(node->input[k]);
            node->input[k] = copy;
        }
        for (size_t k = 0; k < node->n_attribute; k++) {
            FmOnnx__Attribute *attribute = node->attribute[k];
            if (attribute->g != NULL && !rename_uses(attribute->g, attribute->g->n_node, from, to)) {
                return false;
            }
            for (size_t g = 0; g < attribute->n_graphs; g++) {
                if (!rename_uses(attribute->graphs[g], attribute->graphs[g]->n_node, from, to)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* Move the last `count` nodes to the front, in their order. */
static bool move_to_front(FmOnnx__Graph *body, size_t count) {
    FmOnnx__Node **nodes = fm_alloc_array(body->n_node, sizeof *nodes);
    if (nodes == NULL) {
        return false;
    }
    size_t rest = body->n_node - count;
    memcpy(nodes, body->node + rest, count * sizeof *nodes);
    memcpy(nodes + count, body->node, rest * sizeof *nodes);
    fm_free(body->node);
    body->node = nodes;
    return true;
}

/* Append `op`(*value, constant); *value becomes the result's name. The constant is a node, because before IR version 4
   an initializer would have to be an input too. */
static fm_status add_step(struct graph *graph, const char *op, const char *base, const char *suffix, float constant,
                          char *value, size_t size, fm_error *error) {
    char tag[32], name[256], result[256], inputs[1024];
    size_t node = 0;
    snprintf(tag, sizeof tag, "%s_by", suffix);
    unused_name(graph, base, tag, name, sizeof name);
    unused_name(graph, base, suffix, result, sizeof result);
    snprintf(inputs, sizeof inputs, "%s %s", value, name);
    fm_status status = fm_graph_add_node(graph, "Constant", name, "", name, &node, error);
    if (status == FM_OK) {
        status = fm_graph_set_tensor(graph, node, "value", DTYPE_F32, NULL, 0, &constant, error);
    }
    if (status == FM_OK) {
        status = fm_graph_add_node(graph, op, result, inputs, result, NULL, error);
    }
    snprintf(value, size, "%s", result);
    return status;
}

static fm_status add_steps(struct graph *graph, const char *input, float mean, float scale, char *value, size_t size,
                           fm_error *error) {
    size_t node = 0;
    unused_name(graph, input, "float", value, size);
    fm_status status = fm_graph_add_node(graph, "Cast", value, input, value, &node, error);
    if (status == FM_OK) {
        status = fm_graph_set_integer(graph, node, "to", DTYPE_F32, error);
    }
    if (status == FM_OK && mean != 0.0f) {
        status = add_step(graph, "Sub", input, "minus_mean", mean, value, size, error);
    }
    if (status == FM_OK && scale != 1.0f) {
        status = add_step(graph, "Mul", input, "scaled", scale, value, size, error);
    }
    return status;
}

static fm_status check_bytes_input(const struct graph *graph, const struct graph_value *input, fm_error *error) {
    if (input->dtype != DTYPE_F32 || strchr(input->name, ' ') != NULL || strcmp(input->name, "-") == 0) {
        return fm_fail(error, FM_UNSUPPORTED, "'%s': input '%.200s' cannot become bytes", graph->label, input->name);
    }
    if (fm_graph_opset(graph) < 7) { /* older Sub and Mul do not broadcast by themselves */
        return fm_fail(error, FM_UNSUPPORTED, "'%s': bytes need operator set 7 or later, the model has %lld",
                       graph->label, (long long)fm_graph_opset(graph));
    }
    for (size_t i = 0; i < fm_graph_output_count(graph); i++) {
        if (strcmp(fm_graph_output(graph, i).name, input->name) == 0) {
            return fm_fail(error, FM_UNSUPPORTED, "'%s': input '%.200s' is an output too and cannot become bytes",
                           graph->label, input->name);
        }
    }
    return FM_OK;
}

fm_status fm_graph_take_bytes(struct graph *graph, size_t index, float mean, float scale, fm_error *error) {
    FmOnnx__Graph *body = graph->model->graph;
    struct graph_value input = fm_graph_input(graph, index);
    FmOnnx__Value *declared = input_at(graph, index);
    char value[256];
    fm_status status = check_bytes_input(graph, &input, error);
    if (status != FM_OK) {
        return status;
    }
    size_t before = body->n_node;
    status = add_steps(graph, input.name, mean, scale, value, sizeof value, error);
    if (status != FM_OK) {
        return status;
    }
    if (!rename_uses(body, before, input.name, value) || !move_to_front(body, body->n_node - before)) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to edit the model '%s'", graph->label);
    }
    declared->type->tensor_type->elem_type = DTYPE_U8;
    return fm_names_build(graph, error);
}
