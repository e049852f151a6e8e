/* The inner functions that the golden tests call from Python: a small shared library of plain C entry points around
   the static library's hidden ones. Each takes arrays as numpy has them and returns an fm_status or a count. One
   thread; what is opened here is closed here. */
#include <string.h>

#include "device/device.h"
#include "image/image.h"
#include "models/align.h"
#include "models/detector.h"

#define EXPORT __attribute__((visibility("default")))
#define HEADS 3
#define ROW 17 /* box, score, five points, rivals, rival shift */

/* Declared first, for -Wmissing-prototypes; the callers are in internals.py. */
EXPORT fm_status fm_test_image_open(const uint8_t *bytes, size_t size, struct image **image, int size_out[2],
                                    char *words, size_t words_size);
EXPORT const uint8_t *fm_test_image_rgb(const struct image *image);
EXPORT void fm_test_image_close(struct image *image);
EXPORT struct device *fm_test_device_open(const char *level);
EXPORT void fm_test_device_close(struct device *device);
EXPORT void fm_test_letterbox_fit(int width, int height, int side, int size_out[2], double *scale);
EXPORT fm_status fm_test_letterbox(struct device *device, const uint8_t *rgb, int width, int height, int side,
                                   int as_bytes, int batch, int slot, void *values);
EXPORT fm_status fm_test_warp(struct device *device, const uint8_t *rgb, int width, int height, const double m[6],
                              int side, uint8_t *crop);
EXPORT int fm_test_align_matrix(const float landmarks[5][2], int side, double m[6]);
EXPORT size_t fm_test_nms(struct device *device, const float (*boxes)[4], const float *scores, size_t count,
                          float threshold, int plus_one, int32_t *kept);
EXPORT fm_status fm_test_detect(struct device *device, float *const outputs[3 * HEADS], int anchors, int batch,
                                int slot, int interleaved, int side, double scale, float threshold, float (*rows)[ROW],
                                size_t capacity, size_t *count);

/* ---- image */

fm_status fm_test_image_open(const uint8_t *bytes, size_t size, struct image **image, int size_out[2], char *words,
                             size_t words_size) {
    fm_error error = {FM_OK, ""};
    *image = fm_alloc(sizeof **image);
    fm_status status = *image == NULL ? FM_OUT_OF_MEMORY : fm_image_read(*image, bytes, size, "picture", NULL, &error);
    if (status != FM_OK) {
        strncpy(words, error.message, words_size - 1);
        fm_test_image_close(*image);
        *image = NULL;
        return status;
    }
    size_out[0] = (*image)->width;
    size_out[1] = (*image)->height;
    return FM_OK;
}

const uint8_t *fm_test_image_rgb(const struct image *image) {
    return image->rgb.bytes;
}

void fm_test_image_close(struct image *image) {
    if (image != NULL) {
        fm_image_reset(image);
        fm_free(image);
    }
}

/* ---- device */

/* NULL when this machine does not have the level asked for. */
struct device *fm_test_device_open(const char *level) {
    enum cpu_level found;
    struct device *device = NULL;
    if (!fm_cpu_level_masked(level, &found) || strcmp(fm_cpu_level_name(found), level) != 0 ||
        fm_device_row(0)->open(0, found, &device, NULL) != FM_OK) {
        return NULL;
    }
    return device;
}

void fm_test_device_close(struct device *device) {
    fm_device_ops(device)->close(device);
}

void fm_test_letterbox_fit(int width, int height, int side, int size_out[2], double *scale) {
    struct letterbox fit = fm_letterbox_fit(width, height, side, side);
    size_out[0] = fit.new_width;
    size_out[1] = fit.new_height;
    *scale = fit.scale;
}

/* One slot of a batch, as SCRFD's input has it; `values` receives 3 x side x side bytes or floats. */
fm_status fm_test_letterbox(struct device *device, const uint8_t *rgb, int width, int height, int side, int as_bytes,
                            int batch, int slot, void *values) {
    struct rgb_view image = {.rgb = rgb, .width = width, .height = height, .stride = (size_t)width * 3};
    struct letterbox fit = fm_letterbox_fit(width, height, side, side);
    struct pixel_recipe recipe = {.bgr = false, .mean = 127.5F, .scale = 1.0F / 128.0F};
    struct tensor tensor = {.dtype = as_bytes ? DTYPE_U8 : DTYPE_F32, .rank = 4, .dims = {batch, 3, side, side}};
    struct buffer memory = {0}, scratch = {0};
    size_t one = 3 * (size_t)side * (size_t)side * fm_dtype_size(tensor.dtype);
    if (!fm_buffer_resize(&memory, (size_t)batch * one)) {
        return FM_OUT_OF_MEMORY;
    }
    memset(memory.bytes, 0x55, memory.size);
    tensor.bytes = memory.bytes;
    tensor.capacity = memory.size;
    fm_status status = fm_device_ops(device)->letterbox(device, &image, &fit, &recipe, &tensor, slot, &scratch, NULL);
    memcpy(values, memory.bytes + (size_t)slot * one, one);
    fm_buffer_reset(&scratch);
    fm_buffer_reset(&memory);
    return status;
}

