/* An engine on packs with a manifest: what of it comes out in the report, and that its recipe reaches the network.
   Through the public API on generated packs; needs a runtime library and skips visibly without. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine_support.h"
#include "onnx/graph.h"

#define OK(call) assert_int_equal((call), FM_OK)

struct place {
    char folder[512];
};

static int make_pack(void **state) {
    struct place *place = calloc(1, sizeof *place);
    *state = place;
    return place && fm_temporary_folder(place->folder, sizeof place->folder) &&
                   fm_maker_write(place->folder, "stock", NULL) == FM_OK
               ? 0
               : -1;
}

static int remove_pack(void **state) {
    struct place *place = *state;
    fm_folder_remove(place->folder);
    free(place);
    return 0;
}

static void write_manifest(const struct place *place, const char *embedder) {
    char path[1024], text[2048];
    snprintf(path, sizeof path, "%s/manifest.json", place->folder);
    snprintf(text, sizeof text,
             "{\"facemill_pack\": 1, \"name\": \"made\", \"licence\": {\"name\": \"MIT\", \"url\": \"u\"}, \"models\": "
             "[{\"file\": \"detector.onnx\", \"thresholds\": {\"score\": 0.875}}, {\"file\": \"embedder.onnx\"%s%s}]}",
             embedder[0] ? ", " : "", embedder);
    OK(fm_file_write(path, text, strlen(text), NULL));
}

static fm_engine *open_engine(const struct place *place) {
    const fm_engine_options options = {
        .struct_size = sizeof options, .pack = place->folder, .providers = "ort:cpu", .threads = 1};
    fm_engine *engine = NULL;
    fm_error error;
    if (!test_has_runtime())
        skip();
    if (fm_engine_open(&options, &engine, &error) != FM_OK)
        fail_msg("%s", error.message);
    return engine;
}

static void test_the_report(void **state) {
    const struct place *place = *state;
    char bare[65];
    fm_engine *engine = open_engine(place);
    fm_pack_info info = fm_engine_pack(engine);
    assert_string_equal(info.manifest, "");
    assert_string_equal(info.licence, "");
    assert_string_equal(info.metric, "");
    assert_true(info.match_threshold == 0);
    snprintf(bare, sizeof bare, "%s", info.id);
    fm_engine_close(engine);
    write_manifest(place, "\"metric\": \"cosine\", \"thresholds\": {\"match\": 0.35}");
    engine = open_engine(place);
    info = fm_engine_pack(engine);
    assert_string_equal(info.name, "made");
    assert_string_equal(info.manifest, "facemill");
    assert_string_equal(info.licence, "MIT");
    assert_string_equal(info.licence_url, "u");
    assert_string_equal(info.metric, "cosine");
    assert_true(info.match_threshold == 0.35f);
    assert_string_equal(info.id, bare); /* vectors stored before still compare */
    fm_engine_close(engine);
}

/* A dark square scores below 0.875 and above the family's 0.5. */
static void test_the_packs_score(void **state) {
    const struct place *place = *state;
    const fm_call_options lower = {.struct_size = sizeof lower, .det_threshold = 0.5f};
    struct test_image image = {.width = 640, .height = 640, .squares = {{32, 0, 5, 6, 230}, {8, 0, 4, 3, 255}}};
    struct maker_face dark;
    fm_maker_expect_face(&image.squares[0], &dark);
    assert_true(dark.score > 0.5f && dark.score < 0.875f);
    image.rgb = calloc((size_t)640 * 640, 3);
    assert_non_null(image.rgb);
    fm_maker_paint(image.rgb, 640, 640, &image.squares[0]);
    fm_maker_paint(image.rgb, 640, 640, &image.squares[1]);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    write_manifest(place, "");
    fm_engine *engine = open_engine(place);
    fm_result *result = NULL;
    OK(fm_analyze(engine, &input, NULL, &result, NULL));
    assert_int_equal(fm_result_face_count(result), 1);
    fm_result_free(result);
    OK(fm_analyze(engine, &input, &lower, &result, NULL)); /* the caller's word is above the pack's */
    assert_int_equal(fm_result_face_count(result), 2);
    fm_result_free(result);
    fm_engine_close(engine);
    free(image.rgb);
}

static void embed(const struct place *place, const uint8_t *crop, float vector[MAKER_EMBEDDING]) {
    fm_engine *engine = open_engine(place);
    assert_int_equal(fm_engine_embedding_size(engine), MAKER_EMBEDDING);
    OK(fm_embed_crops(engine, crop, 1, vector, NULL));
    fm_engine_close(engine);
}

/* What a manifest says of the pixels is what the network sees: the same crop with its channels turned round, or with
   levels moved, gives the same vector under the opposite manifest. */
