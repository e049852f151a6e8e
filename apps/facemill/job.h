/* A job: many inputs through one engine, records out in the order of the inputs. */
#ifndef FM_JOB_H
#define FM_JOB_H

#include "pictures.h"
#include "program.h"
#include "record.h"

/* What a command does differently from the others. */
struct job_kind {
    uint32_t compute;
    bool keep_pixels;
    struct record_options record;
    /* Called for each good result in the order of the inputs, before its record is written; it may fill `record`.
       FM_IO and FM_OUT_OF_MEMORY end the job: a folder that cannot be written will not get better. Any other failure
       is the image's error record. May be NULL. */
    fm_status (*finish)(const char *path, const fm_result *result, struct record_options *record, void *user,
                        fm_error *error);
    void *user;
};
/* Run the command's inputs; an exit code. */
int fm_job_run(struct program *program, const struct job_kind *kind);
/* analyze.c: `analyze` and `detect`, which differ in what they compute; --draw and --embedding are its options. */
int fm_faces_run(struct program *program, uint32_t compute);

#endif
