/* Record: the line of jsonl that other programs read, and the table for eyes. Coordinates are those of the upright
   image; faces come in the result's order. */
#include "record.h"
#include "csv.h"
#include "program.h"

#include "base/os.h"

#include <string.h>

#define PATH_COLUMN 36

void fm_json_floats(struct json *json, const char *key, const float *values, size_t count) {
    fm_json_array_open(json, key);
    for (size_t i = 0; i < count; i++)
        fm_json_float(json, NULL, values[i]);
    fm_json_array_close(json);
}

static bool is_high_control(unsigned char byte) {
    return byte >= 0x80 && byte < 0xA0;
}

void fm_text_add_visible(struct text *text, const char *string) {
    bool inside = false; /* of a character's bytes */
    for (const char *at = string; *at; at++) {
        unsigned char byte = (unsigned char)*at, next = (unsigned char)at[1];
        /* U+0080 to U+009F count as controls as well, in UTF-8 (C2 80 ...) or as a byte alone */
        bool control = byte < 0x20 || byte == 0x7F || (byte == 0xC2 && is_high_control(next)) ||
                       (!inside && is_high_control(byte));
        if (control)
            fm_text_add(text, "\\x%02X", byte);
        else
            fm_text_add_bytes(text, at, 1);
        inside = byte >= 0x80 && !control;
    }
}

fm_status fm_face_unaligned(const fm_face *face, const char **words) {
    bool none = true;
    const char *ignored;
    for (int k = 1; k < 5; k++)
        none = none && memcmp(face->landmarks[k], face->landmarks[0], sizeof face->landmarks[0]) == 0;
    *(words ? words : &ignored) = none ? "the pack's detector gives no landmarks to align it by"
                                       : "its landmarks are no face's and cannot be aligned";
    return none ? FM_UNSUPPORTED : FM_BAD_IMAGE;
}

/* Little-endian whatever the machine is. */
void fm_text_add_floats_base64(struct text *text, const float *values, size_t count) {
    enum { CHUNK = 96 }; /* a multiple of 3 values: the pieces of base64 join without padding */
    uint8_t bytes[CHUNK * 4];
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, &values[done + i], sizeof bits);
            for (int k = 0; k < 4; k++)
                bytes[4 * i + (size_t)k] = (uint8_t)(bits >> (8 * k));
        }
        fm_text_add_base64(text, bytes, n * 4);
    }
}

static void add_base64(struct json *json, const char *key, const float *values, size_t count) {
    fm_json_string(json, key, "");
    json->text->length--; /* the closing quote comes after the digits */
    fm_text_add_floats_base64(json->text, values, count);
    fm_text_add_bytes(json->text, "\"", 1);
}

static void add_face(struct json *json, const fm_face *face, size_t index, const struct record_options *options) {
    fm_json_object_open(json, NULL);
    fm_json_floats(json, "box", face->box, 4);
    fm_json_float(json, "score", face->score);
    fm_json_array_open(json, "landmarks");
    for (int k = 0; k < 5; k++)
        fm_json_floats(json, NULL, face->landmarks[k], 2);
    fm_json_array_close(json);
    if (face->embedding && options->embedding == EMBEDDING_ARRAY)
        fm_json_floats(json, "embedding", face->embedding, (size_t)face->embedding_size);
    if (face->embedding && options->embedding == EMBEDDING_BASE64)
        add_base64(json, "embedding", face->embedding, (size_t)face->embedding_size);
    if (face->embedding && options->embedded)
        fm_json_float(json, "embedding_norm", face->embedding_norm);
    if (!face->embedding && options->embedded && options->embedding != EMBEDDING_NONE)
        fm_json_string(json, "embedding", NULL);
    if (options->crops)
        fm_json_string(json, "crop", options->crops[index]);
    fm_json_object_close(json);
}

