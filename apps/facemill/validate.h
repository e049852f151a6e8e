/* validate: what its three files share. validate.c runs the two sides, validate_compare.c is the arithmetic of one
   picture (pure), validate_report.c says what came out. */
#ifndef FM_VALIDATE_H
#define FM_VALIDATE_H

#include "output.h"
#include "program.h"

#define ROUNDING_SCORE                                                                                                 \
    0.002 /* scores nearer than this may change places by rounding alone (as fm_face.rivals counts) */

struct limits {
    double cosine, box, landmark;
    double thresholds[2]; /* detection thresholds of the two sides */
};

/* A running minimum and mean, or maximum and mean. {0}. */
struct spread {
    uint64_t count;
    double worst, sum;
};

/* What was found, for one picture or for all. {0}. */
struct tally {
    uint64_t faces[2];                         /* found by each side */
    uint64_t pairs;                            /* counted */
    uint64_t missing[2];                       /* found by the other side only */
    uint64_t disordered;                       /* pairs of faces in another order */
    uint64_t over_limit;                       /* faces past one of the limits, end to end */
    uint64_t crops_over_limit;                 /* faces past the cosine's limit on the identical crop */
    uint64_t rivals, at_threshold, order_ties; /* apart: rounding alone decides */
    struct spread cosine, crop_cosine, box, landmark;
    struct spread rival_cosine, rival_box; /* apart as well */
};

/* Compare one picture. `crops` are embeddings of a's aligned faces by both sides (`crop_size` values each, a's order),
   or NULL. A line of words per problem and per face that is set apart goes to `words`. */
void fm_results_compare(const fm_result *a, const fm_result *b, const float *const crops[2], size_t crop_size,
                        const struct limits *limits, struct tally *tally, struct text *words);
void fm_tally_add(struct tally *sum, const struct tally *picture);
/* Nothing missing, disordered or past a limit. */
bool fm_tally_good(const struct tally *tally);
double fm_spread_mean(const struct spread *spread);

struct picture {
    const char *path;
    fm_result *results[2];
    float *crops[2]; /* embeddings of side A's faces, cut out of the same pixels */
    fm_error error;  /* why these could not be made */
};

struct side {
    const char *text;
    struct config config;
    struct text report; /* pack, id and providers, as a JSON object's members */
    struct text words;  /* the same for eyes */
    size_t embedding_size;
    int crop_size;
};

struct validation {
    struct program *program;
    struct arena arena; /* paths */
    struct picture *pictures;
    size_t count, capacity;
    struct side sides[2];
    struct limits limits;
    struct output output;
    fm_error error;
};

/* A compared picture; `words` as fm_results_compare wrote them. */
void fm_report_picture(struct output *output, const struct picture *picture, const struct tally *tally,
                       const struct text *words);
/* Could a side not analyze the picture? One side's failure is a difference, both sides' the picture's. */
bool fm_picture_failed(const struct picture *picture, bool *both);
/* A picture that failed. */
void fm_report_failed(struct output *output, const struct picture *picture);
/* The last record. `failed`: pictures that neither side could analyze. */
void fm_report_total(struct validation *v, const struct tally *tally, size_t failed, bool pass);

#endif
