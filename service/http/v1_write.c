/* Answers of /v1: the error envelope, faces as docs/output.md has them, embeddings, crops. Any thread. */
#include "http/v1.h"

#include <stdio.h>
#include <string.h>

/* ---- errors */

static const char *code_name(int http) {
    switch (http) {
    case 400:
    case 422:
        return "invalid_argument";
    case 401:
    case 403:
        return "unauthorized";
    case 404:
        return "not_found";
    case 405:
        return "method_not_allowed";
    case 408:
        return "timeout";
    case 413:
    case 414:
    case 431:
        return "limit";
    case 415:
        return "unsupported";
    case 499:
        return "cancelled";
    case 503:
        return "busy";
    case 504:
        return "deadline";
    default:
        return "internal";
    }
}

static bool has_section(const char *code) {
    for (int status = FM_INVALID_ARGUMENT; status <= FM_INTERNAL; status++) {
        if (strcmp(fm_status_name((fm_status)status), code) == 0)
            return true;
    }
    return false;
}

static void add_help(struct json *json, const char *code) {
    char place[64];
    if (!has_section(code))
        return;
    snprintf(place, sizeof place, "troubleshooting.md#%s", code);
    fm_json_string(json, "help", place);
}

static void write_envelope(struct text *out, const char *code, const char *words, const char *detail, const char *value,
                           const char *request_id) {
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_object_open(&json, "error");
    fm_json_string(&json, "code", code);
    fm_json_string(&json, "message", words);
    fm_json_object_open(&json, "details");
    if (detail)
        fm_json_string(&json, detail, value);
    add_help(&json, code);
    fm_json_object_close(&json);
    fm_json_object_close(&json);
    fm_json_string(&json, "request_id", request_id);
    fm_json_object_close(&json);
}

void fm_v1_write_error(struct text *out, int code, const char *words, const char *request_id) {
    write_envelope(out, code_name(code), words, NULL, NULL, request_id);
}

void fm_v1_refuse(struct http_request *request, const struct v1_failure *failure) {
    struct http_reply reply = {.code = failure->http, .type = "application/json"};
    write_envelope(&reply.text, failure->code, failure->error.message, failure->detail, failure->value, request->id);
    if (failure->http == 503)
        reply.header[0][0] = "Retry-After", reply.header[0][1] = "1";
    fm_http_reply(request, &reply);
}

/* ---- answers */

void fm_v1_open_reply(struct json *json, struct text *text, const struct http_request *request) {
    *json = (struct json){.text = text};
    fm_json_object_open(json, NULL);
    fm_json_string(json, "request_id", request->id);
}

void fm_v1_send(struct http_request *request, struct json *json) {
    fm_json_object_close(json);
    struct http_reply reply = {.code = 200, .type = "application/json", .text = *json->text};
    fm_http_reply(request, &reply);
}

void fm_v1_floats(struct json *json, const char *key, const float *values, size_t count) {
    fm_json_array_open(json, key);
    for (size_t i = 0; i < count; i++)
        fm_json_float(json, NULL, values[i]);
    fm_json_array_close(json);
}

static void add_base64(struct json *json, const char *key, const void *bytes, size_t size) {
    fm_json_string(json, key, "");
    json->text->length -= json->text->failed ? 0 : 1; /* the closing quote comes after the digits */
    fm_text_add_base64(json->text, bytes, size);
    fm_text_add_bytes(json->text, "\"", 1);
}

/* Little-endian whatever the machine is. */
static void add_float_bytes(struct json *json, const char *key, const float *values, size_t count) {
    enum { CHUNK = 96 }; /* a multiple of 3 values: the pieces of base64 join without padding */
    uint8_t bytes[CHUNK * 4];
    fm_json_string(json, key, "");
    json->text->length -= json->text->failed ? 0 : 1;
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, &values[done + i], sizeof bits);
            for (int k = 0; k < 4; k++)
                bytes[4 * i + (size_t)k] = (uint8_t)(bits >> (8 * k));
        }
        fm_text_add_base64(json->text, bytes, n * 4);
    }
    fm_text_add_bytes(json->text, "\"", 1);
}

void fm_v1_embedding(struct json *json, const char *key, enum v1_embedding form, const float *values, size_t count) {
    if (form == V1_ARRAY)
        fm_v1_floats(json, key, values, count);
    else if (form == V1_BASE64)
        add_float_bytes(json, key, values, count);
}

/* ---- pictures */

