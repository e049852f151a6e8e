/* immich's machine learning, as far as faces go: GET /ping and POST /predict. Its client asks for models by name; this
   worker has one pack, and serves whatever name it is asked for with that, telling the log once. Boxes are rounded as
   NumPy rounds (halves to even) and stay floats, an embedding is a string with a JSON array of raw values in it, sizes
   are those of the upright image. Handlers run on the server's threads, `predicted` on the engine's. */
#include "http/fastapi.h"
#include "http/routes.h"
#include "http/worker.h"

#include "base/json_read.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TASK "facial-recognition"
#define MIN_SCORE 0.7
#define MAX_ENTRIES ((size_t)64 << 10) /* bytes; a real one has 200 */
#define MAX_MEMBERS 16                 /* tasks, and types of one */
#define BAD_REQUEST "Invalid request format."

/* What the entries ask for. */
struct wanted {
    bool detection, recognition;
    double min_score;
    char model[128]; /* the first name asked for */
};

/* ---- entries: {task: {type: {"modelName", "options"}}} */

static const char *read_entry(const char *task, const char *type, const struct json_value *entry,
                              struct wanted *wanted) {
    const char *name = fm_json_text(fm_json_member(entry, "modelName"));
    const struct json_value *options = fm_json_member(entry, "options"), *score = fm_json_member(options, "minScore");
    bool detection = strcmp(type, "detection") == 0;
    if (!name || (options && !fm_json_is_object(options)) || (score && !fm_json_is_number(score)))
        return BAD_REQUEST;
    if (strcmp(task, TASK) != 0 || (!detection && strcmp(type, "recognition") != 0))
        return "this worker does " TASK " (detection, recognition) only; send other tasks to immich's own machine "
               "learning";
    if (detection)
        wanted->min_score = fm_json_value(score, MIN_SCORE);
    wanted->detection = wanted->detection || detection;
    wanted->recognition = wanted->recognition || !detection;
    if (!wanted->model[0])
        (void)snprintf(wanted->model, sizeof wanted->model, "%s", name);
    for (char *c = wanted->model; *c; c++) /* it goes into the log */
        *c = (unsigned char)*c < ' ' || *c == 127 ? ' ' : *c;
    return NULL;
}

/* NULL, or words for 422. */
static const char *read_entries(const struct http_part *part, struct wanted *wanted) {
    struct json_value *document = NULL;
    fm_error ignored = {0};
    const char *words = NULL, *task, *type;
    if (fm_json_read(part->bytes, part->size, MAX_ENTRIES, "entries", &document, &ignored) ||
        !fm_json_is_object(document) || fm_json_count(document) > MAX_MEMBERS)
        words = BAD_REQUEST;
    for (size_t i = 0; !words && i < fm_json_count(document); i++) {
        const struct json_value *types = fm_json_entry(document, i, &task);
        if (!fm_json_is_object(types) || fm_json_count(types) > MAX_MEMBERS)
            words = BAD_REQUEST;
        for (size_t k = 0; !words && k < fm_json_count(types); k++) {
            const struct json_value *entry = fm_json_entry(types, k, &type);
            words = read_entry(task, type, entry, wanted);
        }
    }
    fm_json_free(document);
    return words;
}

/* ---- answers */

/* A rounded coordinate as a float: "12.0", also where 12 would do. */
static void add_rounded(struct json *json, const char *key, float value) {
    char words[64];
    (void)snprintf(words, sizeof words, "%s%s%s%s%.1f", json->comma ? "," : "", key ? "\"" : "", key ? key : "",
                   key ? "\":" : "", (double)rintf(isfinite(value) ? value : 0.0f));
    fm_text_add_bytes(json->text, words, strlen(words));
    json->comma = true;
}

static void add_floats(struct json *json, const char *key, const float *values, size_t count) {
    fm_json_array_open(json, key);
    for (size_t i = 0; i < count; i++)
        fm_json_float(json, NULL, values[i]);
    fm_json_array_close(json);
}

