/* facemill models show: what the files of a pack are, what running one takes, and which providers run it. */
#include "models.h"
#include "record.h"

#include "base/os.h"

#include <string.h>

#define MEBIBYTE 1048576.0

struct show {
    struct visit visit; /* first: fm_models_visit hands its address to show_file */
    const fm_engine_options *options;
    bool whole_pack;   /* of providers, only those that are there */
    struct text about; /* the pack's, for the table: each of its files has it */
};

/* ---- providers */

struct support_list {
    struct output *output;
    bool only_available;
};

static void show_support(const fm_model_support *support, void *user) {
    const struct support_list *list = user;
    struct json *json = &list->output->json;
    if (list->only_available && support->status == FM_NO_PROVIDER)
        return;
    if (list->output->table) {
        const char *verdict = support->status == FM_OK            ? (support->words[0] ? "in part" : "runs")
                              : support->status == FM_NO_PROVIDER ? "not here"
                                                                  : "fails";
        fm_text_add(&list->output->text, "  %-13s %s%s%s\n", support->provider, verdict, support->words[0] ? ": " : "",
                    support->words);
        return;
    }
    fm_json_object_open(json, NULL);
    fm_json_string(json, "provider", support->provider);
    fm_json_string(json, "status", fm_status_name(support->status));
    fm_json_string(json, "words", support->words);
    fm_json_object_close(json);
}

/* Words when the file cannot be tried at all. */
static void show_providers(const struct show *show, const fm_model_file *model) {
    struct output *output = show->visit.output;
    struct support_list list = {output, show->whole_pack};
    fm_error error = {0};
    if (!output->table)
        fm_json_array_open(&output->json, "providers");
    if (model->operators[0]) /* the graph was read */
        (void)!fm_model_visit_support(model->path, show->options, show_support, &list, &error);
    if (!output->table) {
        fm_json_array_close(&output->json);
        fm_json_string(&output->json, "providers_note", error.message);
    } else if (error.status) {
        fm_text_add(&output->text, "  providers     not tried: %s\n", error.message);
    }
}

/* ---- what its maker wants to be known */

static void table_about(struct text *text, const char *const *about) {
    for (; *about; about++) {
        fm_text_add(text, "  about         ");
        fm_text_add_visible(text, *about);
        fm_text_add(text, "\n");
    }
}

static void json_about(struct json *json, const char *key, const char *const *about) {
    fm_json_array_open(json, key);
    for (; *about; about++)
        fm_json_string(json, NULL, *about);
    fm_json_array_close(json);
}

/* ---- one file */

/* "0.52 G": two digits behind the point and at most three before it, where that can be. */
static void add_count(struct text *text, uint64_t count) {
    double value = (double)count;
    const char *unit = value >= 1e8 ? "G" : value >= 1e5 ? "M" : "k";
    double by = value >= 1e8 ? 1e9 : value >= 1e5 ? 1e6 : 1e3;
    fm_text_add(text, "%.2f %s", value / by, unit);
}

static void table_cost(struct text *text, const fm_model_file *model) {
    if (model->typical_input[0] && (model->macs || model->activation_bytes)) {
        fm_text_add(text, "  work          ");
        add_count(text, model->macs);
        fm_text_add(text, " multiply-adds for %s\n", model->typical_input);
        fm_text_add(text, "  memory        %.2f MiB of weights, %.2f MiB of tensors at once\n",
                    (double)model->weight_bytes / MEBIBYTE, (double)model->activation_bytes / MEBIBYTE);
    }
    if (model->cost_note[0])
        fm_text_add(text, "  not counted   %s\n", model->cost_note);
}

static void table_digest(struct text *text, const fm_model_file *model) {
    const char *verdict = "";
    if (model->sha256[0] && model->expected_sha256[0])
        verdict = strcmp(model->sha256, model->expected_sha256) == 0 ? "  (the manifest's)" : "  (NOT the manifest's)";
    if (model->sha256[0])
        fm_text_add(text, "  sha256        %s%s\n", model->sha256, verdict);
    if (model->expected_sha256[0] && strcmp(model->sha256, model->expected_sha256) != 0)
        fm_text_add(text, "  expected      %s\n", model->expected_sha256);
}

