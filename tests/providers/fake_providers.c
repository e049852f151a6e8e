/* A fake ONNX Runtime with every provider compiled in, for test_options.c: it writes down what it is told, and fails in
   the words of the "model" it is given. What it is told also goes to the file named by FAKE_RECORD, for tests that run
   the program. A real model fails at open. A model "open:WORDS" fails at open, "run:WORDS" at the first run;
   "log:WORDS" makes the CUDA provider's library fail, with the words in the log alone, as the real one does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/ort/abi.h"

#define EXPORT __attribute__((visibility("default")))
#define MAX_SLOTS 320

struct ort_status {
    int code;
    char words[256];
};

static char record[8192], broken[256], run_words[256];
static ort_log_sink log_sink;
static int handle; /* stands for every object */

EXPORT const char *fm_fake_record(void);
const char *fm_fake_record(void) {
    return record;
}
EXPORT void fm_fake_reset(const char *library_words);
void fm_fake_reset(const char *library_words) {
    record[0] = '\0';
    snprintf(broken, sizeof broken, "%s", library_words);
}

static void append_to_file(const char *line) {
    const char *path = getenv("FAKE_RECORD");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fputs(line, file);
        fclose(file);
    }
}

static void note(const char *what, const char *const *keys, const char *const *values, size_t count) {
    size_t used = strlen(record), start = used;
    used += (size_t)snprintf(record + used, sizeof record - used, "%s:", what);
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(record + used, sizeof record - used, " %s=%s", keys[i], values[i]);
    }
    snprintf(record + used, sizeof record - used, "\n");
    append_to_file(record + start);
}

static struct ort_status *fail(int code, const char *words) {
    struct ort_status *status = calloc(1, sizeof *status);
    status->code = code;
    snprintf(status->words, sizeof status->words, "%s", words);
    return status;
}

static int get_code(const struct ort_status *status) {
    return status->code;
}
static const char *get_words(const struct ort_status *status) {
    return status->words;
}
static void release_status(struct ort_status *status) {
    free(status);
}
static void release(void *object) {
    (void)object;
}
static struct ort_status *make(void **object) {
    *object = &handle;
    return NULL;
}
static struct ort_status *set_number(void *options, int value) {
    (void)options;
    (void)value;
    return NULL;
}
static struct ort_status *set_optimization(void *options, int level) {
    (void)options;
    char digits[16];
    snprintf(digits, sizeof digits, "%d", level);
    const char *key = "level", *value = digits;
    note("optimization", &key, &value, 1);
    return NULL;
}
static struct ort_status *set_nothing(void *options) {
    (void)options;
    return NULL;
}
static struct ort_status *make_env(ort_log_sink sink, void *user, int level, const char *log_id, void **env) {
    (void)user;
    (void)level;
    (void)log_id;
    log_sink = sink;
    return make(env);
}
static struct ort_status *make_memory(int allocator, int memory, void **info) {
    (void)allocator;
    (void)memory;
    return make(info);
}
static struct ort_status *set_text(void *options, const char *value) {
    (void)options;
    (void)value;
    return NULL;
}
static struct ort_status *set_entry(void *options, const char *key, const char *value) {
    (void)options;
    note("session", &key, &value, 1);
    return NULL;
}
static struct ort_status *make_session(const void *env, const void *bytes, size_t size, const void *options,
                                       void **session) {
    (void)env;
    (void)options;
    char words[256];
    snprintf(words, sizeof words, "%.*s", (int)size, (const char *)bytes);
    if (strncmp(words, "open:", 5) == 0) {
        return fail(ORT_CODE_FAIL, words + 5);
    }
    if (strncmp(words, "run:", 4) != 0 && strncmp(words, "log:", 4) != 0) {
        return fail(ORT_CODE_FAIL, "the fake runs no real model");
    }
    snprintf(run_words, sizeof run_words, "%s", words + 4);
    return make(session);
}
static struct ort_status *count_one(const void *session, size_t *count) {
    (void)session;
    *count = 1;
    return NULL;
}
static struct ort_status *give_name(const void *session, size_t index, void *allocator, char **name) {
    static char text[] = "x";
    (void)session;
    (void)index;
    (void)allocator;
    *name = text;
    return NULL;
}
static struct ort_status *free_nothing(void *allocator, void *block) {
    (void)allocator;
    (void)block;
    return NULL;
}
static struct ort_status *make_tensor(const void *memory, void *bytes, size_t size, const int64_t *dims, size_t rank,
                                      int dtype, void **value) {
    (void)memory, (void)bytes, (void)size, (void)dims, (void)rank, (void)dtype;
    return make(value);
}
static struct ort_status *run(void *session, const void *options, const char *const *inputs, const void *const *values,
                              size_t count, const char *const *outputs, size_t output_count, void **results) {
    (void)session, (void)options, (void)inputs, (void)values, (void)count, (void)outputs, (void)output_count,
        (void)results;
    return fail(ORT_CODE_RUNTIME_EXCEPTION, run_words);
}
static struct ort_status *list_providers(char ***names, int *count) {
    static char *list[] = {(char *)"CPUExecutionProvider",      (char *)"CUDAExecutionProvider",
                           (char *)"TensorrtExecutionProvider", (char *)"MIGraphXExecutionProvider",
                           (char *)"ROCMExecutionProvider",     (char *)"DmlExecutionProvider",
                           (char *)"CoreMLExecutionProvider"};
    *names = list;
    *count = 7;
    return NULL;
}
static struct ort_status *release_providers(char **names, int count) {
    (void)names;
    (void)count;
    return NULL;
}
static struct ort_status *update_cuda(void *options, const char *const *keys, const char *const *values, size_t count) {
    (void)options;
    note("cuda", keys, values, count);
    return NULL;
}
static struct ort_status *append_cuda(void *options, const void *cuda) {
    (void)options;
    (void)cuda;
    if (broken[0]) {
        log_sink(NULL, ORT_LOG_ERROR, "", "facemill", "", broken);
        return fail(ORT_CODE_FAIL, "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library");
    }
    return NULL;
}
static struct ort_status *update_tensorrt(void *options, const char *const *keys, const char *const *values,
                                          size_t count) {
    (void)options;
    note("tensorrt", keys, values, count);
    return NULL;
}
static struct ort_status *update_rocm(void *options, const char *const *keys, const char *const *values, size_t count) {
    (void)options;
    note("rocm", keys, values, count);
    return NULL;
}
static struct ort_status *append_any(void *options, const void *provider) {
    (void)options;
    (void)provider;
    return NULL;
}
static struct ort_status *append_generic(void *options, const char *provider, const char *const *keys,
                                         const char *const *values, size_t count) {
    (void)options;
    note(provider, keys, values, count);
    return NULL;
}

