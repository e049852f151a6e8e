/* Our own interface, /v1: options of a request and its JSON, shared by the files of its routes. */
#ifndef FM_HTTP_V1_H
#define FM_HTTP_V1_H

#include "http/worker.h"

#include "base/json_read.h"

enum v1_embedding { V1_ARRAY = 0, V1_BASE64 = 1, V1_NONE = 2 };

/* What one request asks for. {0}: nothing but the defaults. */
struct v1_options {
    fm_call_options call;
    enum v1_embedding embedding;
    bool crops;
    bool has_threshold;
    double threshold;      /* compare */
    char attribute[64];    /* the first that was asked for; "": none */
    int64_t width, height; /* embed: of raw pixels; 0: not said */
    int64_t count;         /* embed: raw crops; 0: not said */
};

/* Which route asks: each takes its own options. */
enum v1_route { V1_ANALYZE = 1, V1_COMPARE = 2, V1_EMBED = 4 };

/* What is wrong with a request: the answer's code, the error's name, and words. */
struct v1_failure {
    int http;           /* 0: nothing */
    const char *code;   /* an error code of docs/api.md */
    const char *detail; /* member of `details`: "parameter", "image"; NULL: none */
    char value[64];     /* its value */
    fm_error error;     /* status and words */
};
/* Describe the failure once; the first wins. Returns false, for `return fm_v1_fail(...)`. */
bool fm_v1_fail(struct v1_failure *failure, int http, const char *code, const char *detail, const char *value,
                const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Answer with it. */
void fm_v1_refuse(struct http_request *request, const struct v1_failure *failure);
/* The envelope {"error":{"code","message","details"},"request_id"}: an http_error_writer. */
void fm_v1_write_error(struct text *out, int code, const char *words, const char *request_id);

/* Read options from the query, or from the members of a JSON body other than `pictures`. false: something is unknown,
   doubled or out of its range, and `failure` names it. */
bool fm_v1_read_query(const struct http_request *request, enum v1_route route, struct v1_options *options,
                      struct v1_failure *failure);
bool fm_v1_read_members(const struct json_value *body, const char *const *pictures, enum v1_route route,
                        struct v1_options *options, struct v1_failure *failure);

/* Bodies: what is in them. */
struct v1_picture {
    const uint8_t *bytes; /* inside the body; NULL: decode `base64` */
    size_t size;
    const char *base64, *name; /* name: of the file; NULL */
};
struct v1_body {
    bool raw; /* the body is one picture, or raw pixels */
    struct http_form form;
    struct json_value *json; /* owns base64 and names of a JSON body */
    struct v1_picture *pictures;
    size_t count;
    struct arena arena;
};
/* Read a body whose pictures are `names` (NULL-ended: parts' names of a form); in JSON they are `names` too, each a
   picture {"data","name"}, or, when `listed`, a list of them in names[0]. Options are read on the way. The body is the
   caller's (fm_v1_body_reset), also after false. */
bool fm_v1_body_read(const struct http_request *request, const char *const *names, bool listed, enum v1_route route,
                     struct v1_body *body, struct v1_options *options, struct v1_failure *failure);
void fm_v1_body_reset(struct v1_body *body);

/* ---- JSON of answers */
void fm_v1_open_reply(struct json *json, struct text *text, const struct http_request *request);
void fm_v1_send(struct http_request *request, struct json *json); /* closes the object, answers 200 */
/* A key with base64 of little-endian 32-bit floats, or with the list of numbers. */
void fm_v1_embedding(struct json *json, const char *key, enum v1_embedding form, const float *values, size_t count);
void fm_v1_floats(struct json *json, const char *key, const float *values, size_t count);
/* Members width, height, faces and timings of a good picture. On failure nothing was written. */
FM_MUST_USE fm_status fm_v1_picture(struct json *json, const struct worker_engine *held, const fm_result *result,
                                    const struct v1_options *options, fm_error *error);
void fm_v1_picture_error(struct json *json, fm_status status, const char *words);

/* ---- v1_embed.c, v1_about.c */
void fm_v1_embed(struct http_request *request);
void fm_v1_models(struct http_request *request);
void fm_v1_providers(struct http_request *request);
void fm_v1_openapi(struct http_request *request);
extern const char fm_openapi[]; /* documents.c */

#endif
