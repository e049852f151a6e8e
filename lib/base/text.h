/* Text being built: a bounded string, a growing string, and JSON written into one. */
#ifndef FM_BASE_TEXT_H
#define FM_BASE_TEXT_H

#include "base/memory.h"

/* Growing text; {0} is empty. A failed allocation sets `failed` and later calls do nothing. */
struct text {
    char *chars; /* NUL-terminated once anything was written; NULL before */
    size_t length, capacity;
    bool failed;
};
void fm_text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fm_text_add_bytes(struct text *text, const char *bytes, size_t size);
void fm_text_clear(struct text *text); /* keeps the memory */
void fm_text_reset(struct text *text);
const char *fm_text_chars(const struct text *text); /* "" when empty */

/* JSON writer: commas and quotes are its business. Calls nest as the document does. `key` NULL inside arrays and at
   the top. Non-finite numbers become null; bytes that are not UTF-8 become U+FFFD. */
struct json {
    struct text *text;
    bool comma;
};
void fm_json_object_open(struct json *json, const char *key);
void fm_json_object_close(struct json *json);
void fm_json_array_open(struct json *json, const char *key);
void fm_json_array_close(struct json *json);
void fm_json_string(struct json *json, const char *key, const char *value); /* NULL value: null */
void fm_json_integer(struct json *json, const char *key, int64_t value);
void fm_json_number(struct json *json, const char *key, double value); /* shortest text that reads back as the double */
void fm_json_float(struct json *json, const char *key, float value);   /* shortest text that reads back as the float */
void fm_json_bool(struct json *json, const char *key, bool value);

/* The first `length` bytes of a string, appended as UTF-8: bytes that are not become U+FFFD, as in JSON. */
void fm_text_add_utf8(struct text *text, const char *string, size_t length);

/* Base64 (RFC 4648, padded) appended. */
void fm_text_add_base64(struct text *text, const void *bytes, size_t size);

#endif
