/* Options of a call and of an engine, each seen in the answer; what is refused, in words. Through the public API on
   generated packs; needs a runtime library and skips visibly without. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"
#include "onnx/graph.h"

static void need_runtime(void) {
    if (!test_has_runtime())
        skip();
}

static fm_status open_engine(fm_engine_options options, fm_engine **engine, fm_error *error) {
    options.struct_size = sizeof options;
    options.pack = options.pack ? options.pack : test_pack("stock");
    options.threads = 1;
    memset(error, 0xee, sizeof *error);
    return fm_engine_open(&options, engine, error);
}

static fm_engine *engine_with(fm_engine_options options) {
    fm_engine *engine = NULL;
    fm_error error;
    options.providers = options.providers ? options.providers : "ort:cpu";
    if (open_engine(options, &engine, &error) != FM_OK)
        fail_msg("%s", error.message);
    return engine;
}

static fm_result *analyze(fm_engine *engine, const struct test_image *image, const fm_call_options *options) {
    const fm_pixels pixels = test_image_pixels(image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_result *result = NULL;
    fm_error error;
    if (fm_analyze(engine, &input, options, &result, &error) != FM_OK)
        fail_msg("%s", error.message);
    return result;
}

static size_t count_with(fm_engine *engine, const struct test_image *image, fm_call_options options) {
    options.struct_size = sizeof options;
    fm_result *result = analyze(engine, image, &options);
    const size_t count = fm_result_face_count(result);
    fm_result_free(result);
    return count;
}

/* A picture of 320 x 320, in which each square is one face of a detector of that size. */
static struct test_image small_picture(void) {
    struct test_image image = {
        .width = 320, .height = 320, .squares = {{8, 0, 4, 3, 230}, {16, 1, 12, 2, 248}, {32, 0, 5, 6, 254}}};
    image.rgb = calloc((size_t)320 * 320, 3);
    assert_non_null(image.rgb);
    for (int i = 0; i < TEST_SQUARES; i++)
        fm_maker_paint(image.rgb, 320, 320, &image.squares[i]);
    return image;
}

/* ---- calls */

static void the_threshold_of_a_call_counts(void **state) {
    (void)state;
    need_runtime();
    struct test_image image = test_image_make(640, 400, 1);
    fm_engine *usual = engine_with((fm_engine_options){.batch = 0});
    fm_engine *picky = engine_with((fm_engine_options){.det_threshold = 0.999f});
    assert_int_equal(count_with(usual, &image, (fm_call_options){.det_threshold = 0}), TEST_SQUARES);
    assert_int_equal(count_with(usual, &image, (fm_call_options){.det_threshold = 0.999f}), 0);
    assert_int_equal(count_with(picky, &image, (fm_call_options){.det_threshold = 0}), 0);
    assert_int_equal(count_with(picky, &image, (fm_call_options){.det_threshold = 0.5f}), TEST_SQUARES);
    fm_engine_close(usual);
    fm_engine_close(picky);
    test_image_free(&image);
}

static void negative_means_no_limit_even_where_the_engine_has_one(void **state) {
    (void)state;
    need_runtime();
    struct test_image image = test_image_make(640, 400, 2);
    fm_engine *one = engine_with((fm_engine_options){.max_faces = 1});
    fm_engine *large = engine_with((fm_engine_options){.min_face = 100000.0f});
    assert_int_equal(count_with(one, &image, (fm_call_options){.max_faces = 0}), 1);
    assert_int_equal(count_with(one, &image, (fm_call_options){.max_faces = 2}), 2);
    assert_int_equal(count_with(one, &image, (fm_call_options){.max_faces = -1}), TEST_SQUARES);
    assert_int_equal(count_with(large, &image, (fm_call_options){.min_face = 0}), 0);
    assert_int_equal(count_with(large, &image, (fm_call_options){.min_face = -1}), TEST_SQUARES);
    fm_engine_close(one);
    fm_engine_close(large);
    test_image_free(&image);
}

