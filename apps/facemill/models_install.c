/* facemill models add, pull and remove. */
#include "models.h"

static fm_status not_yet(fm_error *error) {
    return fm_fail(error, FM_UNSUPPORTED, "not in this build yet");
}

fm_status fm_models_add(struct program *program, struct output *output, bool *failed, fm_error *error) {
    (void)program, (void)output, (void)failed;
    return not_yet(error);
}

fm_status fm_models_pull(struct program *program, struct output *output, bool *failed, fm_error *error) {
    (void)program, (void)output, (void)failed;
    return not_yet(error);
}

fm_status fm_models_remove(struct program *program, struct output *output, bool *failed, fm_error *error) {
    (void)program, (void)output, (void)failed;
    return not_yet(error);
}
