/* Shapes of operators that work element by element: those that keep the shape, and those that broadcast. Small number
   tensors are computed, because shapes are made of them. Pure. */
#include <math.h>

#include "onnx/rule.h"

/* ------------------------------------------------------------ shape of input 0 */

static bool unary_value(char detail, double in, double *out) {
    switch (detail) {
    case '=':
        *out = in;
        return true;
    case 'n':
        *out = -in;
        return true;
    case 'a':
        *out = fabs(in);
        return true;
    case 'f':
        *out = floor(in);
        return true;
    case 'c':
        *out = ceil(in);
        return true;
    case 'r':
        *out = nearbyint(in);
        return true;
    case 's':
        *out = sqrt(in);
        return true;
    case '!':
        *out = in == 0.0;
        return true;
    default:
        return false;
    }
}

static bool keep_shape(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    double values[FM_SHAPE_VALUES] = {0};
    if (in == NULL || !fm_rule_set(call, 0, in->type, in->rank, in->dims)) {
        return false;
    }
    bool computed = in->count > 0;
    for (int i = 0; computed && i < in->count; i++) {
        computed = unary_value(call->detail, in->values[i], &values[i]);
    }
    if (computed) {
        fm_rule_values(call, 0, values, in->count);
    }
    return true;
}

static bool dropout(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    return keep_shape(call) && fm_rule_set(call, 1, DTYPE_BOOL, in->rank, in->dims);
}

/* Outputs behind the first belong to training: not followed. */
static bool normalisation(const struct rule_call *call) {
    return call->node->n_output == 1 && keep_shape(call);
}

static bool cast(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *like = fm_rule_input(call, 1);
    int64_t type = call->detail == 'l' ? (like != NULL ? like->type : 0) : fm_rule_integer(call, "to", 0);
    double values[FM_SHAPE_VALUES] = {0};
    if (in == NULL || type <= 0 || type > 64 || !fm_rule_set(call, 0, (int32_t)type, in->rank, in->dims)) {
        return false;
    }
    for (int i = 0; i < in->count; i++) {
        values[i] = type == DTYPE_BOOL                       ? in->values[i] != 0.0
                    : fm_rule_is_integer_type((int32_t)type) ? trunc(in->values[i])
                                                             : in->values[i];
    }
    if (in->count > 0) {
        fm_rule_values(call, 0, values, in->count);
    }
    return true;
}

/* ------------------------------------------------------------------- broadcast */

static bool broadcast_into(int64_t dims[FM_MAX_RANK], int *rank, const struct value_shape *in) {
    int wide = in->rank > *rank ? in->rank : *rank;
    int64_t made[FM_MAX_RANK];
    for (int i = 0; i < wide; i++) { /* from the last dimension */
        int64_t a = i < *rank ? dims[*rank - 1 - i] : 1;
        int64_t b = i < in->rank ? in->dims[in->rank - 1 - i] : 1;
        if (a != b && a != 1 && b != 1) {
            return false;
        }
        made[wide - 1 - i] = a == 1 ? b : a;
    }
    for (int i = 0; i < wide; i++) {
        dims[i] = made[i];
    }
    *rank = wide;
    return true;
}

static double value_of(const struct value_shape *in, int index) {
    return in->values[in->count == 1 ? 0 : index];
}

/* False: not a number that a shape can be made of. */
static bool binary_value(char detail, bool whole, double a, double b, double *out) {
    switch (detail) {
    case '+':
        *out = a + b;
        break;
    case '-':
        *out = a - b;
        break;
    case '*':
        *out = a * b;
        break;
    case '/':
        *out = b != 0.0 ? a / b : NAN;
        *out = whole && b != 0.0 ? trunc(*out) : *out;
        break;
    case '%':
        *out = b != 0.0 ? fmod(a, b) : NAN;
        *out += *out != 0.0 && (*out < 0.0) != (b < 0.0) ? b : 0.0; /* the divisor's sign, as in Python */
        break;
    case '^':
        *out = pow(a, b);
        break;
    case 'm':
        *out = fmin(a, b);
        break;
    case 'M':
        *out = fmax(a, b);
        break;
    case '=':
        *out = a == b;
        break;
    case '<':
        *out = a < b;
        break;
    case '>':
        *out = a > b;
        break;
    default:
        return false;
    }
    return isfinite(*out);
}

