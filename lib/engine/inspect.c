/* Inspect: which packs lie around and what their files are, for `models` and `doctor`. Opens no engine and runs
   nothing. */
#include "base/sha256.h"
#include "engine/engine.h"
#include "models/builtin.h"
#include "models/route.h"
#include "onnx/cost.h"

#include <stdio.h>
#include <string.h>

struct pack_walk {
    fm_model_visitor visitor;
    void *user;
    const char *folder;
    const struct manifest *manifest; /* NULL when the folder has none */
    bool alone;                      /* one file was named, not its folder */
    size_t count;
    const char *inner_name; /* a folder of this name ... */
    bool has_inner;         /* ... is inside */
};

/* What is said of one file: the storage of a fm_model_file. */
struct file_words {
    char input[2048], outputs[2048], operators[2048], note[512], sha256[65], typical_input[256];
    const char *about[FM_MANIFEST_ABOUT + 1], *pack_about[FM_MANIFEST_ABOUT + 1];
    struct graph_cost cost;
    fm_error error;
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

/* The shape that the figures are for, and the figures. */
static void describe_cost(const struct graph *graph, const struct manifest_model *said, fm_model_file *model,
                          struct file_words *words) {
    int64_t dims[FM_MAX_RANK] = {0};
    size_t used = 0;
    fm_error error = {0};
    const int rank = fm_graph_typical_input(graph, said ? said->width : 0, said ? said->height : 0, dims);
    if (rank < 0) {
        model->cost_note = fm_graph_input_count(graph) == 1 ? "its input says too little about its shape"
                                                            : "it does not take one input";
        return;
    }
    for (int i = 0; i < rank && used < sizeof words->typical_input; i++)
        used += (size_t)snprintf(words->typical_input + used, sizeof words->typical_input - used, "%s%lld",
                                 i ? "x" : "", (long long)dims[i]);
    if (fm_graph_cost(graph, dims, rank, &words->cost, &error) != FM_OK) {
        (void)snprintf(words->cost.note, sizeof words->cost.note, "%.500s", error.message);
        return;
    }
    model->macs = words->cost.macs;
    model->weight_bytes = words->cost.weight_bytes;
    model->activation_bytes = words->cost.activation_bytes;
}

static void describe_graph(const struct graph *graph, const struct manifest_model *said, bool unlisted,
                           fm_model_file *model, struct file_words *words) {
    const struct model_family *family = NULL;
    if (unlisted)
        (void)snprintf(words->note, sizeof words->note, "not listed in " FM_MANIFEST_FILE ": not used");
    else
        family = fm_route_said(graph, said, words->note, sizeof words->note);
    model->task = family ? fm_task_name(family->task) : "";
    model->family = family ? family->name : "";
    if (family)
        words->note[0] = 0;
    if (fm_graph_input_count(graph) > 0) {
        const struct graph_value value = fm_graph_input(graph, 0);
        value_words(&value, words->input, sizeof words->input);
    }
    output_words(graph, words->outputs, sizeof words->outputs);
    fm_graph_operators(graph, words->operators, sizeof words->operators);
    model->parameters = fm_graph_parameter_count(graph);
    model->opset = fm_graph_opset(graph);
    model->node_count = (int)fm_graph_node_count(graph);
    describe_cost(graph, said, model, words);
}

/* The digest, and whether it and the size are those that the manifest has. */
static fm_status check_bytes(const struct buffer *bytes, const struct manifest_model *said, const char *file,
                             char sha256[65], fm_error *error) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, bytes->bytes, bytes->size);
    fm_sha256_hex(&sha, sha256);
    if (said && said->sha256[0] && strcmp(said->sha256, sha256) != 0)
        return fm_fail(
            error, FM_BAD_MODEL,
            "'%s' has SHA-256 %s, its manifest says %s: the file is damaged or another one; install the pack "
            "again",
            file, sha256, said->sha256);
    if (said && said->bytes > 0 && said->bytes != bytes->size)
        return fm_fail(error, FM_BAD_MODEL,
                       "'%s' has %zu bytes, its manifest says %llu: the file is damaged or another one; install the "
                       "pack again",
                       file, bytes->size, (unsigned long long)said->bytes);
    return FM_OK;
}

static void read_file(const struct pack_walk *walk, const struct manifest_model *said, fm_model_file *model,
                      struct file_words *words) {
    struct buffer bytes = {0};
    struct graph *graph = NULL;
    const bool unlisted = walk->manifest && !said && !walk->alone;
    model->status = fm_pack_file_read(model->path, (uint64_t)2 << 30, &bytes, &words->error);
    if (model->status == FM_OK) {
        fm_error unread = {0};
        model->bytes = bytes.size;
        model->status = check_bytes(&bytes, said, model->file, words->sha256, &words->error);
        /* a damaged file may still be a graph: what it says is shown beside the failure */
        const fm_status status = fm_graph_read(bytes.bytes, bytes.size, model->file, &graph, &unread);
        if (status != FM_OK && model->status == FM_OK)
            model->status = fm_fail(&words->error, status, "%s", unread.message);
    }
    if (graph)
        describe_graph(graph, said, unlisted, model, words);
    fm_graph_close(graph);
    fm_buffer_reset(&bytes);
}

/* The texts, with a NULL behind the last. */
static void take_about(const struct manifest *manifest, const struct manifest_model *said,
                       const char *about[FM_MANIFEST_ABOUT + 1]) {
    for (size_t i = 0; i < FM_MANIFEST_ABOUT; i++)
        about[i] = fm_manifest_about(manifest, said, i);
    about[FM_MANIFEST_ABOUT] = NULL;
}

