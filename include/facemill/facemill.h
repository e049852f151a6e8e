/* facemill: images in, faces out. This is the whole public C API.

   #include <facemill/facemill.h>
   #include <stdio.h>
   int main(int argc, char **argv) {
       static fm_engine_options options; static fm_error error; fm_engine *engine; fm_result *result;
       fm_input input = fm_input_file(argc > 1 ? argv[1] : "picture.jpg"); const fm_face *face;
       options.struct_size = sizeof options; options.pack = argc > 2 ? argv[2] : NULL;
       if (fm_engine_open(&options, &engine, &error)) return puts(error.message), 1;
       if (fm_analyze(engine, &input, NULL, &result, &error)) return puts(error.message), 1;
       for (size_t i = 0; (face = fm_result_face(result, i)) != NULL; i++)
           printf("face at %.0f,%.0f score %.2f\n", (double)face->box[0], (double)face->box[1], (double)face->score);
       fm_result_free(result); fm_engine_close(engine);
   }

   Rules that hold for every function:
   - Options structs start with `size_t struct_size` (= sizeof the struct); a field of zero means its default.
   - What can fail returns fm_status and describes itself in the optional last parameter `fm_error *`, which need not
     be initialised: it is cleared first, and filled only on failure.
   - Every *_close and *_free accepts NULL.
   - There are no globals: engines are independent of one another and may live side by side.
   - Coordinates are pixels of the upright image (EXIF orientation applied), x right, y down, pixel centres at
     whole numbers, as insightface and OpenCV count them. */
#ifndef FACEMILL_H
#define FACEMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define FM_API __declspec(dllexport)
#else
#define FM_API __attribute__((visibility("default")))
#endif
#if defined(__GNUC__)
#define FM_MUST_USE __attribute__((warn_unused_result))
#else
#define FM_MUST_USE
#endif

#define FM_VERSION_MAJOR 0
#define FM_VERSION_MINOR 1
#define FM_VERSION_PATCH 0

/* ------------------------------------------------------------------ errors */

/* Values cross the API, the wire and the database: explicit, never reused. */
typedef enum fm_status {
    FM_OK = 0,
    FM_INVALID_ARGUMENT = 1, /* the caller broke a rule of this header */
    FM_OUT_OF_MEMORY = 2,
    FM_NOT_FOUND = 3,        /* a file, folder, pack or library is not there */
    FM_IO = 4,               /* the operating system refused to read or write */
    FM_UNSUPPORTED = 5,      /* known, but not possible in this build or with this model */
    FM_BAD_IMAGE = 6,        /* not an image, or a damaged one */
    FM_TRUNCATED = 7,        /* an image that ends early; fm_limits.accept_truncated takes it */
    FM_LIMIT = 8,            /* a size limit of fm_limits, checked before decoding */
    FM_BAD_MODEL = 9,        /* an ONNX file or pack that cannot be used */
    FM_NO_PROVIDER = 10,     /* no provider that the policy allows could be opened */
    FM_PROVIDER_FAILED = 11, /* a provider was opened and failed while running */
    FM_BUSY = 12,            /* fm_try_submit: the queue is full */
    FM_CANCELLED = 13,
    FM_DEADLINE = 14, /* the call's deadline passed before it was done */
    FM_CLOSED = 15,   /* the engine is being closed */
    FM_INTERNAL = 16
} fm_status;

/* Words for a failure: what, which object, what was expected, what to do. The first failure of a call wins. */
typedef struct fm_error {
    fm_status status;
    char message[2044];
} fm_error;

/* The status's name in lower case with underscores ("bad_image"), as JSON output has it. Never NULL. */
FM_API const char *fm_status_name(fm_status status);
/* "0.1.0". Any thread. */
FM_API const char *fm_version(void);

/* ------------------------------------------------------------------ images */

typedef enum fm_memory { FM_MEMORY_HOST = 0, FM_MEMORY_CUDA = 1 } fm_memory;
typedef enum fm_pixel_format { FM_FORMAT_U8 = 0, FM_FORMAT_F32 = 1 } fm_pixel_format; /* f32: 0..1 */
typedef enum fm_pixel_layout { FM_LAYOUT_HWC = 0, FM_LAYOUT_CHW = 1 } fm_pixel_layout;
typedef enum fm_pixel_order {
    FM_ORDER_RGB = 0,
    FM_ORDER_BGR = 1,
    FM_ORDER_RGBA = 2, /* alpha is dropped */
    FM_ORDER_GRAY = 3
} fm_pixel_order;

