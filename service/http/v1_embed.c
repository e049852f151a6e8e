/* POST /v1/embed: aligned crops of the recogniser's size become embeddings. Runs on a chore's thread, since
   fm_embed_crops waits for the engine. */
#include "http/chores.h"
#include "http/v1.h"

#include "base/os.h"

#include <math.h>
#include <string.h>

struct embedding_task {
    struct http_request *request;
    struct v1_body body;
    struct v1_options options;
    struct worker_engine *held;
    struct buffer crops; /* side x side x 3 bytes each */
    size_t count;
    float *embeddings;
};

static void free_task(struct embedding_task *task) {
    fm_v1_body_reset(&task->body);
    fm_worker_release(task->held);
    fm_buffer_reset(&task->crops);
    fm_free(task->embeddings);
    fm_free(task);
}

static bool fail_memory(struct v1_failure *failure) {
    return fm_v1_fail(failure, 503, "out_of_memory", NULL, NULL, "out of memory for the crops; try again later");
}

/* ---- from a body to pixels */

static bool make_room(struct embedding_task *task, size_t count, struct v1_failure *failure) {
    size_t side = (size_t)fm_engine_crop_size(task->held->engine), bytes;
    task->count = count;
    if (!fm_size_multiply(side * side * 3, count, &bytes) || !fm_buffer_resize(&task->crops, bytes))
        return fail_memory(failure);
    return true;
}

static bool fail_side(const struct embedding_task *task, size_t index, int64_t width, int64_t height,
                      struct v1_failure *failure) {
    int side = fm_engine_crop_size(task->held->engine);
    return fm_v1_fail(failure, 422, "invalid_argument", NULL, NULL,
                      "crop %zu is %lld x %lld pixels; pack '%s' takes aligned crops of %d x %d", index + 1,
                      (long long)width, (long long)height, task->held->pack.name, side, side);
}

static bool read_raw_pixels(struct embedding_task *task, struct v1_failure *failure) {
    const struct v1_options *options = &task->options;
    int64_t side = fm_engine_crop_size(task->held->engine), count = options->count ? options->count : 1;
    if (!options->width || !options->height)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", options->width ? "height" : "width",
                          "raw RGB8 pixels need both width and height; leave all three out for an image file");
    if (options->width != side || options->height != side)
        return fail_side(task, 0, options->width, options->height, failure);
    if ((uint64_t)(side * side * 3 * count) != task->request->size)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", "count",
                          "%lld crops of %lld x %lld RGB8 are %lld bytes, but the body has %zu", (long long)count,
                          (long long)side, (long long)side, (long long)(side * side * 3 * count), task->request->size);
    if (!make_room(task, (size_t)count, failure))
        return false;
    memcpy(task->crops.bytes, task->request->body, task->request->size);
    return true;
}

/* One encoded crop into its place. */
static bool read_crop(struct embedding_task *task, size_t index, struct v1_failure *failure) {
    const struct service *service = task->request->user;
    const struct v1_picture *picture = &task->body.pictures[index];
    int side = fm_engine_crop_size(task->held->engine);
    size_t row = (size_t)side * 3;
    struct buffer own = {0};
    fm_input input = fm_input_encoded(picture->bytes, picture->size);
    fm_image *image = NULL;
    fm_error error = {0};
    fm_status status = FM_OK;
    bool good = false;
    if (picture->base64) {
        status = fm_base64_read(picture->base64, strlen(picture->base64), task->request->size, &own, &error);
        input = fm_input_encoded(own.bytes, own.size);
    }
    if (!status && !input.size)
        status = fm_fail(&error, FM_BAD_IMAGE, "the picture has no bytes");
    if (!status)
        status = fm_image_decode(&input, service->limits.struct_size ? &service->limits : NULL, &image, &error);
    if (status) {
        int code = status == FM_INVALID_ARGUMENT ? 422 : fm_worker_code(status);
        fm_v1_fail(failure, code, fm_status_name(status), NULL, NULL, "crop %zu: %s", index + 1, error.message);
        goto cleanup;
    }
    fm_pixels pixels = fm_image_pixels(image);
    good = pixels.width == side && pixels.height == side;
    if (!good)
        fail_side(task, index, pixels.width, pixels.height, failure);
    for (size_t y = 0; y < (size_t)side && good; y++)
        memcpy(task->crops.bytes + (index * (size_t)side + y) * row, (const uint8_t *)pixels.data + y * pixels.stride,
               row);
cleanup:
    fm_image_free(image);
    fm_buffer_reset(&own);
    return good;
}

