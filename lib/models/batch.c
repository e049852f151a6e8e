/* Batch: may several images go through a graph at once? Walks along the pixels and looks for nodes that fix the batch
   to one image, move it to another axis, or compute something over all images together. What it cannot know is found by
   the engine's comparison with single runs. Pure; any thread. */
#include <stdio.h>
#include <string.h>

#include "models/route.h"

#define MAX_AXES 8

static bool is(const char *op, const char *const *list) {
    for (; *list != NULL; list++) {
        if (strcmp(op, *list) == 0) {
            return true;
        }
    }
    return false;
}

/* Does the list (an attribute, or a constant at input `input`) name axis 0? */
static bool names_axis_zero(const struct graph *graph, size_t node, size_t input) {
    int64_t axes[MAX_AXES] = {0};
    size_t count = fm_graph_node_integers(graph, node, "axes", axes, MAX_AXES);
    if (count == 0) {
        count = fm_graph_constant_integers(graph, fm_graph_node_input(graph, node, input), axes, MAX_AXES);
    }
    for (size_t i = 0; i < count && i < MAX_AXES; i++) {
        if (axes[i] == 0) {
            return true;
        }
    }
    return false;
}

static bool axis_is_zero(const struct graph *graph, size_t node, int64_t standard) {
    int64_t axis = standard;
    (void)fm_graph_node_integers(graph, node, "axis", &axis, 1);
    return axis == 0;
}

/* The first number of the constant shape at input `input`: positive when it fixes the batch; 0 otherwise. */
static int64_t fixed_first(const struct graph *graph, size_t node, size_t input) {
    int64_t shape[FM_MAX_RANK] = {0};
    size_t count = fm_graph_constant_integers(graph, fm_graph_node_input(graph, node, input), shape, FM_MAX_RANK);
    return count > 0 && shape[0] > 0 ? shape[0] : 0;
}

/* What is wrong with `node`, which works on pixels; NULL when nothing is. */
static const char *objection(const struct graph *graph, size_t node) {
    static const char *const over_all[] = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", NULL};
    static const char *const reductions[] = {"ReduceMean",      "ReduceSum", "ReduceMax",  "ReduceMin",
                                             "ReduceL1",        "ReduceL2",  "ReduceProd", "ReduceSumSquare",
                                             "ReduceLogSumExp", NULL};
    static const char *const squeezes[] = {"Squeeze", "Unsqueeze", NULL};
    static const char *const on_axis[] = {"Concat", "Gather", "Split", NULL};
    static const char *const by_axis_one[] = {"Flatten", NULL};
    const char *op = fm_graph_node_operator(graph, node);
    int64_t perm[FM_MAX_RANK] = {0};
    if (is(op, over_all)) {
        return "measures its scale over the whole batch, so that answers would depend on the company";
    }
    if (strcmp(op, "Reshape") == 0 && fixed_first(graph, node, 1) > 0) {
        return "has the batch size written into its shape";
    }
    if (strcmp(op, "Resize") == 0 && fixed_first(graph, node, 3) > 0) {
        return "has the batch size written into its sizes";
    }
    if (strcmp(op, "Transpose") == 0 && fm_graph_node_integers(graph, node, "perm", perm, FM_MAX_RANK) > 0 &&
        perm[0] != 0) {
        return "moves the batch to another axis";
    }
    if ((is(op, on_axis) && axis_is_zero(graph, node, strcmp(op, "Concat") == 0 ? 1 : 0)) ||
        (is(op, by_axis_one) && axis_is_zero(graph, node, 1)) ||
        (is(op, squeezes) && names_axis_zero(graph, node, 1))) {
        return "works along the batch axis";
    }
    if (is(op, reductions) && names_axis_zero(graph, node, 1)) {
        return "sums over the batch";
    }
    return NULL;
}

static bool is_head(size_t node, const size_t *heads, size_t head_count) {
    for (size_t i = 0; i < head_count; i++) {
        if (heads[i] == node) {
            return true;
        }
    }
    return false;
}

/* Shapes are small vectors of numbers, no pixels: what is computed from them may be reshaped freely. */
static bool ends_pixels(const char *op) {
    return strcmp(op, "Shape") == 0 || strcmp(op, "Size") == 0;
}

/* Is `name` the picture itself, or made by a node that carries pixels? */
static bool carries_pixels(const struct graph *graph, const char *name, const char *picture, const bool *pixels) {
    if (name[0] == 0) {
        return false;
    }
    size_t maker = fm_graph_producer(graph, name);
    return maker != SIZE_MAX ? pixels[maker] : strcmp(name, picture) == 0;
}

bool fm_batch_blocked(const struct graph *graph, const size_t *heads, size_t head_count, char *why, size_t why_size) {
    size_t nodes = fm_graph_node_count(graph);
    const char *picture = fm_graph_input(graph, 0).name;
    bool *pixels = fm_alloc_array(nodes + 1, sizeof *pixels);
    bool blocked = pixels == NULL;
    if (blocked) {
        snprintf(why, why_size, "no memory to look at the graph");
    }
    for (size_t i = 0; i < nodes && !blocked; i++) {
        bool touched = false;
        for (size_t k = 0; k < fm_graph_node_input_count(graph, i) && !touched; k++) {
            touched = carries_pixels(graph, fm_graph_node_input(graph, i, k), picture, pixels);
        }
        pixels[i] = touched && !ends_pixels(fm_graph_node_operator(graph, i));
        const char *problem = pixels[i] && !is_head(i, heads, head_count) ? objection(graph, i) : NULL;
        if (problem != NULL) {
            snprintf(why, why_size, "node '%.80s' (%.40s) %s", fm_graph_node_name(graph, i),
                     fm_graph_node_operator(graph, i), problem);
            blocked = true;
        }
    }
    fm_free(pixels);
    return blocked;
}
