/* Look: what an .onnx file shows of itself, for the manifest that is being written. It is seen as opening the pack
   would see it, so that what is written changes nothing. */
#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "models/manifest_draft.h"

#define MAX_MODEL_BYTES ((uint64_t)INT32_MAX)

static fm_status add_number_fact(struct entry *entry, const char *group, const char *member, double value,
                                 fm_error *error) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_number(&json, NULL, value);
    return fm_fact_add(entry, group, member, false, &text, error);
}

/* A float's own digits: 0.4, not the double that it is. */
static fm_status add_float_fact(struct entry *entry, const char *group, const char *member, float value,
                                fm_error *error) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_float(&json, NULL, value);
    return fm_fact_add(entry, group, member, false, &text, error);
}

static fm_status see_points(struct entry *entry, const struct recogniser_recipe *recipe, fm_error *error) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_array_open(&json, NULL);
    for (size_t i = 0; i < 5; i++) {
        fm_json_array_open(&json, NULL);
        fm_json_float(&json, NULL, recipe->template_points[i][0]);
        fm_json_float(&json, NULL, recipe->template_points[i][1]);
        fm_json_array_close(&json);
    }
    fm_json_array_close(&json);
    return fm_fact_add(entry, "crop", "points", false, &text, error);
}

static fm_status see_recogniser(struct entry *entry, const struct model *model, fm_error *error) {
    const struct recogniser_recipe *recipe = &model->recogniser;
    fm_status status = add_number_fact(entry, "input", "width", recipe->side, error);
    if (status == FM_OK) {
        status = add_number_fact(entry, "input", "height", recipe->side, error);
    }
    if (status == FM_OK) {
        status = add_number_fact(entry, "crop", "side", recipe->side, error);
    }
    return status == FM_OK ? see_points(entry, recipe, error) : status;
}

static fm_status see_detector(struct entry *entry, const struct model *model, fm_error *error) {
    const struct detector_recipe *recipe = &model->detector;
    fm_status status = FM_OK;
    if (recipe->fixed_width > 0) {
        status = add_number_fact(entry, "input", "width", recipe->fixed_width, error);
    }
    if (status == FM_OK && recipe->fixed_height > 0) {
        status = add_number_fact(entry, "input", "height", recipe->fixed_height, error);
    }
    if (status == FM_OK) {
        status = add_float_fact(entry, "thresholds", "score", recipe->threshold, error);
    }
    return status == FM_OK ? add_float_fact(entry, "thresholds", "nms", recipe->nms_threshold, error) : status;
}

static fm_status see_model(struct entry *entry, const struct model *model, fm_error *error) {
    fm_status status = fm_fact_add_text(entry, "", "task", fm_task_name(model->task), error);
    if (status == FM_OK) {
        status = fm_fact_add_text(entry, "", "family", model->family->name, error);
    }
    if (status == FM_OK) {
        status = fm_fact_add_text(entry, "pixels", "order", model->pixels.bgr ? "bgr" : "rgb", error);
    }
    if (status == FM_OK && !(model->said != NULL && model->said->has_pixels)) {
        status = add_float_fact(entry, "pixels", "mean", model->pixels.mean, error);
        if (status == FM_OK) {
            status = add_number_fact(entry, "pixels", "std", fm_model_std(model), error);
        }
    }
    if (status == FM_OK) {
        status = model->task == MODEL_DETECTION ? see_detector(entry, model, error) : FM_OK;
    }
    return status == FM_OK && model->task == MODEL_RECOGNITION ? see_recogniser(entry, model, error) : status;
}

/* Look at one graph as opening the pack would: what it is, or why it is not what the manifest claims. */
static fm_status see_graph(struct entry *entry, const struct graph *graph, const struct manifest_model *said,
                           fm_error *error) {
    char note[512] = "";
    const struct model_family *family = fm_route_said(graph, said, note, sizeof note);
    if (family == NULL && fm_route_is_claimed(said)) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': %s", entry->file, note);
    }
    if (family == NULL) {
        return fm_fact_add_text(entry, "", "task", "none", error);
    }
    struct model *model = fm_alloc(sizeof *model);
    if (model == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to describe '%s'", entry->file);
    }
    model->said = said;
    model->family = family;
    model->task = family->task;
    snprintf(model->file, sizeof model->file, "%s", entry->file);
    fm_status status = family->describe(graph, model, error);
    if (status == FM_OK) {
        status = fm_model_override(model, error);
    }
    if (status == FM_OK) {
        status = see_model(entry, model, error);
    }
    fm_free(model);
    return status;
}

static fm_status see_bytes(struct entry *entry, const struct buffer *bytes, const struct manifest_model *said,
                           fm_error *error) {
    struct sha256 sha;
    char sha256[65];
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, bytes->bytes, bytes->size);
    fm_sha256_hex(&sha, sha256);
    if (said != NULL && said->sha256[0] != 0 && strcmp(said->sha256, sha256) != 0) {
        return fm_fail(error, FM_BAD_MODEL,
                       "'%s' has SHA-256 %s, its manifest says %s: the file is damaged or another one; fetch it again, "
                       "or take its entry out of " FM_MANIFEST_FILE,
                       entry->file, sha256, said->sha256);
    }
    if (said != NULL && said->bytes > 0 && said->bytes != bytes->size) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' has %zu bytes, its manifest says %llu: fetch it again", entry->file,
                       bytes->size, (unsigned long long)said->bytes);
    }
    fm_status status = fm_fact_add_text(entry, "", "sha256", sha256, error);
    return status == FM_OK ? add_number_fact(entry, "", "bytes", (double)bytes->size, error) : status;
}

fm_status fm_draft_look(const struct draft *draft, struct entry *entry, const struct manifest_model *said,
                        fm_error *error) {
    char path[OS_PATH_SIZE];
    struct buffer bytes = {0};
    struct graph *graph = NULL;
    fm_error own = {FM_OK, ""};
    if (!fm_path_join(path, sizeof path, draft->folder, entry->file)) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", entry->file);
    }
    fm_status status = fm_file_read(path, MAX_MODEL_BYTES, &bytes, &own);
    if (status == FM_NOT_FOUND) {
        status =
            fm_fail(error, FM_BAD_MODEL, "'%s' has no file '%s', which its manifest lists", draft->folder, entry->file);
    } else if (status != FM_OK) {
        status = fm_fail(error, status == FM_LIMIT ? FM_BAD_MODEL : status, "%s", own.message);
    } else {
        status = see_bytes(entry, &bytes, said, error);
    }
    if (status == FM_OK) {
        status = fm_graph_read(bytes.bytes, bytes.size, entry->file, &graph, error);
    }
    if (status == FM_OK) {
        status = see_graph(entry, graph, said, error);
    }
    fm_graph_close(graph);
    fm_buffer_reset(&bytes);
    return status;
}
