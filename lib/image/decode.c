/* Decode: the visible table of decoders, what surrounds every one of them (limits, words, orientation), and nothing
   of any single format. To add a format: a file with its fm_decode_NAME, a row here, a row in tests/image. Any
   thread; state is in the caller's struct image. */
#include "image/codec.h"

#include <stdio.h>
#include <string.h>

#define KNOWN_FORMATS "JPEG, PNG, WebP, HEIC and AVIF"

/* ---- recognising a format by its first bytes */

static bool begins(const uint8_t *bytes, size_t size, const char *magic, size_t length) {
    return size >= length && !memcmp(bytes, magic, length);
}

static bool sniff_jpeg(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "\xff\xd8\xff", 3);
}

static bool sniff_png(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "\x89PNG\r\n\x1a\n", 8);
}

static bool sniff_webp(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "RIFF", 4) && size >= 12 && !memcmp(bytes + 8, "WEBP", 4);
}

static bool heif_brand(const uint8_t *brand) {
    static const char brands[][5] = {"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm",
                                     "hevs", "mif1", "mif2", "msf1", "avif", "avis"};
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (!memcmp(brand, brands[i], 4))
            return true;
    return false;
}

/* Major brand at 8, minor version at 12, compatible brands from 16 to the end of the box. */
static bool sniff_heif(const uint8_t *bytes, size_t size) {
    if (size < 12 || memcmp(bytes + 4, "ftyp", 4))
        return false;
    size_t end = (size_t)bytes[2] << 8 | bytes[3]; /* a longer ftyp box than 64 KiB is none */
    if (heif_brand(bytes + 8))
        return true;
    for (size_t at = 16; at + 4 <= end && at + 4 <= size; at += 4)
        if (heif_brand(bytes + at))
            return true;
    return false;
}

static bool sniff_gif(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "GIF87a", 6) || begins(bytes, size, "GIF89a", 6);
}

static bool sniff_bmp(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "BM", 2) && size >= 14 && !memcmp(bytes + 6, "\0\0\0\0", 4); /* reserved fields */
}

static bool sniff_tiff(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "II*\0", 4) || begins(bytes, size, "MM\0*", 4) || begins(bytes, size, "II+\0", 4) ||
           begins(bytes, size, "MM\0+", 4);
}

static bool sniff_jxl(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "\xff\x0a", 2) || begins(bytes, size, "\0\0\0\x0cJXL \r\n\x87\n", 12);
}

static bool sniff_jp2(const uint8_t *bytes, size_t size) {
    return begins(bytes, size, "\xff\x4f\xff\x51", 4) || begins(bytes, size, "\0\0\0\x0cjP  \r\n\x87\n", 12);
}

/* ---- the table */

#ifdef FM_WITH_JPEG
#define JPEG_ROW true, "FM_WITH_JPEG", sniff_jpeg, fm_decode_jpeg
#else
#define JPEG_ROW false, "FM_WITH_JPEG", sniff_jpeg, NULL
#endif
#ifdef FM_WITH_PNG
#define PNG_ROW true, "FM_WITH_PNG", sniff_png, fm_decode_png
#else
#define PNG_ROW false, "FM_WITH_PNG", sniff_png, NULL
#endif
#ifdef FM_WITH_WEBP
#define WEBP_ROW true, "FM_WITH_WEBP", sniff_webp, fm_decode_webp
#else
#define WEBP_ROW false, "FM_WITH_WEBP", sniff_webp, NULL
#endif
#ifdef FM_WITH_HEIF
#define HEIF_ROW true, "FM_WITH_HEIF", sniff_heif, fm_decode_heif
#else
#define HEIF_ROW false, "FM_WITH_HEIF", sniff_heif, NULL
#endif

static const struct decoder decoders[] = {
    {"jpeg", JPEG_ROW},
    {"png", PNG_ROW},
    {"webp", WEBP_ROW},
    {"heif", HEIF_ROW},
    {"gif", false, NULL, sniff_gif, NULL},
    {"bmp", false, NULL, sniff_bmp, NULL},
    {"tiff", false, NULL, sniff_tiff, NULL},
    {"jpeg-xl", false, NULL, sniff_jxl, NULL},
    {"jpeg-2000", false, NULL, sniff_jp2, NULL},
};

const struct decoder *fm_decoder_row(size_t index) {
    return index < sizeof decoders / sizeof *decoders ? &decoders[index] : NULL;
}

/* ---- limits */

fm_limits fm_limits_resolve(const fm_limits *limits) {
    fm_limits resolved = {0};
    if (limits) { /* a caller built against an older header has a shorter struct */
        size_t known =
            limits->struct_size && limits->struct_size < sizeof resolved ? limits->struct_size : sizeof resolved;
        memcpy(&resolved, limits, known);
    }
    resolved.struct_size = sizeof resolved;
    if (!resolved.max_file_bytes)
        resolved.max_file_bytes = (uint64_t)256 << 20;
    if (!resolved.max_pixels)
        resolved.max_pixels = 150000000;
    if (resolved.max_width <= 0)
        resolved.max_width = 30000;
    if (resolved.max_height <= 0)
        resolved.max_height = 30000;
    return resolved;
}

