/* Zip maker: local headers with their data, the central directory, its end. */
#include "fuzz/zip_maker.h"

#include <stdlib.h>
#include <string.h>

static void put(struct buffer *out, const void *bytes, size_t size) {
    if (size && !fm_buffer_append(out, bytes, size, 0))
        abort();
}

static void put_number(struct buffer *out, uint32_t value, size_t size) {
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    put(out, bytes, size);
}

static uint32_t crc_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* What local and central headers have in common: version to kind, then lengths. */
static void put_common(struct buffer *out, const struct zip_entry *entry, uint32_t size) {
    put_number(out, 20, 2);
    put_number(out, entry->flags, 2);
    put_number(out, entry->method, 2);
    put_number(out, 0, 4); /* time */
    put_number(out, crc_of(entry->data, entry->size), 4);
    put_number(out, entry->size + (entry->method == 8 ? 5 : 0), 4);
    put_number(out, size, 4);
    put_number(out, (uint32_t)strlen(entry->name), 2);
    put_number(out, 0, 2); /* extra field */
}

static void put_local(struct buffer *out, const struct zip_entry *entry) {
    put(out, "PK\3\4", 4);
    put_common(out, entry, entry->size);
    put(out, entry->name, strlen(entry->name));
    if (entry->method == 8) {
        put(out, "\1", 1);
        put_number(out, entry->size, 2);
        put_number(out, ~entry->size, 2);
    }
    put(out, entry->data, entry->size);
}

static void put_central(struct buffer *out, const struct zip_entry *entry, uint32_t offset) {
    put(out, "PK\1\2", 4);
    put_number(out, 3u << 8 | 20, 2); /* made on Unix */
    put_common(out, entry, entry->size + (uint32_t)entry->size_lie);
    put_number(out, 0, 2); /* comment */
    put_number(out, 0, 2); /* disk */
    put_number(out, 0, 2); /* internal attributes */
    put_number(out, entry->mode << 16, 4);
    put_number(out, offset, 4);
    put(out, entry->name, strlen(entry->name));
}

void zip_make(const struct zip_entry *entries, size_t count, struct buffer *bytes) {
    uint32_t offsets[16] = {0};
    if (count > 16)
        abort();
    bytes->size = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = (uint32_t)bytes->size;
        put_local(bytes, &entries[i]);
    }
    uint32_t start = (uint32_t)bytes->size;
    for (size_t i = 0; i < count; i++)
        put_central(bytes, &entries[i], offsets[i]);
    uint32_t length = (uint32_t)bytes->size - start;
    put(bytes, "PK\5\6", 4);
    put_number(bytes, 0, 4); /* disks */
    put_number(bytes, (uint32_t)count, 2);
    put_number(bytes, (uint32_t)count, 2);
    put_number(bytes, length, 4);
    put_number(bytes, start, 4);
    put_number(bytes, 0, 2);
}
