/* Answers do not depend on batch size, number of threads or callers, or company: the same bytes, every way. Generated
   packs in three layouts, packs/mini on drawn faces, and the networks of FM_SHARED on photographs when they are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"

#define IMAGES 12
#define CALLERS 8

struct album {
    int count, det_size;
    struct test_image images[IMAGES];
    fm_pixels pixels[IMAGES];
    char paths[IMAGES][OS_PATH_SIZE];
    fm_input inputs[IMAGES];
};

/* Sizes that differ in both directions: every slot of a batch is letterboxed differently. */
static void album_draw(struct album *album, int count, int det_size) {
    memset(album, 0, sizeof *album);
    album->count = count;
    album->det_size = det_size;
    static const int sizes[IMAGES][2] = {{640, 480}, {333, 777}, {1280, 720}, {64, 64},   {900, 901}, {640, 80},
                                         {80, 640},  {641, 639}, {1999, 37},  {500, 375}, {320, 320}, {1024, 1400}};
    for (int i = 0; i < count; i++) {
        album->images[i] = test_image_make(sizes[i][0], sizes[i][1], (uint32_t)i * 7u + 3u);
        album->pixels[i] = test_image_pixels(&album->images[i]);
        album->inputs[i] = fm_input_pixels(&album->pixels[i]);
    }
}

/* Files. False when one is missing, which was said. */
static bool album_open(struct album *album, bool (*find)(const char *name, char *path, size_t size),
                       const char *const *names, int count, int det_size) {
    memset(album, 0, sizeof *album);
    album->count = count;
    album->det_size = det_size;
    for (int i = 0; i < count; i++) {
        if (!find(names[i], album->paths[i], sizeof album->paths[i]))
            return false;
        album->inputs[i] = fm_input_file(album->paths[i]);
    }
    return true;
}

static void album_free(struct album *album) {
    for (int i = 0; i < IMAGES; i++)
        test_image_free(&album->images[i]);
}

static fm_engine *engine_of(const char *pack, int det_size, int threads, int batch) {
    fm_engine *engine = NULL;
    fm_error error = {0};
    const fm_engine_options options = {.struct_size = sizeof options,
                                       .pack = pack,
                                       .providers = "ort:cpu",
                                       .threads = threads,
                                       .batch = batch,
                                       .det_sizes = {det_size},
                                       .det_threshold = 0.3f};
    if (fm_engine_open(&options, &engine, &error) != FM_OK)
        fail_msg("%s: %s", pack, error.message);
    return engine;
}

static void free_results(fm_result *results[IMAGES]) {
    for (int i = 0; i < IMAGES; i++)
        fm_result_free(results[i]);
}

/* One at a time on one thread: what every other way is compared with. */
static void answers_alone(const char *pack, const struct album *album, fm_result *results[IMAGES]) {
    fm_engine *engine = engine_of(pack, album->det_size, 1, 1);
    fm_error error = {0};
    for (int i = 0; i < album->count; i++)
        if (fm_analyze(engine, &album->inputs[i], NULL, &results[i], &error) != FM_OK)
            fail_msg("%s, image %d: %s", pack, i, error.message);
    fm_engine_close(engine);
}

static void compare_batches(const char *pack, const struct album *album, fm_result *const alone[IMAGES], int batch,
                            int threads) {
    fm_result *results[IMAGES] = {NULL};
    fm_engine *engine = engine_of(pack, album->det_size, threads, batch);
    assert_int_equal(fm_analyze_batch(engine, album->inputs, (size_t)album->count, NULL, results, NULL), FM_OK);
    for (int i = 0; i < album->count; i++)
        test_same_faces(alone[i], results[i]);
    free_results(results);
    fm_engine_close(engine);
}

struct caller {
    struct os_thread thread;
    fm_engine *engine;
    const struct album *album;
    int first;
    fm_result *results[IMAGES];
};

static void call_in_turn(void *argument) {
    struct caller *caller = argument;
    for (int i = 0; i < caller->album->count; i++) {
        const int which = (caller->first + i) % caller->album->count;
        if (fm_analyze(caller->engine, &caller->album->inputs[which], NULL, &caller->results[which], NULL) != FM_OK)
            return; /* the missing result fails the comparison */
    }
}

static void compare_callers(const char *pack, const struct album *album, fm_result *const alone[IMAGES], int batch) {
    static struct caller callers[CALLERS];
    fm_engine *engine = engine_of(pack, album->det_size, 2, batch);
    memset(callers, 0, sizeof callers);
    for (int c = 0; c < CALLERS; c++) {
        callers[c].engine = engine;
        callers[c].album = album;
        callers[c].first = c * 5;
        assert_true(fm_thread_start(&callers[c].thread, "caller", call_in_turn, &callers[c]));
    }
    for (int c = 0; c < CALLERS; c++)
        fm_thread_join(&callers[c].thread);
    for (int c = 0; c < CALLERS; c++) {
        for (int i = 0; i < album->count; i++) {
            assert_non_null(callers[c].results[i]);
            test_same_faces(alone[i], callers[c].results[i]);
        }
        free_results(callers[c].results);
    }
    fm_engine_close(engine);
}

