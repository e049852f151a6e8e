/* The CPU row of the device table: host memory, the kernels of one instruction set. A device is immutable after open;
   every operation works in memory of its caller, so any thread may call it. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "device/nms.h"
#include "device/row.h"

struct cpu_device {
    struct device device; /* first: a struct device * is one of these */
    const struct kernels *kernels;
};

/* Three planes of a batch slot, in the order red, green, blue whatever the network's is. */
struct slot_planes {
    uint8_t *planes[3];
    enum dtype dtype;
    size_t element; /* bytes */
    int width, height;
    float mean, scale;
};

#define SCAN_ROWS 1024 /* rows of a head looked at before those found are decoded */

static const struct kernels *kernels_of(const struct device *device) {
    return ((const struct cpu_device *)device)->kernels;
}

/* ---- life and memory */

static fm_status cpu_open(int index, enum cpu_level level, struct device **device, fm_error *error) {
    (void)index; /* there is one host */
    struct cpu_device *cpu = fm_alloc(sizeof *cpu);
    if (cpu == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "device cpu: no memory for %zu bytes", sizeof *cpu);
    }
    cpu->device.ops = &fm_device_cpu;
    cpu->device.level = level;
    cpu->kernels = fm_kernels(level);
    *device = &cpu->device;
    return FM_OK;
}

static void cpu_close(struct device *device) {
    fm_free(device);
}

static void *cpu_alloc(struct device *device, size_t size) {
    (void)device;
    return fm_alloc_aligned(size);
}

static void cpu_free(struct device *device, void *block) {
    (void)device;
    fm_free_aligned(block);
}

static fm_status cpu_copy(struct device *device, void *to, const void *from, size_t size, fm_error *error) {
    (void)device;
    (void)error;
    if (size > 0) {
        memmove(to, from, size);
    }
    return FM_OK;
}

static fm_status cpu_wait(struct device *device, fm_error *error) {
    (void)device;
    (void)error;
    return FM_OK;
}

/* ---- pixels into a batch */

static fm_status slot_open(const struct tensor *batch, int slot, const struct pixel_recipe *recipe,
                           struct slot_planes *out, fm_error *error) {
    assert(batch->rank == 4 && batch->dims[1] == 3 && batch->memory == FM_MEMORY_HOST);
    assert(slot >= 0 && slot < batch->dims[0]);
    if (batch->dtype != DTYPE_U8 && batch->dtype != DTYPE_F32) {
        return fm_fail(error, FM_UNSUPPORTED, "device cpu: pixels into a batch of %s; only u8 and f32 are possible",
                       fm_dtype_name(batch->dtype));
    }
    out->dtype = batch->dtype;
    out->element = fm_dtype_size(batch->dtype);
    out->height = (int)batch->dims[2];
    out->width = (int)batch->dims[3];
    out->mean = recipe->mean;
    out->scale = recipe->scale;
    size_t plane = (size_t)out->width * (size_t)out->height * out->element;
    assert(3 * plane * ((size_t)slot + 1) <= batch->capacity);
    for (size_t channel = 0; channel < 3; channel++) {
        size_t position = recipe->bgr ? 2 - channel : channel;
        out->planes[channel] = (uint8_t *)batch->bytes + (3 * (size_t)slot + position) * plane;
    }
    return FM_OK;
}

static uint8_t *slot_row(const struct slot_planes *slot, int channel, int y) {
    return slot->planes[channel] + (size_t)y * (size_t)slot->width * slot->element;
}

/* What a black pixel is to the network, into columns from..width of one row. */
static void slot_blacken(const struct slot_planes *slot, uint8_t *row, int from) {
    if (slot->dtype == DTYPE_U8) {
        memset(row + from, 0, (size_t)(slot->width - from));
        return;
    }
    float black = (0.0F - slot->mean) * slot->scale, *values = (float *)(void *)row;
    for (int i = from; i < slot->width; i++) {
        values[i] = black;
    }
}

/* Everything right of `width` and below `height`. Rows below are copies of the first one: memcpy is faster than a loop.
 */
static void slot_border(const struct slot_planes *slot, int width, int height) {
    for (int channel = 0; channel < 3; channel++) {
        for (int y = 0; width < slot->width && y < height; y++) {
            slot_blacken(slot, slot_row(slot, channel, y), width);
        }
        for (int y = height; y < slot->height; y++) {
            if (y == height) {
                slot_blacken(slot, slot_row(slot, channel, y), 0);
            } else {
                memcpy(slot_row(slot, channel, y), slot_row(slot, channel, height),
                       (size_t)slot->width * slot->element);
            }
        }
    }
}

