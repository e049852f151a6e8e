/* Greedy non-maximum suppression of candidates on the host: sort keys, walk down once comparing each candidate with the
   survivors so far, then look for the rivals of each survivor among the suppressed. Sides stand in columns so that the
   kernel compares many at a time. Works in the caller's scratch; pure; any thread. */
#include "device/nms.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define RIVAL_SCORE_GAP                                                                                                \
    0.002F                    /* scores this close can change places by one level of rounding in the network's input   \
                               */
#define RIVAL_MIN_SHIFT 1e-3F /* pixels; below this it is the same box */
#define RUN 8                 /* candidates sorted by insertion before merging begins */

/* Smaller key first: falling score, then rising order. */
struct sort_entry {
    uint64_t key;
    uint32_t index;
};

/* Boxes as columns, with the candidate each came from. */
struct box_list {
    struct box_columns columns;
    const struct candidate **from;
    size_t count;
};

struct nms_memory {
    struct sort_entry *entries, *merged;
    struct candidate *sorted;
    struct box_list kept, lost;
};

/* Bits of `score` mapped so that larger scores give smaller numbers. NaN comes last; both zeros are one. */
static uint32_t falling_bits(float score) {
    float plain = score + 0.0F;
    uint32_t bits;
    memcpy(&bits, &plain, sizeof bits);
    if (isnan(score)) {
        return UINT32_MAX;
    }
    return bits >> 31 ? bits : bits ^ 0x7fffffffU;
}

static uint64_t sort_key(const struct candidate *candidate) {
    return (uint64_t)falling_bits(candidate->score) << 32 | candidate->order;
}

static void sort_run(struct sort_entry *entries, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct sort_entry moving = entries[i];
        size_t k = i;
        for (; k > 0 && entries[k - 1].key > moving.key; k--) {
            entries[k] = entries[k - 1];
        }
        entries[k] = moving;
    }
}

static void merge_runs(const struct sort_entry *a, size_t a_count, const struct sort_entry *b, size_t b_count,
                       struct sort_entry *out) {
    size_t i = 0, k = 0;
    while (i < a_count && k < b_count) {
        *out++ = b[k].key < a[i].key ? b[k++] : a[i++];
    }
    memcpy(out, a + i, (a_count - i) * sizeof *a);
    memcpy(out + (a_count - i), b + k, (b_count - k) * sizeof *b);
}

/* Stable merge sort; returns whichever of the two arrays holds the result. Not qsort: glibc's allocates. */
static const struct sort_entry *sort_entries(struct sort_entry *entries, struct sort_entry *other, size_t count) {
    for (size_t start = 0; start < count; start += RUN) {
        sort_run(entries + start, count - start < RUN ? count - start : RUN);
    }
    for (size_t width = RUN; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t a = count - start < width ? count - start : width;
            size_t b = count - start - a < width ? count - start - a : width;
            merge_runs(entries + start, a, entries + start + a, b, other + start);
        }
        struct sort_entry *swapped = entries;
        entries = other;
        other = swapped;
    }
    return entries;
}

/* Give out aligned parts of `bytes`; with NULL only the size is counted. */
static void *take(uint8_t *bytes, size_t *used, size_t size) {
    void *part = bytes == NULL ? NULL : bytes + *used;
    *used += (size + FM_ALIGNMENT - 1) / FM_ALIGNMENT * FM_ALIGNMENT;
    return part;
}

static void list_lay_out(struct box_list *list, uint8_t *bytes, size_t *used, size_t count) {
    float **columns[] = {&list->columns.x1, &list->columns.y1, &list->columns.x2, &list->columns.y2,
                         &list->columns.area};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        *columns[i] = take(bytes, used, count * sizeof(float));
    }
    list->from = take(bytes, used, count * sizeof(struct candidate *));
    list->count = 0;
}

static size_t memory_lay_out(struct nms_memory *memory, uint8_t *bytes, size_t count) {
    size_t used = 0;
    memory->entries = take(bytes, &used, count * sizeof *memory->entries);
    memory->merged = take(bytes, &used, count * sizeof *memory->merged);
    memory->sorted = take(bytes, &used, count * sizeof *memory->sorted);
    list_lay_out(&memory->kept, bytes, &used, count);
    list_lay_out(&memory->lost, bytes, &used, count);
    return used;
}

static struct iou_query query_of(const struct candidate *candidate, float threshold, bool plus_one) {
    const float *box = candidate->box;
    float extra = plus_one ? 1.0F : 0.0F;
    return (struct iou_query){
        .x1 = box[0],
        .y1 = box[1],
        .x2 = box[2],
        .y2 = box[3],
        .area = (box[2] - box[0] + extra) * (box[3] - box[1] + extra),
        .threshold = threshold,
        .extra = extra,
    };
}

static void list_add(struct box_list *list, const struct iou_query *box, const struct candidate *from) {
    size_t i = list->count++;
    list->columns.x1[i] = box->x1;
    list->columns.y1[i] = box->y1;
    list->columns.x2[i] = box->x2;
    list->columns.y2[i] = box->y2;
    list->columns.area[i] = box->area;
    list->from[i] = from;
}

