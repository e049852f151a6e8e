/* Shapes: what every value of a graph measures once its input has one concrete shape. Followed node by node through the
   operators of face networks, small number tensors included (Shape, Gather, Concat, Reshape); a value is known whole or
   not at all. The graph is foreign: a contradiction makes a value unknown, never worse. One thread per graph. */
#ifndef FM_ONNX_SHAPES_H
#define FM_ONNX_SHAPES_H

#include "onnx/graph.h"

#define FM_SHAPE_VALUES 16              /* pads of the largest rank */
#define FM_SHAPE_SIDE INT32_MAX         /* no dimension is larger: sums and products of two stay inside int64_t */
#define FM_SHAPE_NAMES ((size_t)262144) /* a graph with more names is not followed */

struct value_shape {
    int32_t type; /* TensorProto.DataType: enum dtype and those it leaves out */
    int rank;     /* -1: not known */
    int64_t dims[FM_MAX_RANK];
    int count;                      /* numbers in `values`; -1: not known, or too many */
    double values[FM_SHAPE_VALUES]; /* of constants and what was computed from shapes */
};

struct shapes;
/* Follow `graph` from its one input with `dims`. The graph must stay as it is while *shapes lives; *shapes is the
   caller's. FM_UNSUPPORTED (not one input), FM_LIMIT (too many names), FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_shapes_open(const struct graph *graph, const int64_t *dims, int rank, struct shapes **shapes,
                                     fm_error *error);
void fm_shapes_close(struct shapes *shapes);
/* NULL when nothing makes `name`, or its shape is not known. */
const struct value_shape *fm_shapes_find(const struct shapes *shapes, const char *name);
/* Product of the dims; false on overflow. */
FM_MUST_USE bool fm_shape_elements(const struct value_shape *shape, uint64_t *elements);
/* Could node's outputs be followed? *cause: it is the first in its line that could not. */
bool fm_shapes_followed(const struct shapes *shapes, size_t node, bool *cause);

#endif
