/* onnx_variants MODEL DIR: writes what facemill makes of a model (copy, batch, bytes, batch_bytes .onnx) into DIR, for
   check_peer.py to run in ONNX Runtime. Prints the family and the row order of a detector. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "models/pack.h"

static fm_status copy_graph(const char *path, const char *folder, fm_error *error) {
    struct buffer file = {0}, out = {0};
    struct graph *graph = NULL;
    char to[4096];
    fm_status status = fm_file_read(path, INT32_MAX, &file, error);
    if (status == FM_OK) {
        status = fm_graph_read(file.bytes, file.size, path, &graph, error);
    }
    if (status == FM_OK) {
        status = fm_graph_write(graph, &out, error);
    }
    if (status == FM_OK && fm_path_join(to, sizeof to, folder, "copy.onnx")) {
        status = fm_file_write(to, out.bytes, out.size, error);
    }
    fm_graph_close(graph);
    fm_buffer_reset(&file);
    fm_buffer_reset(&out);
    return status;
}

static fm_status write_variants(const struct model *model, const char *folder, fm_error *error) {
    static const struct {
        const char *file;
        struct model_build build;
    } variants[] = {{"batch.onnx", {.batch = true}},
                    {"bytes.onnx", {.take_bytes = true}},
                    {"batch_bytes.onnx", {.batch = true, .take_bytes = true}}};
    struct buffer out = {0};
    fm_status status = FM_OK;
    for (size_t i = 0; status == FM_OK && i < 3; i++) {
        char to[4096];
        if (variants[i].build.batch && !model->batch_possible) {
            continue;
        }
        status = fm_model_build(model, &variants[i].build, &out, error);
        if (status == FM_OK && fm_path_join(to, sizeof to, folder, variants[i].file)) {
            status = fm_file_write(to, out.bytes, out.size, error);
        }
    }
    fm_buffer_reset(&out);
    return status;
}

int main(int argc, char **argv) {
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    if (argc != 3) {
        fprintf(stderr, "usage: onnx_variants MODEL DIR\n");
        return 2;
    }
    fm_status status = copy_graph(argv[1], argv[2], &error);
    if (status != FM_OK) {
        fprintf(stderr, "onnx_variants: %s\n", error.message);
        return 1;
    }
    if (fm_pack_open(argv[1], "test", NULL, &pack, NULL) != FM_OK) {
        printf("none\n"); /* a network that no family takes: only the copy is compared */
        return 0;
    }
    for (size_t i = 0; i < FM_TASKS && status == FM_OK; i++) {
        const struct model *model = pack->tasks[i];
        if (model != NULL) {
            printf("%s %s %.9g %.9g\n", model->family->name,
                   model->detector.interleaved ? "cell,image,anchor" : "image,cell,anchor", (double)model->pixels.mean,
                   (double)model->pixels.scale);
            status = write_variants(model, argv[2], &error);
        }
    }
    fm_pack_close(pack);
    if (status != FM_OK) {
        fprintf(stderr, "onnx_variants: %s\n", error.message);
    }
    return status != FM_OK;
}