static void test_pixels_reach_the_network(void **state) {
    const struct place *place = *state;
    enum { LEVELS = MAKER_SIDE * MAKER_SIDE * 3 };
    uint8_t *crop = malloc(LEVELS), *turned = malloc(LEVELS), *doubled = malloc(LEVELS);
    float plain[MAKER_EMBEDDING], vector[MAKER_EMBEDDING];
    uint32_t seed = 1;
    assert_true(crop && turned && doubled);
    for (int i = 0; i < LEVELS; i++) {
        seed = seed * 1664525 + 1013904223;
        crop[i] = (uint8_t)(seed >> 25); /* 0..127 */
        doubled[i] = (uint8_t)(2 * crop[i]);
        turned[i - i % 3 + 2 - i % 3] = crop[i];
    }
    embed(place, turned, plain);
    write_manifest(place, "\"pixels\": {\"order\": \"bgr\"}");
    embed(place, crop, vector);
    assert_memory_equal(vector, plain, sizeof plain);
    write_manifest(place, "");
    embed(place, doubled, plain); /* (2x - 127.5) / 127.5 = (x - 63.75) / 63.75 */
    write_manifest(place, "\"pixels\": {\"mean\": 63.75, \"std\": 63.75}");
    embed(place, crop, vector);
    for (int i = 0; i < MAKER_EMBEDDING; i++)
        assert_true(fabsf(vector[i] - plain[i]) <= 1e-4f * (1 + fabsf(plain[i])));
    free(crop);
    free(turned);
    free(doubled);
}

/* Mean colour of the crop in, 128 numbers out: channel c / 3 of the mean, each. */
static void write_embedder_of_150(const struct place *place) {
    struct graph *graph = NULL;
    struct buffer onnx = {0};
    char path[1024];
    size_t node = 0;
    float weights[128 * 3] = {0}, bias[128] = {0};
    for (int i = 0; i < 128; i++)
        weights[i * 3 + i % 3] = 1;
    OK(fm_graph_create("network", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "data", DTYPE_F32, (int64_t[]){-1, 3, 150, 150}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "weights", DTYPE_F32, (int64_t[]){128, 3}, 2, weights, NULL));
    OK(fm_graph_add_tensor(graph, "bias", DTYPE_F32, (int64_t[]){128}, 1, bias, NULL));
    OK(fm_graph_add_node(graph, "GlobalAveragePool", "mean", "data", "mean", &node, NULL));
    OK(fm_graph_add_node(graph, "Flatten", "flat", "mean", "flat", &node, NULL));
    OK(fm_graph_add_node(graph, "Gemm", "fc1", "flat weights bias", "fc1", &node, NULL));
    OK(fm_graph_set_integer(graph, node, "transB", 1, NULL));
    OK(fm_graph_add_output(graph, "fc1", DTYPE_F32, (int64_t[]){-1, 128}, 2, NULL));
    OK(fm_graph_write(graph, &onnx, NULL));
    snprintf(path, sizeof path, "%s/embedder.onnx", place->folder);
    OK(fm_file_write(path, onnx.bytes, onnx.size, NULL));
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
}

static void test_crops_of_another_side(void **state) {
    const struct place *place = *state;
    write_embedder_of_150(place);
    write_manifest(place,
                   "\"pixels\": {\"mean\": 0, \"std\": 1}, \"crop\": {\"side\": 150, \"points\": [[55, 60], [95, "
                   "60], [75, 80], [58, 100], [92, 100]]}");
    fm_engine *engine = open_engine(place);
    assert_int_equal(fm_engine_crop_size(engine), 150);
    assert_int_equal(fm_engine_embedding_size(engine), 128);
    const size_t pixels_of_one = (size_t)150 * 150;
    uint8_t *crops = malloc(2 * pixels_of_one * 3);
    float vectors[2 * 128];
    assert_non_null(crops);
    for (size_t i = 0; i < 2 * pixels_of_one; i++) {
        crops[3 * i] = i < pixels_of_one ? 10 : 200; /* a crop of another size would mix the two */
        crops[3 * i + 1] = 20;
        crops[3 * i + 2] = 30;
    }
    OK(fm_embed_crops(engine, crops, 2, vectors, NULL));
    assert_true(fabsf(vectors[0] - 10) < 0.01f && fabsf(vectors[1] - 20) < 0.01f && fabsf(vectors[2] - 30) < 0.01f);
    assert_true(fabsf(vectors[128] - 200) < 0.01f);
    free(crops);
    struct test_image image = test_image_make(640, 640, 7);
    const fm_pixels pixels = test_image_pixels(&image);
    const fm_input input = fm_input_pixels(&pixels);
    fm_result *result = NULL;
    OK(fm_analyze(engine, &input, NULL, &result, NULL));
    assert_true(fm_result_face_count(result) > 0);
    for (size_t i = 0; i < fm_result_face_count(result); i++) {
        assert_int_equal(fm_result_face(result, i)->embedding_size, 128);
        assert_non_null(fm_result_face(result, i)->embedding);
    }
    fm_result_free(result);
    test_image_free(&image);
    fm_engine_close(engine);
}

static void test_damage_in_words(void **state) {
    const struct place *place = *state;
    const fm_engine_options options = {.struct_size = sizeof options, .pack = place->folder};
    fm_engine *engine = NULL;
    fm_error error;
    write_manifest(place, "\"sha256\": \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"");
    assert_int_equal(fm_engine_open(&options, &engine, &error), FM_BAD_MODEL);
    assert_null(engine);
    assert_non_null(strstr(error.message, "facemill models verify"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pack, remove_pack)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_report),
        TEST(test_the_packs_score),
        TEST(test_pixels_reach_the_network),
        TEST(test_crops_of_another_side),
        TEST(test_damage_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
