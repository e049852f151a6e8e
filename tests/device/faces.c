/* Decoding of detector rows, suppression, norms. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/nms.h"
#include "tests.h"

#define MOST 700

/* ---- decode */

/* Heads of `images` pictures in one of insightface's layouts: the row of cell c, image n, anchor a is
   (c * images + n) * anchors + a when interleaved, (n * cells + c) * anchors + a otherwise. */
struct heads {
    int images, columns, rows, anchors, stride;
    bool interleaved;
    float *scores, *boxes, *points;
    size_t row_count;
};

static size_t row_at(const struct heads *heads, size_t cell, size_t image, size_t anchor) {
    size_t cells = (size_t)heads->columns * (size_t)heads->rows, anchors = (size_t)heads->anchors;
    size_t place = heads->interleaved ? cell * (size_t)heads->images + image : image * cells + cell;
    return place * anchors + anchor;
}

static struct head_view head_view_of(const struct heads *heads, size_t image) {
    size_t first = row_at(heads, 0, image, 0), step = row_at(heads, 1, image, 0) - first;
    return (struct head_view){.scores = heads->scores + first,
                              .boxes = heads->boxes + 4 * first,
                              .landmarks = heads->points == NULL ? NULL : heads->points + 10 * first,
                              .score_cell = step,
                              .score_anchor = 1,
                              .box_cell = 4 * step,
                              .box_anchor = 4,
                              .landmark_cell = 10 * step,
                              .landmark_anchor = 10,
                              .columns = heads->columns,
                              .rows = heads->rows,
                              .anchors = heads->anchors,
                              .stride = heads->stride};
}

static float *random_floats(size_t count, double low, double high) {
    float *values = guarded_alloc(count * sizeof(float), 0);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)random_between(low, high);
    }
    return values;
}

static struct heads heads_make(int images, int columns, int rows, int anchors, bool interleaved, bool with_points) {
    struct heads heads = {.images = images,
                          .columns = columns,
                          .rows = rows,
                          .anchors = anchors,
                          .stride = 16,
                          .interleaved = interleaved};
    heads.row_count = (size_t)images * (size_t)columns * (size_t)rows * (size_t)anchors;
    heads.scores = random_floats(heads.row_count, 0, 1);
    heads.boxes = random_floats(4 * heads.row_count, -1, 4);
    heads.points = with_points ? random_floats(10 * heads.row_count, -3, 3) : NULL;
    return heads;
}

static void heads_free(struct heads *heads) {
    guarded_free(heads->scores, heads->row_count * sizeof(float));
    guarded_free(heads->boxes, 4 * heads->row_count * sizeof(float));
    if (heads->points != NULL) {
        guarded_free(heads->points, 10 * heads->row_count * sizeof(float));
    }
}

/* The candidates in row order by the text of RECIPES D1, in numpy's single precision. */
static size_t decode_straight(const struct heads *heads, size_t image, float threshold, double scale,
                              struct candidate *out) {
    size_t count = 0;
    for (int cell = 0; cell < heads->columns * heads->rows; cell++) {
        for (int anchor = 0; anchor < heads->anchors; anchor++) {
            size_t row = row_at(heads, (size_t)cell, image, (size_t)anchor);
            if (!(heads->scores[row] >= threshold)) {
                continue;
            }
            struct candidate *face = &out[count];
            memset(face, 0, sizeof *face);
            face->order = (uint32_t)count++;
            face->score = heads->scores[row];
            const float centre[2] = {(float)(cell % heads->columns * heads->stride),
                                     (float)(cell / heads->columns * heads->stride)};
            for (int i = 0; i < 4; i++) {
                float distance = heads->boxes[4 * row + (size_t)i] * (float)heads->stride;
                face->box[i] = (i < 2 ? centre[i] - distance : centre[i - 2] + distance) / (float)scale;
            }
            for (int i = 0; heads->points != NULL && i < 10; i++) {
                float offset = heads->points[10 * row + (size_t)i] * (float)heads->stride;
                face->landmarks[i / 2][i % 2] = (centre[i % 2] + offset) / (float)scale;
            }
        }
    }
    return count;
}

