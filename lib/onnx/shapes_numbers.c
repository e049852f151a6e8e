/* Shapes of operators that make a shape into numbers, or numbers into a tensor of that shape. Pure. */
#include <math.h>

#include "onnx/rule.h"

static bool shape_of(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    double values[FM_MAX_RANK] = {0};
    if (in == NULL) {
        return false;
    }
    int64_t start = fm_rule_integer(call, "start", 0), end = fm_rule_integer(call, "end", in->rank);
    start = start < -(int64_t)in->rank ? 0 : start < 0 ? start + in->rank : start > in->rank ? in->rank : start;
    end = end < -(int64_t)in->rank ? 0 : end < 0 ? end + in->rank : end > in->rank ? in->rank : end;
    int64_t count = end > start ? end - start : 0;
    for (int64_t i = 0; i < count; i++) {
        values[i] = (double)in->dims[start + i];
    }
    if (!fm_rule_set(call, 0, DTYPE_I64, 1, &count)) {
        return false;
    }
    fm_rule_values(call, 0, values, count);
    return true;
}

static bool size_of(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    uint64_t elements = 0;
    if (in == NULL || !fm_shape_elements(in, &elements) || !fm_rule_set(call, 0, DTYPE_I64, 0, NULL)) {
        return false;
    }
    fm_rule_values(call, 0, &(double){(double)elements}, 1);
    return true;
}

static bool constant_of_shape(const struct rule_call *call) {
    const struct value_shape *wanted = fm_rule_input(call, 0);
    const FmOnnx__Attribute *attribute = fm_node_attribute(call->node, "value");
    const FmOnnx__Tensor *tensor = attribute != NULL ? attribute->t : NULL;
    int64_t dims[FM_MAX_RANK] = {0};
    double values[FM_SHAPE_VALUES] = {0};
    if (wanted == NULL || wanted->rank != 1 || wanted->count < 0 || wanted->count > FM_MAX_RANK) {
        return false;
    }
    for (int i = 0; i < wanted->count; i++) {
        dims[i] = fm_rule_whole(wanted->values[i]);
    }
    if (!fm_rule_set(call, 0, tensor != NULL ? tensor->data_type : DTYPE_F32, wanted->count, dims)) {
        return false;
    }
    bool whole = tensor != NULL && tensor->data_type == DTYPE_I64 && tensor->n_dims <= 1;
    bool raw = whole && tensor->has_raw_data && tensor->raw_data.len == 8;
    bool typed = whole && !tensor->has_raw_data && tensor->n_int64_data == 1;
    if (wanted->count <= 1 && (tensor == NULL || raw || typed)) {
        uint64_t bits = 0;
        for (size_t i = 0; raw && i < 8; i++) {
            bits |= (uint64_t)tensor->raw_data.data[i] << (8 * i);
        }
        for (size_t i = 0; i < FM_SHAPE_VALUES; i++) {
            values[i] = typed ? (double)tensor->int64_data[0] : (double)(int64_t)bits;
        }
        fm_rule_values(call, 0, values, wanted->count == 1 ? dims[0] : 1);
    }
    return true;
}

static bool range(const struct rule_call *call) {
    const struct value_shape *parts[3] = {fm_rule_input(call, 0), fm_rule_input(call, 1), fm_rule_input(call, 2)};
    double values[FM_SHAPE_VALUES] = {0};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] == NULL || parts[i]->count != 1) {
            return false;
        }
    }
    double start = parts[0]->values[0], step = parts[2]->values[0];
    double steps = step != 0.0 ? ceil((parts[1]->values[0] - start) / step) : NAN;
    if (!(steps < (double)FM_SHAPE_SIDE)) {
        return false;
    }
    int64_t count = steps > 0.0 ? (int64_t)steps : 0;
    for (int i = 0; i < count && i < FM_SHAPE_VALUES; i++) {
        values[i] = start + step * i;
    }
    if (!fm_rule_set(call, 0, parts[0]->type, 1, &count)) {
        return false;
    }
    fm_rule_values(call, 0, values, count);
    return true;
}

const struct rule_row fm_rules_numbers[] = {
    {"Shape", shape_of, 0}, {"Size", size_of, 0}, {"ConstantOfShape", constant_of_shape, 0},
    {"Range", range, 0},    {NULL, NULL, 0},
};
