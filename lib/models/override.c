/* Override: what a manifest says about a file wins over what its family takes for granted. What of it changes the way
   from pixels to faces or vectors is also put into words of bits, for the pack's id; a manifest that repeats the
   family's own recipe leaves those empty. Pure. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/pack.h"

/* Bits, not digits: a locale may spell decimals otherwise. */
static void add_float(char *out, size_t size, const char *name, float value) {
    uint32_t bits;
    size_t used = strlen(out);
    memcpy(&bits, &value, sizeof bits);
    snprintf(out + used, size - used, " %s%08x", name, (unsigned)bits);
}

static void override_pixels(struct model *model) {
    const struct manifest_model *said = model->said;
    const struct pixel_recipe before = model->pixels;
    struct pixel_recipe *pixels = &model->pixels;
    if (said->has_order) {
        pixels->bgr = said->bgr;
    }
    if (said->has_pixels) {
        pixels->mean = said->mean;
        pixels->scale = 1.0f / said->std;
    }
    if (pixels->bgr != before.bgr || pixels->mean != before.mean || pixels->scale != before.scale) {
        snprintf(model->changed, sizeof model->changed, "pixels %s", pixels->bgr ? "bgr" : "rgb");
        add_float(model->changed, sizeof model->changed, "mean ", pixels->mean);
        add_float(model->changed, sizeof model->changed, "scale ", pixels->scale);
    }
}

/* A size that the graph leaves open is fixed; one that it has must be that one. */
static fm_status override_input(struct model *model, fm_error *error) {
    const struct manifest_model *said = model->said;
    struct detector_recipe *recipe = &model->detector;
    int fixed[2] = {recipe->fixed_width, recipe->fixed_height}, wanted[2] = {said->width, said->height};
    int step = recipe->strides[recipe->heads - 1];
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "width" : "height";
        if (wanted[i] > 0 && fixed[i] > 0 && wanted[i] != fixed[i]) {
            return fm_fail(error, FM_BAD_MODEL, "'%s': the manifest says an input %s of %d, the network has %d",
                           model->file, name, wanted[i], fixed[i]);
        }
        if (wanted[i] % step != 0) {
            return fm_fail(error, FM_BAD_MODEL,
                           "'%s': the manifest says an input %s of %d, which is no multiple of the network's step %d",
                           model->file, name, wanted[i], step);
        }
    }
    recipe->fixed_width = said->width > 0 ? said->width : recipe->fixed_width;
    recipe->fixed_height = said->height > 0 ? said->height : recipe->fixed_height;
    return FM_OK;
}

static fm_status override_detector(struct model *model, fm_error *error) {
    const struct manifest_model *said = model->said;
    struct detector_recipe *recipe = &model->detector;
    if (said->score_threshold > 0) {
        recipe->threshold = said->score_threshold;
    }
    if (said->nms_threshold > 0 && said->nms_threshold != recipe->nms_threshold) {
        recipe->nms_threshold = said->nms_threshold;
        add_float(model->changed, sizeof model->changed, "nms ", recipe->nms_threshold);
    }
    return override_input(model, error);
}

static fm_status check_side(const struct model *model, const char *what, int side, fm_error *error) {
    if (side > 0 && side != model->recogniser.side) {
        return fm_fail(error, FM_BAD_MODEL, "'%s': the manifest says %s of %d, the network takes crops of %d",
                       model->file, what, side, model->recogniser.side);
    }
    return FM_OK;
}

static fm_status override_recogniser(struct model *model, fm_error *error) {
    const struct manifest_model *said = model->said;
    struct recogniser_recipe *recipe = &model->recogniser;
    fm_status status = check_side(model, "a crop's side", said->crop_side, error);
    if (status == FM_OK) {
        status = check_side(model, "an input width", said->width, error);
    }
    if (status == FM_OK) {
        status = check_side(model, "an input height", said->height, error);
    }
    if (status == FM_OK && said->embedding_size > 0 && recipe->size > 0 && said->embedding_size != recipe->size) {
        status = fm_fail(error, FM_BAD_MODEL, "'%s': the manifest says %d values per face, the network gives %d",
                         model->file, said->embedding_size, recipe->size);
    }
    if (status == FM_OK && said->has_template &&
        memcmp(recipe->template_points, said->template_points, sizeof recipe->template_points) != 0) {
        memcpy(recipe->template_points, said->template_points, sizeof recipe->template_points);
        size_t used = strlen(model->changed);
        snprintf(model->changed + used, sizeof model->changed - used, " crop %d", recipe->side);
        for (int i = 0; i < 5; i++) {
            add_float(model->changed, sizeof model->changed, "", recipe->template_points[i][0]);
            add_float(model->changed, sizeof model->changed, "", recipe->template_points[i][1]);
        }
    }
    return status;
}

fm_status fm_model_override(struct model *model, fm_error *error) {
    if (model->said == NULL) {
        return FM_OK;
    }
    if (model->said->uneven_pixels) {
        return fm_fail(error, FM_BAD_MODEL,
                       "'%s': the manifest gives each channel its own mean or std, but family '%s' takes one for all",
                       model->file, model->family->name);
    }
    override_pixels(model);
    switch (model->task) {
    case MODEL_DETECTION:
        return override_detector(model, error);
    case MODEL_RECOGNITION:
        return override_recogniser(model, error);
    case MODEL_NONE:
        break;
    }
    return FM_OK;
}

double fm_model_std(const struct model *model) {
    double divisor = 1.0 / (double)model->pixels.scale, rounded = round(divisor * 1000.0) / 1000.0;
    return 1.0f / (float)rounded == model->pixels.scale ? rounded : divisor;
}
