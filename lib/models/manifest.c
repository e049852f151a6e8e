/* Manifest: read a pack's manifest.json, ours (docs/manifest.md) or insightface's V2, into one struct. The text is
   foreign: kinds, ranges and names are checked member by member, and what is not known is left in the tree. */
#include "models/builtin.h"
#include "models/manifest_members.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

#define VERSION 1        /* of our own form: the value of "facemill_pack" */
#define MAX_MEMBERS 1000 /* of one object; those that a manifest is rewritten with are walked by index */
#define MAX_LEVEL 1e6    /* of mean and std, either way of nought */
#define MAX_DISTANCE 1.4 /* between vectors of length 1; beyond, they are more than a right angle apart */

/* "licence" or "license": {"name", "url"}. */
static fm_status read_licence(const struct manifest_reader *reader, const struct json_value *object, char *name,
                              size_t name_size, char *url, size_t url_size) {
    const struct json_value *licence = NULL;
    const char *member = fm_json_member(object, "licence") != NULL ? "licence" : "license";
    fm_status status = fm_member_object(reader, object, member, &licence);
    struct manifest_reader inner = fm_member_below(reader, member);
    if (status == FM_OK) {
        status = fm_member_text(&inner, licence, "name", name, name_size);
    }
    if (status == FM_OK) {
        status = fm_member_text(&inner, licence, "url", url, url_size);
    }
    return status;
}

/* ---------------------------------------------------------------- file names */

/* One name, inside the folder itself. */
static fm_status read_file(const struct manifest_reader *reader, const struct json_value *object, char *out,
                           size_t size) {
    const struct json_value *value = fm_json_member(object, "file");
    const char *text = fm_json_text(value);
    if (text == NULL || strlen(text) >= size || !fm_member_is_plain(text) || text[0] == '.' ||
        strpbrk(text, "/\\:") != NULL || !fm_member_ends_in_onnx(text)) {
        return fm_member_wrong(reader, "file", value,
                               "the name of an .onnx file inside the folder, without folders of its own");
    }
    snprintf(out, size, "%s", text);
    return FM_OK;
}

/* ------------------------------------------------------------ our own members */

/* One number, or one per channel; *even says whether those are equal. */
static fm_status read_level(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                            bool positive, float *out, bool *even) {
    const struct json_value *value = fm_json_member(object, member);
    const char *expected = positive ? "a number from 0.000001 to 1000000, or three of them"
                                    : "a number from -1000000 to 1000000, or three of them";
    bool list = fm_json_is_array(value);
    if (list && fm_json_count(value) != 3) {
        return fm_member_wrong(reader, member, value, expected);
    }
    for (size_t i = 0; i < (list ? 3 : 1); i++) {
        const struct json_value *item = list ? fm_json_item(value, i) : value;
        double number = fm_json_value(item, NAN);
        if (!(number >= (positive ? 1 / MAX_LEVEL : -MAX_LEVEL) && number <= MAX_LEVEL)) {
            return fm_member_wrong(reader, member, item, expected);
        }
        *even = *even && (i == 0 || (float)number == *out);
        *out = i == 0 ? (float)number : *out;
    }
    return FM_OK;
}

static fm_status read_mean_and_std(const struct manifest_reader *reader, const struct json_value *pixels,
                                   struct manifest_model *model) {
    const struct json_value *mean = fm_json_member(pixels, "mean"), *std = fm_json_member(pixels, "std");
    bool even = true;
    if (mean == NULL && std == NULL) {
        return FM_OK;
    }
    if (mean == NULL || std == NULL) {
        return fm_member_wrong(reader, mean == NULL ? "mean" : "std", NULL, "mean and std together");
    }
    fm_status status = read_level(reader, pixels, "mean", false, &model->mean, &even);
    if (status == FM_OK) {
        status = read_level(reader, pixels, "std", true, &model->std, &even);
    }
    model->has_pixels = true;
    model->uneven_pixels = !even;
    return status;
}

static fm_status read_pixels(const struct manifest_reader *reader, const struct json_value *object,
                             struct manifest_model *model) {
    const struct json_value *pixels = NULL;
    struct manifest_reader inner = fm_member_below(reader, "pixels");
    fm_status status = fm_member_object(reader, object, "pixels", &pixels);
    const struct json_value *order = fm_json_member(pixels, "order");
    const char *text = fm_json_text(order);
    if (status == FM_OK && order != NULL && (text == NULL || (strcmp(text, "rgb") != 0 && strcmp(text, "bgr") != 0))) {
        status = fm_member_wrong(&inner, "order", order, "\"rgb\" or \"bgr\"");
    }
    if (status == FM_OK && text != NULL) {
        model->has_order = true;
        model->bgr = text[0] == 'b';
    }
    return status == FM_OK ? read_mean_and_std(&inner, pixels, model) : status;
}

