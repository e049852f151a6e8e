/* Members: what a folder or an archive holds, and which of it belongs into a pack under which name. Pure. */
#ifndef FM_PACKS_MEMBERS_H
#define FM_PACKS_MEMBERS_H

#include "base/error.h"
#include "base/memory.h"

#define PACK_MAX_MEMBERS 512
#define PACK_MAX_FILE ((uint64_t)2 << 30)
#define PACK_MAX_TOTAL ((uint64_t)4 << 30)
#define PACK_MAX_TEXT ((uint64_t)16 << 20) /* manifest, licence, readme */

/* Words on what happens that is no failure. `say` may be NULL. */
struct notes {
    void (*say)(const char *words, void *user);
    void *user;
};
void fm_note(const struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct member {
    const char *path;   /* as the source has it, with '/' */
    const char *target; /* name inside the pack, a part of `path`; NULL: not taken */
    uint64_t bytes;
    size_t index; /* the source's own number */
};
struct members {
    struct member items[PACK_MAX_MEMBERS];
    size_t count;
    const char *source; /* in words */
    struct arena arena;
};

/* May a path inside an archive be followed? False for what is absolute, climbs out, or is written in a way that another
   system reads differently; *why says which. */
bool fm_member_is_safe(const char *path, const char **why);
/* FM_LIMIT (more than PACK_MAX_MEMBERS), FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_members_add(struct members *members, const char *path, uint64_t bytes, size_t index,
                                     fm_error *error);
/* Give what belongs into a pack its target: the .onnx files of the one folder that holds some, its manifest, licence
   and readme texts; or, where a manifest lies above several such folders, everything below it. The rest is noted.
   FM_BAD_MODEL (no .onnx file, two folders of them, the same name twice), FM_LIMIT (sizes). */
FM_MUST_USE fm_status fm_members_choose(struct members *members, const struct notes *notes, fm_error *error);
/* Bytes of what is taken. */
uint64_t fm_members_total(const struct members *members);
void fm_members_reset(struct members *members);

#endif
