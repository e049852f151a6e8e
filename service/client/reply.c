/* Reply: JSON that a stranger may have sent becomes faces, or words on what is wrong with it. Nothing here trusts a
   count, a size or a number. Pure. */
#include "client/reply.h"

#include "base/json_read.h"
#include "http/multipart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_SIDE 1000000
#define FLOAT_END 0x1.ffffffp127 /* from here on the nearest float is infinity */

/* ---- the reply as the caller sees it */

fm_reply *fm_reply_new(void) {
    fm_reply *reply = fm_alloc(sizeof *reply);
    if (reply) {
        reply->source = "";
        reply->arena.limit = 2 * REPLY_BYTES;
    }
    return reply;
}

void fm_reply_fail(fm_reply *reply, fm_status status, const char *message) {
    reply->status = status;
    reply->width = reply->height = 0;
    reply->count = 0;
    reply->message = fm_arena_copy(&reply->arena, message);
}

bool fm_reply_embedded(const fm_reply *reply) {
    return reply->embedded;
}

fm_status fm_reply_status(const fm_reply *reply) {
    return reply->result ? fm_result_status(reply->result) : reply->status;
}

const char *fm_reply_message(const fm_reply *reply) {
    if (reply->result)
        return fm_result_message(reply->result);
    return reply->message ? reply->message : "";
}

int fm_reply_width(const fm_reply *reply) {
    return reply->result ? fm_result_width(reply->result) : reply->width;
}

int fm_reply_height(const fm_reply *reply) {
    return reply->result ? fm_result_height(reply->result) : reply->height;
}

size_t fm_reply_face_count(const fm_reply *reply) {
    return reply->result ? fm_result_face_count(reply->result) : reply->count;
}

const fm_face *fm_reply_face(const fm_reply *reply, size_t index) {
    if (reply->result)
        return fm_result_face(reply->result, index);
    return index < reply->count ? &reply->faces[index] : NULL;
}

const char *fm_reply_source(const fm_reply *reply) {
    return reply->source;
}

void fm_reply_free(fm_reply *reply) {
    if (!reply)
        return;
    fm_result_free(reply->result);
    fm_arena_reset(&reply->arena);
    fm_free(reply);
}

/* ---- faces */

/* What one answer is read with. */
struct reading {
    fm_reply *reply;
    enum dialect dialect;
    struct buffer digits; /* of base64 */
    size_t index;         /* of the face, for words */
    int embedding_size;   /* of the first face that has one */
    fm_error *error;
};

static fm_status wrong(struct reading *reading, const char *what) {
    return fm_fail(reading->error, FM_INVALID_ARGUMENT, "face %zu: %s", reading->index + 1, what);
}

static bool read_float(const struct json_value *value, float *out) {
    double number = fm_json_value(value, NAN);
    *out = fabs(number) < FLOAT_END ? (float)number : 0;
    return fm_json_is_number(value) && fabs(number) < FLOAT_END;
}

static bool read_floats(const struct json_value *array, float *out, size_t count) {
    bool good = fm_json_is_array(array) && fm_json_count(array) == count;
    for (size_t i = 0; i < count && good; i++)
        good = read_float(fm_json_item(array, i), &out[i]);
    return good;
}

/* "bbox_x" and so on: whole pixels, corner and size. */
static bool read_whole_box(const struct json_value *object, float box[4]) {
    static const char *const names[4] = {"bbox_x", "bbox_y", "bbox_width", "bbox_height"};
    bool good = true;
    for (int i = 0; i < 4; i++)
        good = read_float(fm_json_member(object, names[i]), &box[i]) && good;
    box[2] += box[0];
    box[3] += box[1];
    return good && isfinite(box[2]) && isfinite(box[3]);
}

/* Absent or null: none, as of a detector that gives boxes alone. */
static bool read_landmarks(const struct json_value *object, float landmarks[5][2]) {
    const struct json_value *points = fm_json_member(object, "landmarks");
    if (!fm_json_is_array(points))
        return !fm_json_is_object(points) && !fm_json_is_number(points) && !fm_json_text(points);
    bool good = fm_json_count(points) == 5;
    for (size_t i = 0; i < 5 && good; i++)
        good = read_floats(fm_json_item(points, i), landmarks[i], 2);
    return good;
}

