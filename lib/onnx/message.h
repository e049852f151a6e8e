/* The inside of struct graph, shared by this folder's files only: the decoded protobuf message, the allocator it lives
   in, and the sorted names of everything the main graph defines. */
#ifndef FM_ONNX_MESSAGE_H
#define FM_ONNX_MESSAGE_H

#include "onnx.pb-c.h"
#include "onnx/graph.h"

/* Model, graph, node, attribute, then three levels more per nested graph. */
#define ONNX_MAX_DEPTH 40
#define ONNX_MAX_BYTES ((size_t)INT32_MAX)
/* AttributeProto.AttributeType. */
enum { ONNX_ATTRIBUTE_FLOAT = 1, ONNX_ATTRIBUTE_INT = 2, ONNX_ATTRIBUTE_TENSOR = 4, ONNX_ATTRIBUTE_INTS = 7 };

/* Who defines a name. The order matters: an initializer that is also an input counts as initializer. */
enum name_kind { NAME_TENSOR = 0, NAME_INPUT = 1, NAME_NODE = 2 };

struct name_entry {
    const char *name; /* the message's */
    enum name_kind kind;
    size_t position; /* index of the initializer, input or node */
};

struct graph {
    FmOnnx__Model *model;
    ProtobufCAllocator allocator; /* fm_alloc with a budget while unpacking */
    size_t allocated, budget;     /* budget 0: no limit */
    bool over_budget, out_of_memory;
    struct name_entry *names; /* sorted by name, then kind; valid after every public call */
    size_t name_count;
    char label[256]; /* for messages */
};

/* NULL when out of memory. The model inside is still missing. */
struct graph *fm_graph_new(const char *label);
/* "" for a string the message leaves out. */
const char *fm_onnx_text(const char *text);

/* Walk the wire format along the schema before anything is allocated: lengths, nesting, singular fields that come
   twice, NUL bytes in names. */
FM_MUST_USE fm_status fm_wire_check(const uint8_t *bytes, size_t size, const char *label, fm_error *error);
/* Check what was decoded: tensors, names, ranks, external data. Needs the names. */
FM_MUST_USE fm_status fm_message_check(const struct graph *graph, fm_error *error);
/* (Re)build graph->names; a name defined twice is FM_BAD_MODEL. */
FM_MUST_USE fm_status fm_names_build(struct graph *graph, fm_error *error);
/* NULL when nothing of the main graph defines `name`. */
const struct name_entry *fm_names_find(const struct graph *graph, const char *name);

/* Bytes of `elements` elements of ONNX's `type`; false for types without a fixed size and on overflow. */
FM_MUST_USE bool fm_tensor_type_bytes(int32_t type, size_t elements, size_t *bytes);
/* The declared shape of a value; NULL when there is none. */
const FmOnnx__Shape *fm_value_shape(const FmOnnx__Value *value);
/* NULL when the node has no such attribute. */
const FmOnnx__Attribute *fm_node_attribute(const FmOnnx__Node *node, const char *name);
/* The tensor behind a name: an initializer, or the value of a Constant node; NULL otherwise. */
const FmOnnx__Tensor *fm_onnx_constant(const struct graph *graph, const struct name_entry *entry);

#endif
