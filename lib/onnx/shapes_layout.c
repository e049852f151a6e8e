/* Shapes of operators that move elements or pick some: reshape, transpose, join, cut, gather, reduce. Pure. */
#include "onnx/rule.h"

/* ------------------------------------------------------ the same elements, again */

/* Set output 0 to `dims` and hand the elements on as they are. */
static bool hand_on(const struct rule_call *call, int rank, const int64_t *dims) {
    const struct value_shape *in = fm_rule_input(call, 0);
    if (!fm_rule_set(call, 0, in->type, rank, dims)) {
        return false;
    }
    if (in->count > 0) {
        fm_rule_values(call, 0, in->values, in->count);
    }
    return true;
}

/* Put the one open dimension in; false when the elements do not divide, or are not as many. */
static bool fill_open(int64_t *dims, int rank, int open, uint64_t elements) {
    uint64_t product = 1;
    for (int i = 0; i < rank; i++) {
        if (i != open && (dims[i] < 0 || __builtin_mul_overflow(product, (uint64_t)dims[i], &product))) {
            return false;
        }
    }
    if (open < 0) {
        return product == elements;
    }
    if (product == 0 || elements % product != 0 || elements / product > FM_SHAPE_SIDE) {
        return false;
    }
    dims[open] = (int64_t)(elements / product);
    return true;
}

static bool reshape(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t wanted[FM_SHAPE_VALUES] = {0};
    int count = -1, open = -1;
    uint64_t elements = 0;
    bool zero_is_zero = fm_rule_integer(call, "allowzero", 0) != 0;
    if (in == NULL || !fm_rule_list(call, "shape", 1, wanted, &count) || count < 0 || count > FM_MAX_RANK ||
        !fm_shape_elements(in, &elements)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (wanted[i] == 0 && !zero_is_zero) {
            wanted[i] = i < in->rank ? in->dims[i] : -2;
        } else if (wanted[i] == -1 && open < 0) {
            open = i;
        }
    }
    return fill_open(wanted, count, open, elements) && hand_on(call, count, wanted);
}

static bool flatten(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t dims[2] = {1, 1}, axis = fm_rule_integer(call, "axis", 1);
    if (in == NULL || axis < -(int64_t)in->rank || axis > in->rank) {
        return false;
    }
    axis = axis < 0 ? axis + in->rank : axis;
    for (int i = 0; i < in->rank; i++) {
        if (__builtin_mul_overflow(dims[i >= axis], in->dims[i], &dims[i >= axis])) {
            return false;
        }
    }
    return hand_on(call, 2, dims);
}

/* Axes as a set of bits. */
static bool axis_set(const int64_t *axes, int count, int rank, unsigned *set) {
    *set = 0;
    for (int i = 0; i < count; i++) {
        int axis = 0;
        if (!fm_rule_axis(axes[i], rank, &axis) || (*set & 1u << axis)) {
            return false;
        }
        *set |= 1u << axis;
    }
    return true;
}

static bool squeeze(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t axes[FM_SHAPE_VALUES] = {0}, dims[FM_MAX_RANK] = {0};
    int count = -1, rank = 0;
    unsigned set = 0;
    if (in == NULL || !fm_rule_list(call, "axes", 1, axes, &count) || !axis_set(axes, count, in->rank, &set)) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        bool away = count < 0 ? in->dims[i] == 1 : (set >> i & 1u) != 0;
        if (away && in->dims[i] != 1) {
            return false;
        }
        if (!away) {
            dims[rank++] = in->dims[i];
        }
    }
    return hand_on(call, rank, dims);
}

static bool unsqueeze(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t axes[FM_SHAPE_VALUES] = {0}, dims[FM_MAX_RANK] = {0};
    int count = -1, from = 0;
    unsigned set = 0;
    if (in == NULL || !fm_rule_list(call, "axes", 1, axes, &count) || count < 0 || in->rank + count > FM_MAX_RANK ||
        !axis_set(axes, count, in->rank + count, &set)) {
        return false;
    }
    for (int i = 0; i < in->rank + count; i++) {
        dims[i] = (set >> i & 1u) != 0 ? 1 : in->dims[from++];
    }
    return hand_on(call, in->rank + count, dims);
}

