/* Detector: from a network's raw outputs to faces, for the SCRFD layout (RECIPES D1, D25). The recipe says where the
   rows stand; the device's operations do the work. Any thread. */
#include "models/detector.h"

/* What one row of a head holds. */
enum { SCORE_COLUMNS = 1, BOX_COLUMNS = 4, LANDMARK_COLUMNS = 10 };

static size_t head_cells(const struct model *model, int head, int det_width, int det_height) {
    int stride = model->detector.strides[head];
    return (size_t)(det_width / stride) * (size_t)(det_height / stride);
}

size_t fm_detector_rows(const struct model *model, int det_width, int det_height) {
    size_t rows = 0;
    for (int i = 0; i < model->detector.heads; i++) {
        rows += head_cells(model, i, det_width, det_height) * (size_t)model->detector.anchors;
    }
    return rows;
}

/* --------------------------------------------------------------------- check */

static fm_status check_output(const struct model *model, const struct tensor *outputs, size_t count, int index,
                              int64_t columns, size_t rows, fm_error *error) {
    size_t elements = 0;
    if (index < 0 || (size_t)index >= count) {
        return fm_fail(error, FM_BAD_MODEL, "'%s' returned %zu outputs; output %d is missing", model->file, count,
                       index);
    }
    const struct tensor *output = &outputs[index];
    bool shaped = output->rank >= 2 && output->rank <= FM_MAX_RANK && output->dims[output->rank - 1] == columns;
    if (output->dtype != DTYPE_F32 || !shaped || !fm_tensor_elements(output, &elements) ||
        elements != rows * (size_t)columns || output->bytes == NULL) {
        return fm_fail(
            error, FM_BAD_MODEL,
            "'%s': output %d has %zu values in rows of %lld, where %zu rows of %lld were expected; the input's sides "
            "must be multiples of the largest stride, %d",
            model->file, index, elements,
            shaped ? (long long)columns : (long long)(output->rank > 0 ? output->dims[output->rank - 1] : 0), rows,
            (long long)columns, model->detector.strides[model->detector.heads - 1]);
    }
    return FM_OK;
}

fm_status fm_detector_check(const struct model *model, const struct tensor *outputs, size_t count, int batch,
                            int det_width, int det_height, fm_error *error) {
    const struct detector_recipe *recipe = &model->detector;
    fm_status status = FM_OK;
    for (int i = 0; status == FM_OK && i < recipe->heads; i++) {
        size_t rows = head_cells(model, i, det_width, det_height) * (size_t)recipe->anchors * (size_t)batch;
        status = check_output(model, outputs, count, recipe->score_output[i], SCORE_COLUMNS, rows, error);
        if (status == FM_OK) {
            status = check_output(model, outputs, count, recipe->box_output[i], BOX_COLUMNS, rows, error);
        }
        if (status == FM_OK && recipe->landmark_output[i] >= 0) {
            status = check_output(model, outputs, count, recipe->landmark_output[i], LANDMARK_COLUMNS, rows, error);
        }
    }
    return status;
}

/* ------------------------------------------------------------------- collect */

/* Where image `slot`'s first row of a head stands, and how far it is from cell to cell: rows of a batch run either
   cell, image, anchor (RECIPES D25) or image, cell, anchor. */
static const float *head_base(const struct model *model, const struct tensor *output, size_t columns, size_t cells,
                              int batch, int slot, size_t *cell_stride) {
    size_t cell = (size_t)model->detector.anchors * columns;
    const float *values = output->bytes;
    *cell_stride = model->detector.interleaved ? cell * (size_t)batch : cell;
    return values + (size_t)slot * (model->detector.interleaved ? cell : cell * cells);
}