/* Pixels that the caller owns, upright. f32 values are multiplied by 255, clamped to 0..255 and truncated.
   CUDA memory answers FM_UNSUPPORTED until a provider can take it. */
typedef struct fm_pixels {
    size_t struct_size;
    fm_memory memory;
    int device;   /* index of the CUDA device; 0 for host */
    void *stream; /* CUDA stream that made the pixels; NULL for host */
    const void *data;
    int width, height; /* pixels */
    size_t stride;     /* bytes from row to row; 0 = tightly packed */
    fm_pixel_format format;
    fm_pixel_layout layout;
    fm_pixel_order order;
} fm_pixels;

/* What may be decoded; checked before a pixel is decoded. Zero = the default named beside each field. */
typedef struct fm_limits {
    size_t struct_size;
    uint64_t max_file_bytes; /* 256 MiB */
    uint64_t max_pixels;     /* 150 million */
    int max_width;           /* 30,000 */
    int max_height;          /* 30,000 */
    bool accept_truncated; /* false: a truncated file is FM_TRUNCATED; true: what is there is used, the rest is grey or
                              black */
} fm_limits;

typedef enum fm_input_kind { FM_INPUT_FILE = 1, FM_INPUT_ENCODED = 2, FM_INPUT_PIXELS = 3 } fm_input_kind;

/* One image in one of three forms. Everything pointed at stays the caller's and must live until the call returns
   (fm_submit: until its callback has returned), except `path`, which is copied. */
typedef struct fm_input {
    size_t struct_size;
    fm_input_kind kind;
    const char *path;        /* FM_INPUT_FILE */
    const void *bytes;       /* FM_INPUT_ENCODED: a whole JPEG, PNG, WebP, HEIC or AVIF file */
    size_t size;             /* bytes of `bytes` */
    const fm_pixels *pixels; /* FM_INPUT_PIXELS */
} fm_input;

FM_API fm_input fm_input_file(const char *path);
FM_API fm_input fm_input_encoded(const void *bytes, size_t size);
FM_API fm_input fm_input_pixels(const fm_pixels *pixels);

/* A decoded upright RGB image of its own. */
typedef struct fm_image fm_image;

/* Decode `input` (orientation applied once). *image is the caller's, freed by fm_image_free. Any thread.
   Errors: those of reading and decoding. `limits` may be NULL. */
FM_API FM_MUST_USE fm_status fm_image_decode(const fm_input *input, const fm_limits *limits, fm_image **image,
                                             fm_error *error);
/* The image's pixels: host, u8, HWC, RGB. Valid while the image lives. */
FM_API fm_pixels fm_image_pixels(const fm_image *image);
FM_API void fm_image_free(fm_image *image);

typedef enum fm_file_format { FM_FILE_PNG = 0, FM_FILE_JPEG = 1 } fm_file_format;
/* Write `pixels` (host, u8) to `path`; by file name when `format` is negative (.png, else JPEG of quality 92).
   The file appears whole or not at all. Errors: FM_IO, FM_UNSUPPORTED (encoder not in this build). */
FM_API FM_MUST_USE fm_status fm_image_write(const fm_pixels *pixels, const char *path, int format, fm_error *error);
/* The same in memory: `take` receives the file's bytes once, before the function returns; they live for that call. */
typedef void (*fm_bytes_visitor)(const void *bytes, size_t size, void *user);
FM_API FM_MUST_USE fm_status fm_image_encode(const fm_pixels *pixels, fm_file_format format, fm_bytes_visitor take,
                                             void *user, fm_error *error);

/* ------------------------------------------------------------------ engine */

typedef struct fm_engine fm_engine;
typedef struct fm_result fm_result;

typedef enum fm_policy {
    FM_POLICY_DEFAULT = 0, /* one provider named: strict; several: ordered; none: auto */
    FM_POLICY_STRICT = 1,  /* the named provider or failure, also when single nodes would run elsewhere */
    FM_POLICY_ORDERED = 2, /* the first of the list that works, per model; why others were passed over is reported */
    FM_POLICY_AUTO = 3     /* the built-in order */
} fm_policy;

