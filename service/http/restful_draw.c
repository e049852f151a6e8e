/* The drawings: the first picture of a request with its faces' boxes, points, scores and widths, as a PNG stream, or as
   JPEG where a form asked. Everything but the handlers runs on a chore's thread: drawing and packing takes longer than
   finding the faces. */
#include "http/chores.h"
#include "http/fastapi.h"
#include "http/restful.h"

#include <stdio.h>
#include <string.h>

#define LABEL 48

static void take_file(const void *bytes, size_t size, void *user) {
    fm_text_add_bytes(user, bytes, size);
}

/* "0.873 w:112" per face, in the job's arena; NULL when out of memory. */
static const char *const *write_labels(struct worker_job *job, const struct extract_request *asked) {
    const fm_result *result = job->images[0].result;
    size_t count = fm_result_face_count(result);
    const char **labels = fm_arena_alloc(&job->arena, count * sizeof *labels);
    for (size_t i = 0; labels && i < count; i++) {
        const fm_face *face = fm_result_face(result, i);
        char *label = fm_arena_alloc(&job->arena, LABEL), score[16] = "", width[24] = "";
        if (asked->draw_scores)
            (void)snprintf(score, sizeof score, "%.3f", (double)face->score);
        if (asked->draw_sizes)
            (void)snprintf(width, sizeof width, "w:%d", (int)(face->box[2] - face->box[0]));
        if (!label)
            return NULL;
        (void)snprintf(label, LABEL, "%s%s%s", score, score[0] && width[0] ? " " : "", width);
        labels[i] = label;
    }
    return labels;
}

static fm_status draw(struct worker_job *job, struct http_reply *reply, fm_error *error) {
    const struct restful_state *state = job->state;
    const struct extract_request *asked = &state->asked;
    fm_draw_options options = {.struct_size = sizeof options, .no_landmarks = !asked->draw_landmarks};
    fm_pixels pixels = fm_result_pixels(job->images[0].result);
    fm_image *drawn = NULL;
    options.no_labels = !asked->draw_scores && !asked->draw_sizes;
    options.labels = write_labels(job, asked);
    if (!options.labels)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the drawing");
    fm_status status = fm_annotate(&pixels, job->images[0].result, &options, &drawn, error);
    if (status)
        return status;
    pixels = fm_image_pixels(drawn);
    reply->type = "image/jpg"; /* the name that this interface has for it */
    status = state->jpeg ? fm_image_encode(&pixels, FM_FILE_JPEG, take_file, &reply->text, error) : FM_UNSUPPORTED;
    if (status == FM_UNSUPPORTED) {
        fm_error_clear(error);
        reply->type = "image/png";
        status = fm_image_encode(&pixels, FM_FILE_PNG, take_file, &reply->text, error);
    }
    fm_image_free(drawn);
    return status;
}

static void write_drawing(void *argument) {
    struct worker_job *job = argument;
    struct http_reply reply = {.code = 200};
    fm_error error = {0};
    fm_status status = draw(job, &reply, &error);
    if (status) {
        fm_text_reset(&reply.text);
        fm_http_refuse(job->request, fm_worker_code(status), 0, "%s", error.message);
    } else {
        fm_http_reply(job->request, &reply);
    }
    fm_worker_job_free(job);
}

static void drawn(struct worker_job *job) {
    const struct service *service = job->request->user;
    const struct worker_image *image = &job->images[0];
    if (image->status) {
        int code = image->status == FM_INVALID_ARGUMENT ? 422 : fm_worker_code(image->status);
        fm_http_refuse(job->request, code, code == 503 ? 1 : 0, "%s", image->error.message);
        fm_worker_job_free(job);
    } else if (!fm_chores_add(service->chores, write_drawing, job)) {
        write_drawing(job);
    }
}

/* The smallest size goes to the engine, which looks at a box's smaller side. */
static void submit(struct http_request *request, struct extract_request *asked, bool jpeg) {
    asked->count = 1;
    struct worker_job *job = fm_restful_job(request, asked);
    if (!job)
        return;
    if (!fm_restful_is_awaited(request)) {
        fm_worker_job_free(job);
        return;
    }
    struct restful_state *state = job->state;
    state->jpeg = jpeg;
    state->asked.extract_embedding = false;
    fm_call_options call = fm_restful_call(&state->asked);
    call.keep_pixels = true;
    call.min_face = state->asked.min_face_size > 0 ? (float)state->asked.min_face_size : -1;
    if (call.min_face > 1e5f)
        call.min_face = 1e5f;
    job->done = drawn;
    fm_worker_submit(job, &call);
}

static void read_drawing(void *argument) {
    struct http_request *request = argument;
    struct extract_request asked;
    struct extract_failure failure;
    if (!fm_restful_is_awaited(request))
        return;
    if (!fm_extract_read_json(request->body, request->size, &asked, &failure)) {
        fm_restful_refuse(request, &failure);
        fm_extract_reset(&asked);
    } else if (asked.count == 0) {
        fm_fastapi_refuse(request, "too_short", "images", "there is no image to draw on");
        fm_extract_reset(&asked);
    } else {
        submit(request, &asked, false);
    }
}

void fm_restful_draw(struct http_request *request) {
    (void)fm_restful_defer(request, read_drawing, request);
}

void fm_restful_draw_form(struct http_request *request) {
    struct http_form form = {0};
    struct extract_request asked = {0};
    struct extract_failure failure = {0};
    struct extract_picture picture = {0};
    fm_error error = {0};
    const struct http_part *file = NULL;
    if (!fm_http_type_is(request->type, "multipart/form-data")) {
        fm_fastapi_refuse(request, "missing", "file", "Field required");
    } else if (fm_http_form_parse(request->type, request->body, request->size, &form, &error)) {
        fm_http_refuse(request, error.status == FM_OUT_OF_MEMORY ? 503 : 400, 0, "%s", error.message);
    } else if ((file = fm_http_form_part(&form, "file")) == NULL) {
        fm_fastapi_refuse(request, "missing", "file", "Field required");
    } else if (!fm_extract_read_form(&form, &asked, &failure)) {
        fm_restful_refuse(request, &failure);
    } else {
        picture = (struct extract_picture){.bytes = file->bytes, .size = file->size};
        asked.pictures = &picture;
        submit(request, &asked, true); /* the bytes are the body's, not the form's */
    }
    fm_extract_reset(&asked);
    fm_http_form_reset(&form);
}
