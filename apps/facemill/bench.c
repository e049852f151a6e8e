/* facemill bench: how long one image takes and in which stage, and how many go through at once. */
#include "drawn.h"
#include "output.h"
#include "program.h"
#include "sources.h"
#include "statistics.h"
#include "summary.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

#define STAGES 9 /* fm_timings' members, in order */
#define DRAWN_PICTURES 4
#define MAX_PROVIDERS 16

static const char *const stage_names[STAGES] = {"queue",       "read",  "decode", "letterbox", "detect",
                                                "postprocess", "align", "embed",  "total"};

struct inputs {
    struct arena arena; /* names */
    fm_input *items;
    size_t count, capacity;
    struct buffer drawn[DRAWN_PICTURES];
    fm_pixels pixels[DRAWN_PICTURES];
    fm_error error;
};

struct row {
    const char *provider;
    fm_error error; /* why there is nothing else */
    double open_s;
    uint64_t images, faces, errors, peak_bytes; /* of one pass; peak of the process so far */
    struct figures stages[STAGES], images_per_s, faces_per_s;
    char ran_on[512], pack[256];
};

/* ---- inputs */

static bool add_input(struct inputs *inputs, fm_input input) {
    if (inputs->count == inputs->capacity) {
        size_t capacity = inputs->capacity ? inputs->capacity * 2 : 64;
        fm_input *items = fm_alloc_array(capacity, sizeof *items);
        if (!items) {
            fm_fail(&inputs->error, FM_OUT_OF_MEMORY, "out of memory for %zu inputs", capacity);
            return false;
        }
        if (inputs->count)
            memcpy(items, inputs->items, inputs->count * sizeof *items);
        fm_free(inputs->items);
        inputs->items = items;
        inputs->capacity = capacity;
    }
    inputs->items[inputs->count++] = input;
    return true;
}

static bool add_file(const char *path, void *user) {
    struct inputs *inputs = user;
    char *copy = fm_arena_copy(&inputs->arena, path);
    if (!copy)
        fm_fail(&inputs->error, FM_OUT_OF_MEMORY, "out of memory for the names of %zu inputs", inputs->count);
    return copy && add_input(inputs, fm_input_file(copy));
}

static bool refuse_standard_input(void *user) {
    fm_fail(&((struct inputs *)user)->error, FM_INVALID_ARGUMENT,
            "bench reads its pictures many times and cannot take '-'");
    return false;
}

static bool refuse_folder(const char *path, const fm_error *error, void *user) {
    (void)path;
    fm_fail(&((struct inputs *)user)->error, error->status, "%s", error->message);
    return false;
}

static void draw_inputs(struct inputs *inputs) {
    static const int sizes[DRAWN_PICTURES][3] = {{640, 480, 1}, {1280, 720, 2}, {1920, 1080, 3}, {3000, 2000, 6}};
    for (int i = 0; i < DRAWN_PICTURES; i++) {
        int width = sizes[i][0], height = sizes[i][1];
        if (!fm_drawn_picture(&inputs->drawn[i], width, height, sizes[i][2], NULL)) {
            fm_fail(&inputs->error, FM_OUT_OF_MEMORY, "out of memory for pictures");
            return;
        }
        inputs->pixels[i] = fm_drawn_pixels(&inputs->drawn[i], width, height);
        if (!add_input(inputs, fm_input_pixels(&inputs->pixels[i])))
            return;
    }
}

static fm_status inputs_open(struct inputs *inputs, const struct config *config) {
    struct sources sources = {.paths = config->arguments,
                              .path_count = config->argument_count,
                              .recursive = fm_config_flag(config, OPT_RECURSIVE)};
    *inputs = (struct inputs){.arena = {.limit = (size_t)256 << 20}};
    if (sources.path_count == 0)
        draw_inputs(inputs);
    else
        fm_sources_walk(&sources, &(struct source_visitor){add_file, refuse_standard_input, refuse_folder, inputs});
    if (!inputs->error.status && inputs->count == 0)
        return fm_fail(&inputs->error, FM_NOT_FOUND, "there is no picture in '%s'", sources.paths[0]);
    return inputs->error.status;
}

static void inputs_close(struct inputs *inputs) {
    for (int i = 0; i < DRAWN_PICTURES; i++)
        fm_buffer_reset(&inputs->drawn[i]);
    fm_free(inputs->items);
    fm_arena_reset(&inputs->arena);
}

/* ---- measuring */

struct measurement {
    struct samples stages[STAGES], images_per_s, faces_per_s;
};

static fm_status measurement_open(struct measurement *m, size_t images, size_t passes, fm_error *error) {
    size_t count = 0;
    bool good = fm_size_multiply(images, passes, &count);
    *m = (struct measurement){0};
    for (int i = 0; i < STAGES && good; i++)
        good = (m->stages[i].values = fm_alloc_array(count, sizeof(double))) != NULL;
    good = good && (m->images_per_s.values = fm_alloc_array(passes, sizeof(double))) != NULL;
    good = good && (m->faces_per_s.values = fm_alloc_array(passes, sizeof(double))) != NULL;
    return good ? FM_OK
                : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for %zu passes over %zu images", passes, images);
}

