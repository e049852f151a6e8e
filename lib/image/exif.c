/* Exif: finds the Orientation tag in a TIFF block. Reads nothing but that, trusts no offset or count, allocates
   nothing. What cannot be understood counts as "upright", as every viewer does. Pure; any thread. */
#include "image/codec.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, ENTRY_SIZE = 12 };
enum { TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4 };

struct tiff {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
};

static bool read_u16(const struct tiff *tiff, size_t offset, uint32_t *value) {
    if (tiff->size < 2 || offset > tiff->size - 2)
        return false;
    const uint8_t *b = tiff->bytes + offset;
    *value = tiff->big_endian ? (uint32_t)b[0] << 8 | b[1] : (uint32_t)b[1] << 8 | b[0];
    return true;
}

static bool read_u32(const struct tiff *tiff, size_t offset, uint32_t *value) {
    uint32_t first, second;
    if (!read_u16(tiff, offset, &first) || !read_u16(tiff, offset + 2, &second))
        return false;
    *value = tiff->big_endian ? first << 16 | second : second << 16 | first;
    return true;
}

/* The value of one directory entry, left-justified in its four bytes; writers differ in the type they give it. */
static bool read_value(const struct tiff *tiff, size_t entry, uint32_t *value) {
    uint32_t type, count;
    if (!read_u16(tiff, entry + 2, &type) || !read_u32(tiff, entry + 4, &count) || count == 0)
        return false;
    if (type == TYPE_SHORT)
        return read_u16(tiff, entry + 8, value);
    if (type == TYPE_LONG)
        return read_u32(tiff, entry + 8, value);
    if (type != TYPE_BYTE || entry + 8 >= tiff->size)
        return false;
    *value = tiff->bytes[entry + 8];
    return true;
}

static bool open_tiff(struct tiff *tiff, const uint8_t *bytes, size_t size) {
    if (size >= 6 && !memcmp(bytes, "Exif\0", 5)) {
        bytes += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(bytes, "II*\0", 4) && memcmp(bytes, "MM\0*", 4)))
        return false;
    *tiff = (struct tiff){.bytes = bytes, .size = size, .big_endian = bytes[0] == 'M'};
    return true;
}

int fm_exif_orientation(const uint8_t *bytes, size_t size) {
    struct tiff tiff;
    uint32_t directory, entries, tag, value;
    if (!open_tiff(&tiff, bytes, size) || !read_u32(&tiff, 4, &directory) || !read_u16(&tiff, directory, &entries))
        return 1;
    for (uint32_t i = 0; i < entries; i++) {
        size_t entry = (size_t)directory + 2 + (size_t)i * ENTRY_SIZE;
        if (!read_u16(&tiff, entry, &tag))
            return 1;
        if (tag == TAG_ORIENTATION)
            return read_value(&tiff, entry, &value) && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
