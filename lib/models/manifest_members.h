/* Members of a manifest: what both of its forms share in reading JSON. Pure. */
#ifndef FM_MODELS_MANIFEST_MEMBERS_H
#define FM_MODELS_MANIFEST_MEMBERS_H

#include "models/manifest.h"

#define FM_MANIFEST_SIDE 16384 /* of an input or crop, at most */

/* Who is being read, for words: "'/x/manifest.json': models[2].pixels.std is -1; expected ...". */
struct manifest_reader {
    const char *what;
    char place[96]; /* "models[2].pixels", "" at the top */
    fm_error *error;
};
/* A reader for what stands inside `member`. */
struct manifest_reader fm_member_below(const struct manifest_reader *reader, const char *member);
/* Fail: `member` is `value` (NULL: missing), which is not what was expected. Returns FM_BAD_MODEL. */
fm_status fm_member_wrong(const struct manifest_reader *reader, const char *member, const struct json_value *value,
                          const char *expected);

/* Each reads `member` of `object` (NULL: nothing is there) into its last argument. */
FM_MUST_USE fm_status fm_member_text(const struct manifest_reader *reader, const struct json_value *object,
                                     const char *member, char *out, size_t size);
/* A list of at most `most` texts of at most `bytes`, which stay in the tree: checked only. */
FM_MUST_USE fm_status fm_member_texts(const struct manifest_reader *reader, const struct json_value *object,
                                      const char *member, size_t most, size_t bytes);
/* A word of lower-case letters, digits, '-' and '_', for code to compare. */
FM_MUST_USE fm_status fm_member_word(const struct manifest_reader *reader, const struct json_value *object,
                                     const char *member, char *out, size_t size);
FM_MUST_USE fm_status fm_member_number(const struct manifest_reader *reader, const struct json_value *object,
                                       const char *member, double low, double high, const char *expected, float *out);
FM_MUST_USE fm_status fm_member_whole(const struct manifest_reader *reader, const struct json_value *object,
                                      const char *member, int64_t high, const char *expected, int64_t *out);
FM_MUST_USE fm_status fm_member_side(const struct manifest_reader *reader, const struct json_value *object,
                                     const char *member, int *side);
FM_MUST_USE fm_status fm_member_truth(const struct manifest_reader *reader, const struct json_value *object,
                                      const char *member, bool *out);
/* *inner is NULL when the object is missing. */
FM_MUST_USE fm_status fm_member_object(const struct manifest_reader *reader, const struct json_value *object,
                                       const char *member, const struct json_value **inner);
/* The member "sha256". */
FM_MUST_USE fm_status fm_member_sha256(const struct manifest_reader *reader, const struct json_value *object,
                                       char out[65]);

bool fm_member_is_plain(const char *text); /* no control characters */
bool fm_member_ends_in_onnx(const char *name);

/* The members of insightface's V2, whose JSON and "manifest_version" were looked at. */
FM_MUST_USE fm_status fm_manifest_read_insightface(const struct manifest_reader *reader, const struct json_value *top,
                                                   struct manifest *manifest);

#endif
