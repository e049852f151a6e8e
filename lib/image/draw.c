/* Draw: boxes, dots and text on RGB8 rows, clipped to the canvas; coordinates may lie anywhere. Pure. */
#include "image/codec.h"

/* Fill columns left..right and rows top..bottom, all inclusive, as far as they are on the canvas. */
static void fill(struct canvas *canvas, int64_t left, int64_t top, int64_t right, int64_t bottom, uint32_t colour) {
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right >= canvas->width ? canvas->width - 1 : right;
    bottom = bottom >= canvas->height ? canvas->height - 1 : bottom;
    for (int64_t y = top; y <= bottom; y++) {
        uint8_t *pixel = canvas->rgb + (size_t)y * canvas->stride + (size_t)left * 3;
        for (int64_t x = left; x <= right; x++, pixel += 3) {
            pixel[0] = (uint8_t)(colour >> 16);
            pixel[1] = (uint8_t)(colour >> 8);
            pixel[2] = (uint8_t)colour;
        }
    }
}

static void sort_pair(int *low, int *high) {
    if (*low > *high) {
        int other = *low;
        *low = *high;
        *high = other;
    }
}

/* The frame's outer edge is the box; thickness grows inwards. */
void fm_draw_box(struct canvas *canvas, int x1, int y1, int x2, int y2, int thickness, uint32_t colour) {
    sort_pair(&x1, &x2);
    sort_pair(&y1, &y2);
    int64_t inset = (int64_t)thickness - 1, left = x1, top = y1, right = x2, bottom = y2;
    if (thickness < 1)
        return;
    if (right - left < 2 * inset || bottom - top < 2 * inset) {
        fill(canvas, left, top, right, bottom, colour);
        return;
    }
    fill(canvas, left, top, right, top + inset, colour);
    fill(canvas, left, bottom - inset, right, bottom, colour);
    fill(canvas, left, top, left + inset, bottom, colour);
    fill(canvas, right - inset, top, right, bottom, colour);
}

/* One run per row that crosses both the disc and the canvas. */
void fm_draw_dot(struct canvas *canvas, int x, int y, int radius, uint32_t colour) {
    int64_t r = radius < 0 ? 0 : radius > 4096 ? 4096 : radius;
    for (int64_t dy = -r; dy <= r; dy++) {
        int64_t half = 0;
        while ((half + 1) * (half + 1) + dy * dy <= r * r)
            half++;
        fill(canvas, x - half, y + dy, x + half, y + dy, colour);
    }
}

static void draw_glyph(struct canvas *canvas, int64_t x, int64_t y, int64_t scale, const uint8_t *glyph,
                       uint32_t colour) {
    for (int row = 0; row < FM_FONT_HEIGHT; row++)
        for (int column = 0; column < FM_FONT_WIDTH; column++)
            if (glyph[row] >> (FM_FONT_WIDTH - 1 - column) & 1)
                fill(canvas, x + column * scale, y + row * scale, x + column * scale + scale - 1,
                     y + row * scale + scale - 1, colour);
}

/* One empty column follows every character, and one precedes the first so that the background frames the text. */
static int64_t advance(int64_t scale) {
    return (FM_FONT_WIDTH + 1) * scale;
}

int fm_text_width(const char *text, int scale) {
    int64_t width = scale < 1 ? 0 : scale;
    for (; scale >= 1 && *text && width < INT32_MAX / 2; text++)
        width += advance(scale);
    return width > INT32_MAX ? INT32_MAX : (int)width;
}

void fm_draw_text(struct canvas *canvas, int x, int y, int scale, const char *text, uint32_t colour,
                  uint32_t background) {
    if (scale < 1)
        return;
    int64_t left = x, s = scale;
    fill(canvas, left, y, left + fm_text_width(text, scale) - 1, y + FM_FONT_HEIGHT * s - 1, background);
    for (left += s; *text && left < canvas->width; text++, left += advance(s))
        draw_glyph(canvas, left, y, s, fm_font_glyph(*text), colour);
}