static fm_status read_input(const struct manifest_reader *reader, const struct json_value *object,
                            struct manifest_model *model) {
    const struct json_value *input = NULL;
    struct manifest_reader inner = fm_member_below(reader, "input");
    fm_status status = fm_member_object(reader, object, "input", &input);
    if (status == FM_OK) {
        status = fm_member_side(&inner, input, "width", &model->width);
    }
    return status == FM_OK ? fm_member_side(&inner, input, "height", &model->height) : status;
}

/* Five different places: a transform onto one point would have no scale. */
static bool points_spread(const float points[5][2]) {
    for (int i = 1; i < 5; i++) {
        if (points[i][0] != points[0][0] || points[i][1] != points[0][1]) {
            return true;
        }
    }
    return false;
}

static fm_status read_points(const struct manifest_reader *reader, const struct json_value *points,
                             struct manifest_model *model) {
    static const char expected[] = "five different points [x,y] in pixels, -16384 to 16384";
    if (points == NULL) {
        return FM_OK;
    }
    bool good = fm_json_is_array(points) && fm_json_count(points) == 5;
    for (size_t i = 0; good && i < 5; i++) {
        const struct json_value *point = fm_json_item(points, i);
        good = fm_json_is_array(point) && fm_json_count(point) == 2;
        for (size_t k = 0; good && k < 2; k++) {
            double number = fm_json_value(fm_json_item(point, k), NAN);
            good = fabs(number) <= FM_MANIFEST_SIDE;
            model->template_points[i][k] = good ? (float)number : 0;
        }
    }
    model->has_template = true;
    return good && points_spread(model->template_points) ? FM_OK : fm_member_wrong(reader, "points", points, expected);
}

static fm_status read_crop(const struct manifest_reader *reader, const struct json_value *object,
                           struct manifest_model *model) {
    const struct json_value *crop = NULL;
    struct manifest_reader inner = fm_member_below(reader, "crop");
    fm_status status = fm_member_object(reader, object, "crop", &crop);
    if (status == FM_OK) {
        status = fm_member_side(&inner, crop, "side", &model->crop_side);
    }
    return status == FM_OK ? read_points(&inner, fm_json_member(crop, "points"), model) : status;
}

static fm_status read_metric(const struct manifest_reader *reader, const struct json_value *object,
                             struct manifest_model *model) {
    fm_status status = fm_member_word(reader, object, "metric", model->metric, sizeof model->metric);
    if (status == FM_OK && model->metric[0] != 0 && strcmp(model->metric, "cosine") != 0 &&
        strcmp(model->metric, "euclidean") != 0) {
        status = fm_member_wrong(reader, "metric", fm_json_member(object, "metric"), "\"cosine\" or \"euclidean\"");
    }
    return status;
}

/* Behind the metric, which decides what a match is. */
static fm_status read_thresholds(const struct manifest_reader *reader, const struct json_value *object,
                                 struct manifest_model *model) {
    static const double lowest = 1e-6;
    static const char share[] = "a number above 0, at most 1";
    const struct json_value *thresholds = NULL;
    struct manifest_reader inner = fm_member_below(reader, "thresholds");
    bool distance = strcmp(model->metric, "euclidean") == 0;
    fm_status status = fm_member_object(reader, object, "thresholds", &thresholds);
    if (status == FM_OK) {
        status = fm_member_number(&inner, thresholds, "score", lowest, 1, share, &model->score_threshold);
    }
    if (status == FM_OK) {
        status = fm_member_number(&inner, thresholds, "nms", lowest, 1, share, &model->nms_threshold);
    }
    if (status == FM_OK) {
        status = fm_member_number(&inner, thresholds, "match", lowest, distance ? MAX_DISTANCE : 1,
                                  distance ? "a distance above 0, at most 1.4" : share, &model->match_threshold);
    }
    return status;
}

static fm_status read_labels(const struct manifest_reader *reader, const struct json_value *object,
                             struct manifest_model *model) {
    const struct json_value *labels = fm_json_member(object, "labels");
    size_t count = fm_json_count(labels);
    bool good = labels == NULL || (fm_json_is_array(labels) && count <= FM_MANIFEST_LABELS);
    for (size_t i = 0; good && i < count; i++) {
        const char *label = fm_json_text(fm_json_item(labels, i));
        good = label != NULL && label[0] != 0 && fm_member_is_plain(label) && strlen(label) < sizeof model->labels[0];
        snprintf(model->labels[i], sizeof model->labels[i], "%s", good ? label : "");
    }
    model->label_count = (int)count;
    return good ? FM_OK
                : fm_member_wrong(reader, "labels", labels, "a list of at most 16 texts of 1 to 31 plain characters");
}

