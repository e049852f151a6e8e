/* The GPU worker's interface, byte for byte in names and types what its clients know: POST /detect and /detect-batch;
   GET / is in routes_health.c. Errors are {"detail": words}. */
#include "http/routes.h"
#include "http/worker.h"

#include "base/os.h"

#include <string.h>

/* ---- answers */

/* A corner as an int is a corner cut towards zero. What no image has is cut to what an int holds. */
static int64_t corner(float value) {
    return value > 1e9f ? 1000000000 : value < -1e9f ? -1000000000 : (int64_t)value;
}

/* A detector without landmarks leaves all of them in one place. */
static bool has_landmarks(const fm_face *face) {
    for (int k = 1; k < 5; k++) {
        if (memcmp(face->landmarks[k], face->landmarks[0], sizeof face->landmarks[0]) != 0)
            return true;
    }
    return false;
}

static void add_face(struct json *json, const fm_face *face) {
    int64_t left = corner(face->box[0]), top = corner(face->box[1]);
    fm_json_object_open(json, NULL);
    fm_json_integer(json, "bbox_x", left);
    fm_json_integer(json, "bbox_y", top);
    fm_json_integer(json, "bbox_width", corner(face->box[2]) - left);
    fm_json_integer(json, "bbox_height", corner(face->box[3]) - top);
    fm_json_array_open(json, "embedding"); /* empty where there is none: a list of floats to every client */
    for (int i = 0; face->embedding && i < face->embedding_size; i++)
        fm_json_float(json, NULL, face->embedding[i]);
    fm_json_array_close(json);
    fm_json_float(json, "confidence", face->score);
    if (has_landmarks(face)) {
        fm_json_array_open(json, "landmarks");
        for (int k = 0; k < 5; k++) {
            fm_json_array_open(json, NULL);
            fm_json_float(json, NULL, face->landmarks[k][0]);
            fm_json_float(json, NULL, face->landmarks[k][1]);
            fm_json_array_close(json);
        }
        fm_json_array_close(json);
    } else {
        fm_json_string(json, "landmarks", NULL);
    }
    fm_json_object_close(json);
}

static void add_result(struct json *json, const char *key, const fm_result *result, double ms) {
    fm_json_object_open(json, key);
    fm_json_array_open(json, "faces");
    for (size_t i = 0; i < fm_result_face_count(result); i++)
        add_face(json, fm_result_face(result, i));
    fm_json_array_close(json);
    fm_json_integer(json, "image_width", fm_result_width(result));
    fm_json_integer(json, "image_height", fm_result_height(result));
    fm_json_number(json, "processing_time_ms", ms);
    fm_json_object_close(json);
}

static double since_ms(uint64_t start_ns) {
    return (double)(fm_clock_ns() - start_ns) / 1e6;
}

static double taken_ms(const fm_result *result) {
    fm_timings timings = {.struct_size = sizeof timings};
    fm_result_timings(result, &timings);
    return timings.total_ms;
}

/* 400 is what this interface means by a picture that cannot be decoded. */
static int detail_code(fm_status status) {
    return status == FM_BAD_IMAGE || status == FM_TRUNCATED || status == FM_UNSUPPORTED ? 400 : fm_worker_code(status);
}

static void detect_done(struct worker_job *job) {
    const struct worker_image *image = &job->images[0];
    if (image->status) {
        int code = detail_code(image->status);
        fm_http_refuse(job->request, code, code == 503 ? 1 : 0, "%s", image->error.message);
    } else {
        struct http_reply reply = {.code = 200, .type = "application/json"};
        struct json json = {.text = &reply.text};
        add_result(&json, NULL, image->result, since_ms(job->request->start_ns));
        fm_http_reply(job->request, &reply);
    }
    fm_worker_job_free(job);
}

static void batch_done(struct worker_job *job) {
    struct http_reply reply = {.code = 200, .type = "application/json"};
    struct json json = {.text = &reply.text};
    fm_json_object_open(&json, NULL);
    fm_json_array_open(&json, "results");
    for (size_t i = 0; i < job->count; i++) {
        const struct worker_image *image = &job->images[i];
        fm_json_object_open(&json, NULL);
        fm_json_string(&json, "filename", image->name ? image->name : "");
        fm_json_bool(&json, "success", image->status == FM_OK);
        if (image->status)
            fm_json_string(&json, "error", image->error.message);
        else
            add_result(&json, "data", image->result, taken_ms(image->result));
        fm_json_object_close(&json);
    }
    fm_json_array_close(&json);
    fm_json_integer(&json, "total", (int64_t)job->count);
    fm_json_object_close(&json);
    fm_http_reply(job->request, &reply);
    fm_worker_job_free(job);
}

/* ---- requests */

static void set_image(struct worker_image *image, const struct http_part *part) {
    image->name = part->filename;
    image->input = fm_input_encoded(part->bytes, part->size);
    if (!part->size)
        image->status = fm_fail(&image->error, FM_BAD_IMAGE, "an empty file; expected an encoded image");
}

/* The parts called `field`, all or the first one, as a job; with none of them the request is answered. */
static void submit_parts(struct http_request *request, const char *field, bool all, void (*done)(struct worker_job *)) {
    struct http_form form = {0};
    struct worker_job *job = NULL;
    fm_error error = {0};
    size_t count = 0, next = 0;
    if (!fm_http_type_is(request->type, "multipart/form-data")) {
        fm_http_refuse(request, 422, 0, "no field '%s': expected multipart/form-data with the encoded image in it",
                       field);
        return;
    }
    if (fm_http_form_parse(request->type, request->body, request->size, &form, &error)) {
        fm_http_refuse(request, error.status == FM_OUT_OF_MEMORY ? 503 : 400, 0, "%s", error.message);
        fm_http_form_reset(&form);
        return;
    }
    for (size_t i = 0; i < form.count && (all || !count); i++)
        count += strcmp(form.parts[i].name, field) == 0;
    if (!count)
        fm_http_refuse(request, 422, 0, "no field '%s' in the form; it holds the encoded image", field);
    else
        job = fm_worker_job(request, count);
    if (!job) {
        fm_http_form_reset(&form);
        return;
    }
    job->form = form;
    job->done = done;
    for (size_t i = 0; i < form.count && next < count; i++) {
        if (strcmp(form.parts[i].name, field) == 0)
            set_image(&job->images[next++], &form.parts[i]);
    }
    fm_worker_submit(job, NULL);
}

static void post_detect(struct http_request *request) {
    submit_parts(request, "file", false, detect_done);
}

static void post_detect_batch(struct http_request *request) {
    submit_parts(request, "files", true, batch_done);
}

void fm_routes_detail_error(struct text *out, int code, const char *words, const char *request_id) {
    (void)code, (void)request_id;
    struct json json = {.text = out};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "detail", words);
    fm_json_object_close(&json);
}

struct http_route_table fm_routes_gpu(void) {
    static const struct http_route rows[] = {
        {.method = "POST",
         .path = "/detect",
         .handle = post_detect,
         .write_error = fm_routes_detail_error,
         .takes_body = true},
        {.method = "POST",
         .path = "/detect-batch",
         .handle = post_detect_batch,
         .write_error = fm_routes_detail_error,
         .takes_body = true},
    };
    return (struct http_route_table){rows, sizeof rows / sizeof rows[0]};
}
