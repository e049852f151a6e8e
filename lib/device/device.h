/* Device: where pixels and tensors live, and the batch operations on them, as one table with a row per kind of device.
   The CPU row calls the kernels; a CUDA row comes later with the same meaning. Every operation is pure with regard to
   the device and may be called from any thread. Results do not depend on the row, the instruction set or the
   threads. */
#ifndef FM_DEVICE_DEVICE_H
#define FM_DEVICE_DEVICE_H

#include "base/cpu.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/tensor.h"

/* Upright RGB8, rows top to bottom. */
struct rgb_view {
    const uint8_t *rgb;
    int width, height;
    size_t stride; /* bytes */
};

/* How a network wants its pixels: value = (level - mean) * scale per channel, in single precision, channels planar. */
struct pixel_recipe {
    bool bgr;          /* plane 0 is blue */
    float mean, scale; /* one pair for all channels: (127.5, 1/128) for SCRFD */
};

/* Geometry of one letterboxed image: the picture shrinks or grows to new_width x new_height and sits top left. */
struct letterbox {
    int new_width, new_height;
    double scale; /* new_height / height: network pixels per image pixel, both axes (RECIPES D1) */
};
/* RECIPES D1: aspect decided by im_ratio > model_ratio, truncation, scale by height. Sides below 1 become 1. */
struct letterbox fm_letterbox_fit(int width, int height, int det_width, int det_height);

/* Rows of one detector head for one image of a batch. The value of cell c, image n, anchor a, column k of a head's
   tensor stands at  base + ((c * cell_stride + n * image_stride + a * anchor_stride) + k), all in elements. */
struct head_view {
    const float *scores, *boxes, *landmarks; /* base of this image's rows; landmarks may be NULL */
    size_t score_cell, score_anchor;         /* strides in elements */
    size_t box_cell, box_anchor;
    size_t landmark_cell, landmark_anchor;
    int columns, rows;   /* cells across and down */
    int anchors, stride; /* anchors per cell; network pixels per cell */
};

/* One face before suppression, in network pixels divided by `scale`: image pixels. */
struct candidate {
    float box[4], score, landmarks[5][2];
    uint32_t order; /* row number: ties keep the smaller first */
    int rivals;     /* filled by nms: suppressed candidates within 0.002 of the score */
    float rival_shift;
};

struct device;

struct device_ops {
    const char *name; /* "cpu" */
    fm_status (*open)(int index, enum cpu_level level, struct device **device, fm_error *error);
    void (*close)(struct device *device);
    void *(*alloc)(struct device *device, size_t size); /* aligned and padded; NULL when out of memory */
    void (*free)(struct device *device, void *block);
    fm_status (*upload)(struct device *device, void *to, const void *from, size_t size, fm_error *error);
    fm_status (*download)(struct device *device, void *to, const void *from, size_t size, fm_error *error);
    fm_status (*wait)(struct device *device, fm_error *error);
    /* Resize (RECIPES D15) `image` into slot `slot` of `batch` [N,3,H,W] u8 or f32, black border, top left. u8 tensors
       take levels untouched, f32 tensors (level - mean) * scale. `scratch` grows to what one call needs and is the
       caller's. */
    fm_status (*letterbox)(struct device *device, const struct rgb_view *image, const struct letterbox *fit,
                           const struct pixel_recipe *recipe, struct tensor *batch, int slot, struct buffer *scratch,
                           fm_error *error);
    /* Bilinear in double precision, border black, floor(v + 0.5): crop pixel (x, y) is image point inverse(m)(x, y)
       (RECIPES D2). `m` maps image to crop, 2x3 row-major. Into slot `slot` of [N,3,S,S], or as RGB8 rows when `rgb`
       is not NULL (S x S x 3; batch is NULL then and `side` says S). */
    fm_status (*warp)(struct device *device, const struct rgb_view *image, const double m[6],
                      const struct pixel_recipe *recipe, struct tensor *batch, int slot, uint8_t *rgb, int side,
                      struct buffer *scratch, fm_error *error);
    /* Append rows with score >= threshold as candidates (RECIPES D1: centre = cell * stride, distances * stride, all
       divided by scale in single precision as insightface's numpy does). Order numbers continue from *count. At most
       `capacity`; returns false when there were more (the caller grows and repeats or refuses). */
    bool (*decode)(struct device *device, const struct head_view *head, float threshold, double scale,
                   struct candidate *candidates, size_t capacity, size_t *count);
    /* Sort by falling score (ties: smaller order first), then greedy suppression of IoU > threshold; plus_one counts
       sides as x2 - x1 + 1. Keeps survivors at the front in order; returns how many. */
    size_t (*nms)(struct device *device, struct candidate *candidates, size_t count, float threshold, bool plus_one,
                  struct buffer *scratch);
    /* L2 norm of each of `count` rows of `size` floats, accumulated in double. */
    void (*norms)(struct device *device, const float *rows, size_t count, size_t size, float *norms);
};

/* The table; index 0 is the CPU. NULL behind the last row. */
const struct device_ops *fm_device_row(size_t index);
/* Ops of an opened device. */
const struct device_ops *fm_device_ops(const struct device *device);
enum cpu_level fm_device_level(const struct device *device);

#endif
