/* Faces and images without a queue: decode, write, annotate, crop, compare, embed given crops. All but fm_embed_crops
   are pure and need no engine. */
#include "engine/engine.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define JPEG_QUALITY 92
#define BOX_COLOUR 0xff3030u
#define POINT_COLOUR 0x30ff30u
#define LABEL_COLOUR 0xffffffu

/* Pixels that are in memory already have passed their limits. */
static const fm_limits no_limits = {.struct_size = sizeof no_limits,
                                    .max_file_bytes = UINT64_MAX,
                                    .max_pixels = UINT64_MAX,
                                    .max_width = INT_MAX,
                                    .max_height = INT_MAX,
                                    .accept_truncated = true};

struct fm_image {
    struct image image;
};

/* ---- inputs */

fm_input fm_input_file(const char *path) {
    return (fm_input){.struct_size = sizeof(fm_input), .kind = FM_INPUT_FILE, .path = path};
}

fm_input fm_input_encoded(const void *bytes, size_t size) {
    return (fm_input){.struct_size = sizeof(fm_input), .kind = FM_INPUT_ENCODED, .bytes = bytes, .size = size};
}

fm_input fm_input_pixels(const fm_pixels *pixels) {
    return (fm_input){.struct_size = sizeof(fm_input), .kind = FM_INPUT_PIXELS, .pixels = pixels};
}

/* ---- images */

static fm_status decode_input(const fm_input *input, const fm_limits *limits, struct image *image, fm_error *error) {
    if (input->kind == FM_INPUT_PIXELS && input->pixels)
        return fm_image_convert(image, input->pixels, limits, error);
    if (input->kind == FM_INPUT_ENCODED && input->bytes)
        return fm_image_read(image, input->bytes, input->size, "image in memory", limits, error);
    if (input->kind != FM_INPUT_FILE || !input->path)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "input without contents: use fm_input_file, fm_input_encoded or fm_input_pixels");
    struct buffer file = {0};
    fm_status status = fm_file_read(input->path, limits->max_file_bytes, &file, error);
    if (status == FM_OK)
        status = fm_image_read(image, file.bytes, file.size, input->path, limits, error);
    fm_buffer_reset(&file);
    return status;
}

fm_status fm_image_decode(const fm_input *input, const fm_limits *given, fm_image **image, fm_error *error) {
    fm_error_clear(error);
    const fm_limits limits = fm_limits_resolve(given);
    *image = fm_alloc(sizeof **image);
    if (!*image)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for an image");
    const fm_status status = decode_input(input, &limits, &(*image)->image, error);
    if (status != FM_OK) {
        fm_image_free(*image);
        *image = NULL;
    }
    return status;
}

fm_pixels fm_image_pixels(const fm_image *image) {
    return (fm_pixels){.struct_size = sizeof(fm_pixels),
                       .data = image->image.rgb.bytes,
                       .width = image->image.width,
                       .height = image->image.height,
                       .stride = (size_t)image->image.width * 3};
}

void fm_image_free(fm_image *image) {
    if (!image)
        return;
    fm_image_reset(&image->image);
    fm_free(image);
}

static bool ends_with(const char *path, const char *ending) {
    const size_t length = strlen(path), end = strlen(ending);
    return length >= end && strcasecmp(path + length - end, ending) == 0;
}

static fm_status encode(const fm_pixels *pixels, bool png, struct buffer *out, fm_error *error) {
    struct image image = {0};
    fm_status status = fm_image_convert(&image, pixels, &no_limits, error);
    const struct canvas canvas = {image.rgb.bytes, image.width, image.height, (size_t)image.width * 3};
    if (status == FM_OK)
        status = png ? fm_encode_png(&canvas, out, error) : fm_encode_jpeg(&canvas, JPEG_QUALITY, out, error);
    fm_image_reset(&image);
    return status;
}

fm_status fm_image_encode(const fm_pixels *pixels, fm_file_format format, fm_bytes_visitor take, void *user,
                          fm_error *error) {
    struct buffer out = {0};
    fm_error_clear(error);
    const fm_status status = encode(pixels, format == FM_FILE_PNG, &out, error);
    if (status == FM_OK)
        take(out.bytes, out.size, user);
    fm_buffer_reset(&out);
    return status;
}

fm_status fm_image_write(const fm_pixels *pixels, const char *path, int format, fm_error *error) {
    struct buffer out = {0};
    fm_error_clear(error);
    const bool png = format < 0 ? ends_with(path, ".png") : format == FM_FILE_PNG;
    fm_status status = encode(pixels, png, &out, error);
    if (status == FM_OK)
        status = fm_file_write(path, out.bytes, out.size, error);
    fm_buffer_reset(&out);
    return status;
}

