/* JSON or MessagePack. Pure. */
#include "http/notation.h"

void fm_notation_init(struct notation *out, bool packed, struct text *text) {
    *out = (struct notation){.packed = packed, .json = {.text = text}, .pack = {.text = text}};
}

void fm_notation_map_open(struct notation *out, const char *key) {
    out->packed ? fm_msgpack_map_open(&out->pack, key) : fm_json_object_open(&out->json, key);
}

void fm_notation_map_close(struct notation *out) {
    out->packed ? fm_msgpack_close(&out->pack) : fm_json_object_close(&out->json);
}

void fm_notation_array_open(struct notation *out, const char *key) {
    out->packed ? fm_msgpack_array_open(&out->pack, key) : fm_json_array_open(&out->json, key);
}

void fm_notation_array_close(struct notation *out) {
    out->packed ? fm_msgpack_close(&out->pack) : fm_json_array_close(&out->json);
}

void fm_notation_string(struct notation *out, const char *key, const char *value) {
    out->packed ? fm_msgpack_string(&out->pack, key, value) : fm_json_string(&out->json, key, value);
}

void fm_notation_integer(struct notation *out, const char *key, int64_t value) {
    out->packed ? fm_msgpack_integer(&out->pack, key, value) : fm_json_integer(&out->json, key, value);
}

void fm_notation_bool(struct notation *out, const char *key, bool value) {
    out->packed ? fm_msgpack_bool(&out->pack, key, value) : fm_json_bool(&out->json, key, value);
}

void fm_notation_float(struct notation *out, const char *key, float value) {
    out->packed ? fm_msgpack_float(&out->pack, key, value) : fm_json_float(&out->json, key, value);
}

void fm_notation_number(struct notation *out, const char *key, double value) {
    out->packed ? fm_msgpack_float(&out->pack, key, (float)value) : fm_json_number(&out->json, key, value);
}
