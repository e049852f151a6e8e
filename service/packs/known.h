/* Known: packs that can be fetched by name. The table in known.c, and an index of the user's own. */
#ifndef FM_PACKS_KNOWN_H
#define FM_PACKS_KNOWN_H

#include "base/error.h"
#include "base/memory.h"

#define KNOWN_MEMBERS 4

struct known_file {
    const char *file, *sha256;
};
struct known_pack {
    const char *name, *about;
    const char *url;    /* NULL: none known here */
    const char *sha256; /* of the file fetched; NULL: none published */
    uint64_t bytes;     /* of it; `exact` or as its maker rounds it; 0: not published */
    bool exact;
    const char *licence, *licence_url;
    const char *terms;                        /* on commercial use, in plain words */
    const char *not_here;                     /* why facemill cannot run it; NULL: it can */
    struct known_file members[KNOWN_MEMBERS]; /* digests known of files inside */
    const char *choice_key, *choice_value;    /* for the manifest of a single file (fm_model_choice); NULL */
};

/* Row `index` of the table; NULL behind the last. */
const struct known_pack *fm_known_row(size_t index);

/* Packs of the user's own, from a file such as docs/packs.md describes. */
struct known_index {
    struct known_pack *packs;
    size_t count;
    struct arena arena;
};
/* FM_INVALID_ARGUMENT (words name the pack, the member and what was expected), FM_NOT_FOUND, FM_IO, FM_OUT_OF_MEMORY.
 */
FM_MUST_USE fm_status fm_known_read(struct known_index *index, const char *path, fm_error *error);
void fm_known_reset(struct known_index *index);
/* By name; the index (may be NULL) comes before the table. NULL when neither has it. */
const struct known_pack *fm_known_find(const struct known_index *index, const char *name);

#endif
