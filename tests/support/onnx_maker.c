/* ONNX maker: the detector and embedder with known answers, and what they answer. The formulas of the answers stand
   beside the weights that make them. */
#include "support/onnx_maker.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx/graph.h"

#define LEVELS 3
#define ANCHORS 2
#define OPSET 11
#define KINDS 3
static const char *const kinds[KINDS] = {"score", "bbox", "kps"};
static const int kind_columns[KINDS] = {1, 4, 10};

/* ------------------------------------------------------------ the detector's answers */

/* Which channels are on, by level and anchor: six corners of the colour cube, none of them grey. */
static const int colours[LEVELS][ANCHORS][3] = {{{1, 0, 0}, {0, 1, 0}}, {{1, 0, 1}, {0, 1, 1}}, {{1, 1, 0}, {0, 0, 1}}};

/* match = sum over channels of +value where the colour is on and -value where it is off, value = (level - 127.5) /
   128: 2.98 for the right colour, at most 1.0 for any other and for grey. score = sigmoid(SLOPE * match + BIAS): 0.91
   and at most 0.004. */
#define SLOPE 4.0f
#define BIAS (-9.6f)
/* Distances and points grow with match, so that rows of another image are seen to be wrong. */
#define BOX_GROWTH 0.25f
#define POINT_GROWTH 0.125f
static const float box_base[ANCHORS][4] = {{1.5f, 2.0f, 2.5f, 3.0f}, {2.0f, 2.5f, 3.0f, 3.5f}};
static const float point_base[ANCHORS][10] = {{-0.5f, -0.5f, 1.5f, -0.5f, 0.5f, 0.5f, -0.25f, 1.5f, 1.25f, 1.5f},
                                              {-0.75f, -0.5f, 1.75f, -0.75f, 0.5f, 0.75f, -0.5f, 2.0f, 1.5f, 1.75f}};

static int level_of(int stride) {
    return stride == 8 ? 0 : (stride == 16 ? 1 : 2);
}

void fm_maker_paint(uint8_t *rgb, int width, int height, const struct maker_square *square) {
    const int *colour = colours[level_of(square->stride)][square->anchor];
    for (int y = square->row * square->stride; y < (square->row + 1) * square->stride && y < height; y++) {
        for (int x = square->column * square->stride; x < (square->column + 1) * square->stride && x < width; x++) {
            for (int channel = 0; channel < 3; channel++) {
                rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)channel] =
                    (uint8_t)(colour[channel] * square->level);
            }
        }
    }
}

void fm_maker_expect_face(const struct maker_square *square, struct maker_face *face) {
    const int *colour = colours[level_of(square->stride)][square->anchor];
    double match = 0.0, stride = square->stride;
    for (int channel = 0; channel < 3; channel++) {
        match += colour[channel] ? (square->level - 127.5) / 128.0 : 127.5 / 128.0;
    }
    double x = square->column * stride, y = square->row * stride;
    for (int side = 0; side < 4; side++) {
        double distance = ((double)box_base[square->anchor][side] + (double)BOX_GROWTH * match) * stride;
        face->box[side] = (float)((side % 2 == 0 ? x : y) + (side < 2 ? -distance : distance));
    }
    for (int i = 0; i < 10; i++) {
        double offset = ((double)point_base[square->anchor][i] + (double)POINT_GROWTH * match) * stride;
        face->landmarks[i / 2][i % 2] = (float)((i % 2 == 0 ? x : y) + offset);
    }
    face->score = (float)(1.0 / (1.0 + exp(-((double)SLOPE * match + (double)BIAS))));
}

/* -------------------------------------------------------------------- the detector */

struct maker {
    struct graph *graph;
    fm_status status; /* the first failure; later calls do nothing */
    fm_error *error;
};

/* A name put together; lives as long as the struct. */
struct label {
    char text[128];
};

static struct label label(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct label label(const char *format, ...) {
    struct label out;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out.text, sizeof out.text, format, arguments);
    va_end(arguments);
    return out;
}