fm_status fm_test_warp(struct device *device, const uint8_t *rgb, int width, int height, const double m[6], int side,
                       uint8_t *crop) {
    struct rgb_view image = {.rgb = rgb, .width = width, .height = height, .stride = (size_t)width * 3};
    struct pixel_recipe recipe = {.bgr = false, .mean = 127.5F, .scale = 1.0F / 127.5F};
    struct buffer scratch = {0},
                  rows = {0}; /* the device may write its padding behind the last row: not into numpy's memory */
    size_t size = (size_t)side * (size_t)side * 3;
    if (!fm_buffer_resize(&rows, size)) {
        return FM_OUT_OF_MEMORY;
    }
    fm_status status =
        fm_device_ops(device)->warp(device, &image, m, &recipe, NULL, 0, rows.bytes, side, &scratch, NULL);
    memcpy(crop, rows.bytes, size);
    fm_buffer_reset(&rows);
    fm_buffer_reset(&scratch);
    return status;
}

/* ---- models */

int fm_test_align_matrix(const float landmarks[5][2], int side, double m[6]) {
    float template_points[5][2];
    return fm_align_template(side, template_points) && fm_align_matrix(landmarks, template_points, m);
}

size_t fm_test_nms(struct device *device, const float (*boxes)[4], const float *scores, size_t count, float threshold,
                   int plus_one, int32_t *kept) {
    struct buffer scratch = {0};
    struct candidate *candidates = fm_alloc_array(count + 1, sizeof *candidates);
    if (candidates == NULL) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(candidates[i].box, boxes[i], sizeof candidates[i].box);
        candidates[i].score = scores[i];
        candidates[i].order = (uint32_t)i;
    }
    size_t survivors = fm_device_ops(device)->nms(device, candidates, count, threshold, plus_one != 0, &scratch);
    for (size_t i = 0; i < survivors; i++) {
        kept[i] = (int32_t)candidates[i].order;
    }
    fm_free(candidates);
    fm_buffer_reset(&scratch);
    return survivors;
}

/* SCRFD with three heads, outputs in the stock files' order: scores, boxes, points. */
static struct model *scrfd_model(int anchors, int interleaved) {
    struct model *model = fm_alloc(sizeof *model);
    if (model != NULL) {
        model->task = MODEL_DETECTION;
        model->detector = (struct detector_recipe){.heads = HEADS,
                                                   .anchors = anchors,
                                                   .interleaved = interleaved != 0,
                                                   .threshold = 0.5F,
                                                   .nms_threshold = 0.4F,
                                                   .nms_plus_one = true};
        for (int i = 0; i < HEADS; i++) {
            model->detector.strides[i] = 8 << i;
            model->detector.score_output[i] = i;
            model->detector.box_output[i] = HEADS + i;
            model->detector.landmark_output[i] = 2 * HEADS + i;
        }
    }
    return model;
}

static void head_tensors(struct tensor tensors[3 * HEADS], float *const outputs[3 * HEADS], int anchors, int batch,
                         int interleaved, int side) {
    static const int columns[3] = {1, 4, 10};
    for (int i = 0; i < 3 * HEADS; i++) {
        int cells = (side / (8 << i % HEADS)) * (side / (8 << i % HEADS));
        tensors[i] = (struct tensor){.dtype = DTYPE_F32, .bytes = outputs[i]};
        if (interleaved) {
            tensors[i].rank = 2;
            tensors[i].dims[0] = (int64_t)cells * anchors * batch;
            tensors[i].dims[1] = columns[i / HEADS];
        } else {
            tensors[i].rank = 3;
            tensors[i].dims[0] = batch;
            tensors[i].dims[1] = (int64_t)cells * anchors;
            tensors[i].dims[2] = columns[i / HEADS];
        }
        tensors[i].capacity = (size_t)(cells * anchors) * (size_t)batch * (size_t)columns[i / HEADS] * sizeof(float);
    }
}

fm_status fm_test_detect(struct device *device, float *const outputs[3 * HEADS], int anchors, int batch, int slot,
                         int interleaved, int side, double scale, float threshold, float (*rows)[ROW], size_t capacity,
                         size_t *count) {
    struct tensor tensors[3 * HEADS];
    struct buffer scratch = {0};
    struct model *model = scrfd_model(anchors, interleaved);
    size_t possible = model != NULL ? fm_detector_rows(model, side, side) : 0, found = 0;
    struct candidate *candidates = fm_alloc_array(possible + 1, sizeof *candidates);
    fm_status status = FM_OUT_OF_MEMORY;
    *count = 0;
    if (model == NULL || candidates == NULL) {
        goto cleanup;
    }
    head_tensors(tensors, outputs, anchors, batch, interleaved, side);
    status = fm_detector_check(model, tensors, 3 * HEADS, batch, side, side, NULL);
    if (status == FM_OK) {
        status = fm_detector_collect(model, device, tensors, batch, slot, side, side, scale, threshold, candidates,
                                     possible, &found, NULL);
    }
    if (status != FM_OK) {
        goto cleanup;
    }
    *count = fm_detector_finish(model, device, candidates, found, side, side, 0.0F, 0, FM_METRIC_AREA, &scratch);
    for (size_t i = 0; i < *count && i < capacity; i++) {
        memcpy(rows[i], candidates[i].box, 4 * sizeof(float));
        rows[i][4] = candidates[i].score;
        memcpy(rows[i] + 5, candidates[i].landmarks, 10 * sizeof(float));
        rows[i][15] = (float)candidates[i].rivals;
        rows[i][16] = candidates[i].rival_shift;
    }
cleanup:
    fm_free(candidates);
    fm_free(model);
    fm_buffer_reset(&scratch);
    return status;
}