static bool read_crops(struct embedding_task *task, struct v1_failure *failure) {
    const struct v1_options *options = &task->options;
    bool sized = options->width || options->height || options->count;
    if (!fm_engine_crop_size(task->held->engine))
        return fm_v1_fail(failure, 422, "unsupported", NULL, NULL,
                          "pack '%s' has no recogniser, and embedding needs one; let the worker serve a pack that has "
                          "one",
                          task->held->pack.name);
    if (sized && !task->body.raw)
        return fm_v1_fail(failure, 422, "invalid_argument", "parameter", "width",
                          "width, height and count are for a body of raw RGB8 pixels, not for a form");
    if (sized)
        return read_raw_pixels(task, failure);
    bool good = make_room(task, task->body.count, failure);
    for (size_t i = 0; i < task->count && good; i++)
        good = read_crop(task, i, failure);
    return good;
}

/* ---- from pixels to an answer */

static float norm_of(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return (float)sqrt(sum);
}

static bool embed(struct embedding_task *task, struct v1_failure *failure) {
    size_t size = (size_t)fm_engine_embedding_size(task->held->engine), values;
    fm_error error = {0};
    if (!fm_size_multiply(task->count, size, &values))
        return fail_memory(failure);
    task->embeddings = fm_alloc_array(values, sizeof *task->embeddings);
    if (!task->embeddings)
        return fail_memory(failure);
    fm_status status = fm_embed_crops(task->held->engine, task->crops.bytes, task->count, task->embeddings, &error);
    return !status ||
           fm_v1_fail(failure, fm_worker_code(status), fm_status_name(status), NULL, NULL, "%s", error.message);
}

static void write_answer(struct embedding_task *task) {
    size_t size = (size_t)fm_engine_embedding_size(task->held->engine);
    struct text text = {0};
    struct json json;
    fm_v1_open_reply(&json, &text, task->request);
    fm_json_string(&json, "pack_id", task->held->pack.id);
    fm_json_integer(&json, "embedding_size", (int64_t)size);
    fm_json_array_open(&json, "embeddings");
    for (size_t i = 0; i < task->count; i++) {
        const float *values = task->embeddings + i * size;
        fm_json_object_open(&json, NULL);
        fm_v1_embedding(&json, "embedding", task->options.embedding, values, size);
        fm_json_float(&json, "embedding_norm", norm_of(values, size));
        fm_json_object_close(&json);
    }
    fm_json_array_close(&json);
    fm_v1_send(task->request, &json);
}

static void run(void *argument) {
    struct embedding_task *task = argument;
    struct http_request *request = task->request;
    struct v1_failure failure = {0};
    if (request->deadline_ns && fm_clock_ns() >= request->deadline_ns)
        fm_v1_fail(&failure, 504, "deadline", NULL, NULL, "the request's deadline passed before it was begun");
    else if (fm_http_client_gone(request))
        fm_v1_fail(&failure, 499, "cancelled", NULL, NULL, "the client closed the connection");
    else if (read_crops(task, &failure) && embed(task, &failure))
        write_answer(task);
    free_task(task);
    if (failure.http)
        fm_v1_refuse(request, &failure);
}

void fm_v1_embed(struct http_request *request) {
    static const char *const names[] = {"crops", "crop", NULL};
    struct service *service = request->user;
    struct embedding_task *task = fm_alloc(sizeof *task);
    struct v1_failure failure = {0};
    if (!task) {
        fail_memory(&failure);
        fm_v1_refuse(request, &failure);
        return;
    }
    task->request = request;
    if (fm_v1_body_read(request, names, true, V1_EMBED, &task->body, &task->options, &failure)) {
        task->held = fm_worker_hold(service->worker);
        if (fm_chores_add(service->chores, run, task))
            return;
        fm_v1_fail(&failure, 503, "busy", NULL, NULL, "too many requests wait already; try again");
    }
    free_task(task);
    fm_v1_refuse(request, &failure);
}