static void tensor(struct maker *maker, const char *name, enum dtype dtype, const int64_t *dims, int rank,
                   const void *values) {
    if (maker->status == FM_OK) {
        maker->status = fm_graph_add_tensor(maker->graph, name, dtype, dims, rank, values, maker->error);
    }
}

static size_t node(struct maker *maker, const char *op, const char *name, const char *inputs) {
    size_t index = 0;
    if (maker->status == FM_OK) {
        maker->status = fm_graph_add_node(maker->graph, op, name, inputs, name, &index, maker->error);
    }
    return index;
}

static void integers(struct maker *maker, size_t index, const char *attribute, const int64_t *values, size_t count) {
    if (maker->status == FM_OK) {
        maker->status = fm_graph_set_integers(maker->graph, index, attribute, values, count, maker->error);
    }
}

static void integer(struct maker *maker, size_t index, const char *attribute, int64_t value) {
    if (maker->status == FM_OK) {
        maker->status = fm_graph_set_integer(maker->graph, index, attribute, value, maker->error);
    }
}

static void pool(struct maker *maker, const char *op, const char *name, const char *input, int64_t side) {
    size_t index = node(maker, op, name, input);
    integers(maker, index, "kernel_shape", (int64_t[]){side, side}, 2);
    integers(maker, index, "strides", (int64_t[]){side, side}, 2);
}

/* A 1x1 convolution from the mean colour of each cell to `columns` values for each of two anchors. */
static void head_weights(struct maker *maker, const char *name, int level, int columns) {
    float weights[ANCHORS * 10 * 3], bias[ANCHORS * 10];
    for (int anchor = 0; anchor < ANCHORS; anchor++) {
        for (int column = 0; column < columns; column++) {
            int row = anchor * columns + column;
            float growth = columns == 1 ? SLOPE : (columns == 4 ? BOX_GROWTH : POINT_GROWTH);
            for (int channel = 0; channel < 3; channel++) {
                weights[row * 3 + channel] = colours[level][anchor][channel] ? growth : -growth;
            }
            bias[row] = columns == 1 ? BIAS : (columns == 4 ? box_base[anchor][column] : point_base[anchor][column]);
        }
    }
    int64_t rows = ANCHORS * columns;
    tensor(maker, label("%s_weight", name).text, DTYPE_F32, (int64_t[]){rows, 3, 1, 1}, 4, weights);
    tensor(maker, label("%s_bias", name).text, DTYPE_F32, &rows, 1, bias);
}

/* From the head's map [N, 2 * columns, H, W] to rows. Declares the rows of a 640 x 640 input, as the stock files do. */
static void head_rows(struct maker *maker, enum maker_detector kind, const char *map, const char *output, int stride,
                      int64_t columns) {
    static const int64_t stock[4] = {2, 3, 0, 1}, batched[4] = {0, 2, 3, 1}, unknown[4] = {2, 3, 1, 0};
    struct label turned = label("%s_turned", output), shape = label("%s_shape", output);
    struct label flat = label("%s%s", output, columns == 1 ? "_flat" : "");
    size_t index = node(maker, "Transpose", turned.text, map);
    integers(maker, index, "perm", kind == MAKER_BATCHED ? batched : (kind == MAKER_UNKNOWN ? unknown : stock), 4);
    int64_t rank_2[2] = {-1, columns}, rank_3[3] = {0, -1, columns}, length = kind == MAKER_BATCHED ? 3 : 2;
    tensor(maker, shape.text, DTYPE_I64, &length, 1, kind == MAKER_BATCHED ? rank_3 : rank_2);
    node(maker, "Reshape", flat.text, label("%.60s %.60s", turned.text, shape.text).text);
    if (columns == 1) {
        node(maker, "Sigmoid", output, flat.text);
    }
    int64_t declared[3] = {(int64_t)(640 / stride) * (640 / stride) * ANCHORS, columns, 0}, open[3] = {-1, -1, -1};
    bool rank_three = kind == MAKER_BATCHED;
    if (maker->status == FM_OK) {
        maker->status = fm_graph_add_output(maker->graph, output, DTYPE_F32, rank_three ? open : declared,
                                            rank_three ? 3 : 2, maker->error);
    }
}

