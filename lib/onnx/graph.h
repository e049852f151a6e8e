/* An ONNX graph as data: read (hardened), query, edit, write. Knows neither faces nor runtimes. A graph is owned by
   one thread; nothing here keeps pointers into the bytes it was read from unless it says so. */
#ifndef FM_ONNX_GRAPH_H
#define FM_ONNX_GRAPH_H

#include "base/error.h"
#include "base/memory.h"
#include "base/tensor.h"

struct graph; /* opaque: the decoded message */

/* Parse a ModelProto. Limits: 2 GiB, nesting, counts; external data is refused by name; every index is checked.
   `name` is for messages. FM_BAD_MODEL, FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_graph_read(const uint8_t *bytes, size_t size, const char *name, struct graph **graph,
                                    fm_error *error);
/* Serialise into `out` (replaced). Unknown fields read are written again. */
FM_MUST_USE fm_status fm_graph_write(const struct graph *graph, struct buffer *out, fm_error *error);
void fm_graph_close(struct graph *graph);

/* A graph input or output that is not an initializer. */
struct graph_value {
    const char *name;
    enum dtype dtype;
    int rank;                  /* -1 when not declared */
    int64_t dims[FM_MAX_RANK]; /* -1 for symbolic or unknown */
};
size_t fm_graph_input_count(const struct graph *graph);
size_t fm_graph_output_count(const struct graph *graph);
struct graph_value fm_graph_input(const struct graph *graph, size_t index);
struct graph_value fm_graph_output(const struct graph *graph, size_t index);
int64_t fm_graph_opset(const struct graph *graph); /* of the default domain */

/* Nodes, in file order. Names live as long as the graph and until it is edited. */
size_t fm_graph_node_count(const struct graph *graph);
const char *fm_graph_node_operator(const struct graph *graph, size_t node);
const char *fm_graph_node_name(const struct graph *graph, size_t node);
size_t fm_graph_node_input_count(const struct graph *graph, size_t node);
size_t fm_graph_node_output_count(const struct graph *graph, size_t node);
const char *fm_graph_node_input(const struct graph *graph, size_t node, size_t index); /* "" when left out */
const char *fm_graph_node_output(const struct graph *graph, size_t node, size_t index);
/* Index of the node that makes `value`; SIZE_MAX when an input or initializer does. */
size_t fm_graph_producer(const struct graph *graph, const char *value);
/* Integer list attribute; returns its length (at most `capacity` values stored), 0 when absent. */
size_t fm_graph_node_integers(const struct graph *graph, size_t node, const char *attribute, int64_t *values,
                              size_t capacity);
/* Values of an integer constant (initializer or Constant node) named `value`; length, 0 when it is none. */
size_t fm_graph_constant_integers(const struct graph *graph, const char *value, int64_t *values, size_t capacity);
/* Dimensions of a constant named `value`; its rank, -1 when it is none. */
int fm_graph_constant_dims(const struct graph *graph, const char *value, int64_t dims[FM_MAX_RANK]);
/* Elements of all initializers together. */
uint64_t fm_graph_parameter_count(const struct graph *graph);
/* "Conv 58, Relu 50" by falling count, into `out`. */
void fm_graph_operators(const struct graph *graph, char *out, size_t size);

/* ---- edits */
/* Make the first dimension of input `index` symbolic ("N") and forget the declared shapes of all outputs and
 * intermediate values. */
FM_MUST_USE fm_status fm_graph_make_batch_dynamic(struct graph *graph, size_t index, fm_error *error);
/* Input `index` becomes u8 and is followed by Cast(float), Sub(mean), Mul(scale). */
FM_MUST_USE fm_status fm_graph_take_bytes(struct graph *graph, size_t index, float mean, float scale, fm_error *error);
/* Fix the dimensions of input `index` (dims < 0 stay as they are). */
FM_MUST_USE fm_status fm_graph_fix_input(struct graph *graph, size_t index, const int64_t *dims, int rank,
                                         fm_error *error);
/* Spell every PRelu whose slopes are constant, per channel and at most 1 as relu((1 - slope) * x) + slope * x, the
   products being depthwise 1x1 convolutions: the same function for runtimes whose PRelu is slow (docs/PERF_LOG.md).
   *count receives how many. */
FM_MUST_USE fm_status fm_graph_split_prelu(struct graph *graph, size_t *count, fm_error *error);

/* ---- building (tests, and packs of our own later) */
FM_MUST_USE fm_status fm_graph_create(const char *name, int64_t opset, struct graph **graph, fm_error *error);
FM_MUST_USE fm_status fm_graph_add_input(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims,
                                         int rank, fm_error *error);
FM_MUST_USE fm_status fm_graph_add_output(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims,
                                          int rank, fm_error *error); /* rank -1: no shape */
FM_MUST_USE fm_status fm_graph_add_tensor(struct graph *graph, const char *name, enum dtype dtype, const int64_t *dims,
                                          int rank, const void *values, fm_error *error);
/* `inputs` and `outputs`: names separated by spaces, "-" for one left out. Returns the node's index in *node (may be
 * NULL). */
FM_MUST_USE fm_status fm_graph_add_node(struct graph *graph, const char *op, const char *name, const char *inputs,
                                        const char *outputs, size_t *node, fm_error *error);
FM_MUST_USE fm_status fm_graph_set_integer(struct graph *graph, size_t node, const char *attribute, int64_t value,
                                           fm_error *error);
FM_MUST_USE fm_status fm_graph_set_integers(struct graph *graph, size_t node, const char *attribute,
                                            const int64_t *values, size_t count, fm_error *error);
FM_MUST_USE fm_status fm_graph_set_float(struct graph *graph, size_t node, const char *attribute, float value,
                                         fm_error *error);
FM_MUST_USE fm_status fm_graph_set_tensor(struct graph *graph, size_t node, const char *attribute, enum dtype dtype,
                                          const int64_t *dims, int rank, const void *values, fm_error *error);

#endif
