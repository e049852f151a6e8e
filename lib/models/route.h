/* Route: which family a graph belongs to, and what the families share in looking at graphs. */
#ifndef FM_MODELS_ROUTE_H
#define FM_MODELS_ROUTE_H

#include "models/pack.h"

/* The family that takes `graph`, or NULL; `note` (may be NULL) then says why not, in words for a person. */
const struct model_family *fm_route(const struct graph *graph, char *note, size_t note_size);

/* Would the graph mix up the images of a batch? False when nothing says so; true with the reason in `why`. Follows the
   pixels from input 0; what a head's reshape does is the family's business (`heads`: the nodes not looked at). */
bool fm_batch_blocked(const struct graph *graph, const size_t *heads, size_t head_count, char *why, size_t why_size);

extern const struct model_family fm_family_scrfd, fm_family_arcface;

/* Why a graph is not of the family, for notes. */
void fm_scrfd_why_not(const struct graph *graph, char *why, size_t why_size);
void fm_arcface_why_not(const struct graph *graph, char *why, size_t why_size);

#endif
