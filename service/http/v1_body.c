/* Bodies of /v1: one picture as it is, a form with pictures, or JSON with pictures in base64. Nothing is decoded here.
 */
#include "http/v1.h"

#include <string.h>
#include <strings.h>

static bool fail_size(struct v1_failure *failure) {
    return fm_v1_fail(failure, 503, "out_of_memory", NULL, NULL, "out of memory for the request; try again later");
}

static bool make_pictures(struct v1_body *body, size_t count, struct v1_failure *failure) {
    if (count > HTTP_PARTS)
        return fm_v1_fail(failure, 413, "limit", NULL, NULL, "%zu pictures in one request; send at most %d", count,
                          HTTP_PARTS);
    body->pictures = fm_arena_alloc(&body->arena, (count + 1) * sizeof *body->pictures);
    body->count = count;
    return body->pictures ? true : fail_size(failure);
}

/* ---- forms */

static size_t find_name(const char *const *names, const char *name) {
    size_t i = 0;
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void put_picture(struct v1_picture *picture, const struct http_part *part) {
    *picture = (struct v1_picture){
        .bytes = part->bytes ? part->bytes : (const uint8_t *)"", .size = part->size, .name = part->filename};
}

static bool read_form(const struct http_request *request, const char *const *names, bool listed, struct v1_body *body,
                      struct v1_failure *failure) {
    fm_error error = {0};
    fm_status status = fm_http_form_parse(request->type, request->body, request->size, &body->form, &error);
    size_t wanted = 0;
    if (status)
        return fm_v1_fail(failure, fm_worker_code(status), fm_status_name(status), NULL, NULL, "%s", error.message);
    while (names[wanted])
        wanted++;
    if (!make_pictures(body, listed ? body->form.count : wanted, failure))
        return false;
    for (size_t i = 0; i < body->form.count; i++) {
        const struct http_part *part = &body->form.parts[i];
        size_t place = find_name(names, part->name);
        if (!names[place])
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", part->name,
                              "there is no part '%.64s' here; pictures are parts named '%s', options are query "
                              "parameters",
                              part->name, names[0]);
        if (!listed && body->pictures[place].bytes)
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", part->name,
                              "part '%s' is there twice; give it once", part->name);
        put_picture(&body->pictures[listed ? i : place], part);
    }
    for (size_t i = 0; i < body->count; i++) {
        if (!body->pictures[i].bytes)
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", names[i],
                              "there is no part '%s'; send a picture under that name", names[i]);
    }
    return true;
}

/* ---- JSON */

static bool read_json_picture(const struct json_value *value, const char *where, struct v1_picture *picture,
                              struct v1_failure *failure) {
    picture->base64 = fm_json_text(fm_json_member(value, "data"));
    picture->name = fm_json_text(fm_json_member(value, "name"));
    for (size_t i = 0; i < fm_json_count(value) && fm_json_is_object(value); i++) {
        const char *name = "";
        (void)fm_json_entry(value, i, &name);
        if (strcmp(name, "data") != 0 && strcmp(name, "name") != 0)
            return fm_v1_fail(failure, 422, "invalid_argument", "parameter", name,
                              "there is no member '%.64s' in '%s'; expected data, name", name, where);
    }
    if (!picture->base64)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", where,
                          "'%s' wants {\"data\": base64 of an image file}", where);
    if (fm_json_member(value, "name") && !picture->name)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", "name", "'name' in '%s' is not a string",
                          where);
    return true;
}

static bool read_json(const struct http_request *request, const char *const *names, bool listed, enum v1_route route,
                      struct v1_body *body, struct v1_options *options, struct v1_failure *failure) {
    const char *const list[] = {names[0], NULL};
    const char *const *members = listed ? list : names;
    fm_error error = {0};
    const char *unused;
    fm_status status =
        fm_json_read(request->body, request->size, request->size, "the request's body", &body->json, &error);
    if (status)
        return fm_v1_fail(failure, fm_worker_code(status), fm_status_name(status), NULL, NULL, "%s", error.message);
    if (!fm_json_is_object(body->json))
        return fm_v1_fail(failure, 422, "invalid_argument", NULL, NULL, "the body is JSON, but no object");
    if (fm_http_query_entry(request, 0, &unused))
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", fm_http_query_entry(request, 0, &unused),
                          "options of a JSON request are members of its body, not query parameters");
    if (!fm_v1_read_members(body->json, members, route, options, failure))
        return false;
    const struct json_value *pictures = fm_json_member(body->json, names[0]);
    if (listed && !fm_json_is_array(pictures))
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", names[0],
                          "member '%s' is needed: a list of {\"data\": base64 of an image file}", names[0]);
    size_t count = listed ? fm_json_count(pictures) : 0;
    while (!listed && names[count])
        count++;
    bool good = make_pictures(body, count, failure);
    for (size_t i = 0; i < count && good; i++) {
        const struct json_value *value = listed ? fm_json_item(pictures, i) : fm_json_member(body->json, names[i]);
        good = read_json_picture(value, names[listed ? 0 : i], &body->pictures[i], failure);
    }
    return good;
}

/* ---- a picture as it is */

static bool read_raw(const struct http_request *request, struct v1_body *body, struct v1_failure *failure) {
    const char *type = request->type;
    if (type[0] && strncasecmp(type, "image/", 6) != 0 && !fm_http_type_is(type, "application/octet-stream"))
        return fm_v1_fail(failure, 415, "unsupported", NULL, NULL,
                          "a body of type '%.64s' is not understood; send an image file as image/jpeg (or any image "
                          "type, or application/octet-stream), multipart/form-data, or application/json",
                          type);
    if (!request->size)
        return fm_v1_fail(failure, 422, "bad_image", NULL, NULL, "the body is empty; send an image file");
    body->raw = true;
    if (!make_pictures(body, 1, failure))
        return false;
    body->pictures[0] = (struct v1_picture){.bytes = request->body, .size = request->size};
    return true;
}

bool fm_v1_body_read(const struct http_request *request, const char *const *names, bool listed, enum v1_route route,
                     struct v1_body *body, struct v1_options *options, struct v1_failure *failure) {
    bool good;
    *body = (struct v1_body){0};
    if (fm_http_type_is(request->type, "application/json"))
        good = read_json(request, names, listed, route, body, options, failure);
    else
        good = fm_v1_read_query(request, route, options, failure) &&
               (fm_http_type_is(request->type, "multipart/form-data") ? read_form(request, names, listed, body, failure)
                                                                      : read_raw(request, body, failure));
    if (good && !body->count)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", names[0],
                          "there is no picture in the request; send at least one as '%s'", names[0]);
    if (good && body->raw && !listed)
        return fm_v1_fail(failure, 415, "unsupported", NULL, NULL,
                          "two pictures are needed; send them as multipart/form-data or JSON, as '%s' and '%s'",
                          names[0], names[1]);
    return good;
}

void fm_v1_body_reset(struct v1_body *body) {
    fm_http_form_reset(&body->form);
    fm_json_free(body->json);
    fm_arena_reset(&body->arena);
}
