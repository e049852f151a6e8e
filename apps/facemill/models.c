/* facemill models: which packs there are, what is in one, and whether it works. */
#include "drawn.h"
#include "output.h"
#include "program.h"
#include "summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- list */

static void list_pack(const char *name, const char *path, const char *reason, void *user) {
    struct output *output = user;
    if (output->table) {
        fm_text_add(&output->text, "%-24s %-12s %s\n", name, reason, path);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "pack", name);
    fm_json_string(&output->json, "path", path);
    fm_json_string(&output->json, "reason", reason);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

static fm_status models_list(struct program *program, struct output *output, fm_error *error) {
    (void)error;
    fm_packs_visit(list_pack, output);
    if (output->text.length == 0 && !fm_config_flag(&program->config, OPT_QUIET))
        fputs("facemill: no pack is installed; name a folder of ONNX files with --pack\n", stderr);
    return FM_OK;
}

/* ---- show and verify */

struct visit {
    struct output *output;
    int files, bad, useful; /* useful: detection or recognition */
};

static void show_file(const fm_model_file *model, void *user) {
    struct visit *visit = user;
    struct output *output = visit->output;
    struct json *json = &output->json;
    visit->files++;
    visit->bad += model->status != FM_OK;
    visit->useful += model->task[0] != 0;
    if (output->table) {
        struct text *text = &output->text;
        fm_text_add(text, "%s\n  task        %s%s%s\n", model->file, model->task[0] ? model->task : "none",
                    model->family[0] ? ", " : "", model->family);
        fm_text_add(text, "  input       %s\n  outputs     %s\n  operators   %s\n", model->input, model->outputs,
                    model->operators);
        fm_text_add(text, "  size        %llu bytes, %llu parameters, %d nodes, opset %lld\n",
                    (unsigned long long)model->bytes, (unsigned long long)model->parameters, model->node_count,
                    (long long)model->opset);
        fm_text_add(text, "  sha256      %s\n", model->sha256);
        if (model->note[0])
            fm_text_add(text, "  note        %s\n", model->note);
        return;
    }
    fm_json_object_open(json, NULL);
    fm_json_string(json, "file", model->file);
    fm_json_string(json, "path", model->path);
    fm_json_string(json, "status", fm_status_name(model->status));
    fm_json_string(json, "task", model->task);
    fm_json_string(json, "family", model->family);
    fm_json_string(json, "input", model->input);
    fm_json_string(json, "outputs", model->outputs);
    fm_json_string(json, "operators", model->operators);
    fm_json_integer(json, "bytes", (int64_t)model->bytes);
    fm_json_integer(json, "parameters", (int64_t)model->parameters);
    fm_json_integer(json, "nodes", model->node_count);
    fm_json_integer(json, "opset", model->opset);
    fm_json_string(json, "sha256", model->sha256);
    fm_json_string(json, "note", model->note);
    fm_json_object_close(json);
    fm_output_end_line(output);
}

/* The second argument, or --pack. */
static const char *wanted_pack(const struct config *config) {
    return config->argument_count > 1 ? config->arguments[1] : fm_config_text(config, OPT_PACK);
}

/* Options for opening the pack that was named, by whomever. */
static fm_status pack_settings(struct engine_settings *settings, const struct config *config, fm_error *error) {
    fm_status status = fm_program_settings(settings, config, error);
    if (config->argument_count > 1) {
        settings->options.pack = config->arguments[1];
        snprintf(settings->pack_source, sizeof settings->pack_source, "the argument of 'models %s'",
                 config->arguments[0]);
        settings->options.pack_source = settings->pack_source;
    }
    return status;
}

/* fm_pack_visit; when there is no such pack, the words are those of opening it, which say who named it. */
static fm_status visit_pack(const struct config *config, fm_model_visitor visitor, struct visit *visit, char *path,
                            size_t path_size, fm_error *error) {
    struct engine_settings settings;
    fm_engine *engine = NULL;
    fm_error unnamed = {0}, named = {0};
    fm_status status = fm_pack_visit(wanted_pack(config), visitor, visit, path, path_size, &unnamed);
    if (status == FM_NOT_FOUND) {
        if (!pack_settings(&settings, config, &named))
            (void)!fm_engine_open(&settings.options, &engine, &named); /* fails likewise; its words are in `named` */
        fm_engine_close(engine);
        fm_program_settings_reset(&settings);
    }
    const fm_error *best = named.status == FM_NOT_FOUND ? &named : &unnamed;
    return status ? fm_fail(error, status, "%s", best->message) : FM_OK;
}

static fm_status models_show(struct program *program, struct output *output, fm_error *error) {
    struct visit visit = {.output = output};
    char path[4096] = "";
    fm_status status = visit_pack(&program->config, show_file, &visit, path, sizeof path, error);
    if (!status && output->table)
        fm_text_add(&output->text, "%d files in %s\n", visit.files, path);
    return status;
}

static void check_file(const fm_model_file *model, void *user) {
    struct visit *visit = user;
    struct output *output = visit->output;
    const char *verdict = model->status ? "FAIL" : model->task[0] ? "pass" : "unused";
    visit->files++;
    visit->bad += model->status != FM_OK;
    visit->useful += model->task[0] != 0;
    if (output->table) {
        fm_text_add(&output->text, "%-6s %-32s %s%s%s\n", verdict, model->file, model->task, model->note[0] ? "  " : "",
                    model->note);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "file", model->file);
    fm_json_string(&output->json, "verdict", verdict);
    fm_json_string(&output->json, "status", fm_status_name(model->status));
    fm_json_string(&output->json, "task", model->task);
    fm_json_string(&output->json, "sha256", model->sha256);
    fm_json_string(&output->json, "note", model->note);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

static void report_open(struct output *output, const fm_engine *engine, const fm_error *failure) {
    if (output->table) {
        fm_text_add(&output->text, "%-6s open and run", failure->status ? "FAIL" : "pass");
        fm_model_info model;
        for (size_t i = 0; engine && fm_engine_model(engine, i, &model); i++)
            fm_text_add(&output->text, "%s %s on %s", i ? "," : ":", model.file, model.provider);
        fm_text_add(&output->text, "%s%s\n", failure->status ? ": " : "", failure->message);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "check", "open and run");
    fm_json_string(&output->json, "verdict", failure->status ? "FAIL" : "pass");
    fm_json_string(&output->json, "status", fm_status_name(failure->status));
    fm_json_string(&output->json, "message", failure->message);
    if (engine) {
        fm_json_string(&output->json, "pack_id", fm_engine_pack_id(engine));
        fm_json_providers(&output->json, engine);
    }
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

/* A drawn picture through the detector and a drawn crop through the recogniser: runs, and answers with numbers. */
static fm_status run_models(fm_engine *engine, fm_error *error) {
    enum { SIDE = 256 };
    int side = fm_engine_crop_size(engine), size = fm_engine_embedding_size(engine);
    struct buffer picture = {0}, crop = {0};
    fm_result *result = NULL;
    float *embedding = fm_alloc_array((size_t)size + 1, sizeof *embedding);
    fm_status status = FM_OK;
    if (!embedding || !fm_drawn_picture(&picture, SIDE, SIDE, 1, NULL) ||
        (size && !fm_drawn_picture(&crop, side, side, 1, NULL))) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for a picture");
        goto cleanup;
    }
    fm_pixels pixels = fm_drawn_pixels(&picture, SIDE, SIDE);
    fm_input input = fm_input_pixels(&pixels);
    status = fm_analyze(engine, &input, NULL, &result, error);
    if (!status && size)
        status = fm_embed_crops(engine, crop.bytes, 1, embedding, error);
    for (int i = 0; i < size && !status; i++) {
        if (!isfinite(embedding[i]))
            status =
                fm_fail(error, FM_BAD_MODEL, "the recogniser answers a drawn face with numbers that are not finite");
    }
cleanup:
    fm_result_free(result);
    fm_free(embedding);
    fm_buffer_reset(&picture);
    fm_buffer_reset(&crop);
    return status;
}

static fm_status models_verify(struct program *program, struct output *output, bool *failed, fm_error *error) {
    const struct config *config = &program->config;
    struct visit visit = {.output = output};
    struct engine_settings settings;
    fm_engine *engine = NULL;
    fm_error failure = {0};
    fm_status status = visit_pack(config, check_file, &visit, NULL, 0, error);
    if (status)
        return status;
    status = pack_settings(&settings, config, error);
    if (status)
        goto cleanup;
    if (fm_engine_open(&settings.options, &engine, &failure) == FM_NO_PROVIDER) {
        status = fm_fail(error, FM_NO_PROVIDER, "%s", failure.message); /* says nothing about the pack */
        goto cleanup;
    }
    if (!failure.status && run_models(engine, &failure))
        visit.bad++;
    report_open(output, engine, &failure);
    *failed = visit.bad > 0 || failure.status != FM_OK;
cleanup:
    fm_engine_close(engine);
    fm_program_settings_reset(&settings);
    return status;
}

int fm_command_models(struct program *program) {
    const struct config *config = &program->config;
    const char *action = config->argument_count ? config->arguments[0] : "";
    bool list = strcmp(action, "list") == 0, show = strcmp(action, "show") == 0, verify = strcmp(action, "verify") == 0;
    bool failed = false;
    struct output output;
    fm_error error = {0};
    if (!list && !show && !verify)
        return fm_complain_usage(config, "models takes list, show or verify, not '%s'", action);
    if (config->argument_count > (list ? 1u : 2u))
        return fm_complain_usage(config, "models %s: '%s' is one argument too many", action,
                                 config->arguments[config->argument_count - 1]);
    if (fm_output_open(&output, config, &error))
        return fm_complain(&error);
    fm_status status = list   ? models_list(program, &output, &error)
                       : show ? models_show(program, &output, &error)
                              : models_verify(program, &output, &failed, &error);
    (void)!fm_output_close(&output, status == FM_OK, &error); /* its words are in `error` */
    if (error.status)
        return fm_complain(&error);
    return failed ? EXIT_CHECK : EXIT_DONE;
}