static void detector_head(struct maker *maker, enum maker_detector kind, int level, const char *what, int columns) {
    struct label output = label("%s_%d", what, 8 << level), map = label("%s_%d_map", what, 8 << level);
    head_weights(maker, map.text, level, columns);
    struct label inputs = label("mean_%d %.40s_weight %.40s_bias", 8 << level, map.text, map.text);
    size_t index = node(maker, "Conv", map.text, inputs.text);
    integers(maker, index, "kernel_shape", (int64_t[]){1, 1}, 2);
    head_rows(maker, kind, map.text, output.text, 8 << level, columns);
}

static fm_status start(struct maker *maker, const char *name, const char *input, const int64_t *dims, fm_error *error) {
    maker->error = error;
    maker->status = fm_graph_create(name, OPSET, &maker->graph, error);
    if (maker->status == FM_OK) {
        maker->status = fm_graph_add_input(maker->graph, input, DTYPE_F32, dims, 4, error);
    }
    return maker->status;
}

static fm_status finish(struct maker *maker, struct buffer *onnx) {
    if (maker->status == FM_OK) {
        maker->status = fm_graph_write(maker->graph, onnx, maker->error);
    }
    fm_graph_close(maker->graph);
    return maker->status;
}

fm_status fm_maker_detector(enum maker_detector kind, struct buffer *onnx, fm_error *error) {
    struct maker maker = {0};
    (void)start(&maker, "detector", "input.1", (int64_t[]){kind == MAKER_BATCHED ? -1 : 1, 3, -1, -1}, error);
    for (int level = 0; level < LEVELS; level++) {
        pool(&maker, "AveragePool", label("mean_%d", 8 << level).text, "input.1", 8 << level);
    }
    for (int what = 0; what < (kind == MAKER_NO_POINTS ? KINDS - 1 : KINDS); what++) {
        for (int level = 0; level < LEVELS; level++) {
            detector_head(&maker, kind, level, kinds[what], kind_columns[what]);
        }
    }
    return finish(&maker, onnx);
}

/* ------------------------------------------------------------ the structure of det_10g */

struct trunk {
    struct maker maker;
    uint32_t random;
    int slimmer;
    float gain, offset; /* of the next convolutions: 1 and 0 but for the heads */
};

static float random_weight(struct trunk *trunk, float size) {
    trunk->random = trunk->random * 1664525u + 1013904223u;
    return ((float)(trunk->random >> 8) / 8388608.0f - 1.0f) * size;
}

static int slim(const struct trunk *trunk, int channels) {
    int left = channels / trunk->slimmer;
    return left > 0 ? left : 1;
}

/* Add `name` = convolution of `input`, weights uniform and scaled so that the values neither grow nor fade (He et al.,
 * 2015). */
