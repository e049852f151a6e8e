/* MessagePack: every format byte of the specification read; written are the shortest integers and strings, and counts
   of 32 bits, which are filled in when an array or a map is closed. Pure. */
#include "http/msgpack.h"

#include <assert.h>
#include <string.h>

/* ---------------------------------------------------------------------- reading */

static size_t left(const struct msgpack_reader *reader) {
    return (size_t)(reader->end - reader->at);
}

/* A big-endian number of `size` bytes; false at the end. */
static bool take_number(struct msgpack_reader *reader, size_t size, uint64_t *value) {
    if (left(reader) < size)
        return false;
    *value = 0;
    while (size-- > 0)
        *value = *value << 8 | *reader->at++;
    return true;
}

static bool take_sized(struct msgpack_reader *reader, struct msgpack_item *item, enum msgpack_kind kind,
                       uint64_t size) {
    uint64_t needed = kind == MSGPACK_MAP ? 2 * size : size;
    item->kind = kind;
    item->size = (uint32_t)size;
    if (left(reader) < needed)
        return false;
    if (kind != MSGPACK_MAP && kind != MSGPACK_ARRAY) {
        item->bytes = reader->at;
        reader->at += size;
    }
    return true;
}

static bool take_length(struct msgpack_reader *reader, struct msgpack_item *item, enum msgpack_kind kind, size_t size) {
    uint64_t length;
    if (!take_number(reader, size, &length))
        return false;
    length += kind == MSGPACK_EXTENSION; /* its type stands before its bytes */
    return take_sized(reader, item, kind, length);
}

static bool take_integer(struct msgpack_reader *reader, struct msgpack_item *item, size_t size, bool negative) {
    uint64_t value;
    unsigned shift = (unsigned)(64 - 8 * size);
    if (!take_number(reader, size, &value))
        return false;
    item->kind = MSGPACK_INTEGER;
    if (negative && value >> (8 * size - 1)) {
        item->integer = -(int64_t)(~(value << shift) >> shift) - 1;
        item->number = (double)item->integer;
    } else {
        item->integer = value > INT64_MAX ? INT64_MAX : (int64_t)value;
        item->number = (double)value;
    }
    return true;
}

static bool take_float(struct msgpack_reader *reader, struct msgpack_item *item, size_t size) {
    uint64_t bits;
    float single;
    if (!take_number(reader, size, &bits))
        return false;
    item->kind = MSGPACK_FLOAT;
    if (size == 4) {
        uint32_t half = (uint32_t)bits;
        memcpy(&single, &half, sizeof single);
        item->number = (double)single;
    } else {
        memcpy(&item->number, &bits, sizeof item->number);
    }
    return true;
}

