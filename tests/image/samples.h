/* Samples: small image files of every kind the decoders know, made here from one drawn picture, so that what comes
   out of a decoder has a twin to be compared with. Everything is deterministic. A failed allocation or a refusing
   encoder ends the test program: there is nothing to test then. */
#ifndef FM_TESTS_IMAGE_SAMPLES_H
#define FM_TESTS_IMAGE_SAMPLES_H

#include "image/image.h"

/* RGB8, no row padding. */
struct picture {
    int width, height;
    uint8_t *rgb;
};
/* Soft gradients with a bright square towards the top left and a dark one below it: no two orientations look alike. */
struct picture picture_draw(int width, int height);
/* As `stored` looks when its Exif orientation is applied, pixel by pixel by the tag's definition. */
struct picture picture_turned(const struct picture *stored, int orientation);
void picture_reset(struct picture *picture);

/* Mean and greatest difference of the samples of `image` and `picture`; both -1 when the sizes differ. */
struct difference {
    double mean;
    int worst;
};
struct difference picture_compare(const struct picture *picture, const struct image *image);

/* A TIFF block whose first directory holds Orientation among other tags. Returns its size. */
#define SAMPLE_TIFF_SIZE 50
size_t sample_tiff(uint8_t tiff[SAMPLE_TIFF_SIZE], int orientation, bool big_endian);

/* Every sample_* below appends to an empty `out`; orientation 0 writes no Exif. */

enum jpeg_colour { JPEG_RGB, JPEG_GREY, JPEG_CMYK, JPEG_YCCK };
struct jpeg_kind {
    enum jpeg_colour colour;
    bool progressive, arithmetic, restarts;
    int sampling; /* chroma h2v2 when 2, h2v1 when 3; none when 0 */
    int orientation;
};
void sample_jpeg(const struct picture *picture, struct jpeg_kind kind, struct buffer *out);

struct png_kind {
    int colour_type, depth; /* as IHDR has them */
    bool interlaced, transparency, gamma, exif_last;
    int orientation;
};
/* *twin receives what a decoder must give, exactly. */
void sample_png(const struct picture *picture, struct png_kind kind, struct buffer *out, struct picture *twin);

struct webp_kind {
    bool lossy, alpha, animated, offset; /* offset: the animation's first frame is smaller than the canvas */
    int orientation;
};
void sample_webp(const struct picture *picture, struct webp_kind kind, struct buffer *out);

struct heif_kind {
    bool av1, ten_bit;
    int orientation;      /* by irot and imir */
    int exif_orientation; /* a contradicting one beside it; 0: none */
};
void sample_heif(const struct picture *picture, struct heif_kind kind, struct buffer *out);

/* Append, or end the program. */
void sample_append(struct buffer *out, const void *bytes, size_t size);
void sample_require(bool condition, const char *what);

/* One sample of each format and main variant, for tests that take whatever there is. NULL name behind the last. */
struct sample {
    const char *name;
    struct buffer file;
};
void sample_make(size_t index, struct sample *sample);

#endif
