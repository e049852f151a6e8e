/* Shapes of operators that look through a window or multiply matrices: convolution, pooling, resizing, padding, Gemm,
   MatMul. Pure. */
#include <math.h>
#include <string.h>

#include "onnx/rule.h"

#define MAX_SPATIAL (FM_MAX_RANK - 2)

/* ------------------------------------------------------------------- windows */

struct window {
    int64_t kernel[MAX_SPATIAL], strides[MAX_SPATIAL], dilations[MAX_SPATIAL], pads[2 * MAX_SPATIAL];
    bool same, ceil; /* SAME_UPPER or SAME_LOWER; ceil_mode */
};

/* `count` numbers of an attribute, or the fallback; false: another number of them, or one out of range. */
static bool read_numbers(const struct rule_call *call, const char *name, size_t count, int64_t lowest, int64_t fallback,
                         int64_t *values) {
    size_t written = 0;
    const int64_t *list = fm_rule_integers(call, name, &written);
    if (list != NULL && written != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = list != NULL ? list[i] : fallback;
        if (values[i] < lowest || values[i] > FM_SHAPE_SIDE) {
            return false;
        }
    }
    return true;
}

static bool read_window(const struct rule_call *call, size_t spatial, const int64_t *kernel, struct window *window) {
    int64_t lowest_pad = call->detail == 't' ? -FM_SHAPE_SIDE : 0;
    if (spatial < 1 || spatial > MAX_SPATIAL || !read_numbers(call, "strides", spatial, 1, 1, window->strides) ||
        !read_numbers(call, "dilations", spatial, 1, 1, window->dilations) ||
        !read_numbers(call, "pads", 2 * spatial, lowest_pad, 0, window->pads)) {
        return false;
    }
    if (kernel == NULL ? !read_numbers(call, "kernel_shape", spatial, 1, 0, window->kernel)
                       : !read_numbers(call, "kernel_shape", spatial, 1, 1, window->kernel)) {
        return false;
    }
    for (size_t i = 0; kernel != NULL && i < spatial; i++) {
        window->kernel[i] = kernel[i];
    }
    window->ceil = fm_rule_integer(call, "ceil_mode", 0) != 0;
    window->same = fm_rule_text_is(call, "auto_pad", "SAME_UPPER") || fm_rule_text_is(call, "auto_pad", "SAME_LOWER");
    if (window->same || fm_rule_text_is(call, "auto_pad", "VALID")) {
        memset(window->pads, 0, sizeof window->pads);
    }
    return true;
}

/* Places of the window along axis `i`; -1 when it does not fit once. */
static int64_t places(const struct window *window, size_t spatial, size_t i, int64_t side) {
    int64_t stride = window->strides[i], reach = (window->kernel[i] - 1) * window->dilations[i] + 1;
    if (window->same) {
        return (side + stride - 1) / stride;
    }
    int64_t room = side + window->pads[i] + window->pads[spatial + i] - reach;
    if (room < 0) {
        return -1;
    }
    int64_t count = room / stride + 1;
    /* Rounded up, the last window must still begin inside the picture or the padding before it. */
    if (window->ceil && room % stride != 0 && count * stride < side + window->pads[i]) {
        count++;
    }
    return count;
}

/* [N, channels, places...] of `in`. */
static bool slide(const struct rule_call *call, const struct value_shape *in, const int64_t *kernel, int64_t channels,
                  size_t outputs, const int32_t *types) {
    struct window window = {.ceil = false};
    int64_t dims[FM_MAX_RANK] = {0};
    size_t spatial = in->rank > 2 ? (size_t)in->rank - 2 : 0;
    if (!read_window(call, spatial, kernel, &window)) {
        return false;
    }
    dims[0] = in->dims[0];
    dims[1] = channels;
    for (size_t i = 0; i < spatial; i++) {
        dims[2 + i] = places(&window, spatial, i, in->dims[2 + i]);
    }
    for (size_t i = 0; i < outputs; i++) {
        if (!fm_rule_set(call, i, types[i], in->rank, dims)) {
            return false;
        }
    }
    return true;
}

static bool convolution(const struct rule_call *call) {
    bool quantised = call->detail == 'q';
    const struct value_shape *in = fm_rule_input(call, 0), *weights = fm_rule_input(call, quantised ? 3 : 1);
    const struct value_shape *zero = quantised ? fm_rule_input(call, 7) : NULL;
    int64_t group = fm_rule_integer(call, "group", 1);
    if (in == NULL || weights == NULL || in->rank != weights->rank || in->rank < 3 || (quantised && zero == NULL) ||
        group < 1 || group > FM_SHAPE_SIDE || in->dims[1] != weights->dims[1] * group ||
        weights->dims[0] % group != 0) {
        return false;
    }
    for (int i = 2; i < weights->rank; i++) {
        if (weights->dims[i] < 1) {
            return false;
        }
    }
    int32_t type = quantised ? zero->type : call->detail == 'i' ? (int32_t)DTYPE_I32 : in->type;
    return slide(call, in, weights->dims + 2, weights->dims[0], 1, &type);
}

