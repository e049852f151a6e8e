/* Full batches of 3 and 8 against single runs, to the last bit, on ort:cpu: the stock heads whose rows run cell, image,
   anchor, heads with a true batch, the structure of det_10g, the recogniser, the networks of packs/mini on drawn faces,
   and those of FM_SHARED/models when they are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine_support.h"
#include "image/image.h"

#define MOST 8
#define CAPACITY 20000

/* What one image gave: candidates of a detector, or an embedding. */
struct answer {
    struct candidate *candidates;
    size_t count;
    float embedding[512];
};

struct collector {
    struct slot_owner owner;
    struct device *device;
    int side;
    const struct image *pictures; /* MOST of them, or NULL: noise */
    struct answer *answers;
    atomic_int count;
    int largest_batch;
    fm_status status;
};

static void collect(struct slot_owner *owner, int index, const struct slot_answer *slot) {
    struct collector *collector = (struct collector *)(void *)owner;
    const struct model *model = slot->network->model;
    struct answer *answer = &collector->answers[index];
    collector->status = slot->status;
    collector->largest_batch = slot->batch > collector->largest_batch ? slot->batch : collector->largest_batch;
    answer->count = 0;
    if (slot->status == FM_OK && model->task == MODEL_DETECTION)
        collector->status =
            fm_detector_collect(model, collector->device, slot->outputs, slot->batch, slot->slot, collector->side,
                                collector->side, 1.0, 0.02f, answer->candidates, CAPACITY, &answer->count, NULL);
    else if (slot->status == FM_OK)
        memcpy(answer->embedding,
               (const float *)slot->outputs[0].bytes + (size_t)slot->slot * (size_t)model->recogniser.size,
               (size_t)model->recogniser.size * sizeof(float));
    atomic_fetch_add(&collector->count, 1);
}

static void write_slot(const struct network *network, struct batch *batch, int slot, int side,
                       const struct rgb_view *view) {
    const struct letterbox fit = fm_letterbox_fit(view->width, view->height, side, side);
    struct buffer scratch = {0};
    assert_int_equal(
        fm_device_ops(network->device)
            ->letterbox(network->device, view, &fit, &network->model->pixels, &batch->input, slot, &scratch, NULL),
        FM_OK);
    fm_buffer_reset(&scratch);
}

/* A picture per image: noise with flat patches, and coloured squares for the generated detectors. */
static void fill_slot(const struct network *network, struct batch *batch, int slot, int side, int image) {
    struct test_image drawn = test_image_make(side, side, (uint32_t)image * 5u + 1u);
    uint32_t state = (uint32_t)image * 977u + 11u;
    for (size_t i = 0; i < (size_t)side * (size_t)side * 3; i++) {
        state = state * 1664525u + 1013904223u;
        if (drawn.rgb[i] == 0 && (state >> 29) == 0)
            drawn.rgb[i] = (uint8_t)((i >> 9) * (size_t)(image + 3));
    }
    const struct rgb_view view = {drawn.rgb, side, side, (size_t)side * 3};
    write_slot(network, batch, slot, side, &view);
    test_image_free(&drawn);
}

/* Images 0..count-1, `together` at a time: all slots are taken before the first is said to be written. */
static void run_images(struct network *network, struct collector *collector, int count, int together) {
    for (int first = 0; first < count; first += together) {
        struct batch *batches[MOST];
        int slot = 0;
        const int now = count - first < together ? count - first : together;
        for (int i = 0; i < now; i++) {
            assert_int_equal(fm_network_acquire(network, collector->side, collector->side, &collector->owner, first + i,
                                                &batches[i], &slot, NULL),
                             FM_OK);
            assert_ptr_equal(batches[i], batches[0]); /* one batch holds them all */
            if (collector->pictures) {
                const struct image *picture = &collector->pictures[first + i];
                const struct rgb_view view = {picture->rgb.bytes, picture->width, picture->height,
                                              (size_t)picture->width * 3};
                write_slot(network, batches[i], slot, collector->side, &view);
            } else {
                fill_slot(network, batches[i], slot, collector->side, first + i);
            }
        }
        for (int i = 0; i < now; i++)
            fm_network_commit(network, batches[i]);
        while (atomic_load(&collector->count) < first + now) {
        }
        assert_int_equal(collector->status, FM_OK);
    }
}

static void answers_init(struct answer answers[MOST]) {
    for (int i = 0; i < MOST; i++)
        assert_non_null(answers[i].candidates = calloc(CAPACITY, sizeof *answers[i].candidates));
}

static void answers_reset(struct answer answers[MOST]) {
    for (int i = 0; i < MOST; i++)
        free(answers[i].candidates);
}

static size_t compare_answers(const struct answer *alone, const struct answer *together, bool detects) {
    size_t compared = 0;
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(alone[i].count, together[i].count);
        assert_memory_equal(alone[i].candidates, together[i].candidates, alone[i].count * sizeof *alone[i].candidates);
        if (!detects)
            assert_memory_equal(alone[i].embedding, together[i].embedding, sizeof alone[i].embedding);
        compared += alone[i].count;
    }
    return compared;
}