typedef enum fm_precision {
    FM_PRECISION_AUTO = 0,
    FM_PRECISION_FP32 = 1,
    FM_PRECISION_FP16 = 2,
    FM_PRECISION_BF16 = 3,
    FM_PRECISION_INT8 = 4
} fm_precision;

typedef enum fm_face_metric {
    FM_METRIC_DEFAULT = 0, /* centre */
    FM_METRIC_AREA = 1,    /* keep the largest boxes */
    FM_METRIC_CENTRE = 2   /* keep the largest of area - 2 * (distance of box centre to image centre)^2 */
} fm_face_metric;

typedef enum fm_log_level {
    FM_LOG_DEFAULT = 0, /* warn */
    FM_LOG_DEBUG = 1,
    FM_LOG_INFO = 2,
    FM_LOG_WARN = 3,
    FM_LOG_ERROR = 4,
    FM_LOG_OFF = 5
} fm_log_level;

/* Called from any of the engine's threads, one call at a time. `message` lives for the call only. */
typedef void (*fm_log_callback)(fm_log_level level, const char *component, const char *message, void *user);

#define FM_MAX_DET_SIZES 4
#define FM_DEVICE_CPU (-1)

/* One option of a provider, passed through as written: {"ort:cuda", "cudnn_conv_algo_search", "EXHAUSTIVE"}. */
typedef struct fm_provider_option {
    const char *provider, *key, *value;
} fm_provider_option;

/* Strings are copied by fm_engine_open. */
typedef struct fm_engine_options {
    size_t struct_size;
    const char *pack;        /* folder or name (installed, insightface's, built in: "builtin:NAME" is always that one);
                                NULL: FM_PACK, else an installed pack, else the one built into the library, if any
                                (the config is the program's) */
    const char *pack_source; /* words for the summary on who named the pack ("--pack", "config"); NULL: "caller" */
    const char *providers;   /* "ort:cuda,ort:cpu"; NULL or "": auto */
    fm_policy policy;
    const fm_provider_option *provider_options;
    size_t provider_option_count;
    const char *ort_library;         /* file of ONNX Runtime's library; NULL: searched for */
    int device;                      /* FM_DEVICE_CPU, or 1 + index of the accelerator; 0: first accelerator */
    uint64_t gpu_mem_limit;          /* bytes per model; 0: the field's defaults (2 GiB detection, 2 GiB recognition) */
    fm_precision precision;          /* fp32 when auto; what a provider cannot do is FM_UNSUPPORTED */
    int threads;                     /* threads inside networks together; 0: the cores this process may use */
    int batch;                       /* images or faces per network run; 0: the provider's own */
    int det_sizes[FM_MAX_DET_SIZES]; /* sides of the square detector inputs, zero-ended; all zero: {640} */
    float det_threshold;             /* 0: the pack's (0.5) */
    int max_faces;                   /* 0: no limit */
    fm_face_metric face_metric;
    float min_face;          /* pixels, smaller side of the box; 0: no limit */
    const fm_limits *limits; /* NULL: the defaults; copied */
    int queue_depth;         /* calls accepted and not yet done; 0: 64; at most 4096 */
    fm_log_level log_level;
    fm_log_callback log; /* NULL: standard error */
    void *log_user;
    const char *cpu_mask; /* highest level of our own kernels: scalar, avx2, avx512, neon; NULL: FM_CPU_MASK */
    uint32_t max_wait_us; /* how long the oldest image of a batch that is not full may wait for company, although the
                             model is free to run; 0: not at all; at most 10 s. No answer depends on it */
} fm_engine_options;

/* Open the pack and its models on providers that the policy allows. *engine is the caller's, closed by
   fm_engine_close. Errors: FM_NOT_FOUND (pack), FM_BAD_MODEL, FM_NO_PROVIDER (words name each provider's reason
   and remedy), FM_INVALID_ARGUMENT, FM_OUT_OF_MEMORY. Any thread. */
FM_API FM_MUST_USE fm_status fm_engine_open(const fm_engine_options *options, fm_engine **engine, fm_error *error);
/* Finish what was accepted, then free. Not from a callback; no other call on this engine may be running. */
FM_API void fm_engine_close(fm_engine *engine);

