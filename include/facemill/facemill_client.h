/* facemill-client: pictures to one or several facemill workers over HTTP, and to an engine of one's own when no worker
   answers. A library of its own (libfacemill-client), which links libfacemill.

       fm_client_options options = {.struct_size = sizeof options, .urls = "http://10.0.0.5:8001"};
       fm_client *client; fm_error error; fm_reply *reply;
       if (fm_client_open(&options, &client, &error) == FM_OK) {
           fm_input input = fm_input_file("photo.jpg");
           if (fm_client_analyze(client, &input, &reply, &error) == FM_OK) ...
*/
#ifndef FACEMILL_CLIENT_H
#define FACEMILL_CLIENT_H

#include <facemill/facemill.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fm_client fm_client;

typedef enum fm_worker_policy {
    FM_WORKER_PREFER = 0, /* the workers; the local engine when none answers, said once */
    FM_WORKER_REQUIRE = 1 /* the workers or failure */
} fm_worker_policy;

/* Zero fields take the default named beside them. Strings are copied. */
typedef struct fm_client_options {
    size_t struct_size;
    const char
        *urls; /* "http://a:8001,https://b:8001,unix:/run/facemill.sock": the one with fewest requests in flight */
    const char *token;        /* bearer token; NULL: none */
    const char *certificates; /* PEM file of authorities to trust; NULL: the system's */
    fm_worker_policy policy;
    const fm_engine_options *local; /* of the local engine, opened when it is first needed; NULL: the defaults. Its
                                       det_sizes, det_threshold, max_faces, min_face and face_metric are asked of
                                       workers too */
    uint32_t connect_ms;            /* 2,000 */
    uint32_t timeout_ms;            /* of one request; 30,000 */
    int retries;                    /* per picture, with back-off from 100 ms, doubled and jittered; 2; -1: none */
    int breaker_failures;           /* in a row, after which a worker is left alone; 3 */
    uint32_t probe_ms;              /* then it is asked for its health this often; 1,000 */
    int in_flight;                  /* requests at a time; 8 per worker */
    fm_log_level log_level;
    fm_log_callback log; /* NULL: standard error */
    void *log_user;
    uint32_t deadline_ms; /* per picture, from its acceptance; later is FM_DEADLINE; 0: none */
} fm_client_options;

/* *client is the caller's (fm_client_close). No worker is asked yet. FM_INVALID_ARGUMENT (URL), FM_UNSUPPORTED (no
   libcurl). */
FM_API FM_MUST_USE fm_status fm_client_open(const fm_client_options *options, fm_client **client, fm_error *error);
/* Waits until every accepted picture has had its callback. Not from a callback. */
FM_API void fm_client_close(fm_client *client);

/* What came back: the faces as the engine has them, and who found them. */
typedef struct fm_reply fm_reply;
FM_API fm_status fm_reply_status(const fm_reply *reply);
FM_API const char *fm_reply_message(const fm_reply *reply);
FM_API int fm_reply_width(const fm_reply *reply);
FM_API int fm_reply_height(const fm_reply *reply);
FM_API size_t fm_reply_face_count(const fm_reply *reply);
FM_API const fm_face *fm_reply_face(const fm_reply *reply, size_t index);
FM_API const char *fm_reply_source(const fm_reply *reply); /* the worker's URL, or "local" */
FM_API void fm_reply_free(fm_reply *reply);

/* Analyze one image and wait. Any thread, many at a time. Files are read here and sent. Errors: those of fm_analyze;
   FM_IO when the policy is REQUIRE and no worker answers. */
FM_API FM_MUST_USE fm_status fm_client_analyze(fm_client *client, const fm_input *input, fm_reply **reply,
                                               fm_error *error);
/* Receives the reply (the callee's to free) once per accepted picture, on the client's thread; must not wait. */
typedef void (*fm_reply_callback)(fm_reply *reply, void *user);
/* Accept one image; waits while `in_flight` are under way. As fm_submit. */
FM_API FM_MUST_USE fm_status fm_client_submit(fm_client *client, const fm_input *input, fm_reply_callback callback,
                                              void *user, fm_error *error);
FM_API void fm_client_drain(fm_client *client); /* wait until every accepted picture has had its callback */
/* The local engine, to ask what it is; NULL while it was not needed. Any thread; lives as long as the client. */
FM_API const fm_engine *fm_client_engine(fm_client *client);

#ifdef __cplusplus
}
#endif
#endif
