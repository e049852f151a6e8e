/* validate's arithmetic: faces are matched by overlap, then compared. A face whose anchor had a rival within rounding
   is listed apart, because there two right answers exist. */
#include "validate.h"

#include <math.h>

#define SAME_FACE_IOU 0.4

static void spread_add(struct spread *spread, double value, bool smaller_is_worse) {
    bool worse = smaller_is_worse ? value < spread->worst : value > spread->worst;
    if (spread->count == 0 || worse)
        spread->worst = value;
    spread->sum += value;
    spread->count++;
}

double fm_spread_mean(const struct spread *spread) {
    return spread->count ? spread->sum / (double)spread->count : 0;
}

static double area(const float box[4]) {
    return (double)(box[2] - box[0]) * (double)(box[3] - box[1]);
}

static double overlap(const fm_face *a, const fm_face *b) {
    double width = (double)(fminf(a->box[2], b->box[2]) - fmaxf(a->box[0], b->box[0]));
    double height = (double)(fminf(a->box[3], b->box[3]) - fmaxf(a->box[1], b->box[1]));
    double common = width > 0 && height > 0 ? width * height : 0, all = area(a->box) + area(b->box) - common;
    return all > 0 ? common / all : 0;
}

/* match[i]: index in b of a's face i, -1 for none; each of b's at most once. */
static void match_faces(const fm_result *a, const fm_result *b, size_t count_a, size_t count_b, int *match,
                        bool *taken) {
    for (size_t j = 0; j < count_b; j++)
        taken[j] = false;
    for (size_t i = 0; i < count_a; i++) {
        double best = SAME_FACE_IOU;
        match[i] = -1;
        for (size_t j = 0; j < count_b; j++) {
            double iou = taken[j] ? 0 : overlap(fm_result_face(a, i), fm_result_face(b, j));
            if (iou > best) {
                best = iou;
                match[i] = (int)j;
            }
        }
        if (match[i] >= 0)
            taken[match[i]] = true;
    }
}

/* `threshold` is that of the side which did not find it. */
static void judge_missing(const fm_face *face, char found_by, size_t index, double threshold, uint64_t *missing,
                          struct tally *tally, struct text *words) {
    if (fabs((double)face->score - threshold) < ROUNDING_SCORE) {
        tally->at_threshold++;
        fm_text_add(words, "apart: face %zu of %c alone, score %.4f at the threshold\n", index + 1, found_by,
                    (double)face->score);
    } else if (face->rivals > 0) {
        tally->rivals++;
        fm_text_add(words, "apart: face %zu of %c alone, with %d rival anchors\n", index + 1, found_by, face->rivals);
    } else {
        ++*missing;
        fm_text_add(words, "face %zu of %c, score %.4f at %.0f,%.0f, is not found by the other\n", index + 1, found_by,
                    (double)face->score, (double)face->box[0], (double)face->box[1]);
    }
}

static void judge_order(const fm_result *a, const fm_result *b, size_t count, const int *match, struct tally *tally,
                        struct text *words) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count && match[i] >= 0; k++) {
            if (match[k] < 0 || match[k] > match[i])
                continue;
            const fm_face *first = fm_result_face(a, i), *second = fm_result_face(a, k);
            const fm_face *first_b = fm_result_face(b, (size_t)match[i]),
                          *second_b = fm_result_face(b, (size_t)match[k]);
            bool tie = fabs((double)(first->score - second->score)) < ROUNDING_SCORE &&
                       fabs((double)(first_b->score - second_b->score)) < ROUNDING_SCORE;
            tally->order_ties += tie;
            tally->disordered += !tie;
            fm_text_add(words, "%sfaces %zu and %zu come in the other order (scores %.4f and %.4f)\n",
                        tie ? "apart: " : "", i + 1, k + 1, (double)first->score, (double)second->score);
        }
    }
}

static double box_deviation(const fm_face *a, const fm_face *b) {
    double most = 0;
    for (int k = 0; k < 4; k++)
        most = fmax(most, fabs((double)a->box[k] - (double)b->box[k]));
    return most;
}

static double landmark_deviation(const fm_face *a, const fm_face *b) {
    double most = 0;
    for (int k = 0; k < 10; k++)
        most = fmax(most, fabs((double)a->landmarks[k / 2][k % 2] - (double)b->landmarks[k / 2][k % 2]));
    return most;
}

