/* Tests of the detector's numbers (scan, decode, overlap) and of the dot product. All exact between instruction sets.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests.h"

void test_table_is_full(void) {
    enum cpu_level available[4];
    size_t count = available_levels(available);
    CHECK(count >= 1 && available[0] == CPU_SCALAR, "the reference must always be there");
    for (size_t i = 0; i < count; i++) {
        const struct kernels *kernels = fm_kernels(available[i]);
        CHECK(kernels->level == available[i], "the table of %s says %s", fm_cpu_level_name(available[i]),
              fm_cpu_level_name(kernels->level));
        CHECK(available[i] == CPU_SCALAR || kernels->resize_across != fm_kernels(CPU_SCALAR)->resize_across,
              "%s runs the reference", fm_cpu_level_name(available[i]));
    }
}

void test_mask_selects(void) {
    const char *before = getenv("FM_CPU_MASK");
    char *kept = before == NULL ? NULL : strdup(before);
    enum cpu_level available[4], level;
    size_t count = available_levels(available);
    for (size_t i = 0; i < count; i++) {
        setenv("FM_CPU_MASK", fm_cpu_level_name(available[i]), 1);
        CHECK(fm_cpu_level_masked(NULL, &level) && level == available[i], "FM_CPU_MASK=%s does not select it",
              fm_cpu_level_name(available[i]));
    }
    setenv("FM_CPU_MASK", "sse9", 1);
    CHECK(!fm_cpu_level_masked(NULL, &level), "an unknown FM_CPU_MASK is accepted");
    if (kept == NULL) {
        unsetenv("FM_CPU_MASK");
    } else {
        setenv("FM_CPU_MASK", kept, 1);
    }
    free(kept);
}

/* ---- scan */

static void check_scan(const struct score_rows *rows, size_t first, size_t count, float threshold) {
    enum cpu_level available[4];
    size_t level_count = available_levels(available);
    for (size_t level = 0; level < level_count; level++) {
        size_t size = count * rows->anchors * sizeof(uint32_t), next = 0;
        uint32_t *found = guarded_alloc(size, 0xEE);
        size_t hits = fm_kernels(available[level])->score_scan(rows, first, count, threshold, found);
        for (size_t row = first * rows->anchors; row < (first + count) * rows->anchors; row++) {
            size_t at = row / rows->anchors * rows->cell_stride + row % rows->anchors * rows->anchor_stride;
            if (rows->scores[at] >= threshold) {
                CHECK(next < hits && found[next] == row, "%s: row %zu missing", fm_cpu_level_name(available[level]),
                      row);
                next++;
            }
        }
        CHECK(next == hits, "%s: %zu rows, not %zu", fm_cpu_level_name(available[level]), hits, next);
        guarded_free(found, size);
    }
}

void test_score_scan(void) {
    for (int i = 0; i < 400; i++) {
        size_t anchors = (size_t)(1 + random_below(3)), images = (size_t)(1 + random_below(3));
        size_t first = (size_t)random_below(5), count = (size_t)random_below(90);
        struct score_rows rows = {.cell_stride = anchors * images, .anchor_stride = 1, .anchors = anchors};
        if (i % 5 == 0) { /* anchors in planes of their own */
            rows.cell_stride = 1;
            rows.anchor_stride = first + count;
        }
        size_t last = (first + count) * anchors * images, size = last * sizeof(float);
        float *scores = guarded_alloc(size, 0);
        for (size_t k = 0; k < last; k++) {
            scores[k] = (float)random_below(9) / 8.0F; /* coarse: some equal the threshold */
        }
        rows.scores = scores;
        check_scan(&rows, first, count, (float)random_below(10) / 8.0F);
        guarded_free(scores, size);
    }
}

void test_score_scan_not_a_number(void) {
    float scores[40];
    for (int i = 0; i < 40; i++) {
        scores[i] = i % 3 == 0 ? (float)NAN : i % 3 == 1 ? -(float)INFINITY : (float)INFINITY;
    }
    struct score_rows rows = {.scores = scores, .cell_stride = 2, .anchor_stride = 1, .anchors = 2};
    check_scan(&rows, 0, 20, -1e30F);
    uint32_t found[40];
    CHECK(fm_score_scan_c(&rows, 0, 20, -1e30F, found) == 13, "only the infinities pass");
}