static bool transpose(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    size_t count = 0;
    const int64_t *perm = fm_rule_integers(call, "perm", &count);
    int64_t dims[FM_MAX_RANK] = {0};
    unsigned set = 0;
    if (in == NULL || (perm != NULL && (count != (size_t)in->rank || !axis_set(perm, in->rank, in->rank, &set)))) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        int axis = in->rank - 1 - i;
        if (perm != NULL && !fm_rule_axis(perm[i], in->rank, &axis)) {
            return false;
        }
        dims[i] = in->dims[axis];
    }
    return in->rank < 2 ? hand_on(call, in->rank, dims) : fm_rule_set(call, 0, in->type, in->rank, dims);
}

/* ---------------------------------------------------------------- join and cut */

/* Numbers of all inputs one behind the other, where they are rows of numbers and few. */
static void join_values(const struct rule_call *call, int64_t total) {
    double values[FM_SHAPE_VALUES] = {0};
    int64_t used = 0;
    if (total > FM_SHAPE_VALUES) {
        return;
    }
    for (size_t i = 0; i < call->node->n_input; i++) {
        const struct value_shape *in = fm_rule_input(call, i);
        if (in->count < 0) {
            return;
        }
        for (int k = 0; k < in->count && used < total; k++) {
            values[used++] = in->values[k];
        }
    }
    fm_rule_values(call, 0, values, used);
}

static bool concat(const struct rule_call *call) {
    const struct value_shape *first = fm_rule_input(call, 0);
    int64_t dims[FM_MAX_RANK] = {0}, total = 0;
    int axis = 0;
    if (first == NULL || !fm_rule_axis(fm_rule_integer(call, "axis", 1), first->rank, &axis)) {
        return false;
    }
    for (size_t i = 0; i < call->node->n_input; i++) {
        const struct value_shape *in = fm_rule_input(call, i);
        if (in == NULL || in->rank != first->rank) {
            return false;
        }
        for (int k = 0; k < in->rank; k++) {
            if (k != axis && in->dims[k] != first->dims[k]) {
                return false;
            }
            dims[k] = in->dims[k];
        }
        total += in->dims[axis];
        if (total > FM_SHAPE_SIDE) {
            return false;
        }
    }
    dims[axis] = total;
    if (!fm_rule_set(call, 0, first->type, first->rank, dims)) {
        return false;
    }
    if (first->rank == 1) {
        join_values(call, total);
    }
    return true;
}

/* Length of part `index`, where the node says none: equal parts, the last may be shorter. */
static int64_t equal_part(int64_t side, size_t parts, size_t index) {
    int64_t each = (side + (int64_t)parts - 1) / (int64_t)parts;
    int64_t left = side - (int64_t)index * each;
    return left < 0 ? 0 : left < each ? left : each;
}

static bool split(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    size_t parts = call->node->n_output, written = 0;
    const int64_t *lengths = fm_rule_integers(call, "split", &written);
    int64_t list[FM_SHAPE_VALUES] = {0}, used = 0, dims[FM_MAX_RANK] = {0};
    int count = -1, axis = 0;
    if (in == NULL || parts == 0 || parts > FM_SHAPE_SIDE ||
        !fm_rule_axis(fm_rule_integer(call, "axis", 0), in->rank, &axis) ||
        (lengths == NULL && !fm_rule_list(call, "split", 1, list, &count))) {
        return false;
    }
    if (lengths == NULL && count >= 0) {
        lengths = list;
        written = (size_t)count;
    }
    if (lengths != NULL && written != parts) {
        return false;
    }
    for (int k = 0; k < in->rank; k++) {
        dims[k] = in->dims[k];
    }
    for (size_t i = 0; i < parts; i++) {
        dims[axis] = lengths != NULL ? lengths[i] : equal_part(in->dims[axis], parts, i);
        if (dims[axis] < 0 || dims[axis] > in->dims[axis] - used || !fm_rule_set(call, i, in->type, in->rank, dims)) {
            return false;
        }
        if (in->rank == 1 && in->count > 0) {
            fm_rule_values(call, i, in->values + used, dims[axis]);
        }
        used += dims[axis];
    }
    return used == in->dims[axis];
}

