/* What the actions of `facemill models` share. */
#ifndef FM_APPS_MODELS_H
#define FM_APPS_MODELS_H

#include "output.h"
#include "program.h"
#include "summary.h"

/* What a walk over a pack counts. */
struct visit {
    struct output *output;
    int files, bad, useful; /* useful: detection or recognition */
};

/* Options for opening the pack that was named, by whomever. */
fm_status fm_models_settings(struct engine_settings *settings, const struct config *config, fm_error *error);
/* fm_pack_visit of the second argument, or --pack; when there is no such pack, the words are those of opening it, which
   say who named it. */
fm_status fm_models_visit(const struct config *config, fm_model_visitor visitor, struct visit *visit, char *path,
                          size_t path_size, fm_error *error);

/* The actions. `failed` becomes true where a check failed (exit code 4). */
fm_status fm_models_show(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_verify(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_add(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_pull(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_remove(struct program *program, struct output *output, bool *failed, fm_error *error);

#endif
