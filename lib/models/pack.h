/* Pack: a folder of ONNX files, routed by shape as insightface's model zoo does, described as data. A pack is
   immutable after fm_pack_open and may be shared. */
#ifndef FM_MODELS_PACK_H
#define FM_MODELS_PACK_H

#include "base/error.h"
#include "base/log.h"
#include "device/device.h"
#include "models/manifest.h"
#include "onnx/graph.h"

enum model_task { MODEL_NONE = 0, MODEL_DETECTION = 1, MODEL_RECOGNITION = 2 };
#define FM_TASKS 3

#define FM_MAX_HEADS 5

/* A detector's heads, as SCRFD has them. Index into the graph's outputs; landmarks -1 when absent. */
struct detector_recipe {
    int heads; /* 3 or 5 */
    int strides[FM_MAX_HEADS];
    int score_output[FM_MAX_HEADS], box_output[FM_MAX_HEADS], landmark_output[FM_MAX_HEADS];
    int anchors;      /* per cell */
    bool interleaved; /* rows of a batch run cell, image, anchor (RECIPES D25); false: image, cell, anchor */
    int fixed_width, fixed_height;  /* 0: dynamic */
    float threshold, nms_threshold; /* 0.5, 0.4 */
    bool nms_plus_one;
};

struct recogniser_recipe {
    int side;                    /* 112 */
    int size;                    /* values per embedding; 0 when the graph does not say */
    float template_points[5][2]; /* of that side */
};

struct model {
    enum model_task task;
    const struct model_family *family;
    const struct manifest_model *said; /* what the pack's manifest says of it; NULL: nothing */
    char file[256];                    /* name inside the pack */
    char path[4096];
    char sha256[65];
    struct buffer bytes; /* the file as it is */
    struct pixel_recipe pixels;
    struct detector_recipe detector;
    struct recogniser_recipe recogniser;
    char changed[512];    /* what the manifest changed in the family's own recipe, part of the id; "" nothing */
    bool batch_fixed;     /* the graph says batch 1 */
    bool batch_possible;  /* one image per run is not the end: as stored, or after fm_model_build makes it so */
    char batch_note[256]; /* why not, when not */
};

/* A row of the family table. `why_not` looks at shapes, and at the crop and input that a manifest names (`said` may be
   NULL); "" when the graph is of the family. `describe` fills the recipe; model->said is set before. */
struct model_family {
    const char *name; /* "scrfd" */
    enum model_task task;
    void (*why_not)(const struct graph *graph, const struct manifest_model *said, char *why, size_t why_size);
    fm_status (*describe)(const struct graph *graph, struct model *model, fm_error *error);
};
const struct model_family *fm_family_row(size_t index); /* NULL behind the last */
const char *fm_task_name(enum model_task task);         /* "detection" */

struct pack {
    char name[256], path[4096], reason[64];
    struct manifest *manifest; /* owned; NULL when the folder is routed by shape */
    char licence[128], licence_url[256];
    float match_threshold;         /* similarity; 0 when the manifest does not say */
    char metric[16];               /* of the recogniser's vectors, as the manifest has it */
    struct model *tasks[FM_TASKS]; /* owned; NULL when the pack has none; index enum model_task */
    char notes[2048];              /* files that were not used, and why */
    bool damaged;                  /* one of them could not be read at all */
};

/* Where a pack is: `wanted` as a path or a name (data folder's packs, then ~/.insightface/models/NAME, then the one
   inside the library), or NULL: FM_PACK, an installed one, the one inside. `source` is who named it, for `reason`. */
FM_MUST_USE fm_status fm_pack_find(const char *wanted, const char *source, char *path, size_t path_size, char *reason,
                                   size_t reason_size, fm_error *error);
/* Open: what the manifest lists, in its order, with its digests checked; without one, files in name order. The first of
   each task wins; one .onnx file is a pack too. FM_NOT_FOUND, FM_BAD_MODEL. */
FM_MUST_USE fm_status fm_pack_open(const char *path, const char *reason, struct logger *logger, struct pack **pack,
                                   fm_error *error);
void fm_pack_close(struct pack *pack);

/* Let the manifest's pixels, thresholds and crop win over the family's, and note in model->changed what they change.
   FM_BAD_MODEL where they contradict the network. Nothing without model->said. */
FM_MUST_USE fm_status fm_model_override(struct model *model, fm_error *error);
/* pixels.scale as the divisor that a manifest has: 127.5 for 1/127.5. */
double fm_model_std(const struct model *model);

/* The bytes a provider opens. */
struct model_build {
    bool batch;        /* input's first dimension symbolic */
    bool take_bytes;   /* u8 pixels in, cast and normalisation inside */
    bool split_prelu;  /* fm_graph_split_prelu, for providers whose PRelu is slow */
    int width, height; /* fix the spatial size; 0: leave */
};
FM_MUST_USE fm_status fm_model_build(const struct model *model, const struct model_build *build, struct buffer *bytes,
                                     fm_error *error);

/* Digest of RECIPES versions, model bytes, what the manifest changes in the recipes, precision and decode mode into 64
 * hex digits. */
void fm_pack_id(const struct pack *pack, const char *precision, const char *decode_mode, char hex[65]);

#endif