fm_status fm_image_admit(uint64_t width, uint64_t height, const char *name, const fm_limits *limits, fm_error *error) {
    if (width == 0 || height == 0)
        return fm_fail(error, FM_BAD_IMAGE,
                       "'%s' says it is %llu x %llu pixels; an image has at least one; replace the file", name,
                       (unsigned long long)width, (unsigned long long)height);
    if (width > (uint64_t)limits->max_width || height > (uint64_t)limits->max_height)
        return fm_fail(
            error, FM_LIMIT,
            "'%s' is %llu x %llu pixels; at most %d x %d are allowed; shrink it or raise fm_limits.max_width and "
            "max_height",
            name, (unsigned long long)width, (unsigned long long)height, limits->max_width, limits->max_height);
    if (width * height > limits->max_pixels) /* both fit an int: the product fits 64 bits */
        return fm_fail(error, FM_LIMIT,
                       "'%s' has %llu pixels (%llu x %llu); at most %llu are allowed; shrink it or raise "
                       "fm_limits.max_pixels",
                       name, (unsigned long long)(width * height), (unsigned long long)width,
                       (unsigned long long)height, (unsigned long long)limits->max_pixels);
    return FM_OK;
}

fm_status fm_image_prepare(struct image *image, uint64_t width, uint64_t height, const char *name,
                           const fm_limits *limits, fm_error *error) {
    fm_status status = fm_image_admit(width, height, name, limits, error);
    size_t pixels, size;
    if (status)
        return status;
    if (!fm_size_multiply((size_t)width, (size_t)height, &pixels) || !fm_size_multiply(pixels, 3, &size) ||
        !fm_buffer_resize(&image->rgb, size))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for '%s' (%llu x %llu pixels); lower fm_limits.max_pixels",
                       name, (unsigned long long)width, (unsigned long long)height);
    image->width = (int)width;
    image->height = (int)height;
    return FM_OK;
}

/* ---- reading */

fm_status fm_image_truncated(const char *name, const char *what, fm_error *error) {
    return fm_fail(error, FM_TRUNCATED,
                   "'%s' ends early: %s; fetch the file again, or accept truncated files to use what is there "
                   "(--accept-truncated, fm_limits.accept_truncated)",
                   name, what);
}

static fm_status unknown_format(const uint8_t *bytes, size_t size, const char *name, fm_error *error) {
    char hex[3 * 8 + 1] = "";
    for (size_t i = 0; i < size && i < 8; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, "%02x ", bytes[i]);
    return fm_fail(error, FM_BAD_IMAGE, "'%s' is not an image: first bytes %s; known formats are " KNOWN_FORMATS, name,
                   hex);
}

static fm_status find_decoder(const uint8_t *bytes, size_t size, const char *name, const struct decoder **found,
                              fm_error *error) {
    const struct decoder *row = NULL;
    for (size_t i = 0; (row = fm_decoder_row(i)) && !row->sniff(bytes, size); i++)
        continue;
    *found = row;
    if (!row)
        return unknown_format(bytes, size, name, error);
    if (!row->option)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' is a %s file, which is not decoded; convert it to PNG or JPEG",
                       name, row->name);
    if (!row->built)
        return fm_fail(
            error, FM_UNSUPPORTED,
            "'%s' is a %s file, and this build has no decoder for it; build facemill with -D%s=ON, or convert the "
            "file",
            name, row->name, row->option);
    return FM_OK;
}

fm_status fm_image_read(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                        const fm_limits *limits, fm_error *error) {
    const fm_limits resolved = fm_limits_resolve(limits);
    const struct decoder *decoder;
    fm_status status;
    image->width = image->height = 0;
    image->orientation = 1;
    image->format = "";
    if (!bytes || size == 0)
        return fm_fail(error, FM_BAD_IMAGE, "'%s' is empty; an image was expected", name);
    if (size > resolved.max_file_bytes)
        return fm_fail(error, FM_LIMIT, "'%s' has %zu bytes; at most %llu are allowed; raise fm_limits.max_file_bytes",
                       name, size, (unsigned long long)resolved.max_file_bytes);
    if ((status = find_decoder(bytes, size, name, &decoder, error)) != FM_OK)
        return status;
    image->format = decoder->name;
    status = decoder->decode(image, bytes, size, name, &resolved, error);
    if (!status)
        status = fm_image_orient(image, name, error);
    if (status)
        image->width = image->height = 0;
    return status;
}

void fm_image_reset(struct image *image) {
    fm_buffer_reset(&image->rgb);
    fm_buffer_reset(&image->scratch);
    *image = (struct image){0};
}
