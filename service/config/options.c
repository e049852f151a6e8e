/* The option table: every option of every command, in the order of --help. A row is all that a new option needs:
   parsing, environment, config file, --help and --print-config are made from it. Pure data and its look-up. */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ON_ENGINE                                                                                                      \
    (ON_ANALYZE | ON_DETECT | ON_COMPARE | ON_CROP | ON_MODELS | ON_DOCTOR | ON_BENCH | ON_VALIDATE | ON_SERVE)
#define ON_FACES (ON_ANALYZE | ON_DETECT | ON_COMPARE | ON_CROP | ON_BENCH | ON_VALIDATE | ON_SERVE)
#define ON_JOBS (ON_ANALYZE | ON_DETECT | ON_CROP)

static const struct option_row rows[OPT_COUNT] = {
    [OPT_PACK] = {"pack", NULL, OPTION_TEXT, "DIR|NAME", NULL, NULL, 0, 0, GROUP_ENGINE, ON_ENGINE,
                  "Models to use: a folder of ONNX files, one file, or a name (an installed pack, or "
                  "~/.insightface/models/NAME, "
                  "which is used only when named). Unset: the installed pack, then the built-in one"},
    [OPT_PROVIDER] =
        {"provider", NULL, OPTION_TEXT, "P[,P...]", NULL, NULL, 0, 0, GROUP_ENGINE, ON_ENGINE,
         "What runs the networks, see 'facemill providers'. One: it or failure; several: the first that works; "
         "unset: the built-in order"},
    [OPT_POLICY] =
        {"policy", NULL, OPTION_CHOICE, "P", NULL, "strict|ordered|auto", 0, 0, GROUP_ENGINE, ON_ENGINE,
         "strict: every node on the named provider or failure; ordered: the first of the list that works; auto: the "
         "built-in order. Unset: strict for one provider, ordered for several, auto for none"},
    [OPT_PROVIDER_OPTION] =
        {"provider-option", NULL, OPTION_PAIR, "P:KEY=VALUE", NULL, NULL, 0, 0, GROUP_ENGINE, ON_ENGINE,
         "Option passed through to a provider as written (ort:cuda:cudnn_conv_algo_search=HEURISTIC); may be "
         "repeated"},
    [OPT_ORT_LIBRARY] = {"ort-library", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_ENGINE,
                         ON_ENGINE | ON_PROVIDERS,
                         "ONNX Runtime's shared library. Unset: the data folder, the system, a Python environment's"},
    [OPT_DEVICE] =
        {"device", NULL, OPTION_DEVICE, "cpu|N", NULL, NULL, 0, 63, GROUP_ENGINE, ON_ENGINE,
         "The processor, or the index of the accelerator. Unset: the first accelerator that a provider finds"},
    [OPT_GPU_MEM_LIMIT] = {"gpu-mem-limit", NULL, OPTION_BYTES, "BYTES", NULL, NULL, 1, 0, GROUP_ENGINE, ON_ENGINE,
                           "Device memory per model. Unset: 2G detection, 2G recognition"},
    [OPT_PRECISION] = {"precision", NULL, OPTION_CHOICE, "P", "auto", "fp32|fp16|bf16|int8|auto", 0, 0, GROUP_ENGINE,
                       ON_ENGINE, "Arithmetic of the networks; what a provider cannot do is an error. auto: fp32"},
    [OPT_THREADS] = {"threads", NULL, OPTION_INTEGER, "N", NULL, NULL, 1, 1024, GROUP_ENGINE, ON_ENGINE,
                     "Threads inside networks, together. Unset: the cores this process may use"},
    [OPT_BATCH] = {"batch", "batch-size", OPTION_INTEGER, "N", NULL, NULL, 1, 256, GROUP_ENGINE, ON_ENGINE & ~ON_SERVE,
                   "Images or faces per network run. Unset: what was measured best for the provider"},
    [OPT_MAX_BATCH] = {"max-batch", NULL, OPTION_INTEGER, "N", NULL, NULL, 1, 256, GROUP_ENGINE, ON_SERVE,
                       "Images or faces of any requests per network run. Unset: what was measured best for the "
                       "provider"},
    [OPT_MAX_WAIT_US] =
        {"max-wait-us", NULL, OPTION_INTEGER, "US", "0", NULL, 0, 1e7, GROUP_ENGINE, ON_SERVE,
         "Microseconds that a batch which is not full may wait for company while its network is free. 0: not at all; "
         "under load batches fill by themselves"},
    [OPT_QUEUE_DEPTH] =
        {"queue-depth", NULL, OPTION_INTEGER, "N", NULL, NULL, 1, 4096, GROUP_ENGINE, ON_JOBS | ON_SERVE,
         "Images accepted and not yet done. Unset: 64; 16 where decoded images are kept (--draw, crop)"},
    [OPT_CPU_MASK] = {"cpu-mask", NULL, OPTION_CHOICE, "SET", NULL, "scalar|avx2|avx512|neon", 0, 0, GROUP_ENGINE,
                      ON_ENGINE, "Highest instruction set of facemill's own kernels. Unset: the best this CPU has"},
    [OPT_WORKER] =
        {"worker", NULL, OPTION_TEXT, "URL[,URL...]", NULL, NULL, 0, 0, GROUP_ENGINE, ON_ANALYZE,
         "Let a worker find the faces ('facemill serve', or another with the GPU worker's interface); of several, the "
         "one with the fewest requests. The engine here takes over while none answers. Also: GPU_WORKER_URL"},
    [OPT_WORKER_POLICY] = {"worker-policy", NULL, OPTION_CHOICE, "P", "prefer", "prefer|require", 0, 0, GROUP_ENGINE,
                           ON_ANALYZE,
                           "prefer: the engine here while no worker answers; require: then an error record"},
    [OPT_WORKER_TOKEN_FILE] = {"worker-token-file", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_ENGINE,
                               ON_ANALYZE, "The bearer token that the workers ask for: the file's first line"},
    [OPT_WORKER_TIMEOUT] = {"worker-timeout", NULL, OPTION_INTEGER, "MS", "30000", NULL, 1, 86400000, GROUP_ENGINE,
                            ON_ANALYZE, "Milliseconds that one request to a worker may take"},
    [OPT_DET_SIZE] = {"det-size", NULL, OPTION_SIZES, "N[,N...]", "640", NULL, 32, 4096, GROUP_FACES, ON_FACES,
                      "Side of the detector's square input; several (128,640) are merged. Multiples of 32, at most 4"},
    [OPT_DET_THRESHOLD] = {"det-threshold", "min-confidence", OPTION_NUMBER, "T", NULL, NULL, 0.001, 1, GROUP_FACES,
                           ON_FACES, "Lowest score of a face. Unset: the pack's (0.5)"},
    [OPT_MAX_FACES] = {"max-faces", NULL, OPTION_INTEGER, "N", "0", NULL, 0, 100000, GROUP_FACES, ON_FACES,
                       "Keep at most N faces per image, chosen by --face-metric; 0: all"},
    [OPT_FACE_METRIC] = {"face-metric", NULL, OPTION_CHOICE, "M", "centre", "area|centre", 0, 0, GROUP_FACES, ON_FACES,
                         "Which faces --max-faces keeps: the largest, or the large ones near the image's centre"},
    [OPT_MIN_FACE] = {"min-face", "min-face-size", OPTION_NUMBER, "PX", "0", NULL, 0, 100000, GROUP_FACES, ON_FACES,
                      "Drop faces whose box has a side shorter than this many pixels"},
    [OPT_FROM_FILE] = {"from-file", NULL, OPTION_LIST, "LIST", NULL, NULL, 0, 0, GROUP_INPUT, ON_JOBS,
                       "Read inputs from LIST, one per line; '-' is standard input. May be repeated"},
    [OPT_RECURSIVE] = {"recursive", NULL, OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_INPUT,
                       ON_JOBS | ON_BENCH | ON_VALIDATE, "Look into the folders inside folders too"},
    [OPT_ACCEPT_TRUNCATED] = {"accept-truncated", NULL, OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_INPUT, ON_FACES,
                              "Use what is there of an image file that ends early instead of refusing it"},
    [OPT_MAX_FILE_SIZE] = {"max-file-size", NULL, OPTION_BYTES, "BYTES", "256M", NULL, 1, 0, GROUP_INPUT, ON_FACES,
                           "Refuse larger image files"},
    [OPT_MAX_PIXELS] = {"max-pixels", NULL, OPTION_INTEGER, "N", "150000000", NULL, 1, 1e12, GROUP_INPUT, ON_FACES,
                        "Refuse images of more pixels, before decoding"},
    [OPT_MAX_WIDTH] = {"max-width", NULL, OPTION_INTEGER, "PX", "30000", NULL, 1, 1e6, GROUP_INPUT, ON_FACES,
                       "Refuse wider images, before decoding"},
    [OPT_MAX_HEIGHT] = {"max-height", NULL, OPTION_INTEGER, "PX", "30000", NULL, 1, 1e6, GROUP_INPUT, ON_FACES,
                        "Refuse taller images, before decoding"},
    [OPT_DEADLINE] =
        {"deadline", NULL, OPTION_INTEGER, "MS", "0", NULL, 0, 4e9, GROUP_INPUT, ON_JOBS,
         "Milliseconds an image may take from being accepted to its result; later is an error record. 0: no limit"},
    [OPT_FORMAT] = {"format", NULL, OPTION_CHOICE, "F", NULL, "table|jsonl|csv", 0, 0, GROUP_OUTPUT, ON_RECORDS,
                    "table: for reading; jsonl: one JSON document per line; csv: one line per face (analyze, detect, "
                    "crop). Unset: "
                    "table on a terminal, jsonl otherwise"},
    [OPT_EMBEDDING] = {"embedding", NULL, OPTION_CHOICE, "E", "array", "array|base64|none", 0, 0, GROUP_OUTPUT,
                       ON_ANALYZE,
                       "How jsonl has embeddings: numbers, base64 of little-endian 32-bit floats, or not at all"},
    [OPT_OUTPUT] = {"output", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_OUTPUT, ON_ALL & ~ON_SERVE,
                    "Write there instead of standard output: to FILE.part, renamed to FILE when the job is complete"},
    [OPT_SUMMARY] =
        {"summary", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_OUTPUT, ON_JOBS,
         "Write the summary to FILE as JSON: images, faces, errors, seconds, images_per_s, pack, providers"},
    [OPT_DRAW] = {"draw", NULL, OPTION_TEXT, "DIR", NULL, NULL, 0, 0, GROUP_OUTPUT,
                  ON_ANALYZE | ON_DETECT | ON_VALIDATE,
                  "Write annotated copies into DIR (NAME.faces.jpg; validate: both sides beside one another)"},
    [OPT_THRESHOLD] =
        {"threshold", NULL, OPTION_NUMBER, "S", "0.4", NULL, -1, 1, GROUP_COMMAND, ON_COMPARE,
         "Similarity (cosine) from which two faces count as the same person; not given: the pack's, where its "
         "manifest says one. It depends on the recogniser and on how bad a false match is"},
    [OPT_DIR] = {"dir", NULL, OPTION_TEXT, "DIR", NULL, NULL, 0, 0, GROUP_COMMAND, ON_CROP,
                 "Write the crops into DIR (NAME.face1.png, ...); needed"},
    [OPT_SIZE] = {"size", NULL, OPTION_INTEGER, "N", "112", NULL, 112, 1024, GROUP_COMMAND, ON_CROP,
                  "Side of the crops: a multiple of 112 or 128"},
    [OPT_IMAGES] = {"images", NULL, OPTION_LIST, "DIR|FILE", NULL, NULL, 0, 0, GROUP_COMMAND, ON_VALIDATE,
                    "Pictures to compare on; may be repeated; needed"},
    [OPT_LIMIT_COSINE] =
        {"limit-cosine", NULL, OPTION_NUMBER, "C", "0.999", NULL, -1, 1, GROUP_COMMAND, ON_VALIDATE,
         "Every face's cosine between the two sides must be above this, end to end and on identical crops"},
    [OPT_LIMIT_BOX] = {"limit-box", NULL, OPTION_NUMBER, "PX", "2", NULL, 0, 10000, GROUP_COMMAND, ON_VALIDATE,
                       "Largest deviation of a box's edge"},
    [OPT_LIMIT_LANDMARK] = {"limit-landmark", NULL, OPTION_NUMBER, "PX", "1", NULL, 0, 10000, GROUP_COMMAND,
                            ON_VALIDATE, "Largest deviation of a landmark in x or y"},
    [OPT_PROVIDERS] =
        {"providers", NULL, OPTION_TEXT, "A[,B...]", NULL, NULL, 0, 0, GROUP_COMMAND, ON_BENCH,
         "Measure each of these providers alone (strict), all in one table. Unset: what --provider and --policy "
         "choose"},
    [OPT_ITERATIONS] = {"iterations", NULL, OPTION_INTEGER, "N", "20", NULL, 1, 1000000, GROUP_COMMAND, ON_BENCH,
                        "Timed passes over the pictures"},
    [OPT_WARMUP] = {"warmup", NULL, OPTION_INTEGER, "N", "3", NULL, 0, 1000, GROUP_COMMAND, ON_BENCH,
                    "Passes before the timed ones"},
    [OPT_NAME] = {"name", NULL, OPTION_TEXT, "NAME", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
                  "add: name to install the pack under. Unset: the file's or folder's"},
    [OPT_REPLACE] = {"replace", NULL, OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
                     "add, pull: put it in the place of an installed pack of that name"},
    [OPT_LICENCE] = {"licence", "license", OPTION_TEXT, "NAME", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
                     "add: the licence that the models came with, for the manifest"},
    [OPT_LICENCE_URL] = {"licence-url", "license-url", OPTION_TEXT, "URL", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
                         "add: where the licence's text is, for the manifest"},
    [OPT_MODEL_OPTION] =
        {"model-option", NULL, OPTION_PAIR, "FILE:KEY=VALUE", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
         "add: what the graph cannot tell, for the manifest (adaface.onnx:order=bgr); may be repeated"},
    [OPT_ACCEPT_LICENSE] = {"accept-license", "accept-licence", OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_COMMAND,
                            ON_MODELS, "pull: the pack's licence was read and is accepted; asked on a terminal"},
    [OPT_INDEX] = {"index", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
                   "pull, list: packs of your own to be known by name, as JSON (docs/packs.md)"},
    [OPT_MIRROR] =
        {"mirror", NULL, OPTION_TEXT, "URL", NULL, NULL, 0, 0, GROUP_COMMAND, ON_MODELS,
         "pull: fetch the pack's file from below this URL instead of its own place; its digest holds all the "
         "same"},
    [OPT_LISTEN] =
        {"listen", NULL, OPTION_LIST, "ADDRESS", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
         "Listen there: HOST:PORT (port 0: any free one), [IPV6]:PORT, unix:PATH, or systemd for the sockets "
         "of its unit; may be repeated. Unset: 127.0.0.1:8001"},
    [OPT_TLS_CERT] = {"tls-cert", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                      "Certificate chain as PEM: HTTPS in the place of HTTP; needs --tls-key"},
    [OPT_TLS_KEY] = {"tls-key", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                     "The certificate's private key as PEM"},
    [OPT_TOKEN_FILE] = {"token-file", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                        "Bearer tokens, one per line: requests need one of them, but for health"},
    [OPT_CORS_ORIGIN] = {"cors-origin", NULL, OPTION_TEXT, "ORIGIN", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                         "Let pages of this origin (https://a.example, or *) call the worker from a browser"},
    [OPT_MAX_BODY] = {"max-body", NULL, OPTION_BYTES, "BYTES", "64M", NULL, 1, 0, GROUP_SERVER, ON_SERVE,
                      "Refuse larger requests (413), before they are read"},
    [OPT_MAX_BODIES] = {"max-bodies", NULL, OPTION_BYTES, "BYTES", "1G", NULL, 1, 0, GROUP_SERVER, ON_SERVE,
                        "Memory of all requests' bodies together; beyond it: 503"},
    [OPT_MAX_CONNECTIONS] = {"max-connections", NULL, OPTION_INTEGER, "N", "16384", NULL, 1, 1e6, GROUP_SERVER,
                             ON_SERVE, "Connections at a time; the file limit is raised for them where it may be"},
    [OPT_IDLE_TIMEOUT] = {"idle-timeout", NULL, OPTION_INTEGER, "S", "60", NULL, 1, 86400, GROUP_SERVER, ON_SERVE,
                          "Seconds after which a connection on which nothing happens is closed"},
    [OPT_REQUEST_DEADLINE] =
        {"request-deadline", NULL, OPTION_INTEGER, "MS", "0", NULL, 0, 4e9, GROUP_SERVER, ON_SERVE,
         "Milliseconds after which a request's answer is worthless: it is answered with 504, and what was not begun is "
         "not computed. A request may ask for less (X-Deadline-Ms). 0: no limit"},
    [OPT_GRACE] = {"grace", NULL, OPTION_INTEGER, "S", "30", NULL, 0, 86400, GROUP_SERVER, ON_SERVE,
                   "Seconds that accepted requests may take to end after SIGTERM"},
    [OPT_IDLE_UNLOAD] = {"idle-unload", NULL, OPTION_INTEGER, "S", "0", NULL, 0, 1e6, GROUP_SERVER, ON_SERVE,
                         "Unload the models after so many seconds without a picture; the next one loads them again. 0: "
                         "never"},
    [OPT_ALLOW_URL_HOST] = {"allow-url-host", NULL, OPTION_LIST, "HOST", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                            "Let /extract fetch pictures from this host; may be repeated. Unset: from none"},
    [OPT_ACCESS_LOG] = {"access-log", NULL, OPTION_CHOICE, "F", "off", "off|text|json", 0, 0, GROUP_SERVER, ON_SERVE,
                        "A line per request, on standard error or in --access-log-file"},
    [OPT_ACCESS_LOG_FILE] = {"access-log-file", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_SERVER, ON_SERVE,
                             "Append the access log to FILE; SIGHUP opens it anew"},
    [OPT_QUIET] = {"quiet", NULL, OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_GENERAL, ON_ALL,
                   "No progress, notes or summary on standard error; errors only"},
    [OPT_LOG_LEVEL] = {"log-level", NULL, OPTION_CHOICE, "L", "warn", "debug|info|warn|error|off", 0, 0, GROUP_GENERAL,
                       ON_ALL, "Lowest level of the log on standard error"},
    [OPT_CONFIG] = {"config", NULL, OPTION_TEXT, "FILE", NULL, NULL, 0, 0, GROUP_GENERAL, ON_ALL,
                    "Config file. Unset: 'config' in facemill's config folder, if it is there"},
    [OPT_PRINT_CONFIG] = {"print-config", NULL, OPTION_FLAG, NULL, "no", NULL, 0, 0, GROUP_GENERAL, ON_ALL,
                          "Print every option of this command, its value and where it came from as JSON, and stop"},
};

