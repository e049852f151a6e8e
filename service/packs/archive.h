/* Archive: a zip file of unknown origin, unpacked into an empty folder. The only place that knows libzip. */
#ifndef FM_PACKS_ARCHIVE_H
#define FM_PACKS_ARCHIVE_H

#include "packs/members.h"

/* Does the file begin as a zip file does? */
bool fm_archive_is_one(const char *path);
/* Write what belongs into a pack (members.h) from the zip file `path` into `folder`, each file waited for until it is
   on the disk. Every entry's name, kind and size is checked before the first is unpacked, its digest (CRC) after. On
   failure what was written stays in `folder`: the caller throws that away. `what` names the archive in words.
   FM_BAD_MODEL (words name the entry and what is wrong with it), FM_LIMIT, FM_IO, FM_UNSUPPORTED (a build without
   libzip, or no such library here). */
FM_MUST_USE fm_status fm_archive_unpack(const char *path, const char *what, const char *folder,
                                        const struct notes *notes, fm_error *error);

#endif