void test_face_decode(void) {
    /* Cell 3,2 of stride 8: centre 24,16. Powers of two keep the expectation exact. */
    const float distances[4] = {1, 0.5F, 2, 0.25F}, offsets[10] = {0, 0, 1, -1, 0.5F, 0.5F, -2, 3, 4, 4};
    float box[4], points[5][2];
    fm_face_decode(distances, offsets, 3, 2, 8, 0.5F, box, points);
    CHECK(box[0] == 32 && box[1] == 24 && box[2] == 80 && box[3] == 36, "box %g %g %g %g", (double)box[0],
          (double)box[1], (double)box[2], (double)box[3]);
    CHECK(points[0][0] == 48 && points[1][0] == 64 && points[1][1] == 16 && points[4][1] == 96, "points are wrong");
    fm_face_decode(distances, NULL, 3, 2, 8, 0.5F, box, points);
    CHECK(points[2][0] == 0 && points[4][1] == 0, "points without offsets must be 0");
    /* Each step in single precision: multiply, subtract, divide. */
    const float odd[4] = {0.1F, 0.3F, 0.7F, 1.1F}, scale = (float)0.5003906;
    fm_face_decode(odd, NULL, 77, 5, 8, scale, box, points);
    volatile float product = 0.1F * 8.0F, difference = 616.0F - product, quotient = difference / scale;
    CHECK(box[0] == quotient, "x1 is %.9g, not %.9g", (double)box[0], (double)quotient);
}

/* ---- overlap */

struct boxes {
    struct box_columns columns;
    size_t count, size;
};

static struct boxes boxes_make(size_t count, float extra) {
    struct boxes boxes = {.count = count, .size = count * sizeof(float)};
    float **columns[5] = {&boxes.columns.x1, &boxes.columns.y1, &boxes.columns.x2, &boxes.columns.y2,
                          &boxes.columns.area};
    for (int i = 0; i < 5; i++) {
        *columns[i] = guarded_alloc(boxes.size, 0);
    }
    for (size_t i = 0; i < count; i++) {
        float x = (float)random_between(-10, 50), y = (float)random_between(-10, 50);
        float width = (float)random_between(0, 40), height = (float)random_between(0, 40);
        boxes.columns.x1[i] = x;
        boxes.columns.y1[i] = y;
        boxes.columns.x2[i] = x + width;
        boxes.columns.y2[i] = y + height;
        boxes.columns.area[i] = (x + width - x + extra) * (y + height - y + extra);
    }
    return boxes;
}

static void boxes_free(struct boxes *boxes) {
    float *columns[5] = {boxes->columns.x1, boxes->columns.y1, boxes->columns.x2, boxes->columns.y2,
                         boxes->columns.area};
    for (int i = 0; i < 5; i++) {
        guarded_free(columns[i], boxes->size);
    }
}

static struct iou_query query_make(float threshold, float extra) {
    struct boxes one = boxes_make(1, extra);
    const struct box_columns *c = &one.columns;
    struct iou_query query = {c->x1[0], c->y1[0], c->x2[0], c->y2[0], c->area[0], threshold, extra};
    boxes_free(&one);
    return query;
}

static void check_find(const struct boxes *boxes, size_t from, const struct iou_query *query) {
    enum cpu_level available[4];
    size_t level_count = available_levels(available),
           expected = fm_iou_find_c(&boxes->columns, from, boxes->count, query);
    for (size_t level = 0; level < level_count; level++) {
        size_t found = fm_kernels(available[level])->iou_find(&boxes->columns, from, boxes->count, query);
        CHECK(found == expected, "%s: %zu, not %zu (from %zu of %zu)", fm_cpu_level_name(available[level]), found,
              expected, from, boxes->count);
    }
}

void test_iou_equals_reference(void) {
    for (int i = 0; i < 800; i++) {
        float extra = (float)random_below(2);
        struct boxes boxes = boxes_make((size_t)random_below(70), extra);
        struct iou_query query = query_make((float)random_between(0, 1), extra);
        check_find(&boxes, boxes.count == 0 ? 0 : (size_t)random_below((int)boxes.count), &query);
        check_find(&boxes, boxes.count, &query);
        boxes_free(&boxes);
    }
}

/* Exactly at the threshold is not above it. Sides are small whole numbers, so that the quotient is what the test
   computes too. */
void test_iou_at_the_threshold(void) {
    for (size_t place = 0; place < 40; place++) {
        struct boxes boxes = boxes_make(40, 0);
        struct iou_query query = {.x1 = 0, .y1 = 0, .x2 = 8, .y2 = 4, .area = 32, .threshold = 0.5F, .extra = 0};
        float *columns[5] = {boxes.columns.x1, boxes.columns.y1, boxes.columns.x2, boxes.columns.y2,
                             boxes.columns.area};
        const float half[5] = {0, 0, 4, 4, 16};
        for (int side = 0; side < 5; side++) {
            for (int i = 0; i < 40; i++) {
                columns[side][i] = half[side]; /* overlap 16 of 32 */
            }
        }
        check_find(&boxes, 0, &query);
        CHECK(fm_iou_find_c(&boxes.columns, 0, 40, &query) == 40, "a half is above a half");
        boxes.columns.x2[place] = 5; /* 20 of 32 */
        boxes.columns.area[place] = 20;
        check_find(&boxes, 0, &query);
        CHECK(fm_iou_find_c(&boxes.columns, 0, 40, &query) == place, "five eighths are not above a half");
        boxes_free(&boxes);
    }
}