static void convolve(struct trunk *trunk, const char *name, const char *input, int from, int to, int kernel,
                     int stride) {
    size_t per_output = (size_t)from * (size_t)kernel * (size_t)kernel, count = per_output * (size_t)to;
    float *values = fm_alloc_array(count, sizeof *values), *bias = fm_alloc_array((size_t)to, sizeof *bias);
    if (values == NULL || bias == NULL) {
        trunk->maker.status = fm_fail(trunk->maker.error, FM_OUT_OF_MEMORY, "no memory for the weights of '%s'", name);
    } else {
        float size = trunk->gain * sqrtf(6.0f / (float)per_output);
        for (size_t i = 0; i < count; i++) {
            values[i] = random_weight(trunk, size);
        }
        for (int i = 0; i < to; i++) {
            bias[i] = trunk->offset + random_weight(trunk, 0.05f);
        }
        int64_t dims[4] = {to, from, kernel, kernel};
        tensor(&trunk->maker, label("%s_weight", name).text, DTYPE_F32, dims, 4, values);
        tensor(&trunk->maker, label("%s_bias", name).text, DTYPE_F32, dims, 1, bias);
    }
    fm_free(values);
    fm_free(bias);
    size_t index = node(&trunk->maker, "Conv", name, label("%.40s %.30s_weight %.30s_bias", input, name, name).text);
    int64_t pad = kernel / 2;
    integers(&trunk->maker, index, "kernel_shape", (int64_t[]){kernel, kernel}, 2);
    integers(&trunk->maker, index, "strides", (int64_t[]){stride, stride}, 2);
    integers(&trunk->maker, index, "pads", (int64_t[]){pad, pad, pad, pad}, 4);
}

/* *value = Relu(convolution of *value), called `name`. */
static void convolve_relu(struct trunk *trunk, struct label name, struct label *value, int from, int to, int kernel,
                          int stride) {
    struct label raw = label("%.40s_raw", name.text);
    convolve(trunk, raw.text, value->text, from, to, kernel, stride);
    node(&trunk->maker, "Relu", name.text, raw.text);
    *value = name;
}

static void add_maps(struct trunk *trunk, struct label name, struct label *value, struct label other) {
    node(&trunk->maker, "Add", name.text, label("%.60s %.60s", value->text, other.text).text);
    *value = name;
}

/* A residual block; where it shrinks or widens, the shortcut is averaged and projected. */
static void residual(struct trunk *trunk, const char *name, struct label *value, int from, int to, int stride) {
    struct label shortcut = *value, second = label("%s_2", name);
    convolve_relu(trunk, label("%s_1", name), value, from, to, 3, stride);
    trunk->gain = 0.25f; /* sixteen blocks add up: full gain would let the values grow without bound */
    convolve(trunk, second.text, value->text, to, to, 3, 1);
    trunk->gain = 1.0f;
    if (stride > 1) {
        struct label mean = label("%s_mean", name);
        pool(&trunk->maker, "AveragePool", mean.text, shortcut.text, stride);
        shortcut = mean;
    }
    if (stride > 1 || from != to) {
        struct label projected = label("%s_short", name);
        convolve(trunk, projected.text, shortcut.text, from, to, 1, 1);
        shortcut = projected;
    }
    add_maps(trunk, label("%s_sum", name), &second, shortcut);
    node(&trunk->maker, "Relu", name, second.text);
    *value = label("%s", name);
}

/* The trunk down to stride 32; levels[i] becomes the map of stride 8 << i with channels[i] channels. */
static void build_trunk(struct trunk *trunk, struct label levels[LEVELS], int channels[LEVELS]) {
    static const int blocks[4] = {3, 4, 2, 3}, widths[4] = {56, 88, 88, 224};
    struct label value = label("input.1");
    convolve_relu(trunk, label("stem_1"), &value, 3, slim(trunk, 28), 3, 2);
    convolve_relu(trunk, label("stem_2"), &value, slim(trunk, 28), slim(trunk, 28), 3, 1);
    convolve_relu(trunk, label("stem_3"), &value, slim(trunk, 28), slim(trunk, 56), 3, 1);
    pool(&trunk->maker, "MaxPool", "stem", value.text, 2);
    value = label("stem");
    int from = slim(trunk, 56);
    for (int stage = 0; stage < 4; stage++) {
        for (int block = 0; block < blocks[stage]; block++) {
            int to = slim(trunk, widths[stage]);
            residual(trunk, label("stage%d_%d", stage, block).text, &value, from, to, stage > 0 && block == 0 ? 2 : 1);
            from = to;
        }
        if (stage > 0) {
            levels[stage - 1] = value;
            channels[stage - 1] = from;
        }
    }
}

