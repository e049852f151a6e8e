/* Archive: telling one by its first bytes, which every build can. */
#include "packs/archive.h"

#include "base/os_install.h"

#include <string.h>

static bool take_first(const void *bytes, size_t size, void *user) {
    bool *is_one = user;
    /* an entry, or the end of an archive without any */
    *is_one = size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
    return false;
}

bool fm_archive_is_one(const char *path) {
    bool is_one = false;
    fm_error ignored = {0};
    return fm_file_stream(path, take_first, &is_one, &ignored) == FM_OK && is_one;
}
