/* Options of a /v1 request: one table, read from a query's texts or from JSON's members. What is unknown, doubled or
   out of its range is refused by name. Pure. */
#include "http/v1.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value as it came: a text of the query or a value of JSON. */
struct v1_value {
    const char *text;
    const struct json_value *json;
};

bool fm_v1_fail(struct v1_failure *failure, int http, const char *code, const char *detail, const char *value,
                const char *format, ...) {
    va_list arguments;
    if (failure->http)
        return false;
    failure->http = http;
    failure->code = code;
    failure->detail = detail;
    snprintf(failure->value, sizeof failure->value, "%s", value ? value : "");
    failure->error.status = FM_INVALID_ARGUMENT;
    va_start(arguments, format);
    vsnprintf(failure->error.message, sizeof failure->error.message, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- kinds of values */

static bool text_number(const char *text, size_t length, double *number) {
    char copy[48], *end = NULL;
    if (!length || length >= sizeof copy || strspn(text, "+-.0123456789eE") < length || text[0] == '+')
        return false; /* no hexadecimal, "inf" or "nan" */
    memcpy(copy, text, length);
    copy[length] = 0;
    *number = strtod(copy, &end);
    return *end == 0;
}

static bool read_number(struct v1_value value, double low, double high, double *number) {
    if (value.text ? !text_number(value.text, strlen(value.text), number) : !fm_json_is_number(value.json))
        return false;
    if (!value.text)
        *number = fm_json_value(value.json, NAN);
    return isfinite(*number) && *number >= low && *number <= high;
}

static bool read_whole(struct v1_value value, double low, double high, int64_t *whole) {
    double number;
    if (!read_number(value, low, high, &number) || floor(number) < number)
        return false;
    *whole = (int64_t)number;
    return true;
}

static bool read_flag(struct v1_value value, bool *flag) {
    if (!value.text) {
        *flag = fm_json_truth(value.json, false);
        return fm_json_is_bool(value.json);
    }
    *flag = strcmp(value.text, "true") == 0;
    return *flag || strcmp(value.text, "false") == 0;
}

static bool read_choice(struct v1_value value, const char *const *choices, int *choice) {
    const char *word = value.text ? value.text : fm_json_text(value.json);
    for (*choice = 0; word && choices[*choice]; ++*choice) {
        if (strcmp(word, choices[*choice]) == 0)
            return true;
    }
    return false;
}

/* ---- the options */

static bool set_det_size(struct v1_options *options, struct v1_value value) {
    size_t count = value.text ? 1 : fm_json_is_array(value.json) ? fm_json_count(value.json) : 1;
    const char *next = value.text;
    for (size_t i = 0; i < count; i++) {
        struct v1_value item = {.json = fm_json_is_array(value.json) ? fm_json_item(value.json, i) : value.json};
        double side;
        if (next) {
            size_t length = strcspn(next, ",");
            if (!text_number(next, length, &side))
                return false;
            count += next[length] == ',';
            next += length + (next[length] == ',');
        } else if (!read_number(item, 32, 4096, &side)) {
            return false;
        }
        if (!(side >= 32 && side <= 4096) || fmod(side, 32) > 0 || i >= FM_MAX_DET_SIZES)
            return false;
        options->call.det_sizes[i] = (int)side;
    }
    return count > 0;
}

static bool set_det_threshold(struct v1_options *options, struct v1_value value) {
    double number = 0;
    bool good = read_number(value, 0.001, 1, &number);
    options->call.det_threshold = (float)number;
    return good;
}

static bool set_max_faces(struct v1_options *options, struct v1_value value) {
    int64_t number = 0;
    bool good = read_whole(value, 0, 100000, &number);
    options->call.max_faces = number ? (int)number : -1; /* 0: all, also where the worker has a limit */
    return good;
}

static bool set_min_face(struct v1_options *options, struct v1_value value) {
    double number = 0;
    bool good = read_number(value, 0, 100000, &number);
    options->call.min_face = number > 0 ? (float)number : -1.0f;
    return good;
}

static bool set_face_metric(struct v1_options *options, struct v1_value value) {
    static const char *const choices[] = {"area", "centre", NULL};
    int choice;
    bool good = read_choice(value, choices, &choice);
    options->call.face_metric = choice ? FM_METRIC_CENTRE : FM_METRIC_AREA;
    return good;
}

static bool set_embedding(struct v1_options *options, struct v1_value value) {
    static const char *const choices[] = {[V1_ARRAY] = "array", [V1_BASE64] = "base64", [V1_NONE] = "none", NULL};
    int choice;
    bool good = read_choice(value, choices, &choice);
    options->embedding = (enum v1_embedding)choice;
    return good;
}

static bool set_embed_form(struct v1_options *options, struct v1_value value) {
    return set_embedding(options, value) && options->embedding != V1_NONE;
}

static bool set_crops(struct v1_options *options, struct v1_value value) {
    bool good = read_flag(value, &options->crops);
    options->call.keep_pixels = options->crops;
    return good;
}

static bool set_attributes(struct v1_options *options, struct v1_value value) {
    const char *first = value.text;
    if (!first && !fm_json_is_array(value.json))
        return false;
    for (size_t i = fm_json_count(value.json); i-- > 0;) {
        first = fm_json_text(fm_json_item(value.json, i));
        if (!first)
            return false;
    }
    if (first)
        snprintf(options->attribute, sizeof options->attribute, "%.*s", (int)strcspn(first, ","), first);
    return true;
}

static bool set_threshold(struct v1_options *options, struct v1_value value) {
    options->has_threshold = true;
    return read_number(value, -1, 1, &options->threshold);
}

static bool set_width(struct v1_options *options, struct v1_value value) {
    return read_whole(value, 1, 4096, &options->width);
}

static bool set_height(struct v1_options *options, struct v1_value value) {
    return read_whole(value, 1, 4096, &options->height);
}

static bool set_count(struct v1_options *options, struct v1_value value) {
    return read_whole(value, 1, HTTP_PARTS, &options->count);
}

static const struct row {
    const char *name;
    unsigned routes;
    bool query_only;
    bool (*set)(struct v1_options *options, struct v1_value value);
    const char *expected;
} rows[] = {
    {"det_size", V1_ANALYZE | V1_COMPARE, false, set_det_size, "1 to 4 multiples of 32 from 32 to 4096 (128,640)"},
    {"det_threshold", V1_ANALYZE | V1_COMPARE, false, set_det_threshold, "a number from 0.001 to 1"},
    {"max_faces", V1_ANALYZE, false, set_max_faces, "a whole number from 0 (all) to 100000"},
    {"min_face", V1_ANALYZE | V1_COMPARE, false, set_min_face, "pixels from 0 to 100000"},
    {"face_metric", V1_ANALYZE, false, set_face_metric, "area or centre"},
    {"embedding", V1_ANALYZE, false, set_embedding, "array, base64 or none"},
    {"embedding", V1_EMBED, false, set_embed_form, "array or base64"},
    {"crops", V1_ANALYZE, false, set_crops, "true or false"},
    {"attributes", V1_ANALYZE, false, set_attributes, "a list of words"},
    {"threshold", V1_COMPARE, false, set_threshold, "a cosine from -1 to 1"},
    {"width", V1_EMBED, true, set_width, "pixels from 1 to 4096"},
    {"height", V1_EMBED, true, set_height, "pixels from 1 to 4096"},
    {"count", V1_EMBED, true, set_count, "a whole number from 1 to 1024"},
};
#define ROWS (sizeof rows / sizeof *rows)

static size_t find(const char *name, enum v1_route route, bool query) {
    for (size_t i = 0; i < ROWS; i++) {
        if ((rows[i].routes & route) && (query || !rows[i].query_only) && strcmp(rows[i].name, name) == 0)
            return i;
    }
    return ROWS;
}

static void list_names(enum v1_route route, bool query, char *out, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < ROWS && used < size; i++) {
        if ((rows[i].routes & route) && (query || !rows[i].query_only))
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", rows[i].name);
    }
}

static bool fail_unknown(const char *kind, const char *name, enum v1_route route, bool query,
                         struct v1_failure *failure) {
    char names[256] = "";
    list_names(route, query, names, sizeof names);
    return fm_v1_fail(failure, 422, "invalid_argument", "parameter", name, "there is no %s '%.64s' here; expected %s",
                      kind, name, names);
}

bool fm_v1_read_query(const struct http_request *request, enum v1_route route, struct v1_options *options,
                      struct v1_failure *failure) {
    bool seen[ROWS] = {false};
    const char *name, *text;
    for (size_t i = 0; (name = fm_http_query_entry(request, i, &text)) != NULL; i++) {
        size_t row = find(name, route, true);
        if (row == ROWS)
            return fail_unknown("query parameter", name, route, true, failure);
        if (seen[row])
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", name,
                              "query parameter '%s' is there twice; give it once", name);
        seen[row] = true;
        if (!rows[row].set(options, (struct v1_value){.text = text ? text : ""}))
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", name,
                              "query parameter '%s': '%.64s' is not a value of it; expected %s", name, text ? text : "",
                              rows[row].expected);
    }
    return true;
}

bool fm_v1_read_members(const struct json_value *body, const char *const *pictures, enum v1_route route,
                        struct v1_options *options, struct v1_failure *failure) {
    for (size_t i = 0; i < fm_json_count(body); i++) {
        const char *name = "";
        const struct json_value *value = fm_json_entry(body, i, &name);
        bool picture = false;
        for (size_t k = 0; pictures[k]; k++)
            picture = picture || strcmp(pictures[k], name) == 0;
        if (picture)
            continue;
        size_t row = find(name, route, false);
        if (row == ROWS)
            return fail_unknown("member", name, route, false, failure);
        if (!rows[row].set(options, (struct v1_value){.json = value}))
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", name,
                              "member '%s' has a value that is not one of it; expected %s", name, rows[row].expected);
    }
    return true;
}
