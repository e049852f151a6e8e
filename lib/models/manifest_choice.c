/* Choices: what looking at a graph cannot tell and the caller of fm_pack_describe does, turned from words into JSON.
 * Pure.
 */
#include <stdio.h>
#include <string.h>

#include "models/manifest_draft.h"

/* Chosen keys, where they stand, and what kind of JSON they are. */
enum choice_kind { CHOICE_TEXT, CHOICE_NUMBER, CHOICE_NUMBERS, CHOICE_TRUTH, CHOICE_POINTS, CHOICE_TEXTS };
static const struct choice_row {
    const char *key, *group, *member;
    enum choice_kind kind;
} choice_rows[] = {
    {"task", "", "task", CHOICE_TEXT},
    {"family", "", "family", CHOICE_TEXT},
    {"width", "input", "width", CHOICE_NUMBER},
    {"height", "input", "height", CHOICE_NUMBER},
    {"order", "pixels", "order", CHOICE_TEXT},
    {"mean", "pixels", "mean", CHOICE_NUMBERS},
    {"std", "pixels", "std", CHOICE_NUMBERS},
    {"side", "crop", "side", CHOICE_NUMBER},
    {"points", "crop", "points", CHOICE_POINTS},
    {"score", "thresholds", "score", CHOICE_NUMBER},
    {"nms", "thresholds", "nms", CHOICE_NUMBER},
    {"match", "thresholds", "match", CHOICE_NUMBER},
    {"metric", "", "metric", CHOICE_TEXT},
    {"normalised", "", "normalised", CHOICE_TRUTH},
    {"labels", "", "labels", CHOICE_TEXTS},
    {"licence", "licence", "name", CHOICE_TEXT},
    {"licence-url", "licence", "url", CHOICE_TEXT},
};
#define CHOICES (sizeof choice_rows / sizeof *choice_rows)

/* ---------------------------------------------------------------------- facts */

const struct fact *fm_fact_find(const struct entry *entry, const char *group, const char *member) {
    for (size_t i = 0; i < entry->fact_count; i++) {
        if (strcmp(entry->facts[i].group, group) == 0 && strcmp(entry->facts[i].member, member) == 0) {
            return &entry->facts[i];
        }
    }
    return NULL;
}

/* Takes the text over and empties it. What was chosen is not overwritten by what is seen. */
fm_status fm_fact_add(struct entry *entry, const char *group, const char *member, bool wins, struct text *json,
                      fm_error *error) {
    fm_status status = FM_OK;
    if (json->failed) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "no memory to describe '%s'", entry->file);
    } else if (json->length >= sizeof entry->facts[0].json) {
        status = fm_fail(error, FM_INVALID_ARGUMENT, "'%s': the value of '%s' is too long", entry->file, member);
    } else if (fm_fact_find(entry, group, member) == NULL && entry->fact_count < FM_DRAFT_FACTS) {
        struct fact *fact = &entry->facts[entry->fact_count++];
        *fact = (struct fact){.group = group, .member = member, .wins = wins};
        snprintf(fact->json, sizeof fact->json, "%s", fm_text_chars(json));
    }
    fm_text_reset(json);
    return status;
}

fm_status fm_fact_add_text(struct entry *entry, const char *group, const char *member, const char *value,
                           fm_error *error) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_string(&json, NULL, value);
    return fm_fact_add(entry, group, member, false, &text, error);
}

/* -------------------------------------------------------------------- choices */

/* The numbers of "127.5", "123,117,104" or "38.3,51.7 73.5,51.5" as a JSON array; NULL when they are none. The JSON
   reader's numbers do not depend on the locale. */
static struct json_value *read_numbers(const char *value) {
    struct text list = {0};
    struct json_value *numbers = NULL;
    if (value[strspn(value, "0123456789+-.eE, ")] != 0) {
        return NULL;
    }
    fm_text_add(&list, "[");
    for (const char *next = value + strspn(value, " "); *next != 0; next += strspn(next, " ")) {
        size_t length = strcspn(next, " ");
        fm_text_add(&list, "%s%.*s", list.length > 1 && next[0] != ',' && list.chars[list.length - 1] != ',' ? "," : "",
                    (int)length, next);
        next += length;
    }
    fm_text_add(&list, "]");
    if (!list.failed && fm_json_read(list.chars, list.length, list.length, "numbers", &numbers, NULL) != FM_OK) {
        numbers = NULL;
    }
    fm_text_reset(&list);
    return numbers;
}

