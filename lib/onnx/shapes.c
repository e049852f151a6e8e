/* Shapes: the walk over the nodes, and what its rules share. The rules are tables in shapes_elementwise.c,
   shapes_layout.c, shapes_numbers.c and shapes_window.c. */
#include "onnx/shapes.h"

#include <math.h>
#include <string.h>

#include "onnx/rule.h"

struct shapes {
    const struct graph *graph;
    struct value_shape *values; /* one per entry of graph->names */
    bool *followed;             /* one per node */
};

/* -------------------------------------------------------------------- values */

static struct value_shape *value_at(const struct shapes *shapes, const char *name) {
    const struct name_entry *entry = fm_names_find(shapes->graph, name);
    return entry != NULL ? &shapes->values[entry - shapes->graph->names] : NULL;
}

const struct value_shape *fm_shapes_find(const struct shapes *shapes, const char *name) {
    const struct value_shape *value = value_at(shapes, name);
    return value != NULL && value->rank >= 0 ? value : NULL;
}

bool fm_shape_elements(const struct value_shape *shape, uint64_t *elements) {
    *elements = 1;
    for (int i = 0; i < shape->rank; i++) {
        if (__builtin_mul_overflow(*elements, (uint64_t)shape->dims[i], elements)) {
            return false;
        }
    }
    return true;
}

static bool set_shape(struct value_shape *value, int32_t type, int rank, const int64_t *dims) {
    struct value_shape made = {.type = type, .rank = rank, .count = -1};
    uint64_t elements = 0;
    if (rank < 0 || rank > FM_MAX_RANK) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || dims[i] > FM_SHAPE_SIDE) {
            return false;
        }
        made.dims[i] = dims[i];
    }
    if (!fm_shape_elements(&made, &elements) || elements > INT64_MAX) {
        return false;
    }
    made.count = elements == 0 ? 0 : -1;
    *value = made;
    return true;
}

static void set_values(struct value_shape *value, const double *values, int64_t count) {
    uint64_t elements = 0;
    if (value->rank >= 0 && count >= 0 && count <= FM_SHAPE_VALUES && fm_shape_elements(value, &elements) &&
        elements == (uint64_t)count) {
        memcpy(value->values, values, (size_t)count * sizeof *values);
        value->count = (int)count;
    }
}

/* ----------------------------------------------------------------- constants */

static uint64_t raw_bits(const FmOnnx__Tensor *tensor, size_t index, size_t width) {
    uint64_t bits = 0;
    for (size_t i = 0; i < width; i++) {
        bits |= (uint64_t)tensor->raw_data.data[index * width + i] << (8 * i);
    }
    return bits;
}

static double raw_value(const FmOnnx__Tensor *tensor, size_t index) {
    float single = 0;
    double value = 0;
    uint64_t bits = 0;
    switch (tensor->data_type) {
    case DTYPE_F32:
        bits = raw_bits(tensor, index, sizeof single);
        memcpy(&single, &(uint32_t){(uint32_t)bits}, sizeof single);
        return (double)single;
    case DTYPE_F64:
        bits = raw_bits(tensor, index, sizeof value);
        memcpy(&value, &bits, sizeof value);
        return value;
    case DTYPE_I64:
        return (double)(int64_t)raw_bits(tensor, index, 8);
    case DTYPE_I32:
        return (double)(int32_t)(uint32_t)raw_bits(tensor, index, 4);
    default: /* bool and u8: tensor_values takes no others */
        return (double)tensor->raw_data.data[index];
    }
}

static double typed_value(const FmOnnx__Tensor *tensor, size_t index) {
    switch (tensor->data_type) {
    case DTYPE_F32:
        return (double)tensor->float_data[index];
    case DTYPE_F64:
        return tensor->double_data[index];
    case DTYPE_I64:
        return (double)tensor->int64_data[index];
    default:
        return (double)tensor->int32_data[index];
    }
}

static void tensor_values(struct value_shape *value, const FmOnnx__Tensor *tensor) {
    static const int32_t types[] = {DTYPE_F32, DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_BOOL, DTYPE_U8};
    double values[FM_SHAPE_VALUES] = {0};
    uint64_t elements = 0;
    bool taken = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        taken = taken || types[i] == tensor->data_type;
    }
    if (!taken || !fm_shape_elements(value, &elements) || elements > FM_SHAPE_VALUES) {
        return;
    }
    for (size_t i = 0; i < elements; i++) { /* the reader checked that there are as many */
        values[i] = tensor->has_raw_data ? raw_value(tensor, i) : typed_value(tensor, i);
    }
    set_values(value, values, (int64_t)elements);
}