static void measurement_close(struct measurement *m) {
    for (int i = 0; i < STAGES; i++)
        fm_free(m->stages[i].values);
    fm_free(m->images_per_s.values);
    fm_free(m->faces_per_s.values);
}

static void add_timings(struct measurement *m, const fm_result *result) {
    fm_timings t = {.struct_size = sizeof t};
    fm_result_timings(result, &t);
    const double values[STAGES] = {t.queue_ms,       t.read_ms,  t.decode_ms, t.letterbox_ms, t.detect_ms,
                                   t.postprocess_ms, t.align_ms, t.embed_ms,  t.total_ms};
    for (int i = 0; i < STAGES; i++)
        m->stages[i].values[m->stages[i].count++] = values[i];
}

/* Every image alone, then all together. `m` NULL: warm-up. */
static fm_status run_pass(fm_engine *engine, const struct inputs *inputs, fm_result **results, struct measurement *m,
                          struct row *row) {
    row->images = row->faces = row->errors = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        fm_result *result = NULL;
        fm_error ignored = {0}; /* an image that fails is counted */
        if (fm_analyze(engine, &inputs->items[i], NULL, &result, &ignored) == FM_OK && m)
            add_timings(m, result);
        fm_result_free(result);
    }
    uint64_t start_ns = fm_clock_ns();
    fm_status status = fm_analyze_batch(engine, inputs->items, inputs->count, NULL, results, &row->error);
    double seconds = (double)(fm_clock_ns() - start_ns) * 1e-9;
    for (size_t i = 0; i < inputs->count && !status; i++) {
        row->images++;
        row->errors += fm_result_status(results[i]) != FM_OK;
        row->faces += fm_result_face_count(results[i]);
        fm_result_free(results[i]);
    }
    if (m && !status) {
        m->images_per_s.values[m->images_per_s.count++] = (double)row->images / seconds;
        m->faces_per_s.values[m->faces_per_s.count++] = (double)row->faces / seconds;
    }
    return status;
}

static void describe_engine(const fm_engine *engine, struct row *row) {
    fm_model_info model;
    fm_pack_info pack = fm_engine_pack(engine);
    size_t used = 0;
    snprintf(row->pack, sizeof row->pack, "%s (%s)", pack.name, pack.reason);
    for (size_t i = 0; fm_engine_model(engine, i, &model) && used < sizeof row->ran_on; i++)
        used += (size_t)snprintf(row->ran_on + used, sizeof row->ran_on - used, "%s%s on %s", i ? ", " : "", model.file,
                                 model.provider);
}

/* Fills `row`; false when the user asked for the end. */
static bool measure(struct program *program, const struct config *config, const struct inputs *inputs,
                    struct row *row) {
    size_t warmup = (size_t)fm_config_integer(config, OPT_WARMUP),
           passes = (size_t)fm_config_integer(config, OPT_ITERATIONS);
    struct measurement m = {0};
    fm_engine *engine = NULL;
    fm_result **results = fm_alloc_array(inputs->count, sizeof *results);
    uint64_t start_ns = fm_clock_ns();
    fm_status status = results ? fm_program_open(config, &engine, &row->error)
                               : fm_fail(&row->error, FM_OUT_OF_MEMORY, "out of memory for %zu results", inputs->count);
    row->open_s = (double)(fm_clock_ns() - start_ns) * 1e-9;
    if (!status)
        fm_tell_builtin(program, engine);
    if (!status)
        status = measurement_open(&m, inputs->count, passes, &row->error);
    for (size_t i = 0; i < warmup + passes && !status && !atomic_load(&program->interrupted); i++)
        status = run_pass(engine, inputs, results, i < warmup ? NULL : &m, row);
    if (!status) {
        for (int i = 0; i < STAGES; i++)
            row->stages[i] = fm_samples_summarise(&m.stages[i]);
        row->images_per_s = fm_samples_summarise(&m.images_per_s);
        row->faces_per_s = fm_samples_summarise(&m.faces_per_s);
        describe_engine(engine, row);
    }
    row->peak_bytes = fm_memory_figures().process_peak;
    measurement_close(&m);
    fm_engine_close(engine);
    fm_free(results);
    return !atomic_load(&program->interrupted);
}

/* ---- the report */

static void json_figures(struct json *json, const char *key, const struct figures *figures) {
    fm_json_object_open(json, key);
    fm_json_number(json, "median", figures->p50);
    fm_json_number(json, "mean", figures->mean);
    fm_json_number(json, "deviation", figures->deviation);
    fm_json_number(json, "p50", figures->p50);
    fm_json_number(json, "p90", figures->p90);
    fm_json_number(json, "p99", figures->p99);
    fm_json_number(json, "min", figures->least);
    fm_json_number(json, "max", figures->most);
    fm_json_object_close(json);
}