static bool gives_truth(char detail) {
    return detail == '=' || detail == '<' || detail == '>' || detail == '&';
}

static void compute_pair(const struct rule_call *call, int rank, const int64_t *dims) {
    const struct value_shape *a = fm_rule_input(call, 0), *b = fm_rule_input(call, 1);
    double values[FM_SHAPE_VALUES] = {0};
    if (rank > 1 || call->node->n_input != 2 || a->count <= 0 || b->count <= 0) {
        return;
    }
    int64_t count = rank == 1 ? dims[0] : 1;
    for (int i = 0; i < count && i < FM_SHAPE_VALUES; i++) {
        if (!binary_value(call->detail, fm_rule_is_integer_type(a->type), value_of(a, i), value_of(b, i), &values[i])) {
            return;
        }
    }
    fm_rule_values(call, 0, values, count);
}

static bool broadcast(const struct rule_call *call) {
    const struct value_shape *first = fm_rule_input(call, 0);
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = 0;
    if (first == NULL) {
        return false;
    }
    if (call->opset < 7 && call->node->n_input == 2) { /* the old rule: the second fits itself to the first */
        return fm_rule_set(call, 0, gives_truth(call->detail) ? DTYPE_BOOL : first->type, first->rank, first->dims);
    }
    for (size_t i = 0; i < call->node->n_input; i++) {
        const struct value_shape *in = fm_rule_input(call, i);
        if (in == NULL || !broadcast_into(dims, &rank, in)) {
            return false;
        }
    }
    if (!fm_rule_set(call, 0, gives_truth(call->detail) ? DTYPE_BOOL : first->type, rank, dims)) {
        return false;
    }
    compute_pair(call, rank, dims);
    return true;
}

static bool where(const struct rule_call *call) {
    const struct value_shape *choice = fm_rule_input(call, 0), *a = fm_rule_input(call, 1), *b = fm_rule_input(call, 2);
    int64_t dims[FM_MAX_RANK] = {0};
    double values[FM_SHAPE_VALUES] = {0};
    int rank = 0;
    if (choice == NULL || a == NULL || b == NULL || !broadcast_into(dims, &rank, choice) ||
        !broadcast_into(dims, &rank, a) || !broadcast_into(dims, &rank, b) ||
        !fm_rule_set(call, 0, a->type, rank, dims)) {
        return false;
    }
    if (rank <= 1 && choice->count > 0 && a->count > 0 && b->count > 0) {
        int64_t count = rank == 1 ? dims[0] : 1;
        for (int i = 0; i < count && i < FM_SHAPE_VALUES; i++) {
            values[i] = value_of(value_of(choice, i) != 0.0 ? a : b, i);
        }
        fm_rule_values(call, 0, values, count);
    }
    return true;
}

static bool expand(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *wanted = fm_rule_input(call, 1);
    struct value_shape target = {.count = -1};
    int64_t dims[FM_MAX_RANK] = {0};
    double values[FM_SHAPE_VALUES] = {0};
    int rank = 0;
    if (in == NULL || wanted == NULL || wanted->rank != 1 || wanted->count < 0 || wanted->count > FM_MAX_RANK) {
        return false;
    }
    target.rank = wanted->count;
    for (int i = 0; i < wanted->count; i++) {
        target.dims[i] = fm_rule_whole(wanted->values[i]);
    }
    if (!broadcast_into(dims, &rank, in) || !broadcast_into(dims, &rank, &target) ||
        !fm_rule_set(call, 0, in->type, rank, dims)) {
        return false;
    }
    if (rank <= 1 && in->count > 0) {
        int64_t count = rank == 1 ? dims[0] : 1;
        for (int i = 0; i < count && i < FM_SHAPE_VALUES; i++) {
            values[i] = value_of(in, i);
        }
        fm_rule_values(call, 0, values, count);
    }
    return true;
}

/* ------------------------------------------------------------------ quantising */

