/* SCRFD: recognise its graphs and describe them (RECIPES D1, D25). Outputs are grouped: the scores of all strides, then
   the boxes, then the points. Which way a batch runs through the rows is read off the transpose before each head's
   reshape. Pure. */
#include <stdio.h>
#include <string.h>

#include "models/route.h"

#define KINDS 3        /* scores, boxes, points */
#define MOST_ANCHORS 8 /* per cell; more is a misunderstanding */
static const int64_t columns_of_kind[KINDS] = {1, 4, 10};

/* How the rows of a head are ordered. */
enum row_order { ROWS_UNKNOWN = 0, ROWS_CELL_IMAGE_ANCHOR = 1, ROWS_IMAGE_CELL_ANCHOR = 2 };

struct head {
    enum row_order order;
    int64_t columns;           /* -1 when the graph does not tell */
    int64_t first;             /* the reshape's first number when it is constant, 0 otherwise */
    size_t transpose, reshape; /* nodes; SIZE_MAX when not found */
};

/* 3 or 5 levels by the number of outputs, and whether there are points; 0 when it is not SCRFD's number. */
static int head_levels(size_t outputs, int *kinds) {
    *kinds = outputs == 9 || outputs == 15 ? 3 : 2;
    return outputs == 6 || outputs == 9 ? 3 : (outputs == 10 || outputs == 15 ? 5 : 0);
}

static void read_reshape(const struct graph *graph, size_t node, struct head *head) {
    int64_t shape[FM_MAX_RANK] = {0};
    const char *name = fm_graph_node_input(graph, node, 1);
    size_t count = fm_graph_constant_integers(graph, name, shape, FM_MAX_RANK);
    size_t maker = fm_graph_producer(graph, name);
    head->reshape = node;
    if (count >= 2 && count <= FM_MAX_RANK) {
        head->first = shape[0];
        head->columns = shape[count - 1] > 0 ? shape[count - 1] : -1;
    } else if (maker != SIZE_MAX && strcmp(fm_graph_node_operator(graph, maker), "Concat") == 0) {
        /* [Shape(x)[0], -1, C] put together: the last part is the constant C */
        size_t parts = fm_graph_node_input_count(graph, maker);
        int64_t last = -1;
        if (parts > 0 &&
            fm_graph_constant_integers(graph, fm_graph_node_input(graph, maker, parts - 1), &last, 1) == 1) {
            head->columns = last > 0 ? last : -1;
        }
    }
}

static enum row_order order_of_transpose(const struct graph *graph, size_t node) {
    static const int64_t cells_first[4] = {2, 3, 0, 1}, images_first[4] = {0, 2, 3, 1};
    int64_t perm[FM_MAX_RANK] = {0};
    if (fm_graph_node_integers(graph, node, "perm", perm, FM_MAX_RANK) != 4) {
        return ROWS_UNKNOWN;
    }
    if (memcmp(perm, cells_first, sizeof cells_first) == 0) {
        return ROWS_CELL_IMAGE_ANCHOR;
    }
    return memcmp(perm, images_first, sizeof images_first) == 0 ? ROWS_IMAGE_CELL_ANCHOR : ROWS_UNKNOWN;
}

/* Nodes that leave every row where it is. */
static bool stays_in_place(const struct graph *graph, size_t node) {
    static const char *const one_input[] = {"Sigmoid", "Identity", "Cast", "Relu", NULL};
    const char *op = fm_graph_node_operator(graph, node);
    int64_t dims[FM_MAX_RANK];
    for (size_t i = 0; one_input[i] != NULL; i++) {
        if (strcmp(op, one_input[i]) == 0) {
            return true;
        }
    }
    return strcmp(op, "Mul") == 0 && fm_graph_constant_dims(graph, fm_graph_node_input(graph, node, 1), dims) >= 0;
}

/* Walk up from an output through what does not move rows to its reshape and transpose. */
static struct head walk_head(const struct graph *graph, const char *value) {
    struct head head = {ROWS_UNKNOWN, -1, 0, SIZE_MAX, SIZE_MAX};
    for (int step = 0; step < 8; step++) {
        size_t node = fm_graph_producer(graph, value);
        const char *op = node != SIZE_MAX ? fm_graph_node_operator(graph, node) : "";
        if (strcmp(op, "Transpose") == 0 && head.reshape != SIZE_MAX) {
            head.transpose = node;
            head.order = order_of_transpose(graph, node);
            return head;
        }
        if (strcmp(op, "Reshape") == 0 && head.reshape == SIZE_MAX) {
            read_reshape(graph, node, &head);
        } else if (node == SIZE_MAX || !stays_in_place(graph, node)) {
            return head;
        }
        value = fm_graph_node_input(graph, node, 0);
    }
    return head;
}

/* ------------------------------------------------------------------- match */

/* Does output `index` look like a head of `columns`? Declared shapes may lie about rows, not about columns. */
static bool head_fits(const struct graph *graph, size_t index, int64_t columns, bool *known) {
    struct graph_value output = fm_graph_output(graph, index);
    int64_t declared = output.rank > 0 ? output.dims[output.rank - 1] : -1;
    int64_t reshaped = walk_head(graph, output.name).columns;
    bool rank_fits = output.rank == -1 || output.rank == 2 || output.rank == 3;
    *known = declared == columns || reshaped == columns;
    return rank_fits && output.dtype == DTYPE_F32 && (declared == -1 || declared == columns) &&
           (reshaped == -1 || reshaped == columns);
}