/* ---- annotating */

static int pixel_of(float coordinate) {
    return (int)lrintf(fminf(fmaxf(coordinate, -100000.0f), 100000.0f));
}

static void annotate_face(struct canvas *canvas, const fm_face *face, const char *label,
                          const fm_draw_options *options) {
    const int smaller = canvas->width < canvas->height ? canvas->width : canvas->height;
    const int scale = smaller > 1600 ? 3 : smaller > 700 ? 2 : 1;
    const int x = pixel_of(face->box[0]), y = pixel_of(face->box[1]);
    fm_draw_box(canvas, x, y, pixel_of(face->box[2]), pixel_of(face->box[3]), 2 * scale, BOX_COLOUR);
    for (int k = 0; k < 5 && !options->no_landmarks; k++)
        fm_draw_dot(canvas, pixel_of(face->landmarks[k][0]), pixel_of(face->landmarks[k][1]), 2 * scale, POINT_COLOUR);
    if (options->no_labels)
        return;
    const int height = FM_FONT_HEIGHT * scale;
    fm_draw_text(canvas, x > 0 ? x : 0, y - height > 0 ? y - height : 0, scale, label, LABEL_COLOUR, BOX_COLOUR);
}

fm_status fm_annotate(const fm_pixels *pixels, const fm_result *result, const fm_draw_options *given, fm_image **image,
                      fm_error *error) {
    fm_draw_options options = {.struct_size = sizeof options};
    fm_error_clear(error);
    if (given && !fm_options_copy(&options, sizeof options, given))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "fm_draw_options.struct_size is 0: set it to sizeof(fm_draw_options)");
    const fm_input input = fm_input_pixels(pixels);
    const fm_status status = fm_image_decode(&input, &no_limits, image, error);
    if (status != FM_OK)
        return status;
    struct image *copy = &(*image)->image;
    struct canvas canvas = {copy->rgb.bytes, copy->width, copy->height, (size_t)copy->width * 3};
    for (size_t i = 0; i < fm_result_face_count(result); i++) {
        const fm_face *face = fm_result_face(result, i);
        char score[32];
        (void)snprintf(score, sizeof score, "%.2f", (double)face->score);
        annotate_face(&canvas, face, options.labels ? options.labels[i] : score, &options);
    }
    return FM_OK;
}

/* ---- crops and vectors */

float fm_similarity(const float *a, const float *b, size_t size) {
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < size; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    const double norms = sqrt(aa) * sqrt(bb);
    return norms > 0 ? (float)fmin(1.0, fmax(-1.0, dot / norms)) : 0.0f;
}

static bool is_rgb8(const fm_pixels *pixels) {
    return pixels->struct_size >= sizeof *pixels && pixels->memory == FM_MEMORY_HOST && pixels->data &&
           pixels->format == FM_FORMAT_U8 && pixels->layout == FM_LAYOUT_HWC && pixels->order == FM_ORDER_RGB &&
           pixels->width > 0 && pixels->height > 0 && (!pixels->stride || pixels->stride >= (size_t)pixels->width * 3);
}

/* Pixels as the kernels read them: in place where they are RGB8 rows, else converted into `image`. */
static fm_status view_pixels(const fm_pixels *pixels, struct image *image, struct rgb_view *view, fm_error *error) {
    fm_status status = FM_OK;
    if (is_rgb8(pixels)) {
        const size_t packed = (size_t)pixels->width * 3;
        *view =
            (struct rgb_view){pixels->data, pixels->width, pixels->height, pixels->stride ? pixels->stride : packed};
        return FM_OK;
    }
    status = fm_image_convert(image, pixels, &no_limits, error);
    *view = (struct rgb_view){image->rgb.bytes, image->width, image->height, (size_t)image->width * 3};
    return status;
}

/* Cut the face out so that its landmarks lie on `points` of a square of `size`. */
static fm_status cut_out(const fm_pixels *pixels, const float landmarks[5][2], const float points[5][2], int size,
                         uint8_t *rgb, fm_error *error) {
    double matrix[6];
    struct image image = {0};
    struct rgb_view view;
    struct buffer scratch = {0};
    struct device *device = NULL;
    const struct device_ops *ops = fm_device_row(0);
    if (!fm_align_matrix(landmarks, points, matrix))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "the five landmarks do not span a face: they coincide or are not finite");
    fm_status status = view_pixels(pixels, &image, &view, error);
    if (status == FM_OK)
        status = ops->open(0, fm_cpu_level(), &device, error);
    if (status == FM_OK) {
        status = ops->warp(device, &view, matrix, NULL, NULL, 0, rgb, size, &scratch, error);
        ops->close(device);
    }
    fm_buffer_reset(&scratch);
    fm_image_reset(&image);
    return status;
}

