/* JPEG by libjpeg-turbo: its exact integer transform and smooth chroma, which are OpenCV's pixels. Rows go straight
   into the image. The library reports errors by a call that must not return: every call into it happens inside
   read_stream, below one setjmp. Any thread; one jpeg_reader per call. */
#include "image/codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

enum { ROWS_AT_ONCE = 16, MARKER_EOI = 0xd9, MARKER_EXIF = JPEG_APP0 + 1 };
/* A damaged file may warn at every block. Past this many it is noise, not a picture. */
enum { MAX_WARNINGS = 10000 };
/* Each scan of a progressive file walks over the whole image again, and an empty scan costs the attacker ten bytes.
   Encoders write about ten. */
enum { MIN_SCANS = 32, MAX_SCANS = 500 };
#define MAX_SCANNED_PIXELS 600000000u

struct jpeg_reader {
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    fm_status status;
    int max_scans;
    bool ended_early;
    struct image *image;
    const char *name;
    const fm_limits *limits;
    fm_error *error;
};

static _Noreturn void escape(struct jpeg_reader *reader, fm_status status) {
    reader->status = status;
    longjmp(reader->escape, 1);
}

static fm_status status_for(const struct jpeg_reader *reader) {
    switch (reader->errors.msg_code) {
    case JERR_OUT_OF_MEMORY:
        return FM_OUT_OF_MEMORY;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
        return FM_UNSUPPORTED;
    default:
        return reader->ended_early ? FM_TRUNCATED : FM_BAD_IMAGE;
    }
}

static void on_error(j_common_ptr codec) {
    struct jpeg_reader *reader = codec->client_data;
    char words[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, words);
    fm_status status = status_for(reader);
    if (status == FM_TRUNCATED)
        escape(reader, fm_image_truncated(reader->name, words, reader->error));
    escape(reader, fm_fail(reader->error, status, "cannot decode '%s' as JPEG: %s; %s", reader->name, words,
                           status == FM_OUT_OF_MEMORY ? "lower fm_limits.max_pixels"
                                                      : "convert the file with a program that can read it"));
}

/* The end of the data in the middle of a scan: of the file, or an end marker that came too soon. */
static bool is_early_end(const struct jpeg_reader *reader) {
    return reader->errors.msg_code == JWRN_JPEG_EOF ||
           (reader->errors.msg_code == JWRN_HIT_MARKER && reader->codec.unread_marker == MARKER_EOI);
}

static void on_message(j_common_ptr codec, int level) {
    struct jpeg_reader *reader = codec->client_data;
    if (level >= 0)
        return;
    codec->err->num_warnings++;
    if (is_early_end(reader)) {
        reader->ended_early = true;
        if (!reader->limits->accept_truncated)
            escape(reader,
                   fm_image_truncated(reader->name, "JPEG data stop before the picture is complete", reader->error));
    }
    if (codec->err->num_warnings > MAX_WARNINGS)
        escape(reader, fm_fail(reader->error, FM_BAD_IMAGE,
                               "'%s' is a damaged JPEG: more than %d errors in its data; "
                               "fetch the file again",
                               reader->name, MAX_WARNINGS));
}

static void on_progress(j_common_ptr codec) {
    struct jpeg_reader *reader = codec->client_data;
    if (reader->codec.input_scan_number > reader->max_scans)
        escape(reader, fm_fail(reader->error, FM_LIMIT,
                               "'%s' has more than %d scans for %u x %u pixels; ordinary files have "
                               "ten; save it again as a plain JPEG",
                               reader->name, reader->max_scans, reader->codec.image_width, reader->codec.image_height));
}

static void on_output(j_common_ptr codec) {
    (void)codec; /* nothing is printed: words travel in fm_error */
}

static int find_orientation(const struct jpeg_decompress_struct *codec) {
    for (jpeg_saved_marker_ptr marker = codec->marker_list; marker; marker = marker->next)
        if (marker->marker == MARKER_EXIF && marker->data_length > 6 && !memcmp(marker->data, "Exif\0", 5))
            return fm_exif_orientation(marker->data, marker->data_length);
    return 1;
}

/* Huffman coding spends at least one bit on a block, so a header that promises more blocks than the file has bits is
   found out before any memory is taken for them. */
static bool holds_its_blocks(const struct jpeg_decompress_struct *codec, size_t size) {
    uint64_t blocks = 0;
    for (int i = 0; i < codec->num_components; i++)
        blocks += (uint64_t)codec->comp_info[i].width_in_blocks * codec->comp_info[i].height_in_blocks;
    return codec->arith_code || (uint64_t)size >= blocks / 8;
}

