/* Samples: HEIC and AVIF by libheif's encoders (x265, aom), turned by the container's own irot and imir. */
#include "samples.h"

#include <string.h>

#include <libheif/heif.h>

static void check(struct heif_error why) {
    sample_require(!why.code, why.message);
}

static struct heif_error on_bytes(struct heif_context *context, const void *bytes, size_t size, void *out) {
    (void)context;
    sample_append(out, bytes, size);
    return (struct heif_error){.code = heif_error_Ok, .message = ""};
}

/* Ten bits hold the eight-bit level times four. */
static struct heif_image *to_heif(const struct picture *picture, bool ten_bit) {
    struct heif_image *image = NULL;
    int stride = 0, depth = ten_bit ? 10 : 8;
    check(heif_image_create(picture->width, picture->height, heif_colorspace_RGB,
                            ten_bit ? heif_chroma_interleaved_RRGGBB_LE : heif_chroma_interleaved_RGB, &image));
    check(heif_image_add_plane(image, heif_channel_interleaved, picture->width, picture->height, depth));
    uint8_t *rows = heif_image_get_plane(image, heif_channel_interleaved, &stride);
    for (int y = 0; y < picture->height; y++) {
        const uint8_t *rgb = picture->rgb + 3 * y * picture->width;
        uint8_t *row = rows + (ptrdiff_t)y * stride;
        for (int i = 0; i < picture->width * 3; i++)
            if (ten_bit) {
                row[2 * i] = (uint8_t)(rgb[i] << 2);
                row[2 * i + 1] = (uint8_t)(rgb[i] >> 6);
            } else {
                row[i] = rgb[i];
            }
    }
    return image;
}

void sample_heif(const struct picture *picture, struct heif_kind kind, struct buffer *out) {
    struct heif_context *context = heif_context_alloc();
    struct heif_encoder *encoder = NULL;
    struct heif_image_handle *handle = NULL;
    struct heif_image *image = to_heif(picture, kind.ten_bit);
    struct heif_encoding_options *options = heif_encoding_options_alloc();
    struct heif_writer writer = {.writer_api_version = 1, .write = on_bytes};
    check(heif_context_get_encoder_for_format(context, kind.av1 ? heif_compression_AV1 : heif_compression_HEVC,
                                              &encoder));
    check(heif_encoder_set_lossy_quality(encoder, 95));
    if (kind.av1) {
        check(heif_encoder_set_parameter_integer(encoder, "speed", 8));
        check(heif_encoder_set_parameter_string(encoder, "chroma", kind.ten_bit ? "422" : "444"));
    }
    options->image_orientation = (enum heif_orientation)kind.orientation;
    check(heif_context_encode_image(context, image, encoder, options, &handle));
    if (kind.exif_orientation) {
        uint8_t exif[6 + SAMPLE_TIFF_SIZE] = "Exif";
        sample_tiff(exif + 6, kind.exif_orientation, false);
        check(heif_context_add_exif_metadata(context, handle, exif, sizeof exif));
    }
    check(heif_context_write(context, &writer, out));
    heif_encoding_options_free(options);
    heif_image_handle_release(handle);
    heif_image_release(image);
    heif_encoder_release(encoder);
    heif_context_free(context);
}
