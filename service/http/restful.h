/* What the files of InsightFace-REST's routes share: a job's own state, its pictures, and its answers. */
#ifndef FM_HTTP_RESTFUL_H
#define FM_HTTP_RESTFUL_H

#include "http/extract.h"
#include "http/worker.h"

/* In the job's arena. */
struct restful_state {
    struct extract_request asked; /* its numbers and truths: texts and pictures are gone by then */
    bool packed;                  /* the answer is MessagePack */
    bool jpeg;                    /* the drawing is one */
    uint64_t read_ns;             /* fm_clock_ns when the pictures' bytes were there */
};

/* A job with the request's pictures, their bytes read and, where they are URLs, fetched: those wait. NULL when the
   request was answered. `asked` is copied and reset. */
struct worker_job *fm_restful_job(struct http_request *request, struct extract_request *asked);
/* Options for the engine as `asked` has them; the smallest size is the caller's, who may look at widths alone. */
fm_call_options fm_restful_call(const struct extract_request *asked);
/* What is wrong with a request, in its interface's words. */
void fm_restful_refuse(struct http_request *request, const struct extract_failure *failure);
/* Run on a chore's thread; where there is none, here; 503 when too many wait. `argument` is `request`'s, given back by
   false: then the request was answered. */
bool fm_restful_defer(struct http_request *request, void (*run)(void *argument), void *argument);

/* Is the answer still worth the work, after having waited? false: the request was answered. */
bool fm_restful_is_awaited(struct http_request *request);

/* restful_write.c: the answers of /extract. Both end the job. */
void fm_restful_extracted(struct worker_job *job);
void fm_restful_embed_crops(struct worker_job *job); /* waits for the engine */
/* restful_draw.c, restful_about.c: handlers. */
void fm_restful_draw(struct http_request *request);
void fm_restful_draw_form(struct http_request *request);
void fm_restful_info(struct http_request *request);
void fm_restful_health(struct http_request *request);

#endif
