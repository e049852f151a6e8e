/* Samples: the picture, its turned twins, Exif blocks, and the list of all samples. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x265, which makes the HEIC samples, keeps some memory; LeakSanitizer asks here what is not our leak. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libx265\n";
}

void sample_require(bool condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "cannot make a sample: %s\n", what);
    exit(99);
}

void sample_append(struct buffer *out, const void *bytes, size_t size) {
    sample_require(fm_buffer_append(out, bytes, size, 0), "no memory");
}

static struct picture picture_new(int width, int height) {
    struct picture picture = {width, height, fm_alloc_array((size_t)width * (size_t)height, 3)};
    sample_require(picture.rgb != NULL, "no memory");
    return picture;
}

void picture_reset(struct picture *picture) {
    fm_free(picture->rgb);
    *picture = (struct picture){0};
}

static bool inside(int value, int size, int from, int to) {
    return value * 8 >= size * from && value * 8 < size * to;
}

struct picture picture_draw(int width, int height) {
    struct picture picture = picture_new(width, height);
    uint8_t *pixel = picture.rgb;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixel += 3) {
            pixel[0] = (uint8_t)(40 + 150 * x / width);
            pixel[1] = (uint8_t)(60 + 120 * y / height);
            pixel[2] = (uint8_t)(200 - 100 * (x + y) / (width + height));
            if (inside(x, width, 1, 3) && inside(y, height, 1, 3))
                memcpy(pixel, (uint8_t[]){240, 220, 60}, 3);
            if (inside(x, width, 1, 2) && inside(y, height, 4, 7))
                memcpy(pixel, (uint8_t[]){20, 40, 90}, 3);
        }
    return picture;
}

struct picture picture_turned(const struct picture *stored, int orientation) {
    int w = stored->width, h = stored->height;
    struct picture turned = orientation >= 5 ? picture_new(h, w) : picture_new(w, h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int upright[9][2] = {{x, y},         {x, y}, {w - 1 - x, y}, {w - 1 - x, h - 1 - y},
                                       {x, h - 1 - y}, {y, x}, {h - 1 - y, x}, {h - 1 - y, w - 1 - x},
                                       {y, w - 1 - x}};
            const int *at = upright[orientation];
            memcpy(turned.rgb + 3 * (at[1] * turned.width + at[0]), stored->rgb + 3 * (y * w + x), 3);
        }
    return turned;
}

struct difference picture_compare(const struct picture *picture, const struct image *image) {
    struct difference difference = {0};
    size_t count = (size_t)picture->width * (size_t)picture->height * 3;
    if (picture->width != image->width || picture->height != image->height)
        return (struct difference){-1, -1};
    for (size_t i = 0; i < count; i++) {
        int off = abs((int)picture->rgb[i] - (int)image->rgb.bytes[i]);
        difference.mean += off;
        difference.worst = off > difference.worst ? off : difference.worst;
    }
    difference.mean /= (double)count;
    return difference;
}

static void put(uint8_t *to, bool big_endian, int bytes, uint32_t value) {
    for (int i = 0; i < bytes; i++)
        to[big_endian ? bytes - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

static void put_entry(uint8_t *to, bool big_endian, uint32_t tag, uint32_t type, uint32_t count, uint32_t value) {
    put(to, big_endian, 2, tag);
    put(to + 2, big_endian, 2, type);
    put(to + 4, big_endian, 4, count);
    put(to + 8, big_endian, type == 3 ? 2 : 4, value);
}

size_t sample_tiff(uint8_t tiff[SAMPLE_TIFF_SIZE], int orientation, bool big_endian) {
    memset(tiff, 0, SAMPLE_TIFF_SIZE);
    memcpy(tiff, big_endian ? "MM\0*" : "II*\0", 4);
    put(tiff + 4, big_endian, 4, 8);
    put(tiff + 8, big_endian, 2, 3);
    put_entry(tiff + 10, big_endian, 0x0100, 4, 1, 64);                    /* ImageWidth */
    put_entry(tiff + 22, big_endian, 0x0112, 3, 1, (uint32_t)orientation); /* Orientation */
    put_entry(tiff + 34, big_endian, 0x0128, 3, 1, 2);                     /* ResolutionUnit */
    return SAMPLE_TIFF_SIZE;                                               /* four zero bytes end the directory */
}

#ifdef FM_WITH_JPEG
static void make_jpeg(const struct picture *picture, size_t variant, struct buffer *out) {
    static const struct jpeg_kind kinds[] = {
        {.colour = JPEG_RGB, .sampling = 2},
        {.colour = JPEG_RGB, .progressive = true, .sampling = 3, .orientation = 6},
        {.colour = JPEG_GREY, .restarts = true, .orientation = 3},
        {.colour = JPEG_CMYK},
        {.colour = JPEG_YCCK, .progressive = true},
    };
    sample_jpeg(picture, kinds[variant], out);
}
#endif

#ifdef FM_WITH_PNG
static void make_png(const struct picture *picture, size_t variant, struct buffer *out) {
    static const struct png_kind kinds[] = {
        {.colour_type = 2, .depth = 8, .orientation = 5},
        {.colour_type = 6, .depth = 16, .interlaced = true},
        {.colour_type = 3, .depth = 4, .transparency = true, .orientation = 8, .exif_last = true},
        {.colour_type = 4, .depth = 8, .gamma = true},
        {.colour_type = 0, .depth = 1, .interlaced = true},
    };
    struct picture twin;
    sample_png(picture, kinds[variant], out, &twin);
    picture_reset(&twin);
}
#endif

#ifdef FM_WITH_WEBP
static void make_webp(const struct picture *picture, size_t variant, struct buffer *out) {
    static const struct webp_kind kinds[] = {
        {.lossy = true},    {.lossy = true, .alpha = true, .orientation = 7},
        {.alpha = true},    {.animated = true, .offset = true, .orientation = 2},
        {.orientation = 6},
    };
    sample_webp(picture, kinds[variant], out);
}
#endif

#ifdef FM_WITH_HEIF
static void make_heif(const struct picture *picture, size_t variant, struct buffer *out) {
    static const struct heif_kind kinds[] = {
        {.orientation = 1},
        {.orientation = 6, .exif_orientation = 3},
        {.av1 = true, .orientation = 1},
        {.av1 = true, .ten_bit = true, .orientation = 8},
        {.ten_bit = true, .orientation = 1},
    };
    sample_heif(picture, kinds[variant], out);
}
#endif

void sample_make(size_t index, struct sample *sample) {
    enum { VARIANTS = 5 };
    static const struct {
        const char *name;
        void (*make)(const struct picture *picture, size_t variant, struct buffer *out);
    } formats[] = {
#ifdef FM_WITH_JPEG
        {"jpeg", make_jpeg},
#endif
#ifdef FM_WITH_PNG
        {"png", make_png},
#endif
#ifdef FM_WITH_WEBP
        {"webp", make_webp},
#endif
#ifdef FM_WITH_HEIF
        {"heif", make_heif},
#endif
        {NULL, NULL}};
    size_t format = index / VARIANTS;
    *sample = (struct sample){0};
    if (format >= sizeof formats / sizeof *formats - 1)
        return;
    struct picture picture = picture_draw(72, 56);
    formats[format].make(&picture, index % VARIANTS, &sample->file);
    sample->name = formats[format].name;
    picture_reset(&picture);
}
