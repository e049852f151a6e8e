/* Detector: from a network's raw outputs to candidates of one image, and from candidates to faces. Drives the device
   it is given; never runs a network. Pure but for `candidates`; any thread. */
#ifndef FM_MODELS_DETECTOR_H
#define FM_MODELS_DETECTOR_H

#include "models/pack.h"

/* Check that `outputs` (what came back from a run of `batch` images of det_width x det_height) have the shapes the
   recipe promises. FM_BAD_MODEL names the output. */
FM_MUST_USE fm_status fm_detector_check(const struct model *model, const struct tensor *outputs, size_t count,
                                        int batch, int det_width, int det_height, fm_error *error);
/* Append the candidates of image `slot` of `batch`, in image pixels, in insightface's row order (stride 8 first).
   FM_LIMIT when they do not fit in `capacity`. */
FM_MUST_USE fm_status fm_detector_collect(const struct model *model, struct device *device,
                                          const struct tensor *outputs, int batch, int slot, int det_width,
                                          int det_height, double scale, float threshold, struct candidate *candidates,
                                          size_t capacity, size_t *count, fm_error *error);
/* Sort, suppress, then drop boxes whose smaller side is below min_face, then keep max_faces (0: all) by metric. With
   max_faces the order is by the metric's value, as insightface has it. Returns the number of faces at the front. */
size_t fm_detector_finish(const struct model *model, struct device *device, struct candidate *candidates, size_t count,
                          int image_width, int image_height, float min_face, int max_faces, fm_face_metric metric,
                          struct buffer *scratch);
/* Largest number of rows a det_width x det_height input can yield. */
size_t fm_detector_rows(const struct model *model, int det_width, int det_height);

#endif
