/* Cost: what running a graph once takes, read off its shapes. Nothing is run. */
#ifndef FM_ONNX_COST_H
#define FM_ONNX_COST_H

#include "onnx/graph.h"

/* One multiply-add counts 1. Counted are convolutions (every tap at every place, also where it meets padding) and
   matrix products; biases, elementwise operators, pooling and resizing are not. Memory is that of a runtime that runs
   the nodes in file order, gives every tensor room of its own from its producer to its last reader, and keeps the
   outputs; real ones reuse and fuse, and add work space. Figures that do not fit are UINT64_MAX. */
struct graph_cost {
    uint64_t macs; /* convolution_macs + product_macs */
    uint64_t convolution_macs, product_macs;
    uint64_t weight_bytes;     /* initializers and Constant nodes, as stored */
    uint64_t activation_bytes; /* the largest sum of tensors alive at once, input and outputs included */
    size_t nodes, not_followed;
    char note[512]; /* "" or which operators' shapes could not be followed: then the figures are those of the others */
};
/* For one input of `dims`. FM_UNSUPPORTED (not one input), FM_LIMIT, FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_graph_cost(const struct graph *graph, const int64_t *dims, int rank, struct graph_cost *cost,
                                    fm_error *error);

/* The shape a user would feed: what is declared stays; where it is open, 1 image of 3 channels of width x height, also
   with the channels last. A width or height of 0 leaves the side to the graph: the first of 640, 320, 256, 224, 160,
   128, 112, 96 that the numbers written into it allow, and 640 where none does. Returns the rank; -1 when the graph
   does not take one such tensor. */
int fm_graph_typical_input(const struct graph *graph, int64_t width, int64_t height, int64_t dims[FM_MAX_RANK]);

#endif