void test_decode_layouts(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    static struct candidate expected[MOST], found[MOST];
    for (int i = 0; i < 60; i++) {
        struct heads heads = heads_make(1 + i % 4, 1 + random_below(15), 1 + random_below(15), 1 + random_below(2),
                                        i % 2 == 0, i % 5 != 0);
        for (size_t image = 0; image < (size_t)heads.images; image++) {
            float threshold = (float)random_between(0, 1);
            double scale = random_between(0.1, 3);
            size_t expected_count = decode_straight(&heads, image, threshold, scale, expected);
            struct head_view view = head_view_of(&heads, image);
            for (size_t k = 0; k < device_count; k++) {
                size_t count = 0;
                CHECK(fm_device_ops(devices[k])->decode(devices[k], &view, threshold, scale, found, MOST, &count),
                      "no room");
                CHECK(count == expected_count && memcmp(found, expected, count * sizeof *found) == 0,
                      "image %zu of %d: %zu candidates, not %zu, or other values", image, heads.images, count,
                      expected_count);
            }
        }
        heads_free(&heads);
    }
    devices_close(devices, device_count);
}

void test_decode_capacity_and_order(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    struct heads heads = heads_make(1, 20, 40, 2, false, true);
    struct head_view view = head_view_of(&heads, 0);
    for (size_t k = 0; k < device_count; k++) {
        const struct device_ops *ops = fm_device_ops(devices[k]);
        size_t size = 1700 * sizeof(struct candidate), count = 100;
        struct candidate *found = guarded_alloc(size, 0);
        CHECK(ops->decode(devices[k], &view, 0.0F, 1.0, found, 1700, &count) && count == 1700, "%zu of 1600 rows",
              count - 100);
        for (size_t i = 100; i < 1700; i++) {
            CHECK(found[i].order == i && found[i].score == heads.scores[i - 100], "row %zu is out of order", i - 100);
        }
        count = 101;
        CHECK(!ops->decode(devices[k], &view, 0.0F, 1.0, found, 1700, &count), "one candidate too many fits");
        CHECK(count <= 1700, "count %zu beyond the capacity", count);
        guarded_free(found, size);
    }
    heads_free(&heads);
    devices_close(devices, device_count);
}

void test_decode_not_a_number(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    struct heads heads = heads_make(1, 9, 9, 2, false, true);
    struct head_view view = head_view_of(&heads, 0);
    struct candidate found[200];
    for (size_t i = 0; i < heads.row_count; i++) {
        heads.scores[i] = (float)NAN;
    }
    heads.scores[50] = 0.9F;
    heads.boxes[200] = (float)INFINITY;
    for (size_t k = 0; k < device_count; k++) {
        size_t count = 0;
        CHECK(fm_device_ops(devices[k])->decode(devices[k], &view, 0.0F, 1.0, found, 200, &count) && count == 1,
              "%zu candidates", count);
        CHECK(isinf(found[0].box[0]), "the infinite side became %g", (double)found[0].box[0]);
    }
    heads_free(&heads);
    devices_close(devices, device_count);
}

/* ---- nms */

static struct candidate candidate_of(const float box[4], float score, uint32_t order) {
    struct candidate candidate = {.score = score, .order = order, .rivals = 77, .rival_shift = 77};
    memcpy(candidate.box, box, sizeof candidate.box);
    return candidate;
}

