/* facemill models show: the files of a pack. */
#include "models.h"

#include <string.h>

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

fm_status fm_models_show(struct program *program, struct output *output, bool *failed, fm_error *error) {
    (void)failed;
    struct visit visit = {.output = output};
    char path[4096] = "";
    fm_status status = fm_models_visit(&program->config, show_file, &visit, path, sizeof path, error);
    if (!status && output->table)
        fm_text_add(&output->text, "%d files in %s\n", visit.files, path);
    return status;
}

