/* Fuzzer: what a worker answers. The first byte says as what the rest is read. Faces that were read are complete:
   finite numbers, embeddings of one size; words are visible and end. */
#include "client/reply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static void check_words(const char *words, size_t size) {
    require(memchr(words, 0, size) != NULL);
    for (; *words; words++)
        require((unsigned char)*words >= 0x20 && *words != 0x7F);
}

static void check_floats(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        require(isfinite(values[i]));
}

static void check_faces(const fm_reply *reply) {
    int embedding_size = 0;
    require(fm_reply_width(reply) > 0 && fm_reply_height(reply) > 0 && fm_reply_face_count(reply) <= REPLY_FACES);
    for (size_t i = 0; i < fm_reply_face_count(reply); i++) {
        const fm_face *face = fm_reply_face(reply, i);
        check_floats(face->box, 4);
        check_floats(&face->landmarks[0][0], 10);
        require(face->score >= 0 && face->score <= 1);
        require((face->embedding != NULL) == (face->embedding_size > 0) && face->embedding_size <= REPLY_EMBEDDING);
        if (!face->embedding)
            continue;
        require(!embedding_size || embedding_size == face->embedding_size);
        embedding_size = face->embedding_size;
        check_floats(face->embedding, (size_t)embedding_size);
        require(fm_reply_embedded(reply) && !isnan(face->embedding_norm));
    }
}

static void read_faces(enum dialect dialect, const uint8_t *bytes, size_t size) {
    fm_error error = {0};
    fm_reply *reply = fm_reply_new();
    if (!reply)
        return;
    fm_status status = fm_reply_read(reply, dialect, bytes, size, &error);
    if (status) {
        require(error.status == status && error.message[0] && fm_reply_face_count(reply) == 0);
        require(fm_reply_width(reply) == 0 && fm_reply_face(reply, 0) == NULL);
        check_words(error.message, sizeof error.message);
    } else {
        check_faces(reply);
    }
    fm_reply_free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const long codes[] = {400, 413, 415, 422, 500, 503};
    struct worker_pack pack;
    char words[REPLY_WORDS] = "";
    uint8_t kind = size ? bytes[0] : 0;
    bytes += size > 0;
    size -= size > 0;
    switch (kind & 3) {
    case 0:
        read_faces(DIALECT_V1, bytes, size);
        break;
    case 1:
        read_faces(DIALECT_GPU, bytes, size);
        break;
    case 2: {
        struct refusal refusal = fm_refusal_read(codes[(kind >> 2) % 6], bytes, size);
        require(refusal.words[0] && (refusal.status != FM_OK) == ((kind >> 2) % 6 < 4));
        check_words(refusal.words, sizeof refusal.words);
        break;
    }
    default:
        (void)fm_worker_pack_read(bytes, size, &pack);
        check_words(pack.name, sizeof pack.name);
        check_words(pack.id, sizeof pack.id);
        require(fm_worker_health_read(bytes, size, words) || words[0]);
        check_words(words, sizeof words);
        break;
    }
    return 0;
}