/* What to compute, as bits. */
#define FM_COMPUTE_DETECT 1u
#define FM_COMPUTE_EMBED 2u
#define FM_COMPUTE_ALL 0u /* whatever the pack can */

/* Options of one call; zero fields take the engine's. */
typedef struct fm_call_options {
    size_t struct_size;
    int det_sizes[FM_MAX_DET_SIZES];
    float det_threshold;
    int max_faces; /* -1: no limit even where the engine has one */
    fm_face_metric face_metric;
    float min_face; /* negative: none even where the engine has one */
    uint32_t compute;
    uint32_t deadline_ms; /* from submission; 0: none */
    bool keep_pixels;     /* keep the decoded image in the result (fm_result_pixels) */
    /* Whether anybody still wants the answer: asked on one of the engine's threads before the image is read, before it
       takes a place in a batch of the detector, when that batch is closed, and before its faces take places in one of
       the recogniser. false: the call ends with FM_CANCELLED and is not computed; not asked again after that. Must not
       wait, nor call the engine. NULL: always wanted. */
    bool (*wanted)(void *user);
    void *wanted_user;
} fm_call_options;

/* Analyze one image and wait. *result is the caller's (fm_result_free), also when the image failed: then the
   function returns the image's status and *result holds it and the words too. Any thread, many at a time. */
FM_API FM_MUST_USE fm_status fm_analyze(fm_engine *engine, const fm_input *input, const fm_call_options *options,
                                        fm_result **result, fm_error *error);
/* Analyze `count` images, results[i] belonging to inputs[i]. FM_OK although single images failed: each result has
   its own status. Waits for queue space; any thread. */
FM_API FM_MUST_USE fm_status fm_analyze_batch(fm_engine *engine, const fm_input *inputs, size_t count,
                                              const fm_call_options *options, fm_result **results, fm_error *error);

/* Receives the result (the callee's to free) once per accepted call, on one of the engine's threads. It may submit
   with fm_try_submit, not with fm_submit, and must not wait for the engine. */
typedef void (*fm_callback)(fm_result *result, void *user);
typedef uint64_t fm_ticket;

/* Accept one image; waits while the queue is full. `ticket` may be NULL. Every accepted call gets its callback.
   Errors: FM_INVALID_ARGUMENT, FM_CLOSED. Any thread but the engine's own. */
FM_API FM_MUST_USE fm_status fm_submit(fm_engine *engine, const fm_input *input, const fm_call_options *options,
                                       fm_callback callback, void *user, fm_ticket *ticket, fm_error *error);
/* As fm_submit, but answers FM_BUSY at once when the queue is full. Any thread, callbacks included. */
FM_API FM_MUST_USE fm_status fm_try_submit(fm_engine *engine, const fm_input *input, const fm_call_options *options,
                                           fm_callback callback, void *user, fm_ticket *ticket, fm_error *error);
/* Ask for the end of one call; its callback still comes, with FM_CANCELLED unless it was done already.
   FM_NOT_FOUND when no such call is in flight. Any thread. */
FM_API fm_status fm_cancel(fm_engine *engine, fm_ticket ticket);
/* Wait until every accepted call has had its callback. Any thread but the engine's own. */
FM_API void fm_drain(fm_engine *engine);

/* ----------------------------------------------------------------- results */

/* One face. The struct grows at its end only; read it through the pointer. */
typedef struct fm_face {
    float box[4];           /* x1, y1, x2, y2; may reach beyond the image */
    float score;            /* detector's, 0..1 */
    float landmarks[5][2];  /* image-left eye, image-right eye, nose, image-left mouth corner, image-right one */
    const float *embedding; /* raw as the network gives it, embedding_size values; NULL when not computed */
    int embedding_size;     /* 0 when not computed */
    float embedding_norm;   /* L2 norm of the raw embedding */
    int rivals;             /* neighbouring anchors within 0.002 of the score that lost: rounding alone decides */
    float rival_shift;      /* pixels by which box or points would move if one of them won */
} fm_face;