static fm_status embedding_from_base64(struct reading *reading, const char *text, float **values, size_t *count) {
    fm_error why = {0};
    fm_status status = fm_base64_read(text, strlen(text), REPLY_EMBEDDING * 4, &reading->digits, &why);
    if (status)
        return status == FM_OUT_OF_MEMORY ? fm_fail(reading->error, status, "%s", why.message)
                                          : wrong(reading, why.message);
    *count = reading->digits.size / 4;
    if (reading->digits.size % 4 || !*count)
        return wrong(reading, "its embedding is no whole number of values");
    *values = fm_arena_alloc(&reading->reply->arena, *count * sizeof **values);
    for (size_t i = 0; *values && i < *count; i++) {
        const uint8_t *at = reading->digits.bytes + 4 * i;
        uint32_t bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        memcpy(&(*values)[i], &bits, sizeof bits);
        if (!isfinite((*values)[i]))
            return wrong(reading, "a value of its embedding is no number");
    }
    return FM_OK;
}

static fm_status embedding_from_array(struct reading *reading, const struct json_value *array, float **values,
                                      size_t *count) {
    *count = fm_json_count(array);
    if (!*count || *count > REPLY_EMBEDDING)
        return wrong(reading, "its embedding has no value, or too many");
    *values = fm_arena_alloc(&reading->reply->arena, *count * sizeof **values);
    if (*values && !read_floats(array, *values, *count))
        return wrong(reading, "a value of its embedding is no number");
    return FM_OK;
}

static fm_status read_embedding(struct reading *reading, const struct json_value *object, fm_face *face) {
    const struct json_value *value = fm_json_member(object, "embedding");
    const char *text = fm_json_text(value);
    float *values = NULL;
    size_t count = 0;
    fm_status status = FM_OK;
    reading->reply->embedded = reading->reply->embedded || value;
    if (fm_json_is_number(value) || fm_json_is_bool(value) || fm_json_is_object(value))
        return wrong(reading, "its embedding is no list of numbers");
    if (text)
        status = embedding_from_base64(reading, text, &values, &count);
    else if (fm_json_is_array(value))
        status = embedding_from_array(reading, value, &values, &count);
    if (status || !count)
        return status; /* none: the face could not be aligned */
    if (!values)
        return fm_fail(reading->error, FM_OUT_OF_MEMORY, "no memory for the embeddings of an answer");
    if (reading->embedding_size && reading->embedding_size != (int)count)
        return wrong(reading, "its embedding has another number of values than those before");
    reading->embedding_size = face->embedding_size = (int)count;
    face->embedding = values;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    const struct json_value *norm = fm_json_member(object, "embedding_norm");
    face->embedding_norm = (float)sqrt(sum);
    if (fm_json_is_number(norm) && !read_float(norm, &face->embedding_norm))
        return wrong(reading, "its embedding_norm is no number");
    return FM_OK;
}

static fm_status read_face(struct reading *reading, const struct json_value *object, fm_face *face) {
    bool ours = reading->dialect == DIALECT_V1;
    if (!fm_json_is_object(object))
        return wrong(reading, "it is no object");
    if (ours ? !read_floats(fm_json_member(object, "box"), face->box, 4) : !read_whole_box(object, face->box))
        return wrong(reading, "its box is not four numbers");
    if (!read_float(fm_json_member(object, ours ? "score" : "confidence"), &face->score) || face->score < 0 ||
        face->score > 1)
        return wrong(reading, "its score is no number from 0 to 1");
    if (!read_landmarks(object, face->landmarks))
        return wrong(reading, "its landmarks are not five points");
    return read_embedding(reading, object, face);
}

static bool read_side(const struct json_value *document, const char *name, int *side) {
    int64_t value = fm_json_whole(fm_json_member(document, name), 0);
    *side = value > 0 && value <= MAX_SIDE ? (int)value : 0;
    return *side > 0;
}

static fm_status read_faces(struct reading *reading, const struct json_value *document) {
    fm_reply *reply = reading->reply;
    bool ours = reading->dialect == DIALECT_V1;
    const struct json_value *faces = fm_json_member(document, "faces");
    size_t count = fm_json_count(faces);
    if (!read_side(document, ours ? "width" : "image_width", &reply->width) ||
        !read_side(document, ours ? "height" : "image_height", &reply->height))
        return fm_fail(reading->error, FM_INVALID_ARGUMENT, "the image's size is missing");
    if (!fm_json_is_array(faces) || count > REPLY_FACES)
        return fm_fail(reading->error, FM_INVALID_ARGUMENT, "there is no list of faces, or a list of too many");
    reply->faces = count ? fm_arena_alloc(&reply->arena, count * sizeof *reply->faces) : NULL;
    if (count && !reply->faces)
        return fm_fail(reading->error, FM_OUT_OF_MEMORY, "no memory for the %zu faces of an answer", count);
    fm_status status = FM_OK;
    for (size_t i = 0; i < count && !status; i++) {
        reading->index = i;
        status = read_face(reading, fm_json_item(faces, i), &reply->faces[i]);
    }
    reply->count = status ? 0 : count;
    return status;
}

