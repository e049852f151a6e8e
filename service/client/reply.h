/* What a worker answers, read: foreign JSON into faces, refusals, and what a worker says of itself. Pure; a reply
   belongs to one thread. */
#ifndef FM_CLIENT_REPLY_H
#define FM_CLIENT_REPLY_H

#include "base/error.h"
#include "base/memory.h"

#include <facemill/facemill_client.h>

/* Which interface a worker has. */
enum dialect {
    DIALECT_NONE = 0, /* not known yet */
    DIALECT_V1 = 1,   /* ours: floats with all their digits, options per request */
    DIALECT_GPU = 2   /* the GPU worker's: boxes of whole pixels, no options */
};

#define REPLY_BYTES ((size_t)64 << 20) /* of one answer */
#define REPLY_FACES ((size_t)65536)
#define REPLY_EMBEDDING 8192 /* values at most */
#define REPLY_WORDS 1024     /* of a worker, that are passed on */

struct fm_reply {
    fm_status status;
    char *message;      /* in the arena; NULL: "" */
    const char *source; /* lives as long as the reply: in the arena, or constant */
    int width, height;
    size_t count;
    fm_face *faces;
    fm_result *result; /* of the local engine; then the faces are its */
    bool embedded;     /* who answered computes embeddings: a face without one could not be aligned */
    struct arena arena;
};

/* A reply without anything in it; NULL when out of memory. */
fm_reply *fm_reply_new(void);
/* Give it its failure. */
void fm_reply_fail(fm_reply *reply, fm_status status, const char *message);
/* Was an embedding asked for and could it be had? The program's records say null for faces without one. */
bool fm_reply_embedded(const fm_reply *reply);

/* The faces of an answer with code 200. On failure (FM_INVALID_ARGUMENT, FM_OUT_OF_MEMORY; words say what is wrong with
   the answer) the reply is without faces. */
FM_MUST_USE fm_status fm_reply_read(fm_reply *reply, enum dialect dialect, const void *bytes, size_t size,
                                    fm_error *error);

/* What an answer with another code says: its status (of an image's failure; FM_OK when the code is none of those) and
   words, which are visible characters and never empty. */
struct refusal {
    fm_status status;
    char words[REPLY_WORDS];
};
struct refusal fm_refusal_read(long code, const void *bytes, size_t size);

/* GET /v1/models of our worker: which pack it has. False when this is not such an answer. */
struct worker_pack {
    char name[128], id[72]; /* "" when not said */
};
bool fm_worker_pack_read(const void *bytes, size_t size, struct worker_pack *pack);
/* GET / of a GPU worker: true when it is healthy, else words. */
bool fm_worker_health_read(const void *bytes, size_t size, char words[REPLY_WORDS]);

#endif
