/* Requests of InsightFace-REST: the JSON, MessagePack or form of /extract and /draw_detections as a struct. Foreign
   bytes in; pure. */
#ifndef FM_HTTP_EXTRACT_H
#define FM_HTTP_EXTRACT_H

#include "http/multipart.h"

#include "base/json_read.h"

#define EXTRACT_PICTURES 1024
#define EXTRACT_HEADERS 32

struct extract_picture {
    const char *text;     /* base64 or a URL, `size` long, NUL-terminated; NULL when there are bytes */
    const uint8_t *bytes; /* the file itself (MessagePack) */
    size_t size;
};
struct extract_request {
    double threshold;
    int64_t limit_faces, min_face_size; /* 0: no limit */
    bool embed_only, return_face_data, return_landmarks, extract_embedding, extract_ga, detect_masks, verbose_timings,
        msgpack;
    bool draw_landmarks, draw_scores, draw_sizes;
    bool urls; /* the pictures are URLs */
    struct extract_picture *pictures;
    size_t count;
    const char *(*headers)[2]; /* name and value, for fetching URLs */
    size_t header_count;
    struct json_value *document; /* has the texts of a JSON body */
    struct arena arena;
};
/* What is wrong with one: as FastAPI says it. */
struct extract_failure {
    const char *type;  /* "json_invalid", "missing", "value_error" */
    const char *field; /* NULL: the body itself */
    fm_error error;
};

/* Unknown members are ignored, null is the default (false for truths), "5" and "true" are taken for 5 and true: as
   pydantic does. The request is the caller's (fm_extract_reset), also after false. Texts point into `bytes`, or the
   request's own. */
FM_MUST_USE bool fm_extract_read_json(const uint8_t *bytes, size_t size, struct extract_request *request,
                                      struct extract_failure *failure);
FM_MUST_USE bool fm_extract_read_msgpack(const uint8_t *bytes, size_t size, struct extract_request *request,
                                         struct extract_failure *failure);
/* Fields of a form; the pictures are the caller's to find. */
FM_MUST_USE bool fm_extract_read_form(struct http_form *form, struct extract_request *request,
                                      struct extract_failure *failure);
void fm_extract_reset(struct extract_request *request);

#endif
