/* Graphs: tiny networks for the provider tests, made by lib/onnx, with answers a test can compute itself. */
#ifndef FM_TESTS_PROVIDERS_GRAPHS_H
#define FM_TESTS_PROVIDERS_GRAPHS_H

#include "base/os.h"
#include "providers/provider.h"

/* y0 = 2x + 1 and y1 = relu(-x), x f32[N,3,S,S]. */
void graph_affine(struct buffer *onnx);
/* relu(x), then Det, which only the CPU provider has: node "odd_determinant". x f32[N,3,S,S]. */
void graph_foreign(struct buffer *onnx);
/* Reshape to [1, -1] by a computed shape: Shape, Gather and Concat on int64. */
void graph_shapes(struct buffer *onnx);
/* Two inputs: more than a run takes. */
void graph_two_inputs(struct buffer *onnx);

#define GRAPH_SIDE 8
/* A request for one of these graphs, input [1,3,GRAPH_SIDE,GRAPH_SIDE]. */
struct session_request graph_request(const char *name, const struct buffer *onnx);
/* A filled input of `batch` images; the caller frees bytes with fm_free_aligned. */
struct tensor graph_input(int64_t batch, float start);

/* The path of a library in FM_ORT_LIBRARY, or where the data folder's search finds one; false when there is none, or it
   was built without `provider` ("ort:openvino"). */
bool graph_provider_there(const char *provider);

#endif