/* The end of a path, which tells more than its beginning; starts at a whole character of UTF-8. */
static const char *path_tail(const char *path, int width, const char **dots) {
    size_t length = strlen(path);
    *dots = "";
    if (length <= (size_t)width)
        return path;
    *dots = "...";
    path += length - (size_t)width + 3;
    while ((*path & 0xC0) == 0x80)
        path++;
    return path;
}

static void start_row(struct output *output, const char *path) {
    const char *dots = "";
    const char *tail = path_tail(path, PATH_COLUMN, &dots);
    size_t start = output->text.length;
    fm_text_add(&output->text, "%s", dots);
    fm_text_add_visible(&output->text, tail);
    size_t used = output->text.length - start;
    fm_text_add(&output->text, "%*s ", used < PATH_COLUMN ? PATH_COLUMN - (int)used : 0, "");
}

void fm_record_header(struct output *output) {
    if (output->csv)
        fm_csv_header(&output->text);
    if (output->table)
        fm_text_add(&output->text, "%-*s %9s %4s %5s  %-27s %6s\n", PATH_COLUMN, "image", "size", "face", "score",
                    "box x1 y1 x2 y2", "norm");
}

static void add_rows(struct output *output, const char *path, const struct found *found,
                     const struct record_options *options) {
    struct text *text = &output->text;
    for (size_t i = 0; i < found->count || i == 0; i++) {
        const fm_face *face = found->face(found->owner, i);
        start_row(output, i ? "" : path);
        if (i)
            fm_text_add(text, "%9s ", "");
        else
            fm_text_add(text, "%4dx%-4d ", found->width, found->height);
        if (!face) {
            fm_text_add(text, "%4s\n", "none");
            break;
        }
        fm_text_add(text, "%4zu %5.3f  %6.1f %6.1f %6.1f %6.1f", i + 1, (double)face->score, (double)face->box[0],
                    (double)face->box[1], (double)face->box[2], (double)face->box[3]);
        if (face->embedding && options->embedded)
            fm_text_add(text, " %6.2f", (double)face->embedding_norm);
        if (options->crops) {
            fm_text_add(text, "  ");
            fm_text_add_visible(text, options->crops[i]);
        }
        fm_text_add(text, "\n");
    }
}

static const fm_face *result_face(const void *owner, size_t index) {
    return fm_result_face(owner, index);
}

struct found fm_found_in(const fm_result *result) {
    return (struct found){fm_result_width(result), fm_result_height(result), fm_result_face_count(result), result_face,
                          result};
}

void fm_record_found(struct output *output, const char *path, const struct found *found,
                     const struct record_options *options) {
    struct json *json = &output->json;
    if (output->table) {
        add_rows(output, path, found, options);
        return;
    }
    if (output->csv) {
        fm_csv_found(&output->text, path, found, options);
        return;
    }
    fm_json_object_open(json, NULL);
    fm_json_string(json, "path", path);
    fm_json_integer(json, "width", found->width);
    fm_json_integer(json, "height", found->height);
    fm_json_array_open(json, "faces");
    for (size_t i = 0; i < found->count; i++)
        add_face(json, found->face(found->owner, i), i, options);
    fm_json_array_close(json);
    fm_json_object_close(json);
    fm_output_end_line(output);
}

void fm_record_error(struct output *output, const char *path, fm_status status, const char *message) {
    struct json *json = &output->json;
    char help[HELP_SIZE];
    if (output->table) {
        start_row(output, path);
        fm_text_add(&output->text, "error: %s: ", fm_status_name(status));
        fm_text_add_visible(&output->text, message);
        fm_help_place(fm_status_name(status), help);
        fm_text_add(&output->text, "; see %s\n", help);
        return;
    }
    if (output->csv) {
        fm_csv_error(&output->text, path, status, message);
        return;
    }
    fm_json_object_open(json, NULL);
    fm_json_string(json, "path", path);
    fm_json_object_open(json, "error");
    fm_json_string(json, "code", fm_status_name(status));
    fm_json_string(json, "message", message);
    fm_json_help(json, status);
    fm_json_object_close(json);
    fm_json_object_close(json);
    fm_output_end_line(output);
}