/* Of the pack and of a file. */
static fm_status check_about(const struct manifest_reader *reader, const struct json_value *object) {
    return fm_member_texts(reader, object, "about", FM_MANIFEST_ABOUT, FM_MANIFEST_ABOUT_BYTES);
}

/* What is known of a file: rows, so that a member is one line. */
typedef fm_status member_reader(const struct manifest_reader *reader, const struct json_value *object,
                                struct manifest_model *model);
static member_reader *const member_readers[] = {read_input,  read_pixels,     read_crop,
                                                read_metric, read_thresholds, read_labels};

static fm_status read_model(const struct manifest_reader *reader, const struct json_value *object,
                            struct manifest_model *model) {
    int64_t bytes = 0;
    if (!fm_json_is_object(object) || fm_json_count(object) > MAX_MEMBERS) {
        return fm_member_wrong(reader, "", object, "an object of at most 1000 members");
    }
    fm_status status = read_file(reader, object, model->file, sizeof model->file);
    if (status == FM_OK) {
        status = fm_member_sha256(reader, object, model->sha256);
    }
    if (status == FM_OK) {
        status = fm_member_whole(reader, object, "bytes", INT64_MAX, "the file's size", &bytes);
    }
    model->bytes = (uint64_t)bytes;
    if (status == FM_OK) {
        status = fm_member_word(reader, object, "task", model->task, sizeof model->task);
    }
    if (status == FM_OK) {
        status = fm_member_word(reader, object, "family", model->family, sizeof model->family);
    }
    if (status == FM_OK) {
        status = fm_member_truth(reader, object, "normalised", &model->normalised);
    }
    if (status == FM_OK) {
        status = read_licence(reader, object, model->licence, sizeof model->licence, model->licence_url,
                              sizeof model->licence_url);
    }
    if (status == FM_OK) {
        status = check_about(reader, object);
    }
    for (size_t i = 0; status == FM_OK && i < sizeof member_readers / sizeof *member_readers; i++) {
        status = member_readers[i](reader, object, model);
    }
    return status;
}

static fm_status check_distinct(const struct manifest_reader *reader, const struct manifest *manifest) {
    const struct manifest_model *last = &manifest->models[manifest->model_count - 1];
    const struct manifest_model *first = fm_manifest_model(manifest, last->file);
    if (first != last) {
        return fm_fail(reader->error, FM_BAD_MODEL, "%s: file '%s' is listed twice; each file has one entry",
                       reader->what, last->file);
    }
    return FM_OK;
}

static fm_status read_models(const struct manifest_reader *reader, const struct json_value *top,
                             struct manifest *manifest) {
    const struct json_value *models = fm_json_member(top, "models");
    size_t count = fm_json_count(models);
    fm_status status = FM_OK;
    if (!fm_json_is_array(models) || count > FM_MANIFEST_MODELS) {
        return fm_member_wrong(reader, "models", models, "a list of at most 64 objects, one for each file");
    }
    for (size_t i = 0; status == FM_OK && i < count; i++) {
        struct manifest_reader inner = *reader;
        snprintf(inner.place, sizeof inner.place, "models[%zu]", i);
        status = read_model(&inner, fm_json_item(models, i), &manifest->models[i]);
        if (status == FM_OK) {
            manifest->model_count = i + 1;
            status = check_distinct(reader, manifest);
        }
    }
    return status;
}

static fm_status read_own(const struct manifest_reader *reader, const struct json_value *top,
                          struct manifest *manifest) {
    const struct json_value *version = fm_json_member(top, "facemill_pack"), *name = fm_json_member(top, "name");
    manifest->kind = MANIFEST_FACEMILL;
    if (fm_json_whole(version, 0) != VERSION) {
        return fm_member_wrong(reader, "facemill_pack", version, "1, the form that this version of facemill reads");
    }
    fm_status status = fm_member_text(reader, top, "name", manifest->name, sizeof manifest->name);
    if (status == FM_OK && (manifest->name[0] == '.' || strpbrk(manifest->name, "/\\") != NULL)) {
        status = fm_member_wrong(reader, "name", name, "a name without '/', '\\' and a leading '.'");
    }
    if (status == FM_OK) {
        status = fm_member_text(reader, top, "display_name", manifest->display_name, sizeof manifest->display_name);
    }
    if (status == FM_OK) {
        status = fm_member_text(reader, top, "version", manifest->version, sizeof manifest->version);
    }
    if (status == FM_OK) {
        status = fm_member_text(reader, top, "source", manifest->source, sizeof manifest->source);
    }
    if (status == FM_OK) {
        status = read_licence(reader, top, manifest->licence, sizeof manifest->licence, manifest->licence_url,
                              sizeof manifest->licence_url);
    }
    if (status == FM_OK) {
        status = check_about(reader, top);
    }
    return status == FM_OK ? read_models(reader, top, manifest) : status;
}

