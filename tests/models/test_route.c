/* Routing: which family takes a graph, how it is described, and why others are passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "models/route.h"
#include "support/onnx_maker.h"

#define OK(call) assert_int_equal((call), FM_OK)

static struct graph *read_graph(struct buffer *onnx) {
    struct graph *graph = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_graph_read(onnx->bytes, onnx->size, "made", &graph, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    fm_buffer_reset(onnx);
    return graph;
}

/* Route and describe; `model` is the caller's storage. */
static const struct model_family *describe(struct graph *graph, struct model *model) {
    const struct model_family *family = fm_route(graph, NULL, 0);
    memset(model, 0, sizeof *model);
    if (family != NULL) {
        OK(family->describe(graph, model, NULL));
    }
    fm_graph_close(graph);
    return family;
}

static struct graph *made_detector(enum maker_detector kind) {
    struct buffer onnx = {0};
    OK(fm_maker_detector(kind, &onnx, NULL));
    return read_graph(&onnx);
}

static struct graph *made_embedder(enum maker_embedder kind) {
    struct buffer onnx = {0};
    OK(fm_maker_embedder(kind, &onnx, NULL));
    return read_graph(&onnx);
}

static void test_stock_detector(void **state) {
    (void)state;
    static struct model model;
    const struct model_family *family = describe(made_detector(MAKER_STOCK), &model);
    assert_non_null(family);
    assert_string_equal(family->name, "scrfd");
    assert_int_equal(family->task, MODEL_DETECTION);
    const struct detector_recipe *recipe = &model.detector;
    assert_int_equal(recipe->heads, 3);
    assert_int_equal(recipe->anchors, 2);
    assert_true(recipe->interleaved && recipe->nms_plus_one);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recipe->strides[i], 8 << i);
        assert_int_equal(recipe->score_output[i], i);
        assert_int_equal(recipe->box_output[i], 3 + i);
        assert_int_equal(recipe->landmark_output[i], 6 + i);
    }
    assert_true(recipe->threshold == 0.5f && recipe->nms_threshold == 0.4f);
    assert_true(model.pixels.mean == 127.5f && model.pixels.scale == 1.0f / 128.0f && !model.pixels.bgr);
    assert_true(model.batch_fixed && model.batch_possible);
    assert_int_equal(recipe->fixed_width, 0);
}

static void test_other_detectors(void **state) {
    (void)state;
    static struct model model;
    assert_non_null(describe(made_detector(MAKER_BATCHED), &model));
    assert_true(!model.detector.interleaved && !model.batch_fixed && model.batch_possible);
    assert_non_null(describe(made_detector(MAKER_NO_POINTS), &model));
    assert_int_equal(model.detector.landmark_output[0], -1);
    assert_true(model.batch_possible);
    assert_non_null(describe(made_detector(MAKER_UNKNOWN), &model));
    assert_false(model.batch_possible);
    assert_non_null(strstr(model.batch_note, "'score_8' orders the rows"));
    struct buffer onnx = {0};
    OK(fm_maker_det_10g(8, 3, &onnx, NULL));
    assert_non_null(describe(read_graph(&onnx), &model));
    assert_true(model.detector.interleaved && model.batch_fixed && model.batch_possible);
}

static void test_fixed_size_detector(void **state) {
    (void)state;
    static struct model model;
    struct graph *graph = made_detector(MAKER_STOCK);
    OK(fm_graph_fix_input(graph, 0, (int64_t[]){-1, -1, 320, 640}, 4, NULL));
    assert_non_null(describe(graph, &model));
    assert_int_equal(model.detector.fixed_width, 640);
    assert_int_equal(model.detector.fixed_height, 320);
}

/* A detector of three strides whose score heads have `anchors` channels; weights as they are, or stored small and
   expanded by a Cast. */
