/* PNG by libspng, every kind of pixel brought to RGB8: high byte of 16-bit samples, palette and grey spread, alpha
   dropped without blending, gamma ignored, as OpenCV's colour read does. Any thread. */
#include "image/codec.h"

#include <string.h>

#include <spng.h>

/* What text, colour profiles and Exif may take together, packed or unpacked; real ones are far below. */
#define MAX_CHUNK_BYTES ((size_t)64 << 20)
/* Deflate cannot expand further than this (RFC 1951: 258 bytes from two bits). */
enum { MAX_EXPANSION = 1032 };
enum {
    SIGNATURE = 8,
    CHUNK_HEADER = 8,
    CHUNK_FRAME = 12
}; /* a chunk's bytes beside its content: length, type, checksum */

struct png_reader {
    spng_ctx *codec;
    struct image *image;
    size_t size;
    const char *name;
    const fm_limits *limits;
    fm_error *error;
};

static bool is_early_end(int code) {
    return code == SPNG_IO_EOF || code == SPNG_EOF || code == SPNG_EIDAT_TOO_SHORT;
}

static fm_status fail(const struct png_reader *reader, int code) {
    if (is_early_end(code))
        return fm_image_truncated(reader->name, "PNG data stop before the picture is complete", reader->error);
    if (code == SPNG_EMEM)
        return fm_fail(reader->error, FM_OUT_OF_MEMORY, "no memory to decode '%s' as PNG; lower fm_limits.max_pixels",
                       reader->name);
    if (code == SPNG_ECHUNK_LIMITS)
        return fm_fail(reader->error, FM_LIMIT,
                       "'%s' carries more than %zu bytes of text or profiles; save it without them", reader->name,
                       MAX_CHUNK_BYTES);
    return fm_fail(reader->error, FM_BAD_IMAGE, "'%s' is a damaged PNG: %s; fetch the file again", reader->name,
                   spng_strerror(code));
}

/* A header that promises more rows than its file could unpack to is found out before memory is taken for them. */
static bool holds_its_rows(const struct png_reader *reader, const struct spng_ihdr *header) {
    static const uint8_t channels[] = {1, 0, 3, 1, 2, 0, 4};
    uint64_t bits = (uint64_t)header->width * header->bit_depth * channels[header->color_type];
    return (bits + 7) / 8 * header->height <= (uint64_t)reader->size * MAX_EXPANSION;
}

static fm_status read_header(const struct png_reader *reader) {
    struct spng_ihdr header;
    int code = spng_get_ihdr(reader->codec, &header);
    if (code)
        return fail(reader, code);
    fm_status status = fm_image_admit(header.width, header.height, reader->name, reader->limits, reader->error);
    if (!status && !reader->limits->accept_truncated && !holds_its_rows(reader, &header))
        status =
            fm_image_truncated(reader->name, "it cannot unpack to as many rows as its header promises", reader->error);
    return status ? status
                  : fm_image_prepare(reader->image, header.width, header.height, reader->name, reader->limits,
                                     reader->error);
}

/* eXIf may stand before or behind the pixels. */
static int read_orientation(const struct png_reader *reader) {
    struct spng_exif exif;
    int code = spng_get_exif(reader->codec, &exif);
    if (!code)
        reader->image->orientation = fm_exif_orientation((const uint8_t *)exif.data, exif.length);
    return code == SPNG_ECHUNKAVAIL ? 0 : code;
}

/* Interlaced files come in seven passes over the same rows; libspng fills in the pixels of each pass. */
static int read_rows(const struct png_reader *reader) {
    size_t stride = (size_t)reader->image->width * 3;
    struct spng_row_info row;
    int code = spng_decode_image(reader->codec, NULL, 0, SPNG_FMT_RGB8, SPNG_DECODE_PROGRESSIVE);
    while (!code && !(code = spng_get_row_info(reader->codec, &row)))
        code = spng_decode_row(reader->codec, reader->image->rgb.bytes + row.row_num * stride, stride);
    return code == SPNG_EOI ? 0 : code;
}

static fm_status read_image(const struct png_reader *reader) {
    fm_status status = read_header(reader);
    if (status)
        return status;
    if (reader->limits->accept_truncated) /* what is missing shall be black, not what the memory held before */
        memset(reader->image->rgb.bytes, 0, reader->image->rgb.size);
    int code = read_orientation(reader);
    if (code)
        return fail(reader, code);
    code = read_rows(reader);
    if (!code)
        code = spng_decode_chunks(reader->codec);
    if (!code)
        code = read_orientation(reader);
    return code && !(reader->limits->accept_truncated && is_early_end(code)) ? fail(reader, code) : FM_OK;
}

/* Where the chunk begins that reaches beyond the end; `size` when none does. */
static size_t find_cut_chunk(const uint8_t *bytes, size_t size) {
    size_t at = SIGNATURE;
    while (size - at >= CHUNK_FRAME) {
        uint64_t length =
            (uint64_t)bytes[at] << 24 | (uint64_t)bytes[at + 1] << 16 | (uint64_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (length > size - at - CHUNK_FRAME)
            return at;
        at += (size_t)length + CHUNK_FRAME;
    }
    return size;
}

/* libspng takes a chunk of a file in memory whole or not at all. So that the rows of a cut IDAT chunk are not lost, the
   file is copied and the chunk's length set to what is there; its checksum cannot be right any more. */
static int open_cut_file(const struct png_reader *reader, const uint8_t *bytes, size_t size, size_t cut) {
    struct buffer *copy = &reader->image->scratch;
    size_t length = size - cut - CHUNK_HEADER;
    if (!fm_buffer_resize(copy, size + 4)) /* a file in memory is far from SIZE_MAX */
        return SPNG_EMEM;
    memcpy(copy->bytes, bytes, size);
    memset(copy->bytes + size, 0, 4);
    for (int i = 0; i < 4; i++)
        copy->bytes[cut + (size_t)i] = (uint8_t)(length >> (24 - 8 * i));
    int code = spng_set_crc_action(reader->codec, SPNG_CRC_USE, SPNG_CRC_USE);
    return code ? code : spng_set_png_buffer(reader->codec, copy->bytes, copy->size);
}

static int open_file(const struct png_reader *reader, const uint8_t *bytes, size_t size) {
    size_t cut = reader->limits->accept_truncated ? find_cut_chunk(bytes, size) : size;
    int code = spng_set_chunk_limits(reader->codec, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES);
    if (code)
        return code;
    return cut < size ? open_cut_file(reader, bytes, size, cut) : spng_set_png_buffer(reader->codec, bytes, size);
}

fm_status fm_decode_png(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                        const fm_limits *limits, fm_error *error) {
    struct png_reader reader = {.image = image, .size = size, .name = name, .limits = limits, .error = error};
    reader.codec = spng_ctx_new(0);
    int code = reader.codec ? open_file(&reader, bytes, size) : SPNG_EMEM;
    fm_status status = code ? fail(&reader, code) : read_image(&reader);
    spng_ctx_free(reader.codec);
    return status;
}