/* `path` of a file that is there, or that the manifest alone has; `file` is its name in the pack. */
static void visit_file(struct pack_walk *walk, const char *path, const char *file, bool missing) {
    struct file_words words = {.input = ""};
    const struct manifest_model *said = fm_manifest_model(walk->manifest, file);
    fm_model_file model = {.file = file,
                           .path = path,
                           .sha256 = words.sha256,
                           .task = "",
                           .family = "",
                           .note = words.note,
                           .input = words.input,
                           .outputs = words.outputs,
                           .operators = words.operators,
                           .expected_sha256 = said ? said->sha256 : "",
                           .licence = said && said->licence[0]                   ? said->licence
                                      : walk->manifest && (said || !walk->alone) ? walk->manifest->licence
                                                                                 : "",
                           .typical_input = words.typical_input,
                           .cost_note = words.cost.note,
                           .about = words.about,
                           .pack_about = words.pack_about};
    if (said)
        take_about(walk->manifest, said, words.about);
    if (said || !walk->alone)
        take_about(walk->manifest, NULL, words.pack_about);
    if (missing)
        model.status =
            fm_fail(&words.error, FM_NOT_FOUND,
                    "'%s' is listed in " FM_MANIFEST_FILE ", but not in the folder; install the pack again", file);
    else
        read_file(walk, said, &model, &words);
    if (model.status != FM_OK)
        model.note = words.error.message;
    walk->visitor(&model, walk->user);
    walk->count++;
}

static bool visit_entry(const char *name, enum os_path_kind kind, void *user) {
    struct pack_walk *walk = user;
    const size_t length = strlen(name);
    char path[OS_PATH_SIZE];
    walk->has_inner = walk->has_inner || (kind == OS_PATH_FOLDER && strcmp(name, walk->inner_name) == 0);
    if (kind == OS_PATH_FILE && length > 5 && strcmp(name + length - 5, ".onnx") == 0 &&
        fm_path_join(path, sizeof path, walk->folder, name))
        visit_file(walk, path, name, false);
    return true;
}

/* What the manifest lists and the folder's own entries did not show: files in folders inside, and missing ones. */
static void visit_listed(struct pack_walk *walk) {
    char path[OS_PATH_SIZE];
    for (size_t i = 0; walk->manifest && i < walk->manifest->model_count; i++) {
        const char *file = walk->manifest->models[i].file;
        if (!fm_path_join(path, sizeof path, walk->folder, file))
            continue;
        const bool missing = fm_pack_path_kind(path) == OS_PATH_NONE;
        if (missing || strchr(file, '/'))
            visit_file(walk, path, file, missing);
    }
}

/* The last part of `path`, of a folder named "." too. */
static const char *folder_name(const char *path, char *real, size_t size) {
    const char *whole = fm_path_real(path, real, size) ? real : path;
    const char *slash = strrchr(whole, '/');
    return slash ? slash + 1 : whole;
}

static fm_status visit_folder(struct pack_walk *walk, fm_error *error) {
    struct manifest *manifest = NULL;
    fm_error unread = {0};
    const fm_status read = fm_manifest_read(walk->folder, &manifest, &unread);
    walk->manifest = manifest;
    fm_status status = fm_pack_folder_visit(walk->folder, visit_entry, walk, error);
    if (status == FM_OK)
        visit_listed(walk);
    if (status == FM_OK && read != FM_OK) /* the files were shown; the pack cannot be opened all the same */
        status = fm_fail(error, read, "%s", unread.message);
    walk->manifest = NULL;
    fm_manifest_close(manifest);
    return status;
}

static void visit_alone(struct pack_walk *walk, const char *path) {
    char folder[OS_PATH_SIZE];
    struct manifest *manifest = NULL;
    fm_error unread = {0};
    const char *slash = strrchr(path, '/');
    const int length = slash ? (int)(slash - path) + 1 : 0;
    (void)snprintf(folder, sizeof folder, "%.*s", length ? length : 1, length ? path : ".");
    if (fm_manifest_read(folder, &manifest, &unread) == FM_OK) /* a broken one is the pack's failure, not the file's */
        walk->manifest = manifest;
    walk->alone = true;
    visit_file(walk, path, slash ? slash + 1 : path, false);
    fm_manifest_close(manifest);
}

fm_status fm_pack_visit(const char *pack, fm_model_visitor visitor, void *user, char *path_out, size_t path_size,
                        fm_error *error) {
    char path[OS_PATH_SIZE], inner[OS_PATH_SIZE], real[OS_PATH_SIZE], reason[64];
    fm_error_clear(error);
    fm_status status = fm_pack_find(pack, "caller", path, sizeof path, reason, sizeof reason, error);
    if (status != FM_OK)
        return status;
    struct pack_walk walk = {.visitor = visitor, .user = user, .folder = path};
    walk.inner_name = folder_name(path, real, sizeof real);
    if (fm_pack_path_kind(path) == OS_PATH_FOLDER)
        status = visit_folder(&walk, error);
    else
        visit_alone(&walk, path);
    /* an archive that unpacks into a folder of its own name leaves one inside the other: the inner one is the pack */
    if (status == FM_OK && walk.count == 0 && walk.has_inner &&
        fm_path_join(inner, sizeof inner, path, walk.inner_name)) {
        (void)snprintf(path, sizeof path, "%s", inner);
        status = visit_folder(&walk, error);
    }
    if (path_out && path_size)
        (void)snprintf(path_out, path_size, "%s", path);
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
    /* what is hidden is a pack being put in place, or put away */
    if (kind == OS_PATH_FOLDER && name[0] != '.' && fm_path_join(path, sizeof path, walk->folder, name))
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
    if (fm_builtin_find(NULL, root, sizeof root))
        visitor(fm_builtin_pack.name, root, FM_BUILTIN_REASON, user);
}