static struct head_view view_head(const struct model *model, const struct tensor *outputs, int head, int batch,
                                  int slot, int det_width, int det_height) {
    const struct detector_recipe *recipe = &model->detector;
    size_t cells = head_cells(model, head, det_width, det_height);
    int stride = recipe->strides[head], points = recipe->landmark_output[head];
    struct head_view view = {.columns = det_width / stride,
                             .rows = det_height / stride,
                             .anchors = recipe->anchors,
                             .stride = stride,
                             .score_anchor = SCORE_COLUMNS,
                             .box_anchor = BOX_COLUMNS,
                             .landmark_anchor = LANDMARK_COLUMNS};
    view.scores =
        head_base(model, &outputs[recipe->score_output[head]], SCORE_COLUMNS, cells, batch, slot, &view.score_cell);
    view.boxes = head_base(model, &outputs[recipe->box_output[head]], BOX_COLUMNS, cells, batch, slot, &view.box_cell);
    if (points >= 0) {
        view.landmarks = head_base(model, &outputs[points], LANDMARK_COLUMNS, cells, batch, slot, &view.landmark_cell);
    }
    return view;
}

fm_status fm_detector_collect(const struct model *model, struct device *device, const struct tensor *outputs, int batch,
                              int slot, int det_width, int det_height, double scale, float threshold,
                              struct candidate *candidates, size_t capacity, size_t *count, fm_error *error) {
    const struct device_ops *ops = fm_device_ops(device);
    for (int i = 0; i < model->detector.heads; i++) {
        struct head_view view = view_head(model, outputs, i, batch, slot, det_width, det_height);
        if (!ops->decode(device, &view, threshold, scale, candidates, capacity, count)) {
            return fm_fail(error, FM_LIMIT,
                           "'%s' found more than %zu candidate faces in one image; raise the detection threshold (%g)",
                           model->file, capacity, (double)threshold);
        }
    }
    return FM_OK;
}

/* -------------------------------------------------------------------- finish */

static size_t drop_small(struct candidate *faces, size_t count, float min_face) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        float width = faces[i].box[2] - faces[i].box[0], height = faces[i].box[3] - faces[i].box[1];
        if ((width < height ? width : height) >= min_face) {
            faces[kept++] = faces[i];
        }
    }
    return kept;
}

/* insightface's measure of importance, in single precision as there: the area, less twice the squared distance of the
   box's centre to the image's, which is in whole pixels. */
static float importance(const struct candidate *face, int image_width, int image_height, fm_face_metric metric) {
    const float *box = face->box;
    float area = (box[2] - box[0]) * (box[3] - box[1]);
    float dx = (box[0] + box[2]) / 2.0f - (float)(image_width / 2);
    float dy = (box[1] + box[3]) / 2.0f - (float)(image_height / 2);
    float square = dx * dx + dy * dy;
    return metric == FM_METRIC_AREA ? area : area - square * 2.0f;
}

/* Bring the `max_faces` most important faces to the front by falling importance; equal ones keep their order. Selection
   by repeated search: faces per image are few, and nothing needs to be allocated. */
static void select_important(struct candidate *faces, size_t count, size_t max_faces, int image_width, int image_height,
                             fm_face_metric metric) {
    for (size_t place = 0; place < max_faces; place++) {
        size_t best = place;
        float best_value = importance(&faces[place], image_width, image_height, metric);
        for (size_t i = place + 1; i < count; i++) {
            float value = importance(&faces[i], image_width, image_height, metric);
            if (value > best_value) {
                best = i;
                best_value = value;
            }
        }
        struct candidate chosen = faces[best];
        for (size_t i = best; i > place; i--) { /* shift, not swap: the rest stays in order */
            faces[i] = faces[i - 1];
        }
        faces[place] = chosen;
    }
}

size_t fm_detector_finish(const struct model *model, struct device *device, struct candidate *candidates, size_t count,
                          int image_width, int image_height, float min_face, int max_faces, fm_face_metric metric,
                          struct buffer *scratch) {
    const struct detector_recipe *recipe = &model->detector;
    count = fm_device_ops(device)->nms(device, candidates, count, recipe->nms_threshold, recipe->nms_plus_one, scratch);
    if (min_face > 0.0f) {
        count = drop_small(candidates, count, min_face);
    }
    if (max_faces > 0 && count > (size_t)max_faces) {
        select_important(candidates, count, (size_t)max_faces, image_width, image_height, metric);
        count = (size_t)max_faces;
    }
    return count;
}