static bool transposed_convolution(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0), *weights = fm_rule_input(call, 1);
    struct window window = {.ceil = false};
    int64_t dims[FM_MAX_RANK] = {0}, extra[MAX_SPATIAL] = {0}, group = fm_rule_integer(call, "group", 1);
    size_t written = 0;
    const int64_t *wanted = fm_rule_integers(call, "output_shape", &written);
    if (in == NULL || weights == NULL || in->rank != weights->rank || in->rank < 3 || group < 1 ||
        group > FM_SHAPE_SIDE || in->dims[1] != weights->dims[0]) {
        return false;
    }
    size_t spatial = (size_t)in->rank - 2;
    if (!read_window(call, spatial, weights->dims + 2, &window) ||
        !read_numbers(call, "output_padding", spatial, 0, 0, extra) || (wanted != NULL && written < spatial)) {
        return false;
    }
    dims[0] = in->dims[0];
    dims[1] = weights->dims[1] * group;
    for (size_t i = 0; i < spatial; i++) {
        int64_t reach = (window.kernel[i] - 1) * window.dilations[i] + 1, side = in->dims[2 + i];
        if (side < 1 || window.kernel[i] < 1) {
            return false;
        }
        int64_t pads = window.pads[i] + window.pads[spatial + i];
        dims[2 + i] = window.strides[i] * (side - 1) + extra[i] + reach - pads;
        dims[2 + i] = window.same ? side * window.strides[i] : dims[2 + i];
        dims[2 + i] = wanted != NULL ? wanted[written - spatial + i] : dims[2 + i]; /* some say all of N, C, H, W */
    }
    return fm_rule_set(call, 0, in->type, in->rank, dims);
}

static bool pool(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    if (in == NULL || in->rank < 3) {
        return false;
    }
    const int32_t types[2] = {in->type, DTYPE_I64}; /* MaxPool also says where */
    return slide(call, in, NULL, in->dims[1], 2, types);
}

static bool global_pool(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t dims[FM_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (in == NULL || in->rank < 2) {
        return false;
    }
    dims[0] = in->dims[0];
    dims[1] = in->dims[1];
    return fm_rule_set(call, 0, in->type, in->rank, dims);
}

/* -------------------------------------------------------------------- resizing */

/* Axes that scales or sizes speak of: all, or those of the attribute. */
static bool resize_axes(const struct rule_call *call, int rank, int count, int axes[FM_MAX_RANK]) {
    size_t written = 0;
    const int64_t *list = fm_rule_integers(call, "axes", &written);
    if (count != (list != NULL ? (int)written : rank) || count > FM_MAX_RANK) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        axes[i] = i;
        if (list != NULL && !fm_rule_axis(list[i], rank, &axes[i])) {
            return false;
        }
    }
    return true;
}

static bool resize_by(const struct rule_call *call, const struct value_shape *in, const struct value_shape *numbers,
                      bool are_sizes) {
    int64_t dims[FM_MAX_RANK] = {0};
    int axes[FM_MAX_RANK] = {0};
    if (numbers->count < 1 || !resize_axes(call, in->rank, numbers->count, axes)) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i];
    }
    for (int i = 0; i < numbers->count; i++) {
        /* in single precision, as runtimes do: 10 * 0.7f is 7, not 6.99 */
        float scaled = (float)numbers->values[i] * (float)in->dims[axes[i]];
        dims[axes[i]] = fm_rule_whole(are_sizes ? numbers->values[i] : floor((double)scaled));
    }
    return fm_rule_set(call, 0, in->type, in->rank, dims);
}

static bool resize(const struct rule_call *call) {
    bool old = call->detail == 'u' || call->opset < 11; /* Upsample, and Resize before it took a region */
    const struct value_shape *in = fm_rule_input(call, 0), *scales = fm_rule_input(call, old ? 1 : 2);
    const struct value_shape *sizes = old ? NULL : fm_rule_input(call, 3);
    const FmOnnx__Attribute *written = old ? fm_node_attribute(call->node, "scales") : NULL;
    const FmOnnx__Attribute *policy = fm_node_attribute(call->node, "keep_aspect_ratio_policy");
    struct value_shape attribute = {.rank = 1, .count = 0};
    if (in == NULL || (policy != NULL && !fm_rule_text_is(call, "keep_aspect_ratio_policy", "stretch"))) {
        return false;
    }
    if (written != NULL && written->n_floats <= FM_MAX_RANK) {
        for (; attribute.count < (int)written->n_floats; attribute.count++) {
            attribute.values[attribute.count] = (double)written->floats[attribute.count];
        }
        scales = &attribute;
    }
    if (scales != NULL && scales->count != 0) {
        return resize_by(call, in, scales, false);
    }
    return sizes != NULL && resize_by(call, in, sizes, true);
}