/* At 320 the picture is not resized and has its three faces; at 640 the squares are twice as large: other answers. */
static void detection_sizes_of_a_call_count(void **state) {
    (void)state;
    need_runtime();
    struct test_image image = small_picture();
    const fm_call_options at_320 = {.struct_size = sizeof at_320, .det_sizes = {320}};
    const fm_call_options at_640 = {.struct_size = sizeof at_640, .det_sizes = {640}};
    fm_engine *engine = engine_with((fm_engine_options){.det_sizes = {640}});
    fm_result *small = analyze(engine, &image, &at_320), *usual = analyze(engine, &image, NULL);
    fm_result *large = analyze(engine, &image, &at_640);
    test_check_faces(&image, small);
    test_same_faces(usual, large);
    assert_true(fm_result_face_count(usual) != TEST_SQUARES ||
                memcmp(fm_result_face(usual, 0)->box, fm_result_face(small, 0)->box, sizeof(float[4])) != 0);
    fm_result_free(small);
    fm_result_free(usual);
    fm_result_free(large);
    fm_engine_close(engine);
    engine = engine_with((fm_engine_options){.det_sizes = {320}});
    small = analyze(engine, &image, NULL);
    test_check_faces(&image, small);
    fm_result_free(small);
    fm_engine_close(engine);
    test_image_free(&image);
}

static void refuse_call(fm_engine *engine, fm_call_options options, const char *words) {
    struct test_image image = test_image_make(64, 64, 3);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_result *result = NULL;
    fm_error error;
    memset(&error, 0xee, sizeof error);
    options.struct_size = sizeof options;
    assert_int_equal(fm_analyze(engine, &input, &options, &result, &error), FM_INVALID_ARGUMENT);
    if (!strstr(error.message, words))
        fail_msg("'%s' is not in '%s'", words, error.message);
    fm_result_free(result);
    test_image_free(&image);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    need_runtime();
    fm_engine *engine = engine_with((fm_engine_options){.batch = 0});
    refuse_call(engine, (fm_call_options){.compute = 8u}, "0x8");
    refuse_call(engine, (fm_call_options){.compute = FM_COMPUTE_DETECT | 0x80000000u}, "compute bits");
    refuse_call(engine, (fm_call_options){.compute = FM_COMPUTE_EMBED}, "FM_COMPUTE_DETECT");
    refuse_call(engine, (fm_call_options){.det_threshold = 1.5f}, "1.5");
    refuse_call(engine, (fm_call_options){.det_threshold = NAN}, "nan");
    refuse_call(engine, (fm_call_options){.face_metric = (fm_face_metric)9}, "face metric 9");
    fm_engine_close(engine);
}

/* The engine's limits hold for its calls, and are its own from the moment it is open. */
static void limits_of_the_engine_hold(void **state) {
    (void)state;
    need_runtime();
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    struct test_image image = test_image_make(640, 160, 4);
    const fm_pixels pixels = test_image_pixels(&image);
    fm_limits limits = {.struct_size = sizeof limits, .max_width = 639};
    fm_result *result = NULL;
    fm_error error;
    assert_true(fm_temporary_folder(folder, sizeof folder) && fm_path_join(path, sizeof path, folder, "a.png"));
    assert_int_equal(fm_image_write(&pixels, path, -1, NULL), FM_OK);
    const fm_input file = fm_input_file(path);
    fm_engine *engine = engine_with((fm_engine_options){.limits = &limits});
    limits = (fm_limits){.struct_size = sizeof limits};
    assert_int_equal(fm_analyze(engine, &file, NULL, &result, &error), FM_LIMIT);
    assert_non_null(strstr(error.message, "639"));
    assert_int_equal(fm_result_status(result), FM_LIMIT);
    assert_string_equal(fm_result_message(result), error.message);
    fm_result_free(result);
    fm_engine_close(engine);
    engine = engine_with((fm_engine_options){.limits = &limits});
    assert_int_equal(fm_analyze(engine, &file, NULL, &result, &error), FM_OK);
    test_check_faces(&image, result);
    fm_result_free(result);
    fm_engine_close(engine);
    fm_folder_remove(folder);
    test_image_free(&image);
}