void test_nms_cases(void) {
    static const struct {
        const char *name;
        float boxes[3][4], scores[3], threshold;
        int count, plus_one[3], plain[3]; /* kept in order, -1 behind the last */
    } cases[] = {
        {"exactly at the threshold, plain", {{0, 0, 4, 4}, {0, 0, 4, 2}}, {0.9F, 0.8F}, 0.5F, 2, {0, -1}, {0, 1, -1}},
        {"exactly at the threshold, +1", {{0, 0, 3, 3}, {0, 0, 3, 1}}, {0.9F, 0.8F}, 0.5F, 2, {0, 1, -1}, {0, 1, -1}},
        {"touching edges", {{0, 0, 10, 10}, {10, 0, 20, 10}}, {0.5F, 0.6F}, 0.0F, 2, {1, -1}, {1, 0, -1}},
        {"equal scores", {{0, 0, 8, 8}, {0, 0, 8, 8}, {1, 0, 9, 8}}, {0.5F, 0.5F, 0.5F}, 0.4F, 3, {0, -1}, {0, -1}},
        {"the suppressed suppress nobody",
         {{0, 0, 10, 10}, {4, 0, 14, 10}, {8, 0, 18, 10}},
         {0.9F, 0.8F, 0.7F},
         0.4F,
         3,
         {0, 2, -1},
         {0, 2, -1}},
        {"no area", {{5, 5, 5, 5}, {0, 0, 10, 10}}, {0.9F, 0.8F}, 0.4F, 2, {0, 1, -1}, {0, 1, -1}},
        {"both zeros are one score", {{0, 0, 8, 8}, {0, 0, 8, 8}}, {-0.0F, 0.0F}, 0.4F, 2, {0, -1}, {0, -1}},
        {"NaN comes last", {{0, 0, 8, 8}, {0, 0, 8, 8}}, {(float)NAN, -1.0F}, 0.4F, 2, {1, -1}, {1, -1}},
        {"none", {{0}}, {0}, 0.4F, 0, {-1}, {-1}}};
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    for (size_t i = 0; i < 2 * device_count * (sizeof cases / sizeof *cases); i++) {
        struct device *device = devices[i / 2 % device_count];
        size_t c = i / 2 / device_count;
        struct candidate candidates[3];
        for (int k = 0; k < cases[c].count; k++) {
            candidates[k] = candidate_of(cases[c].boxes[k], cases[c].scores[k], (uint32_t)k);
        }
        struct buffer scratch = {0};
        size_t kept = fm_device_ops(device)->nms(device, candidates, (size_t)cases[c].count, cases[c].threshold,
                                                 i % 2 == 0, &scratch);
        const int *expected = i % 2 == 0 ? cases[c].plus_one : cases[c].plain;
        for (size_t k = 0; k < kept; k++) {
            CHECK(k < 3 && (int)candidates[k].order == expected[k], "%s: place %zu has %u", cases[c].name, k,
                  candidates[k].order);
        }
        CHECK(kept == 3 || expected[kept] == -1, "%s: %zu kept", cases[c].name, kept);
        fm_buffer_reset(&scratch);
    }
    devices_close(devices, device_count);
}

/* A crowd: boxes around few centres, coarse scores so that many tie. */
static size_t crowd_make(struct candidate *out, bool ties) {
    size_t count = (size_t)(1 + random_below(MOST - 1));
    int centres = 1 + random_below(40);
    for (size_t i = 0; i < count; i++) {
        double x = random_below(centres) * 30 + random_between(0, 12), y = random_between(0, 12);
        const float box[4] = {(float)x, (float)y, (float)(x + random_between(10, 40)),
                              (float)(y + random_between(10, 40))};
        out[i] = candidate_of(box, ties ? (float)random_below(9) / 8.0F : (float)random_between(-0.1, 1), (uint32_t)i);
        for (int k = 0; k < 10; k++) {
            out[i].landmarks[k / 2][k % 2] = (float)random_between(0, 40);
        }
    }
    for (size_t i = count; i-- > 1;) { /* the array's order must not matter */
        size_t other = (size_t)random_below((int)i + 1);
        struct candidate swapped = out[i];
        out[i] = out[other];
        out[other] = swapped;
    }
    return count;
}

static float straight_iou(const float *a, const float *b, float extra) {
    float width = fmaxf(0, fminf(a[2], b[2]) - fmaxf(a[0], b[0]) + extra);
    float height = fmaxf(0, fminf(a[3], b[3]) - fmaxf(a[1], b[1]) + extra), shared = width * height;
    float own = (a[2] - a[0] + extra) * (a[3] - a[1] + extra), other = (b[2] - b[0] + extra) * (b[3] - b[1] + extra);
    return shared / (own + other - shared);
}

/* As insightface has it: take the best of what is left, remove what overlaps it, again. Then the rivals by their
 * definition. */
