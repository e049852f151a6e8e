/* GET /info: what this worker runs, in the words of that interface's settings. GET /health: a real picture and a real
   crop through the networks, on a chore's thread. */
#include "http/restful.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIDE 64           /* pixels of the picture that health is examined with */
#define PATIENCE_MS 10000 /* of health, when the queue is long */

/* ---- /info */

struct models {
    char det[128], rec[128]; /* file names without .onnx; "" */
    int det_batch, rec_batch;
    bool fp16, tensorrt;
};

static void take_model(struct models *models, const fm_model_info *info) {
    bool detection = strcmp(info->task, "detection") == 0;
    char *name = detection ? models->det : models->rec;
    size_t length = strlen(info->file);
    if (!detection && strcmp(info->task, "recognition") != 0)
        return;
    length -= length > 5 && strcmp(info->file + length - 5, ".onnx") == 0 ? 5 : 0;
    (void)snprintf(name, sizeof models->det, "%.*s", (int)(length < 127 ? length : 127), info->file);
    *(detection ? &models->det_batch : &models->rec_batch) = info->max_batch;
    models->fp16 = models->fp16 || strcmp(info->precision, "fp16") == 0;
    models->tensorrt = models->tensorrt || strstr(info->provider, "tensorrt") != NULL;
}

static void add_models(struct json *json, const struct models *models, int side) {
    fm_json_object_open(json, "models");
    fm_json_string(json, "inference_backend", models->tensorrt ? "trt" : "onnx");
    fm_json_string(json, "det_name", models->det);
    fm_json_string(json, "rec_name", models->rec[0] ? models->rec : NULL);
    fm_json_array_open(json, "max_size");
    fm_json_integer(json, NULL, side);
    fm_json_integer(json, NULL, side);
    fm_json_array_close(json);
    fm_json_string(json, "ga_name", NULL);
    fm_json_string(json, "mask_detector", NULL);
    fm_json_integer(json, "rec_batch_size", models->rec_batch ? models->rec_batch : 1);
    fm_json_integer(json, "det_batch_size", models->det_batch ? models->det_batch : 1);
    fm_json_bool(json, "force_fp16", models->fp16);
    fm_json_string(json, "triton_uri", NULL);
    fm_json_object_close(json);
}

static void add_defaults(struct json *json) {
    struct extract_request defaults;
    struct extract_failure ignored;
    (void)!fm_extract_read_json((const uint8_t *)"{\"images\":{}}", 13, &defaults, &ignored);
    fm_json_object_open(json, "defaults");
    fm_json_bool(json, "return_face_data", defaults.return_face_data);
    fm_json_bool(json, "return_landmarks", defaults.return_landmarks);
    fm_json_bool(json, "extract_embedding", defaults.extract_embedding);
    fm_json_bool(json, "extract_ga", defaults.extract_ga);
    fm_json_bool(json, "detect_masks", defaults.detect_masks);
    fm_json_number(json, "det_thresh", defaults.threshold);
    fm_json_object_open(json, "img_req_headers");
    fm_json_object_close(json);
    fm_json_bool(json, "sslv3_hack", false);
    fm_json_object_close(json);
    fm_extract_reset(&defaults);
}

void fm_restful_info(struct http_request *request) {
    const struct service *service = request->user;
    struct worker_engine *held = fm_worker_look(service->worker);
    int side = held->det_size;
    struct http_reply reply = {.code = 200, .type = "application/json"};
    struct json json = {.text = &reply.text};
    struct models models = {0};
    fm_model_info info;
    for (size_t i = 0; fm_engine_model(held->engine, i, &info); i++)
        take_model(&models, &info);
    fm_worker_release(held);
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "version", fm_version());
    fm_json_string(&json, "tensorrt_version", NULL);
    fm_json_string(&json, "log_level", "INFO");
    add_models(&json, &models, side);
    add_defaults(&json);
    fm_json_object_close(&json);
    fm_http_reply(request, &reply);
}

/* ---- /health */

static bool detects(fm_engine *engine) {
    uint8_t rgb[SIDE * SIDE * 3];
    fm_pixels pixels = {.struct_size = sizeof pixels, .data = rgb, .width = SIDE, .height = SIDE};
    fm_input input = fm_input_pixels(&pixels);
    fm_call_options call = {.struct_size = sizeof call, .compute = FM_COMPUTE_DETECT, .deadline_ms = PATIENCE_MS};
    fm_result *result = NULL;
    fm_error error = {0};
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i / 7 + i);
    bool good = fm_analyze(engine, &input, &call, &result, &error) == FM_OK;
    fm_result_free(result);
    return good;
}

static bool embeds(fm_engine *engine) {
    size_t side = (size_t)fm_engine_crop_size(engine), size = (size_t)fm_engine_embedding_size(engine);
    if (size == 0)
        return true; /* a pack without a recogniser is no failure */
    uint8_t *crop = fm_alloc_array(side * side, 3);
    float *embedding = fm_alloc_array(size, sizeof *embedding);
    fm_error error = {0};
    double sum = 0;
    for (size_t i = 0; crop && i < side * side * 3; i++)
        crop[i] = (uint8_t)(i * i / 7 + i);
    bool good = crop && embedding && fm_embed_crops(engine, crop, 1, embedding, &error) == FM_OK;
    for (size_t i = 0; good && i < size; i++)
        sum += (double)embedding[i] * (double)embedding[i];
    fm_free(crop);
    fm_free(embedding);
    return good && isfinite(sum) && sum > 0;
}

/* Models that were unloaded for want of requests are well: examining them would keep them loaded for ever. */
static void examine(void *argument) {
    struct http_request *request = argument;
    const struct service *service = request->user;
    struct worker_figures figures;
    fm_worker_figures(service->worker, &figures);
    struct worker_engine *held = fm_worker_look(service->worker);
    bool good = !figures.loaded || (detects(held->engine) && embeds(held->engine));
    fm_worker_release(held);
    if (!good) {
        fm_http_refuse(request, 500, 0, "self check failed");
        return;
    }
    struct http_reply reply = {.code = 200, .type = "application/json"};
    fm_text_add(&reply.text, "{\"status\":\"ok\"}");
    fm_http_reply(request, &reply);
}

void fm_restful_health(struct http_request *request) {
    (void)fm_restful_defer(request, examine, request);
}
