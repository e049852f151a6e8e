/* Answers of /extract, in JSON or MessagePack. Numbers that the interface has as ints are cut towards zero, vectors
   have length one, and a face's own min_face_size is its width: smaller ones are left out after the others were
   numbered. What takes long (crops as JPEG) is written on a chore's thread. */
#include "http/chores.h"
#include "http/notation.h"
#include "http/restful.h"

#include "base/os.h"

#include <math.h>
#include <string.h>

#define CROP 112

static double ms_since(uint64_t start_ns) {
    return (double)(fm_clock_ns() - start_ns) / 1e6;
}

static int64_t whole(float value) {
    return value > 1e9f ? 1000000000 : value < -1e9f ? -1000000000 : isfinite(value) ? (int64_t)value : 0;
}

static bool asks_more(const struct extract_request *asked) {
    return asked->extract_embedding || asked->extract_ga || asked->detect_masks;
}

/* Without a model for them, gender, age and mask are null: as there. */
static void add_attributes(struct notation *out, const float *embedding, int size, float norm) {
    if (embedding && norm > 0) {
        fm_notation_float(out, "norm", norm);
        fm_notation_array_open(out, "vec");
        for (int i = 0; i < size; i++)
            fm_notation_float(out, NULL, embedding[i] / norm);
        fm_notation_array_close(out);
    } else {
        fm_notation_string(out, "norm", NULL);
        fm_notation_string(out, "vec", NULL);
    }
    fm_notation_string(out, "gender", NULL);
    fm_notation_string(out, "age", NULL);
    fm_notation_string(out, "mask", NULL);
    fm_notation_string(out, "mask_probs", NULL);
}

static void add_landmarks(struct notation *out, const fm_face *face) {
    fm_notation_array_open(out, "landmarks");
    for (int k = 0; k < 5; k++) {
        fm_notation_array_open(out, NULL);
        fm_notation_integer(out, NULL, whole(face->landmarks[k][0]));
        fm_notation_integer(out, NULL, whole(face->landmarks[k][1]));
        fm_notation_array_close(out);
    }
    fm_notation_array_close(out);
}

static void take_base64(const void *bytes, size_t size, void *user) {
    fm_text_add_base64(user, bytes, size);
}

/* The aligned crop as JPEG, or PNG in a build without; null for landmarks that span no face. */
static void add_crop(struct notation *out, const fm_result *result, const fm_face *face) {
    uint8_t rgb[CROP * CROP * 3];
    fm_pixels pixels = fm_result_pixels(result);
    fm_pixels crop = {.struct_size = sizeof crop, .data = rgb, .width = CROP, .height = CROP};
    struct text text = {0};
    fm_error error = {0};
    fm_status status = fm_crop_aligned(&pixels, face->landmarks, CROP, rgb, &error);
    if (!status && fm_image_encode(&crop, FM_FILE_JPEG, take_base64, &text, &error) == FM_UNSUPPORTED)
        status = fm_image_encode(&crop, FM_FILE_PNG, take_base64, &text, &error);
    bool good = !status && text.length > 0 && !text.failed;
    fm_notation_string(out, "facedata", good ? text.chars : NULL);
    fm_text_reset(&text);
}

static void add_face(struct notation *out, const fm_result *result, size_t index, double scale,
                     const struct extract_request *asked) {
    const fm_face *face = fm_result_face(result, index);
    fm_notation_map_open(out, NULL);
    fm_notation_array_open(out, "bbox");
    for (int k = 0; k < 4; k++)
        fm_notation_integer(out, NULL, whole(face->box[k]));
    fm_notation_array_close(out);
    if (asked->return_landmarks)
        add_landmarks(out, face);
    fm_notation_float(out, "prob", face->score);
    fm_notation_integer(out, "num_det", (int64_t)index);
    fm_notation_number(out, "scale", scale);
    if (asked->return_face_data)
        add_crop(out, result, face);
    if (asks_more(asked))
        add_attributes(out, face->embedding, face->embedding_size, face->embedding_norm);
    fm_notation_integer(out, "size", whole(face->box[2] - face->box[0]));
    fm_notation_map_close(out);
}

static void add_image(struct notation *out, const struct worker_image *image, int side,
                      const struct extract_request *asked) {
    fm_timings timings = {.struct_size = sizeof timings};
    fm_notation_map_open(out, NULL);
    fm_notation_string(out, "status", image->status ? "failed" : "ok");
    if (image->result)
        fm_result_timings(image->result, &timings);
    fm_notation_number(out, "took_ms", timings.total_ms);
    fm_notation_array_open(out, "faces");
    for (size_t i = 0; !image->status && i < fm_result_face_count(image->result); i++) {
        const float *box = fm_result_face(image->result, i)->box;
        double width = fm_result_width(image->result), height = fm_result_height(image->result);
        if (asked->min_face_size <= 0 || box[2] - box[0] >= (float)asked->min_face_size)
            add_face(out, image->result, i, fmin(side / width, side / height), asked);
    }
    fm_notation_array_close(out);
    if (image->status)
        fm_notation_string(out, "traceback", image->error.message);
    fm_notation_map_close(out);
}

/* ---- a whole answer */

static void send(struct worker_job *job, struct text *text) {
    const struct restful_state *state = job->state;
    struct http_reply reply = {
        .code = 200, .type = state->packed ? "application/x-msgpack" : "application/json", .text = *text};
    fm_http_reply(job->request, &reply);
    fm_worker_job_free(job);
}

