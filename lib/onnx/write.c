/* Write: a graph becomes bytes again, fields of other people's extensions included. */
#include "onnx/message.h"

fm_status fm_graph_write(const struct graph *graph, struct buffer *out, fm_error *error) {
    size_t size = fm_onnx__model__get_packed_size(graph->model);
    if (size > ONNX_MAX_BYTES) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' would have %zu bytes; an ONNX file has at most 2 GiB", graph->label,
                       size);
    }
    if (!fm_buffer_resize(out, size)) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the %zu bytes of '%s'", size, graph->label);
    }
    fm_onnx__model__pack(graph->model, out->bytes);
    return FM_OK;
}