static bool take_tensor(struct value_shape *value, const FmOnnx__Tensor *tensor) {
    if (!set_shape(value, tensor->data_type, (int)tensor->n_dims, tensor->dims)) {
        return false;
    }
    tensor_values(value, tensor);
    return true;
}

/* A Constant node's tensor, or its short forms. */
static bool take_constant(struct value_shape *value, const FmOnnx__Node *node) {
    const FmOnnx__Attribute *attribute = node->n_attribute == 1 ? node->attribute[0] : NULL;
    const char *name = attribute != NULL ? fm_onnx_text(attribute->name) : "";
    double values[FM_SHAPE_VALUES] = {0};
    bool floats = strcmp(name, "value_floats") == 0, integers = strcmp(name, "value_ints") == 0;
    if (strcmp(name, "value") == 0 && attribute->t != NULL) {
        return take_tensor(value, attribute->t);
    }
    if (strcmp(name, "value_float") == 0 || strcmp(name, "value_int") == 0) {
        bool whole = strcmp(name, "value_int") == 0;
        values[0] = whole ? (double)attribute->i : (double)attribute->f;
        bool set = set_shape(value, whole ? DTYPE_I64 : DTYPE_F32, 0, NULL);
        set_values(value, values, 1);
        return set;
    }
    if (!floats && !integers) {
        return false;
    }
    size_t count = floats ? attribute->n_floats : attribute->n_ints;
    for (size_t i = 0; i < count && i < FM_SHAPE_VALUES; i++) {
        values[i] = floats ? (double)attribute->floats[i] : (double)attribute->ints[i];
    }
    bool set =
        count <= FM_SHAPE_SIDE && set_shape(value, floats ? DTYPE_F32 : DTYPE_I64, 1, &(int64_t){(int64_t)count});
    set_values(value, values, (int64_t)count);
    return set;
}

/* ------------------------------------------------------------ what rules use */

const struct value_shape *fm_rule_input(const struct rule_call *call, size_t index) {
    return index < call->node->n_input ? fm_shapes_find(call->shapes, call->node->input[index]) : NULL;
}

static struct value_shape *rule_output(const struct rule_call *call, size_t index) {
    return index < call->node->n_output ? value_at(call->shapes, call->node->output[index]) : NULL;
}

bool fm_rule_set(const struct rule_call *call, size_t index, int32_t type, int rank, const int64_t *dims) {
    struct value_shape unused, *output = rule_output(call, index);
    return set_shape(output != NULL ? output : &unused, type, rank, dims);
}

void fm_rule_values(const struct rule_call *call, size_t index, const double *values, int64_t count) {
    struct value_shape *output = rule_output(call, index);
    if (output != NULL) {
        set_values(output, values, count);
    }
}

int64_t fm_rule_integer(const struct rule_call *call, const char *name, int64_t fallback) {
    const FmOnnx__Attribute *attribute = fm_node_attribute(call->node, name);
    return attribute != NULL && attribute->has_i ? attribute->i : fallback;
}

const int64_t *fm_rule_integers(const struct rule_call *call, const char *name, size_t *count) {
    const FmOnnx__Attribute *attribute = fm_node_attribute(call->node, name);
    *count = attribute != NULL ? attribute->n_ints : 0;
    return *count > 0 ? attribute->ints : NULL;
}

