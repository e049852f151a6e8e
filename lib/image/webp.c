/* WebP by libwebp, lossy and lossless; alpha is dropped, of an animation the first frame is taken. The RIFF container
   is walked here: it holds the Exif chunk, tells a truncated file, and leads to the first frame. Any thread. */
#include "image/codec.h"

#include <string.h>

#include <webp/decode.h>

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, FRAME_HEADER = 16 };

struct webp_file {
    const uint8_t *frame; /* what libwebp decodes: the whole file, or the first frame's chunks */
    size_t frame_size;
    const uint8_t *exif;
    size_t exif_size;
    uint32_t width, height; /* of the canvas; 0: those of the frame */
    uint32_t left, top;     /* of the frame on the canvas */
    bool complete;          /* every chunk ends inside the file */
};

struct webp_reader {
    struct webp_file file;
    struct image *image;
    const char *name;
    const fm_limits *limits;
    fm_error *error;
};

static uint32_t read_u24(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static void see_chunk(struct webp_file *file, const uint8_t *chunk, const uint8_t *payload, size_t size) {
    if (!memcmp(chunk, "EXIF", 4) && !file->exif) {
        file->exif = payload;
        file->exif_size = size;
    } else if (!memcmp(chunk, "VP8X", 4) && size >= 10) {
        file->width = read_u24(payload + 4) + 1;
        file->height = read_u24(payload + 7) + 1;
    } else if (!memcmp(chunk, "ANMF", 4) && size > FRAME_HEADER && !file->frame) {
        file->left = read_u24(payload) * 2;
        file->top = read_u24(payload + 3) * 2;
        file->frame = payload + FRAME_HEADER;
        file->frame_size = size - FRAME_HEADER;
    }
}

static struct webp_file walk_file(const uint8_t *bytes, size_t size) {
    struct webp_file file = {0};
    uint64_t end = CHUNK_HEADER + (read_u24(bytes + 4) | (uint64_t)bytes[7] << 24);
    file.complete = end <= size;
    if (file.complete) /* what follows the RIFF block is not ours */
        size = (size_t)end;
    for (size_t at = RIFF_HEADER; at < size;) {
        if (size - at < CHUNK_HEADER) {
            file.complete = false;
            break;
        }
        const uint8_t *chunk = bytes + at;
        uint64_t length = read_u24(chunk + 4) | (uint64_t)chunk[7] << 24;
        at += CHUNK_HEADER;
        if (length > size - at) {
            file.complete = false;
            length = size - at;
        }
        see_chunk(&file, chunk, bytes + at, (size_t)length);
        at += (size_t)(length + (length & 1)); /* chunks are padded to even sizes */
    }
    if (!file.frame) {
        file.frame = bytes;
        file.frame_size = size;
        file.width = file.height = 0;
    }
    return file;
}

static fm_status fail(const struct webp_reader *reader, VP8StatusCode code) {
    const char *words =
        code == VP8_STATUS_UNSUPPORTED_FEATURE ? "a feature that libwebp does not know" : "its data are damaged";
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED)
        return fm_image_truncated(reader->name, "WebP data stop before the picture is complete", reader->error);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return fm_fail(reader->error, FM_OUT_OF_MEMORY, "no memory to decode '%s' as WebP; lower fm_limits.max_pixels",
                       reader->name);
    return fm_fail(reader->error, code == VP8_STATUS_UNSUPPORTED_FEATURE ? FM_UNSUPPORTED : FM_BAD_IMAGE,
                   "cannot decode '%s' as WebP: %s; fetch the file again or convert it", reader->name, words);
}

/* Checks that the frame lies inside its canvas, then sizes the image. */
static fm_status prepare(const struct webp_reader *reader, const WebPBitstreamFeatures *features) {
    const struct webp_file *file = &reader->file;
    uint64_t right = (uint64_t)file->left + (uint32_t)features->width,
             bottom = (uint64_t)file->top + (uint32_t)features->height;
    uint64_t width = file->width ? file->width : right, height = file->height ? file->height : bottom;
    if (right > width || bottom > height)
        return fail(reader, VP8_STATUS_BITSTREAM_ERROR);
    fm_status status = fm_image_prepare(reader->image, width, height, reader->name, reader->limits, reader->error);
    bool covered = features->width == reader->image->width && features->height == reader->image->height;
    if (!status && (!covered || reader->limits->accept_truncated))
        memset(reader->image->rgb.bytes, 0, reader->image->rgb.size);
    return status;
}

/* Incremental decoding keeps the rows that a truncated file still has. */
static VP8StatusCode decode_what_is_there(const struct webp_file *file, WebPDecoderConfig *config) {
    WebPIDecoder *decoder = WebPIDecode(NULL, 0, config);
    if (!decoder)
        return VP8_STATUS_OUT_OF_MEMORY;
    VP8StatusCode code = WebPIUpdate(decoder, file->frame, file->frame_size);
    WebPIDelete(decoder);
    return code == VP8_STATUS_SUSPENDED ? VP8_STATUS_OK : code;
}

static fm_status read_image(const struct webp_reader *reader, WebPDecoderConfig *config) {
    const struct webp_file *file = &reader->file;
    VP8StatusCode code = WebPGetFeatures(file->frame, file->frame_size, &config->input);
    if (code)
        return fail(reader, code);
    if (!file->complete && !reader->limits->accept_truncated)
        return fail(reader, VP8_STATUS_NOT_ENOUGH_DATA);
    fm_status status = prepare(reader, &config->input);
    if (status)
        return status;
    size_t stride = (size_t)reader->image->width * 3, start = file->top * stride + (size_t)file->left * 3;
    config->output.colorspace = MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA = (WebPRGBABuffer){
        .rgba = reader->image->rgb.bytes + start, .stride = (int)stride, .size = reader->image->rgb.size - start};
    code = reader->limits->accept_truncated ? decode_what_is_there(file, config)
                                            : WebPDecode(file->frame, file->frame_size, config);
    if (code)
        return fail(reader, code);
    if (file->exif)
        reader->image->orientation = fm_exif_orientation(file->exif, file->exif_size);
    return FM_OK;
}

fm_status fm_decode_webp(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                         const fm_limits *limits, fm_error *error) {
    struct webp_reader reader = {
        .file = walk_file(bytes, size), .image = image, .name = name, .limits = limits, .error = error};
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return fm_fail(error, FM_UNSUPPORTED,
                       "libwebp is older than the headers facemill was built with; update libwebp");
    fm_status status = read_image(&reader, &config);
    WebPFreeDecBuffer(&config.output);
    return status;
}
