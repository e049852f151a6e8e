/* Manifest: read a pack's manifest.json. */
#include "models/manifest.h"

fm_status fm_manifest_parse(const void *bytes, size_t size, const char *what, struct manifest **manifest,
                            fm_error *error) {
    (void)bytes;
    (void)size;
    *manifest = NULL;
    return fm_fail(error, FM_UNSUPPORTED, "%s: manifests are not read yet", what);
}

fm_status fm_manifest_read(const char *folder, struct manifest **manifest, fm_error *error) {
    (void)folder;
    (void)error;
    *manifest = NULL;
    return FM_OK;
}

void fm_manifest_close(struct manifest *manifest) {
    fm_free(manifest);
}

const struct manifest_model *fm_manifest_model(const struct manifest *manifest, const char *file) {
    (void)manifest;
    (void)file;
    return NULL;
}

const char *fm_manifest_kind_name(enum manifest_kind kind) {
    (void)kind;
    return "";
}