/* Formats 0xc0 to 0xdf. */
static bool take_marked(struct msgpack_reader *reader, struct msgpack_item *item, uint8_t format) {
    size_t exponent = format & 3u;
    switch (format) {
    case 0xc0:
        return true;
    case 0xc2:
    case 0xc3:
        item->kind = MSGPACK_BOOL;
        item->truth = format == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_length(reader, item, MSGPACK_BYTES, (size_t)1 << (format - 0xc4));
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return take_length(reader, item, MSGPACK_EXTENSION, (size_t)1 << (format - 0xc7));
    case 0xca:
    case 0xcb:
        return take_float(reader, item, format == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_integer(reader, item, (size_t)1 << exponent, format >= 0xd0);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return take_sized(reader, item, MSGPACK_EXTENSION, 1 + (UINT64_C(1) << (format - 0xd4)));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_length(reader, item, MSGPACK_TEXT, (size_t)1 << (format - 0xd9));
    case 0xdc:
    case 0xdd:
        return take_length(reader, item, MSGPACK_ARRAY, format == 0xdc ? 2 : 4);
    case 0xde:
    case 0xdf:
        return take_length(reader, item, MSGPACK_MAP, format == 0xde ? 2 : 4);
    default:
        return false; /* 0xc1 is never used */
    }
}

bool fm_msgpack_next(struct msgpack_reader *reader, struct msgpack_item *item) {
    *item = (struct msgpack_item){.kind = MSGPACK_NIL};
    if (left(reader) == 0)
        return false;
    uint8_t format = *reader->at++;
    if (format >= 0x80 && format <= 0x8f)
        return take_sized(reader, item, MSGPACK_MAP, format & 15u);
    if (format >= 0x90 && format <= 0x9f)
        return take_sized(reader, item, MSGPACK_ARRAY, format & 15u);
    if (format >= 0xa0 && format <= 0xbf)
        return take_sized(reader, item, MSGPACK_TEXT, format & 31u);
    if (format >= 0xc0 && format <= 0xdf)
        return take_marked(reader, item, format);
    item->kind = MSGPACK_INTEGER;
    item->integer = format < 0x80 ? format : format - 256;
    item->number = (double)item->integer;
    return true;
}

static uint64_t children(const struct msgpack_item *item) {
    return item->kind == MSGPACK_ARRAY ? item->size : item->kind == MSGPACK_MAP ? 2 * (uint64_t)item->size : 0;
}

bool fm_msgpack_skip(struct msgpack_reader *reader, const struct msgpack_item *item) {
    struct msgpack_item next;
    for (uint64_t open = children(item); open > 0; open--) {
        if (!fm_msgpack_next(reader, &next))
            return false;
        open += children(&next);
        if (open > left(reader) + 1)
            return false; /* more than the document can hold */
    }
    return true;
}

bool fm_msgpack_is_text(const struct msgpack_item *item, const char *text) {
    return item->kind == MSGPACK_TEXT && item->size == strlen(text) && memcmp(item->bytes, text, item->size) == 0;
}

/* ---------------------------------------------------------------------- writing */

static void put_number(struct msgpack_writer *writer, uint8_t format, uint64_t value, size_t size) {
    char bytes[9];
    bytes[0] = (char)format;
    for (size_t i = 0; i < size; i++)
        bytes[1 + i] = (char)(value >> (8 * (size - 1 - i)));
    fm_text_add_bytes(writer->text, bytes, 1 + size);
}

static void put_string(struct msgpack_writer *writer, const char *value) {
    size_t length = strlen(value);
    length = length > UINT32_MAX ? UINT32_MAX : length;
    if (length < 32)
        put_number(writer, (uint8_t)(0xa0 | length), 0, 0);
    else if (length <= UINT8_MAX)
        put_number(writer, 0xd9, length, 1);
    else if (length <= UINT16_MAX)
        put_number(writer, 0xda, length, 2);
    else
        put_number(writer, 0xdb, length, 4);
    fm_text_add_bytes(writer->text, value, length);
}

static void begin(struct msgpack_writer *writer, const char *key) {
    if (writer->depth > 0)
        writer->counts[writer->depth - 1]++;
    if (key)
        put_string(writer, key);
}

static void open_with(struct msgpack_writer *writer, const char *key, uint8_t format) {
    begin(writer, key);
    assert(writer->depth < MSGPACK_DEPTH);
    put_number(writer, format, 0, 4);
    writer->open[writer->depth] = writer->text->length - 4;
    writer->counts[writer->depth++] = 0;
}

void fm_msgpack_map_open(struct msgpack_writer *writer, const char *key) {
    open_with(writer, key, 0xdf);
}

void fm_msgpack_array_open(struct msgpack_writer *writer, const char *key) {
    open_with(writer, key, 0xdd);
}

void fm_msgpack_close(struct msgpack_writer *writer) {
    assert(writer->depth > 0);
    uint32_t count = writer->counts[--writer->depth];
    if (writer->text->failed)
        return; /* the count's place may not be there */
    for (int i = 0; i < 4; i++)
        writer->text->chars[writer->open[writer->depth] + (size_t)i] = (char)(count >> (8 * (3 - i)));
}

void fm_msgpack_nil(struct msgpack_writer *writer, const char *key) {
    begin(writer, key);
    put_number(writer, 0xc0, 0, 0);
}

void fm_msgpack_bool(struct msgpack_writer *writer, const char *key, bool value) {
    begin(writer, key);
    put_number(writer, value ? 0xc3 : 0xc2, 0, 0);
}

void fm_msgpack_integer(struct msgpack_writer *writer, const char *key, int64_t value) {
    begin(writer, key);
    uint64_t bits = (uint64_t)value;
    if (value >= -32 && value < 128)
        put_number(writer, (uint8_t)bits, 0, 0);
    else if (value >= 0)
        put_number(writer,
                   value <= UINT8_MAX    ? 0xcc
                   : value <= UINT16_MAX ? 0xcd
                   : value <= UINT32_MAX ? 0xce
                                         : 0xcf,
                   bits,
                   value <= UINT8_MAX    ? 1
                   : value <= UINT16_MAX ? 2
                   : value <= UINT32_MAX ? 4
                                         : 8);
    else
        put_number(writer,
                   value >= INT8_MIN    ? 0xd0
                   : value >= INT16_MIN ? 0xd1
                   : value >= INT32_MIN ? 0xd2
                                        : 0xd3,
                   bits,
                   value >= INT8_MIN    ? 1
                   : value >= INT16_MIN ? 2
                   : value >= INT32_MIN ? 4
                                        : 8);
}

void fm_msgpack_float(struct msgpack_writer *writer, const char *key, float value) {
    uint32_t bits;
    begin(writer, key);
    memcpy(&bits, &value, sizeof bits);
    put_number(writer, 0xca, bits, 4);
}

void fm_msgpack_string(struct msgpack_writer *writer, const char *key, const char *value) {
    struct text clean = {0};
    if (!value) {
        fm_msgpack_nil(writer, key);
        return;
    }
    begin(writer, key);
    fm_text_add_utf8(&clean, value, strlen(value)); /* words may be cut inside a character */
    put_string(writer, fm_text_chars(&clean));
    writer->text->failed = writer->text->failed || clean.failed;
    fm_text_reset(&clean);
}
