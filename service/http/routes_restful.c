/* InsightFace-REST's routes, and how a request of its becomes a job. Small bodies are read on the server's thread,
   large ones on a chore's; what waits (URLs, crops to embed) always on a chore's. */
#include "http/chores.h"
#include "http/fastapi.h"
#include "http/restful.h"
#include "http/routes.h"
#include "http/url_fetch.h"

#include "base/os.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define INLINE_BODY ((size_t)256 << 10) /* a millisecond of JSON */
#define MOST_FACES 1000000
#define FETCH_NS UINT64_C(30000000000)   /* for all URLs of a request */
#define FETCH_BYTES ((uint64_t)64 << 20) /* of them, where bodies have no limit */

/* ---- what all of them use */

void fm_restful_refuse(struct http_request *request, const struct extract_failure *failure) {
    if (failure->error.status == FM_OUT_OF_MEMORY)
        fm_http_refuse(request, 503, 1, "%s", failure->error.message);
    else if (failure->error.status == FM_LIMIT)
        fm_http_refuse(request, 413, 0, "%s", failure->error.message);
    else
        fm_fastapi_refuse(request, failure->type, failure->field, failure->error.message);
}

bool fm_restful_defer(struct http_request *request, void (*run)(void *argument), void *argument) {
    const struct service *service = request->user;
    if (!service->chores) {
        run(argument);
        return true;
    }
    if (fm_chores_add(service->chores, run, argument))
        return true;
    fm_http_refuse(request, 503, 1, "too many requests wait; try again later");
    return false;
}

bool fm_restful_is_awaited(struct http_request *request) {
    if (request->deadline_ns && fm_clock_ns() >= request->deadline_ns)
        fm_http_refuse(request, 504, 0, "the request's deadline passed before it was begun");
    else if (fm_http_client_gone(request))
        fm_http_refuse(request, 499, 0, "the client closed the connection");
    else
        return true;
    return false;
}

fm_call_options fm_restful_call(const struct extract_request *asked) {
    fm_call_options call = {.struct_size = sizeof call, .face_metric = FM_METRIC_AREA, .min_face = -1};
    int64_t limit = asked->limit_faces < MOST_FACES ? asked->limit_faces : MOST_FACES;
    call.det_threshold = (float)fmin(fmax(asked->threshold, (double)FLT_MIN), 1.0);
    call.max_faces = limit > 0 ? (int)limit : -1;
    call.compute = FM_COMPUTE_DETECT | (asked->extract_embedding ? FM_COMPUTE_EMBED : 0);
    call.keep_pixels = asked->return_face_data;
    return call;
}

static void read_picture(struct worker_image *image, const struct extract_picture *picture, uint64_t limit) {
    if (picture->text) {
        image->status = fm_base64_read(picture->text, picture->size, limit, &image->own, &image->error);
        image->input = fm_input_encoded(image->own.bytes, image->own.size);
    } else {
        image->input = fm_input_encoded(picture->bytes, picture->size);
    }
    if (!image->status && !image->input.size)
        image->status = fm_fail(&image->error, FM_BAD_IMAGE, "an empty file; expected an encoded image");
}

/* One after the other, all together inside one limit of bytes and one of time: a chore's thread is lent meanwhile. */
static void fetch_pictures(struct worker_job *job, const struct extract_request *asked) {
    struct service *service = job->request->user;
    uint64_t patience_ns = fm_clock_ns() + FETCH_NS, deadline_ns = job->request->deadline_ns;
    struct url_rules rules = {.hosts = service->url_hosts,
                              .host_count = service->url_host_count,
                              .max_bytes = service->body_limit ? service->body_limit : FETCH_BYTES,
                              .headers = asked->headers,
                              .header_count = asked->header_count,
                              .deadline_ns = deadline_ns && deadline_ns < patience_ns ? deadline_ns : patience_ns};
    for (size_t i = 0; i < job->count; i++) {
        struct worker_image *image = &job->images[i];
        if (i > 0 && fm_http_client_gone(job->request))
            rules.deadline_ns = 1; /* what is left fails at once */
        image->status = fm_url_fetch(asked->pictures[i].text, &rules, &image->own, &image->error);
        image->input = fm_input_encoded(image->own.bytes, image->own.size);
        rules.max_bytes -= image->own.size < rules.max_bytes ? image->own.size : rules.max_bytes;
    }
}