static bool input_fits(const struct graph *graph) {
    struct graph_value input = fm_graph_input(graph, 0);
    return fm_graph_input_count(graph) == 1 && input.dtype == DTYPE_F32 && input.rank == 4 &&
           (input.dims[1] == 3 || input.dims[1] == -1);
}

static void why_not(const struct graph *graph, const struct manifest_model *said, char *why, size_t why_size) {
    (void)said;
    size_t outputs = fm_graph_output_count(graph);
    int kinds = 0, levels = head_levels(outputs, &kinds);
    why[0] = 0;
    if (levels == 0) {
        snprintf(why, why_size, "%zu outputs, where SCRFD has 6, 9, 10 or 15: not a detector known here", outputs);
        return;
    }
    if (!input_fits(graph)) {
        snprintf(why, why_size, "its input is not one f32 picture [N,3,H,W]: not a detector known here");
        return;
    }
    for (int kind = 0; kind < kinds; kind++) {
        bool any_known = false;
        for (int level = 0; level < levels; level++) {
            bool known = false;
            size_t index = (size_t)(kind * levels + level);
            if (!head_fits(graph, index, columns_of_kind[kind], &known)) {
                snprintf(why, why_size,
                         "output '%.80s' is not a head of %d columns, as SCRFD has there: not a detector known here",
                         fm_graph_output(graph, index).name, (int)columns_of_kind[kind]);
                return;
            }
            any_known = any_known || known;
        }
        if (!any_known) {
            snprintf(why, why_size, "its outputs do not say how many columns they have: not a detector known here");
            return;
        }
    }
}

/* ---------------------------------------------------------------- describe */

/* Decide from the heads whether and how a batch can be read. */
static void describe_batch(const struct graph *graph, struct model *model) {
    size_t outputs = fm_graph_output_count(graph), nodes[2 * KINDS * FM_MAX_HEADS];
    enum row_order order = ROWS_UNKNOWN;
    model->batch_possible = false;
    for (size_t i = 0; i < outputs; i++) {
        const char *name = fm_graph_output(graph, i).name;
        struct head head = walk_head(graph, name);
        if (head.order == ROWS_UNKNOWN || (i > 0 && head.order != order)) {
            snprintf(model->batch_note, sizeof model->batch_note,
                     "one image at a time: how output '%.60s' orders the rows of a batch is not understood", name);
            return;
        }
        if (head.first > 0) {
            snprintf(model->batch_note, sizeof model->batch_note,
                     "one image at a time: output '%.60s' is reshaped to a fixed batch of %d", name, (int)head.first);
            return;
        }
        order = head.order;
        nodes[2 * i] = head.transpose;
        nodes[2 * i + 1] = head.reshape;
    }
    char why[192];
    if (fm_batch_blocked(graph, nodes, 2 * outputs, why, sizeof why)) {
        snprintf(model->batch_note, sizeof model->batch_note, "one image at a time: %s", why);
        return;
    }
    model->batch_possible = true;
    model->detector.interleaved = order == ROWS_CELL_IMAGE_ANCHOR;
}

/* Anchors per cell: channels of the score head's convolution, which has one column. The weight may be a value that
   other constants make, so the bias tells too; 0 when neither does. */
static int anchors_in_graph(const struct graph *graph) {
    struct head head = walk_head(graph, fm_graph_output(graph, 0).name);
    size_t node = head.transpose;
    for (int step = 0; step < 4 && node != SIZE_MAX; step++) {
        node = fm_graph_producer(graph, fm_graph_node_input(graph, node, 0));
        if (node == SIZE_MAX || strcmp(fm_graph_node_operator(graph, node), "Conv") != 0) {
            continue;
        }
        for (size_t input = 1; input < fm_graph_node_input_count(graph, node); input++) {
            int64_t dims[FM_MAX_RANK] = {0};
            if (fm_graph_constant_dims(graph, fm_graph_node_input(graph, node, input), dims) > 0) {
                return dims[0] > 0 && dims[0] <= MOST_ANCHORS ? (int)dims[0] : 0;
            }
        }
        return 0;
    }
    return 0;
}

static fm_status describe(const struct graph *graph, struct model *model, fm_error *error) {
    struct detector_recipe *recipe = &model->detector;
    struct graph_value input = fm_graph_input(graph, 0);
    int kinds = 0, levels = head_levels(fm_graph_output_count(graph), &kinds);
    if (levels == 0) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' does not have SCRFD's outputs", model->file);
    }
    int anchors = anchors_in_graph(graph);
    *recipe = (struct detector_recipe){.heads = levels,
                                       .anchors = anchors > 0 ? anchors : (levels == 3 ? 2 : 1),
                                       .threshold = 0.5f,
                                       .nms_threshold = 0.4f,
                                       .nms_plus_one = true};
    for (int i = 0; i < levels; i++) {
        recipe->strides[i] = 8 << i;
        recipe->score_output[i] = i;
        recipe->box_output[i] = levels + i;
        recipe->landmark_output[i] = kinds == KINDS ? 2 * levels + i : -1;
    }
    recipe->fixed_height = input.dims[2] > 0 ? (int)input.dims[2] : 0;
    recipe->fixed_width = input.dims[3] > 0 ? (int)input.dims[3] : 0;
    model->pixels = (struct pixel_recipe){.bgr = false, .mean = 127.5f, .scale = 1.0f / 128.0f};
    model->batch_fixed = input.dims[0] > 0;
    describe_batch(graph, model);
    return FM_OK;
}

const struct model_family fm_family_scrfd = {"scrfd", MODEL_DETECTION, why_not, describe};
