/* Convert: the caller's fm_pixels, in any order, layout and element type that host memory can hold, become RGB8 rows.
   One reader of samples per element type; a plain RGB8 picture is copied row by row. Any thread. */
#include "image/codec.h"

#include <string.h>

/* Where the three colour samples of a pixel lie: bytes from a row's first byte, and between neighbouring pixels. */
struct plan {
    size_t channel[3], pixel, row;
};

static size_t channel_count(fm_pixel_order order) {
    return order == FM_ORDER_GRAY ? 1 : order == FM_ORDER_RGBA ? 4 : 3;
}

static size_t element_size(fm_pixel_format format) {
    return format == FM_FORMAT_F32 ? sizeof(float) : 1;
}

static size_t row_size(const fm_pixels *pixels) {
    size_t across = pixels->layout == FM_LAYOUT_HWC ? channel_count(pixels->order) : 1;
    return (size_t)pixels->width * across * element_size(pixels->format);
}

static fm_status check_kind(const fm_pixels *pixels, fm_error *error) {
    if (pixels->struct_size < sizeof *pixels)
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_pixels.struct_size is %zu; set it to sizeof(fm_pixels) = %zu",
                       pixels->struct_size, sizeof *pixels);
    if (pixels->memory == FM_MEMORY_CUDA)
        return fm_fail(error, FM_UNSUPPORTED,
                       "fm_pixels in CUDA memory are not supported yet; copy them to host memory");
    if (pixels->memory != FM_MEMORY_HOST || (unsigned)pixels->format > FM_FORMAT_F32 ||
        (unsigned)pixels->layout > FM_LAYOUT_CHW || (unsigned)pixels->order > FM_ORDER_GRAY)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "fm_pixels has memory %d, format %d, layout %d, order %d; use the values of facemill.h",
                       (int)pixels->memory, (int)pixels->format, (int)pixels->layout, (int)pixels->order);
    return FM_OK;
}

static fm_status check_size(const fm_pixels *pixels, const fm_limits *limits, fm_error *error) {
    if (!pixels->data || pixels->width <= 0 || pixels->height <= 0)
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_pixels has data %s and %d x %d pixels; give at least one pixel",
                       pixels->data ? "set" : "NULL", pixels->width, pixels->height);
    fm_status status = fm_image_admit((uint64_t)pixels->width, (uint64_t)pixels->height, "pixels", limits, error);
    if (!status && pixels->stride != 0 && pixels->stride < row_size(pixels))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "fm_pixels.stride is %zu bytes, a row of %d pixels has %zu; give bytes "
                       "from row to row, or 0 for none between them",
                       pixels->stride, pixels->width, row_size(pixels));
    return status;
}

static struct plan plan_for(const fm_pixels *pixels) {
    struct plan plan = {.row = pixels->stride ? pixels->stride : row_size(pixels)};
    size_t element = element_size(pixels->format);
    bool planar = pixels->layout == FM_LAYOUT_CHW;
    size_t step = planar ? plan.row * (size_t)pixels->height : element;
    plan.pixel = planar ? element : channel_count(pixels->order) * element;
    for (size_t i = 0; i < 3; i++) {
        size_t source = pixels->order == FM_ORDER_GRAY ? 0 : pixels->order == FM_ORDER_BGR ? 2 - i : i;
        plan.channel[i] = source * step;
    }
    return plan;
}

static void convert_u8(const uint8_t *row, const struct plan *plan, uint8_t *rgb, int width) {
    for (int x = 0; x < width; x++, row += plan->pixel, rgb += 3)
        for (int i = 0; i < 3; i++)
            rgb[i] = row[plan->channel[i]];
}

/* 0..1 times 255, clamped, truncated; a NaN is black. Read by memcpy: a stride may leave floats unaligned. */
static uint8_t level_of(const uint8_t *sample) {
    float value;
    memcpy(&value, sample, sizeof value);
    value *= 255.0f;
    return value >= 255.0f ? 255 : value > 0.0f ? (uint8_t)value : 0;
}

static void convert_f32(const uint8_t *row, const struct plan *plan, uint8_t *rgb, int width) {
    for (int x = 0; x < width; x++, row += plan->pixel, rgb += 3)
        for (int i = 0; i < 3; i++)
            rgb[i] = level_of(row + plan->channel[i]);
}

fm_status fm_image_convert(struct image *image, const fm_pixels *pixels, const fm_limits *limits, fm_error *error) {
    const fm_limits resolved = fm_limits_resolve(limits);
    image->width = image->height = 0;
    image->orientation = 1;
    image->format = "pixels";
    if (!pixels)
        return fm_fail(error, FM_INVALID_ARGUMENT, "fm_pixels is NULL; give the pixels of one image");
    fm_status status = check_kind(pixels, error);
    if (!status)
        status = check_size(pixels, &resolved, error);
    if (!status)
        status = fm_image_prepare(image, (uint64_t)pixels->width, (uint64_t)pixels->height, "pixels", &resolved, error);
    if (status)
        return status;
    const struct plan plan = plan_for(pixels);
    const uint8_t *from = pixels->data;
    uint8_t *to = image->rgb.bytes;
    size_t stride = (size_t)pixels->width * 3;
    bool plain = pixels->format == FM_FORMAT_U8 && pixels->layout == FM_LAYOUT_HWC && pixels->order == FM_ORDER_RGB;
    for (int y = 0; y < pixels->height; y++, from += plan.row, to += stride) {
        if (plain)
            memcpy(to, from, stride);
        else if (pixels->format == FM_FORMAT_F32)
            convert_f32(from, &plan, to, pixels->width);
        else
            convert_u8(from, &plan, to, pixels->width);
    }
    return FM_OK;
}
