/* Finder: who finds the faces of a job's images. The engine here; or, with --worker, workers, with an engine here that
   is opened when they do not answer. */
#ifndef FM_FINDER_H
#define FM_FINDER_H

#include "record.h"
#include "summary.h"

#include <facemill/facemill_client.h>

/* What became of one image: one of the two, or neither when it never got that far. */
struct answer {
    fm_result *result;
    fm_reply *reply;
};
/* *words lives as long as the answer. There must be one. */
fm_status fm_answer_status(const struct answer *answer, const char **words);
struct found fm_answer_found(const struct answer *answer);
void fm_answer_free(struct answer *answer);

struct finder {
    fm_engine *engine; /* without --worker */
    fm_client *client; /* with it */
    fm_call_options call;
    struct summary_source *sources; /* who did how many; the writer's */
    size_t source_count;
};
/* `settings` are those of the engine here; `call` what it is asked of each image. */
FM_MUST_USE fm_status fm_finder_open(struct finder *finder, const struct config *config,
                                     const fm_engine_options *settings, const fm_call_options *call, fm_error *error);
void fm_finder_close(struct finder *finder);
/* Accept one image; waits while too many are under way. One of the two is called once, on another thread. */
FM_MUST_USE fm_status fm_finder_submit(struct finder *finder, const fm_input *input, fm_callback on_result,
                                       fm_reply_callback on_reply, void *user, fm_error *error);
/* The engine here; NULL while workers did everything. */
const fm_engine *fm_finder_engine(const struct finder *finder);
/* Did whoever answered compute embeddings? */
bool fm_finder_embeds(const struct finder *finder, const struct answer *answer);
/* Count the answer for whoever gave it. One thread. */
void fm_finder_count(struct finder *finder, const struct answer *answer);
/* The worker's URLs when --worker has any say in this job; NULL. */
const char *fm_finder_worker(const struct config *config);

#endif
