/* Our own interface: /v1/analyze and /v1/compare, which work on pictures; /v1/embed, /v1/models, /v1/providers and
   /openapi.json are other files' handlers. Handlers run on the server's threads, `..._done` on the engine's. */
#include "http/v1.h"

#include <math.h>
#include <string.h>

struct v1_state {
    struct v1_options options;
    bool raw; /* one picture as it is: the answer is its object */
};

/* ---- from a body to a job */

/* Point the job's pictures at the body's bytes, decode base64 into their own. */
static bool fill_images(struct worker_job *job, const struct v1_body *body, struct v1_failure *failure) {
    for (size_t i = 0; i < job->count; i++) {
        const struct v1_picture *picture = &body->pictures[i];
        struct worker_image *image = &job->images[i];
        image->name = picture->name ? fm_arena_copy(&job->arena, picture->name) : NULL;
        if (picture->name && !image->name)
            return fm_v1_fail(failure, 503, "out_of_memory", NULL, NULL, "out of memory for the request; try again");
        if (picture->base64) {
            image->status = fm_base64_read(picture->base64, strlen(picture->base64), job->request->size, &image->own,
                                           &image->error);
            image->input = fm_input_encoded(image->own.bytes, image->own.size);
        } else {
            image->input = fm_input_encoded(picture->bytes, picture->size);
        }
        if (!image->status && !image->input.size)
            image->status = fm_fail(&image->error, FM_BAD_IMAGE, "the picture has no bytes");
    }
    return true;
}

static bool check_attributes(struct worker_job *job, const struct v1_options *options, struct v1_failure *failure) {
    if (!options->attribute[0])
        return true;
    return fm_v1_fail(
        failure, 422, "unsupported", "attribute", options->attribute,
        "attribute '%s': pack '%s' has no model for it; leave it out, or let the worker serve a pack that "
        "has one",
        options->attribute, job->held->pack.name);
}

static bool check_embedding(struct worker_job *job, struct v1_failure *failure) {
    if (fm_engine_embedding_size(job->held->engine) > 0)
        return true;
    return fm_v1_fail(failure, 422, "unsupported", NULL, NULL,
                      "pack '%s' has no recogniser, and comparing needs one; let the worker serve a pack that has one",
                      job->held->pack.name);
}

/* A job of the request's pictures; NULL: the request was answered. */
static struct worker_job *make_job(struct http_request *request, const char *const *names, bool listed,
                                   enum v1_route route) {
    struct v1_failure failure = {0};
    struct v1_options options = {.call = {.struct_size = sizeof options.call}};
    struct v1_body body;
    struct worker_job *job = NULL;
    if (!fm_v1_body_read(request, names, listed, route, &body, &options, &failure))
        goto cleanup;
    job = fm_worker_job(request, body.count);
    if (!job) {
        fm_v1_body_reset(&body);
        return NULL;
    }
    job->held = fm_worker_hold(((struct service *)request->user)->worker);
    struct v1_state *state = fm_arena_alloc(&job->arena, sizeof *state);
    if (!state)
        fm_v1_fail(&failure, 503, "out_of_memory", NULL, NULL, "out of memory for the request; try again later");
    else if (fill_images(job, &body, &failure) && check_attributes(job, &options, &failure) && route == V1_COMPARE)
        check_embedding(job, &failure);
    if (state) {
        *state = (struct v1_state){.options = options, .raw = body.raw};
        if (options.embedding == V1_NONE)
            state->options.call.compute = FM_COMPUTE_DETECT;
        job->state = state;
    }
    job->form = body.form; /* names are in it */
    body.form = (struct http_form){0};
cleanup:
    fm_v1_body_reset(&body);
    if (failure.http) {
        fm_worker_job_free(job);
        fm_v1_refuse(request, &failure);
        return NULL;
    }
    return job;
}

/* ---- analyze */

/* The code of a picture that failed: base64 that is none is the picture's fault, not the request's form. */
static int picture_code(fm_status status) {
    return status == FM_INVALID_ARGUMENT ? 422 : fm_worker_code(status);
}

static void refuse_picture(struct worker_job *job, fm_status status, const char *words, const char *side) {
    struct v1_failure failure = {0};
    fm_v1_fail(&failure, picture_code(status), fm_status_name(status), side ? "image" : NULL, side, "%s", words);
    fm_v1_refuse(job->request, &failure);
}

static void add_one(struct worker_job *job, struct worker_image *image, struct json *json) {
    struct v1_state *state = job->state;
    fm_json_object_open(json, NULL);
    if (image->name)
        fm_json_string(json, "name", image->name);
    if (!image->status)
        image->status = fm_v1_picture(json, job->held, image->result, &state->options, &image->error);
    if (image->status)
        fm_v1_picture_error(json, image->status, image->error.message);
    fm_json_object_close(json);
}