/* One number, three for the channels, or five pairs. */
static bool write_numbers(const char *value, enum choice_kind kind, struct text *out) {
    struct json_value *numbers = read_numbers(value);
    size_t count = fm_json_count(numbers);
    bool points = kind == CHOICE_POINTS;
    bool good = points ? count == 10 : count == 1 || (kind == CHOICE_NUMBERS && count == 3);
    fm_text_add(out, "%s", count > 1 ? "[" : "");
    for (size_t i = 0; good && i < count; i++) {
        fm_text_add(out, "%s%s", i > 0 ? "," : "", points && i % 2 == 0 ? "[" : "");
        fm_json_dump(fm_json_item(numbers, i), out);
        fm_text_add(out, "%s", points && i % 2 == 1 ? "]" : "");
    }
    fm_text_add(out, "%s", count > 1 ? "]" : "");
    fm_json_free(numbers);
    return good;
}

static bool write_texts(const char *value, struct text *out) {
    struct json json = {.text = out};
    char part[64];
    fm_json_array_open(&json, NULL);
    for (const char *next = value;; next++) {
        size_t length = strcspn(next, ",");
        if (length == 0 || length >= sizeof part) {
            return false;
        }
        snprintf(part, sizeof part, "%.*s", (int)length, next);
        fm_json_string(&json, NULL, part);
        next += length;
        if (*next == 0) {
            break;
        }
    }
    fm_json_array_close(&json);
    return true;
}

static bool write_choice(const struct choice_row *row, const char *value, struct text *out) {
    struct json json = {.text = out};
    switch (row->kind) {
    case CHOICE_TEXT:
        fm_json_string(&json, NULL, value);
        return value[0] != 0;
    case CHOICE_TRUTH:
        fm_text_add(out, "%s", value);
        return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    case CHOICE_TEXTS:
        return write_texts(value, out);
    case CHOICE_NUMBER:
    case CHOICE_NUMBERS:
    case CHOICE_POINTS:
        break;
    }
    return write_numbers(value, row->kind, out);
}

static const struct choice_row *find_choice(const char *key) {
    for (size_t i = 0; key != NULL && i < CHOICES; i++) {
        if (strcmp(choice_rows[i].key, key) == 0) {
            return &choice_rows[i];
        }
    }
    return NULL;
}

static struct entry *find_entry(const struct draft *draft, const char *file) {
    for (size_t i = 0; file != NULL && i < draft->count; i++) {
        if (strcmp(draft->entries[i].file, file) == 0) {
            return &draft->entries[i];
        }
    }
    return NULL;
}

static fm_status unknown_choice(const struct draft *draft, const fm_model_choice *choice, bool file, fm_error *error) {
    struct text known = {0};
    for (size_t i = 0; i < (file ? draft->count : CHOICES); i++) {
        fm_text_add(&known, "%s%s", i > 0 ? ", " : "", file ? draft->entries[i].file : choice_rows[i].key);
    }
    fm_status status =
        fm_fail(error, FM_INVALID_ARGUMENT,
                file ? "'%s' has no file '%s'; it has %s" : "'%s': nothing called '%s' can be chosen; known: %s",
                file ? draft->folder : choice->file, file ? choice->file : choice->key, fm_text_chars(&known));
    fm_text_reset(&known);
    return status;
}

fm_status fm_draft_choose(const struct draft *draft, const fm_model_choice *choice, fm_error *error) {
    struct entry *entry = find_entry(draft, choice->file);
    const struct choice_row *row = find_choice(choice->key);
    struct text json = {0};
    if (choice->file == NULL || choice->key == NULL || choice->value == NULL) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "a choice needs file, key and value");
    }
    if (entry == NULL || row == NULL) {
        return unknown_choice(draft, choice, entry == NULL, error);
    }
    if (!write_choice(row, choice->value, &json)) {
        fm_text_reset(&json);
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%s': '%.200s' is no value for '%s'; docs/manifest.md has what each key takes", choice->file,
                       choice->value, choice->key);
    }
    if (fm_fact_find(entry, row->group, row->member) != NULL) {
        fm_text_reset(&json);
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s': '%s' was chosen twice", choice->file, choice->key);
    }
    return fm_fact_add(entry, row->group, row->member, true, &json, error);
}
