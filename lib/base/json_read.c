/* JSON being read: a thin skin over jansson, which checks UTF-8, depth and doubled keys. What is ours: the size limit,
   words with line and column, and writing a value back with numbers as short as they were. Values are immutable once
   read, so any thread may look. */
#include "base/json_read.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define INDENT 2
#define MAX_INDENT 32 /* deeper levels gain no spaces: a hostile document must not grow a thousandfold */

static const json_t *inside(const struct json_value *value) {
    return (const json_t *)(const void *)value;
}

static const struct json_value *outside(const json_t *value) {
    return (const struct json_value *)(const void *)value;
}

/* ---------------------------------------------------------------------- reading */

/* jansson quotes the document in its words: nothing of it may move a terminal's cursor. */
static void make_visible(char *words) {
    for (; *words != '\0'; words++) {
        unsigned char byte = (unsigned char)*words;
        *words = byte < 0x20 || byte == 0x7F ? ' ' : *words;
    }
}

static fm_status fail_reading(json_error_t *why, const char *what, fm_error *error) {
    make_visible(why->text);
    switch (json_error_code(why)) {
    case json_error_out_of_memory:
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to read %s", what);
    case json_error_stack_overflow:
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s: nested too deeply at line %d, column %d (at most %d levels)",
                       what, why->line, why->column, JSON_PARSER_MAX_DEPTH);
    default:
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s: not valid JSON at line %d, column %d: %s", what, why->line,
                       why->column, why->text);
    }
}

fm_status fm_json_read(const void *bytes, size_t size, size_t max_size, const char *what, struct json_value **document,
                       fm_error *error) {
    json_error_t why;
    *document = NULL;
    if (size > max_size) {
        return fm_fail(error, FM_LIMIT, "%s is %zu bytes of JSON, more than the %zu allowed", what, size, max_size);
    }
    memset(&why, 0, sizeof why);
    /* jansson refuses NULL even where it would read nothing of it */
    json_t *root = json_loadb(bytes != NULL ? bytes : "", size, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL) {
        return fail_reading(&why, what, error);
    }
    *document = (struct json_value *)(void *)root;
    return FM_OK;
}

void fm_json_free(struct json_value *document) {
    json_decref((json_t *)(void *)document);
}

/* --------------------------------------------------------------------- looking */

const struct json_value *fm_json_member(const struct json_value *object, const char *key) {
    return outside(json_object_get(inside(object), key));
}

size_t fm_json_count(const struct json_value *array_or_object) {
    const json_t *value = inside(array_or_object);
    return json_is_object(value) ? json_object_size(value) : json_array_size(value);
}

const struct json_value *fm_json_item(const struct json_value *array, size_t index) {
    return outside(json_array_get(inside(array), index));
}

/* jansson's iterators take the object without const, and do not change it. */
static json_t *to_iterate(const struct json_value *object) {
    return (json_t *)(uintptr_t)object;
}

const struct json_value *fm_json_entry(const struct json_value *object, size_t index, const char **key) {
    json_t *walked = to_iterate(object);
    void *at = json_object_iter(walked);
    while (at != NULL && index-- > 0) {
        at = json_object_iter_next(walked, at);
    }
    *key = at != NULL ? json_object_iter_key(at) : NULL;
    return at != NULL ? outside(json_object_iter_value(at)) : NULL;
}

const char *fm_json_text(const struct json_value *value) {
    return json_string_value(inside(value));
}

bool fm_json_is_object(const struct json_value *value) {
    return json_is_object(inside(value));
}

bool fm_json_is_array(const struct json_value *value) {
    return json_is_array(inside(value));
}

bool fm_json_is_number(const struct json_value *value) {
    return json_is_number(inside(value));
}

bool fm_json_is_bool(const struct json_value *value) {
    return json_is_boolean(inside(value));
}

double fm_json_value(const struct json_value *value, double fallback) {
    return fm_json_is_number(value) ? json_number_value(inside(value)) : fallback;
}

int64_t fm_json_whole(const struct json_value *value, int64_t fallback) {
    return json_is_integer(inside(value)) ? (int64_t)json_integer_value(inside(value)) : fallback;
}

bool fm_json_truth(const struct json_value *value, bool fallback) {
    return fm_json_is_bool(value) ? json_is_true(inside(value)) : fallback;
}

/* -------------------------------------------------------------------- dumping */

static void dump(const json_t *value, int depth, struct text *out);

static void dump_text(const char *string, struct text *out) {
    struct json json = {.text = out};
    fm_json_string(&json, NULL, string);
}

/* The shortest digits; a number that was written with a fraction keeps one, since 1.0 and 1 are not the same kind. */
static void dump_number(const json_t *value, struct text *out) {
    struct json json = {.text = out};
    if (json_is_integer(value)) {
        fm_json_integer(&json, NULL, (int64_t)json_integer_value(value));
        return;
    }
    size_t start = out->length;
    fm_json_number(&json, NULL, json_real_value(value));
    if (!out->failed && strpbrk(out->chars + start, ".e") == NULL) {
        fm_text_add(out, ".0");
    }
}

static void new_line(int depth, struct text *out) {
    fm_text_add(out, "\n%*s", (depth < MAX_INDENT ? depth : MAX_INDENT) * INDENT, "");
}

/* Pairs and triples of numbers read better on one line. */
static bool is_flat(const json_t *array) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (!json_is_number(json_array_get(array, i)) && !json_is_string(json_array_get(array, i))) {
            return false;
        }
    }
    return true;
}

static void dump_array(const json_t *array, int depth, struct text *out) {
    bool flat = is_flat(array);
    fm_text_add(out, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        fm_text_add(out, i == 0 ? "" : (flat ? ", " : ","));
        if (!flat) {
            new_line(depth + 1, out);
        }
        dump(json_array_get(array, i), depth + 1, out);
    }
    if (!flat) {
        new_line(depth, out);
    }
    fm_text_add(out, "]");
}

static void dump_object(const json_t *object, int depth, struct text *out) {
    json_t *walked = to_iterate(outside(object));
    bool any = false;
    fm_text_add(out, "{");
    for (void *at = json_object_iter(walked); at != NULL; at = json_object_iter_next(walked, at), any = true) {
        fm_text_add(out, any ? "," : "");
        new_line(depth + 1, out);
        dump_text(json_object_iter_key(at), out);
        fm_text_add(out, ": ");
        dump(json_object_iter_value(at), depth + 1, out);
    }
    if (any) {
        new_line(depth, out);
    }
    fm_text_add(out, "}");
}

static void dump(const json_t *value, int depth, struct text *out) {
    if (json_is_object(value)) {
        dump_object(value, depth, out);
    } else if (json_is_array(value)) {
        dump_array(value, depth, out);
    } else if (json_is_string(value)) {
        dump_text(json_string_value(value), out);
    } else if (json_is_number(value)) {
        dump_number(value, out);
    } else {
        fm_text_add(out, json_is_true(value) ? "true" : (json_is_false(value) ? "false" : "null"));
    }
}

void fm_json_dump(const struct json_value *value, struct text *out) {
    dump(inside(value), 0, out);
}
