/* facemill analyze: faces, landmarks and embeddings of every input. */
#include "finder.h"
#include "job.h"

#include "base/os.h"

#include <stdio.h>

static fm_status draw_finish(const char *path, const fm_result *result, struct record_options *record, void *user,
                             fm_error *error) {
    (void)record;
    return fm_picture_annotate(user, path, result, error);
}

int fm_faces_run(struct program *program, uint32_t compute) {
    const struct config *config = &program->config;
    struct names names = {.folder = fm_config_text(config, OPT_DRAW)};
    struct job_kind kind = {.compute = compute};
    fm_error error = {0};
    if (compute != FM_COMPUTE_DETECT) {
        kind.record.embedded = true;
        kind.record.embedding = fm_config_is(config, OPT_EMBEDDING, "array")    ? EMBEDDING_ARRAY
                                : fm_config_is(config, OPT_EMBEDDING, "base64") ? EMBEDDING_BASE64
                                                                                : EMBEDDING_NONE;
    }
    if (names.folder) {
        if (fm_finder_worker(config)) {
            char draw[64], worker[64];
            fm_config_source(config, OPT_DRAW, draw);
            fm_config_source(config, OPT_WORKER, worker);
            if (config->values[OPT_WORKER].source == SOURCE_COMMAND)
                return fm_complain_usage(config,
                                         "%s needs the decoded images, which stay with the worker of %s; leave "
                                         "out one of the two",
                                         draw, worker);
            if (!fm_config_flag(config, OPT_QUIET))
                fprintf(stderr,
                        "facemill: %s needs the decoded images: they are analyzed here, not by the worker of %s\n",
                        draw, worker);
        }
        if (fm_folder_make(names.folder, &error))
            return fm_complain(config, &error);
        kind.keep_pixels = true;
        kind.finish = draw_finish;
        kind.user = &names;
    }
    int code = fm_job_run(program, &kind);
    fm_names_reset(&names);
    return code;
}

int fm_command_analyze(struct program *program) {
    return fm_faces_run(program, FM_COMPUTE_ALL);
}