/* ---- a detector with its size written in */

static void fix_detector(const char *folder) {
    struct buffer onnx = {0};
    struct graph *graph = NULL;
    char path[OS_PATH_SIZE];
    assert_int_equal(fm_maker_write(folder, "stock", NULL), FM_OK);
    assert_int_equal(fm_maker_detector(MAKER_STOCK, &onnx, NULL), FM_OK);
    assert_int_equal(fm_graph_read(onnx.bytes, onnx.size, "fixed", &graph, NULL), FM_OK);
    assert_int_equal(fm_graph_fix_input(graph, 0, (int64_t[]){1, 3, 320, 320}, 4, NULL), FM_OK);
    assert_int_equal(fm_graph_write(graph, &onnx, NULL), FM_OK);
    assert_true(fm_path_join(path, sizeof path, folder, "detector.onnx"));
    assert_int_equal(fm_file_write(path, onnx.bytes, onnx.size, NULL), FM_OK);
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
}

static void a_fixed_detector_sees_each_picture_once(void **state) {
    (void)state;
    need_runtime();
    char folder[OS_PATH_SIZE];
    struct test_image image = small_picture();
    const fm_call_options sizes = {.struct_size = sizeof sizes, .det_sizes = {640, 128, 256}};
    const fm_call_options all = {.struct_size = sizeof all, .det_threshold = 1e-30f, .compute = FM_COMPUTE_DETECT};
    fm_stats stats = {.struct_size = sizeof stats};
    assert_true(fm_temporary_folder(folder, sizeof folder));
    fix_detector(folder);
    fm_engine *engine = engine_with((fm_engine_options){.pack = folder, .det_sizes = {128, 640}});
    fm_result *by_engine = analyze(engine, &image, NULL), *by_call = analyze(engine, &image, &sizes);
    test_check_faces(&image, by_engine);
    test_same_faces(by_engine, by_call);
    fm_engine_stats(engine, &stats);
    assert_int_equal(stats.detect_batches[0], 2); /* one run for each of the two calls */
    fm_result_free(by_engine);
    fm_result_free(by_call);
    by_engine = analyze(engine, &image, &all); /* every row is a candidate: no false "more than N candidates" */
    assert_true(fm_result_face_count(by_engine) > TEST_SQUARES);
    fm_result_free(by_engine);
    fm_engine_close(engine);
    fm_folder_remove(folder);
    test_image_free(&image);
}

/* ---- providers, as options of the engine */

struct heard {
    atomic_int passed_over, warnings;
};

static void listen(fm_log_level level, const char *component, const char *message, void *user) {
    struct heard *heard = user;
    if (strcmp(component, "policy") == 0 && strstr(message, "native passed over for "))
        atomic_fetch_add(&heard->passed_over, level == FM_LOG_INFO);
    atomic_fetch_add(&heard->warnings, level >= FM_LOG_WARN);
}

static void who_was_passed_over_is_logged(void **state) {
    (void)state;
    need_runtime();
    struct heard heard = {0}, quiet = {0};
    fm_engine_close(engine_with((fm_engine_options){
        .providers = "native,ort:cpu", .log = listen, .log_user = &heard, .log_level = FM_LOG_INFO}));
    assert_int_equal(atomic_load(&heard.passed_over), 2); /* once for each model */
    fm_engine_close(engine_with((fm_engine_options){.providers = "native,ort:cpu", .log = listen, .log_user = &quiet}));
    assert_int_equal(atomic_load(&quiet.passed_over), 0); /* the default level is warn */
    assert_int_equal(atomic_load(&quiet.warnings), 0);
}

