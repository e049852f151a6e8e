/* Samples: PNG of every pixel kind, written here by hand (deflate's stored blocks need no compressor), so that the
   writer shares nothing with the reader under test. */
#include "samples.h"

#include <string.h>

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put_u32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void add_chunk(struct buffer *out, const char *type, const void *bytes, size_t size) {
    uint8_t word[4];
    put_u32(word, (uint32_t)size);
    sample_append(out, word, 4);
    sample_append(out, type, 4);
    sample_append(out, bytes, size);
    put_u32(word, crc32_of(out->bytes + out->size - size - 4, size + 4));
    sample_append(out, word, 4);
}

static void add_pixels_chunk(struct buffer *out, const struct buffer *rows) {
    struct buffer stream = {0};
    uint32_t low = 1, high = 0;
    uint8_t word[4];
    sample_append(&stream, "\x78\x01", 2);
    for (size_t at = 0; at < rows->size;) {
        size_t count = rows->size - at < 60000 ? rows->size - at : 60000;
        uint8_t head[5] = {at + count == rows->size, (uint8_t)count, (uint8_t)(count >> 8), (uint8_t)~count,
                           (uint8_t)(~count >> 8)};
        sample_append(&stream, head, 5);
        sample_append(&stream, rows->bytes + at, count);
        at += count;
    }
    for (size_t i = 0; i < rows->size; i++) {
        low = (low + rows->bytes[i]) % 65521;
        high = (high + low) % 65521;
    }
    put_u32(word, high << 16 | low);
    sample_append(&stream, word, 4);
    add_chunk(out, "IDAT", stream.bytes, stream.size);
    fm_buffer_reset(&stream);
}

static uint8_t noise(int x, int y) {
    return (uint8_t)((uint32_t)(x * 7919 + y * 104729) * 2654435761u >> 24);
}

/* The palette's colours must not look like a grey ramp. */
static void palette_colour(int index, uint8_t rgb[3]) {
    rgb[0] = (uint8_t)(255 - index * 13);
    rgb[1] = (uint8_t)(index * 29 + 7);
    rgb[2] = (uint8_t)(index * 91 ^ 0x55);
}

struct painter {
    const struct picture *picture;
    struct png_kind kind;
    struct picture *twin;
    uint8_t *row;
    size_t bit; /* written so far into row */
};

static void put_sample(struct painter *painter, int level, int x, int y) {
    int depth = painter->kind.depth;
    uint32_t value = depth == 16 ? (uint32_t)level << 8 | noise(x, y) : (uint32_t)level >> (8 - depth);
    for (int bit = depth - 1; bit >= 0; bit--, painter->bit++)
        if (value >> bit & 1)
            painter->row[painter->bit / 8] |= (uint8_t)(0x80 >> painter->bit % 8);
}

static int spread(int level, int depth) {
    int most = (1 << depth) - 1;
    return depth >= 8 ? level : (level >> (8 - depth)) * 255 / most;
}

static void put_pixel(struct painter *painter, int x, int y) {
    const uint8_t *rgb = painter->picture->rgb + 3 * (y * painter->picture->width + x);
    uint8_t *twin = painter->twin->rgb + 3 * (y * painter->picture->width + x);
    int type = painter->kind.colour_type, depth = painter->kind.depth;
    if (type == 2 || type == 6) {
        for (int i = 0; i < 3; i++)
            put_sample(painter, rgb[i], x, y + i);
        memcpy(twin, rgb, 3);
    } else {
        put_sample(painter, rgb[1], x, y);
        memset(twin, spread(rgb[1], depth), 3);
        if (type == 3)
            palette_colour(rgb[1] >> (8 - depth), twin);
    }
    if (type & 4)
        put_sample(painter, noise(y, x), x, y);
}

/* The pixels of one pass, every step_x-th of every step_y-th row, each row behind its filter byte (0: none). */
static void add_pass(struct painter *painter, struct buffer *rows, int x0, int y0, int step_x, int step_y) {
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    int width = painter->picture->width, height = painter->picture->height;
    if (x0 >= width)
        return;
    size_t across = (size_t)((width - x0 + step_x - 1) / step_x);
    size_t size = (across * (size_t)channels[painter->kind.colour_type] * (size_t)painter->kind.depth + 7) / 8;
    painter->row = fm_alloc(size + 8);
    sample_require(painter->row != NULL, "no memory");
    for (int y = y0; y < height; y += step_y) {
        memset(painter->row, 0, size);
        painter->bit = 0;
        for (int x = x0; x < width; x += step_x)
            put_pixel(painter, x, y);
        sample_append(rows, "", 1);
        sample_append(rows, painter->row, size);
    }
    fm_free(painter->row);
}

static void add_side_chunks(struct png_kind kind, struct buffer *out) {
    uint8_t palette[256][3], alpha[256] = {0};
    size_t count = (size_t)1 << (kind.depth < 8 ? kind.depth : 8);
    if (kind.gamma)
        add_chunk(out, "gAMA", "\0\1\x86\xa0", 4); /* 1.0: would show if it were applied */
    if (kind.colour_type == 3) {
        for (size_t i = 0; i < count; i++)
            palette_colour((int)i, palette[i]);
        add_chunk(out, "PLTE", palette, 3 * count);
    }
    if (kind.transparency)
        add_chunk(out, "tRNS", alpha, kind.colour_type == 3 ? count : kind.colour_type == 0 ? 2 : 6);
}

static void add_exif(struct png_kind kind, struct buffer *out) {
    uint8_t tiff[SAMPLE_TIFF_SIZE];
    if (kind.orientation)
        add_chunk(out, "eXIf", tiff, sample_tiff(tiff, kind.orientation, kind.orientation % 2));
}

void sample_png(const struct picture *picture, struct png_kind kind, struct buffer *out, struct picture *twin) {
    static const int passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                     {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    struct painter painter = {.picture = picture, .kind = kind, .twin = twin};
    struct buffer rows = {0};
    uint8_t header[13] = {[8] = (uint8_t)kind.depth, [9] = (uint8_t)kind.colour_type, [12] = kind.interlaced};
    *twin = picture_turned(picture, 1); /* every pixel is written over */
    put_u32(header, (uint32_t)picture->width);
    put_u32(header + 4, (uint32_t)picture->height);
    sample_append(out, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(out, "IHDR", header, sizeof header);
    add_side_chunks(kind, out);
    if (!kind.exif_last)
        add_exif(kind, out);
    if (!kind.interlaced)
        add_pass(&painter, &rows, 0, 0, 1, 1);
    for (int i = 0; kind.interlaced && i < 7; i++)
        add_pass(&painter, &rows, passes[i][0], passes[i][1], passes[i][2], passes[i][3]);
    add_pixels_chunk(out, &rows);
    if (kind.exif_last)
        add_exif(kind, out);
    add_chunk(out, "IEND", "", 0);
    fm_buffer_reset(&rows);
}