FM_API fm_status fm_result_status(const fm_result *result);
/* Words of a failed image, "" otherwise. Never NULL. */
FM_API const char *fm_result_message(const fm_result *result);
/* Size of the upright image; 0 when it was not decoded. */
FM_API int fm_result_width(const fm_result *result);
FM_API int fm_result_height(const fm_result *result);
/* Faces, by falling score, as insightface orders them (by the metric's value when max_faces cut the list). */
FM_API size_t fm_result_face_count(const fm_result *result);
/* NULL when `index` is out of range. Valid while the result lives. */
FM_API const fm_face *fm_result_face(const fm_result *result, size_t index);
/* The upright RGB image when keep_pixels asked for it; data is NULL otherwise. */
FM_API fm_pixels fm_result_pixels(const fm_result *result);

/* Milliseconds this image spent in each stage: wall clock on the thread that did it. */
typedef struct fm_timings {
    size_t struct_size;
    double queue_ms, read_ms, decode_ms, letterbox_ms, detect_ms, postprocess_ms, align_ms, embed_ms, total_ms;
} fm_timings;
/* Fills *timings up to its struct_size. */
FM_API void fm_result_timings(const fm_result *result, fm_timings *timings);
/* May outlive its engine. Any thread. */
FM_API void fm_result_free(fm_result *result);

/* ------------------------------------------------------------------ report */

/* One model of an open engine. Strings live as long as the engine. */
typedef struct fm_model_info {
    const char *task;        /* "detection", "recognition" */
    const char *family;      /* "scrfd", "arcface" */
    const char *file;        /* file name inside the pack */
    const char *provider;    /* what runs it: "ort:cpu" */
    const char *detail;      /* runtime's version and library, device */
    const char *passed_over; /* why others were passed over, with remedies; "" when none was */
    const char *batch_note;  /* "" or why this model runs one image at a time */
    const char *precision;   /* "fp32" */
    const char *sha256;      /* of the file, 64 hexadecimal digits */
    int max_batch, lanes;    /* images or faces per run; runs at a time */
    bool input_u8;           /* pixels go to the network as bytes */
    bool loaded;             /* false after fm_engine_trim until the next use */
    const char *elsewhere;   /* \"\" or words on nodes that another provider runs (strict refuses those) */
} fm_model_info;

typedef struct fm_pack_info {
    const char *name;        /* last part of the folder, or the manifest's */
    const char *path;        /* folder */
    const char *reason;      /* why this pack: "--pack", "FM_PACK", "config", "installed", "built-in" */
    const char *id;          /* fm_engine_pack_id */
    const char *manifest;    /* "facemill", "insightface-2", or "" for a folder routed by shape */
    const char *licence;     /* name of the licence as the manifest states it; "" when it does not */
    const char *licence_url; /* where its text is; "" when not said */
    float match_threshold;   /* similarity from which two faces count as one person; 0 when the pack does not say */
    const char *metric;      /* "cosine" or "euclidean", which the recogniser was made for; "" when not said */
} fm_pack_info;

FM_API fm_pack_info fm_engine_pack(const fm_engine *engine);
/* Digest over model bytes, pre- and post-processing version, precision and decode mode: 64 hexadecimal digits. Equal
   ids mean comparable embeddings; store it beside every vector. */
FM_API const char *fm_engine_pack_id(const fm_engine *engine);
FM_API size_t fm_engine_model_count(const fm_engine *engine);
/* Fills *info; false when `index` is out of range. Any thread. */
FM_API bool fm_engine_model(const fm_engine *engine, size_t index, fm_model_info *info);

#define FM_BATCH_BUCKETS 9
#define FM_STAGES 8
typedef struct fm_stats {
    size_t struct_size;
    uint64_t images, faces, errors; /* since open */
    uint32_t queue_depth;           /* accepted and not yet done, now */
    uint32_t queue_capacity;
    /* Runs by batch size 1, 2, 3-4, 5-8, 9-16, 17-32, 33-64, 65-128, more. */
    uint64_t detect_batches[FM_BATCH_BUCKETS], embed_batches[FM_BATCH_BUCKETS];
    double stage_ms[FM_STAGES];         /* sums: queue, read, decode, letterbox, detect, postprocess, align, embed */
    uint64_t memory_bytes;              /* held by our own pools and tensors, now */
    uint64_t memory_peak_bytes;         /* of the process, as the operating system counts it */
    uint64_t oom_retries;               /* batches halved after a provider ran out of memory */
    uint64_t cancelled;                 /* calls that ended with FM_CANCELLED: by fm_cancel, or not wanted any more */
    uint64_t expired;                   /* calls that ended with FM_DEADLINE */
    uint64_t detect_items, embed_items; /* images and faces in all of those runs */
} fm_stats;
/* Name of stage_ms[i]; NULL out of range. */
FM_API const char *fm_stage_name(size_t stage);
FM_API void fm_engine_stats(const fm_engine *engine, fm_stats *stats);
/* Unload every model and give pooled memory back; the next call loads them again. Waits for running batches. */
FM_API void fm_engine_trim(fm_engine *engine);