static void report_json(struct output *output, const struct row *row) {
    struct json *json = &output->json;
    fm_json_object_open(json, NULL);
    fm_json_string(json, "provider", row->provider);
    if (row->error.status) {
        fm_json_object_open(json, "error");
        fm_json_string(json, "code", fm_status_name(row->error.status));
        fm_json_string(json, "message", row->error.message);
        fm_json_help(json, row->error.status);
        fm_json_object_close(json);
    } else {
        fm_json_string(json, "ran_on", row->ran_on);
        fm_json_string(json, "pack", row->pack);
        fm_json_integer(json, "images", (int64_t)row->images);
        fm_json_integer(json, "faces", (int64_t)row->faces);
        fm_json_integer(json, "errors", (int64_t)row->errors);
        fm_json_number(json, "open_seconds", row->open_s);
        json_figures(json, "images_per_s", &row->images_per_s);
        json_figures(json, "faces_per_s", &row->faces_per_s);
        fm_json_object_open(json, "stages_ms");
        for (int i = 0; i < STAGES; i++)
            json_figures(json, stage_names[i], &row->stages[i]);
        fm_json_object_close(json);
        fm_json_integer(json, "peak_memory_bytes", (int64_t)row->peak_bytes);
    }
    fm_json_object_close(json);
    fm_output_end_line(output);
}

static void report_stages(struct text *text, const struct row *row) {
    fm_text_add(
        text, "%s: %s; pack %s\n  one image at a time, ms   median      mean       dev       p50       p90       p99\n",
        row->provider, row->ran_on, row->pack);
    for (int i = 0; i < STAGES; i++) {
        const struct figures *f = &row->stages[i];
        fm_text_add(text, "  %-20s %11.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n", stage_names[i], f->p50, f->mean,
                    f->deviation, f->p50, f->p90, f->p99);
    }
    fm_text_add(text, "\n");
}

static void report_table(struct output *output, const struct row *rows, size_t count) {
    struct text *text = &output->text;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].error.status)
            report_stages(text, &rows[i]);
    }
    fm_text_add(text, "%-14s %9s %9s %9s %9s %10s %9s %8s %8s\n", "provider", "median ms", "mean", "p90", "p99",
                "images/s", "faces/s", "faces", "peak MiB");
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const struct figures *total = &row->stages[STAGES - 1];
        if (row->error.status)
            fm_text_add(text, "%-14s %s\n", row->provider, row->error.message);
        else
            fm_text_add(text, "%-14s %9.2f %9.2f %9.2f %9.2f %10.1f %9.1f %8llu %8.0f\n", row->provider, total->p50,
                        total->mean, total->p90, total->p99, row->images_per_s.p50, row->faces_per_s.p50,
                        (unsigned long long)row->faces, (double)row->peak_bytes / (1 << 20));
    }
}

/* One row per provider of --providers, each strict; or one row for what --provider and --policy choose. */
static int measure_all(struct program *program, const struct inputs *inputs, struct output *output) {
    const struct config *config = &program->config;
    const char *list = fm_config_text(config, OPT_PROVIDERS), *chosen = fm_config_text(config, OPT_PROVIDER);
    static const char unnamed[] = "auto";
    char names[MAX_PROVIDERS][64];
    struct row rows[MAX_PROVIDERS];
    size_t count = 0, ran = 0, failed_images = 0;
    for (const char *rest = list ? list : chosen ? chosen : unnamed; *rest && count < MAX_PROVIDERS;) {
        size_t length = list ? strcspn(rest, ",") : strlen(rest);
        struct config own;
        struct row *row = &rows[count];
        *row = (struct row){.provider = names[count]};
        snprintf(names[count], sizeof names[count], "%.*s", (int)length, rest);
        fm_config_derive(&own, config);
        bool going = true;
        if (!list || (!fm_config_set(&own, "provider", names[count], "--providers", &row->error) &&
                      !fm_config_set(&own, "policy", "strict", "--providers", &row->error)))
            going = measure(program, &own, inputs, row);
        fm_config_reset(&own);
        if (!going)
            return 128 + atomic_load(&program->interrupted);
        count++;
        ran += row->error.status == FM_OK;
        failed_images += row->errors;
        if (!output->table)
            report_json(output, row);
        rest += length + (rest[length] == ',');
    }
    if (output->table)
        report_table(output, rows, count);
    for (size_t i = 0; i < count && ran == 0; i++)
        fm_complain(&program->config, &rows[i].error);
    return ran == 0 ? fm_exit_code(rows[0].error.status) : ran < count || failed_images ? EXIT_INPUTS : EXIT_DONE;
}

int fm_command_bench(struct program *program) {
    struct inputs inputs;
    struct output output;
    fm_error error = {0};
    int code;
    if (inputs_open(&inputs, &program->config)) {
        code = fm_complain(&program->config, &inputs.error);
    } else if (fm_output_open(&output, &program->config, &error)) {
        code = fm_complain(&program->config, &error);
    } else {
        code = measure_all(program, &inputs, &output);
        if (fm_output_close(&output, code < 128, &error))
            code = fm_complain(&program->config, &error);
    }
    inputs_close(&inputs);
    return code;
}