static bool dynamic_quantize(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    return in != NULL && fm_rule_set(call, 0, DTYPE_U8, in->rank, in->dims) &&
           fm_rule_set(call, 1, DTYPE_F32, 0, NULL) && fm_rule_set(call, 2, DTYPE_U8, 0, NULL);
}

static bool quantize(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *zero = fm_rule_input(call, 2);
    return in != NULL && fm_rule_set(call, 0, zero != NULL ? zero->type : DTYPE_U8, in->rank, in->dims);
}

static bool dequantize(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *scale = fm_rule_input(call, 1);
    return in != NULL && scale != NULL && fm_rule_set(call, 0, scale->type, in->rank, in->dims);
}

/* A slope that broadcasts to the picture: the picture's shape. */
static bool prelu(const struct rule_call *call) {
    return fm_rule_input(call, 1) != NULL && keep_shape(call);
}

const struct rule_row fm_rules_elementwise[] = {
    {"Identity", keep_shape, '='},
    {"Neg", keep_shape, 'n'},
    {"Abs", keep_shape, 'a'},
    {"Floor", keep_shape, 'f'},
    {"Ceil", keep_shape, 'c'},
    {"Round", keep_shape, 'r'},
    {"Sqrt", keep_shape, 's'},
    {"Not", keep_shape, '!'},
    {"Relu", keep_shape, 0},
    {"LeakyRelu", keep_shape, 0},
    {"ThresholdedRelu", keep_shape, 0},
    {"Clip", keep_shape, 0},
    {"Sigmoid", keep_shape, 0},
    {"HardSigmoid", keep_shape, 0},
    {"HardSwish", keep_shape, 0},
    {"Tanh", keep_shape, 0},
    {"Elu", keep_shape, 0},
    {"Selu", keep_shape, 0},
    {"Celu", keep_shape, 0},
    {"Gelu", keep_shape, 0},
    {"Mish", keep_shape, 0},
    {"Softplus", keep_shape, 0},
    {"Softsign", keep_shape, 0},
    {"Erf", keep_shape, 0},
    {"Exp", keep_shape, 0},
    {"Log", keep_shape, 0},
    {"Sin", keep_shape, 0},
    {"Cos", keep_shape, 0},
    {"Sign", keep_shape, 0},
    {"Reciprocal", keep_shape, 0},
    {"Softmax", keep_shape, 0},
    {"LogSoftmax", keep_shape, 0},
    {"Hardmax", keep_shape, 0},
    {"CumSum", keep_shape, 0},
    {"LRN", keep_shape, 0},
    {"LpNormalization", keep_shape, 0},
    {"MeanVarianceNormalization", keep_shape, 0},
    {"InstanceNormalization", keep_shape, 0},
    {"ScatterND", keep_shape, 0},
    {"ScatterElements", keep_shape, 0},
    {"BatchNormalization", normalisation, 0},
    {"LayerNormalization", normalisation, 0},
    {"GroupNormalization", normalisation, 0},
    {"Dropout", dropout, '='},
    {"PRelu", prelu, 0},
    {"Cast", cast, 0},
    {"CastLike", cast, 'l'},
    {"Add", broadcast, '+'},
    {"Sub", broadcast, '-'},
    {"Mul", broadcast, '*'},
    {"Div", broadcast, '/'},
    {"Mod", broadcast, '%'},
    {"Pow", broadcast, '^'},
    {"Min", broadcast, 'm'},
    {"Max", broadcast, 'M'},
    {"Sum", broadcast, '+'},
    {"Mean", broadcast, 0},
    {"Equal", broadcast, '='},
    {"Less", broadcast, '<'},
    {"Greater", broadcast, '>'},
    {"LessOrEqual", broadcast, '&'},
    {"GreaterOrEqual", broadcast, '&'},
    {"And", broadcast, '&'},
    {"Or", broadcast, '&'},
    {"Xor", broadcast, '&'},
    {"Where", where, 0},
    {"Expand", expand, 0},
    {"DynamicQuantizeLinear", dynamic_quantize, 0},
    {"QuantizeLinear", quantize, 0},
    {"DequantizeLinear", dequantize, 0},
    {NULL, NULL, 0},
};