fm_status fm_crop_aligned(const fm_pixels *pixels, const float landmarks[5][2], int size, uint8_t *rgb,
                          fm_error *error) {
    float points[5][2];
    fm_error_clear(error);
    if (!fm_align_template(size, points))
        return fm_fail(error, FM_INVALID_ARGUMENT, "crop size %d: expected a multiple of 112 or of 128", size);
    return cut_out(pixels, landmarks, points, size, rgb, error);
}

fm_status fm_engine_crop(const fm_engine *engine, const fm_pixels *pixels, const float landmarks[5][2], uint8_t *rgb,
                         fm_error *error) {
    fm_error_clear(error);
    if (!engine->recogniser)
        return fm_fail(error, FM_UNSUPPORTED,
                       "pack '%s' has no recogniser that says how faces are cut out; name a pack that has one",
                       engine->pack->name);
    const struct recogniser_recipe *recipe = &engine->recogniser->model->recogniser;
    return cut_out(pixels, landmarks, recipe->template_points, recipe->side, rgb, error);
}

/* A caller of fm_embed_crops, on its own stack. */
struct crop_call {
    struct slot_owner owner;
    struct os_mutex mutex;
    struct os_cond done;
    size_t remaining;
    float *embeddings;
    fm_error error;
};

static void crop_deliver(struct slot_owner *owner, int index, const struct slot_answer *answer) {
    struct crop_call *call = (struct crop_call *)(void *)owner; /* first member */
    const size_t size = (size_t)answer->network->embedding_size;
    if (answer->status == FM_OK)
        memcpy(call->embeddings + (size_t)index * size,
               (const float *)answer->outputs[0].bytes + (size_t)answer->slot * size, size * sizeof(float));
    fm_mutex_lock(&call->mutex);
    if (answer->status != FM_OK && call->error.status == FM_OK)
        call->error = *answer->error;
    if (--call->remaining == 0)
        fm_cond_signal(&call->done);
    fm_mutex_unlock(&call->mutex);
}

static fm_status send_crop(struct fm_engine *engine, const uint8_t *crop, struct crop_call *call, int index,
                           struct buffer *scratch, fm_error *error) {
    static const double identity[6] = {1, 0, 0, 0, 1, 0};
    struct network *network = engine->recogniser;
    const int side = network->model->recogniser.side;
    const struct rgb_view view = {crop, side, side, (size_t)side * 3};
    struct batch *batch = NULL;
    int slot = 0;
    fm_status status = fm_network_acquire(network, side, side, &call->owner, index, &batch, &slot, error);
    if (status != FM_OK)
        return status;
    fm_mutex_lock(&call->mutex);
    call->remaining++;
    fm_mutex_unlock(&call->mutex);
    status = engine->ops->warp(engine->device, &view, identity, &network->model->pixels, &batch->input, slot, NULL,
                               side, scratch, error);
    fm_network_commit(network, batch);
    return status;
}

fm_status fm_embed_crops(fm_engine *engine, const uint8_t *crops, size_t count, float *embeddings, fm_error *error) {
    struct crop_call call = {.owner = {.deliver = crop_deliver}, .embeddings = embeddings};
    struct buffer scratch = {0};
    fm_status status = FM_OK;
    fm_error_clear(error);
    if (!engine->recogniser)
        return fm_fail(error, FM_UNSUPPORTED, "pack '%s' has no recogniser: name a pack that has one",
                       engine->pack->name);
    if (count > 1000000 || (count && (!crops || !embeddings)))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "%zu crops: expected at most 1,000,000 with room for their embeddings", count);
    const size_t crop_bytes = (size_t)fm_engine_crop_size(engine) * (size_t)fm_engine_crop_size(engine) * 3;
    fm_mutex_init(&call.mutex);
    fm_cond_init(&call.done);
    for (size_t i = 0; i < count && status == FM_OK; i++)
        status = send_crop(engine, crops + i * crop_bytes, &call, (int)i, &scratch, error);
    fm_mutex_lock(&call.mutex);
    while (call.remaining > 0)
        fm_cond_wait(&call.done, &call.mutex);
    fm_mutex_unlock(&call.mutex);
    fm_cond_reset(&call.done);
    fm_mutex_reset(&call.mutex);
    fm_buffer_reset(&scratch);
    if (status == FM_OK && call.error.status != FM_OK)
        status = fm_fail(error, call.error.status, "%s", call.error.message);
    return status;
}

int fm_engine_crop_size(const fm_engine *engine) {
    return engine->recogniser ? engine->recogniser->model->recogniser.side : 0;
}

int fm_engine_embedding_size(const fm_engine *engine) {
    return engine->recogniser ? engine->recogniser->embedding_size : 0;
}