EXPORT struct ort_status *OrtSessionOptionsAppendExecutionProvider_MIGraphX(void *options, int device);
struct ort_status *OrtSessionOptionsAppendExecutionProvider_MIGraphX(void *options, int device) {
    (void)options;
    const char *key = "device", *value = device == 1 ? "1" : "?";
    note("exported MIGraphX", &key, &value, 1);
    return NULL;
}

static void *table[MAX_SLOTS];
static const void *get_api(uint32_t version) {
    (void)version;
    return table;
}
static const char *get_version(void) {
    return "1.24.0";
}

/* ISO C keeps functions and objects apart; a table of both is what the ABI is. */
#define FILL(slot, function) *(__typeof__(&(function)) *)(void *)&table[slot] = (function)

EXPORT const struct ort_api_base *OrtGetApiBase(void);
const struct ort_api_base *OrtGetApiBase(void) {
    static const struct ort_api_base base = {get_api, get_version};
    for (size_t slot = 0; slot < MAX_SLOTS; slot++) {
        FILL(slot, release);
    }
    FILL(1, get_code), FILL(2, get_words), FILL(4, make_env), FILL(6, set_nothing), FILL(8, make_session), FILL(9, run);
    FILL(10, make), FILL(13, set_number), FILL(14, set_text), FILL(17, set_nothing);
    FILL(20, set_text), FILL(22, set_number);
    FILL(23, set_optimization), FILL(24, set_number), FILL(25, set_number), FILL(30, count_one), FILL(31, count_one);
    FILL(36, give_name), FILL(37, give_name), FILL(49, make_tensor), FILL(69, make_memory), FILL(76, free_nothing);
    FILL(78, make), FILL(93, release_status), FILL(125, list_providers), FILL(126, release_providers);
    FILL(130, set_entry), FILL(153, append_any), FILL(170, append_any), FILL(171, make), FILL(172, update_tensorrt);
    FILL(204, append_cuda), FILL(205, make), FILL(206, update_cuda), FILL(216, append_generic), FILL(255, make);
    FILL(256, update_rocm);
    return &base;
}
