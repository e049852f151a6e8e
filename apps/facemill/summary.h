/* The end of a job: what was done, how fast, and which pack and providers did it. */
#ifndef FM_SUMMARY_H
#define FM_SUMMARY_H

#include "base/text.h"

/* Who found the faces of how many images: a worker's URL, or "local". */
struct summary_source {
    char *name;
    uint64_t images;
};
struct summary {
    uint64_t images, faces, errors;
    double seconds; /* from the first input to the last line written */
    int interrupted;
    bool has_workers; /* then the engine may be NULL: it was not needed */
    const struct summary_source *sources;
    size_t source_count;
};
/* Notes on providers that were asked for and passed over, then the one line that ends standard error. */
void fm_summary_print(const struct summary *summary, const fm_engine *engine, bool providers_were_named);
/* As JSON into FILE, whole or not at all. */
FM_MUST_USE fm_status fm_summary_write(const struct summary *summary, const fm_engine *engine, const char *path,
                                       fm_error *error);
/* "providers": {model: provider}, "passed_over" where there is something to say, and "models": what each runs on and
   how. `engine` NULL: nothing. */
void fm_json_providers(struct json *json, const fm_engine *engine);

#endif