/* The pyramid: coarse maps are doubled and added to finer ones, then fine ones halved and added to coarser ones. */
static void build_pyramid(struct trunk *trunk, struct label levels[LEVELS], const int channels[LEVELS], int width) {
    static const float twice[4] = {1.0f, 1.0f, 2.0f, 2.0f};
    tensor(&trunk->maker, "twice", DTYPE_F32, (int64_t[]){4}, 1, twice);
    tensor(&trunk->maker, "no_region", DTYPE_F32, (int64_t[]){0}, 1, NULL);
    for (int i = 0; i < LEVELS; i++) {
        struct label lateral = label("lateral_%d", i);
        convolve(trunk, lateral.text, levels[i].text, channels[i], width, 1, 1);
        levels[i] = lateral;
    }
    for (int i = LEVELS - 2; i >= 0; i--) {
        struct label doubled = label("doubled_%d", i);
        node(&trunk->maker, "Resize", doubled.text, label("%.60s no_region twice", levels[i + 1].text).text);
        add_maps(trunk, label("down_%d", i), &levels[i], doubled);
    }
    for (int i = 0; i < LEVELS; i++) {
        struct label smooth = label("fpn_%d", i);
        convolve(trunk, smooth.text, levels[i].text, width, width, 3, 1);
        levels[i] = smooth;
    }
    for (int i = 1; i < LEVELS; i++) {
        struct label halved = label("halved_%d", i);
        convolve(trunk, halved.text, levels[i - 1].text, width, width, 3, 2);
        add_maps(trunk, label("up_%d", i), &levels[i], halved);
    }
}

fm_status fm_maker_det_10g(int slimmer, uint32_t seed, struct buffer *onnx, fm_error *error) {
    /* Scores mostly below one half, boxes with their centre inside: what random weights alone would not give. */
    static const float gains[KINDS] = {0.5f, 0.1f, 0.1f}, offsets[KINDS] = {-2.0f, 2.0f, 0.5f};
    struct trunk trunk = {.random = seed, .slimmer = slimmer > 0 ? slimmer : 1, .gain = 1.0f};
    struct label levels[LEVELS];
    int channels[LEVELS] = {1, 1, 1}, width = slim(&trunk, 56), head = slim(&trunk, 80);
    (void)start(&trunk.maker, "det_10g", "input.1", (int64_t[]){1, 3, -1, -1}, error);
    build_trunk(&trunk, levels, channels);
    build_pyramid(&trunk, levels, channels, width);
    for (int level = 0; level < LEVELS; level++) {
        for (int i = 0; i < 3; i++) {
            convolve_relu(&trunk, label("head%d_%d", level, i), &levels[level], i == 0 ? width : head, head, 3, 1);
        }
    }
    for (int what = 0; what < KINDS; what++) {
        trunk.gain = gains[what];
        trunk.offset = offsets[what];
        for (int level = 0; level < LEVELS; level++) {
            struct label output = label("%s_%d", kinds[what], 8 << level),
                         map = label("%s_%d_map", kinds[what], 8 << level);
            convolve(&trunk, map.text, levels[level].text, head, ANCHORS * kind_columns[what], 3, 1);
            head_rows(&trunk.maker, MAKER_STOCK, map.text, output.text, 8 << level, kind_columns[what]);
        }
    }
    return finish(&trunk.maker, onnx);
}

/* -------------------------------------------------------------------- the embedder */

#define GRID 4
#define FEATURES (3 * GRID * GRID)

/* Weight of feature `from` in value `to`: a fixed scramble of small whole numbers over 64, exact in single precision.
 */
static float embedder_weight(int to, int from) {
    uint32_t mixed = (uint32_t)(to * FEATURES + from) * 2654435761u;
    return (float)((int)(mixed >> 25) - 64) / 64.0f;
}