/* Numbers, commas and brackets need no escapes inside a string. */
static void add_embedding(struct json *json, const fm_face *face) {
    struct json inner = {.text = json->text};
    fm_text_add_bytes(json->text, ",\"embedding\":\"", 14);
    add_floats(&inner, NULL, face->embedding, (size_t)face->embedding_size);
    fm_text_add_bytes(json->text, "\"", 1);
}

static void add_faces(struct json *json, const fm_result *result) {
    static const char *const names[] = {"x1", "y1", "x2", "y2"};
    const fm_face *face;
    fm_json_array_open(json, TASK);
    for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++) {
        fm_json_object_open(json, NULL);
        fm_json_object_open(json, "boundingBox");
        for (int k = 0; k < 4; k++)
            add_rounded(json, names[k], face->box[k]);
        fm_json_object_close(json);
        add_embedding(json, face);
        fm_json_float(json, "score", face->score);
        fm_json_object_close(json);
    }
    fm_json_array_close(json);
}

/* What detection alone gives there: the arrays that recognition would have taken. */
static void add_detections(struct json *json, const fm_result *result) {
    const fm_face *face;
    fm_json_object_open(json, TASK);
    fm_json_array_open(json, "boxes");
    for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++) {
        fm_json_array_open(json, NULL);
        for (int k = 0; k < 4; k++)
            add_rounded(json, NULL, face->box[k]);
        fm_json_array_close(json);
    }
    fm_json_array_close(json);
    fm_json_array_open(json, "scores");
    for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++)
        fm_json_float(json, NULL, face->score);
    fm_json_array_close(json);
    fm_json_array_open(json, "landmarks");
    for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++) {
        fm_json_array_open(json, NULL);
        for (int k = 0; k < 5; k++)
            add_floats(json, NULL, face->landmarks[k], 2);
        fm_json_array_close(json);
    }
    fm_json_array_close(json);
    fm_json_object_close(json);
}

static bool all_embedded(const fm_result *result) {
    const fm_face *face;
    for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++) {
        if (!face->embedding)
            return false;
    }
    return true;
}

static void predicted(struct worker_job *job) {
    const struct worker_image *image = &job->images[0];
    const struct wanted *wanted = job->state;
    if (image->status) {
        int code = fm_worker_code(image->status);
        fm_http_refuse(job->request, code == 415 || code == 422 ? 400 : code, code == 503 ? 1 : 0, "%s",
                       image->error.message);
    } else if (wanted->recognition && !all_embedded(image->result)) {
        fm_http_refuse(job->request, 500, 0,
                       "Failed to load model '%s': pack '%s' finds no landmarks, without which no "
                       "face can be embedded",
                       wanted->model, job->held->pack.name);
    } else {
        struct http_reply reply = {.code = 200, .type = "application/json"};
        struct json json = {.text = &reply.text};
        fm_json_object_open(&json, NULL);
        if (wanted->recognition)
            add_faces(&json, image->result);
        else if (wanted->detection)
            add_detections(&json, image->result);
        fm_json_integer(&json, "imageHeight", fm_result_height(image->result));
        fm_json_integer(&json, "imageWidth", fm_result_width(image->result));
        fm_json_object_close(&json);
        fm_http_reply(job->request, &reply);
    }
    fm_worker_job_free(job);
}

/* ---- requests */

/* There is one pack, whatever the name. Once is enough: every request of that client will have the same one. */
static void note_model(struct service *service, const char *model, const char *pack) {
    struct text words = {0};
    if (!model[0] || strcmp(model, pack) == 0 || !service->log || atomic_exchange(&service->told_pack, true))
        return;
    fm_text_add(
        &words,
        "asked for model '%s', answered with pack '%s', the only one here: vectors of different models cannot be "
        "compared, so let immich scan all faces again after a change",
        model, pack);
    service->log(FM_LOG_WARN, "immich", fm_text_chars(&words), service->log_user);
    fm_text_reset(&words);
}

