/* Summary: the pack, why it was chosen, and each model's provider are always said: a job that ran on something else
   than its owner believes is the failure this program exists to prevent. */
#include "summary.h"

#include "base/os.h"
#include "program.h"

#include <stdio.h>
#include <string.h>

static double rate(const struct summary *summary) {
    return summary->seconds > 0 ? (double)summary->images / summary->seconds : 0;
}

static void add_models(struct text *text, const fm_engine *engine) {
    fm_model_info model;
    for (size_t i = 0; fm_engine_model(engine, i, &model); i++) {
        char stem[256];
        fm_model_stem(model.file, stem, sizeof stem);
        fm_text_add(text, "%s%s on %s", i ? ", " : "", stem, model.provider);
    }
}

static void add_sources(struct text *text, const struct summary *summary) {
    for (size_t i = 0; i < summary->source_count; i++) {
        const struct summary_source *source = &summary->sources[i];
        bool here = strcmp(source->name, "local") == 0;
        fm_text_add(text, "%s%llu %s%s", i ? ", " : "", (unsigned long long)source->images, here ? "here" : "by ",
                    here ? "" : source->name);
    }
    if (!summary->source_count)
        fm_text_add(text, "none by a worker");
}

void fm_summary_print(const struct summary *summary, const fm_engine *engine, bool providers_were_named) {
    struct text text = {0};
    fm_model_info model;
    for (size_t i = 0; engine && providers_were_named && fm_engine_model(engine, i, &model); i++) {
        if (model.passed_over && model.passed_over[0])
            fm_text_add(&text, "facemill: %s runs on %s; passed over: %s\n", model.file, model.provider,
                        model.passed_over);
    }
    fm_text_add(&text, "facemill: %s%llu images, %llu faces, %llu errors in %.2f s (%.1f images/s); ",
                summary->interrupted ? "interrupted: " : "", (unsigned long long)summary->images,
                (unsigned long long)summary->faces, (unsigned long long)summary->errors, summary->seconds,
                rate(summary));
    if (summary->has_workers)
        add_sources(&text, summary);
    if (engine) {
        fm_pack_info pack = fm_engine_pack(engine);
        fm_text_add(&text, "%spack %s (%s); ", summary->has_workers ? "; " : "", pack.name, pack.reason);
        add_models(&text, engine);
    }
    fprintf(stderr, "%s\n", fm_text_chars(&text));
    fm_text_reset(&text);
}

void fm_json_providers(struct json *json, const fm_engine *engine) {
    fm_model_info model;
    char stem[256];
    fm_json_object_open(json, "providers");
    for (size_t i = 0; engine && fm_engine_model(engine, i, &model); i++) {
        fm_model_stem(model.file, stem, sizeof stem);
        fm_json_string(json, stem, model.provider);
    }
    fm_json_object_close(json);
    fm_json_object_open(json, "passed_over");
    for (size_t i = 0; engine && fm_engine_model(engine, i, &model); i++) {
        fm_model_stem(model.file, stem, sizeof stem);
        if (model.passed_over && model.passed_over[0])
            fm_json_string(json, stem, model.passed_over);
    }
    fm_json_object_close(json);
    fm_json_array_open(json, "models");
    for (size_t i = 0; engine && fm_engine_model(engine, i, &model); i++) {
        fm_json_object_open(json, NULL);
        fm_json_string(json, "file", model.file);
        fm_json_string(json, "task", model.task);
        fm_json_string(json, "provider", model.provider);
        fm_json_string(json, "detail", model.detail);
        fm_json_string(json, "precision", model.precision);
        fm_json_integer(json, "max_batch", model.max_batch);
        fm_json_string(json, "batch_note", model.batch_note);
        fm_json_integer(json, "lanes", model.lanes);
        fm_json_bool(json, "input_u8", model.input_u8);
        fm_json_object_close(json);
    }
    fm_json_array_close(json);
}

static void json_sources(struct json *json, const struct summary *summary) {
    fm_json_array_open(json, "sources");
    for (size_t i = 0; i < summary->source_count; i++) {
        fm_json_object_open(json, NULL);
        fm_json_string(json, "source", summary->sources[i].name);
        fm_json_integer(json, "images", (int64_t)summary->sources[i].images);
        fm_json_object_close(json);
    }
    fm_json_array_close(json);
}

fm_status fm_summary_write(const struct summary *summary, const fm_engine *engine, const char *path, fm_error *error) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_pack_info none = {.name = "", .path = "", .reason = "", .id = ""};
    fm_pack_info pack = engine ? fm_engine_pack(engine) : none;
    fm_json_object_open(&json, NULL);
    fm_json_integer(&json, "output_version", OUTPUT_VERSION);
    fm_json_integer(&json, "images", (int64_t)summary->images);
    fm_json_integer(&json, "faces", (int64_t)summary->faces);
    fm_json_integer(&json, "errors", (int64_t)summary->errors);
    fm_json_number(&json, "seconds", summary->seconds);
    fm_json_number(&json, "images_per_s", rate(summary));
    fm_json_string(&json, "pack", pack.name);
    fm_json_string(&json, "pack_path", pack.path);
    fm_json_string(&json, "pack_reason", pack.reason);
    fm_json_string(&json, "pack_id", pack.id);
    fm_json_providers(&json, engine);
    if (summary->has_workers)
        json_sources(&json, summary);
    fm_json_bool(&json, "interrupted", summary->interrupted != 0);
    fm_json_integer(&json, "peak_memory_bytes", (int64_t)fm_memory_figures().process_peak);
    fm_json_object_close(&json);
    fm_text_add(&text, "\n");
    fm_status status = text.failed ? fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while writing the summary")
                                   : fm_file_write(path, text.chars, text.length, error);
    fm_text_reset(&text);
    return status;
}