static void judge_pair(const fm_face *a, const fm_face *b, size_t index, const struct limits *limits,
                       struct tally *tally, struct text *words) {
    double box = box_deviation(a, b), landmark = landmark_deviation(a, b), cosine = 1;
    bool embedded = a->embedding && b->embedding, comparable = embedded && a->embedding_size == b->embedding_size;
    if (comparable)
        cosine = (double)fm_similarity(a->embedding, b->embedding, (size_t)a->embedding_size);
    if (a->rivals > 0 || b->rivals > 0) {
        tally->rivals++;
        spread_add(&tally->rival_box, box, false);
        if (comparable)
            spread_add(&tally->rival_cosine, cosine, true);
        fm_text_add(words, "apart: face %zu has a rival anchor: box %.3f px, landmarks %.3f px, cosine %.6f\n",
                    index + 1, box, landmark, cosine);
        return;
    }
    tally->pairs++;
    spread_add(&tally->box, box, false);
    spread_add(&tally->landmark, landmark, false);
    if (comparable)
        spread_add(&tally->cosine, cosine, true);
    bool bad = box > limits->box || landmark > limits->landmark || (comparable && !(cosine > limits->cosine)) ||
               (embedded && !comparable);
    tally->over_limit += bad;
    if (embedded && !comparable)
        fm_text_add(words, "face %zu: embeddings of %d and %d values cannot be compared\n", index + 1,
                    a->embedding_size, b->embedding_size);
    else if (bad)
        fm_text_add(words, "face %zu is past a limit: box %.3f px, landmarks %.3f px, cosine %.6f\n", index + 1, box,
                    landmark, cosine);
}

static void judge_crops(const float *const crops[2], size_t size, size_t count, const struct limits *limits,
                        struct tally *tally, struct text *words) {
    for (size_t i = 0; i < count; i++) {
        double cosine = (double)fm_similarity(crops[0] + i * size, crops[1] + i * size, size);
        spread_add(&tally->crop_cosine, cosine, true);
        if (cosine > limits->cosine)
            continue;
        tally->crops_over_limit++;
        fm_text_add(words, "face %zu is past a limit: cosine %.6f on the identical crop\n", i + 1, cosine);
    }
}

void fm_results_compare(const fm_result *a, const fm_result *b, const float *const crops[2], size_t crop_size,
                        const struct limits *limits, struct tally *tally, struct text *words) {
    size_t count_a = fm_result_face_count(a), count_b = fm_result_face_count(b);
    int *match = fm_alloc_array(count_a + 1, sizeof *match);
    bool *taken = fm_alloc_array(count_b + 1, sizeof *taken);
    *tally = (struct tally){.faces = {count_a, count_b}};
    if (!match || !taken) {
        words->failed = true;
        goto cleanup;
    }
    match_faces(a, b, count_a, count_b, match, taken);
    for (size_t i = 0; i < count_a; i++) {
        if (match[i] >= 0)
            judge_pair(fm_result_face(a, i), fm_result_face(b, (size_t)match[i]), i, limits, tally, words);
        else
            judge_missing(fm_result_face(a, i), 'A', i, limits->thresholds[1], &tally->missing[1], tally, words);
    }
    for (size_t j = 0; j < count_b; j++) {
        if (!taken[j])
            judge_missing(fm_result_face(b, j), 'B', j, limits->thresholds[0], &tally->missing[0], tally, words);
    }
    judge_order(a, b, count_a, match, tally, words);
    if (crops)
        judge_crops(crops, crop_size, count_a, limits, tally, words);
cleanup:
    fm_free(match);
    fm_free(taken);
}

static void spread_join(struct spread *sum, const struct spread *more, bool smaller_is_worse) {
    bool worse = smaller_is_worse ? more->worst < sum->worst : more->worst > sum->worst;
    if (more->count && (sum->count == 0 || worse))
        sum->worst = more->worst;
    sum->count += more->count;
    sum->sum += more->sum;
}

void fm_tally_add(struct tally *sum, const struct tally *picture) {
    for (int side = 0; side < 2; side++) {
        sum->faces[side] += picture->faces[side];
        sum->missing[side] += picture->missing[side];
    }
    sum->pairs += picture->pairs;
    sum->disordered += picture->disordered;
    sum->over_limit += picture->over_limit;
    sum->crops_over_limit += picture->crops_over_limit;
    sum->rivals += picture->rivals;
    sum->at_threshold += picture->at_threshold;
    sum->order_ties += picture->order_ties;
    spread_join(&sum->cosine, &picture->cosine, true);
    spread_join(&sum->crop_cosine, &picture->crop_cosine, true);
    spread_join(&sum->box, &picture->box, false);
    spread_join(&sum->landmark, &picture->landmark, false);
    spread_join(&sum->rival_cosine, &picture->rival_cosine, true);
    spread_join(&sum->rival_box, &picture->rival_box, false);
}

bool fm_tally_good(const struct tally *tally) {
    return tally->missing[0] + tally->missing[1] + tally->disordered + tally->over_limit + tally->crops_over_limit == 0;
}
