/* Requests of InsightFace-REST: one table of fields, filled from JSON, MessagePack or a form. Pure. */
#include "http/extract.h"

#include "http/msgpack.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define THRESHOLD 0.6
#define MAX_VALUES ((size_t)16384)

enum field_kind { FIELD_BOOL, FIELD_WHOLE, FIELD_NUMBER };
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
};

#define BOOL(name)                                                                                                     \
    { #name, FIELD_BOOL, offsetof(struct extract_request, name) }
static const struct field fields[] = {
    {"threshold", FIELD_NUMBER, offsetof(struct extract_request, threshold)},
    {"limit_faces", FIELD_WHOLE, offsetof(struct extract_request, limit_faces)},
    {"min_face_size", FIELD_WHOLE, offsetof(struct extract_request, min_face_size)},
    BOOL(embed_only),
    BOOL(return_face_data),
    BOOL(return_landmarks),
    BOOL(extract_embedding),
    BOOL(extract_ga),
    BOOL(detect_masks),
    BOOL(verbose_timings),
    BOOL(msgpack),
    BOOL(draw_landmarks),
    BOOL(draw_scores),
    BOOL(draw_sizes),
};
#undef BOOL
#define FIELDS (sizeof fields / sizeof fields[0])

/* A simple value, whatever it was written in. */
struct scalar {
    enum { SCALAR_OTHER, SCALAR_NULL, SCALAR_BOOL, SCALAR_NUMBER, SCALAR_TEXT } kind;
    bool truth;
    double number;
    const char *text;
};

static bool fail(struct extract_failure *failure, fm_status status, const char *type, const char *field,
                 const char *words) {
    failure->type = type;
    failure->field = field;
    fm_fail(&failure->error, status, "%s", words);
    return false;
}

static bool fail_memory(struct extract_failure *failure) {
    return fail(failure, FM_OUT_OF_MEMORY, "value_error", NULL, "out of memory reading the request; try again later");
}

/* ---- fields */

static bool text_number(const char *text, double *number) {
    char *end;
    *number = strtod(text, &end);
    return end != text && !*end;
}

static bool text_truth(const char *text, bool *truth) {
    static const char *const yes[] = {"true", "1", "on", "yes", "t", "y"}, *const no[] = {"false", "0", "off",
                                                                                          "no",    "f", "n"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *truth = strcasecmp(text, yes[i]) == 0;
        if (*truth || strcasecmp(text, no[i]) == 0)
            return true;
    }
    return false;
}

static bool read_truth(const struct scalar *value, bool *truth) {
    *truth = value->kind == SCALAR_BOOL ? value->truth : value->kind == SCALAR_NUMBER && value->number > 0;
    return value->kind == SCALAR_NULL || value->kind == SCALAR_BOOL ||
           (value->kind == SCALAR_NUMBER && (!(value->number < 0 || value->number > 0) || value->number == 1.0)) ||
           (value->kind == SCALAR_TEXT && text_truth(value->text, truth));
}

static bool read_number(const struct scalar *value, double *number) {
    *number = value->kind == SCALAR_BOOL ? value->truth : value->number;
    return (value->kind == SCALAR_BOOL || value->kind == SCALAR_NUMBER ||
            (value->kind == SCALAR_TEXT && text_number(value->text, number))) &&
           isfinite(*number);
}

static bool set_field(struct extract_request *request, const struct field *field, const struct scalar *value,
                      struct extract_failure *failure) {
    char *place = (char *)request + field->offset;
    double number;
    if (field->kind == FIELD_BOOL)
        return read_truth(value, (bool *)(void *)place) ||
               fail(failure, FM_INVALID_ARGUMENT, "bool_parsing", field->name, "Input should be a valid boolean");
    if (value->kind == SCALAR_NULL)
        return true; /* the default */
    if (!read_number(value, &number))
        return fail(failure, FM_INVALID_ARGUMENT, "float_parsing", field->name, "Input should be a valid number");
    if (field->kind == FIELD_NUMBER) {
        *(double *)(void *)place = number;
        return true;
    }
    if (!(number >= -1e9 && number <= 1e9) || rint(number) < number || rint(number) > number)
        return fail(failure, FM_INVALID_ARGUMENT, "int_parsing", field->name, "Input should be a valid integer");
    *(int64_t *)(void *)place = (int64_t)number;
    return true;
}

static void set_defaults(struct extract_request *request, struct extract_failure *failure) {
    *failure = (struct extract_failure){0};
    *request = (struct extract_request){.threshold = THRESHOLD,
                                        .extract_embedding = true,
                                        .draw_landmarks = true,
                                        .draw_scores = true,
                                        .draw_sizes = true};
}

static bool reserve_pictures(struct extract_request *request, size_t count, bool urls,
                             struct extract_failure *failure) {
    const char *field = urls ? "images.urls" : "images.data";
    if (request->pictures && (!urls || request->urls)) /* nothing that takes memory may come again and again */
        return fail(failure, FM_INVALID_ARGUMENT, "value_error", field, "it is there twice");
    if (count > EXTRACT_PICTURES)
        return fail(failure, FM_INVALID_ARGUMENT, "too_long", field, "more than 1024 images; send several requests");
    request->pictures = fm_arena_alloc(&request->arena, count * sizeof *request->pictures);
    request->count = count;
    request->urls = urls;
    return request->pictures || fail_memory(failure);
}

static bool reserve_headers(struct extract_request *request, size_t count, struct extract_failure *failure) {
    if (request->headers)
        return fail(failure, FM_INVALID_ARGUMENT, "value_error", "img_req_headers", "it is there twice");
    if (count > EXTRACT_HEADERS)
        return fail(failure, FM_INVALID_ARGUMENT, "too_long", "img_req_headers", "more than 32 headers");
    request->headers = fm_arena_alloc(&request->arena, count * sizeof *request->headers);
    return request->headers || fail_memory(failure);
}

/* A header line of a client's must stay one line, and no other header. */
static bool add_header(struct extract_request *request, const char *name, const char *value,
                       struct extract_failure *failure) {
    bool good = name[0] && name[strcspn(name, " \t\r\n:;")] == 0 && value && value[strcspn(value, "\r\n")] == 0;
    for (const char *c = name; good && *c; c++)
        good = *c > ' ' && *c < 127;
    if (!good)
        return fail(failure, FM_INVALID_ARGUMENT, "value_error", "img_req_headers",
                    "a header needs a name of visible characters and a value of one line");
    request->headers[request->header_count][0] = name;
    request->headers[request->header_count++][1] = value;
    return true;
}

/* ---- JSON */

static struct scalar json_scalar(const struct json_value *value) {
    const char *text = fm_json_text(value);
    if (text)
        return (struct scalar){.kind = SCALAR_TEXT, .text = text};
    if (fm_json_is_bool(value))
        return (struct scalar){.kind = SCALAR_BOOL, .truth = fm_json_truth(value, false)};
    if (fm_json_is_number(value))
        return (struct scalar){.kind = SCALAR_NUMBER, .number = fm_json_value(value, 0)};
    bool other = fm_json_is_array(value) || fm_json_is_object(value);
    return (struct scalar){.kind = other ? SCALAR_OTHER : SCALAR_NULL};
}

static bool is_list(const struct json_value *value, bool *listed) {
    *listed = fm_json_is_array(value);
    return *listed || json_scalar(value).kind == SCALAR_NULL;
}

static bool read_json_pictures(const struct json_value *images, struct extract_request *request,
                               struct extract_failure *failure) {
    const struct json_value *urls = fm_json_member(images, "urls"), *files = fm_json_member(images, "data");
    bool fetched, sent;
    if (!fm_json_is_object(images))
        return fail(failure, FM_INVALID_ARGUMENT, images ? "model_type" : "missing", "images",
                    images ? "Input should be a valid dictionary" : "Field required");
    if (!is_list(urls, &fetched) || !is_list(files, &sent))
        return fail(failure, FM_INVALID_ARGUMENT, "list_type", "images", "Input should be a valid list");
    const struct json_value *list = fetched ? urls : files; /* URLs come first where there are both */
    if (!reserve_pictures(request, fm_json_count(list), fetched, failure))
        return false;
    for (size_t i = 0; i < request->count; i++) {
        const char *text = fm_json_text(fm_json_item(list, i));
        if (!text)
            return fail(failure, FM_INVALID_ARGUMENT, "string_type", "images", "Input should be a valid string");
        request->pictures[i] = (struct extract_picture){.text = text, .size = strlen(text)};
    }
    return true;
}

static bool read_json_headers(const struct json_value *headers, struct extract_request *request,
                              struct extract_failure *failure) {
    size_t count = fm_json_is_object(headers) ? fm_json_count(headers) : 0;
    if (count == 0)
        return true;
    if (!reserve_headers(request, count, failure))
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *name;
        const struct json_value *value = fm_json_entry(headers, i, &name);
        if (!add_header(request, name, fm_json_text(value), failure))
            return false;
    }
    return true;
}