static float largest_difference(const float *a, const float *b, size_t count) {
    float largest = 0.0F;
    for (size_t i = 0; i < count; i++) {
        float difference = fabsf(a[i] - b[i]);
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

/* `other` overlaps `face`, lost to it or to a neighbour, and scored as well: note how far the face would jump. */
static void rival_note(struct candidate *face, const struct candidate *other) {
    float box = largest_difference(face->box, other->box, 4);
    float points = largest_difference(&face->landmarks[0][0], &other->landmarks[0][0], 10);
    float shift = box > points ? box : points;
    if (box > RIVAL_MIN_SHIFT) {
        face->rivals++;
        face->rival_shift = shift > face->rival_shift ? shift : face->rival_shift;
    }
}

static bool scores_as_well(const struct candidate *other, const struct candidate *face) {
    return other->score >= face->score - RIVAL_SCORE_GAP;
}

/* Both lists fall in score, so the suppressed that come into question are a growing front part. */
static void rivals_find(const struct kernels *kernels, struct candidate *face, const struct box_list *lost, size_t *end,
                        float threshold, bool plus_one) {
    while (*end < lost->count && scores_as_well(lost->from[*end], face)) {
        ++*end;
    }
    struct iou_query query = query_of(face, threshold, plus_one);
    for (size_t i = 0; (i = kernels->iou_find(&lost->columns, i, *end, &query)) < *end; i++) {
        rival_note(face, lost->from[i]);
    }
}

size_t fm_nms(const struct kernels *kernels, struct candidate *candidates, size_t count, float threshold, bool plus_one,
              struct buffer *scratch) {
    struct nms_memory memory;
    assert(count <= UINT32_MAX);
    if (count == 0) {
        return 0;
    }
    if (!fm_buffer_resize(scratch, memory_lay_out(&memory, NULL, count))) {
        return fm_nms_in_place(kernels, candidates, count, threshold, plus_one);
    }
    memory_lay_out(&memory, scratch->bytes, count);
    for (size_t i = 0; i < count; i++) {
        memory.entries[i] = (struct sort_entry){.key = sort_key(&candidates[i]), .index = (uint32_t)i};
    }
    const struct sort_entry *sorted = sort_entries(memory.entries, memory.merged, count);
    struct box_list *kept = &memory.kept, *lost = &memory.lost;
    for (size_t i = 0; i < count; i++) {
        struct candidate *face = &memory.sorted[i];
        *face = candidates[sorted[i].index];
        struct iou_query query = query_of(face, threshold, plus_one);
        bool survives = kernels->iou_find(&kept->columns, 0, kept->count, &query) == kept->count;
        list_add(survives ? kept : lost, &query, face);
    }
    size_t lost_end = 0;
    for (size_t i = 0; i < kept->count; i++) {
        candidates[i] = *kept->from[i];
        candidates[i].rivals = 0;
        candidates[i].rival_shift = 0.0F;
        rivals_find(kernels, &candidates[i], lost, &lost_end, threshold, plus_one);
    }
    return kept->count;
}

/* ---- without memory */

static void heap_sink(struct candidate *candidates, size_t root, size_t count) {
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && sort_key(&candidates[child + 1]) > sort_key(&candidates[child])) {
            child++;
        }
        if (sort_key(&candidates[root]) >= sort_key(&candidates[child])) {
            return;
        }
        struct candidate swapped = candidates[root];
        candidates[root] = candidates[child];
        candidates[child] = swapped;
    }
}

static void heap_sort(struct candidate *candidates, size_t count) {
    for (size_t i = count / 2; i-- > 0;) {
        heap_sink(candidates, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        struct candidate swapped = candidates[0];
        candidates[0] = candidates[end];
        candidates[end] = swapped;
        heap_sink(candidates, 0, end);
    }
}

static bool overlaps(const struct kernels *kernels, const struct candidate *face, const struct candidate *survivor,
                     float threshold, bool plus_one) {
    struct iou_query query = query_of(face, threshold, plus_one), box = query_of(survivor, threshold, plus_one);
    struct box_columns columns = {&box.x1, &box.y1, &box.x2, &box.y2, &box.area};
    return kernels->iou_find(&columns, 0, 1, &query) == 0;
}

size_t fm_nms_in_place(const struct kernels *kernels, struct candidate *candidates, size_t count, float threshold,
                       bool plus_one) {
    heap_sort(candidates, count);
    for (size_t i = 0; i < count; i++) {
        candidates[i].rivals = 0; /* -1 marks the suppressed until the end */
        candidates[i].rival_shift = 0.0F;
        for (size_t k = 0; k < i && candidates[i].rivals == 0; k++) {
            bool loses =
                candidates[k].rivals == 0 && overlaps(kernels, &candidates[i], &candidates[k], threshold, plus_one);
            candidates[i].rivals = loses ? -1 : 0;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct candidate *face = &candidates[i];
        for (size_t k = 0; face->rivals >= 0 && k < count && scores_as_well(&candidates[k], face); k++) {
            if (candidates[k].rivals < 0 && overlaps(kernels, face, &candidates[k], threshold, plus_one)) {
                rival_note(face, &candidates[k]);
            }
        }
    }
    size_t survivors = 0;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].rivals >= 0) {
            candidates[survivors++] = candidates[i];
        }
    }
    return survivors;
}
