/* Built in: a pack that is part of the library, found under the path "builtin:NAME". The three functions below are the
   operating system's of nearly the same names for whatever reads packs: a path with that prefix is looked up among the
   files inside the library, any other is the disk's. Which pack it is, the build says (FM_BUILTIN_PACK); there may be
   none. Thread-safe. */
#ifndef FM_MODELS_BUILTIN_H
#define FM_MODELS_BUILTIN_H

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"

#define FM_BUILTIN_PREFIX "builtin:"
#define FM_BUILTIN_REASON "built-in" /* why this pack: no other one */

struct builtin_file {
    const char *name;
    const unsigned char *bytes, *end;
};
struct builtin_pack {
    const char *name;                 /* NULL: none is built in */
    const struct builtin_file *files; /* in strcmp order */
    size_t count;
};
extern const struct builtin_pack fm_builtin_pack; /* written by the build */

/* "builtin:NAME" of the pack inside; false when there is none, or none called `wanted` (NULL: any). */
FM_MUST_USE bool fm_builtin_find(const char *wanted, char *path, size_t size);
bool fm_builtin_is(const char *path);
/* "the pack that is built in is ..." or that there is none, for words about a path that is not inside. */
void fm_builtin_words(char *words, size_t size);

enum os_path_kind fm_pack_path_kind(const char *path);
/* FM_NOT_FOUND, FM_LIMIT, FM_OUT_OF_MEMORY, and for the disk what fm_file_read has. */
FM_MUST_USE fm_status fm_pack_file_read(const char *path, uint64_t max_bytes, struct buffer *buffer, fm_error *error);
FM_MUST_USE fm_status fm_pack_folder_visit(const char *path,
                                           bool (*visit)(const char *name, enum os_path_kind kind, void *user),
                                           void *user, fm_error *error);

#endif
