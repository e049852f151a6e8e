/* ONNX maker: small networks with known answers, in the layout of SCRFD and ArcFace, for tests that must not depend on
   anyone's weights. The detector answers to coloured squares, the embedder to the mean colours of a 4x4 grid.

   A square is one cell of one level of the detector: `stride` x `stride` pixels at (column * stride, row * stride), in
   a colour that names the level and the anchor (red and green for stride 8, magenta and cyan for 16, yellow and blue
   for 32). On black ground, or any ground of grey, each square gives exactly one face when the picture is not resized.
 */
#ifndef FM_TESTS_ONNX_MAKER_H
#define FM_TESTS_ONNX_MAKER_H

#include "base/error.h"
#include "base/memory.h"

struct maker_square {
    int stride, anchor; /* 8, 16 or 32; 0 or 1 */
    int column, row;    /* in cells of that stride */
    int level;          /* brightness of the colour, 190..255: a darker square scores lower and is smaller */
};

struct maker_face {
    float box[4], score, landmarks[5][2];
};

/* Paint `square` into an RGB8 picture; parts outside are left out. */
void fm_maker_paint(uint8_t *rgb, int width, int height, const struct maker_square *square);
/* What the detector answers to `square` in network pixels: 1e-4 px and 1e-5 in score are rounding. */
void fm_maker_expect_face(const struct maker_square *square, struct maker_face *face);

enum maker_detector {
    MAKER_STOCK = 0,    /* as det_500m: batch 1 declared, rank 2 heads, rows of a batch run cell, image, anchor */
    MAKER_BATCHED = 1,  /* as scrfd_500m_bnkps: dynamic batch, rank 3 heads [N, rows, columns] */
    MAKER_UNKNOWN = 2,  /* heads by a transpose that nobody knows: correct for one image only */
    MAKER_NO_POINTS = 3 /* six outputs, as MAKER_STOCK */
};
FM_MUST_USE fm_status fm_maker_detector(enum maker_detector kind, struct buffer *onnx, fm_error *error);
/* The structure of det_10g (residual trunk, feature pyramid down and up, three convolutions before each head) with
   seeded random weights; all channel counts divided by `slimmer` (1: the real size, about 15 MB). Sides must be
   multiples of 32. */
FM_MUST_USE fm_status fm_maker_det_10g(int slimmer, uint32_t seed, struct buffer *onnx, fm_error *error);

#define MAKER_EMBEDDING 512
#define MAKER_SIDE 112
enum maker_embedder {
    MAKER_PLAIN = 0,     /* declares [1,512] as w600k_mbf does, and takes any batch */
    MAKER_FOREIGN = 1,   /* with an LpPool, which OpenVINO leaves to the CPU */
    MAKER_ONE_BATCH = 2, /* a reshape has the batch written into it */
    MAKER_NORMALISED = 3 /* subtracts and scales its pixels itself, as old exports do */
};
FM_MUST_USE fm_status fm_maker_embedder(enum maker_embedder kind, struct buffer *onnx, fm_error *error);
/* The answer to an aligned crop of MAKER_SIDE x MAKER_SIDE RGB8: 1e-4 relative is rounding. */
void fm_maker_expect_embedding(enum maker_embedder kind, const uint8_t *crop, float embedding[MAKER_EMBEDDING]);

/* A model whose tensor 'weights' lies in another file. */
FM_MUST_USE fm_status fm_maker_external(struct buffer *onnx, fm_error *error);

/* Rows of the table of packs; NULL behind the last. */
struct maker_pack {
    const char *name, *about;
    fm_status (*write)(const char *folder, fm_error *error);
};
const struct maker_pack *fm_maker_pack(size_t index);
/* Write the pack called `name` into `folder` (made when missing). FM_NOT_FOUND when there is no such pack. */
FM_MUST_USE fm_status fm_maker_write(const char *folder, const char *name, fm_error *error);

#endif