static void refuse(fm_engine_options options, fm_status status, const char *words) {
    fm_engine *engine = (fm_engine *)&options; /* must not stay */
    fm_error error;
    const fm_status got = open_engine(options, &engine, &error);
    assert_null(engine);
    assert_int_equal(error.status, got);
    if (got != status || !strstr(error.message, words))
        fail_msg("expected %s and '%s', got %s: %s", fm_status_name(status), words, fm_status_name(got), error.message);
}

static void options_of_providers_are_checked(void **state) {
    (void)state;
    need_runtime();
    const fm_provider_option unknown = {"ort:quantum", "key", "1"}, no_key = {"ort:cpu", "no_such_key", "1"};
    const fm_provider_option half = {"ort:cpu", "session.intra_op.allow_spinning", NULL};
    const char *cpu = "ort:cpu";
    refuse((fm_engine_options){.device = 64}, FM_NO_PROVIDER, "cannot be run by any provider allowed");
    refuse((fm_engine_options){.device = 1, .providers = cpu}, FM_INVALID_ARGUMENT, "ort:cpu");
    refuse((fm_engine_options){.device = -2}, FM_INVALID_ARGUMENT, "device -2");
    refuse((fm_engine_options){.providers = cpu, .provider_options = &unknown, .provider_option_count = 1},
           FM_INVALID_ARGUMENT, "ort:quantum");
    refuse((fm_engine_options){.providers = cpu, .provider_options = &no_key, .provider_option_count = 1},
           FM_NO_PROVIDER, "ort:cpu has no option 'no_such_key'");
    refuse((fm_engine_options){.providers = cpu, .provider_options = &half, .provider_option_count = 1},
           FM_INVALID_ARGUMENT, "provider option 0");
    refuse((fm_engine_options){.providers = cpu, .provider_option_count = 2}, FM_INVALID_ARGUMENT,
           "2 provider options");
    refuse((fm_engine_options){.providers = cpu, .policy = (fm_policy)7}, FM_INVALID_ARGUMENT, "policy 7");
    refuse((fm_engine_options){.providers = cpu, .precision = FM_PRECISION_FP16}, FM_UNSUPPORTED, "fp16");
}

static void note_openvino(const fm_provider_info *info, void *user) {
    if (strcmp(info->name, "ort:openvino") == 0)
        *(bool *)user = info->available;
}

/* Not strict: a node that another provider runs is said, never hidden. */
static void nodes_that_run_elsewhere_are_said(void **state) {
    (void)state;
    need_runtime();
    fm_model_info info;
    bool openvino = false;
    fm_engine *engine = engine_with((fm_engine_options){.pack = test_pack("foreign")});
    assert_true(fm_engine_model(engine, 1, &info));
    assert_string_equal(info.elsewhere, "");
    fm_engine_close(engine);
    fm_providers_visit(NULL, note_openvino, &openvino);
    if (!openvino) {
        print_message("skipped: no ONNX Runtime library with OpenVINO (sh scripts/setup_openvino.sh)\n");
        skip();
    }
    struct heard heard = {0};
    engine = engine_with((fm_engine_options){
        .pack = test_pack("foreign"), .providers = "ort:openvino,ort:cpu", .log = listen, .log_user = &heard});
    assert_true(fm_engine_model(engine, 0, &info));
    assert_string_equal(info.elsewhere, "");
    assert_true(fm_engine_model(engine, 1, &info));
    assert_string_equal(info.provider, "ort:openvino");
    assert_non_null(strstr(info.elsewhere, "foreign_pool"));
    assert_true(atomic_load(&heard.warnings) > 0);
    fm_engine_close(engine);
}

/* ---- errors */

static void drop_result(fm_result *result, void *user) {
    (void)user;
    fm_result_free(result);
}

static void ignore_model(const fm_model_file *model, void *user) {
    (void)model;
    (void)user;
}

