/* Manifest: write one for a folder, by looking at its graphs. */
#include "models/pack.h"

fm_status fm_pack_describe(const char *folder, const fm_pack_draft *draft, fm_error *error) {
    (void)draft;
    return fm_fail(error, FM_UNSUPPORTED, "%s: manifests are not written yet", folder);
}