/* ------------------------------------------------------------------- faces */

/* Cosine of two vectors of `size` values, in -1..1; 0 when one of them is zero. Pure. */
FM_API float fm_similarity(const float *a, const float *b, size_t size);

/* Cut the face out, aligned as ArcFace expects (least-squares similarity transform, Umeyama 1991; bilinear, border
   black), into `rgb`: size x size x 3 bytes, the caller's. `size` is a multiple of 112 or 128. Pure.
   Errors: FM_INVALID_ARGUMENT, FM_UNSUPPORTED (CUDA pixels). */
FM_API FM_MUST_USE fm_status fm_crop_aligned(const fm_pixels *pixels, const float landmarks[5][2], int size,
                                             uint8_t *rgb, fm_error *error);

/* The same as the engine's own recogniser takes its faces: the pack's template, fm_engine_crop_size squared x 3 bytes.
   Any thread. Errors: those of fm_crop_aligned; FM_UNSUPPORTED when the pack has no recogniser. */
FM_API FM_MUST_USE fm_status fm_engine_crop(const fm_engine *engine, const fm_pixels *pixels,
                                            const float landmarks[5][2], uint8_t *rgb, fm_error *error);

/* Embed `count` aligned crops, 112 x 112 x 3 RGB bytes each (the side the pack says; fm_engine_crop_size). Writes
   count * fm_engine_embedding_size floats to `embeddings`. Waits; any thread but the engine's own.
   Errors: FM_UNSUPPORTED when the pack has no recogniser. */
FM_API FM_MUST_USE fm_status fm_embed_crops(fm_engine *engine, const uint8_t *crops, size_t count, float *embeddings,
                                            fm_error *error);
FM_API int fm_engine_crop_size(const fm_engine *engine);      /* 0 when the pack has no recogniser */
FM_API int fm_engine_embedding_size(const fm_engine *engine); /* 0 when the pack has no recogniser */

typedef struct fm_draw_options {
    size_t struct_size;
    bool no_landmarks, no_labels;
    const char *const *labels; /* one per face, or NULL: the scores */
} fm_draw_options;
/* A copy of `pixels` with boxes, points and labels of `result`'s faces. *image is the caller's. Pure. */
FM_API FM_MUST_USE fm_status fm_annotate(const fm_pixels *pixels, const fm_result *result,
                                         const fm_draw_options *options, fm_image **image, fm_error *error);

/* ------------------------------------------------------- providers and packs */

typedef struct fm_provider_info {
    const char *name;   /* "ort:cuda" */
    bool available;     /* can be opened here */
    const char *detail; /* when available: library, version, device */
    const char *reason; /* when not: what is missing */
    const char *remedy; /* when not: what to do */
} fm_provider_info;
typedef void (*fm_provider_visitor)(const fm_provider_info *info, void *user);
/* Visit every row of the provider table in order of preference; strings live for the visit. `options` (may be NULL)
   gives ort_library. Any thread. */
FM_API void fm_providers_visit(const fm_engine_options *options, fm_provider_visitor visitor, void *user);