static void read_header(struct jpeg_reader *reader, size_t size) {
    struct jpeg_decompress_struct *codec = &reader->codec;
    jpeg_save_markers(codec, MARKER_EXIF, 0xffff);
    (void)jpeg_read_header(codec, TRUE);
    fm_status status =
        fm_image_admit(codec->image_width, codec->image_height, reader->name, reader->limits, reader->error);
    if (status)
        escape(reader, status);
    if (!reader->limits->accept_truncated && !holds_its_blocks(codec, size))
        escape(reader,
               fm_image_truncated(reader->name, "it has fewer bits than its picture has blocks", reader->error));
    if (codec->num_components == 2 || codec->num_components > 4)
        escape(reader, fm_fail(reader->error, FM_UNSUPPORTED,
                               "'%s' is a JPEG of %d components; 1, 3 and 4 are known; convert "
                               "it to RGB",
                               reader->name, codec->num_components));
    status = fm_image_prepare(reader->image, codec->image_width, codec->image_height, reader->name, reader->limits,
                              reader->error);
    if (status)
        escape(reader, status);
    uint64_t scans = MAX_SCANNED_PIXELS / ((uint64_t)codec->image_width * codec->image_height);
    reader->max_scans = scans < MIN_SCANS ? MIN_SCANS : scans > MAX_SCANS ? MAX_SCANS : (int)scans;
    reader->image->orientation = find_orientation(codec);
    codec->out_color_space = codec->num_components == 4 ? JCS_CMYK : JCS_RGB;
}

static void read_rgb(struct jpeg_reader *reader) {
    struct jpeg_decompress_struct *codec = &reader->codec;
    size_t stride = (size_t)reader->image->width * 3;
    JSAMPROW rows[ROWS_AT_ONCE];
    while (codec->output_scanline < codec->output_height) {
        JDIMENSION count = codec->output_height - codec->output_scanline;
        if (count > ROWS_AT_ONCE)
            count = ROWS_AT_ONCE;
        for (JDIMENSION i = 0; i < count; i++)
            rows[i] = reader->image->rgb.bytes + (codec->output_scanline + i) * stride;
        (void)jpeg_read_scanlines(codec, rows, count);
    }
}

/* Inks are stored as light (255 = no ink), as Adobe writes them and as OpenCV takes every such file. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int width) {
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int i = 0; i < 3; i++)
            rgb[i] = (uint8_t)(cmyk[3] - ((255 - cmyk[i]) * cmyk[3] >> 8));
}

static void read_cmyk(struct jpeg_reader *reader) {
    struct image *image = reader->image;
    size_t width = (size_t)image->width; /* four bytes each fit, since the image's three times height did */
    if (!fm_buffer_resize(&image->scratch, width * 4))
        escape(reader, fm_fail(reader->error, FM_OUT_OF_MEMORY,
                               "no memory for a row of '%s'; lower fm_limits.max_pixels", reader->name));
    JSAMPROW row = image->scratch.bytes;
    for (uint8_t *rgb = image->rgb.bytes; reader->codec.output_scanline < reader->codec.output_height;
         rgb += width * 3) {
        (void)jpeg_read_scanlines(&reader->codec, &row, 1);
        cmyk_to_rgb(row, rgb, image->width);
    }
}

static fm_status read_stream(struct jpeg_reader *reader, const uint8_t *bytes, size_t size) {
    if (setjmp(reader->escape))
        return reader->status;
    jpeg_create_decompress(&reader->codec);
    reader->codec.progress = &reader->progress; /* creation cleared it */
    jpeg_mem_src(&reader->codec, bytes, size);
    read_header(reader, size);
    (void)jpeg_start_decompress(&reader->codec);
    if (reader->codec.out_color_space == JCS_CMYK)
        read_cmyk(reader);
    else
        read_rgb(reader);
    (void)jpeg_finish_decompress(&reader->codec); /* reads up to the end marker, which a truncated file lacks */
    return FM_OK;
}

fm_status fm_decode_jpeg(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                         const fm_limits *limits, fm_error *error) {
    struct jpeg_reader reader = {
        .image = image, .name = name, .limits = limits, .error = error, .max_scans = MAX_SCANS};
    reader.codec.err = jpeg_std_error(&reader.errors);
    reader.codec.client_data = &reader;
    reader.errors.error_exit = on_error;
    reader.errors.emit_message = on_message;
    reader.errors.output_message = on_output;
    reader.progress.progress_monitor = on_progress;
    fm_status status = read_stream(&reader, bytes, size);
    jpeg_destroy_decompress(&reader.codec);
    return status;
}
