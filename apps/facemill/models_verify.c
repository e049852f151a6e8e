/* facemill models verify: read every file, open the pack, run each model. */
#include "drawn.h"
#include "models.h"
#include "record.h"

#include <math.h>
#include <string.h>

static void report_file(struct output *output, const fm_model_file *model, const char *note) {
    const char *verdict = model->status ? "FAIL" : model->task[0] ? "pass" : "unused";
    if (output->table) {
        struct text file = {0};
        fm_text_add_visible(&file, model->file);
        fm_text_add(&output->text, "%-6s %-32s %s%s", verdict, fm_text_chars(&file), model->task, note[0] ? "  " : "");
        fm_text_add_visible(&output->text, note);
        fm_text_add(&output->text, "\n");
        fm_text_reset(&file);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "file", model->file);
    fm_json_string(&output->json, "verdict", verdict);
    fm_json_string(&output->json, "status", fm_status_name(model->status));
    fm_json_string(&output->json, "task", model->task);
    fm_json_string(&output->json, "sha256", model->sha256);
    fm_json_string(&output->json, "note", note);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

static void check_file(const fm_model_file *model, void *user) {
    struct visit *visit = user;
    struct text note = {0};
    visit->files++;
    visit->bad += model->status != FM_OK;
    visit->useful += model->task[0] != 0;
    fm_text_add(&note, "%s", model->note);
    if (model->status == FM_OK && !model->expected_sha256[0])
        fm_text_add(&note, "%sno digest: not compared", note.length ? "; " : "");
    report_file(visit->output, model, fm_text_chars(&note));
    fm_text_reset(&note);
}

/* What was installed came with a manifest; without it no digest is compared, and a changed file would pass. */
static void check_manifest(struct visit *visit, const char *pack) {
    char receipt[OS_PATH_SIZE], manifest[OS_PATH_SIZE];
    const fm_model_file missing = {.file = "manifest.json", .task = "", .sha256 = "", .status = FM_NOT_FOUND};
    if (!fm_path_join(receipt, sizeof receipt, pack, ".installed.json") ||
        !fm_path_join(manifest, sizeof manifest, pack, "manifest.json") || fm_path_kind(receipt) != OS_PATH_FILE ||
        fm_path_kind(manifest) != OS_PATH_NONE)
        return;
    visit->bad++;
    report_file(visit->output, &missing,
                "the pack was installed with a manifest, which is not there: nothing can be compared; install it "
                "again with --replace");
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

fm_status fm_models_verify(struct program *program, struct output *output, bool *failed, fm_error *error) {
    const struct config *config = &program->config;
    struct visit visit = {.output = output};
    struct engine_settings settings;
    fm_engine *engine = NULL;
    fm_error failure = {0};
    char path[OS_PATH_SIZE] = "";
    fm_status status = fm_models_visit(config, check_file, &visit, path, sizeof path, error);
    if (status)
        return status;
    check_manifest(&visit, path);
    status = fm_models_settings(&settings, config, error);
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
