/* Inspect: which packs lie around and what their files are, for `models` and `doctor`. Opens no engine. */
#include "base/sha256.h"
#include "engine/engine.h"
#include "models/route.h"

#include <stdio.h>
#include <string.h>

struct pack_walk {
    fm_model_visitor visitor;
    void *user;
    const char *folder;
    size_t count;
};

static void value_words(const struct graph_value *value, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "%s %s[", value->name, fm_dtype_name(value->dtype));
    for (int i = 0; i < value->rank && used < size; i++) {
        const char *comma = i ? "," : "";
        used += value->dims[i] < 0
                    ? (size_t)snprintf(out + used, size - used, "%s?", comma)
                    : (size_t)snprintf(out + used, size - used, "%s%lld", comma, (long long)value->dims[i]);
    }
    if (used < size)
        (void)snprintf(out + used, size - used, "]");
}

static void output_words(const struct graph *graph, char *out, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < fm_graph_output_count(graph) && used < size; i++) {
        const struct graph_value value = fm_graph_output(graph, i);
        char words[300];
        value_words(&value, words, sizeof words);
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", words);
    }
}

static void describe_graph(const struct graph *graph, fm_model_file *model, char *input, char *outputs, char *operators,
                           size_t size, char *walk_note, size_t note_size) {
    const struct model_family *family = fm_route(graph, walk_note, note_size);
    model->task = family ? fm_task_name(family->task) : "";
    model->family = family ? family->name : "";
    model->note = family ? "" : walk_note;
    if (fm_graph_input_count(graph) > 0) {
        const struct graph_value value = fm_graph_input(graph, 0);
        value_words(&value, input, size);
    }
    output_words(graph, outputs, size);
    fm_graph_operators(graph, operators, size);
    model->parameters = fm_graph_parameter_count(graph);
    model->opset = fm_graph_opset(graph);
    model->node_count = (int)fm_graph_node_count(graph);
}

static void visit_file(struct pack_walk *walk, const char *path) {
    char input[2048] = "", outputs[2048] = "", operators[2048] = "", note[512] = "", sha256[65] = "";
    struct buffer bytes = {0};
    struct graph *graph = NULL;
    fm_error error = {0};
    const char *slash = strrchr(path, '/');
    fm_model_file model = {.file = slash ? slash + 1 : path,
                           .path = path,
                           .sha256 = sha256,
                           .task = "",
                           .family = "",
                           .input = input,
                           .outputs = outputs,
                           .operators = operators,
                           .expected_sha256 = "",
                           .licence = "",
                           .typical_input = "",
                           .cost_note = ""};
    model.status = fm_file_read(path, (uint64_t)2 << 30, &bytes, &error);
    if (model.status == FM_OK) {
        struct sha256 sha;
        fm_sha256_init(&sha);
        fm_sha256_add(&sha, bytes.bytes, bytes.size);
        fm_sha256_hex(&sha, sha256);
        model.bytes = bytes.size;
        model.status = fm_graph_read(bytes.bytes, bytes.size, model.file, &graph, &error);
    }
    if (model.status == FM_OK)
        describe_graph(graph, &model, input, outputs, operators, sizeof input, note, sizeof note);
    else
        model.note = error.message;
    walk->visitor(&model, walk->user);
    walk->count++;
    fm_graph_close(graph);
    fm_buffer_reset(&bytes);
}

static bool visit_entry(const char *name, enum os_path_kind kind, void *user) {
    struct pack_walk *walk = user;
    const size_t length = strlen(name);
    char path[4096];
    if (kind == OS_PATH_FILE && length > 5 && strcmp(name + length - 5, ".onnx") == 0 &&
        fm_path_join(path, sizeof path, walk->folder, name))
        visit_file(walk, path);
    return true;
}

fm_status fm_pack_visit(const char *pack, fm_model_visitor visitor, void *user, char *path_out, size_t path_size,
                        fm_error *error) {
    char path[4096], reason[64];
    fm_error_clear(error);
    fm_status status = fm_pack_find(pack, "caller", path, sizeof path, reason, sizeof reason, error);
    if (status != FM_OK)
        return status;
    if (path_out && path_size)
        (void)snprintf(path_out, path_size, "%s", path);
    struct pack_walk walk = {visitor, user, path, 0};
    if (fm_path_kind(path) == OS_PATH_FOLDER)
        status = fm_folder_visit(path, visit_entry, &walk, error);
    else
        visit_file(&walk, path);
    if (status == FM_OK && walk.count == 0)
        status = fm_fail(error, FM_NOT_FOUND,
                         "'%s' holds no .onnx file; name a folder that does, such as an unpacked buffalo_l", path);
    return status;
}

struct packs_walk {
    fm_pack_visitor visitor;
    void *user;
    const char *folder, *reason;
};

static bool visit_pack(const char *name, enum os_path_kind kind, void *user) {
    const struct packs_walk *walk = user;
    char path[4096];
    if (kind == OS_PATH_FOLDER && fm_path_join(path, sizeof path, walk->folder, name))
        walk->visitor(name, path, walk->reason, walk->user);
    return true;
}

static void visit_packs_in(const char *root, bool found, const char *below, const char *reason, fm_pack_visitor visitor,
                           void *user) {
    char folder[4096];
    struct packs_walk walk = {visitor, user, folder, reason};
    fm_error error = {0};
    if (found && fm_path_join(folder, sizeof folder, root, below) && fm_path_kind(folder) == OS_PATH_FOLDER)
        (void)(fm_folder_visit(folder, visit_pack, &walk, &error) ==
               FM_OK); /* an unreadable folder has no packs to show */
}

void fm_packs_visit(fm_pack_visitor visitor, void *user) {
    char root[1024];
    const char *named = fm_environment("FM_PACK");
    if (named)
        visitor(named, named, "FM_PACK", user);
    bool found = fm_data_folder(root, sizeof root);
    visit_packs_in(root, found, "packs", "installed", visitor, user);
    found = fm_home_folder(root, sizeof root);
    visit_packs_in(root, found, ".insightface/models", "used only when named", visitor, user);
}
