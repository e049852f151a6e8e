/* insightface's manifest V2 (python-package 2.0 and later): tasks by name, each with its file, digest and
   preprocessing. Read as its own loader reads it: known members are checked, unknown members and tasks are ignored. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/manifest_members.h"

#define LICENCE_FILE "MODEL.LICENSE"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* ---------------------------------------------------------------------- paths */

static bool add_part(char *out, size_t size, const char *part, size_t length) {
    size_t used = strlen(out);
    if (length == 0 || (length == 1 && part[0] == '.')) {
        return true; /* "a//b" and "./a" mean "a/b" and "a" */
    }
    if (length == 2 && part[0] == '.' && part[1] == '.') {
        return false;
    }
    return (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? "/" : "", (int)length, part) < size - used;
}

/* insightface strips what it reads. */
static const char *stripped(const char *text, char *out, size_t size) {
    size_t length = 0;
    text = text != NULL ? text + strspn(text, " \t\r\n\f\v") : "";
    for (size_t i = 0; text[i] != 0; i++) {
        length = strchr(" \t\r\n\f\v", text[i]) == NULL ? i + 1 : length;
    }
    snprintf(out, size, "%.*s", (int)(length < size ? length : 0), text); /* too long: empty, which is refused */
    return out;
}

/* A relative path that stays inside the folder, brought into its shortest form. */
static bool safe_path(const struct json_value *value, char *out, size_t size) {
    char path[1024];
    const char *next = stripped(fm_json_text(value), path, sizeof path);
    bool safe = path[0] != 0 && path[0] != '/' && strpbrk(path, "\\:") == NULL && fm_member_is_plain(path);
    out[0] = 0;
    while (safe && *next != 0) {
        size_t length = strcspn(next, "/");
        safe = add_part(out, size, next, length);
        next += length + (next[length] == '/');
    }
    return safe && out[0] != 0;
}