static size_t nms_straight(const struct candidate *candidates, size_t count, float threshold, float extra,
                           struct candidate *kept) {
    bool gone[MOST] = {false}, survived[MOST] = {false};
    size_t survivors = 0;
    for (;;) {
        size_t best = count;
        for (size_t i = 0; i < count; i++) {
            const struct candidate *face = &candidates[i], *leader = best < count ? &candidates[best] : NULL;
            bool better = leader == NULL || face->score > leader->score ||
                          (face->score == leader->score && face->order < leader->order);
            best = !gone[i] && better ? i : best;
        }
        if (best == count) {
            break;
        }
        survived[best] = true;
        kept[survivors++] = candidates[best];
        for (size_t i = 0; i < count; i++) {
            gone[i] = gone[i] || i == best || straight_iou(candidates[best].box, candidates[i].box, extra) > threshold;
        }
    }
    for (size_t k = 0; k < survivors; k++) {
        kept[k].rivals = 0;
        kept[k].rival_shift = 0;
        for (size_t i = 0; i < count; i++) {
            const struct candidate *other = &candidates[i];
            float box = 0, points = 0;
            for (int j = 0; j < 4; j++) {
                box = fmaxf(box, fabsf(other->box[j] - kept[k].box[j]));
            }
            for (int j = 0; j < 10; j++) {
                points = fmaxf(points, fabsf(other->landmarks[j / 2][j % 2] - kept[k].landmarks[j / 2][j % 2]));
            }
            if (!survived[i] && other->score >= kept[k].score - 0.002F && box > 1e-3F &&
                straight_iou(kept[k].box, other->box, extra) > threshold) {
                kept[k].rivals++;
                kept[k].rival_shift = fmaxf(kept[k].rival_shift, fmaxf(box, points));
            }
        }
    }
    return survivors;
}

void test_nms_equals_straight_one(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    static struct candidate crowd[MOST], expected[MOST], found[MOST];
    struct buffer scratch = {0};
    int rivals = 0, suppressed = 0;
    for (int i = 0; i < 80; i++) {
        size_t count = crowd_make(crowd, i % 2 == 0);
        float threshold = (float)random_between(0, 0.8);
        size_t survivors = nms_straight(crowd, count, threshold, (float)(i / 2 % 2), expected);
        suppressed += (int)(count - survivors);
        for (size_t k = 0; k < device_count; k++) {
            memcpy(found, crowd, count * sizeof *found);
            size_t kept = fm_device_ops(devices[k])->nms(devices[k], found, count, threshold, i / 2 % 2 == 1, &scratch);
            CHECK(kept == survivors, "%s: %zu of %zu kept, not %zu", fm_cpu_level_name(fm_device_level(devices[k])),
                  kept, count, survivors);
            CHECK(memcmp(found, expected, kept * sizeof *found) == 0, "%s: other survivors, order or rivals",
                  fm_cpu_level_name(fm_device_level(devices[k])));
        }
        for (size_t k = 0; k < survivors; k++) {
            rivals += expected[k].rivals;
        }
    }
    CHECK(rivals > 100 && suppressed > 1000, "%d rivals, %d suppressed: the test is lopsided", rivals, suppressed);
    fm_buffer_reset(&scratch);
    devices_close(devices, device_count);
}

void test_nms_rivals(void) {
    static const float boxes[5][4] = {
        {0, 0, 20, 20}, {1, 0, 21, 23}, {0, 0, 20, 20}, {2, 0, 22, 20}, {300, 0, 320, 20}};
    /* 1 is as good and shifted by 3; 2 is the same box; 3 is too weak; 4 is somewhere else. */
    static const float scores[5] = {0.9F, 0.8985F, 0.8999F, 0.89F, 0.8999F};
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    for (size_t k = 0; k < device_count; k++) {
        struct candidate candidates[5];
        struct buffer scratch = {0};
        for (uint32_t i = 0; i < 5; i++) {
            candidates[i] = candidate_of(boxes[i], scores[i], i);
        }
        candidates[1].landmarks[3][1] = -7; /* the points move more than the box */
        candidates[2].landmarks[0][0] = 50; /* with the same box it is the same face */
        size_t kept = fm_device_ops(devices[k])->nms(devices[k], candidates, 5, 0.4F, true, &scratch);
        CHECK(kept == 2 && candidates[0].order == 0 && candidates[1].order == 4, "%zu kept", kept);
        CHECK(candidates[0].rivals == 1 && candidates[0].rival_shift == 7, "%d rivals, shift %g", candidates[0].rivals,
              (double)candidates[0].rival_shift);
        CHECK(candidates[1].rivals == 0 && candidates[1].rival_shift == 0, "a rival from far away");
        fm_buffer_reset(&scratch);
    }
    devices_close(devices, device_count);
}

