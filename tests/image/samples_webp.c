/* Samples: WebP pictures by libwebp's encoder, put into extended and animated containers by hand. */
#include "samples.h"

#include <string.h>

#include <webp/encode.h>

static void put_le(uint8_t *to, int bytes, uint32_t value) {
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void add_chunk(struct buffer *out, const char *type, const void *bytes, size_t size) {
    uint8_t word[4];
    put_le(word, 4, (uint32_t)size);
    sample_append(out, type, 4);
    sample_append(out, word, 4);
    sample_append(out, bytes, size);
    if (size % 2)
        sample_append(out, "", 1);
}

/* Alpha stays above zero: the lossless encoder may change colours nobody can see. */
static size_t encode(const struct picture *picture, struct webp_kind kind, uint8_t **file) {
    int w = picture->width, h = picture->height;
    if (!kind.alpha)
        return kind.lossy ? WebPEncodeRGB(picture->rgb, w, h, w * 3, 95, file)
                          : WebPEncodeLosslessRGB(picture->rgb, w, h, w * 3, file);
    uint8_t *rgba = fm_alloc_array((size_t)w * (size_t)h, 4);
    sample_require(rgba != NULL, "no memory");
    for (int i = 0; i < w * h; i++) {
        memcpy(rgba + 4 * i, picture->rgb + 3 * i, 3);
        rgba[4 * i + 3] = (uint8_t)(1 + i % 255);
    }
    size_t size =
        kind.lossy ? WebPEncodeRGBA(rgba, w, h, w * 4, 95, file) : WebPEncodeLosslessRGBA(rgba, w, h, w * 4, file);
    fm_free(rgba);
    return size;
}

/* The chunks of an encoded file without its RIFF header and without a VP8X chunk. */
static const uint8_t *picture_chunks(const uint8_t *file, size_t *size) {
    size_t skip = !memcmp(file + 12, "VP8X", 4) ? 12 + 18 : 12;
    *size -= skip;
    return file + skip;
}

static void add_animation(struct buffer *out, const struct picture *picture, struct webp_kind kind,
                          const uint8_t *chunks, size_t size) {
    struct buffer frame = {0};
    uint8_t header[16] = {[12] = 40};
    put_le(header, 3, kind.offset ? 2 : 0); /* in units of two pixels */
    put_le(header + 3, 3, kind.offset ? 3 : 0);
    put_le(header + 6, 3, (uint32_t)picture->width - 1);
    put_le(header + 9, 3, (uint32_t)picture->height - 1);
    add_chunk(out, "ANIM", "\0\0\0\0\0\0", 6);
    sample_append(&frame, header, sizeof header);
    sample_append(&frame, chunks, size);
    add_chunk(out, "ANMF", frame.bytes, frame.size);
    add_chunk(out, "ANMF", frame.bytes, frame.size);
    fm_buffer_reset(&frame);
}

void sample_webp(const struct picture *picture, struct webp_kind kind, struct buffer *out) {
    uint8_t *file = NULL, header[10] = {0}, tiff[SAMPLE_TIFF_SIZE], word[4];
    size_t size = encode(picture, kind, &file);
    sample_require(size > 30, "libwebp's encoder");
    if (!kind.orientation && !kind.animated) {
        sample_append(out, file, size);
        WebPFree(file);
        return;
    }
    const uint8_t *chunks = picture_chunks(file, &size);
    header[0] = (uint8_t)((kind.orientation ? 8 : 0) | (kind.alpha ? 16 : 0) | (kind.animated ? 2 : 0));
    put_le(header + 4, 3, (uint32_t)picture->width - 1 + (kind.offset ? 9 : 0));
    put_le(header + 7, 3, (uint32_t)picture->height - 1 + (kind.offset ? 7 : 0));
    sample_append(out, "RIFF\0\0\0\0WEBP", 12);
    add_chunk(out, "VP8X", header, sizeof header);
    if (kind.animated)
        add_animation(out, picture, kind, chunks, size);
    else
        sample_append(out, chunks, size);
    if (kind.orientation)
        add_chunk(out, "EXIF", tiff, sample_tiff(tiff, kind.orientation, kind.orientation % 2));
    put_le(word, 4, (uint32_t)out->size - 8);
    memcpy(out->bytes + 4, word, 4);
    WebPFree(file);
}