static void open_network(const struct model *model, struct device *device, int batch, int side,
                         struct network **network) {
    static const struct runtime_options runtime = {.threads = 1};
    fm_error error = {0};
    const struct network_options options = {.model = model,
                                            .provider = fm_provider_find("ort:cpu", 7),
                                            .runtime = &runtime,
                                            .device = device,
                                            .batch = batch,
                                            .threads = 1,
                                            .width = side,
                                            .height = side};
    if (fm_network_open(&options, network, &error) != FM_OK)
        fail_msg("%s: %s", model->file, error.message);
}

static void compare_model(const struct model *model, struct device *device, int side, const struct image *pictures) {
    struct answer alone[MOST] = {{0}}, together[MOST] = {{0}};
    const bool detects = model->task == MODEL_DETECTION;
    struct network *network = NULL;
    answers_init(alone);
    answers_init(together);
    struct collector collector = {
        .owner = {collect}, .device = device, .side = side, .pictures = pictures, .answers = alone};
    open_network(model, device, 1, side, &network);
    run_images(network, &collector, MOST, 1);
    assert_int_equal(collector.largest_batch, 1);
    fm_network_close(network);
    static const int sizes[] = {3, 8};
    for (int k = 0; k < 2; k++) {
        collector = (struct collector){
            .owner = {collect}, .device = device, .side = side, .pictures = pictures, .answers = together};
        open_network(model, device, sizes[k], side, &network);
        assert_int_equal(network->max_batch, sizes[k]);
        run_images(network, &collector, MOST, sizes[k]);
        assert_int_equal(collector.largest_batch, sizes[k]); /* really run as one */
        const size_t compared = compare_answers(alone, together, detects);
        print_message("%s at %d: batch %d, %zu rows equal to single runs\n", model->file, side, sizes[k], compared);
        assert_true(!detects || compared > 0);
        fm_network_close(network);
    }
    answers_reset(alone);
    answers_reset(together);
}

static void compare_pack(const char *path, int side, const struct image *pictures) {
    struct pack *pack = NULL;
    struct device *device = NULL;
    fm_error error = {0};
    if (fm_pack_open(path, "test", NULL, &pack, &error) != FM_OK)
        fail_msg("%s: %s", path, error.message);
    assert_int_equal(fm_device_row(0)->open(0, fm_cpu_level(), &device, &error), FM_OK);
    if (pack->tasks[MODEL_DETECTION])
        compare_model(pack->tasks[MODEL_DETECTION], device, side, pictures);
    if (pack->tasks[MODEL_RECOGNITION])
        compare_model(pack->tasks[MODEL_RECOGNITION], device, pack->tasks[MODEL_RECOGNITION]->recogniser.side,
                      pictures);
    fm_device_row(0)->close(device);
    fm_pack_close(pack);
}

static void generated(const char *name, int side) {
    if (!test_has_runtime())
        skip();
    compare_pack(test_pack(name), side, NULL);
}

static void stock(void **state) {
    (void)state;
    generated("stock", 640);
}

static void batched(void **state) {
    (void)state;
    generated("batched", 640);
}

static void det_10g(void **state) {
    (void)state;
    generated("det_10g", 128);
}

/* Faces of all sizes for the real networks, the same for every batch. */
static bool read_pictures(struct image pictures[MOST]) {
    static const char *const names[MOST] = {"one.png",      "two.png",   "three.png", "six.png",
                                            "portrait.png", "small.png", "large.png", "turned.jpg"};
    for (int i = 0; i < MOST; i++) {
        char path[OS_PATH_SIZE];
        struct buffer file = {0};
        fm_error error = {0};
        if (!test_drawn(names[i], path, sizeof path))
            return false;
        if (fm_file_read(path, 1 << 24, &file, &error) != FM_OK ||
            fm_image_read(&pictures[i], file.bytes, file.size, names[i], NULL, &error) != FM_OK)
            fail_msg("%s", error.message);
        fm_buffer_reset(&file);
    }
    return true;
}

static void real_networks(void **state) {
    static const char *const shared[] = {"models/det_500m.onnx", "models/scrfd_2.5g_bnkps.onnx",
                                         "models/w600k_mbf.onnx"};
    static struct image pictures[MOST];
    char path[OS_PATH_SIZE];
    (void)state;
    if (!test_has_runtime() || !read_pictures(pictures))
        skip();
    compare_pack(TEST_MINI_PACK, 320, pictures);
    for (int i = 0; i < 3; i++)
        if (test_shared(shared[i], path, sizeof path))
            compare_pack(path, 320, pictures);
    for (int i = 0; i < MOST; i++)
        fm_image_reset(&pictures[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock),
        cmocka_unit_test(batched),
        cmocka_unit_test(det_10g),
        cmocka_unit_test(real_networks),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