/* Overlap by the textbook in double; single precision may decide otherwise only this close to the threshold. */
static double textbook_iou(const struct box_columns *b, size_t i, const struct iou_query *q) {
    double extra = (double)q->extra;
    double width = fmin((double)q->x2, (double)b->x2[i]) - fmax((double)q->x1, (double)b->x1[i]) + extra;
    double height = fmin((double)q->y2, (double)b->y2[i]) - fmax((double)q->y1, (double)b->y1[i]) + extra;
    double shared = fmax(width, 0) * fmax(height, 0);
    double own = ((double)q->x2 - (double)q->x1 + extra) * ((double)q->y2 - (double)q->y1 + extra);
    double other = ((double)b->x2[i] - (double)b->x1[i] + extra) * ((double)b->y2[i] - (double)b->y1[i] + extra);
    return shared / (own + other - shared);
}

void test_iou_is_overlap(void) {
    int above = 0;
    for (int i = 0; i < 1000; i++) {
        float extra = (float)(i % 2), threshold = (float)random_between(0.05, 0.8);
        struct boxes boxes = boxes_make(1, extra);
        const struct box_columns *c = &boxes.columns; /* the query is the same box, moved and stretched a little */
        struct iou_query query = {.threshold = threshold, .extra = extra};
        query.x1 = c->x1[0] + (float)random_between(-8, 8);
        query.y1 = c->y1[0] + (float)random_between(-8, 8);
        query.x2 = query.x1 + (c->x2[0] - c->x1[0]) * (float)random_between(0.7, 1.4);
        query.y2 = query.y1 + (c->y2[0] - c->y1[0]) * (float)random_between(0.7, 1.4);
        query.area = (query.x2 - query.x1 + extra) * (query.y2 - query.y1 + extra);
        double iou = textbook_iou(&boxes.columns, 0, &query);
        bool found = fm_iou_find_c(&boxes.columns, 0, 1, &query) == 0;
        above += found;
        CHECK(fabs(iou - (double)threshold) < 1e-5 || found == (iou > (double)threshold), "iou %.7f, threshold %.7f",
              iou, (double)threshold);
        boxes_free(&boxes);
    }
    CHECK(above > 200 && above < 800, "%d of 1000 above: the test is lopsided", above);
}

void test_iou_not_finite(void) {
    const float bad[] = {(float)NAN, (float)INFINITY, -(float)INFINITY, 3e38F, -3e38F, 0.0F};
    for (int i = 0; i < 800; i++) {
        struct boxes boxes = boxes_make(20, 1);
        float *columns[5] = {boxes.columns.x1, boxes.columns.y1, boxes.columns.x2, boxes.columns.y2,
                             boxes.columns.area};
        for (int k = 0; k < 20; k++) {
            columns[random_below(5)][random_below(20)] = bad[random_below(6)];
        }
        struct iou_query query = query_make(0.4F, 1);
        float *sides[5] = {&query.x1, &query.y1, &query.x2, &query.y2, &query.area};
        if (i % 2 == 0) {
            *sides[random_below(5)] = bad[random_below(6)];
        }
        for (size_t from = 0; from < 20; from += 3) {
            check_find(&boxes, from, &query);
        }
        boxes_free(&boxes);
    }
}

/* ---- dot */

void test_dot_equals_reference(void) {
    enum cpu_level available[4];
    size_t level_count = available_levels(available);
    for (size_t count = 0; count < 600; count += count < 70 ? 1 : 37) {
        size_t size = count * sizeof(float);
        float *a = guarded_alloc(size, 0), *b = guarded_alloc(size, 0);
        for (size_t i = 0; i < count; i++) {
            a[i] = (float)(random_between(-1, 1) * pow(10, random_between(-20, 15)));
            b[i] = (float)(random_between(-1, 1) * pow(10, random_between(-20, 15)));
        }
        double expected = fm_dot_c(a, b, count);
        for (size_t level = 0; level < level_count; level++) {
            double sum = fm_kernels(available[level])->dot(a, b, count);
            CHECK(memcmp(&sum, &expected, sizeof sum) == 0, "%s: %zu elements: %.17g, not %.17g",
                  fm_cpu_level_name(available[level]), count, sum, expected);
        }
        guarded_free(a, size);
        guarded_free(b, size);
    }
}

void test_dot_is_sum(void) {
    float a[515], b[515];
    long double sum = 0, magnitude = 0;
    for (int i = 0; i < 515; i++) {
        a[i] = (float)random_between(-2, 2);
        b[i] = (float)random_between(-2, 2);
        sum += (long double)a[i] * (long double)b[i];
        magnitude += fabsl((long double)a[i] * (long double)b[i]);
    }
    long double error = fabsl((long double)fm_dot_c(a, b, 515) - sum);
    CHECK(error <= 1e-14L * magnitude, "off by %Lg", error); /* 515 roundings of 2^-53 at worst, in fewer levels */
}
