/* Archive, in a build without libzip (FM_WITH_ZIP): what to do instead. */
#include "packs/archive.h"

fm_status fm_archive_unpack(const char *path, const char *what, const char *folder, const struct notes *notes,
                            fm_error *error) {
    (void)path, (void)folder, (void)notes;
    return fm_fail(
        error, FM_UNSUPPORTED,
        "this build reads no zip files (FM_WITH_ZIP): unpack %s yourself and run 'facemill models add' on the "
        "folder",
        what);
}
