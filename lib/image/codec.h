/* What the files of lib/image share with one another and with nobody else: the codecs behind the decoder table and
   the steps around them. */
#ifndef FM_IMAGE_CODEC_H
#define FM_IMAGE_CODEC_H

#include "image/image.h"

typedef fm_status decode_function(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                                  const fm_limits *limits, fm_error *error);
decode_function fm_decode_jpeg, fm_decode_png, fm_decode_webp, fm_decode_heif;

/* FM_LIMIT unless width x height is inside `limits` (resolved). Every codec asks before it allocates a pixel. */
FM_MUST_USE fm_status fm_image_admit(uint64_t width, uint64_t height, const char *name, const fm_limits *limits,
                                     fm_error *error);
/* fm_image_admit, then rows for width x height (contents unknown), image->width and image->height. */
FM_MUST_USE fm_status fm_image_prepare(struct image *image, uint64_t width, uint64_t height, const char *name,
                                       const fm_limits *limits, fm_error *error);
/* FM_TRUNCATED in the words that every format uses; `what` says what is missing. */
fm_status fm_image_truncated(const char *name, const char *what, fm_error *error);

/* exif.c: Orientation of the first image directory of a TIFF block, 1..8; 1 where there is none or none that makes
   sense. `tiff` may begin with "Exif\0\0". Pure. */
int fm_exif_orientation(const uint8_t *tiff, size_t size);

/* orient.c: turn the rows by image->orientation; width and height become upright. */
FM_MUST_USE fm_status fm_image_orient(struct image *image, const char *name, fm_error *error);

/* font.c: FM_FONT_HEIGHT rows of FM_FONT_WIDTH pixels, the leftmost in the highest bit used. Never NULL: characters
   outside printable ASCII get a hollow box. */
#define FM_FONT_WIDTH 5
const uint8_t *fm_font_glyph(char character);

#endif