struct worker_job *fm_restful_job(struct http_request *request, struct extract_request *asked) {
    const struct service *service = request->user;
    struct worker_job *job = fm_worker_job(request, asked->count);
    struct restful_state *state = job ? fm_arena_alloc(&job->arena, sizeof *state) : NULL;
    if (job && !state) {
        fm_http_refuse(request, 503, 1, "out of memory; try again later");
        fm_worker_job_free(job);
        job = NULL;
    }
    if (job && asked->urls)
        fetch_pictures(job, asked);
    for (size_t i = 0; job && !asked->urls && i < job->count; i++)
        read_picture(&job->images[i], &asked->pictures[i], service->body_limit ? service->body_limit : request->size);
    if (job) {
        state->asked = *asked;
        state->asked.document = NULL;
        state->asked.arena = (struct arena){0};
        state->asked.pictures = NULL;
        state->asked.headers = NULL;
        state->read_ns = fm_clock_ns();
        job->state = state;
        job->held = fm_worker_hold(service->worker);
    }
    fm_extract_reset(asked);
    return job;
}

/* ---- /extract */

struct extract_task {
    struct http_request *request;
    struct extract_request asked;
    bool packed;
};

static bool wants_packed(const struct http_request *request, const struct extract_request *asked) {
    const char *accept = fm_http_header(request, "Accept");
    return asked->msgpack || (accept && strstr(accept, "application/x-msgpack"));
}

static void free_task(struct extract_task *task) {
    fm_extract_reset(&task->asked);
    fm_free(task);
}

static void run_task(void *argument) {
    struct extract_task *task = argument;
    bool packed = task->packed, embed_only = task->asked.embed_only;
    if (!fm_restful_is_awaited(task->request)) {
        free_task(task);
        return;
    }
    struct worker_job *job = fm_restful_job(task->request, &task->asked);
    free_task(task);
    if (!job)
        return;
    if (!fm_restful_is_awaited(job->request)) { /* fetching may have taken all the time there was */
        fm_worker_job_free(job);
        return;
    }
    struct restful_state *state = job->state;
    state->packed = packed;
    job->done = fm_restful_extracted;
    if (embed_only) {
        fm_restful_embed_crops(job);
    } else {
        fm_call_options call = fm_restful_call(&state->asked);
        fm_worker_submit(job, &call);
    }
}

static void read_task(void *argument) {
    struct extract_task *task = argument;
    struct http_request *request = task->request;
    struct extract_failure failure;
    bool packed_body = fm_http_type_is(request->type, "application/msgpack") ||
                       fm_http_type_is(request->type, "application/x-msgpack");
    bool good = packed_body ? fm_extract_read_msgpack(request->body, request->size, &task->asked, &failure)
                            : fm_extract_read_json(request->body, request->size, &task->asked, &failure);
    if (!good) {
        fm_restful_refuse(request, &failure);
        free_task(task);
        return;
    }
    task->packed = wants_packed(request, &task->asked);
    if (!task->asked.urls && !task->asked.embed_only)
        run_task(task);
    else if (!fm_restful_defer(request, run_task, task))
        free_task(task);
}

static void post_extract(struct http_request *request) {
    struct extract_task *task = fm_alloc(sizeof *task);
    if (!task) {
        fm_http_refuse(request, 503, 1, "out of memory; try again later");
        return;
    }
    task->request = request;
    if (request->size <= INLINE_BODY)
        read_task(task);
    else if (!fm_restful_defer(request, read_task, task))
        free_task(task);
}

struct http_route_table fm_routes_restful(void) {
    static const struct http_route rows[] = {
        {"POST", "/extract", post_extract, fm_routes_detail_error, .takes_body = true},
        {"POST", "/draw_detections", fm_restful_draw, fm_routes_detail_error, .takes_body = true},
        {"POST", "/multipart/draw_detections", fm_restful_draw_form, fm_routes_detail_error, .takes_body = true},
        {"GET", "/info", fm_restful_info, fm_routes_detail_error, .open = false},
        {"GET", "/health", fm_restful_health, fm_routes_detail_error, .open = false}, /* it computes */
    };
    return (struct http_route_table){rows, sizeof rows / sizeof rows[0]};
}