static void write_extracted(void *argument) {
    struct worker_job *job = argument;
    const struct restful_state *state = job->state;
    struct text text = {0};
    struct notation out;
    double embed_ms = ms_since(state->read_ns);
    fm_notation_init(&out, state->packed, &text);
    fm_notation_map_open(&out, NULL);
    fm_notation_map_open(&out, "took");
    fm_notation_number(&out, "total_ms", ms_since(job->request->start_ns));
    if (state->asked.verbose_timings) {
        fm_notation_number(&out, "read_imgs_ms", (double)(state->read_ns - job->request->start_ns) / 1e6);
        fm_notation_number(&out, "embed_all_ms", embed_ms);
    }
    fm_notation_map_close(&out);
    fm_notation_array_open(&out, "data");
    for (size_t i = 0; i < job->count; i++)
        add_image(&out, &job->images[i], job->held->det_size, &state->asked);
    fm_notation_array_close(&out);
    fm_notation_map_close(&out);
    send(job, &text);
}

void fm_restful_extracted(struct worker_job *job) {
    const struct service *service = job->request->user;
    const struct restful_state *state = job->state;
    for (size_t i = 0; i < job->count; i++) {
        if (job->images[i].status == FM_DEADLINE) {
            fm_http_refuse(job->request, 504, 0, "%s", job->images[i].error.message);
            fm_worker_job_free(job);
            return;
        }
    }
    if (!state->asked.return_face_data || !fm_chores_add(service->chores, write_extracted, job))
        write_extracted(job);
}

/* ---- crops that are faces already */

static fm_status read_crop(struct worker_image *image, const struct service *service, int side, uint8_t *rgb) {
    fm_image *decoded = NULL;
    if (image->status)
        return image->status;
    image->status =
        fm_image_decode(&image->input, service->limits.struct_size ? &service->limits : NULL, &decoded, &image->error);
    if (image->status)
        return image->status;
    fm_pixels pixels = fm_image_pixels(decoded);
    if (pixels.width == side && pixels.height == side)
        memcpy(rgb, pixels.data, (size_t)side * (size_t)side * 3);
    else
        image->status =
            fm_fail(&image->error, FM_BAD_IMAGE, "%d x %d pixels; embed_only takes aligned crops of %d x %d",
                    pixels.width, pixels.height, side, side);
    fm_image_free(decoded);
    return image->status;
}

/* Good crops' embeddings one behind the other. */
static fm_status embed(struct worker_job *job, struct buffer *crops, struct buffer *embeddings, fm_error *error) {
    const struct restful_state *state = job->state;
    fm_engine *engine = job->held->engine;
    size_t side = (size_t)fm_engine_crop_size(engine), count = 0, bytes, floats;
    if (side == 0)
        return fm_fail(error, FM_UNSUPPORTED, "pack '%s' has no recogniser, and embed_only needs one",
                       job->held->pack.name);
    if (!fm_size_multiply(side * side * 3, job->count, &bytes) || !fm_buffer_resize(crops, bytes) ||
        !fm_size_multiply((size_t)fm_engine_embedding_size(engine) * sizeof(float), job->count, &floats) ||
        !fm_buffer_resize(embeddings, floats))
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for %zu crops", job->count);
    for (size_t i = 0; i < job->count; i++)
        count +=
            read_crop(&job->images[i], job->request->user, (int)side, crops->bytes + count * side * side * 3) == FM_OK;
    if (count == 0 || !state->asked.extract_embedding)
        return FM_OK;
    return fm_embed_crops(engine, crops->bytes, count, (float *)(void *)embeddings->bytes, error);
}

static void add_crop_face(struct notation *out, const struct worker_image *image, const float *embedding, int size) {
    double sum = 0;
    fm_notation_map_open(out, NULL);
    fm_notation_string(out, "status", "ok"); /* of the entry: its face has the truth, as there */
    fm_notation_integer(out, "took_ms", 0);
    fm_notation_array_open(out, "faces");
    fm_notation_map_open(out, NULL);
    if (image->status) {
        fm_notation_string(out, "status", "failed");
        fm_notation_string(out, "traceback", image->error.message);
    } else {
        for (int i = 0; embedding && i < size; i++)
            sum += (double)embedding[i] * (double)embedding[i];
        add_attributes(out, embedding, size, (float)sqrt(sum));
        fm_notation_array_open(out, "bbox");
        for (int k = 0; k < 4; k++)
            fm_notation_integer(out, NULL, k < 2 ? 0 : CROP);
        fm_notation_array_close(out);
        fm_notation_integer(out, "size", CROP);
        fm_notation_float(out, "prob", 1.0f);
        fm_notation_string(out, "status", "ok");
    }
    fm_notation_map_close(out);
    fm_notation_array_close(out);
    fm_notation_map_close(out);
}

void fm_restful_embed_crops(struct worker_job *job) {
    const struct restful_state *state = job->state;
    struct buffer crops = {0}, embeddings = {0};
    struct text text = {0};
    struct notation out;
    fm_error error = {0};
    int size = fm_engine_embedding_size(job->held->engine);
    fm_status status = embed(job, &crops, &embeddings, &error);
    const float *next = (const float *)(const void *)embeddings.bytes;
    fm_notation_init(&out, state->packed, &text);
    fm_notation_map_open(&out, NULL);
    fm_notation_number(&out, "took_ms", ms_since(state->read_ns));
    fm_notation_array_open(&out, "data");
    for (size_t i = 0; !status && i < job->count; i++) {
        bool good = !job->images[i].status;
        add_crop_face(&out, &job->images[i], state->asked.extract_embedding ? next : NULL, size);
        next += good ? size : 0;
    }
    fm_notation_array_close(&out);
    fm_notation_string(&out, "status", status ? "failed" : "ok");
    if (status)
        fm_notation_string(&out, "traceback", error.message);
    fm_notation_map_close(&out);
    fm_buffer_reset(&crops);
    fm_buffer_reset(&embeddings);
    send(job, &text);
}