static void submit(struct worker_job *job, const struct http_part *part, struct wanted *wanted) {
    struct service *service = job->request->user;
    fm_call_options call = {.struct_size = sizeof call, .max_faces = -1, .min_face = -1};
    call.det_threshold = (float)fmin(fmax(wanted->min_score, FLT_MIN), 1.0);
    call.compute = FM_COMPUTE_DETECT | (wanted->recognition ? FM_COMPUTE_EMBED : 0);
    job->held = fm_worker_hold(service->worker);
    job->done = predicted;
    job->state = wanted;
    job->images[0].name = part->filename;
    job->images[0].input = fm_input_encoded(part->bytes, part->size);
    if (!part->size)
        job->images[0].status =
            fm_fail(&job->images[0].error, FM_BAD_IMAGE, "an empty file; expected an encoded image");
    note_model(service, wanted->model, job->held->pack.name);
    if (wanted->recognition && fm_engine_embedding_size(job->held->engine) == 0) {
        fm_http_refuse(job->request, 500, 0, "Failed to load model '%s': pack '%s' has no recogniser", wanted->model,
                       job->held->pack.name);
        fm_worker_job_free(job);
        return;
    }
    fm_worker_submit(job, &call);
}

/* The request's form, or NULL when it was answered. */
static bool read_form(struct http_request *request, struct http_form *form, struct wanted *wanted) {
    fm_error error = {0};
    if (!fm_http_type_is(request->type, "multipart/form-data")) {
        fm_fastapi_refuse(request, "missing", "entries", "Field required");
        return false;
    }
    fm_status status = fm_http_form_parse(request->type, request->body, request->size, form, &error);
    if (status) {
        fm_http_refuse(request, status == FM_OUT_OF_MEMORY ? 503 : 400, 0, "%s", error.message);
        return false;
    }
    const struct http_part *entries = fm_http_form_part(form, "entries");
    const char *words = entries ? read_entries(entries, wanted) : NULL;
    if (!entries)
        fm_fastapi_refuse(request, "missing", "entries", "Field required");
    else if (words)
        fm_http_refuse(request, 422, 0, "%s", words);
    else if (!fm_http_form_part(form, "image") && !fm_http_form_part(form, "text"))
        fm_http_refuse(request, 400, 0, "Either image or text must be provided");
    else if (!fm_http_form_part(form, "image"))
        fm_http_refuse(request, 400, 0, "Task " TASK " needs an image; there is only text");
    else if (wanted->recognition && !wanted->detection)
        fm_http_refuse(request, 400, 0,
                       "Task " TASK " of type recognition depends on output of "
                       "(<ModelType.DETECTION: 'detection'>, <ModelTask.FACIAL_RECOGNITION: '" TASK "'>)");
    else
        return true;
    return false;
}

static void post_predict(struct http_request *request) {
    struct http_form form = {0};
    struct wanted wanted = {.min_score = MIN_SCORE}, *kept;
    struct worker_job *job = NULL;
    if (read_form(request, &form, &wanted))
        job = fm_worker_job(request, 1);
    if (!job) {
        fm_http_form_reset(&form);
        return;
    }
    job->form = form;
    kept = fm_arena_alloc(&job->arena, sizeof *kept);
    if (!kept) {
        fm_http_refuse(request, 503, 1, "out of memory; try again later");
        fm_worker_job_free(job);
        return;
    }
    *kept = wanted;
    submit(job, fm_http_form_part(&job->form, "image"), kept);
}

static void get_ping(struct http_request *request) {
    struct http_reply reply = {.code = 200, .type = "text/plain; charset=utf-8"};
    fm_text_add(&reply.text, "pong");
    fm_http_reply(request, &reply);
}

struct http_route_table fm_routes_immich(void) {
    static const struct http_route rows[] = {
        {"GET", "/ping", get_ping, fm_routes_detail_error, .open = true},
        {"POST", "/predict", post_predict, fm_routes_detail_error, .takes_body = true},
    };
    return (struct http_route_table){rows, sizeof rows / sizeof rows[0]};
}