void test_nms_not_finite(void) {
    const float bad[5] = {(float)NAN, (float)INFINITY, -(float)INFINITY, 3e38F, -3e38F};
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    static struct candidate crowd[MOST], expected[MOST], found[MOST];
    struct buffer scratch = {0};
    for (int i = 0; i < 40; i++) {
        size_t count = crowd_make(crowd, true), expected_count = 0;
        for (int k = 0; k < 60; k++) {
            struct candidate *candidate = &crowd[random_below((int)count)];
            candidate->box[random_below(4)] = bad[random_below(5)];
            candidate->landmarks[random_below(5)][0] = bad[random_below(5)];
            candidate->score = k % 20 == 0 ? bad[random_below(3)] : candidate->score;
        }
        for (size_t k = 0; k < device_count; k++) {
            memcpy(found, crowd, count * sizeof *found);
            size_t kept = fm_device_ops(devices[k])->nms(devices[k], found, count, 0.4F, true, &scratch);
            if (k == 0) {
                memcpy(expected, found, sizeof expected);
                expected_count = kept;
            }
            CHECK(kept == expected_count && memcmp(found, expected, kept * sizeof *found) == 0,
                  "%s differs from the reference", fm_cpu_level_name(fm_device_level(devices[k])));
        }
    }
    fm_buffer_reset(&scratch);
    devices_close(devices, device_count);
}

void test_nms_in_place_equals(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    const struct kernels *kernels = fm_kernels(fm_device_level(devices[device_count - 1]));
    static struct candidate expected[MOST], found[MOST];
    struct buffer scratch = {0};
    for (int i = 0; i < 60; i++) {
        size_t count = crowd_make(expected, i % 2 == 0);
        memcpy(found, expected, count * sizeof *found);
        size_t expected_count = fm_nms(kernels, expected, count, 0.4F, i % 4 < 2, &scratch);
        size_t kept = fm_nms_in_place(kernels, found, count, 0.4F, i % 4 < 2);
        CHECK(kept == expected_count && memcmp(found, expected, kept * sizeof *found) == 0, "%zu kept, not %zu", kept,
              expected_count);
    }
    CHECK(fm_nms_in_place(kernels, found, 0, 0.4F, true) == 0, "none");
    fm_buffer_reset(&scratch);
    devices_close(devices, device_count);
}

void test_nms_keeps_its_memory(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices);
    static struct candidate crowd[MOST];
    struct buffer scratch = {0};
    CHECK(fm_buffer_resize(&scratch, 400 * MOST), "no memory");
    const uint8_t *first = scratch.bytes;
    for (int i = 0; i < 10; i++) {
        size_t count = crowd_make(crowd, false);
        fm_device_ops(devices[0])->nms(devices[0], crowd, count, 0.4F, true, &scratch);
        CHECK(scratch.bytes == first, "%zu candidates took more than 400 bytes each", count);
    }
    fm_buffer_reset(&scratch);
    devices_close(devices, device_count);
}

/* ---- norms */

void test_norms(void) {
    struct device *devices[4];
    size_t device_count = devices_open(devices), size = 3 * 129 * sizeof(float);
    float *rows = random_floats(3 * 129, -2, 2), expected[3], norms[3];
    for (int i = 0; i < 3; i++) {
        double sum = 0;
        for (int k = 0; k < 129; k++) {
            sum += (double)rows[129 * i + k] * (double)rows[129 * i + k];
        }
        expected[i] = (float)sqrt(sum);
    }
    for (size_t k = 0; k < device_count; k++) {
        fm_device_ops(devices[k])->norms(devices[k], rows, 3, 129, norms);
        for (int i = 0; i < 3; i++) { /* the double sums differ in order only: at most the last bit of the float */
            CHECK(fabsf(norms[i] - expected[i]) <= 1.2e-7F * expected[i], "norm %.9g, not %.9g", (double)norms[i],
                  (double)expected[i]);
        }
    }
    guarded_free(rows, size);
    devices_close(devices, device_count);
}
