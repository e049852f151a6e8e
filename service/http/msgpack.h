/* MessagePack (github.com/msgpack/msgpack, spec.md): items read one by one out of foreign bytes, and documents
   written. Pure. */
#ifndef FM_HTTP_MSGPACK_H
#define FM_HTTP_MSGPACK_H

#include "base/text.h"

enum msgpack_kind {
    MSGPACK_NIL = 0,
    MSGPACK_BOOL = 1,
    MSGPACK_INTEGER = 2,
    MSGPACK_FLOAT = 3,
    MSGPACK_TEXT = 4,
    MSGPACK_BYTES = 5,
    MSGPACK_ARRAY = 6,
    MSGPACK_MAP = 7,
    MSGPACK_EXTENSION = 8
};
/* One item. What an array or a map holds follows it. */
struct msgpack_item {
    enum msgpack_kind kind;
    bool truth;
    int64_t integer;      /* above INT64_MAX: that */
    double number;        /* of integers too */
    const uint8_t *bytes; /* text, bytes, extension: inside the document */
    uint32_t size;        /* of `bytes`; items of an array, pairs of a map */
};
struct msgpack_reader {
    const uint8_t *at, *end;
};
/* Take the next item off; false at the end, and for what is none. Sizes that the document cannot hold are refused: a
   byte per item at least. */
FM_MUST_USE bool fm_msgpack_next(struct msgpack_reader *reader, struct msgpack_item *item);
/* Step over what follows an item that was taken: the whole of an array or map. False when it is cut off. Depth costs
   nothing. */
FM_MUST_USE bool fm_msgpack_skip(struct msgpack_reader *reader, const struct msgpack_item *item);
bool fm_msgpack_is_text(const struct msgpack_item *item, const char *text);

#define MSGPACK_DEPTH 16
/* Writer: arrays and maps count their items themselves. Keys as in struct json: NULL inside arrays and at the top. */
struct msgpack_writer {
    struct text *text;
    size_t open[MSGPACK_DEPTH]; /* where the counts of what is open stand */
    uint32_t counts[MSGPACK_DEPTH];
    int depth;
};
void fm_msgpack_map_open(struct msgpack_writer *writer, const char *key);
void fm_msgpack_array_open(struct msgpack_writer *writer, const char *key);
void fm_msgpack_close(struct msgpack_writer *writer); /* the innermost one */
void fm_msgpack_nil(struct msgpack_writer *writer, const char *key);
void fm_msgpack_bool(struct msgpack_writer *writer, const char *key, bool value);
void fm_msgpack_integer(struct msgpack_writer *writer, const char *key, int64_t value);
void fm_msgpack_float(struct msgpack_writer *writer, const char *key, float value); /* single precision */
void fm_msgpack_string(struct msgpack_writer *writer, const char *key, const char *value);

#endif
