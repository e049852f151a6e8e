/* Route: which family a graph belongs to, and what the families share in looking at graphs. */
#ifndef FM_MODELS_ROUTE_H
#define FM_MODELS_ROUTE_H

#include "models/pack.h"

/* The family that takes `graph`, or NULL; `note` (may be NULL) then says why not, in words for a person. */
const struct model_family *fm_route(const struct graph *graph, char *note, size_t note_size);
/* The same for a file that a manifest speaks of: its task and family decide, where it names them, and the graph must be
   of that family. `said` NULL: by shape. */
const struct model_family *fm_route_said(const struct graph *graph, const struct manifest_model *said, char *note,
                                         size_t note_size);
/* Does the manifest claim that this file is something that is run here? False also for NULL and for "by shape". */
bool fm_route_is_claimed(const struct manifest_model *said);
/* Words for a file whose task the manifest names and nothing here runs. */
void fm_route_unused(const struct manifest_model *said, char *note, size_t note_size);

/* Would the graph mix up the images of a batch? False when nothing says so; true with the reason in `why`. Follows the
   pixels from input 0; what a head's reshape does is the family's business (`heads`: the nodes not looked at). */
bool fm_batch_blocked(const struct graph *graph, const size_t *heads, size_t head_count, char *why, size_t why_size);

extern const struct model_family fm_family_scrfd, fm_family_arcface;

#endif
