/* A warm engine allocates nothing of its own per image. The linker sends this program's and the static library's calls
   of the allocator here to be counted; codecs and runtime are shared libraries and are not counted (stated apart in
   docs/PERF_LOG.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/os.h"
#include "engine_support.h"
#include "image/image.h"

static atomic_long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_posix_memalign(block, alignment, size);
}

char *__wrap_strdup(const char *text) {
    atomic_fetch_add(&allocations, 1);
    return __real_strdup(text);
}

enum { IMAGES = 6, FORMS = 4 };

/* The same pictures as pixels, as PNG and JPEG in memory, and as files. */
struct pictures {
    struct test_image images[IMAGES];
    fm_pixels pixels[IMAGES];
    struct buffer files[IMAGES * 2];
    char folder[OS_PATH_SIZE], paths[IMAGES][OS_PATH_SIZE];
    fm_input inputs[IMAGES * FORMS];
    fm_input largest[IMAGES * FORMS]; /* the tallest picture only */
};

static void pictures_make(struct pictures *all) {
    fm_error error = {0};
    memset(all, 0, sizeof *all);
    assert_true(fm_temporary_folder(all->folder, sizeof all->folder));
    for (int i = 0; i < IMAGES; i++) {
        struct test_image *image = &all->images[i];
        *image = test_image_make(640, 80 * (i + 1), (uint32_t)i);
        all->pixels[i] = test_image_pixels(image);
        const struct canvas canvas = {image->rgb, image->width, image->height, (size_t)image->width * 3};
        assert_int_equal(fm_encode_png(&canvas, &all->files[2 * i], &error), FM_OK);
        assert_int_equal(fm_encode_jpeg(&canvas, 90, &all->files[2 * i + 1], &error), FM_OK);
        all->inputs[FORMS * i] = fm_input_pixels(&all->pixels[i]);
        all->inputs[FORMS * i + 1] = fm_input_encoded(all->files[2 * i].bytes, all->files[2 * i].size);
        all->inputs[FORMS * i + 2] = fm_input_encoded(all->files[2 * i + 1].bytes, all->files[2 * i + 1].size);
        char name[32];
        (void)snprintf(name, sizeof name, "picture%d.jpg", i);
        assert_true(fm_path_join(all->paths[i], sizeof all->paths[i], all->folder, name));
        assert_int_equal(fm_file_write(all->paths[i], all->files[2 * i + 1].bytes, all->files[2 * i + 1].size, &error),
                         FM_OK);
        all->inputs[FORMS * i + 3] = fm_input_file(all->paths[i]);
    }
}

static void pictures_fill_largest(struct pictures *all) {
    for (int i = 0; i < IMAGES * FORMS; i++)
        all->largest[i] = all->inputs[(IMAGES - 1) * FORMS + i % FORMS];
}

static void pictures_free(struct pictures *all) {
    fm_folder_remove(all->folder);
    for (int i = 0; i < IMAGES; i++) {
        test_image_free(&all->images[i]);
        fm_buffer_reset(&all->files[2 * i]);
        fm_buffer_reset(&all->files[2 * i + 1]);
    }
}

static long pass(fm_engine *engine, const fm_input *inputs, const fm_call_options *options) {
    fm_result *results[IMAGES * FORMS];
    const long before = atomic_load(&allocations);
    assert_int_equal(fm_analyze_batch(engine, inputs, IMAGES * FORMS, options, results, NULL), FM_OK);
    size_t faces = 0;
    for (int i = 0; i < IMAGES * FORMS; i++) {
        assert_int_equal(fm_result_status(results[i]), FM_OK);
        faces += fm_result_face_count(results[i]);
        fm_result_free(results[i]);
    }
    assert_true(faces >= (size_t)(IMAGES * FORMS)); /* the whole path was walked */
    return atomic_load(&allocations) - before;
}

static void warm_engine_allocates_nothing(void **state) {
    (void)state;
    static struct pictures all;
    fm_engine *engine = NULL;
    fm_error error = {0};
    if (!test_has_runtime())
        skip();
    pictures_make(&all);
    pictures_fill_largest(&all);
    const fm_engine_options options = {.struct_size = sizeof options,
                                       .pack = test_pack("stock"),
                                       .providers = "ort:cpu",
                                       .threads = 2,
                                       .batch = 2,
                                       .queue_depth = 2};
    const fm_call_options calls[] = {{.struct_size = sizeof calls[0]},
                                     {.struct_size = sizeof calls[0], .det_sizes = {128, 640}},
                                     {.struct_size = sizeof calls[0], .keep_pixels = true}};
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_OK);
    for (int k = 0; k < 3; k++) {
        long first = 0, count = 0;
        for (int round = 0; round < 8; round++) { /* until every workspace and result has met the largest picture */
            count = pass(engine, all.largest, &calls[k]);
            first += round == 0 ? count : 0;
        }
        long warm = 0;
        for (int round = 0; round < 5; round++)
            warm += pass(engine, all.inputs, &calls[k]);
        print_message("call %d: %ld allocations in the first pass, %ld in five warm passes of %d images\n", k, first,
                      warm, IMAGES * FORMS);
        assert_int_equal(warm, 0);
    }
    fm_engine_close(engine);
    pictures_free(&all);
}

/* The same with the networks of packs/mini and files, each with its own number of faces: every workspace has to meet
   every picture once, which no order promises, so passes are made until three in a row allocate nothing. */
static void nor_with_real_networks(void **state) {
    static const char *const names[] = {"six.png",   "portrait.png", "one.png",   "two.png",
                                        "three.png", "small.png",    "large.png", "turned.jpg"};
    enum { NAMES = 8, MOST_PASSES = 40, QUIET = 3 };
    static char paths[NAMES][OS_PATH_SIZE];
    fm_input inputs[IMAGES * FORMS];
    fm_engine *engine = NULL;
    fm_error error = {0};
    (void)state;
    for (int i = 0; i < NAMES; i++)
        if (!test_has_runtime() || !test_drawn(names[i], paths[i], sizeof paths[i]))
            skip();
    for (int i = 0; i < IMAGES * FORMS; i++)
        inputs[i] = fm_input_file(paths[i % NAMES]);
    const fm_engine_options options = {.struct_size = sizeof options,
                                       .pack = TEST_MINI_PACK,
                                       .providers = "ort:cpu",
                                       .threads = 2,
                                       .batch = 2,
                                       .queue_depth = 2,
                                       .det_sizes = {320}};
    if (fm_engine_open(&options, &engine, &error) != FM_OK)
        fail_msg("%s", error.message);
    int passes = 0, quiet = 0;
    for (; passes < MOST_PASSES && quiet < QUIET; passes++)
        quiet = pass(engine, inputs, NULL) == 0 ? quiet + 1 : 0;
    print_message("packs/mini: %d passes of %d pictures, the last %d without an allocation\n", passes, IMAGES * FORMS,
                  quiet);
    assert_int_equal(quiet, QUIET);
    fm_engine_close(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(warm_engine_allocates_nothing),
                                       cmocka_unit_test(nor_with_real_networks)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