static struct graph *detector_of(int64_t anchors, bool cast, bool bias) {
    static const int64_t columns[3] = {1, 4, 10};
    const uint16_t values[40 * 3] = {0};
    const float floats[40 * 3] = {0};
    struct graph *graph = NULL;
    OK(fm_graph_create("g", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", DTYPE_F32, (int64_t[]){-1, 3, -1, -1}, 4, NULL));
    for (int i = 0; i < 9; i++) {
        char output[32], inputs[64], weight[32], constant[32];
        int64_t channels = anchors * columns[i / 3], dims[4] = {channels, 3, 1, 1};
        size_t node = 0;
        (void)snprintf(output, sizeof output, "out_%d", i);
        (void)snprintf(weight, sizeof weight, "weight_%d", i);
        (void)snprintf(constant, sizeof constant, cast ? "stored_%d" : "weight_%d", i);
        OK(fm_graph_add_tensor(graph, constant, cast ? DTYPE_F16 : DTYPE_F32, dims, 4,
                               cast ? (const void *)values : floats, NULL));
        if (cast) {
            OK(fm_graph_add_node(graph, "Cast", "", constant, weight, &node, NULL));
            OK(fm_graph_set_integer(graph, node, "to", DTYPE_F32, NULL));
        }
        (void)snprintf(inputs, sizeof inputs, bias ? "x weight_%d bias_%d" : "x weight_%d", i, i);
        if (bias) {
            (void)snprintf(constant, sizeof constant, "bias_%d", i);
            OK(fm_graph_add_tensor(graph, constant, DTYPE_F32, &channels, 1, floats, NULL));
        }
        (void)snprintf(weight, sizeof weight, "map_%d", i);
        (void)snprintf(constant, sizeof constant, "rows_%d", i);
        OK(fm_graph_add_node(graph, "Conv", "", inputs, weight, NULL, NULL));
        OK(fm_graph_add_node(graph, "Transpose", "", weight, constant, &node, NULL));
        OK(fm_graph_set_integers(graph, node, "perm", (int64_t[]){0, 2, 3, 1}, 4, NULL));
        (void)snprintf(weight, sizeof weight, "shape_%d", i);
        (void)snprintf(inputs, sizeof inputs, "rows_%d shape_%d", i, i);
        OK(fm_graph_add_tensor(graph, weight, DTYPE_I64, (int64_t[]){3}, 1, (int64_t[]){0, -1, columns[i / 3]}, NULL));
        OK(fm_graph_add_node(graph, "Reshape", "", inputs, output, NULL, NULL));
        OK(fm_graph_add_output(graph, output, DTYPE_F32, (int64_t[]){-1, -1, columns[i / 3]}, 3, NULL));
    }
    return graph;
}

/* The graph says how many anchors a cell has; where it does not, three strides have two. */
static void test_anchors_are_counted(void **state) {
    (void)state;
    const struct {
        int64_t anchors;
        bool cast, bias;
        int expected;
    } cases[] = {{1, false, true, 1}, {2, false, true, 2}, {3, false, false, 3},
                 {1, true, true, 1},  {2, true, true, 2},  {1, true, false, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct model model;
        assert_non_null(describe(detector_of(cases[i].anchors, cases[i].cast, cases[i].bias), &model));
        assert_int_equal(model.detector.anchors, cases[i].expected);
        assert_true(model.batch_possible && !model.detector.interleaved);
    }
}

static void test_embedders(void **state) {
    (void)state;
    static struct model model;
    const struct model_family *family = describe(made_embedder(MAKER_PLAIN), &model);
    assert_non_null(family);
    assert_string_equal(family->name, "arcface");
    assert_true(model.recogniser.side == 112 && model.recogniser.size == 512);
    assert_true(model.pixels.mean == 127.5f && model.pixels.scale == 1.0f / 127.5f);
    assert_float_equal(model.recogniser.template_points[2][1], 71.7366f, 0.0f);
    assert_true(model.batch_possible && !model.batch_fixed);
    assert_non_null(describe(made_embedder(MAKER_NORMALISED), &model));
    assert_true(model.pixels.mean == 0.0f && model.pixels.scale == 1.0f);
    assert_non_null(describe(made_embedder(MAKER_ONE_BATCH), &model));
    assert_true(model.batch_fixed && !model.batch_possible);
    assert_non_null(strstr(model.batch_note, "'features' (Reshape) has the batch size written into its shape"));
}

/* ------------------------------------------------------- what is not to be mistaken */

struct sketch {
    int side, outputs;
    int64_t columns; /* of every output */
};

/* input -> Relu -> outputs with declared shapes: enough for a router. */
static struct graph *sketched(const struct sketch *sketch) {
    struct graph *graph = NULL;
    OK(fm_graph_create("sketch", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", DTYPE_F32, (int64_t[]){1, 3, sketch->side, sketch->side}, 4, NULL));
    for (int i = 0; i < sketch->outputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        OK(fm_graph_add_node(graph, "Relu", name, "x", name, NULL, NULL));
        OK(fm_graph_add_output(graph, name, DTYPE_F32, (int64_t[]){-1, sketch->columns}, 2, NULL));
    }
    return graph;
}

static void not_taken(const struct sketch *sketch, const char *words) {
    char note[512] = "";
    struct graph *graph = sketched(sketch);
    assert_null(fm_route(graph, note, sizeof note));
    if (strstr(note, words) == NULL) {
        fail_msg("expected '%s' in '%s'", words, note);
    }
    fm_graph_close(graph);
}

static void test_strangers_are_named(void **state) {
    (void)state;
    not_taken(&(struct sketch){640, 12, 1}, "12 outputs, where SCRFD has 6, 9, 10 or 15");
    not_taken(&(struct sketch){640, 9, 2}, "'y0' is not a head of 1 columns");
    not_taken(&(struct sketch){640, 9, -1}, "do not say how many columns");
    not_taken(&(struct sketch){192, 1, 212}, "landmark network");
    not_taken(&(struct sketch){96, 1, 3}, "attribute network");
    not_taken(&(struct sketch){150, 1, 128}, "no aligned crop of 150x150");
    not_taken(&(struct sketch){112, 1, 202}, "202 output values per face");
    not_taken(&(struct sketch){112, 2, 512}, "2 outputs are not one embedding");
    not_taken(&(struct sketch){-1, 3, 4}, "pictures of any size");
}

/* A node on the way may tie the images of a batch together. */
static void test_what_blocks_a_batch(void **state) {
    (void)state;
    const struct {
        const char *op, *attribute;
        int64_t values[4];
        size_t count;
        bool blocked;
    } cases[] = {{"Relu", NULL, {0}, 0, false},
                 {"Transpose", "perm", {1, 0, 2, 3}, 4, true},
                 {"Transpose", "perm", {0, 2, 3, 1}, 4, false},
                 {"Flatten", "axis", {0}, 1, true},
                 {"Flatten", "axis", {1}, 1, false},
                 {"Squeeze", "axes", {0}, 1, true},
                 {"Squeeze", "axes", {2, 3}, 2, false},
                 {"ReduceMean", "axes", {0, 2}, 2, true},
                 {"ReduceMean", "axes", {2, 3}, 2, false},
                 {"DynamicQuantizeLinear", NULL, {0}, 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph *graph = NULL;
        size_t node = 0;
        char why[256] = "";
        OK(fm_graph_create("g", 11, &graph, NULL));
        OK(fm_graph_add_input(graph, "x", DTYPE_F32, (int64_t[]){1, 3, 8, 8}, 4, NULL));
        OK(fm_graph_add_node(graph, "Relu", "first", "x", "a", NULL, NULL));
        OK(fm_graph_add_node(graph, cases[i].op, "suspect", "a", "b", &node, NULL));
        if (cases[i].attribute != NULL) {
            OK(fm_graph_set_integers(graph, node, cases[i].attribute, cases[i].values, cases[i].count, NULL));
        }
        assert_int_equal(fm_batch_blocked(graph, NULL, 0, why, sizeof why), cases[i].blocked);
        assert_int_equal(strstr(why, "'suspect'") != NULL, cases[i].blocked);
        assert_false(
            fm_batch_blocked(graph, &node, 1, why, sizeof why)); /* a head's own node is its family's business */
        fm_graph_close(graph);
    }
}

/* Weights may be reshaped to whatever they like, and shapes computed from shapes too. */
static void test_reshapes_beside_the_pixels_do_not_matter(void **state) {
    (void)state;
    struct graph *graph = NULL;
    char why[256] = "";
    const float bias[3] = {1, 2, 3};
    OK(fm_graph_create("g", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", DTYPE_F32, (int64_t[]){1, 3, 8, 8}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "bias", DTYPE_F32, (int64_t[]){3}, 1, bias, NULL));
    OK(fm_graph_add_tensor(graph, "as_map", DTYPE_I64, (int64_t[]){4}, 1, (int64_t[]){1, -1, 1, 1}, NULL));
    OK(fm_graph_add_node(graph, "Reshape", "", "bias as_map", "wide", NULL, NULL));
    OK(fm_graph_add_node(graph, "Add", "", "x wide", "y", NULL, NULL));
    OK(fm_graph_add_node(graph, "Shape", "", "y", "size", NULL, NULL));
    OK(fm_graph_add_node(graph, "Reshape", "", "size as_map", "size_4", NULL, NULL));
    assert_false(fm_batch_blocked(graph, NULL, 0, why, sizeof why));
    OK(fm_graph_add_node(graph, "Reshape", "late", "y as_map", "z", NULL, NULL));
    assert_true(fm_batch_blocked(graph, NULL, 0, why, sizeof why));
    fm_graph_close(graph);
}

/* ------------------------------------------------------------- the real files */

static void test_real_files(void **state) {
    (void)state;
    const struct {
        const char *file, *family;
        bool batch_possible, interleaved;
    } cases[] = {{"mini-det", "scrfd", true, false},
                 {"mini-rec", "", false, false}, /* a crop that no template knows: its manifest's */
                 {"det_500m", "scrfd", true, true},
                 {"scrfd_2.5g_bnkps", "scrfd", true, true},
                 {"scrfd_500m_bnkps", "scrfd", true, false},
                 {"w600k_mbf", "arcface", true, false},
                 {"w600k_mbf_quint8", "arcface", false, false},
                 {"mobilefacenet_128", "arcface", true, false},
                 {"yunet_n", "", false, false},
                 {"retinaface_mnet025", "", false, false},
                 {"yolov5face_500m_320", "", false, false},
                 {"ultralight_rfb_320", "", false, false},
                 {"genderage_v1", "", false, false},
                 {"dlib_resnet_v1", "", false, false},
                 {"meso4_df", "", false, false},
                 {"minifasnet_v2_2.7", "", false, false},
                 {"minifasnet_v1se_4.0", "", false, false},
                 {"pose_quality", "", false, false}};
    char path[4096];
    const char *shared = fm_environment("FM_SHARED");
    const size_t ours = 2;
    size_t count = sizeof cases / sizeof cases[0];
    static struct model model;
    if (shared == NULL || !fm_path_join(path, sizeof path, shared, "models/det_500m.onnx") ||
        fm_path_kind(path) != OS_PATH_FILE) {
        print_message("without FM_SHARED/models: done on packs/mini alone\n");
        count = ours;
    }
    for (size_t i = 0; i < count; i++) {
        struct buffer file = {0};
        snprintf(path, sizeof path, i < ours ? TEST_MINI_PACK "/%s%s.onnx" : "%s/models/%s.onnx",
                 i < ours ? "" : shared, cases[i].file);
        OK(fm_file_read(path, INT32_MAX, &file, NULL));
        const struct model_family *family = describe(read_graph(&file), &model);
        assert_string_equal(family != NULL ? family->name : "", cases[i].family);
        assert_int_equal(model.batch_possible, cases[i].batch_possible);
        assert_int_equal(model.detector.interleaved, cases[i].interleaved);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stock_detector),      cmocka_unit_test(test_other_detectors),
        cmocka_unit_test(test_fixed_size_detector), cmocka_unit_test(test_anchors_are_counted),
        cmocka_unit_test(test_embedders),           cmocka_unit_test(test_strangers_are_named),
        cmocka_unit_test(test_what_blocks_a_batch), cmocka_unit_test(test_reshapes_beside_the_pixels_do_not_matter),
        cmocka_unit_test(test_real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
