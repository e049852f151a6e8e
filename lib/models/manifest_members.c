/* Members of a manifest, one kind each: read it, check it, or fail with words that name it. A member that is not there
   leaves its field as it is. Pure. */
#include "models/manifest_members.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------- words */

static void value_words(const struct json_value *value, char *out, size_t size) {
    const char *text = fm_json_text(value);
    if (text != NULL) {
        snprintf(out, size, "'%.60s'", text);
    } else if (fm_json_is_number(value)) {
        snprintf(out, size, "%.9g", fm_json_value(value, 0));
    } else if (fm_json_is_bool(value)) {
        snprintf(out, size, "%s", fm_json_truth(value, false) ? "true" : "false");
    } else {
        snprintf(out, size, "%s",
                 fm_json_is_object(value) ? "an object" : (fm_json_is_array(value) ? "a list" : "null"));
    }
}

fm_status fm_member_wrong(const struct manifest_reader *reader, const char *member, const struct json_value *value,
                          const char *expected) {
    char found[96];
    const char *dot = reader->place[0] != 0 && member[0] != 0 ? "." : "";
    if (value == NULL) {
        return fm_fail(reader->error, FM_BAD_MODEL, "%s: %s%s%s is missing; expected %s", reader->what, reader->place,
                       dot, member, expected);
    }
    value_words(value, found, sizeof found);
    return fm_fail(reader->error, FM_BAD_MODEL, "%s: %s%s%s is %s; expected %s", reader->what, reader->place, dot,
                   member, found, expected);
}

/* A reader for what stands inside `member`. */
struct manifest_reader fm_member_below(const struct manifest_reader *reader, const char *member) {
    struct manifest_reader inner = *reader;
    snprintf(inner.place, sizeof inner.place, "%s%s%s", reader->place, reader->place[0] != 0 ? "." : "", member);
    return inner;
}

/* -------------------------------------------------------------------- members */

bool fm_member_is_plain(const char *text) {
    for (; *text != 0; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F) {
            return false;
        }
    }
    return true;
}

fm_status fm_member_text(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                         char *out, size_t size) {
    const struct json_value *value = fm_json_member(object, member);
    const char *text = fm_json_text(value);
    char expected[64];
    if (value == NULL) {
        return FM_OK;
    }
    if (text == NULL || text[0] == 0 || !fm_member_is_plain(text) || strlen(text) >= size) {
        snprintf(expected, sizeof expected, "a text of 1 to %zu plain characters", size - 1);
        return fm_member_wrong(reader, member, value, expected);
    }
    snprintf(out, size, "%s", text);
    return FM_OK;
}

fm_status fm_member_texts(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                          size_t most, size_t bytes) {
    const struct json_value *list = fm_json_member(object, member);
    char expected[96];
    snprintf(expected, sizeof expected, "a list of at most %zu texts of 1 to %zu plain characters", most, bytes);
    if (list != NULL && (!fm_json_is_array(list) || fm_json_count(list) > most)) {
        return fm_member_wrong(reader, member, list, expected);
    }
    for (size_t i = 0; i < fm_json_count(list); i++) {
        const struct json_value *item = fm_json_item(list, i);
        const char *text = fm_json_text(item);
        if (text == NULL || text[0] == 0 || !fm_member_is_plain(text) || strlen(text) > bytes) {
            return fm_member_wrong(reader, member, item, expected);
        }
    }
    return FM_OK;
}

fm_status fm_member_number(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                           double low, double high, const char *expected, float *out) {
    const struct json_value *value = fm_json_member(object, member);
    double number = fm_json_value(value, NAN);
    if (value == NULL) {
        return FM_OK;
    }
    if (!(number >= low && number <= high)) {
        return fm_member_wrong(reader, member, value, expected);
    }
    *out = (float)number;
    return FM_OK;
}

fm_status fm_member_whole(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                          int64_t high, const char *expected, int64_t *out) {
    const struct json_value *value = fm_json_member(object, member);
    int64_t number = fm_json_whole(value, -1);
    if (value == NULL) {
        return FM_OK;
    }
    if (number < 1 || number > high) {
        return fm_member_wrong(reader, member, value, expected);
    }
    *out = number;
    return FM_OK;
}

fm_status fm_member_side(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                         int *side) {
    int64_t number = 0;
    fm_status status =
        fm_member_whole(reader, object, member, FM_MANIFEST_SIDE, "a whole number of pixels, 1 to 16384", &number);
    *side = number > 0 ? (int)number : *side;
    return status;
}

fm_status fm_member_truth(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                          bool *out) {
    const struct json_value *value = fm_json_member(object, member);
    if (value != NULL && !fm_json_is_bool(value)) {
        return fm_member_wrong(reader, member, value, "true or false");
    }
    *out = fm_json_truth(value, *out);
    return FM_OK;
}

/* An object that may be missing: *inner is NULL then. */
fm_status fm_member_object(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                           const struct json_value **inner) {
    *inner = fm_json_member(object, member);
    if (*inner != NULL && !fm_json_is_object(*inner)) {
        return fm_member_wrong(reader, member, *inner, "an object");
    }
    return FM_OK;
}

fm_status fm_member_sha256(const struct manifest_reader *reader, const struct json_value *object, char out[65]) {
    const struct json_value *value = fm_json_member(object, "sha256");
    const char *text = fm_json_text(value);
    if (value == NULL) {
        return FM_OK;
    }
    if (text == NULL || strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64) {
        return fm_member_wrong(reader, "sha256", value, "64 lower-case hexadecimal digits");
    }
    memcpy(out, text, 65);
    return FM_OK;
}

/* "scrfd", "landmark-3d": words that code compares. */
fm_status fm_member_word(const struct manifest_reader *reader, const struct json_value *object, const char *member,
                         char *out, size_t size) {
    const struct json_value *value = fm_json_member(object, member);
    const char *text = fm_json_text(value);
    if (value == NULL) {
        return FM_OK;
    }
    if (text == NULL || text[0] == 0 || strlen(text) >= size ||
        text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_")] != 0) {
        return fm_member_wrong(reader, member, value, "a word of lower-case letters, digits, '-' and '_'");
    }
    snprintf(out, size, "%s", text);
    return FM_OK;
}

bool fm_member_ends_in_onnx(const char *name) {
    size_t length = strlen(name);
    if (length <= 5) {
        return false;
    }
    for (size_t i = 0; i < 5; i++) {
        char letter = name[length - 5 + i];
        if ((letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter) != ".onnx"[i]) {
            return false;
        }
    }
    return true;
}
