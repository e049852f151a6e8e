/* Image: bytes become upright RGB8. The one place where EXIF orientation is applied. Decoders are rows of one table;
   which row decodes is decided by content, never by name. Any thread; state is in the caller's struct. */
#ifndef FM_IMAGE_IMAGE_H
#define FM_IMAGE_IMAGE_H

#include "base/memory.h"
#include "base/error.h"

struct device;

/* A decoded image and the memory it keeps from use to use. {0} is empty. */
struct image {
    struct buffer rgb;     /* height * width * 3, no row padding; size may be smaller than capacity */
    struct buffer scratch; /* rows before orientation, 16-bit rows, ... */
    int width, height;     /* upright */
    int orientation;       /* EXIF tag that was applied, 1..8 */
    const char *format;    /* "jpeg", "png", "webp", "heif", "pixels" */
};

/* Decode `bytes` into `image`. Limits (may be NULL: defaults) are checked before pixels are decoded. Errors:
   FM_BAD_IMAGE, FM_TRUNCATED, FM_LIMIT, FM_UNSUPPORTED (decoder not in this build), FM_OUT_OF_MEMORY. Words say what
   was wrong, `name` names it. Our own buffers are reused from call to call; codecs allocate as they please. */
FM_MUST_USE fm_status fm_image_read(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                                    const fm_limits *limits, fm_error *error);
/* Convert the caller's pixels (any fm_pixels in host memory) into `image`. */
FM_MUST_USE fm_status fm_image_convert(struct image *image, const fm_pixels *pixels, const fm_limits *limits,
                                       fm_error *error);
void fm_image_reset(struct image *image);
/* `limits` with defaults filled in. */
fm_limits fm_limits_resolve(const fm_limits *limits);

/* A row of the decoder table. */
struct decoder {
    const char *name;
    bool built;         /* false: recognised, but not in this build */
    const char *option; /* CMake option that puts it into a build; NULL: known by sight only, never decoded */
    bool (*sniff)(const uint8_t *bytes, size_t size);
    fm_status (*decode)(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                        const fm_limits *limits, fm_error *error); /* leaves rows as stored, sets image->orientation */
};
const struct decoder *fm_decoder_row(size_t index); /* NULL behind the last */

/* draw.c: on RGB8 rows, clipped. Colours 0xRRGGBB. */
struct canvas {
    uint8_t *rgb;
    int width, height;
    size_t stride;
};
void fm_draw_box(struct canvas *canvas, int x1, int y1, int x2, int y2, int thickness, uint32_t colour);
void fm_draw_dot(struct canvas *canvas, int x, int y, int radius, uint32_t colour);
void fm_draw_text(struct canvas *canvas, int x, int y, int scale, const char *text, uint32_t colour,
                  uint32_t background);
int fm_text_width(const char *text, int scale);
#define FM_FONT_HEIGHT 9

/* encode.c: append the file to `out`. */
FM_MUST_USE fm_status fm_encode_png(const struct canvas *canvas, struct buffer *out, fm_error *error);
FM_MUST_USE fm_status fm_encode_jpeg(const struct canvas *canvas, int quality, struct buffer *out, fm_error *error);

#endif
