/* csv: every line has every column, whatever the command, so that files of different runs can be put together. Numbers
   are those of jsonl digit for digit. Texts are kept as they are: what a spreadsheet makes of "=1+2" is its reader's
   choice, and a path with something before it is another path. Called by the writer alone. */
#include "csv.h"

#include <math.h>
#include <string.h>

static const char columns[] = "path,width,height,face,faces,x1,y1,x2,y2,score,lm1x,lm1y,lm2x,lm2y,lm3x,lm3y,lm4x,lm4y,"
                              "lm5x,lm5y,embedding_norm,embedding,crop,error_code,error_message\r\n";

#define FACE_COLUMNS 18 /* x1 to crop */

void fm_csv_header(struct text *text) {
    fm_text_add_bytes(text, columns, sizeof columns - 1);
}

/* A text column; quoted where it has to be. */
static void add_text(struct text *text, const char *string) {
    bool quoted = strpbrk(string, "\",\r\n") != NULL;
    if (quoted)
        fm_text_add_bytes(text, "\"", 1);
    for (const char *rest = string; *rest;) {
        size_t length = strcspn(rest, "\"");
        fm_text_add_utf8(text, rest, length);
        if (rest[length])
            fm_text_add_bytes(text, "\"\"", 2);
        rest += length + (rest[length] == '"');
    }
    if (quoted)
        fm_text_add_bytes(text, "\"", 1);
}

/* The shortest digits that read back; nothing where there is no number. */
static void add_number(struct text *text, float value) {
    struct json json = {.text = text};
    if (isfinite(value))
        fm_json_float(&json, NULL, value);
}

static void add_empty(struct text *text, int count) {
    while (count-- > 0)
        fm_text_add_bytes(text, ",", 1);
}

static void add_embedding(struct text *text, const fm_face *face, const struct record_options *options) {
    size_t size = (size_t)face->embedding_size;
    if (options->embedding == EMBEDDING_BASE64) {
        fm_text_add_floats_base64(text, face->embedding, size);
    } else if (options->embedding == EMBEDDING_ARRAY) {
        for (size_t i = 0; i < size; i++) {
            fm_text_add_bytes(text, i ? " " : "\"", 1);
            add_number(text, face->embedding[i]);
        }
        fm_text_add_bytes(text, "\"", 1);
    }
}

/* x1 to crop, each with its comma before it. */
static void add_face(struct text *text, const fm_face *face, size_t index, const struct record_options *options) {
    const float values[5] = {face->box[0], face->box[1], face->box[2], face->box[3], face->score};
    for (int i = 0; i < 5; i++) {
        fm_text_add_bytes(text, ",", 1);
        add_number(text, values[i]);
    }
    for (int i = 0; i < 10; i++) {
        fm_text_add_bytes(text, ",", 1);
        add_number(text, face->landmarks[i / 2][i % 2]);
    }
    fm_text_add_bytes(text, ",", 1);
    if (face->embedding && options->embedded)
        add_number(text, face->embedding_norm);
    fm_text_add_bytes(text, ",", 1);
    if (face->embedding)
        add_embedding(text, face, options);
    fm_text_add_bytes(text, ",", 1);
    if (options->crops)
        add_text(text, options->crops[index]);
}

void fm_csv_found(struct text *text, const char *path, const struct found *found,
                  const struct record_options *options) {
    size_t count = found->count;
    for (size_t i = 0; i < count || i == 0; i++) {
        add_text(text, path);
        fm_text_add(text, ",%d,%d,", found->width, found->height);
        if (i < count)
            fm_text_add(text, "%zu", i + 1);
        fm_text_add(text, ",%zu", count);
        if (i < count)
            add_face(text, found->face(found->owner, i), i, options);
        else
            add_empty(text, FACE_COLUMNS);
        fm_text_add(text, ",,\r\n");
    }
}

void fm_csv_error(struct text *text, const char *path, fm_status status, const char *message) {
    add_text(text, path);
    add_empty(text, 4 + FACE_COLUMNS);
    fm_text_add(text, ",%s,", fm_status_name(status));
    add_text(text, message);
    fm_text_add(text, "\r\n");
}