static void table_file(struct text *text, const fm_model_file *model) {
    fm_text_add(text, "%s\n", model->file);
    if (model->status)
        fm_text_add(text, "  status        %s\n", fm_status_name(model->status));
    if (model->operators[0]) {
        fm_text_add(text, "  task          %s%s%s\n", model->task[0] ? model->task : "none",
                    model->family[0] ? ", " : "", model->family);
        fm_text_add(text, "  input         %s\n  outputs       %s\n  operators     %s\n", model->input, model->outputs,
                    model->operators);
        fm_text_add(text, "  size          %.2f MiB, %llu parameters, %d nodes, opset %lld\n",
                    (double)model->bytes / MEBIBYTE, (unsigned long long)model->parameters, model->node_count,
                    (long long)model->opset);
        table_cost(text, model);
    }
    table_digest(text, model);
    if (model->licence[0])
        fm_text_add(text, "  licence       %s\n", model->licence);
    table_about(text, model->about);
    if (model->note[0])
        fm_text_add(text, "  note          %s\n", model->note);
}

static void json_file(struct json *json, const fm_model_file *model) {
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
    fm_json_string(json, "typical_input", model->typical_input);
    /* beyond 2^63 there is no figure, and the note says so */
    fm_json_integer(json, "macs", model->macs > INT64_MAX ? INT64_MAX : (int64_t)model->macs);
    fm_json_integer(json, "weight_bytes", model->weight_bytes > INT64_MAX ? INT64_MAX : (int64_t)model->weight_bytes);
    fm_json_integer(json, "activation_bytes",
                    model->activation_bytes > INT64_MAX ? INT64_MAX : (int64_t)model->activation_bytes);
    fm_json_string(json, "cost_note", model->cost_note);
    fm_json_string(json, "sha256", model->sha256);
    fm_json_string(json, "expected_sha256", model->expected_sha256);
    fm_json_string(json, "licence", model->licence);
    json_about(json, "about", model->about);
    json_about(json, "pack_about", model->pack_about);
    fm_json_string(json, "note", model->note);
}

static void show_file(const fm_model_file *model, void *user) {
    struct show *show = user;
    struct output *output = show->visit.output;
    show->visit.files++;
    show->visit.bad += model->status != FM_OK;
    show->visit.useful += model->task[0] != 0;
    if (output->table) {
        if (!fm_text_chars(&show->about)[0])
            table_about(&show->about, model->pack_about);
        table_file(&output->text, model);
        show_providers(show, model);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    json_file(&output->json, model);
    show_providers(show, model);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

/* A file on the disk, or one of the pack inside the library, "builtin:NAME/FILE". */
static bool names_file(const char *wanted) {
    static const char builtin[] = "builtin:";
    const bool inside = strncmp(wanted, builtin, sizeof builtin - 1) == 0;
    const char *slash = strchr(wanted, '/');
    return fm_path_kind(wanted) == OS_PATH_FILE || (inside && slash && slash[1]);
}

fm_status fm_models_show(struct program *program, struct output *output, bool *failed, fm_error *error) {
    (void)failed; /* shows; `verify` judges */
    const struct config *config = &program->config;
    struct engine_settings settings;
    char path[OS_PATH_SIZE] = "";
    fm_status status = fm_models_settings(&settings, config, error);
    if (status)
        return status;
    const char *wanted = config->argument_count > 1 ? config->arguments[1] : settings.options.pack;
    struct show show = {
        .visit = {.output = output}, .options = &settings.options, .whole_pack = !wanted || !names_file(wanted)};
    status = fm_models_visit(config, show_file, &show.visit, path, sizeof path, error);
    if (!status && output->table && show.whole_pack)
        fm_text_add(&output->text, "%d files in %s\n%s", show.visit.files, path, fm_text_chars(&show.about));
    fm_text_reset(&show.about);
    fm_program_settings_reset(&settings);
    return status;
}
