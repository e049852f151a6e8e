/* A manifest being put together: what is chosen for each file, what is seen in it, and the text of both. One call of
   fm_pack_describe owns all of it. */
#ifndef FM_MODELS_MANIFEST_DRAFT_H
#define FM_MODELS_MANIFEST_DRAFT_H

#include "base/os.h"
#include "models/route.h"

#define FM_DRAFT_FACTS 32

/* A member of an object, as JSON: of a group in it ("pixels"), or of the object itself (""). */
struct fact {
    const char *group, *member;
    char json[768];
    bool wins; /* over what the manifest says already */
};

/* An .onnx file (or, with file "", the pack as a whole), and what is known of it. */
struct entry {
    char file[256];
    struct fact facts[FM_DRAFT_FACTS];
    size_t fact_count;
};

struct draft {
    char folder[OS_PATH_SIZE];
    struct manifest *before; /* NULL: none */
    struct entry top;
    struct entry *entries; /* the manifest's, then the folder's others in name order */
    size_t count;
};

/* Facts: the first one of its place stays. Takes `json` over and resets it. */
FM_MUST_USE fm_status fm_fact_add(struct entry *entry, const char *group, const char *member, bool wins,
                                  struct text *json, fm_error *error);
FM_MUST_USE fm_status fm_fact_add_text(struct entry *entry, const char *group, const char *member, const char *value,
                                       fm_error *error);
const struct fact *fm_fact_find(const struct entry *entry, const char *group, const char *member);

/* What the caller chose; FM_INVALID_ARGUMENT names what could have been. */
FM_MUST_USE fm_status fm_draft_choose(const struct draft *draft, const fm_model_choice *choice, fm_error *error);
/* What the file shows, `said` being what is chosen and written of it. FM_BAD_MODEL where both contradict. */
FM_MUST_USE fm_status fm_draft_look(const struct draft *draft, struct entry *entry, const struct manifest_model *said,
                                    fm_error *error);

#endif
