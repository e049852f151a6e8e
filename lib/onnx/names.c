/* Names: who defines each value of the main graph (initializer, input, node), sorted for search. Rebuilt after every
   edit, so that a lookup is always right; graphs of faces have a few hundred names. One thread per graph. */
#include <stdlib.h>
#include <string.h>

#include "onnx/message.h"

static int compare_entries(const void *a, const void *b) {
    const struct name_entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order == 0) {
        order = (left->kind > right->kind) - (left->kind < right->kind);
    }
    return order != 0 ? order : (left->position > right->position) - (left->position < right->position);
}

static size_t count_names(const FmOnnx__Graph *graph) {
    size_t count = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++) {
        count += graph->node[i]->n_output;
    }
    return count;
}

static void collect(const FmOnnx__Graph *graph, struct name_entry *entry) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        *entry++ = (struct name_entry){fm_onnx_text(graph->initializer[i]->name), NAME_TENSOR, i};
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        *entry++ = (struct name_entry){fm_onnx_text(graph->input[i]->name), NAME_INPUT, i};
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            *entry++ = (struct name_entry){graph->node[i]->output[k], NAME_NODE, i};
        }
    }
}

/* Only an initializer may share its name, and only with the input whose default it is. Outputs left out are "". */
static fm_status check_unique(const struct graph *graph, const struct name_entry *names, size_t count,
                              fm_error *error) {
    for (size_t i = 0; i < count; i++) {
        const struct name_entry *entry = &names[i];
        if (entry->name[0] == 0 && entry->kind != NAME_NODE) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': %s %zu has no name", graph->label,
                           entry->kind == NAME_INPUT ? "input" : "initializer", entry->position);
        }
        if (i == 0 || entry->name[0] == 0 || strcmp(entry[-1].name, entry->name) != 0) {
            continue;
        }
        if (entry[-1].kind != NAME_TENSOR || entry->kind != NAME_INPUT) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': value '%.200s' is defined twice", graph->label, entry->name);
        }
    }
    return FM_OK;
}

fm_status fm_names_build(struct graph *graph, fm_error *error) {
    const FmOnnx__Graph *body = graph->model->graph;
    size_t count = count_names(body);
    struct name_entry *names = fm_alloc_array(count + 1, sizeof *names);
    if (names == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "'%s': no memory for the names of its %zu values", graph->label, count);
    }
    collect(body, names);
    qsort(names, count, sizeof *names, compare_entries);
    fm_status status = check_unique(graph, names, count, error);
    if (status != FM_OK) {
        fm_free(names);
        return status;
    }
    fm_free(graph->names);
    graph->names = names;
    graph->name_count = count;
    return FM_OK;
}

const struct name_entry *fm_names_find(const struct graph *graph, const char *name) {
    size_t low = 0, high = graph->name_count;
    while (low < high) { /* the first entry whose name is not smaller */
        size_t middle = low + (high - low) / 2;
        if (strcmp(graph->names[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = name[0] != 0 && low < graph->name_count && strcmp(graph->names[low].name, name) == 0;
    return found ? &graph->names[low] : NULL;
}