fm_status fm_reply_read(fm_reply *reply, enum dialect dialect, const void *bytes, size_t size, fm_error *error) {
    struct json_value *document = NULL;
    struct reading reading = {.reply = reply, .dialect = dialect, .error = error};
    fm_status status = fm_json_read(bytes, size, REPLY_BYTES, "the answer", &document, error);
    if (!status)
        status = read_faces(&reading, document);
    if (status)
        reply->width = reply->height = 0;
    fm_json_free(document);
    fm_buffer_reset(&reading.digits);
    return status;
}

/* ---- refusals */

/* Another's words on one line, cut to what fits. */
static void copy_visible(char *out, size_t size, const char *words) {
    size_t length = 0;
    for (; *words && length + 1 < size; words++) {
        unsigned char byte = (unsigned char)*words;
        out[length++] = byte < 0x20 || byte == 0x7F ? ' ' : *words;
    }
    if (((unsigned char)*words & 0xC0) == 0x80) { /* not in the middle of a character */
        while (length && ((unsigned char)out[length - 1] & 0xC0) == 0x80)
            length--;
        length -= length > 0;
    }
    out[length] = 0;
}

static fm_status status_of_code(long code) {
    switch (code) {
    case 400:
    case 422:
        return FM_BAD_IMAGE;
    case 413:
        return FM_LIMIT;
    case 415:
        return FM_UNSUPPORTED;
    default:
        return FM_OK;
    }
}

/* The status whose name our worker gives, where it is one that an image can have. */
static fm_status status_of_name(const char *name, fm_status otherwise) {
    static const fm_status image_statuses[] = {FM_INVALID_ARGUMENT, FM_UNSUPPORTED, FM_BAD_IMAGE, FM_TRUNCATED,
                                               FM_LIMIT};
    for (size_t i = 0; name && i < sizeof image_statuses / sizeof *image_statuses; i++) {
        if (strcmp(name, fm_status_name(image_statuses[i])) == 0)
            return image_statuses[i];
    }
    return otherwise;
}

struct refusal fm_refusal_read(long code, const void *bytes, size_t size) {
    struct refusal refusal = {.status = status_of_code(code)};
    struct json_value *document = NULL;
    fm_error ignored = {0};
    if (fm_json_read(bytes, size, REPLY_BYTES, "the answer", &document, &ignored) == FM_OK) {
        const struct json_value *object = fm_json_member(document, "error");
        const char *ours = fm_json_text(fm_json_member(object, "message"));
        const char *words = ours ? ours : fm_json_text(fm_json_member(document, "detail"));
        if (refusal.status)
            refusal.status = status_of_name(fm_json_text(fm_json_member(object, "code")), refusal.status);
        if (words)
            copy_visible(refusal.words, sizeof refusal.words, words);
    }
    if (!refusal.words[0])
        (void)snprintf(refusal.words, sizeof refusal.words, "it answers %ld", code);
    fm_json_free(document);
    return refusal;
}

/* ---- what a worker says of itself */

bool fm_worker_pack_read(const void *bytes, size_t size, struct worker_pack *pack) {
    struct json_value *document = NULL;
    fm_error ignored = {0};
    *pack = (struct worker_pack){.name = ""};
    bool good = fm_json_read(bytes, size, REPLY_BYTES, "the answer", &document, &ignored) == FM_OK &&
                fm_json_is_object(document) && fm_json_member(document, "models");
    if (good) {
        const struct json_value *object = fm_json_member(document, "pack");
        const char *name = fm_json_text(fm_json_member(object, "name")),
                   *id = fm_json_text(fm_json_member(object, "id"));
        copy_visible(pack->name, sizeof pack->name, name ? name : "");
        copy_visible(pack->id, sizeof pack->id, id ? id : "");
    }
    fm_json_free(document);
    return good;
}

bool fm_worker_health_read(const void *bytes, size_t size, char words[REPLY_WORDS]) {
    struct json_value *document = NULL;
    fm_error ignored = {0};
    const char *status = NULL;
    if (fm_json_read(bytes, size, REPLY_BYTES, "the answer", &document, &ignored) == FM_OK)
        status = fm_json_text(fm_json_member(document, "status"));
    bool good = status && strcmp(status, "healthy") == 0;
    char said[64] = "";
    copy_visible(said, sizeof said, status ? status : "");
    (void)snprintf(words, REPLY_WORDS, status ? "it says it is '%s'" : "it is no worker: GET / has no \"status\"",
                   said);
    fm_json_free(document);
    return good;
}
