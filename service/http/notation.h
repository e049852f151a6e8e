/* One answer in either of two notations, JSON or MessagePack, written by the same calls. Keys as in struct json. */
#ifndef FM_HTTP_NOTATION_H
#define FM_HTTP_NOTATION_H

#include "http/msgpack.h"

struct notation {
    bool packed; /* MessagePack */
    struct json json;
    struct msgpack_writer pack;
};
void fm_notation_init(struct notation *out, bool packed, struct text *text);
void fm_notation_map_open(struct notation *out, const char *key);
void fm_notation_map_close(struct notation *out);
void fm_notation_array_open(struct notation *out, const char *key);
void fm_notation_array_close(struct notation *out);
void fm_notation_string(struct notation *out, const char *key, const char *value); /* NULL: null */
void fm_notation_integer(struct notation *out, const char *key, int64_t value);
void fm_notation_bool(struct notation *out, const char *key, bool value);
void fm_notation_float(struct notation *out, const char *key, float value);
void fm_notation_number(struct notation *out, const char *key, double value); /* MessagePack: single precision */

#endif