static size_t count_faces(fm_result *const results[IMAGES]) {
    size_t count = 0;
    for (int i = 0; i < IMAGES && results[i]; i++)
        count += fm_result_face_count(results[i]);
    return count;
}

static void compare_every_way(const char *pack, struct album *album) {
    fm_result *alone[IMAGES] = {NULL};
    answers_alone(pack, album, alone);
    print_message("%s: %zu faces in %d pictures\n", pack, count_faces(alone), album->count);
    assert_true(count_faces(alone) > 0);
    compare_batches(pack, album, alone, 1, 2);
    compare_batches(pack, album, alone, 3, 1);
    compare_batches(pack, album, alone, 8, 2);
    compare_callers(pack, album, alone, 1);
    compare_callers(pack, album, alone, 8);
    free_results(alone);
    album_free(album);
}

static void generated(const char *name, int count, int det_size) {
    static struct album album;
    char pack[OS_PATH_SIZE];
    if (!test_has_runtime())
        skip();
    (void)snprintf(pack, sizeof pack, "%s", test_pack(name));
    album_draw(&album, count, det_size);
    compare_every_way(pack, &album);
}

static void stock_heads(void **state) {
    (void)state;
    generated("stock", IMAGES, 640);
}

static void batched_heads(void **state) {
    (void)state;
    generated("batched", IMAGES, 640);
}

static void heads_of_unknown_order(void **state) {
    (void)state;
    generated("unknown", IMAGES, 640);
}

static void structure_of_det_10g(void **state) {
    (void)state;
    generated("det_10g", 6, 128);
}

/* A batch of a graph whose rows are not understood must stay one image, and say so. */
static void unknown_order_is_said(void **state) {
    (void)state;
    fm_model_info info;
    if (!test_has_runtime())
        skip();
    fm_engine *engine = engine_of(test_pack("unknown"), 640, 2, 8);
    assert_true(fm_engine_model(engine, 0, &info));
    assert_int_equal(info.max_batch, 1);
    assert_non_null(strstr(info.batch_note, "one at a time"));
    fm_engine_close(engine);
    engine = engine_of(test_pack("stock"), 640, 2, 8);
    assert_true(fm_engine_model(engine, 0, &info));
    assert_int_equal(info.max_batch, 8);
    assert_string_equal(info.batch_note, "");
    fm_engine_close(engine);
}

static void batches_are_really_batches(void **state) {
    (void)state;
    static struct album album;
    fm_result *results[IMAGES] = {NULL};
    fm_stats stats = {.struct_size = sizeof stats};
    if (!test_has_runtime())
        skip();
    album_draw(&album, IMAGES, 128);
    fm_engine *engine = engine_of(test_pack("det_10g"), 128, 1, 8);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(fm_analyze_batch(engine, album.inputs, IMAGES, NULL, results, NULL), FM_OK);
        free_results(results);
    }
    fm_engine_stats(engine, &stats);
    uint64_t together = 0;
    for (int i = 1; i < FM_BATCH_BUCKETS; i++)
        together += stats.detect_batches[i];
    assert_true(together > 0); /* a slow network fills its batches while it runs */
    fm_engine_close(engine);
    album_free(&album);
}

/* On the pack of our own, and where the reference data is, on networks and photographs of others too. */
static void real_networks(void **state) {
    static const char *const drawn[] = {"one.png",      "two.png",   "three.png", "six.png",   "empty.png",
                                        "portrait.png", "small.png", "large.png", "turned.jpg"};
    static const char *const photographs[] = {"images/photos/t1.jpg",          "images/photos/couple.jpg",
                                              "images/photos/img11.jpg",       "images/photos/selfie-many-people.jpg",
                                              "images/photos/2007_007763.jpg", "images/photos/examples_two_people.jpg",
                                              "images/photos/dogs.jpg",        "images/photos/examples_obama.jpg"};
    static struct album album;
    char pack[OS_PATH_SIZE];
    (void)state;
    if (!test_has_runtime() || !album_open(&album, test_drawn, drawn, 9, 320))
        skip();
    compare_every_way(TEST_MINI_PACK, &album);
    if (test_shared("models/det_500m.onnx", pack, sizeof pack)) {
        assert_true(album_open(&album, test_shared, photographs, 8, 640));
        compare_every_way(pack, &album);
    }
    if (test_shared("models/scrfd_2.5g_bnkps.onnx", pack, sizeof pack)) {
        assert_true(album_open(&album, test_shared, photographs, 5, 320));
        compare_every_way(pack, &album);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_heads),
        cmocka_unit_test(batched_heads),
        cmocka_unit_test(heads_of_unknown_order),
        cmocka_unit_test(structure_of_det_10g),
        cmocka_unit_test(unknown_order_is_said),
        cmocka_unit_test(batches_are_really_batches),
        cmocka_unit_test(real_networks),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
