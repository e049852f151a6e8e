/* Inputs named on the command line and in lists, one after the other: files, folders, standard input. */
#ifndef FM_SOURCES_H
#define FM_SOURCES_H

#include "program.h"

/* Each may return false to stop the walk. */
struct source_visitor {
    bool (*file)(const char *path, void *user);
    bool (*standard_input)(void *user);                                  /* "-": one encoded image */
    bool (*failed)(const char *path, const fm_error *error, void *user); /* a folder or list that cannot be read */
    void *user;
};

struct sources {
    const char *const *paths;
    size_t path_count;
    const char *const *lists; /* one path per line; "-" is standard input */
    size_t list_count;
    bool recursive;
    const atomic_int *interrupted; /* lists end when it is not 0 */
};
/* The command's arguments, --from-file, --recursive, and its interrupt. */
struct sources fm_sources_from(const struct program *program);
/* Is standard input one of them? How often, as images and as lists together. */
size_t fm_sources_standard_input_uses(const struct sources *sources);
/* Every list is a regular file, which can be read twice. */
bool fm_sources_can_be_counted(const struct sources *sources);
/* Paths first, then lists, as written; folders in the order of their names, files that look like images by their
   ending. Nothing is collected beyond the names of the folders being walked. */
void fm_sources_walk(const struct sources *sources, const struct source_visitor *visitor);

#endif