/* First element and number of elements of [start, end) by step, as ONNX clamps them. */
static bool slice_axis(int64_t side, int64_t *start, int64_t end, int64_t step, int64_t *count) {
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? side : side - 1;
    if (step == 0) {
        return false;
    }
    *start += *start < 0 ? side : 0;
    end += end < 0 ? side : 0;
    *start = *start < 0 ? 0 : *start > high ? high : *start;
    end = end < low ? low : end > high ? high : end;
    int64_t reach = step > 0 ? end - *start : *start - end, stride = step > 0 ? step : -step;
    *count = side == 0 || reach <= 0 ? 0 : (reach - 1) / stride + 1;
    return true;
}

struct cut {
    int64_t starts[FM_SHAPE_VALUES], ends[FM_SHAPE_VALUES], axes[FM_SHAPE_VALUES], steps[FM_SHAPE_VALUES];
    int count;
};

static bool read_cut(const struct rule_call *call, struct cut *cut) {
    int ends = -1, axes = -1, steps = -1;
    if (!fm_rule_list(call, "starts", 1, cut->starts, &cut->count) ||
        !fm_rule_list(call, "ends", 2, cut->ends, &ends) || !fm_rule_list(call, "axes", 3, cut->axes, &axes) ||
        !fm_rule_list(call, "steps", 4, cut->steps, &steps) || cut->count < 0 || ends != cut->count ||
        (axes >= 0 && axes != cut->count) || (steps >= 0 && steps != cut->count)) {
        return false;
    }
    for (int i = 0; i < cut->count; i++) {
        cut->axes[i] = axes >= 0 ? cut->axes[i] : i;
        cut->steps[i] = steps >= 0 ? cut->steps[i] : 1;
    }
    return true;
}

static bool slice(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    struct cut cut = {.count = -1};
    int64_t dims[FM_MAX_RANK] = {0};
    double values[FM_SHAPE_VALUES] = {0};
    if (in == NULL || !read_cut(call, &cut)) {
        return false;
    }
    for (int k = 0; k < in->rank; k++) {
        dims[k] = in->dims[k];
    }
    for (int i = 0; i < cut.count; i++) {
        int axis = 0;
        if (!fm_rule_axis(cut.axes[i], in->rank, &axis) ||
            !slice_axis(in->dims[axis], &cut.starts[i], cut.ends[i], cut.steps[i], &dims[axis])) {
            return false;
        }
    }
    if (!fm_rule_set(call, 0, in->type, in->rank, dims)) {
        return false;
    }
    if (in->rank == 1 && in->count > 0 && cut.count == 1) {
        for (int64_t i = 0; i < dims[0]; i++) {
            values[i] = in->values[cut.starts[0] + i * cut.steps[0]];
        }
        fm_rule_values(call, 0, values, dims[0]);
    }
    return true;
}

/* ------------------------------------------------------------- pick and reduce */

static bool gather(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *picks = fm_rule_input(call, 1);
    int64_t dims[FM_MAX_RANK] = {0};
    double values[FM_SHAPE_VALUES] = {0};
    int axis = 0, rank = 0;
    if (in == NULL || picks == NULL || in->rank + picks->rank - 1 > FM_MAX_RANK ||
        !fm_rule_axis(fm_rule_integer(call, "axis", 0), in->rank, &axis)) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        if (i != axis) {
            dims[rank++] = in->dims[i];
        }
        for (int k = 0; i == axis && k < picks->rank; k++) {
            dims[rank++] = picks->dims[k];
        }
    }
    if (!fm_rule_set(call, 0, in->type, rank, dims)) {
        return false;
    }
    for (int i = 0; in->count > 0 && in->rank == 1 && i < picks->count; i++) {
        int pick = 0;
        if (!fm_rule_axis(fm_rule_whole(picks->values[i]), in->count, &pick)) {
            return false;
        }
        values[i] = in->values[pick];
    }
    if (in->count > 0 && in->rank == 1) {
        fm_rule_values(call, 0, values, picks->count);
    }
    return true;
}

