/* Drawn pictures: ellipses with a soft edge and a light from the upper left. Lengths are in units of 1/64 of the face's
   height, so that one table describes the face at any size. */
#include "drawn.h"

struct part {
    int x, y, half_width, half_height; /* of an ellipse, from the face's middle */
    uint8_t red, green, blue;
    int shade; /* how much darker its lower right edge is, of 256 */
};

static const struct part parts[] = {
    {0, -6, 27, 33, 58, 40, 30, 60},                                       /* hair */
    {0, 26, 13, 16, 190, 140, 115, 90},                                    /* neck */
    {0, 2, 22, 29, 224, 172, 144, 110},                                    /* face */
    {-10, -7, 6, 3, 176, 126, 104, 20},                                    /* eye sockets */
    {10, -7, 6, 3, 168, 120, 100, 20},  {-10, -6, 5, 2, 244, 240, 236, 0}, /* eyes */
    {10, -6, 5, 2, 238, 234, 230, 0},   {-10, -6, 2, 2, 40, 28, 22, 0},
    {10, -6, 2, 2, 40, 28, 22, 0},      {-10, -12, 7, 1, 62, 42, 32, 0}, /* brows */
    {10, -12, 7, 1, 62, 42, 32, 0},     {1, 2, 3, 8, 206, 152, 126, 60}, /* nose */
    {0, 9, 4, 2, 178, 122, 102, 0},     {0, 18, 9, 3, 172, 84, 80, 40},  /* mouth */
    {0, 18, 8, 1, 112, 44, 44, 0},
};

static const int8_t points[5][2] = {{-10, -6}, {10, -6}, {0, 8}, {-8, 18}, {8, 18}};

static uint8_t mix(int below, int above, int weight) {
    return (uint8_t)(below + (above - below) * weight / 256);
}

/* One ellipse around (cx, cy), axes a and b, all in pixels. */
static void draw_part(uint8_t *rgb, int width, int height, const struct part *part, int cx, int cy, int a, int b) {
    int64_t aa = (int64_t)a * a, bb = (int64_t)b * b, full = aa * bb;
    for (int y = cy - b < 0 ? 0 : cy - b; y <= cy + b && y < height; y++) {
        for (int x = cx - a < 0 ? 0 : cx - a; x <= cx + a && x < width; x++) {
            int64_t dx = x - cx, dy = y - cy, inside = full - dx * dx * bb - dy * dy * aa;
            if (inside <= 0)
                continue;
            int64_t edge = inside * 256 * 6 / full; /* soft over the outer sixth */
            int weight = edge > 256 ? 256 : (int)edge;
            int light = 256 - (int)(part->shade * ((dx + a) * b + (dy + b) * a) / (4 * (int64_t)a * b));
            uint8_t *pixel = rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            pixel[0] = mix(pixel[0], part->red * light / 256, weight);
            pixel[1] = mix(pixel[1], part->green * light / 256, weight);
            pixel[2] = mix(pixel[2], part->blue * light / 256, weight);
        }
    }
}

static void draw_background(uint8_t *rgb, int width, int height) {
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *pixel = rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            pixel[0] = (uint8_t)(70 + 80 * x / width);
            pixel[1] = (uint8_t)(110 + 60 * y / height);
            pixel[2] = (uint8_t)(150 - 50 * x / width);
        }
    }
}

bool fm_drawn_picture(struct buffer *rgb, int width, int height, int faces, float landmarks[][5][2]) {
    if (!fm_buffer_resize(rgb, (size_t)width * (size_t)height * 3))
        return false;
    draw_background(rgb->bytes, width, height);
    for (int i = 0; i < faces; i++) {
        int room = width / faces, size = (room < height ? room : height) * 4 / 5;
        int cx = room * i + room / 2, cy = height / 2;
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            const struct part *part = &parts[k];
            draw_part(rgb->bytes, width, height, part, cx + part->x * size / 64, cy + part->y * size / 64,
                      1 + part->half_width * size / 64, 1 + part->half_height * size / 64);
        }
        for (int k = 0; landmarks && k < 5; k++) {
            landmarks[i][k][0] = (float)(cx + points[k][0] * size / 64);
            landmarks[i][k][1] = (float)(cy + points[k][1] * size / 64);
        }
    }
    return true;
}

fm_pixels fm_drawn_pixels(const struct buffer *rgb, int width, int height) {
    return (fm_pixels){.struct_size = sizeof(fm_pixels), .data = rgb->bytes, .width = width, .height = height};
}