static void slot_convert(const struct kernels *kernels, const struct slot_planes *slot, int y, const uint8_t *rgb,
                         int count) {
    uint8_t *rows[3] = {slot_row(slot, 0, y), slot_row(slot, 1, y), slot_row(slot, 2, y)};
    if (slot->dtype == DTYPE_U8) {
        kernels->convert_u8(rgb, count, rows);
    } else {
        float *const values[3] = {(float *)(void *)rows[0], (float *)(void *)rows[1], (float *)(void *)rows[2]};
        kernels->convert_f32(rgb, count, slot->mean, slot->scale, values);
    }
}

/* ---- letterbox */

/* Source rows squeezed to the new width; the last two are kept, because neighbouring output rows often share one. */
struct squeezed_rows {
    struct resize_columns columns;
    int16_t *sums[2];
    int rows[2]; /* which source row each holds; -1: none */
};

static bool squeezed_rows_init(struct squeezed_rows *squeezed, int from, int to, struct buffer *scratch) {
    size_t count = (size_t)fm_resize_padded(to), table = count * sizeof(uint32_t), sums = 3 * count * sizeof(int16_t);
    if (!fm_buffer_resize(scratch, 2 * table + 2 * sums)) {
        return false;
    }
    squeezed->columns.offsets = (int32_t *)(void *)scratch->bytes;
    squeezed->columns.weights = (uint32_t *)(void *)(scratch->bytes + table);
    for (size_t i = 0; i < 2; i++) {
        squeezed->sums[i] = (int16_t *)(void *)(scratch->bytes + 2 * table + i * sums);
        squeezed->rows[i] = -1;
    }
    fm_resize_columns_fill(&squeezed->columns, from, to);
    return true;
}

static const int16_t *squeezed_row(const struct kernels *kernels, struct squeezed_rows *squeezed,
                                   const struct rgb_view *image, int row, int keep) {
    for (int i = 0; i < 2; i++) {
        if (squeezed->rows[i] == row) {
            return squeezed->sums[i];
        }
    }
    int i = squeezed->rows[0] == keep ? 1 : 0; /* never overwrite the row the caller still needs */
    kernels->resize_across(image->rgb + (size_t)row * image->stride, &squeezed->columns, squeezed->sums[i]);
    squeezed->rows[i] = row;
    return squeezed->sums[i];
}

static void letterbox_rows(const struct kernels *kernels, const struct rgb_view *image, const struct letterbox *fit,
                           struct squeezed_rows *squeezed, const struct slot_planes *slot) {
    for (int y = 0; y < fit->new_height; y++) {
        struct resize_line line = fm_resize_line_at(image->height, fit->new_height, y);
        const int16_t *first = squeezed_row(kernels, squeezed, image, line.first, line.second);
        const int16_t *second = squeezed_row(kernels, squeezed, image, line.second, line.first);
        for (int channel = 0; channel < 3; channel++) {
            size_t plane = (size_t)channel * (size_t)squeezed->columns.count;
            uint8_t *row = slot_row(slot, channel, y);
            if (slot->dtype == DTYPE_U8) {
                kernels->resize_blend_u8(first + plane, second + plane, &line, fit->new_width, row);
            } else {
                kernels->resize_blend_f32(first + plane, second + plane, &line, fit->new_width, slot->mean, slot->scale,
                                          (float *)(void *)row);
            }
        }
    }
}

static fm_status cpu_letterbox(struct device *device, const struct rgb_view *image, const struct letterbox *fit,
                               const struct pixel_recipe *recipe, struct tensor *batch, int index,
                               struct buffer *scratch, fm_error *error) {
    const struct kernels *kernels = kernels_of(device);
    struct slot_planes slot;
    fm_status status = slot_open(batch, index, recipe, &slot, error);
    if (status != FM_OK) {
        return status;
    }
    assert(image->width > 0 && image->height > 0 && image->width <= INT32_MAX / 3);
    assert(fit->new_width > 0 && fit->new_width <= slot.width && fit->new_height > 0 && fit->new_height <= slot.height);
    if (fit->new_width == image->width && fit->new_height == image->height) {
        for (int y = 0; y < image->height; y++) {
            slot_convert(kernels, &slot, y, image->rgb + (size_t)y * image->stride, image->width);
        }
    } else {
        struct squeezed_rows squeezed;
        if (!squeezed_rows_init(&squeezed, image->width, fit->new_width, scratch)) {
            return fm_fail(error, FM_OUT_OF_MEMORY, "device cpu: no memory for rows of %d pixels", fit->new_width);
        }
        letterbox_rows(kernels, image, fit, &squeezed, &slot);
    }
    slot_border(&slot, fit->new_width, fit->new_height);
    return FM_OK;
}

/* ---- warp */

