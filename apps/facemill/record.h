/* What one image becomes in the output: a JSON line, rows of a table, or lines of CSV. */
#ifndef FM_RECORD_H
#define FM_RECORD_H

#include "output.h"

enum embedding_form { EMBEDDING_NONE = 0, EMBEDDING_ARRAY = 1, EMBEDDING_BASE64 = 2 };

struct record_options {
    enum embedding_form embedding;
    bool embedded;            /* embeddings were computed: a face without one says so, the others have a norm */
    const char *const *crops; /* crop: the file of each face; NULL */
};
/* The faces of one image, whoever found them. */
struct found {
    int width, height;
    size_t count;
    const fm_face *(*face)(const void *owner, size_t index);
    const void *owner;
};
struct found fm_found_in(const fm_result *result);

void fm_record_header(struct output *output);
void fm_record_found(struct output *output, const char *path, const struct found *found,
                     const struct record_options *options);
void fm_record_error(struct output *output, const char *path, fm_status status, const char *message);
/* `string` as a table shows it: control characters, which would speak to the terminal, become \xNN. */
void fm_text_add_visible(struct text *text, const char *string);
/* Why a face cannot be aligned, and so has neither crop nor embedding: FM_UNSUPPORTED when its detector gives no
   landmarks, FM_BAD_IMAGE when those of this face are unusable. `words` (may be NULL) are constant. */
fm_status fm_face_unaligned(const fm_face *face, const char **words);
/* Base64 of little-endian 32-bit floats, appended. */
void fm_text_add_floats_base64(struct text *text, const float *values, size_t count);
/* "[x,y,...]" with the shortest digits that read back. */
void fm_json_floats(struct json *json, const char *key, const float *values, size_t count);

#endif