/* A value in two bytes of text takes fifty of memory: only pictures may be long. */
static bool has_few_values(const uint8_t *bytes, size_t size) {
    size_t values = 0;
    for (size_t i = 0; i < size; i++)
        values += bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{';
    return values <= MAX_VALUES;
}

bool fm_extract_read_json(const uint8_t *bytes, size_t size, struct extract_request *request,
                          struct extract_failure *failure) {
    set_defaults(request, failure);
    if (!has_few_values(bytes, size))
        return fail(failure, FM_LIMIT, "too_long", NULL, "the body has more than 16384 values");
    fm_status status = fm_json_read(bytes, size, SIZE_MAX, "the body", &request->document, &failure->error);
    failure->type = "json_invalid";
    if (status)
        return false;
    if (!fm_json_is_object(request->document))
        return fail(failure, FM_INVALID_ARGUMENT, "model_attributes_type", NULL, "Input should be a valid dictionary");
    for (size_t i = 0; i < FIELDS; i++) {
        const struct json_value *value = fm_json_member(request->document, fields[i].name);
        struct scalar scalar = json_scalar(value);
        if (value && !set_field(request, &fields[i], &scalar, failure))
            return false;
    }
    return read_json_pictures(fm_json_member(request->document, "images"), request, failure) &&
           read_json_headers(fm_json_member(request->document, "img_req_headers"), request, failure);
}

/* ---- MessagePack */

static bool fail_packed(struct extract_failure *failure) {
    return fail(failure, FM_INVALID_ARGUMENT, "msgpack_invalid", NULL, "the body is not valid MessagePack");
}

/* A NUL-terminated copy; NULL for what is no text. */
static const char *copy_text(struct extract_request *request, const struct msgpack_item *item) {
    if (item->kind != MSGPACK_TEXT || memchr(item->bytes, 0, item->size))
        return item->kind == MSGPACK_TEXT && !item->size ? "" : NULL;
    char *copy = fm_arena_alloc(&request->arena, (size_t)item->size + 1);
    if (copy)
        memcpy(copy, item->bytes, item->size);
    return copy;
}

static struct scalar packed_scalar(const struct msgpack_item *item, char text[64]) {
    switch (item->kind) {
    case MSGPACK_NIL:
        return (struct scalar){.kind = SCALAR_NULL};
    case MSGPACK_BOOL:
        return (struct scalar){.kind = SCALAR_BOOL, .truth = item->truth};
    case MSGPACK_INTEGER:
    case MSGPACK_FLOAT:
        return (struct scalar){.kind = SCALAR_NUMBER, .number = item->number};
    case MSGPACK_TEXT:
        if (item->size >= 64)
            break;
        memcpy(text, item->bytes, item->size);
        text[item->size] = 0;
        return (struct scalar){.kind = SCALAR_TEXT, .text = text};
    case MSGPACK_BYTES:
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
    case MSGPACK_EXTENSION:
        break;
    }
    return (struct scalar){.kind = SCALAR_OTHER};
}

/* One list of pictures: files as bytes (also those of packers that know texts only), or URLs. */
static bool read_packed_list(struct msgpack_reader *reader, const struct msgpack_item *list, bool urls,
                             struct extract_request *request, struct extract_failure *failure) {
    struct msgpack_item item;
    if (!reserve_pictures(request, list->size, urls, failure))
        return false;
    for (size_t i = 0; i < request->count; i++) {
        struct extract_picture *picture = &request->pictures[i];
        if (!fm_msgpack_next(reader, &item))
            return fail_packed(failure);
        if (item.kind != MSGPACK_TEXT && (urls || item.kind != MSGPACK_BYTES))
            return fail(failure, FM_INVALID_ARGUMENT, "bytes_type", "images",
                        urls ? "Input should be a valid string" : "Input should be valid bytes");
        *picture = (struct extract_picture){.bytes = item.bytes, .size = item.size};
        if (urls && !(picture->text = copy_text(request, &item)))
            return fail(failure, FM_INVALID_ARGUMENT, "string_type", "images", "Input should be a valid string");
        if (urls)
            picture->bytes = NULL;
    }
    return true;
}

static bool read_packed_pictures(struct msgpack_reader *reader, const struct msgpack_item *images,
                                 struct extract_request *request, struct extract_failure *failure) {
    struct msgpack_item key, value;
    if (images->kind != MSGPACK_MAP)
        return fail(failure, FM_INVALID_ARGUMENT, "model_type", "images", "Input should be a valid dictionary");
    for (uint32_t i = 0; i < images->size; i++) {
        if (!fm_msgpack_next(reader, &key) || !fm_msgpack_skip(reader, &key) || !fm_msgpack_next(reader, &value))
            return fail_packed(failure);
        bool urls = fm_msgpack_is_text(&key, "urls");
        if ((urls || (fm_msgpack_is_text(&key, "data") && !request->urls)) && value.kind == MSGPACK_ARRAY) {
            if (!read_packed_list(reader, &value, urls, request, failure))
                return false;
        } else if ((urls || fm_msgpack_is_text(&key, "data")) && value.kind != MSGPACK_NIL && !request->urls) {
            return fail(failure, FM_INVALID_ARGUMENT, "list_type", "images", "Input should be a valid list");
        } else if (!fm_msgpack_skip(reader, &value)) {
            return fail_packed(failure);
        }
    }
    return true;
}

static bool read_packed_headers(struct msgpack_reader *reader, const struct msgpack_item *headers,
                                struct extract_request *request, struct extract_failure *failure) {
    struct msgpack_item key, value;
    if (headers->kind != MSGPACK_MAP)
        return fm_msgpack_skip(reader, headers) || fail_packed(failure);
    if (!reserve_headers(request, headers->size, failure))
        return false;
    for (uint32_t i = 0; i < headers->size; i++) {
        if (!fm_msgpack_next(reader, &key) || !fm_msgpack_skip(reader, &key) || !fm_msgpack_next(reader, &value) ||
            !fm_msgpack_skip(reader, &value))
            return fail_packed(failure);
        const char *name = copy_text(request, &key);
        if (!add_header(request, name ? name : "", copy_text(request, &value), failure))
            return false;
    }
    return true;
}

static bool read_packed_field(struct msgpack_reader *reader, const struct msgpack_item *key,
                              const struct msgpack_item *value, struct extract_request *request,
                              struct extract_failure *failure) {
    char text[64];
    for (size_t i = 0; i < FIELDS; i++) {
        struct scalar scalar = packed_scalar(value, text);
        if (fm_msgpack_is_text(key, fields[i].name) && !set_field(request, &fields[i], &scalar, failure))
            return false;
    }
    return fm_msgpack_skip(reader, value) || fail_packed(failure);
}

bool fm_extract_read_msgpack(const uint8_t *bytes, size_t size, struct extract_request *request,
                             struct extract_failure *failure) {
    struct msgpack_reader reader = {bytes, bytes ? bytes + size : bytes};
    struct msgpack_item body, key, value;
    bool good = true, images = false;
    set_defaults(request, failure);
    if (!fm_msgpack_next(&reader, &body))
        return fail_packed(failure);
    if (body.kind != MSGPACK_MAP)
        return fail(failure, FM_INVALID_ARGUMENT, "model_attributes_type", NULL, "Input should be a valid dictionary");
    for (uint32_t i = 0; good && i < body.size; i++) {
        if (!fm_msgpack_next(&reader, &key) || !fm_msgpack_skip(&reader, &key) || !fm_msgpack_next(&reader, &value))
            return fail_packed(failure);
        if (fm_msgpack_is_text(&key, "images")) {
            images = true;
            good = read_packed_pictures(&reader, &value, request, failure);
        } else if (fm_msgpack_is_text(&key, "img_req_headers")) {
            good = read_packed_headers(&reader, &value, request, failure);
        } else {
            good = read_packed_field(&reader, &key, &value, request, failure);
        }
    }
    if (good && reader.at != reader.end)
        return fail_packed(failure);
    return good && (images || fail(failure, FM_INVALID_ARGUMENT, "missing", "images", "Field required"));
}

/* ---- forms */

bool fm_extract_read_form(struct http_form *form, struct extract_request *request, struct extract_failure *failure) {
    set_defaults(request, failure);
    for (size_t i = 0; i < FIELDS; i++) {
        if (!fm_http_form_part(form, fields[i].name))
            continue;
        const char *text = fm_http_form_text(form, fields[i].name);
        struct scalar scalar = {.kind = text ? SCALAR_TEXT : SCALAR_OTHER, .text = text};
        if (!set_field(request, &fields[i], &scalar, failure))
            return false;
    }
    return true;
}

void fm_extract_reset(struct extract_request *request) {
    fm_json_free(request->document);
    fm_arena_reset(&request->arena);
    *request = (struct extract_request){0};
}