/* -------------------------------------------------------------------- parsing */

static bool is_insightface(const struct json_value *top) {
    return fm_json_whole(fm_json_member(top, "manifest_version"), 0) == 2;
}

static bool is_own(const struct json_value *top) {
    return fm_json_member(top, "facemill_pack") != NULL;
}

static fm_status read_tree(const char *what, struct json_value *tree, struct manifest **manifest, fm_error *error) {
    struct manifest_reader reader = {.what = what, .error = error};
    struct manifest *made = fm_alloc(sizeof *made);
    if (made == NULL) {
        fm_json_free(tree);
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to read %s", what);
    }
    made->tree = tree;
    fm_status status = FM_OK;
    if (fm_json_count(tree) > MAX_MEMBERS) {
        status = fm_fail(error, FM_BAD_MODEL, "%s has %zu members; expected at most %d", what, fm_json_count(tree),
                         MAX_MEMBERS);
    } else if (is_own(tree)) {
        status = read_own(&reader, tree, made);
    } else {
        status = fm_manifest_read_insightface(&reader, tree, made);
    }
    if (status != FM_OK) {
        fm_manifest_close(made);
        return status;
    }
    *manifest = made;
    return FM_OK;
}

/* *neither: JSON, but no manifest of a pack. */
static fm_status parse(const void *bytes, size_t size, const char *what, struct manifest **manifest, bool *neither,
                       fm_error *error) {
    struct json_value *tree = NULL;
    fm_error own = {FM_OK, ""};
    *neither = false;
    *manifest = NULL;
    fm_status status = fm_json_read(bytes, size, FM_MANIFEST_BYTES, what, &tree, &own);
    if (status != FM_OK) {
        return fm_fail(error, status == FM_OUT_OF_MEMORY ? status : FM_BAD_MODEL, "%s", own.message);
    }
    if (!is_own(tree) && !is_insightface(tree)) {
        *neither = true;
        fm_json_free(tree);
        return FM_OK;
    }
    return read_tree(what, tree, manifest, error);
}

fm_status fm_manifest_parse(const void *bytes, size_t size, const char *what, struct manifest **manifest,
                            fm_error *error) {
    bool neither = false;
    fm_status status = parse(bytes, size, what, manifest, &neither, error);
    if (status == FM_OK && neither) {
        status = fm_fail(error, FM_BAD_MODEL,
                         "%s is no manifest of a pack: it has neither \"facemill_pack\": 1 nor \"manifest_version\": 2",
                         what);
    }
    return status;
}

fm_status fm_manifest_read(const char *folder, struct manifest **manifest, fm_error *error) {
    char path[OS_PATH_SIZE], what[OS_PATH_SIZE + 2];
    struct buffer bytes = {0};
    bool neither = false;
    fm_error own = {FM_OK, ""};
    *manifest = NULL;
    if (!fm_path_join(path, sizeof path, folder, FM_MANIFEST_FILE) || fm_pack_path_kind(path) != OS_PATH_FILE) {
        return FM_OK;
    }
    snprintf(what, sizeof what, "'%s'", path);
    fm_status status = fm_pack_file_read(path, FM_MANIFEST_BYTES, &bytes, &own);
    if (status != FM_OK) {
        status = fm_fail(error, status == FM_OUT_OF_MEMORY ? status : FM_BAD_MODEL, "%s", own.message);
    } else {
        status = parse(bytes.bytes, bytes.size, what, manifest, &neither, error);
    }
    fm_buffer_reset(&bytes);
    return status;
}

void fm_manifest_close(struct manifest *manifest) {
    if (manifest != NULL) {
        fm_json_free(manifest->tree);
        fm_free(manifest);
    }
}

const struct manifest_model *fm_manifest_model(const struct manifest *manifest, const char *file) {
    for (size_t i = 0; manifest != NULL && i < manifest->model_count; i++) {
        if (strcmp(manifest->models[i].file, file) == 0) {
            return &manifest->models[i];
        }
    }
    return NULL;
}

const char *fm_manifest_about(const struct manifest *manifest, const struct manifest_model *model, size_t index) {
    if (manifest == NULL || manifest->kind != MANIFEST_FACEMILL) { /* insightface's may have a member of that name */
        return NULL;
    }
    const struct json_value *object = manifest->tree;
    if (model != NULL) {
        object = fm_json_item(fm_json_member(object, "models"), (size_t)(model - manifest->models));
    }
    return fm_json_text(fm_json_item(fm_json_member(object, "about"), index));
}

const char *fm_manifest_kind_name(enum manifest_kind kind) {
    switch (kind) {
    case MANIFEST_FACEMILL:
        return "facemill";
    case MANIFEST_INSIGHTFACE:
        return "insightface-2";
    case MANIFEST_NONE:
        break;
    }
    return "";
}
