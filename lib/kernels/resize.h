/* Bilinear resize of 8-bit RGB exactly as OpenCV's INTER_LINEAR does it in integers (RECIPES D15), cut into two row
   operations: squeeze one source row across into planes of 16-bit sums, then blend two such rows into levels. Keeping
   the sums of a source row lets the caller reuse it for the next output row. Pure; any thread. */
#ifndef FM_KERNELS_RESIZE_H
#define FM_KERNELS_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#define FM_RESIZE_STEP 16 /* columns are handled this many at a time; tables and planes are padded to a multiple */

/* Where the two horizontal taps of every output column stand and what they weigh. The second tap is always the pixel
   right of the first: at the right edge the pair moves one to the left with its weight on the second, which gives the
   same sum and lets a wide load take both. */
struct resize_columns {
    int count;         /* columns, a multiple of FM_RESIZE_STEP; those added weigh nothing */
    int source_width;  /* pixels */
    int32_t *offsets;  /* byte of the first tap in the source row */
    uint32_t *weights; /* first | second << 16; they add up to 2048 */
};

/* The two source rows of an output row and their weights. */
struct resize_line {
    int first, second;
    int first_weight, second_weight;
};

/* Columns for `to` output pixels, rounded up. */
static inline int fm_resize_padded(int to) {
    return (to + FM_RESIZE_STEP - 1) / FM_RESIZE_STEP * FM_RESIZE_STEP;
}
/* Fill columns->offsets and ->weights, each fm_resize_padded(to) long, for resizing `from` pixels to `to`. */
void fm_resize_columns_fill(struct resize_columns *columns, int from, int to);
/* Row `y` of resizing `from` rows to `to`. */
struct resize_line fm_resize_line_at(int from, int to, int y);

/* One RGB row -> three planes (R, G, B) of columns->count sums >> 4, each 0..32655. */
void fm_resize_across_c(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes);
void fm_resize_across_avx2(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes);
void fm_resize_across_avx512(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes);
void fm_resize_across_neon(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes);

/* Two rows of sums of one plane -> levels. Writes exactly `count` values. */
void fm_resize_blend_u8_c(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                          uint8_t *levels);
void fm_resize_blend_u8_avx2(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                             uint8_t *levels);
void fm_resize_blend_u8_avx512(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                               uint8_t *levels);
void fm_resize_blend_u8_neon(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                             uint8_t *levels);

/* The same, then (level - mean) * scale in single precision: one subtraction, one multiplication. */
void fm_resize_blend_f32_c(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                           float mean, float scale, float *values);
void fm_resize_blend_f32_avx2(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                              float mean, float scale, float *values);
void fm_resize_blend_f32_avx512(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                                float mean, float scale, float *values);
void fm_resize_blend_f32_neon(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                              float mean, float scale, float *values);

#endif