bool fm_rule_text_is(const struct rule_call *call, const char *name, const char *text) {
    const FmOnnx__Attribute *attribute = fm_node_attribute(call->node, name);
    return attribute != NULL && attribute->has_s && attribute->s.len == strlen(text) &&
           memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

bool fm_rule_list(const struct rule_call *call, const char *name, size_t index, int64_t values[FM_SHAPE_VALUES],
                  int *count) {
    const FmOnnx__Attribute *attribute = fm_node_attribute(call->node, name);
    const struct value_shape *input = fm_rule_input(call, index);
    *count = -1;
    if (attribute != NULL) {
        bool fits = attribute->n_ints <= FM_SHAPE_VALUES;
        for (size_t i = 0; fits && i < attribute->n_ints; i++) {
            values[i] = fm_rule_whole((double)attribute->ints[i]);
        }
        *count = fits ? (int)attribute->n_ints : -1;
        return fits;
    }
    if (input == NULL) {
        return true;
    }
    for (int i = 0; i < input->count; i++) {
        values[i] = fm_rule_whole(input->values[i]);
    }
    *count = input->count;
    return input->count >= 0;
}

int64_t fm_rule_whole(double value) {
    static const double bound = 0x1p61;
    if (!(value > -bound)) { /* not a number, too */
        return isnan(value) ? 0 : -((int64_t)1 << 61);
    }
    return value < bound ? (int64_t)value : (int64_t)1 << 61;
}

bool fm_rule_axis(int64_t axis, int rank, int *out) {
    if (axis < -(int64_t)rank || axis >= rank) {
        return false;
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

bool fm_rule_is_integer_type(int32_t type) {
    return (type >= DTYPE_U8 && type <= DTYPE_I64) || type == 12 || type == 13; /* u32, u64 */
}

/* ------------------------------------------------------------------ the walk */

static const struct rule_row *find_rule(const char *op) {
    const struct rule_row *const tables[] = {fm_rules_elementwise, fm_rules_layout, fm_rules_numbers, fm_rules_window};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct rule_row *row = tables[i]; row->op != NULL; row++) {
            if (strcmp(row->op, op) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static bool inputs_known(const struct shapes *shapes, const FmOnnx__Node *node) {
    for (size_t i = 0; i < node->n_input; i++) {
        if (node->input[i][0] != 0 && fm_shapes_find(shapes, node->input[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool follow_node(struct shapes *shapes, const FmOnnx__Node *node, int64_t opset) {
    const char *domain = fm_onnx_text(node->domain);
    struct rule_call call = {shapes, node, opset, 0};
    if ((domain[0] != 0 && strcmp(domain, "ai.onnx") != 0) || !inputs_known(shapes, node)) {
        return false;
    }
    if (strcmp(node->op_type, "Constant") == 0) {
        struct value_shape *output = rule_output(&call, 0);
        return output == NULL || take_constant(output, node);
    }
    const struct rule_row *row = find_rule(node->op_type);
    call.detail = row != NULL ? row->detail : 0;
    return row != NULL && row->rule(&call);
}

/* A rule that gave up half-way leaves nothing behind. */
static void forget_outputs(const struct shapes *shapes, const FmOnnx__Node *node) {
    for (size_t i = 0; i < node->n_output; i++) {
        struct value_shape *output = value_at(shapes, node->output[i]);
        if (output != NULL) {
            output->rank = -1;
        }
    }
}

static void follow(struct shapes *shapes, const int64_t *dims, int rank) {
    const FmOnnx__Graph *body = shapes->graph->model->graph;
    const struct graph_value input = fm_graph_input(shapes->graph, 0);
    int64_t opset = fm_graph_opset(shapes->graph);
    for (size_t i = 0; i < shapes->graph->name_count; i++) {
        shapes->values[i].rank = -1;
    }
    for (size_t i = 0; i < body->n_initializer; i++) {
        struct value_shape *value = value_at(shapes, fm_onnx_text(body->initializer[i]->name));
        (void)(value != NULL && take_tensor(value, body->initializer[i]));
    }
    struct value_shape *first = value_at(shapes, input.name);
    (void)(first != NULL && set_shape(first, (int32_t)input.dtype, rank, dims));
    for (size_t i = 0; i < body->n_node; i++) {
        shapes->followed[i] = follow_node(shapes, body->node[i], opset);
        if (!shapes->followed[i]) {
            forget_outputs(shapes, body->node[i]);
        }
    }
}

fm_status fm_shapes_open(const struct graph *graph, const int64_t *dims, int rank, struct shapes **out,
                         fm_error *error) {
    *out = NULL;
    if (fm_graph_input_count(graph) != 1) {
        return fm_fail(error, FM_UNSUPPORTED, "'%s' takes %zu inputs; shapes are followed from one", graph->label,
                       fm_graph_input_count(graph));
    }
    if (graph->name_count > FM_SHAPE_NAMES) {
        return fm_fail(error, FM_LIMIT, "'%s' has %zu names; shapes are followed through at most %zu", graph->label,
                       graph->name_count, FM_SHAPE_NAMES);
    }
    struct shapes *shapes = fm_alloc(sizeof *shapes);
    if (shapes != NULL) {
        shapes->graph = graph;
        shapes->values = fm_alloc_array(graph->name_count + 1, sizeof *shapes->values);
        shapes->followed = fm_alloc_array(graph->model->graph->n_node + 1, sizeof *shapes->followed);
    }
    if (shapes == NULL || shapes->values == NULL || shapes->followed == NULL) {
        fm_shapes_close(shapes);
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to follow the shapes of '%s'", graph->label);
    }
    follow(shapes, dims, rank);
    *out = shapes;
    return FM_OK;
}

void fm_shapes_close(struct shapes *shapes) {
    if (shapes != NULL) {
        fm_free(shapes->values);
        fm_free(shapes->followed);
        fm_free(shapes);
    }
}

bool fm_shapes_followed(const struct shapes *shapes, size_t node, bool *cause) {
    const FmOnnx__Graph *body = shapes->graph->model->graph;
    *cause = !shapes->followed[node] && inputs_known(shapes, body->node[node]);
    return shapes->followed[node];
}
