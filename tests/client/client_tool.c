/* client_tool URLS [KEY=VALUE...]: one client, told on standard input what to do; a line of JSON per answer and per
   line of its log on standard output. For the tests, which play the workers.

       analyze PATH      wait for one file             bytes PATH      the same from memory
       submit N PATH     N times, in the background    pixels SIDE     a black picture from memory
       drain             wait for all of them          engine          is there a local engine? */
#include "base/os.h"
#include "base/text.h"

#include <facemill/facemill_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tool {
    fm_client *client;
    struct os_mutex mutex; /* of standard output */
};

static void print_line(struct tool *tool, struct text *text) {
    fm_mutex_lock(&tool->mutex);
    puts(text->chars);
    fflush(stdout);
    fm_mutex_unlock(&tool->mutex);
    fm_text_reset(text);
}

static void on_log(fm_log_level level, const char *component, const char *message, void *user) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "log", message);
    fm_json_integer(&json, "level", level);
    fm_json_string(&json, "component", component);
    fm_json_object_close(&json);
    print_line(user, &text);
}

static void add_face(struct json *json, const fm_face *face) {
    fm_json_object_open(json, NULL);
    fm_json_array_open(json, "box");
    for (int i = 0; i < 4; i++)
        fm_json_float(json, NULL, face->box[i]);
    fm_json_array_close(json);
    fm_json_float(json, "score", face->score);
    fm_json_array_open(json, "landmarks");
    for (int i = 0; i < 10; i++)
        fm_json_float(json, NULL, face->landmarks[i / 2][i % 2]);
    fm_json_array_close(json);
    fm_json_integer(json, "size", face->embedding_size);
    fm_json_array_open(json, "embedding");
    for (int i = 0; i < face->embedding_size && i < 4; i++)
        fm_json_float(json, NULL, face->embedding[i]);
    fm_json_array_close(json);
    fm_json_float(json, "norm", face->embedding_norm);
    fm_json_object_close(json);
}

static void print_reply(struct tool *tool, const fm_reply *reply) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "status", fm_status_name(fm_reply_status(reply)));
    fm_json_string(&json, "message", fm_reply_message(reply));
    fm_json_string(&json, "source", fm_reply_source(reply));
    fm_json_integer(&json, "width", fm_reply_width(reply));
    fm_json_integer(&json, "height", fm_reply_height(reply));
    fm_json_array_open(&json, "faces");
    for (size_t i = 0; i < fm_reply_face_count(reply); i++)
        add_face(&json, fm_reply_face(reply, i));
    fm_json_array_close(&json);
    fm_json_object_close(&json);
    print_line(tool, &text);
}

static void on_reply(fm_reply *reply, void *user) {
    print_reply(user, reply);
    fm_reply_free(reply);
}

static void analyze(struct tool *tool, const fm_input *input) {
    fm_reply *reply = NULL;
    fm_error error;
    fm_status status = fm_client_analyze(tool->client, input, &reply, &error);
    if (!reply || fm_reply_status(reply) != status || (status && strcmp(error.message, fm_reply_message(reply)) != 0)) {
        printf("no reply, or another status than the call's: %d\n", (int)status);
        exit(1);
    }
    print_reply(tool, reply);
    fm_reply_free(reply);
}

static void analyze_bytes(struct tool *tool, const char *path) {
    struct buffer bytes = {0};
    fm_error error = {0};
    if (fm_file_read(path, UINT64_MAX, &bytes, &error) == FM_OK) {
        fm_input input = fm_input_encoded(bytes.bytes, bytes.size);
        analyze(tool, &input);
    }
    fm_buffer_reset(&bytes);
}

static void analyze_pixels(struct tool *tool, int side) {
    uint8_t *bytes = fm_alloc((size_t)side * (size_t)side * 3);
    fm_pixels pixels = {.struct_size = sizeof pixels, .data = bytes, .width = side, .height = side};
    fm_input input = fm_input_pixels(&pixels);
    analyze(tool, &input);
    fm_free(bytes);
}

