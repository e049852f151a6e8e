/* Route: the table of model families, and which of them a graph belongs to. Shapes decide, as in insightface's model
   zoo (PEERS 0.1), but a family looks at more than the number of outputs, so that other people's detectors are not
   taken for SCRFD. Order matters: the first family that matches wins. */
#include "models/route.h"

#include <stdio.h>
#include <string.h>

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

static bool fits(const struct model_family *family, const struct graph *graph, const struct manifest_model *said) {
    char why[256] = "";
    family->why_not(graph, said, why, sizeof why);
    return why[0] == 0;
}

static const struct model_family *by_shape(const struct graph *graph, const struct manifest_model *said, char *note,
                                           size_t note_size) {
    for (size_t i = 0; fm_family_row(i) != NULL; i++) {
        if (fits(families[i], graph, said)) {
            return families[i];
        }
    }
    struct graph_value input = fm_graph_input(graph, 0);
    const char *stranger = known_stranger(graph, &input);
    if (stranger != NULL) {
        snprintf(note, note_size, "%s", stranger);
    } else if (fm_graph_output_count(graph) >= 5) {
        fm_family_scrfd.why_not(graph, said, note, note_size);
    } else {
        fm_family_arcface.why_not(graph, said, note, note_size);
    }
    return NULL;
}

/* ------------------------------------------------------------- with a manifest */

/* Is the row one that the manifest's words could mean? */
static bool is_meant(const struct model_family *family, const struct manifest_model *said) {
    return (said->family[0] == 0 || strcmp(said->family, family->name) == 0) &&
           (said->task[0] == 0 || strcmp(said->task, fm_task_name(family->task)) == 0);
}

/* Words for a claim that no row of the table answers to. */
static void claim_words(const struct manifest_model *said, char *note, size_t note_size) {
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; fm_family_row(i) != NULL && used < sizeof known; i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s for %s", i > 0 ? ", " : "", families[i]->name,
                                 fm_task_name(families[i]->task));
    }
    snprintf(note, note_size, "the manifest says task '%s', family '%s', which this version does not know (known: %s)",
             said->task[0] != 0 ? said->task : "by shape", said->family[0] != 0 ? said->family : "by shape", known);
}

bool fm_route_is_claimed(const struct manifest_model *said) {
    if (said == NULL) {
        return false;
    }
    for (size_t i = 0; fm_family_row(i) != NULL; i++) {
        if (strcmp(said->task, fm_task_name(families[i]->task)) == 0) {
            return true;
        }
    }
    return said->task[0] == 0 && said->family[0] != 0;
}

void fm_route_unused(const struct manifest_model *said, char *note, size_t note_size) {
    if (strcmp(said->task, "none") == 0) {
        snprintf(note, note_size, "listed in the manifest, for nothing that is run here: not used");
    } else {
        snprintf(note, note_size, "%s network, as the manifest says: not used yet", said->task);
    }
}

static const struct model_family *by_claim(const struct graph *graph, const struct manifest_model *said, char *note,
                                           size_t note_size) {
    char why[256] = "";
    for (size_t i = 0; fm_family_row(i) != NULL; i++) {
        if (!is_meant(families[i], said)) {
            continue;
        }
        if (fits(families[i], graph, said)) {
            return families[i];
        }
        if (why[0] == 0) {
            families[i]->why_not(graph, said, why, sizeof why);
            snprintf(note, note_size, "the manifest says that it is for %s (%s), but %s",
                     fm_task_name(families[i]->task), families[i]->name, why);
        }
    }
    if (why[0] == 0) {
        claim_words(said, note, note_size);
    }
    return NULL;
}

const struct model_family *fm_route_said(const struct graph *graph, const struct manifest_model *said, char *note,
                                         size_t note_size) {
    char unread[256];
    note = note_size > 0 ? note : NULL;
    char *words = note != NULL ? note : unread;
    size_t words_size = note != NULL ? note_size : sizeof unread;
    if (fm_route_is_claimed(said)) {
        return by_claim(graph, said, words, words_size);
    }
    if (said != NULL && said->task[0] != 0) {
        fm_route_unused(said, words, words_size);
        return NULL;
    }
    return by_shape(graph, said, words, words_size);
}

const struct model_family *fm_route(const struct graph *graph, char *note, size_t note_size) {
    return fm_route_said(graph, NULL, note, note_size);
}