static bool pad(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t pads[FM_SHAPE_VALUES] = {0}, axes[FM_SHAPE_VALUES] = {0}, dims[FM_MAX_RANK] = {0};
    int count = -1, axis_count = -1;
    const char *name = fm_node_attribute(call->node, "paddings") != NULL ? "paddings" : "pads";
    if (in == NULL || !fm_rule_list(call, name, 1, pads, &count) || !fm_rule_list(call, "axes", 3, axes, &axis_count) ||
        count < 0 || count != 2 * (axis_count >= 0 ? axis_count : in->rank)) {
        return false;
    }
    for (int i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i];
    }
    for (int i = 0; i < count / 2; i++) {
        int axis = i;
        if (axis_count >= 0 && !fm_rule_axis(axes[i], in->rank, &axis)) {
            return false;
        }
        dims[axis] = in->dims[axis] + pads[i] + pads[count / 2 + i];
    }
    return fm_rule_set(call, 0, in->type, in->rank, dims);
}

static bool depth_and_space(const struct rule_call *call) {
    const struct value_shape *in = fm_rule_input(call, 0);
    int64_t block = fm_rule_integer(call, "blocksize", 0);
    if (in == NULL || in->rank != 4 || block < 1 || block > 65536) {
        return false;
    }
    int64_t area = block * block, dims[4] = {in->dims[0], in->dims[1], in->dims[2], in->dims[3]};
    if (call->detail == 'd' ? dims[1] % area != 0 : dims[2] % block != 0 || dims[3] % block != 0) {
        return false;
    }
    dims[1] = call->detail == 'd' ? dims[1] / area : dims[1] * area;
    dims[2] = call->detail == 'd' ? dims[2] * block : dims[2] / block;
    dims[3] = call->detail == 'd' ? dims[3] * block : dims[3] / block;
    return fm_rule_set(call, 0, in->type, 4, dims);
}

/* ------------------------------------------------------------------- matrices */

static bool gemm(const struct rule_call *call) {
    const struct value_shape *a = fm_rule_input(call, 0), *b = fm_rule_input(call, 1);
    if (a == NULL || b == NULL || a->rank != 2 || b->rank != 2) {
        return false;
    }
    int turn_a = fm_rule_integer(call, "transA", 0) != 0, turn_b = fm_rule_integer(call, "transB", 0) != 0;
    int64_t dims[2] = {a->dims[turn_a], b->dims[!turn_b]};
    return a->dims[!turn_a] == b->dims[turn_b] && fm_rule_set(call, 0, a->type, 2, dims);
}

/* As numpy.matmul: the last two are matrices, those before them broadcast; a vector's own dimension goes again. */
static bool product_dims(const struct value_shape *a, const struct value_shape *b, int64_t *dims, int *rank) {
    int64_t inner_a = a->rank > 0 ? a->dims[a->rank - 1] : 0;
    int64_t inner_b = b->rank > 0 ? b->dims[b->rank > 1 ? b->rank - 2 : 0] : 0;
    int left = a->rank > 2 ? a->rank - 2 : 0, right = b->rank > 2 ? b->rank - 2 : 0;
    int wide = left > right ? left : right;
    if (a->rank < 1 || b->rank < 1 || inner_a != inner_b) {
        return false;
    }
    for (int i = 0; i < wide; i++) {
        int64_t x = i < wide - left ? 1 : a->dims[i - (wide - left)];
        int64_t y = i < wide - right ? 1 : b->dims[i - (wide - right)];
        if (x != y && x != 1 && y != 1) {
            return false;
        }
        dims[i] = x == 1 ? y : x;
    }
    *rank = wide;
    if (a->rank > 1) {
        dims[(*rank)++] = a->dims[a->rank - 2];
    }
    if (b->rank > 1) {
        dims[(*rank)++] = b->dims[b->rank - 1];
    }
    return true;
}

static bool matrix_product(const struct rule_call *call) {
    bool quantised = call->detail == 'q';
    const struct value_shape *a = fm_rule_input(call, 0), *b = fm_rule_input(call, quantised ? 3 : 1);
    const struct value_shape *zero = quantised ? fm_rule_input(call, 7) : NULL;
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = 0;
    if (a == NULL || b == NULL || (quantised && zero == NULL) || !product_dims(a, b, dims, &rank)) {
        return false;
    }
    int32_t type = quantised ? zero->type : call->detail == 'i' ? (int32_t)DTYPE_I32 : a->type;
    return fm_rule_set(call, 0, type, rank, dims);
}

const struct rule_row fm_rules_window[] = {
    {"Conv", convolution, 0},
    {"ConvInteger", convolution, 'i'},
    {"QLinearConv", convolution, 'q'},
    {"ConvTranspose", transposed_convolution, 't'},
    {"MaxPool", pool, 0},
    {"AveragePool", pool, 0},
    {"LpPool", pool, 0},
    {"GlobalAveragePool", global_pool, 0},
    {"GlobalMaxPool", global_pool, 0},
    {"GlobalLpPool", global_pool, 0},
    {"Resize", resize, 0},
    {"Upsample", resize, 'u'},
    {"Pad", pad, 0},
    {"DepthToSpace", depth_and_space, 'd'},
    {"SpaceToDepth", depth_and_space, 's'},
    {"Gemm", gemm, 0},
    {"MatMul", matrix_product, 0},
    {"MatMulInteger", matrix_product, 'i'},
    {"QLinearMatMul", matrix_product, 'q'},
    {NULL, NULL, 0},
};
