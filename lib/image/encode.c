/* Encode: RGB8 rows become a PNG or JPEG file in memory. Both libraries push bytes into the caller's buffer as they
   make them. Any thread. */
#include "image/codec.h"

#ifdef FM_WITH_PNG
#include <spng.h>
#endif
#ifdef FM_WITH_JPEG
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#endif

#ifdef FM_WITH_PNG
static int on_png_bytes(spng_ctx *codec, void *out, void *bytes, size_t size) {
    (void)codec;
    return fm_buffer_append(out, bytes, size, 0) ? 0 : SPNG_IO_ERROR;
}

fm_status fm_encode_png(const struct canvas *canvas, struct buffer *out, fm_error *error) {
    struct spng_ihdr header = {.width = (uint32_t)canvas->width,
                               .height = (uint32_t)canvas->height,
                               .bit_depth = 8,
                               .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    spng_ctx *codec = spng_ctx_new(SPNG_CTX_ENCODER);
    int code = codec ? spng_set_png_stream(codec, on_png_bytes, out) : SPNG_EMEM;
    if (!code)
        code = spng_set_ihdr(codec, &header);
    if (!code)
        code = spng_encode_image(codec, NULL, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);
    for (const uint8_t *row = canvas->rgb; !code; row += canvas->stride)
        code = spng_encode_row(codec, row, (size_t)canvas->width * 3);
    spng_ctx_free(codec);
    if (code == SPNG_EOI)
        return FM_OK;
    return fm_fail(error, code == SPNG_EMEM || code == SPNG_IO_ERROR ? FM_OUT_OF_MEMORY : FM_INTERNAL,
                   "cannot encode %d x %d pixels as PNG: %s; write a smaller picture", canvas->width, canvas->height,
                   spng_strerror(code));
}
#else
fm_status fm_encode_png(const struct canvas *canvas, struct buffer *out, fm_error *error) {
    (void)canvas, (void)out;
    return fm_fail(error, FM_UNSUPPORTED,
                   "this build cannot write PNG; build facemill with -DFM_WITH_PNG=ON, or write JPEG");
}
#endif

#ifdef FM_WITH_JPEG
enum { BLOCK_SIZE = 16384 };

struct jpeg_writer {
    struct jpeg_compress_struct codec;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf escape;
    fm_status status;
    struct buffer *out;
    fm_error *error;
    uint8_t block[BLOCK_SIZE];
};

static _Noreturn void escape(struct jpeg_writer *writer, fm_status status, const char *words) {
    writer->status =
        fm_fail(writer->error, status, "cannot encode %u x %u pixels as JPEG: %s; write a smaller picture or PNG",
                writer->codec.image_width, writer->codec.image_height, words);
    longjmp(writer->escape, 1);
}

static void on_error(j_common_ptr codec) {
    char words[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, words);
    escape(codec->client_data, FM_INVALID_ARGUMENT, words);
}

static void on_output(j_common_ptr codec) {
    (void)codec; /* nothing is printed: words travel in fm_error */
}

static void on_start(j_compress_ptr codec) {
    struct jpeg_writer *writer = codec->client_data;
    writer->destination.next_output_byte = writer->block;
    writer->destination.free_in_buffer = BLOCK_SIZE;
}

static void flush(struct jpeg_writer *writer, size_t size) {
    if (!fm_buffer_append(writer->out, writer->block, size, 0))
        escape(writer, FM_OUT_OF_MEMORY, "no memory");
}

static boolean on_full(j_compress_ptr codec) {
    flush(codec->client_data, BLOCK_SIZE); /* the whole block, whatever free_in_buffer says: libjpeg's rule */
    on_start(codec);
    return TRUE;
}

static void on_end(j_compress_ptr codec) {
    struct jpeg_writer *writer = codec->client_data;
    flush(writer, BLOCK_SIZE - writer->destination.free_in_buffer);
}

static fm_status write_stream(struct jpeg_writer *writer, const struct canvas *canvas, int quality) {
    struct jpeg_compress_struct *codec = &writer->codec;
    if (setjmp(writer->escape))
        return writer->status;
    jpeg_create_compress(codec);
    codec->dest = &writer->destination;
    codec->image_width = (JDIMENSION)canvas->width;
    codec->image_height = (JDIMENSION)canvas->height;
    codec->input_components = 3;
    codec->in_color_space = JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, quality, TRUE);
    jpeg_start_compress(codec, TRUE);
    while (codec->next_scanline < codec->image_height) {
        JSAMPROW row = canvas->rgb + codec->next_scanline * canvas->stride;
        (void)jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
    return FM_OK;
}

fm_status fm_encode_jpeg(const struct canvas *canvas, int quality, struct buffer *out, fm_error *error) {
    struct jpeg_writer writer = {.out = out, .error = error};
    writer.codec.err = jpeg_std_error(&writer.errors);
    writer.codec.client_data = &writer;
    writer.errors.error_exit = on_error;
    writer.errors.output_message = on_output;
    writer.destination = (struct jpeg_destination_mgr){
        .init_destination = on_start, .empty_output_buffer = on_full, .term_destination = on_end};
    fm_status status = write_stream(&writer, canvas, quality);
    jpeg_destroy_compress(&writer.codec);
    return status;
}
#else
fm_status fm_encode_jpeg(const struct canvas *canvas, int quality, struct buffer *out, fm_error *error) {
    (void)canvas, (void)quality, (void)out;
    return fm_fail(error, FM_UNSUPPORTED,
                   "this build cannot write JPEG; build facemill with -DFM_WITH_JPEG=ON, or write PNG");
}
#endif