const struct option_row *fm_option_row(enum option_id id) {
    return &rows[id];
}

const char *fm_option_other_variable(enum option_id id) {
    return id == OPT_WORKER ? "GPU_WORKER_URL" : NULL;
}

static bool same_word(const char *word, const char *name, size_t length) {
    return word && strlen(word) == length && memcmp(word, name, length) == 0;
}

enum option_id fm_option_find(const char *name, size_t length) {
    for (int i = 0; i < OPT_COUNT; i++) {
        if (same_word(rows[i].name, name, length) || same_word(rows[i].alias, name, length))
            return (enum option_id)i;
    }
    return OPT_COUNT;
}

void fm_option_variable(const char *name, char *out, size_t size) {
    size_t length = (size_t)snprintf(out, size, "FM_%s", name);
    for (size_t i = 0; i < length && i < size; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

#define WORD_MAX 31

int fm_edit_distance(const char *a, const char *b, int limit) {
    /* Rows of the Damerau-Levenshtein table (neighbours swapped count once): option names are short. */
    int before[WORD_MAX + 2] = {0}, last[WORD_MAX + 2], row[WORD_MAX + 2];
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return limit + 1;
    for (size_t j = 0; j <= m; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        memcpy(before, last, sizeof before);
        memcpy(last, row, sizeof last);
    }
    return last[m] > limit ? limit + 1 : last[m];
}

const char *fm_option_suggest(const char *name, uint32_t commands) {
    const char *nearest = NULL;
    int best = 4;
    for (int i = 0; i < OPT_COUNT; i++) {
        const char *spellings[2] = {rows[i].name, rows[i].alias};
        for (int k = 0; k < 2 && (rows[i].commands & commands); k++) {
            int distance = spellings[k] ? fm_edit_distance(name, spellings[k], 3) : 4;
            if (distance < best) {
                best = distance;
                nearest = spellings[k];
            }
        }
    }
    return nearest;
}
