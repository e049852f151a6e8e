/* Route: the table of model families, and which of them a graph belongs to. Shapes decide, as in insightface's model
   zoo (PEERS 0.1), but a family looks at more than the number of outputs, so that other people's detectors are not
   taken for SCRFD. Order matters: the first family that matches wins. */
#include "models/route.h"

#include <stdio.h>

static const struct model_family *const families[] = {&fm_family_scrfd, &fm_family_arcface};

const struct model_family *fm_family_row(size_t index) {
    return index < sizeof families / sizeof families[0] ? families[index] : NULL;
}

const char *fm_task_name(enum model_task task) {
    switch (task) {
    case MODEL_DETECTION:
        return "detection";
    case MODEL_RECOGNITION:
        return "recognition";
    case MODEL_NONE:
        break;
    }
    return "";
}

/* Networks that insightface's packs hold and facemill does not use yet. */
static const char *known_stranger(const struct graph *graph, const struct graph_value *input) {
    if (input->rank != 4 || fm_graph_output_count(graph) >= 5) {
        return NULL;
    }
    if (input->dims[2] == 192 && input->dims[3] == 192) {
        return "landmark network (input 192x192): not used yet";
    }
    if (input->dims[2] == 96 && input->dims[3] == 96) {
        return "attribute network (input 96x96): not used yet";
    }
    if (fm_graph_input_count(graph) == 2 && input->dims[2] == 128 && input->dims[3] == 128) {
        return "face swapping network (two inputs, 128x128): not used";
    }
    return NULL;
}

const struct model_family *fm_route(const struct graph *graph, char *note, size_t note_size) {
    for (size_t i = 0; fm_family_row(i) != NULL; i++) {
        if (fm_family_row(i)->match(graph)) {
            return fm_family_row(i);
        }
    }
    if (note == NULL || note_size == 0) {
        return NULL;
    }
    struct graph_value input = fm_graph_input(graph, 0);
    const char *stranger = known_stranger(graph, &input);
    if (stranger != NULL) {
        snprintf(note, note_size, "%s", stranger);
    } else if (fm_graph_output_count(graph) >= 5) {
        fm_scrfd_why_not(graph, note, note_size);
    } else {
        fm_arcface_why_not(graph, note, note_size);
    }
    return NULL;
}