static void submit(struct tool *tool, int count, const char *path) {
    fm_input input = fm_input_file(path);
    fm_error error;
    for (int i = 0; i < count; i++) {
        if (fm_client_submit(tool->client, &input, on_reply, tool, &error)) {
            printf("not submitted: %s\n", error.message);
            exit(1);
        }
    }
}

static void obey(struct tool *tool, char *line) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_input input;
    char *word = strtok_r(line, " \n", &line), *first = strtok_r(NULL, " \n", &line);
    if (!word)
        return;
    if (strcmp(word, "analyze") == 0) {
        input = fm_input_file(first);
        analyze(tool, &input);
    } else if (strcmp(word, "bytes") == 0) {
        analyze_bytes(tool, first);
    } else if (strcmp(word, "pixels") == 0) {
        analyze_pixels(tool, atoi(first));
    } else if (strcmp(word, "submit") == 0) {
        submit(tool, atoi(first), strtok_r(NULL, " \n", &line));
    } else if (strcmp(word, "drain") == 0 || strcmp(word, "engine") == 0) {
        if (word[0] == 'd')
            fm_client_drain(tool->client);
        fm_json_object_open(&json, NULL);
        fm_json_bool(&json, word, word[0] == 'd' || fm_client_engine(tool->client) != NULL);
        fm_json_object_close(&json);
        print_line(tool, &text);
    }
}

/* KEY=VALUE into the options; exits on one it does not know, which is a mistake of the test's. */
static void take_option(fm_client_options *options, fm_engine_options *local, const char *text) {
    const char *value = strchr(text, '=') + 1;
    size_t length = (size_t)(value - 1 - text);
    int number = atoi(value);
    struct {
        const char *name;
        uint32_t *unsigned_place;
        int *place;
    } numbers[] = {
        {"connect_ms", &options->connect_ms, NULL}, {"timeout_ms", &options->timeout_ms, NULL},
        {"probe_ms", &options->probe_ms, NULL},     {"deadline_ms", &options->deadline_ms, NULL},
        {"retries", NULL, &options->retries},       {"breaker", NULL, &options->breaker_failures},
        {"in_flight", NULL, &options->in_flight},   {"det_size", NULL, &local->det_sizes[0]},
        {"max_faces", NULL, &local->max_faces},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strlen(numbers[i].name) == length && memcmp(numbers[i].name, text, length) == 0) {
            if (numbers[i].place)
                *numbers[i].place = number;
            else
                *numbers[i].unsigned_place = (uint32_t)number;
            return;
        }
    }
    if (strncmp(text, "policy=", 7) == 0)
        options->policy = strcmp(value, "require") == 0 ? FM_WORKER_REQUIRE : FM_WORKER_PREFER;
    else if (strncmp(text, "token=", 6) == 0)
        options->token = value;
    else if (strncmp(text, "certificates=", 13) == 0)
        options->certificates = value;
    else if (strncmp(text, "pack=", 5) == 0)
        local->pack = value;
    else
        exit(2);
}

int main(int argc, char **argv) {
    struct tool tool = {.client = NULL};
    fm_engine_options local = {.struct_size = sizeof local, .log_level = FM_LOG_OFF};
    fm_client_options options = {.struct_size = sizeof options, .urls = argc > 1 ? argv[1] : NULL, .local = &local};
    char line[4096];
    fm_error error;
    options.log_level = FM_LOG_INFO;
    options.log = on_log;
    options.log_user = &tool;
    for (int i = 2; i < argc; i++)
        take_option(&options, &local, argv[i]);
    fm_mutex_init(&tool.mutex);
    if (fm_client_open(&options, &tool.client, &error)) {
        printf("%s: %s\n", fm_status_name(error.status), error.message);
        return 1;
    }
    puts("{\"open\": true}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        obey(&tool, line);
    fm_client_close(tool.client);
    fm_mutex_reset(&tool.mutex);
    return 0;
}
