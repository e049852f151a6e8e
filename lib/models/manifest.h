/* Manifest: what a pack says about itself (manifest.json). Ours is described in docs/manifest.md; insightface's V2 is
   read too. Foreign text: everything is checked, unknown members are kept in `tree`. Immutable after reading. */
#ifndef FM_MODELS_MANIFEST_H
#define FM_MODELS_MANIFEST_H

#include "base/json_read.h"

#define FM_MANIFEST_FILE "manifest.json"
#define FM_MANIFEST_BYTES ((size_t)1 << 20) /* at most */
#define FM_MANIFEST_MODELS 64
#define FM_MANIFEST_LABELS 16
#define FM_MANIFEST_ABOUT 16 /* texts of a pack, and of each file */
#define FM_MANIFEST_ABOUT_BYTES 1000

enum manifest_kind { MANIFEST_NONE = 0, MANIFEST_FACEMILL = 1, MANIFEST_INSIGHTFACE = 2 };

/* One file. Numbers of 0 and empty texts were not said. */
struct manifest_model {
    char file[256], sha256[65]; /* insightface's may have folders in it: "networks/det.onnx" */
    uint64_t bytes;
    char task[24], family[24]; /* "": by shape; task "none": only listed */
    bool has_pixels, bgr, has_order;
    bool uneven_pixels; /* a mean or std of their own for each channel, which no family here takes */
    float mean, std;    /* value = (level - mean) / std; 0 and 1: the graph takes levels as they are */
    int width, height;  /* of the input, where the graph leaves it open */
    int crop_side;
    bool has_template;
    float template_points[5][2]; /* pixels of that side */
    float score_threshold, nms_threshold;
    float match_threshold; /* in terms of `metric` */
    char metric[16];       /* "cosine", "euclidean" */
    bool normalised;       /* the network's vectors have length 1 */
    int embedding_size;    /* values per face */
    char labels[FM_MANIFEST_LABELS][32];
    int label_count;
    char licence[128], licence_url[256];
};

struct manifest {
    enum manifest_kind kind;
    char name[129], display_name[128], version[32], licence[128], licence_url[256], source[256];
    struct manifest_model models[FM_MANIFEST_MODELS];
    size_t model_count;
    struct json_value *tree; /* owned */
};

/* Parse; `what` names it in words. FM_BAD_MODEL: no manifest, or one with a mistake (words: member, value, expected).
 *manifest is the caller's. Pure. */
FM_MUST_USE fm_status fm_manifest_parse(const void *bytes, size_t size, const char *what, struct manifest **manifest,
                                        fm_error *error);
/* That of a folder; FM_OK and NULL when it has none, or one that is neither ours nor insightface's V2. */
FM_MUST_USE fm_status fm_manifest_read(const char *folder, struct manifest **manifest, fm_error *error);
void fm_manifest_close(struct manifest *manifest);
/* The entry of a file; NULL when it is not listed. */
const struct manifest_model *fm_manifest_model(const struct manifest *manifest, const char *file);
/* What whoever made it wants its users to know, text by text: of a file, or of the pack where `model` is NULL; NULL
   behind the last. Lives as long as the manifest, which may be NULL. */
const char *fm_manifest_about(const struct manifest *manifest, const struct manifest_model *model, size_t index);
const char *fm_manifest_kind_name(enum manifest_kind kind); /* "facemill", "insightface-2", "" */

#endif