/* Inverse of a 2x3 affine map, in OpenCV's order of operations; a singular one gives zeros. */
static void affine_invert(const double m[6], double inverse[6]) {
    double determinant = m[0] * m[4] - m[1] * m[3];
    double factor = determinant != 0.0 ? 1.0 / determinant : 0.0;
    inverse[0] = m[4] * factor;
    inverse[1] = m[1] * -factor;
    inverse[3] = m[3] * -factor;
    inverse[4] = m[0] * factor;
    inverse[2] = -inverse[0] * m[2] - inverse[1] * m[5];
    inverse[5] = -inverse[3] * m[2] - inverse[4] * m[5];
}

static fm_status cpu_warp(struct device *device, const struct rgb_view *image, const double m[6],
                          const struct pixel_recipe *recipe, struct tensor *batch, int index, uint8_t *rgb, int side,
                          struct buffer *scratch, fm_error *error) {
    const struct kernels *kernels = kernels_of(device);
    struct slot_planes slot = {.planes = {NULL}};
    if (rgb == NULL) {
        fm_status status = slot_open(batch, index, recipe, &slot, error);
        if (status != FM_OK) {
            return status;
        }
        assert(slot.width == slot.height);
        side = slot.width;
        if (!fm_buffer_resize(scratch, 3 * (size_t)side)) {
            return fm_fail(error, FM_OUT_OF_MEMORY, "device cpu: no memory for a row of %d pixels", side);
        }
    }
    assert(side > 0);
    double inverse[6];
    affine_invert(m, inverse);
    struct warp_line line = {
        .rgb = image->rgb, .stride = image->stride, .width = image->width, .height = image->height};
    line.dx = inverse[0];
    line.dy = inverse[3];
    for (int y = 0; y < side; y++) {
        line.x = inverse[1] * y + inverse[2];
        line.y = inverse[4] * y + inverse[5];
        uint8_t *row = rgb != NULL ? rgb + (size_t)y * (size_t)side * 3 : scratch->bytes;
        kernels->warp_row(&line, 0, side, row);
        if (rgb == NULL) {
            slot_convert(kernels, &slot, y, row, side);
        }
    }
    return FM_OK;
}

/* ---- rows to faces */

static void candidate_fill(struct candidate *candidate, const struct head_view *head, size_t row, float scale) {
    size_t anchors = (size_t)head->anchors, cell = row / anchors, anchor = row % anchors;
    size_t columns = (size_t)head->columns;
    const float *distances = head->boxes + cell * head->box_cell + anchor * head->box_anchor;
    const float *offsets =
        head->landmarks == NULL ? NULL : head->landmarks + cell * head->landmark_cell + anchor * head->landmark_anchor;
    fm_face_decode(distances, offsets, (int)(cell % columns), (int)(cell / columns), head->stride, scale,
                   candidate->box, candidate->landmarks);
    candidate->score = head->scores[cell * head->score_cell + anchor * head->score_anchor];
    candidate->rivals = 0;
    candidate->rival_shift = 0.0F;
}

static bool cpu_decode(struct device *device, const struct head_view *head, float threshold, double scale,
                       struct candidate *candidates, size_t capacity, size_t *count) {
    const struct kernels *kernels = kernels_of(device);
    uint32_t found[SCAN_ROWS];
    assert(head->anchors > 0 && head->anchors <= SCAN_ROWS);
    struct score_rows rows = {.scores = head->scores,
                              .cell_stride = head->score_cell,
                              .anchor_stride = head->score_anchor,
                              .anchors = (size_t)head->anchors};
    size_t cells = (size_t)head->columns * (size_t)head->rows, step = SCAN_ROWS / rows.anchors;
    for (size_t cell = 0; cell < cells; cell += step) {
        size_t hits = kernels->score_scan(&rows, cell, cells - cell < step ? cells - cell : step, threshold, found);
        for (size_t i = 0; i < hits; i++) {
            if (*count == capacity) {
                return false;
            }
            candidates[*count].order = (uint32_t)*count;
            candidate_fill(&candidates[*count], head, found[i], (float)scale);
            ++*count;
        }
    }
    return true;
}

static size_t cpu_nms(struct device *device, struct candidate *candidates, size_t count, float threshold, bool plus_one,
                      struct buffer *scratch) {
    return fm_nms(kernels_of(device), candidates, count, threshold, plus_one, scratch);
}

static void cpu_norms(struct device *device, const float *rows, size_t count, size_t size, float *norms) {
    for (size_t i = 0; i < count; i++) {
        const float *row = rows + i * size;
        norms[i] = (float)sqrt(kernels_of(device)->dot(row, row, size));
    }
}

const struct device_ops fm_device_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .wait = cpu_wait,
    .letterbox = cpu_letterbox,
    .warp = cpu_warp,
    .decode = cpu_decode,
    .nms = cpu_nms,
    .norms = cpu_norms,
};
