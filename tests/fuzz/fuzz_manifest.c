/* Fuzzer: manifests of packs, ours and insightface's. What parses holds its own limits, and written back it parses
   again as the same manifest. */
#include "models/manifest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static void check_text(const char *text, size_t size) {
    require(memchr(text, 0, size) != NULL);
    for (; *text; text++)
        require((unsigned char)*text >= 0x20 && *text != 0x7F);
}

/* Inside the folder, whatever the manifest says. */
static void check_file(const char *file) {
    check_text(file, 256);
    require(file[0] && file[0] != '/' && !strchr(file, '\\') && !strchr(file, ':'));
    for (const char *part = file; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        require(strcspn(part, "/") > 0 && strncmp(part, "../", 3) != 0 && strcmp(part, "..") != 0);
}

/* Plain texts of the right length, and an end. */
static void check_about(const struct manifest *manifest, const struct manifest_model *model) {
    size_t count = 0;
    for (const char *text; (text = fm_manifest_about(manifest, model, count)) != NULL; count++) {
        require(text[0]);
        check_text(text, FM_MANIFEST_ABOUT_BYTES + 1);
    }
    require(count <= FM_MANIFEST_ABOUT);
}

static void check_model(const struct manifest_model *model) {
    check_file(model->file);
    require(strlen(model->sha256) == 64 || !model->sha256[0]);
    check_text(model->task, sizeof model->task);
    check_text(model->family, sizeof model->family);
    check_text(model->metric, sizeof model->metric);
    check_text(model->licence, sizeof model->licence);
    check_text(model->licence_url, sizeof model->licence_url);
    require(isfinite(model->mean) && isfinite(model->std) && model->std >= 0);
    require(!model->has_pixels || (model->std > 0 && isfinite(1 / model->std)));
    require(model->width >= 0 && model->height >= 0 && model->crop_side >= 0 && model->crop_side <= 16384);
    require(model->score_threshold >= 0 && model->score_threshold <= 1);
    require(model->nms_threshold >= 0 && model->nms_threshold <= 1);
    require(model->match_threshold >= 0 && model->match_threshold <= 1.5f);
    for (int i = 0; i < 5; i++)
        require(isfinite(model->template_points[i][0]) && isfinite(model->template_points[i][1]));
    require(model->label_count >= 0 && model->label_count <= FM_MANIFEST_LABELS);
    for (int i = 0; i < model->label_count; i++)
        check_text(model->labels[i], sizeof model->labels[i]);
}

static void check_manifest(const struct manifest *manifest) {
    require(manifest->kind != MANIFEST_NONE && manifest->model_count <= FM_MANIFEST_MODELS);
    check_text(manifest->name, sizeof manifest->name);
    check_text(manifest->display_name, sizeof manifest->display_name);
    check_text(manifest->version, sizeof manifest->version);
    check_text(manifest->licence, sizeof manifest->licence);
    check_text(manifest->licence_url, sizeof manifest->licence_url);
    check_text(manifest->source, sizeof manifest->source);
    check_about(manifest, NULL);
    for (size_t i = 0; i < manifest->model_count; i++) {
        check_model(&manifest->models[i]);
        check_about(manifest, &manifest->models[i]);
        require(fm_manifest_model(manifest, manifest->models[i].file) == &manifest->models[i]);
    }
}

/* All but the tree, byte by byte: the structs come zeroed. */
static void check_written_back(const struct manifest *manifest) {
    struct text text = {0};
    struct manifest *again = NULL;
    fm_error error = {0};
    fm_json_dump(manifest->tree, &text);
    require(!text.failed);
    if (text.length <= FM_MANIFEST_BYTES) { /* indented it may have grown beyond */
        require(fm_manifest_parse(text.chars, text.length, "again", &again, &error) == FM_OK);
        require(memcmp(manifest->models, again->models, sizeof again->models) == 0);
        require(strcmp(manifest->name, again->name) == 0 && manifest->model_count == again->model_count);
    }
    fm_manifest_close(again);
    fm_text_reset(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct manifest *manifest = NULL;
    fm_error error = {0};
    fm_status status = fm_manifest_parse(bytes, size, "fuzzed", &manifest, &error);
    require((status == FM_OK) == (manifest != NULL));
    require(status == FM_OK || (error.status == status && error.message[0]));
    if (manifest) {
        check_manifest(manifest);
        check_written_back(manifest);
    }
    fm_manifest_close(manifest);
    return 0;
}
