/* JSON being read: foreign text in, a tree of values out. The only place that knows the JSON library (jansson); writing
   is base/text.h's. Hardened: size, depth, UTF-8 and doubled keys are checked. Values belong to their document. */
#ifndef FM_BASE_JSON_READ_H
#define FM_BASE_JSON_READ_H

#include "base/error.h"
#include "base/text.h"

struct json_value; /* one value inside a document */

/* Parse `size` bytes; `what` names the document in words ("'/packs/x/manifest.json'"), which also have line and column.
   *document is the caller's. FM_INVALID_ARGUMENT (not JSON, too deep, doubled key), FM_LIMIT, FM_OUT_OF_MEMORY. */
FM_MUST_USE fm_status fm_json_read(const void *bytes, size_t size, size_t max_size, const char *what,
                                   struct json_value **document, fm_error *error);
void fm_json_free(struct json_value *document);

/* All accept NULL, and a value of another kind, and then answer NULL, 0, false or the fallback. */
const struct json_value *fm_json_member(const struct json_value *object, const char *key);
size_t fm_json_count(const struct json_value *array_or_object);
const struct json_value *fm_json_item(const struct json_value *array, size_t index);
/* Member `index` of an object in its written order; *key lives as long as the document. */
const struct json_value *fm_json_entry(const struct json_value *object, size_t index, const char **key);
const char *fm_json_text(const struct json_value *value); /* NULL when it is no string */
bool fm_json_is_object(const struct json_value *value);
bool fm_json_is_array(const struct json_value *value);
bool fm_json_is_number(const struct json_value *value);
bool fm_json_is_bool(const struct json_value *value);
double fm_json_value(const struct json_value *value, double fallback);
int64_t fm_json_whole(const struct json_value *value, int64_t fallback); /* fallback also for 1.5 */
bool fm_json_truth(const struct json_value *value, bool fallback);
/* Append the value as JSON, indented by two spaces, members in their order: what was read is written back whole. */
void fm_json_dump(const struct json_value *value, struct text *out);

#endif