static void embedder_layer(struct maker *maker, const char *input) {
    static const int64_t dims[2] = {MAKER_EMBEDDING, FEATURES};
    float *weights = fm_alloc_array((size_t)MAKER_EMBEDDING * FEATURES, sizeof *weights);
    float bias[MAKER_EMBEDDING];
    if (weights == NULL) {
        maker->status = fm_fail(maker->error, FM_OUT_OF_MEMORY, "no memory for the embedder's weights");
        return;
    }
    for (int to = 0; to < MAKER_EMBEDDING; to++) {
        bias[to] = (float)(to % 7 - 3) / 8.0f;
        for (int from = 0; from < FEATURES; from++) {
            weights[to * FEATURES + from] = embedder_weight(to, from);
        }
    }
    tensor(maker, "layer_weight", DTYPE_F32, dims, 2, weights);
    tensor(maker, "layer_bias", DTYPE_F32, dims, 1, bias);
    fm_free(weights);
    struct label inputs = label("%s layer_weight layer_bias", input);
    integer(maker, node(maker, "Gemm", "embedding", inputs.text), "transB", 1);
}

fm_status fm_maker_embedder(enum maker_embedder kind, struct buffer *onnx, fm_error *error) {
    struct maker maker = {0};
    const char *value = "input.1";
    static const float mean = 127.5f, scale = 1.0f / 127.5f;
    static const int64_t written[2] = {1, FEATURES}, two = 2;
    (void)start(&maker, "embedder", "input.1", (int64_t[]){kind == MAKER_ONE_BATCH ? 1 : -1, 3, MAKER_SIDE, MAKER_SIDE},
                error);
    if (kind == MAKER_NORMALISED) {
        tensor(&maker, "mean", DTYPE_F32, NULL, 0, &mean);
        tensor(&maker, "scale", DTYPE_F32, NULL, 0, &scale);
        node(&maker, "Sub", "_minusscalar0", "input.1 mean");
        node(&maker, "Mul", "_mulscalar0", "_minusscalar0 scale");
        value = "_mulscalar0";
    }
    if (kind == MAKER_FOREIGN) { /* of order 1 over one pixel: the absolute value */
        size_t index = node(&maker, "LpPool", "foreign_pool", value);
        integers(&maker, index, "kernel_shape", (int64_t[]){1, 1}, 2);
        integer(&maker, index, "p", 1);
        value = "foreign_pool";
    }
    pool(&maker, "AveragePool", "grid", value, MAKER_SIDE / GRID);
    if (kind == MAKER_ONE_BATCH) {
        tensor(&maker, "written", DTYPE_I64, &two, 1, written);
        node(&maker, "Reshape", "features", "grid written");
    } else {
        integer(&maker, node(&maker, "Flatten", "features", "grid"), "axis", 1);
    }
    embedder_layer(&maker, "features");
    if (maker.status == FM_OK) {
        maker.status =
            fm_graph_add_output(maker.graph, "embedding", DTYPE_F32, (int64_t[]){1, MAKER_EMBEDDING}, 2, error);
    }
    return finish(&maker, onnx);
}

void fm_maker_expect_embedding(enum maker_embedder kind, const uint8_t *crop, float embedding[MAKER_EMBEDDING]) {
    double features[FEATURES] = {0.0};
    const int cell = MAKER_SIDE / GRID;
    for (int y = 0; y < MAKER_SIDE; y++) {
        for (int x = 0; x < MAKER_SIDE; x++) {
            for (int channel = 0; channel < 3; channel++) {
                double value = (crop[(y * MAKER_SIDE + x) * 3 + channel] - 127.5) / 127.5;
                value = kind == MAKER_FOREIGN ? fabs(value) : value;
                features[(channel * GRID + y / cell) * GRID + x / cell] += value / (cell * cell);
            }
        }
    }
    for (int to = 0; to < MAKER_EMBEDDING; to++) {
        double sum = (to % 7 - 3) / 8.0;
        for (int from = 0; from < FEATURES; from++) {
            sum += (double)embedder_weight(to, from) * features[from];
        }
        embedding[to] = (float)sum;
    }
}
