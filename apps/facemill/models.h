/* What the actions of `facemill models` share. */
#ifndef FM_APPS_MODELS_H
#define FM_APPS_MODELS_H

#include "output.h"
#include "program.h"
#include "summary.h"

#include "packs/install.h"

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

/* Is `name` that of the pack inside the library, or its path? */
bool fm_models_is_builtin(const char *name);

/* Talk of the actions that install: notes and questions on standard error, and a line that shows how far a download is.
 */
struct talk {
    struct program *program;
    struct notes notes; /* says nothing with --quiet */
    bool asks;          /* somebody is there to answer */
    bool draws, drawn;  /* a line of progress is wanted; stands there */
    uint64_t start_ns, start_bytes, next_ns;
};
void fm_talk_init(struct talk *talk, struct program *program);
/* A line of standard input as the answer to `question`; false at its end and when interrupted. */
bool fm_talk_ask(struct talk *talk, const char *question, char *answer, size_t size);
/* After an installation: a note where the pack inside the library has the same name. */
void fm_talk_shadow(struct talk *talk, const char *name);
/* For install_options.progress; `user` is the struct talk. */
void fm_talk_progress(uint64_t done, uint64_t total, void *user);
void fm_talk_hide(struct talk *talk);
/* What was done, on standard output. */
void fm_models_report(struct output *output, const char *name, const char *outcome, const struct install_result *result,
                      const char *licence);
/* The index of --index; empty without one. */
fm_status fm_models_index(const struct config *config, struct known_index *index, fm_error *error);
/* "about 326 MB", "232589 bytes", "size not published"; `out` holds 48 characters. */
const char *fm_models_size(const struct known_pack *known, char out[48]);

/* The actions. `failed` becomes true where a check failed (exit code 4). */
fm_status fm_models_show(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_verify(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_add(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_pull(struct program *program, struct output *output, bool *failed, fm_error *error);
fm_status fm_models_remove(struct program *program, struct output *output, bool *failed, fm_error *error);

#endif
