/* Variant: the bytes a provider opens, made from the file a pack holds: symbolic batch, pixels as bytes, fixed size. */
#include <string.h>

#include "models/pack.h"

static fm_status copy_file(const struct model *model, struct buffer *bytes, fm_error *error) {
    if (!fm_buffer_resize(bytes, model->bytes.size)) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the %zu bytes of '%s'", model->bytes.size, model->file);
    }
    memcpy(bytes->bytes, model->bytes.bytes, model->bytes.size);
    return FM_OK;
}

static fm_status edit(struct graph *graph, const struct model *model, const struct model_build *build,
                      fm_error *error) {
    fm_status status = FM_OK;
    if (build->batch) { /* also where the input is symbolic already: declared outputs may still say one (RECIPES D23) */
        status = fm_graph_make_batch_dynamic(graph, 0, error);
    }
    if (status == FM_OK && build->width > 0 && build->height > 0) {
        int64_t dims[4] = {-1, -1, build->height, build->width};
        status = fm_graph_fix_input(graph, 0, dims, 4, error);
    }
    if (status == FM_OK && build->split_prelu) {
        size_t count = 0;
        status = fm_graph_split_prelu(graph, &count, error);
    }
    if (status == FM_OK && build->take_bytes) {
        status = fm_graph_take_bytes(graph, 0, model->pixels.mean, model->pixels.scale, error);
    }
    return status;
}

fm_status fm_model_build(const struct model *model, const struct model_build *build, struct buffer *bytes,
                         fm_error *error) {
    bool sized = build->width > 0 && build->height > 0;
    if (!build->batch && !build->take_bytes && !build->split_prelu && !sized) {
        return copy_file(model, bytes, error);
    }
    if (build->batch && !model->batch_possible) {
        return fm_fail(error, FM_UNSUPPORTED, "'%s' cannot be batched: %s", model->file, model->batch_note);
    }
    struct graph *graph = NULL;
    fm_status status = fm_graph_read(model->bytes.bytes, model->bytes.size, model->file, &graph, error);
    if (status == FM_OK) {
        status = edit(graph, model, build, error);
    }
    if (status == FM_OK) {
        status = fm_graph_write(graph, bytes, error);
    }
    fm_graph_close(graph);
    return status;
}