#define CLEARED(call)                                                                                                  \
    do {                                                                                                               \
        memset(&error, 0xee, sizeof error);                                                                            \
        assert_int_equal((call), FM_OK);                                                                               \
        assert_int_equal(error.status, FM_OK);                                                                         \
        assert_string_equal(error.message, "");                                                                        \
    } while (0)

static void an_error_need_not_be_initialised(void **state) {
    (void)state;
    need_runtime();
    struct test_image picture = test_image_make(640, 160, 5);
    const fm_pixels pixels = test_image_pixels(&picture);
    const fm_input input = fm_input_pixels(&pixels);
    const fm_engine_options options = {
        .struct_size = sizeof options, .pack = test_pack("stock"), .providers = "ort:cpu", .threads = 1};
    char folder[OS_PATH_SIZE], path[OS_PATH_SIZE];
    uint8_t crop[112 * 112 * 3];
    float embedding[512];
    fm_engine *engine = NULL;
    fm_result *result = NULL, *second = NULL;
    fm_image *image = NULL;
    fm_error error;
    assert_true(fm_temporary_folder(folder, sizeof folder) && fm_path_join(path, sizeof path, folder, "a.png"));
    CLEARED(fm_engine_open(&options, &engine, &error));
    CLEARED(fm_analyze(engine, &input, NULL, &result, &error));
    CLEARED(fm_analyze_batch(engine, &input, 1, NULL, &second, &error));
    CLEARED(fm_submit(engine, &input, NULL, drop_result, NULL, NULL, &error));
    fm_drain(engine);
    CLEARED(fm_try_submit(engine, &input, NULL, drop_result, NULL, NULL, &error));
    fm_drain(engine);
    CLEARED(fm_crop_aligned(&pixels, fm_result_face(result, 0)->landmarks, 112, crop, &error));
    CLEARED(fm_embed_crops(engine, crop, 1, embedding, &error));
    CLEARED(fm_image_write(&pixels, path, -1, &error));
    CLEARED(fm_image_decode(&input, NULL, &image, &error));
    fm_image_free(image);
    CLEARED(fm_annotate(&pixels, result, NULL, &image, &error));
    fm_image_free(image);
    CLEARED(fm_pack_visit(test_pack("stock"), ignore_model, NULL, NULL, 0, &error));
    fm_result_free(result);
    fm_result_free(second);
    fm_engine_close(engine);
    fm_folder_remove(folder);
    test_image_free(&picture);
}

static void no_input_is_refused_and_leaves_no_result(void **state) {
    (void)state;
    need_runtime();
    fm_engine *engine = engine_with((fm_engine_options){.batch = 0});
    fm_result *result = (fm_result *)&engine; /* must not stay */
    fm_error error;
    memset(&error, 0xee, sizeof error);
    assert_int_equal(fm_analyze(engine, NULL, NULL, &result, &error), FM_INVALID_ARGUMENT);
    assert_null(result);
    assert_int_equal(error.status, FM_INVALID_ARGUMENT);
    assert_true(strlen(error.message) > 10 && strlen(error.message) < sizeof error.message);
    assert_int_equal(fm_analyze(engine, NULL, NULL, NULL, NULL), FM_INVALID_ARGUMENT);
    fm_engine_close(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_of_a_call_counts),
        cmocka_unit_test(negative_means_no_limit_even_where_the_engine_has_one),
        cmocka_unit_test(detection_sizes_of_a_call_count),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(limits_of_the_engine_hold),
        cmocka_unit_test(a_fixed_detector_sees_each_picture_once),
        cmocka_unit_test(who_was_passed_over_is_logged),
        cmocka_unit_test(options_of_providers_are_checked),
        cmocka_unit_test(nodes_that_run_elsewhere_are_said),
        cmocka_unit_test(an_error_need_not_be_initialised),
        cmocka_unit_test(no_input_is_refused_and_leaves_no_result),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_packs_remove();
    return failed;
}
