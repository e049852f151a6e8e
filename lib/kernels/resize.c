/* Bilinear resize, reference: RECIPES D15 written out. OpenCV holds weights in 11 bits and drops 4 bits of the
   horizontal sums before the vertical step; that is what makes its levels differ from rounded exact bilinear in a tenth
   of all values, and why a sum fits 16 bits here. */
#include "kernels/resize.h"

#include <math.h>

/* Left tap of output pixel `i` and the second tap's share. The position is rounded to single precision, as OpenCV's is.
 */
static float tap_at(int from, int to, int i, int *first) {
    double step = 1.0 / ((double)to / (double)from);
    float position = (float)(((double)i + 0.5) * step - 0.5);
    float floor_of_position = floorf(position);
    *first = (int)floor_of_position;
    return position - floor_of_position;
}

static int weight_of(float share) {
    return (int)rintf(share * 2048.0F); /* ties to even */
}

static int clamped(int value, int last) {
    return value < 0 ? 0 : value > last ? last : value;
}

void fm_resize_columns_fill(struct resize_columns *columns, int from, int to) {
    columns->count = fm_resize_padded(to);
    columns->source_width = from;
    for (int i = 0; i < columns->count; i++) {
        int first = 0;
        float share = i < to ? tap_at(from, to, i, &first) : 0.0F;
        uint32_t first_weight = (uint32_t)weight_of(1.0F - share), second_weight = (uint32_t)weight_of(share);
        if (first < 0) {
            first = 0;
            first_weight = 2048;
            second_weight = 0;
        } else if (first >= from - 1 && from > 1) {
            first = from - 2;
            first_weight = 0;
            second_weight = 2048;
        } else if (from == 1) {
            first = 0;
            first_weight = 2048;
            second_weight = 0;
        }
        columns->offsets[i] = i < to ? 3 * first : 0;
        columns->weights[i] = i < to ? first_weight | second_weight << 16 : 0;
    }
}

struct resize_line fm_resize_line_at(int from, int to, int y) {
    int first = 0;
    float share = tap_at(from, to, y, &first);
    return (struct resize_line){
        .first = clamped(first, from - 1),
        .second = clamped(first + 1, from - 1),
        .first_weight = weight_of(1.0F - share),
        .second_weight = weight_of(share),
    };
}

void fm_resize_across_c(const uint8_t *rgb, const struct resize_columns *columns, int16_t *planes) {
    int to_second = columns->source_width > 1 ? 3 : 0; /* a picture of one column has no second tap */
    for (int i = 0; i < columns->count; i++) {
        const uint8_t *tap = rgb + columns->offsets[i];
        int first_weight = (int)(columns->weights[i] & 0xffff), second_weight = (int)(columns->weights[i] >> 16);
        for (int channel = 0; channel < 3; channel++) {
            int sum = tap[channel] * first_weight + tap[channel + to_second] * second_weight;
            planes[channel * columns->count + i] = (int16_t)(sum >> 4);
        }
    }
}

static int blend(int first, int second, const struct resize_line *line) {
    return (((first * line->first_weight) >> 16) + ((second * line->second_weight) >> 16) + 2) >> 2;
}

void fm_resize_blend_u8_c(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                          uint8_t *levels) {
    for (int i = 0; i < count; i++) {
        levels[i] = (uint8_t)blend(first[i], second[i], line);
    }
}

void fm_resize_blend_f32_c(const int16_t *first, const int16_t *second, const struct resize_line *line, int count,
                           float mean, float scale, float *values) {
    for (int i = 0; i < count; i++) {
        values[i] = ((float)blend(first[i], second[i], line) - mean) * scale;
    }
}