static bool gather_elements(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *picks = fm_rule_input(call, 1);
    return in != NULL && picks != NULL && in->rank == picks->rank &&
           fm_rule_set(call, 0, in->type, picks->rank, picks->dims);
}

static bool tile(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *times = fm_rule_input(call, 1);
    int64_t dims[FM_MAX_RANK] = {0};
    if (in == NULL || times == NULL || times->count != in->rank) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        if (__builtin_mul_overflow(in->dims[i], fm_rule_whole(times->values[i]), &dims[i])) {
            return false;
        }
    }
    return fm_rule_set(call, 0, in->type, in->rank, dims);
}

/* Dims of `in` with the axes of `set` at 1, or gone. */
static bool reduce_to(const struct rule_call *call, const struct value_shape *in, unsigned set, int32_t type) {
    bool keep = fm_rule_integer(call, "keepdims", 1) != 0;
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = 0;
    for (int i = 0; i < in->rank; i++) {
        bool away = (set >> i & 1u) != 0;
        if (!away || keep) {
            dims[rank++] = away ? 1 : in->dims[i];
        }
    }
    return fm_rule_set(call, 0, type, rank, dims);
}

static bool reduce(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t axes[FM_SHAPE_VALUES] = {0};
    int count = -1;
    unsigned set = 0;
    if (in == NULL || !fm_rule_list(call, "axes", 1, axes, &count) || !axis_set(axes, count, in->rank, &set)) {
        return false;
    }
    if (count <= 0) {
        bool nothing = fm_rule_integer(call, "noop_with_empty_axes", 0) != 0;
        set = nothing ? 0 : (1u << in->rank) - 1u;
    }
    return reduce_to(call, in, set, in->type);
}

static bool arg_reduce(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int axis = 0;
    return in != NULL && fm_rule_axis(fm_rule_integer(call, "axis", 0), in->rank, &axis) &&
           reduce_to(call, in, 1u << axis, DTYPE_I64);
}

static bool top_k(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *k = fm_rule_input(call, 1);
    int64_t dims[FM_MAX_RANK] = {0};
    int axis = 0;
    if (in == NULL || !fm_rule_axis(fm_rule_integer(call, "axis", -1), in->rank, &axis)) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i];
    }
    dims[axis] = k != NULL ? (k->count == 1 ? fm_rule_whole(k->values[0]) : -1) : fm_rule_integer(call, "k", -1);
    return dims[axis] <= in->dims[axis] && fm_rule_set(call, 0, in->type, in->rank, dims) &&
           fm_rule_set(call, 1, DTYPE_I64, in->rank, dims);
}

const struct rule_row fm_rules_layout[] = {
    {"Reshape", reshape, 0},
    {"Flatten", flatten, 0},
    {"Squeeze", squeeze, 0},
    {"Unsqueeze", unsqueeze, 0},
    {"Transpose", transpose, 0},
    {"Concat", concat, 0},
    {"Split", split, 0},
    {"Slice", slice, 0},
    {"Gather", gather, 0},
    {"GatherElements", gather_elements, 0},
    {"Tile", tile, 0},
    {"ReduceMean", reduce, 0},
    {"ReduceSum", reduce, 0},
    {"ReduceMax", reduce, 0},
    {"ReduceMin", reduce, 0},
    {"ReduceProd", reduce, 0},
    {"ReduceL1", reduce, 0},
    {"ReduceL2", reduce, 0},
    {"ReduceLogSum", reduce, 0},
    {"ReduceLogSumExp", reduce, 0},
    {"ReduceSumSquare", reduce, 0},
    {"ArgMax", arg_reduce, 0},
    {"ArgMin", arg_reduce, 0},
    {"TopK", top_k, 0},
    {NULL, NULL, 0},
};
