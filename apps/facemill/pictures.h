/* Picture files that a job writes beside its records: annotated copies and aligned crops. One thread. */
#ifndef FM_PICTURES_H
#define FM_PICTURES_H

#include "base/text.h"

/* File names given out in one folder: no name twice, whatever the inputs are called. {.folder = dir}. */
struct names {
    const char *folder;
    uint64_t *taken; /* open hash table of names' digests; 0 is free */
    size_t count, capacity;
};
void fm_names_reset(struct names *names);
/* FOLDER/STEM.SUFFIX for the input `path`, or STEM-2.SUFFIX and so on where that is taken in this run. */
FM_MUST_USE fm_status fm_names_make(struct names *names, const char *path, const char *suffix, char *out, size_t size,
                                    fm_error *error);

/* Write `pixels` as STEM.SUFFIX, `suffix` ending in "jpg"; PNG where this build writes no JPEG. */
FM_MUST_USE fm_status fm_picture_write(struct names *names, const char *path, const char *suffix,
                                       const fm_pixels *pixels, fm_error *error);
/* NAME.faces.jpg (PNG where this build writes no JPEG) of a result that kept its pixels. */
FM_MUST_USE fm_status fm_picture_annotate(struct names *names, const char *path, const fm_result *result,
                                          fm_error *error);
/* NAME.face1.png of face `index`, size x size; its file name into `out`. */
FM_MUST_USE fm_status fm_picture_crop(struct names *names, const char *path, const fm_result *result, size_t index,
                                      int size, struct buffer *pixels, char *out, size_t out_size, fm_error *error);

#endif