/* One ONNX file, seen by the eyes of the pack router. Strings live for the visit. */
typedef struct fm_model_file {
    const char *file, *path, *sha256;
    const char *task, *family; /* "" when nothing here can use it */
    const char *note;          /* why not used, or what is special */
    const char *input;         /* "input.1 f32[1,3,?,?]" */
    const char *outputs;       /* "448 f32[12800,1], ..." */
    const char *operators;     /* "Conv 58, Relu 50, ..." */
    uint64_t bytes, parameters;
    int64_t opset;
    int node_count;
    fm_status status; /* of reading it, and of digest and size where its manifest has them; `note` has the words */
    const char *expected_sha256; /* the manifest's; "" when there is none */
    const char *licence;         /* of the file or its pack, as the manifest states it; "" when not said */
    const char *typical_input;   /* "1x3x640x640": the shape that the next figures are for; "" when unknown */
    uint64_t macs;               /* multiply-adds of one image of that shape; 0 when `cost_note` says why not */
    uint64_t weight_bytes, activation_bytes; /* of the weights; of the largest set of tensors alive at once */
    const char *cost_note;                   /* operators whose shapes could not be followed; "" when all were */
    /* What whoever made the file, and the pack it is in, wants users to know, as the manifest has it: texts, NULL
       behind the last. */
    const char *const *about, *const *pack_about;
} fm_model_file;
typedef void (*fm_model_visitor)(const fm_model_file *model, void *user);
/* Visit the ONNX files of a pack (folder or name as in fm_engine_options.pack) or one .onnx file; then those that the
   pack's manifest alone has (status FM_NOT_FOUND). *path receives the folder found, at most path_size bytes; may be
   NULL. Errors: FM_NOT_FOUND; FM_BAD_MODEL (a manifest with a mistake, told after its files were visited). */
FM_API FM_MUST_USE fm_status fm_pack_visit(const char *pack, fm_model_visitor visitor, void *user, char *path,
                                           size_t path_size, fm_error *error);
typedef void (*fm_pack_visitor)(const char *name, const char *path, const char *reason, void *user);
/* Whether a provider runs one ONNX file. Strings live for the visit. */
typedef struct fm_model_support {
    const char *provider;
    fm_status status;  /* FM_OK: opened and ran a picture of zeros; FM_NO_PROVIDER: not here; else it cannot */
    const char *words; /* "" or what is missing and what to do; nodes that another provider would run */
} fm_model_support;
typedef void (*fm_support_visitor)(const fm_model_support *support, void *user);
/* Open one ONNX file on every provider of the table in order of preference, run it once, and say how that went; also
   for files that no family here can use. `options` (may be NULL) gives ort_library, device and provider options. Slow:
   opens every runtime there is. Any thread. Errors: FM_NOT_FOUND, FM_IO, FM_BAD_MODEL, FM_UNSUPPORTED (not one picture
   in). */
FM_API FM_MUST_USE fm_status fm_model_visit_support(const char *path, const fm_engine_options *options,
                                                    fm_support_visitor visitor, void *user, fm_error *error);

/* What looking at graphs cannot tell, for fm_pack_describe. */
typedef struct fm_model_choice {
    const char *file;        /* inside the folder */
    const char *key, *value; /* docs/manifest.md has the keys that may be chosen: "order" "bgr", "mean" "127.5", ... */
} fm_model_choice;
typedef struct fm_pack_draft {
    size_t struct_size;
    const char *name, *display_name;            /* NULL: the folder's name */
    const char *licence, *licence_url, *source; /* NULL: not said */
    const fm_model_choice *choices;
    size_t choice_count;
} fm_pack_draft;
/* Look at every ONNX file of `folder`, and write `folder`/manifest.json: per file its digest and size, and for those
   that a family here can use task, family, input, pixels, crop, thresholds. A manifest of ours that is there already is
   kept: its fields win over all but choices, unknown ones stay, missing digests are added. insightface's V2 is checked
   and left as it is; a manifest.json of anybody else's is never overwritten. Nothing is fetched. `draft` may be NULL.
   Errors: FM_NOT_FOUND, FM_BAD_MODEL (words name the file), FM_INVALID_ARGUMENT (a choice nobody knows), FM_IO. */
FM_API FM_MUST_USE fm_status fm_pack_describe(const char *folder, const fm_pack_draft *draft, fm_error *error);

/* Visit the packs that can be found without being named by a path: FM_PACK, installed ones, ~/.insightface/models
   (those are used only when named), last the one that is built into the library: its path is "builtin:NAME", its reason
   "built-in". An installed pack of the same name comes before it. */
FM_API void fm_packs_visit(fm_pack_visitor visitor, void *user);

#ifdef __cplusplus
}
#endif
#endif
