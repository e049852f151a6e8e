/* Foreign text of requests: multipart/form-data (RFC 7578), base64, header parameters. Pure; nothing is copied that can
   be pointed at. */
#ifndef FM_HTTP_MULTIPART_H
#define FM_HTTP_MULTIPART_H

#include "base/error.h"
#include "base/memory.h"

#define HTTP_PARTS 1024 /* at most */

/* One part; strings are NUL-terminated copies in the form's arena, bytes point into the body. */
struct http_part {
    const char *name, *filename, *type; /* filename NULL when the part has none; type "" */
    const uint8_t *bytes;
    size_t size;
};
struct http_form {
    struct http_part *parts;
    size_t count;
    struct arena arena;
};
/* Parse `body`, whose Content-Type is `type`. FM_INVALID_ARGUMENT with words: no boundary, a part that never ends,
   headers too long, too many parts. The form is the caller's (fm_http_form_reset), also after a failure. */
FM_MUST_USE fm_status fm_http_form_parse(const char *type, const uint8_t *body, size_t size, struct http_form *form,
                                         fm_error *error);
void fm_http_form_reset(struct http_form *form);
/* The first part of a name; NULL. */
const struct http_part *fm_http_form_part(const struct http_form *form, const char *name);
/* A part's bytes as text without NUL inside, copied into the arena; NULL when it is not there or not such text. */
const char *fm_http_form_text(struct http_form *form, const char *name);

/* Is `type` the media type `wanted` ("multipart/form-data"), whatever its parameters and case? */
bool fm_http_type_is(const char *type, const char *wanted);

/* Base64 (RFC 4648; also its URL alphabet, with or without padding, white space skipped; a data: URI's text behind the
   comma) into `bytes`. FM_INVALID_ARGUMENT names the place; FM_LIMIT above `limit` bytes; FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_base64_read(const char *text, size_t length, uint64_t limit, struct buffer *bytes,
                                     fm_error *error);

#endif