/* Ends in `name` as its last part, whole. */
static bool is_named(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    return strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

/* ---------------------------------------------------------------------- tasks */

/* Text that is not empty once stripped; `fallback` when it is missing. */
static fm_status read_stripped(const struct manifest_reader *reader, const struct json_value *object,
                               const char *member, const char *fallback, char *out, size_t size) {
    const struct json_value *value = fm_json_member(object, member);
    char expected[64];
    if (value == NULL) {
        snprintf(out, size, "%s", fallback);
        return FM_OK;
    }
    if (stripped(fm_json_text(value), out, size)[0] == 0 || !fm_member_is_plain(out)) {
        snprintf(expected, sizeof expected, "a text of 1 to %zu plain characters", size - 1);
        return fm_member_wrong(reader, member, value, expected);
    }
    return FM_OK;
}

/* "embedded": levels as they are; else exactly {mean, std}. */
static fm_status read_preprocessing(const struct manifest_reader *reader, const struct json_value *task,
                                    struct manifest_model *model) {
    static const char expected[] = "\"embedded\" or an object of exactly mean and std";
    const struct json_value *value = fm_json_member(task, "preprocessing");
    const struct json_value *mean = fm_json_member(value, "mean"), *std = fm_json_member(value, "std");
    struct manifest_reader inner = fm_member_below(reader, "preprocessing");
    const char *text = fm_json_text(value);
    if (value == NULL) {
        return FM_OK;
    }
    if (text != NULL && strcmp(text, "embedded") == 0) {
        model->mean = 0;
        model->std = 1;
        return FM_OK;
    }
    if (fm_json_count(value) != 2 || mean == NULL || std == NULL) {
        return fm_member_wrong(reader, "preprocessing", value, expected);
    }
    fm_status status =
        fm_member_number(&inner, value, "mean", -1e6, 1e6, "a number from -1000000 to 1000000", &model->mean);
    if (status == FM_OK) {
        status = fm_member_number(&inner, value, "std", 1e-6, 1e6, "a number from 0.000001 to 1000000", &model->std);
    }
    return status;
}

static fm_status read_detection(const struct manifest_reader *reader, const struct json_value *task,
                                struct manifest_model *model) {
    char version[128];
    snprintf(model->family, sizeof model->family, "scrfd");
    return read_stripped(reader, task, "preprocessing_version", "insightface-scrfd-1", version, sizeof version);
}

static fm_status read_verification(const struct manifest_reader *reader, const struct json_value *task,
                                   struct manifest_model *model) {
    float expansion = 1.3f;
    (void)model;
    return fm_member_number(reader, task, "expansion", 1e-6, 1e6, "a number above 0", &expansion);
}

static fm_status read_recognition(const struct manifest_reader *reader, const struct json_value *task,
                                  struct manifest_model *model) {
    const struct json_value *sides = fm_json_member(task, "input_size");
    char version[128];
    int64_t width = fm_json_whole(fm_json_item(sides, 0), 0), height = fm_json_whole(fm_json_item(sides, 1), 0);
    int64_t size = 512;
    snprintf(model->family, sizeof model->family, "arcface");
    if (sides == NULL) {
        width = height = 112;
    } else if (fm_json_count(sides) != 2 || width < 1 || width > FM_MANIFEST_SIDE || width != height) {
        return fm_member_wrong(reader, "input_size", sides, "two equal whole numbers, [112, 112] for example");
    }
    fm_status status =
        fm_member_whole(reader, task, "embedding_dimension", 65536, "a whole number from 1 to 65536", &size);
    model->width = model->height = model->crop_side = (int)width;
    model->embedding_size = (int)size;
    if (status == FM_OK) {
        status = read_stripped(reader, task, "preprocessing_version", "insightface-arcface-1", version, sizeof version);
    }
    return status;
}

static const struct task_row {
    const char *name;
    float mean, std;
    fm_status (*read)(const struct manifest_reader *reader, const struct json_value *task,
                      struct manifest_model *model);
} task_rows[] = {
    {"detection", 127.5f, 128.0f, read_detection},
    {"verification", 0, 1, read_verification},
    {"recognition", 127.5f, 127.5f, read_recognition},
};

static fm_status read_task(const struct manifest_reader *reader, const struct json_value *task,
                           const struct task_row *row, struct manifest_model *model) {
    const struct json_value *file = fm_json_member(task, "file");
    if (!safe_path(file, model->file, sizeof model->file) || !fm_member_ends_in_onnx(model->file)) {
        return fm_member_wrong(reader, "file", file, "a relative path of an .onnx file inside the folder");
    }
    snprintf(model->task, sizeof model->task, "%s", row->name);
    model->has_order = model->has_pixels = true; /* V2's networks take RGB */
    model->mean = row->mean;
    model->std = row->std;
    fm_status status = fm_member_sha256(reader, task, model->sha256);
    if (status == FM_OK) {
        status = read_preprocessing(reader, task, model);
    }
    return status == FM_OK ? row->read(reader, task, model) : status;
}

static fm_status read_tasks(const struct manifest_reader *reader, const struct json_value *top,
                            struct manifest *manifest) {
    const struct json_value *tasks = fm_json_member(top, "tasks");
    struct manifest_reader inside = fm_member_below(reader, "tasks");
    if (!fm_json_is_object(tasks)) {
        return fm_member_wrong(reader, "tasks", tasks, "an object with detection, verification, recognition");
    }
    for (size_t i = 0; i < sizeof task_rows / sizeof *task_rows; i++) {
        const struct json_value *task = NULL;
        struct manifest_model *model = &manifest->models[manifest->model_count];
        struct manifest_reader inner = fm_member_below(&inside, task_rows[i].name);
        fm_status status = fm_member_object(&inside, tasks, task_rows[i].name, &task);
        if (status == FM_OK && task != NULL) {
            status = read_task(&inner, task, &task_rows[i], model);
        }
        if (status == FM_OK && task != NULL && fm_manifest_model(manifest, model->file) != NULL) {
            status = fm_fail(reader->error, FM_BAD_MODEL, "%s: file '%s' is there for two tasks; each has its own",
                             reader->what, model->file);
        }
        if (status != FM_OK) {
            return status;
        }
        manifest->model_count += task != NULL;
    }
    return FM_OK;
}

/* ------------------------------------------------------------------------ top */

fm_status fm_manifest_read_insightface(const struct manifest_reader *reader, const struct json_value *top,
                                       struct manifest *manifest) {
    const struct json_value *id = fm_json_member(top, "model_id"), *licence = fm_json_member(top, "license");
    char path[sizeof manifest->licence];
    manifest->kind = MANIFEST_INSIGHTFACE;
    stripped(fm_json_text(id), manifest->name, sizeof manifest->name);
    if (manifest->name[0] == 0 || strchr(LETTERS, manifest->name[0]) == NULL ||
        manifest->name[strspn(manifest->name, LETTERS "._-")] != 0) {
        return fm_member_wrong(reader, "model_id", id, "1 to 128 letters, digits, '.', '_', '-', the first no sign");
    }
    if (!safe_path(licence, path, sizeof path) || !is_named(path, LICENCE_FILE)) {
        return fm_member_wrong(reader, "license", licence, "a relative path that ends in MODEL.LICENSE");
    }
    snprintf(manifest->licence, sizeof manifest->licence, "%s", path);
    fm_status status = read_stripped(reader, top, "display_name", manifest->name, manifest->display_name,
                                     sizeof manifest->display_name);
    return status == FM_OK ? read_tasks(reader, top, manifest) : status;
}
