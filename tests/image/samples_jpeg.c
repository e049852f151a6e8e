/* Samples: JPEG of every colour model, baseline and progressive, by libjpeg at quality 100. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

/* Inks stored as light, with black taken out: a decoder must use all four. */
static void to_cmyk(const uint8_t *rgb, uint8_t *cmyk, int width) {
    for (int x = 0; x < width; x++, rgb += 3, cmyk += 4) {
        int k = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
        k = rgb[2] > k ? rgb[2] : k;
        for (int i = 0; i < 3; i++)
            cmyk[i] = (uint8_t)(k ? 255 * rgb[i] / k : 255);
        cmyk[3] = (uint8_t)k;
    }
}

static void to_grey(const uint8_t *rgb, uint8_t *grey, int width) {
    for (int x = 0; x < width; x++)
        grey[x] = rgb[3 * x + 1];
}

static void configure(struct jpeg_compress_struct *codec, struct jpeg_kind kind) {
    bool inks = kind.colour == JPEG_CMYK || kind.colour == JPEG_YCCK;
    codec->input_components = inks ? 4 : kind.colour == JPEG_GREY ? 1 : 3;
    codec->in_color_space = inks ? JCS_CMYK : kind.colour == JPEG_GREY ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(codec);
    if (kind.colour == JPEG_YCCK)
        jpeg_set_colorspace(codec, JCS_YCCK);
    jpeg_set_quality(codec, 100, TRUE);
    codec->comp_info[0].h_samp_factor = kind.sampling ? 2 : 1;
    codec->comp_info[0].v_samp_factor = kind.sampling == 2 ? 2 : 1;
    if (kind.colour == JPEG_YCCK) { /* black keeps the light's resolution */
        codec->comp_info[3].h_samp_factor = codec->comp_info[0].h_samp_factor;
        codec->comp_info[3].v_samp_factor = codec->comp_info[0].v_samp_factor;
    }
    codec->arith_code = kind.arithmetic;
    codec->restart_in_rows = kind.restarts;
    if (kind.progressive)
        jpeg_simple_progression(codec);
}

void sample_jpeg(const struct picture *picture, struct jpeg_kind kind, struct buffer *out) {
    struct jpeg_compress_struct codec = {0};
    struct jpeg_error_mgr errors; /* its default ends the program with words */
    unsigned char *file = NULL;
    unsigned long size = 0;
    uint8_t *line = fm_alloc_array((size_t)picture->width, 4);
    sample_require(line != NULL, "no memory");
    codec.err = jpeg_std_error(&errors);
    jpeg_create_compress(&codec);
    jpeg_mem_dest(&codec, &file, &size);
    codec.image_width = (JDIMENSION)picture->width;
    codec.image_height = (JDIMENSION)picture->height;
    configure(&codec, kind);
    jpeg_start_compress(&codec, TRUE);
    if (kind.orientation) {
        uint8_t exif[6 + SAMPLE_TIFF_SIZE] = "Exif";
        sample_tiff(exif + 6, kind.orientation, kind.orientation % 2);
        jpeg_write_marker(&codec, JPEG_APP0 + 1, exif, sizeof exif);
    }
    while (codec.next_scanline < codec.image_height) {
        const uint8_t *rgb = picture->rgb + 3 * (size_t)picture->width * codec.next_scanline;
        if (codec.input_components == 4)
            to_cmyk(rgb, line, picture->width);
        else if (codec.input_components == 1)
            to_grey(rgb, line, picture->width);
        else
            memcpy(line, rgb, 3 * (size_t)picture->width);
        (void)jpeg_write_scanlines(&codec, &line, 1);
    }
    jpeg_finish_compress(&codec);
    sample_append(out, file, size);
    jpeg_destroy_compress(&codec);
    free(file);
    fm_free(line);
}
