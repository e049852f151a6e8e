/* Read: bytes become a graph. The wire format is walked first (wire.c), then decoded with a memory budget that grows
   with the file, then checked (check.c): whoever holds a graph may index into it without looking again. */
#include <stdio.h>
#include <string.h>

#include "onnx/message.h"

/* Decoded messages are larger than their bytes (a two-byte field may become a struct), honest files by far less than
 * this. */
#define BUDGET_FACTOR ((size_t)4)
#define BUDGET_BASE ((size_t)64 << 20)

static void *budget_alloc(void *user, size_t size) {
    struct graph *graph = user;
    size_t total = 0;
    if (!fm_size_add(graph->allocated, size, &total) || (graph->budget > 0 && total > graph->budget)) {
        graph->over_budget = true;
        return NULL;
    }
    graph->allocated = total;
    void *block = fm_alloc(size > 0 ? size : 1);
    graph->out_of_memory = graph->out_of_memory || block == NULL;
    return block;
}

static void budget_free(void *user, void *block) {
    (void)user;
    fm_free(block);
}

const char *fm_onnx_text(const char *text) {
    return text != NULL ? text : "";
}

struct graph *fm_graph_new(const char *label) {
    struct graph *graph = fm_alloc(sizeof *graph);
    if (graph != NULL) {
        graph->allocator = (ProtobufCAllocator){budget_alloc, budget_free, graph};
        snprintf(graph->label, sizeof graph->label, "%s", label != NULL ? label : "model");
    }
    return graph;
}

static fm_status decode(struct graph *graph, const uint8_t *bytes, size_t size, fm_error *error) {
    graph->budget = size * BUDGET_FACTOR + BUDGET_BASE; /* size is below 2 GiB: no overflow in 64 bits */
    graph->model = fm_onnx__model__unpack(&graph->allocator, size, bytes);
    graph->budget = 0;
    if (graph->model != NULL) {
        return FM_OK;
    }
    if (graph->out_of_memory) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to read the %zu bytes of '%s'", size, graph->label);
    }
    if (graph->over_budget) {
        return fm_fail(error, FM_BAD_MODEL,
                       "'%s' would need more than %zu MiB of memory to be read; it is damaged or not a face model",
                       graph->label, (size * BUDGET_FACTOR + BUDGET_BASE) >> 20);
    }
    return fm_fail(error, FM_BAD_MODEL, "'%s' is not a valid ONNX file: its fields do not fit the format",
                   graph->label);
}

static fm_status check_head(const struct graph *graph, fm_error *error) {
    const FmOnnx__Model *model = graph->model;
    if (model->graph == NULL) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' is not an ONNX model: it holds no graph", graph->label);
    }
    int64_t opset = fm_graph_opset(graph);
    if (opset < 1 || opset > 1000) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' is not an ONNX model: it names no operator set", graph->label);
    }
    return FM_OK;
}

fm_status fm_graph_read(const uint8_t *bytes, size_t size, const char *name, struct graph **out, fm_error *error) {
    fm_status status = FM_OK;
    *out = NULL;
    struct graph *graph = fm_graph_new(name);
    if (graph == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to read the model '%s'", name != NULL ? name : "model");
    }
    if (size == 0 || size > ONNX_MAX_BYTES) {
        status =
            fm_fail(error, FM_BAD_MODEL, "'%s' has %zu bytes; an ONNX file has 1 byte to 2 GiB", graph->label, size);
        goto cleanup;
    }
    if ((status = fm_wire_check(bytes, size, graph->label, error)) != FM_OK ||
        (status = decode(graph, bytes, size, error)) != FM_OK || (status = check_head(graph, error)) != FM_OK ||
        (status = fm_names_build(graph, error)) != FM_OK || (status = fm_message_check(graph, error)) != FM_OK) {
        goto cleanup;
    }
    *out = graph;
    graph = NULL;
cleanup:
    fm_graph_close(graph);
    return status;
}

void fm_graph_close(struct graph *graph) {
    if (graph == NULL) {
        return;
    }
    if (graph->model != NULL) {
        fm_onnx__model__free_unpacked(graph->model, &graph->allocator);
    }
    fm_free(graph->names);
    fm_free(graph);
}
