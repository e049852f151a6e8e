/* Fuzzer of the ONNX reader: whatever is read must survive every question, every edit, being written, and being read
 * again. */
#include <stdlib.h>

#include "onnx/cost.h"
#include "onnx/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A finding that is no crash. */
static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void ask_values(const struct graph *graph) {
    for (size_t i = 0; i <= fm_graph_input_count(graph) && i < 8; i++) {
        demand(fm_graph_input(graph, i).name != NULL && fm_graph_input(graph, i).rank <= FM_MAX_RANK);
    }
    for (size_t i = 0; i <= fm_graph_output_count(graph) && i < 8; i++) {
        demand(fm_graph_output(graph, i).name != NULL && fm_graph_output(graph, i).rank <= FM_MAX_RANK);
    }
}

static void ask_nodes(const struct graph *graph) {
    int64_t values[FM_MAX_RANK];
    size_t nodes = fm_graph_node_count(graph);
    for (size_t i = 0; i <= nodes && i < 64; i++) {
        demand(fm_graph_node_operator(graph, i) != NULL && fm_graph_node_name(graph, i) != NULL);
        for (size_t k = 0; k <= fm_graph_node_input_count(graph, i) && k < 8; k++) {
            const char *name = fm_graph_node_input(graph, i, k);
            size_t maker = fm_graph_producer(graph, name);
            demand(maker == SIZE_MAX || maker < i); /* the order the reader promises */
            (void)fm_graph_constant_integers(graph, name, values, FM_MAX_RANK);
            demand(fm_graph_constant_dims(graph, name, values) <= FM_MAX_RANK);
        }
        (void)fm_graph_node_integers(graph, i, "perm", values, FM_MAX_RANK);
    }
}

/* Counting takes what it can and names the rest. */
static void ask_cost(const struct graph *graph) {
    int64_t dims[FM_MAX_RANK];
    struct graph_cost cost;
    fm_error error = {FM_OK, ""};
    int rank = fm_graph_typical_input(graph, 0, 0, dims);
    demand(rank <= FM_MAX_RANK);
    if (rank >= 0 && fm_graph_cost(graph, dims, rank, &cost, &error) == FM_OK) {
        demand(cost.not_followed <= cost.nodes && (cost.not_followed == 0 || cost.note[0] != 0));
        demand(cost.macs >= cost.convolution_macs && cost.macs >= cost.product_macs);
    }
}

static void ask(const struct graph *graph) {
    char operators[64];
    ask_cost(graph);
    ask_values(graph);
    ask_nodes(graph);
    fm_graph_operators(graph, operators, sizeof operators);
    demand(fm_graph_opset(graph) > 0);
    (void)fm_graph_parameter_count(graph);
}

static void edit(struct graph *graph) {
    static const int64_t dims[4] = {-1, -1, 64, 64};
    size_t count = 0;
    fm_error error = {FM_OK, ""};
    (void)!fm_graph_split_prelu(graph, &count, &error);
    (void)!fm_graph_make_batch_dynamic(graph, 0, &error);
    (void)!fm_graph_fix_input(graph, 0, dims, 4, &error);
    (void)!fm_graph_take_bytes(graph, 0, 127.5f, 1.0f / 128.0f, &error);
}

/* What was written must read; what was edited may be refused for what the edit cannot know, but must not crash. */
static void read_again(const struct graph *graph, bool edited) {
    struct buffer bytes = {0};
    struct graph *again = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_graph_write(graph, &bytes, &error) == FM_OK) {
        fm_status status = fm_graph_read(bytes.bytes, bytes.size, "again", &again, &error);
        demand(status == FM_OK || edited || status == FM_OUT_OF_MEMORY);
    }
    fm_graph_close(again);
    fm_buffer_reset(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    fm_status status = fm_graph_read(bytes, size, "fuzz", &graph, &error);
    demand((status == FM_OK) == (graph != NULL) && (status == FM_OK) == (error.message[0] == 0));
    if (graph != NULL) {
        ask(graph);
        read_again(graph, false);
        edit(graph);
        ask(graph);
        read_again(graph, true);
    }
    fm_graph_close(graph);
    return 0;
}
