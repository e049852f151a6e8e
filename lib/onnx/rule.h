/* Rule: how one operator's outputs measure, given its inputs. Rows of four tables, by what the operator does to a
   shape. Shared by shapes*.c only. */
#ifndef FM_ONNX_RULE_H
#define FM_ONNX_RULE_H

#include "onnx/message.h"
#include "onnx/shapes.h"

struct rule_call;
/* False: cannot be said. Every input that is there is known when a rule is called. */
typedef bool (*shape_rule)(const struct rule_call *call);
struct rule_row {
    const char *op; /* NULL behind the last */
    shape_rule rule;
    char detail; /* what distinguishes the operators of one rule */
};
extern const struct rule_row fm_rules_elementwise[], fm_rules_layout[], fm_rules_numbers[], fm_rules_window[];

struct rule_call {
    struct shapes *shapes;
    const FmOnnx__Node *node;
    int64_t opset;
    char detail;
};

/* NULL when left out. */
const struct value_shape *fm_rule_input(const struct rule_call *call, size_t index);
/* Set output `index`, without values; fine when the node has no such output. False: impossible dims. */
FM_MUST_USE bool fm_rule_set(const struct rule_call *call, size_t index, int32_t type, int rank, const int64_t *dims);
/* The values of output `index`, which was set; ignored unless they are as many as its elements. */
void fm_rule_values(const struct rule_call *call, size_t index, const double *values, int64_t count);

int64_t fm_rule_integer(const struct rule_call *call, const char *attribute, int64_t fallback);
/* Integer list attribute; NULL and 0 when absent. */
const int64_t *fm_rule_integers(const struct rule_call *call, const char *attribute, size_t *count);
/* Is the string attribute `text`? False when absent. */
bool fm_rule_text_is(const struct rule_call *call, const char *attribute, const char *text);
/* Axes, pads and their like: attribute `name` where the node has it, else the values of input `index`. *count is -1
   when neither is there. False: there, but not known, or more than FM_SHAPE_VALUES. */
FM_MUST_USE bool fm_rule_list(const struct rule_call *call, const char *attribute, size_t index,
                              int64_t values[FM_SHAPE_VALUES], int *count);
/* A number as an integer, towards zero and bounded so that adding two of them is safe. */
int64_t fm_rule_whole(double value);
/* -rank..rank-1 to 0..rank-1. */
FM_MUST_USE bool fm_rule_axis(int64_t axis, int rank, int *out);
bool fm_rule_is_integer_type(int32_t type);

#endif
