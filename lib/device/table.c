/* The table of devices, and what is the same for all of them: the geometry of the letterbox. Pure; any thread. */
#include <assert.h>

#include "device/row.h"

static const struct device_ops *const rows[] = {
    &fm_device_cpu,
};

const struct device_ops *fm_device_row(size_t index) {
    return index < sizeof rows / sizeof *rows ? rows[index] : NULL;
}

const struct device_ops *fm_device_ops(const struct device *device) {
    return device->ops;
}

enum cpu_level fm_device_level(const struct device *device) {
    return device->level;
}

/* A side of the fitted picture. Truncated, as insightface does: 1537 x 2120 loses a column to binary floating point. */
static int side_of(double side, int limit) {
    return side < 1.0 ? 1 : side > (double)limit ? limit : (int)side;
}

struct letterbox fm_letterbox_fit(int width, int height, int det_width, int det_height) {
    assert(width > 0 && height > 0 && det_width > 0 && det_height > 0);
    double image_ratio = (double)height / width, model_ratio = (double)det_height / det_width;
    struct letterbox fit;
    if (image_ratio > model_ratio) {
        fit.new_height = det_height;
        fit.new_width = side_of(det_height / image_ratio, det_width);
    } else {
        fit.new_width = det_width;
        fit.new_height = side_of(det_width * image_ratio, det_height);
    }
    fit.scale = (double)fit.new_height / height;
    return fit;
}