static void analyze_done(struct worker_job *job) {
    struct v1_state *state = job->state;
    struct worker_image *first = &job->images[0];
    struct text text = {0};
    struct json json;
    fm_v1_open_reply(&json, &text, job->request);
    if (state->raw && !first->status)
        first->status = fm_v1_picture(&json, job->held, first->result, &state->options, &first->error);
    if (state->raw && first->status) {
        fm_text_reset(&text);
        refuse_picture(job, first->status, first->error.message, NULL);
    } else {
        if (!state->raw)
            fm_json_array_open(&json, "results");
        for (size_t i = 0; i < job->count && !state->raw; i++)
            add_one(job, &job->images[i], &json);
        if (!state->raw)
            fm_json_array_close(&json);
        fm_v1_send(job->request, &json);
    }
    fm_worker_job_free(job);
}

static void submit(struct worker_job *job, void (*done)(struct worker_job *job)) {
    if (!job)
        return;
    job->done = done;
    fm_worker_submit(job, &((struct v1_state *)job->state)->options.call);
}

static void handle_analyze(struct http_request *request) {
    static const char *const names[] = {"images", "image", "files", "file", NULL};
    submit(make_job(request, names, true, V1_ANALYZE), analyze_done);
}

/* ---- compare */

static const fm_face *largest_face(const fm_result *result) {
    const fm_face *largest = NULL;
    float most = -1;
    for (size_t i = 0; i < fm_result_face_count(result); i++) {
        const fm_face *face = fm_result_face(result, i);
        float area = (face->box[2] - face->box[0]) * (face->box[3] - face->box[1]);
        if (area > most) {
            most = area;
            largest = face;
        }
    }
    return largest;
}

/* The face of one side; NULL: the request was answered. */
static const fm_face *side_face(struct worker_job *job, size_t index) {
    struct worker_image *image = &job->images[index];
    const char *side = index ? "b" : "a";
    struct v1_failure failure = {0};
    const fm_face *face = image->status ? NULL : largest_face(image->result);
    if (face && face->embedding)
        return face;
    if (image->status)
        fm_v1_fail(&failure, picture_code(image->status), fm_status_name(image->status), "image", side,
                   "picture '%s': %s", side, image->error.message);
    else if (!face)
        fm_v1_fail(&failure, 422, "not_found", "image", side,
                   "picture '%s': no face was found; a lower det_threshold or another det_size may find one", side);
    else
        fm_v1_fail(&failure, 422, "unsupported", "image", side,
                   "picture '%s': the largest face has no landmarks to align it by, and so no embedding", side);
    fm_v1_refuse(job->request, &failure);
    return NULL;
}

static void add_side(struct json *json, size_t index, const struct worker_image *image, const fm_face *face) {
    fm_json_object_open(json, index ? "b" : "a");
    if (image->name)
        fm_json_string(json, "name", image->name);
    fm_json_integer(json, "faces", (int64_t)fm_result_face_count(image->result));
    fm_v1_floats(json, "box", face->box, 4);
    fm_json_float(json, "score", face->score);
    fm_json_object_close(json);
}

#define DEFAULT_THRESHOLD 0.4

/* What was asked for; else what the pack's manifest says of its recogniser; else as the command line has it. */
static double choose_threshold(const struct v1_options *options, const fm_pack_info *pack) {
    if (options->has_threshold)
        return options->threshold;
    /* 0.35, not the float nearest to it */
    return pack->match_threshold > 0 ? round((double)pack->match_threshold * 1e6) / 1e6 : DEFAULT_THRESHOLD;
}

static void compare_done(struct worker_job *job) {
    struct v1_state *state = job->state;
    const fm_pack_info *pack = &job->held->pack;
    const fm_face *a = side_face(job, 0), *b = a ? side_face(job, 1) : NULL;
    if (a && b) {
        double similarity = (double)fm_similarity(a->embedding, b->embedding, (size_t)a->embedding_size);
        double threshold = choose_threshold(&state->options, pack);
        struct text text = {0};
        struct json json;
        fm_v1_open_reply(&json, &text, job->request);
        fm_json_number(&json, "similarity", similarity);
        fm_json_number(&json, "threshold", threshold);
        fm_json_bool(&json, "same", similarity >= threshold);
        fm_json_string(&json, "metric", "cosine");
        add_side(&json, 0, &job->images[0], a);
        add_side(&json, 1, &job->images[1], b);
        fm_v1_send(job->request, &json);
    }
    fm_worker_job_free(job);
}

static void handle_compare(struct http_request *request) {
    static const char *const names[] = {"a", "b", NULL};
    submit(make_job(request, names, false, V1_COMPARE), compare_done);
}

/* ---- the table */

struct http_route_table fm_routes_v1(void) {
    static const struct http_route rows[] = {
        {"POST", "/v1/analyze", handle_analyze, fm_v1_write_error, false, true},
        {"POST", "/v1/compare", handle_compare, fm_v1_write_error, false, true},
        {"POST", "/v1/embed", fm_v1_embed, fm_v1_write_error, false, true},
        {"GET", "/v1/models", fm_v1_models, fm_v1_write_error, false, false},
        {"GET", "/v1/providers", fm_v1_providers, fm_v1_write_error, false, false},
        {"GET", "/openapi.json", fm_v1_openapi, fm_v1_write_error, true, false},
    };
    return (struct http_route_table){rows, sizeof rows / sizeof *rows};
}