static void take_crop(const void *bytes, size_t size, void *user) {
    add_base64(user, "crop", bytes, size);
}

/* As the recogniser takes its faces; ArcFace's 112 where the pack has none. */
static fm_status cut_out(const fm_engine *engine, const fm_pixels *image, const fm_face *face, uint8_t *rgb) {
    return fm_engine_crop_size(engine) > 0 ? fm_engine_crop(engine, image, face->landmarks, rgb, NULL)
                                           : fm_crop_aligned(image, face->landmarks, 112, rgb, NULL);
}

static fm_status add_crop(struct json *json, const fm_engine *engine, const fm_result *result, const fm_face *face,
                          struct buffer *rgb, fm_error *error) {
    fm_pixels image = fm_result_pixels(result);
    int side = fm_engine_crop_size(engine) > 0 ? fm_engine_crop_size(engine) : 112;
    if (!fm_buffer_resize(rgb, (size_t)side * (size_t)side * 3))
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for a crop of %d x %d", side, side);
    if (cut_out(engine, &image, face, rgb->bytes)) {
        fm_json_string(json, "crop", NULL); /* its landmarks are no face's */
        return FM_OK;
    }
    fm_pixels crop = {.struct_size = sizeof crop, .data = rgb->bytes, .width = side, .height = side};
    return fm_image_encode(&crop, FM_FILE_PNG, take_crop, json, error);
}

static fm_status add_face(struct json *json, const struct worker_engine *held, const fm_result *result,
                          const fm_face *face, const struct v1_options *options, struct buffer *rgb, fm_error *error) {
    bool embedded = options->embedding != V1_NONE && fm_engine_embedding_size(held->engine) > 0;
    fm_status status = FM_OK;
    fm_json_object_open(json, NULL);
    fm_v1_floats(json, "box", face->box, 4);
    fm_json_float(json, "score", face->score);
    fm_json_array_open(json, "landmarks");
    for (int k = 0; k < 5; k++)
        fm_v1_floats(json, NULL, face->landmarks[k], 2);
    fm_json_array_close(json);
    if (face->embedding && embedded) {
        fm_v1_embedding(json, "embedding", options->embedding, face->embedding, (size_t)face->embedding_size);
        fm_json_float(json, "embedding_norm", face->embedding_norm);
    } else if (embedded) {
        fm_json_string(json, "embedding", NULL);
    }
    if (options->crops)
        status = add_crop(json, held->engine, result, face, rgb, error);
    fm_json_object_close(json);
    return status;
}

static void add_timings(struct json *json, const fm_result *result) {
    fm_timings timings = {.struct_size = sizeof timings};
    fm_result_timings(result, &timings);
    const struct {
        const char *name;
        double ms;
    } rows[] = {{"queue_ms", timings.queue_ms},   {"read_ms", timings.read_ms},
                {"decode_ms", timings.decode_ms}, {"letterbox_ms", timings.letterbox_ms},
                {"detect_ms", timings.detect_ms}, {"postprocess_ms", timings.postprocess_ms},
                {"align_ms", timings.align_ms},   {"embed_ms", timings.embed_ms},
                {"total_ms", timings.total_ms}};
    fm_json_object_open(json, "timings");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fm_json_float(json, rows[i].name, (float)rows[i].ms);
    fm_json_object_close(json);
}

fm_status fm_v1_picture(struct json *json, const struct worker_engine *held, const fm_result *result,
                        const struct v1_options *options, fm_error *error) {
    struct buffer rgb = {0};
    fm_status status = FM_OK;
    size_t start = json->text->length;
    bool comma = json->comma;
    fm_json_integer(json, "width", fm_result_width(result));
    fm_json_integer(json, "height", fm_result_height(result));
    fm_json_array_open(json, "faces");
    for (size_t i = 0; i < fm_result_face_count(result) && !status; i++)
        status = add_face(json, held, result, fm_result_face(result, i), options, &rgb, error);
    fm_json_array_close(json);
    add_timings(json, result);
    fm_buffer_reset(&rgb);
    if (status && !json->text->failed) { /* take back what was written of it */
        json->text->length = start;
        json->comma = comma;
    }
    return status;
}

void fm_v1_picture_error(struct json *json, fm_status status, const char *words) {
    const char *code = fm_status_name(status);
    fm_json_object_open(json, "error");
    fm_json_string(json, "code", code);
    fm_json_string(json, "message", words);
    add_help(json, code);
    fm_json_object_close(json);
}
