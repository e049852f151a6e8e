/* Packs with a manifest: what is opened, what is refused as damaged or wrong, what changes a recipe and the id; and
   manifests written by looking at a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "base/text.h"
#include "models/align.h"
#include "models/pack.h"
#include "models/place.h"
#include "support/onnx_maker.h"

static int make_pack(void **state) {
    fm_error error = {FM_OK, ""};
    if (make_place(state) != 0 || fm_maker_write(((struct place *)*state)->root, "stock", &error) != FM_OK) {
        print_message("%s\n", error.message);
        return -1;
    }
    return 0;
}

static struct pack *opened(const struct place *place) {
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_pack_open(place->root, "test", NULL, &pack, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    return pack;
}

static void refused(const struct place *place, const char *words) {
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_pack_open(place->root, "test", NULL, &pack, &error), FM_BAD_MODEL);
    assert_null(pack);
    if (strstr(error.message, words) == NULL) {
        fail_msg("\"%s\" should have said \"%s\"", error.message, words);
    }
}

/* A manifest of the stock pack's two files with further members. */
static void write_manifest(const struct place *place, const char *detector, const char *embedder) {
    char text[8192];
    snprintf(text, sizeof text,
             "{\"facemill_pack\": 1, \"name\": \"made\", \"models\": [{\"file\": \"embedder.onnx\"%s%s}, {\"file\": "
             "\"detector.onnx\"%s%s}]}",
             embedder[0] ? ", " : "", embedder, detector[0] ? ", " : "", detector);
    write_file(place, "manifest.json", text);
}

static void id_of(const struct place *place, char id[65]) {
    struct pack *pack = opened(place);
    fm_pack_id(pack, "fp32", "exact", id);
    fm_pack_close(pack);
}

/* ------------------------------------------------------------------- opening */

static void test_only_what_is_listed(void **state) {
    const struct place *place = *state;
    write_file(place, "other.onnx", "not looked at");
    write_manifest(place, "", "");
    struct pack *pack = opened(place);
    assert_string_equal(pack->name, "made");
    assert_int_equal(pack->manifest->kind, MANIFEST_FACEMILL);
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "detector.onnx");
    assert_string_equal(pack->tasks[MODEL_RECOGNITION]->file, "embedder.onnx");
    assert_string_equal(pack->notes, "other.onnx: not listed in manifest.json: not used");
    assert_false(pack->damaged);
    fm_pack_close(pack);
}

static void test_the_manifests_order(void **state) {
    const struct place *place = *state;
    struct buffer onnx = {0};
    char path[2048];
    OK(fm_maker_detector(MAKER_BATCHED, &onnx, NULL));
    OK(fm_file_write(below(place, "a.onnx", path), onnx.bytes, onnx.size, NULL));
    fm_buffer_reset(&onnx);
    write_file(place, "manifest.json",
               "{\"facemill_pack\": 1, \"models\": [{\"file\": \"detector.onnx\", \"task\": "
               "\"detection\"}, {\"file\": \"a.onnx\", \"task\": \"detection\"}]}");
    struct pack *pack = opened(place);
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "detector.onnx"); /* by name it would be a.onnx */
    assert_null(pack->tasks[MODEL_RECOGNITION]);
    assert_non_null(strstr(pack->notes, "a.onnx: detection by 'detector.onnx' already: not used"));
    assert_non_null(strstr(pack->notes, "embedder.onnx: not listed"));
    fm_pack_close(pack);
}

static void test_licence_and_threshold(void **state) {
    const struct place *place = *state;
    write_file(place, "manifest.json",
               "{\"facemill_pack\": 1, \"licence\": {\"name\": \"MIT\", \"url\": \"u\"}, \"models\": [{\"file\": "
               "\"detector.onnx\"}, {\"file\": \"embedder.onnx\", \"thresholds\": {\"match\": 0.35}}]}");
    struct pack *pack = opened(place);
    assert_string_equal(pack->licence, "MIT");
    assert_string_equal(pack->licence_url, "u");
    assert_true(pack->match_threshold == 0.35f);
    assert_string_equal(pack->metric, "");
    fm_pack_close(pack);
    write_manifest(place, "", "\"metric\": \"euclidean\", \"thresholds\": {\"match\": 1.0}");
    pack = opened(place);
    assert_true(pack->match_threshold == 0.5f);
    assert_string_equal(pack->metric, "euclidean");
    fm_pack_close(pack);
}

static void digest_of(const struct place *place, const char *name, char hex[65]) {
    struct buffer bytes = {0};
    struct sha256 sha;
    char path[2048];
    OK(fm_file_read(below(place, name, path), 1 << 24, &bytes, NULL));
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, bytes.bytes, bytes.size);
    fm_sha256_hex(&sha, hex);
    fm_buffer_reset(&bytes);
}

static void flip_byte(const struct place *place, const char *name, size_t at) {
    struct buffer bytes = {0};
    char path[2048];
    OK(fm_file_read(below(place, name, path), 1 << 24, &bytes, NULL));
    bytes.bytes[at < bytes.size ? at : bytes.size - 1] ^= 1;
    OK(fm_file_write(path, bytes.bytes, bytes.size, NULL));
    fm_buffer_reset(&bytes);
}

static void test_damage(void **state) {
    const struct place *place = *state;
    char hex[65], changed[65], members[256], path[2048];
    digest_of(place, "embedder.onnx", hex);
    snprintf(members, sizeof members, "\"sha256\": \"%s\"", hex);
    write_manifest(place, "", members);
    fm_pack_close(opened(place));
    flip_byte(place, "embedder.onnx", SIZE_MAX);
    digest_of(place, "embedder.onnx", changed);
    refused(place, hex);
    refused(place, changed);
    refused(place, "'embedder.onnx' has SHA-256");
    refused(place, "facemill models verify");
    write_manifest(place, "", "\"bytes\": 17");
    refused(place, "its manifest says 17");
    remove(below(place, "embedder.onnx", path));
    write_manifest(place, "", "");
    refused(place, "has no file 'embedder.onnx', which its manifest lists");
}

/* A file that is not run does not stop the others, nor is it read. */
static void test_damage_elsewhere(void **state) {
    const struct place *place = *state;
    write_file(place, "mood.onnx", "no network");
    write_file(place, "manifest.json",
               "{\"facemill_pack\": 1, \"models\": [{\"file\": \"mood.onnx\", \"task\": \"mood\", \"sha256\": "
               "\"0000000000000000000000000000000000000000000000000000000000000000\"}, {\"file\": \"gone.onnx\", "
               "\"task\": \"none\"}, {\"file\": \"detector.onnx\"}]}");
    struct pack *pack = opened(place);
    assert_non_null(strstr(pack->notes, "mood.onnx: mood network, as the manifest says: not used yet"));
    assert_non_null(strstr(pack->notes, "gone.onnx: listed in the manifest, but not there"));
    fm_pack_close(pack);
}

static void test_families_must_fit(void **state) {
    const struct place *place = *state;
    write_manifest(place, "\"family\": \"arcface\"", "");
    refused(place, "'detector.onnx': the manifest says that it is for recognition (arcface), but");
    write_manifest(place, "", "\"task\": \"detection\"");
    refused(place, "'embedder.onnx': the manifest says that it is for detection (scrfd), but 1 outputs");
    write_manifest(place, "\"family\": \"yunet\"", "");
    refused(place, "which this version does not know (known: scrfd for detection, arcface for recognition)");
    write_manifest(place, "\"task\": \"detection\", \"family\": \"arcface\"", "");
    refused(place, "task 'detection', family 'arcface'");
    write_manifest(place, "\"task\": \"detection\", \"family\": \"scrfd\"", "\"task\": \"recognition\"");
    fm_pack_close(opened(place));
}

static void test_contradictions(void **state) {
    const struct place *place = *state;
    write_manifest(place, "", "\"crop\": {\"side\": 128}");
    refused(place, "the manifest says a crop's side of 128, the network takes crops of 112");
    write_manifest(place, "", "\"input\": {\"width\": 100, \"height\": 112}");
    refused(place, "an input width of 100");
    write_manifest(place, "", "\"pixels\": {\"mean\": [1, 2, 3], \"std\": 1}");
    refused(place, "'embedder.onnx': the manifest gives each channel its own");
    write_manifest(place, "\"input\": {\"width\": 100}", "");
    refused(place, "no multiple of the network's step 32");
    write_file(place, "manifest.json", "{\"facemill_pack\": 1, \"models\": [");
    refused(place, "not valid JSON");
}

static void test_a_foreign_manifest_is_a_note(void **state) {
    const struct place *place = *state;
    char bare[65], noted[65];
    id_of(place, bare);
    write_file(place, "manifest.json", "{\"name\": \"something else\"}");
    struct pack *pack = opened(place);
    assert_null(pack->manifest);
    assert_non_null(pack->tasks[MODEL_RECOGNITION]);
    assert_non_null(strstr(pack->notes, "manifest.json: neither facemill's nor insightface's V2"));
    fm_pack_id(pack, "fp32", "exact", noted);
    assert_string_equal(bare, noted);
    fm_pack_close(pack);
}

static void test_a_single_file_is_what_its_folder_says(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct pack *pack = NULL;
    write_manifest(place, "", "\"pixels\": {\"order\": \"bgr\"}");
    OK(fm_pack_open(below(place, "embedder.onnx", path), "test", NULL, &pack, NULL));
    assert_true(pack->tasks[MODEL_RECOGNITION]->pixels.bgr);
    fm_pack_close(pack);
    write_file(place, "manifest.json", "{\"facemill_pack\": 1, \"models\": [{\"file\": \"detector.onnx\"}]}");
    OK(fm_pack_open(path, "test", NULL, &pack, NULL));
    assert_null(pack->manifest);
    assert_false(pack->tasks[MODEL_RECOGNITION]->pixels.bgr);
    fm_pack_close(pack);
}

/* ------------------------------------------------------------ recipes and ids */

#define TEMPLATE "[[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]"

static void test_defaults_repeated_keep_the_id(void **state) {
    const struct place *place = *state;
    char bare[65], same[65];
    id_of(place, bare);
    write_manifest(place,
                   "\"task\": \"detection\", \"family\": \"scrfd\", \"pixels\": {\"order\": \"rgb\", \"mean\": 127.5, "
                   "\"std\": 128}, \"thresholds\": {\"score\": 0.5, \"nms\": 0.4}",
                   "\"pixels\": {\"order\": \"rgb\", \"mean\": [127.5, 127.5, 127.5], \"std\": 127.5}, \"crop\": "
                   "{\"side\": 112, \"points\": " TEMPLATE "}, \"input\": {\"width\": 112, \"height\": 112}, "
                   "\"metric\": \"cosine\", \"thresholds\": {\"match\": 0.3}, \"normalised\": true");
    struct pack *pack = opened(place);
    assert_string_equal(pack->tasks[MODEL_DETECTION]->changed, "");
    assert_string_equal(pack->tasks[MODEL_RECOGNITION]->changed, "");
    fm_pack_id(pack, "fp32", "exact", same);
    assert_string_equal(bare, same);
    fm_pack_close(pack);
}

static void test_changes_change_the_id(void **state) {
    const struct place *place = *state;
    static const char *const rows[][2] = {
        {"", ""},
        {"\"pixels\": {\"order\": \"bgr\"}", ""},
        {"", "\"pixels\": {\"order\": \"bgr\"}"},
        {"", "\"pixels\": {\"mean\": 0, \"std\": 1}"},
        {"", "\"pixels\": {\"mean\": 0, \"std\": 255}"},
        {"", "\"pixels\": {\"mean\": 0, \"std\": 127.5}"},
        {"\"thresholds\": {\"nms\": 0.3}", ""},
        {"", "\"crop\": {\"points\": [[38, 52], [73.5318, 51.5014], [56, 71], [41.5, 92.3], [70.7, 92.2]]}"},
        {"", "\"crop\": {\"points\": [[38, 52], [73.5318, 51.5014], [56, 71], [41.5, 92.3], [70.7, 92.25]]}"},
    };
    char ids[9][65], other[65];
    for (size_t i = 0; i < 9; i++) {
        write_manifest(place, rows[i][0], rows[i][1]);
        id_of(place, ids[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(ids[i], ids[k]);
        }
    }
    write_manifest(place, "\"thresholds\": {\"score\": 0.7}", "");
    id_of(place, other);
    assert_string_equal(other, ids[0]);
}

static void test_recipes(void **state) {
    const struct place *place = *state;
    write_manifest(place,
                   "\"pixels\": {\"order\": \"bgr\", \"mean\": 104, \"std\": 2}, \"thresholds\": {\"score\": 0.7, "
                   "\"nms\": 0.25}, \"input\": {\"width\": 640, \"height\": 480}",
                   "\"pixels\": {\"mean\": 0, \"std\": 1}, \"crop\": {\"points\": [[1, 2], [3, 4], [5, 6], [7, 8], "
                   "[9, 10.5]]}");
    struct pack *pack = opened(place);
    const struct model *detector = pack->tasks[MODEL_DETECTION], *embedder = pack->tasks[MODEL_RECOGNITION];
    assert_true(detector->pixels.bgr && detector->pixels.mean == 104 && detector->pixels.scale == 0.5f);
    assert_true(detector->detector.threshold == 0.7f && detector->detector.nms_threshold == 0.25f);
    assert_true(detector->detector.fixed_width == 640 && detector->detector.fixed_height == 480);
    assert_true(!embedder->pixels.bgr && embedder->pixels.mean == 0 && embedder->pixels.scale == 1);
    assert_true(embedder->recogniser.template_points[4][1] == 10.5f && embedder->recogniser.side == 112);
    fm_pack_close(pack);
}

/* [N,3,side,side] (0: open) -> [N,columns]: mean colour, then one layer. */
static void write_embedder(const struct place *place, const char *name, int64_t side, int64_t columns,
                           enum dtype dtype) {
    struct graph *graph = NULL;
    struct buffer onnx = {0};
    char path[2048];
    size_t node = 0;
    int64_t open = side > 0 ? side : -1;
    float *weights = calloc((size_t)columns * 3, sizeof *weights);
    assert_non_null(weights);
    OK(fm_graph_create("network", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "data", dtype, (int64_t[]){-1, 3, open, open}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "weights", DTYPE_F32, (int64_t[]){columns, 3}, 2, weights, NULL));
    OK(fm_graph_add_tensor(graph, "bias", DTYPE_F32, &columns, 1, weights, NULL));
    OK(fm_graph_add_node(graph, "GlobalAveragePool", "mean", "data", "mean", &node, NULL));
    OK(fm_graph_add_node(graph, "Flatten", "flat", "mean", "flat", &node, NULL));
    OK(fm_graph_add_node(graph, "Gemm", "fc1", "flat weights bias", "fc1", &node, NULL));
    OK(fm_graph_set_integer(graph, node, "transB", 1, NULL));
    OK(fm_graph_add_output(graph, "fc1", DTYPE_F32, (int64_t[]){-1, columns}, 2, NULL));
    OK(fm_graph_write(graph, &onnx, NULL));
    OK(fm_file_write(below(place, name, path), onnx.bytes, onnx.size, NULL));
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
    free(weights);
}

static void test_a_side_that_no_template_knows(void **state) {
    const struct place *place = *state;
    static const char points[] = "\"crop\": {\"points\": [[50, 60], [100, 60], [75, 80], [55, 105], [95, 105]]}";
    write_embedder(place, "embedder.onnx", 150, 128, DTYPE_F32);
    write_manifest(place, "", "\"task\": \"recognition\"");
    refused(place, "no aligned crop of 150x150 is known");
    write_manifest(place, "", points);
    struct pack *pack = opened(place);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.side, 150);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.size, 128);
    assert_true(pack->tasks[MODEL_RECOGNITION]->recogniser.template_points[4][0] == 95);
    assert_non_null(strstr(pack->tasks[MODEL_RECOGNITION]->changed, "crop 150"));
    fm_pack_close(pack);
}

static void test_a_graph_without_a_side(void **state) {
    const struct place *place = *state;
    float points[5][2];
    write_embedder(place, "embedder.onnx", 0, 256, DTYPE_F32);
    write_manifest(place, "", "\"task\": \"recognition\"");
    refused(place, "takes pictures of any size");
    write_manifest(place, "", "\"task\": \"recognition\", \"crop\": {\"side\": 128}");
    struct pack *pack = opened(place);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.side, 128);
    assert_true(fm_align_template(128, points));
    assert_memory_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.template_points, points, sizeof points);
    fm_pack_close(pack);
}

/* --------------------------------------------------------------- insightface V2 */

static void write_v2(const struct place *place, const char *recognition) {
    char text[4096], digest[65];
    digest_of(place, "nets/det.onnx", digest);
    snprintf(text, sizeof text,
             "{\"manifest_version\": 2, \"model_id\": \"raccoon_t\", \"license\": \"MODEL.LICENSE\", \"tasks\": "
             "{\"detection\": {\"file\": \"nets/det.onnx\", \"sha256\": \"%s\"}, \"verification\": {\"file\": "
             "\"ver.onnx\"}, \"recognition\": {\"file\": \"embedder.onnx\"%s}}}",
             digest, recognition);
    write_file(place, "manifest.json", text);
}

static void test_a_pack_of_raccoons(void **state) {
    const struct place *place = *state;
    struct buffer onnx = {0};
    char path[2048], bare[65], raccoon[65];
    id_of(place, bare);
    OK(fm_maker_detector(MAKER_STOCK, &onnx, NULL));
    OK(fm_folder_make(below(place, "nets", path), NULL));
    OK(fm_file_write(below(place, "nets/det.onnx", path), onnx.bytes, onnx.size, NULL));
    fm_buffer_reset(&onnx);
    write_file(place, "ver.onnx", "a network that is not run");
    write_v2(place, "");
    struct pack *pack = opened(place);
    assert_string_equal(pack->name, "raccoon_t");
    assert_string_equal(pack->licence, "MODEL.LICENSE");
    assert_int_equal(pack->manifest->kind, MANIFEST_INSIGHTFACE);
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "nets/det.onnx");
    assert_non_null(strstr(pack->notes, "ver.onnx: verification network, as the manifest says: not used yet"));
    fm_pack_id(pack, "fp32", "exact", raccoon);
    assert_string_equal(bare, raccoon); /* the same networks, fed alike */
    fm_pack_close(pack);
    write_v2(place, ", \"preprocessing\": \"embedded\"");
    pack = opened(place);
    assert_true(pack->tasks[MODEL_RECOGNITION]->pixels.mean == 0 && pack->tasks[MODEL_RECOGNITION]->pixels.scale == 1);
    fm_pack_id(pack, "fp32", "exact", raccoon);
    assert_string_not_equal(bare, raccoon);
    fm_pack_close(pack);
    write_v2(place, ", \"embedding_dimension\": 256");
    refused(place, "the manifest says 256 values per face, the network gives 512");
    write_v2(place, ", \"input_size\": [128, 128]");
    refused(place, "crop's side of 128");
    write_embedder(place, "embedder.onnx", 112, 512, DTYPE_U8);
    write_v2(place, ", \"preprocessing\": \"embedded\"");
    refused(place, "its input is not one f32 picture");
    flip_byte(place, "nets/det.onnx", 100);
    write_file(place, "manifest.json",
               "{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"MODEL.LICENSE\", \"tasks\": "
               "{\"detection\": {\"file\": \"nets/det.onnx\", \"sha256\": "
               "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}}");
    refused(place, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

/* -------------------------------------------------------------------- writing */

static void described(const struct place *place, const fm_pack_draft *draft) {
    fm_error error = {FM_OK, ""};
    if (fm_pack_describe(place->root, draft, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
}

static void not_described(const struct place *place, const fm_pack_draft *draft, fm_status status, const char *words) {
    fm_error error = {FM_OK, ""};
    if (fm_pack_describe(place->root, draft, &error) != status || strstr(error.message, words) == NULL) {
        fail_msg("status %d, \"%s\" should have said \"%s\"", (int)error.status, error.message, words);
    }
}

static char *manifest_text(const struct place *place, struct buffer *bytes) {
    char path[2048];
    OK(fm_file_read(below(place, "manifest.json", path), 1 << 20, bytes, NULL));
    assert_true(fm_buffer_append(bytes, "", 1, 0));
    return (char *)bytes->bytes;
}

static void test_described_is_the_same_pack(void **state) {
    struct place *place = *state;
    static const char *const variants[] = {"stock", "batched", "unknown", "normalised"};
    char bare[65], after[65], again[65], name[2048];
    for (size_t i = 0; i < 4; i++) {
        const struct place inner = *place;
        snprintf(name, sizeof name, "%s", below(&inner, variants[i], (char[2048]){0}));
        struct place variant;
        snprintf(variant.root, sizeof variant.root, "%.1000s", name);
        OK(fm_maker_write(variant.root, variants[i], NULL));
        id_of(&variant, bare);
        described(&variant, NULL);
        struct pack *pack = opened(&variant);
        assert_int_equal(pack->manifest->kind, MANIFEST_FACEMILL);
        assert_string_equal(pack->name, variants[i]);
        assert_string_equal(pack->notes, "");
        assert_int_equal(strlen(pack->manifest->models[0].sha256), 64);
        assert_true(pack->manifest->models[0].bytes == pack->tasks[MODEL_DETECTION]->bytes.size);
        assert_string_equal(pack->manifest->models[0].family, "scrfd");
        assert_true(pack->manifest->models[1].has_template && pack->manifest->models[1].has_pixels);
        fm_pack_id(pack, "fp32", "exact", after);
        fm_pack_close(pack);
        assert_string_equal(bare, after);
        struct buffer first = {0}, second = {0};
        manifest_text(&variant, &first);
        described(&variant, NULL);
        assert_string_equal(manifest_text(&variant, &second), first.bytes);
        id_of(&variant, again);
        assert_string_equal(bare, again);
        fm_buffer_reset(&first);
        fm_buffer_reset(&second);
    }
}

static void test_what_is_there_stays(void **state) {
    const struct place *place = *state;
    struct buffer bytes = {0};
    write_embedder(place, "zz.onnx", 192, 3309, DTYPE_F32);
    write_file(place, ".hidden.onnx", "what macOS leaves behind");
    write_file(place, "manifest.json",
               "{\"later\": [1, {\"deep\": 0.1}], \"facemill_pack\": 1, \"name\": \"kept\", \"license\": {\"name\": "
               "\"MIT\", \"note\": 1}, \"about\": [\"of all\"], \"models\": [{\"file\": \"embedder.onnx\", \"pixels\": "
               "{\"order\": \"bgr\", \"gamma\": 2.2}, \"about\": [\"of one\"], \"colour\": \"blue\"}]}");
    described(place, &(fm_pack_draft){.struct_size = sizeof(fm_pack_draft),
                                      .name = "new",
                                      .display_name = "New",
                                      .licence = "BSD",
                                      .licence_url = "https://example.org",
                                      .source = "here"});
    const char *text = manifest_text(place, &bytes);
    static const char *const words[] = {"\"deep\": 0.1",
                                        "\"name\": \"kept\"",
                                        "\"name\": \"MIT\"",
                                        "\"note\": 1",
                                        "\"gamma\": 2.2",
                                        "\"colour\": \"blue\"",
                                        "\"order\": \"bgr\"",
                                        "\"url\": \"https://example.org\"",
                                        "\"display_name\": \"New\"",
                                        "\"source\": \"here\"",
                                        "\"task\": \"none\""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(text, words[i]) == NULL) {
            fail_msg("no %s in\n%s", words[i], text);
        }
    }
    assert_null(strstr(text, "BSD"));
    assert_null(strstr(text, "\"licence\""));
    assert_null(strstr(text, "hidden"));
    struct pack *pack = opened(place);
    assert_int_equal(pack->manifest->model_count, 3);
    assert_string_equal(pack->manifest->models[0].file, "embedder.onnx"); /* the manifest's own first */
    assert_true(pack->tasks[MODEL_RECOGNITION]->pixels.bgr);
    assert_string_equal(fm_manifest_about(pack->manifest, NULL, 0), "of all");
    assert_string_equal(fm_manifest_about(pack->manifest, &pack->manifest->models[0], 0), "of one");
    assert_string_equal(pack->manifest->models[2].file, "zz.onnx");
    assert_int_equal(strlen(pack->manifest->models[2].sha256), 64);
    fm_pack_close(pack);
    fm_buffer_reset(&bytes);
}

static void test_choices(void **state) {
    const struct place *place = *state;
    const fm_model_choice choices[] = {
        {"embedder.onnx", "order", "bgr"},
        {"embedder.onnx", "mean", "127"},
        {"embedder.onnx", "std", "128, 128, 128"},
        {"embedder.onnx", "match", "0.9"},
        {"embedder.onnx", "metric", "euclidean"},
        {"embedder.onnx", "normalised", "true"},
        {"embedder.onnx", "labels", "a,b c"},
        {"embedder.onnx", "licence", "CC0"},
        {"embedder.onnx", "licence-url", "u"},
        {"embedder.onnx", "side", "112"},
        {"detector.onnx", "score", "0.6"},
        {"detector.onnx", "nms", "0.3"},
        {"detector.onnx", "family", "scrfd"},
        {"detector.onnx", "task", "detection"},
        {"embedder.onnx", "points", "38.5,51 73,51.5  56,71.7 41.5,92 70,92.2"},
    };
    fm_pack_draft draft = {.struct_size = sizeof draft, .choices = choices, .choice_count = 15};
    described(place, NULL);
    described(place, &draft); /* a choice wins over what is written */
    struct pack *pack = opened(place);
    const struct manifest_model *said = pack->tasks[MODEL_RECOGNITION]->said;
    assert_true(said->bgr && said->mean == 127 && said->std == 128 && !said->uneven_pixels);
    assert_true(said->match_threshold == 0.9f && said->normalised && said->label_count == 2);
    assert_string_equal(said->labels[1], "b c");
    assert_string_equal(said->licence, "CC0");
    assert_string_equal(said->licence_url, "u");
    assert_true(said->template_points[0][0] == 38.5f && said->template_points[4][1] == 92.2f);
    assert_true(pack->tasks[MODEL_DETECTION]->detector.threshold == 0.6f);
    assert_true(pack->tasks[MODEL_DETECTION]->detector.nms_threshold == 0.3f);
    assert_true(pack->match_threshold > 0.594f && pack->match_threshold < 0.596f);
    fm_pack_close(pack);
}

static void bad_choice(const struct place *place, const char *file, const char *key, const char *value,
                       const char *words) {
    const fm_model_choice choice = {file, key, value};
    fm_pack_draft draft = {.struct_size = sizeof draft, .choices = &choice, .choice_count = 1};
    char path[2048];
    not_described(place, &draft, FM_INVALID_ARGUMENT, words);
    assert_int_equal(fm_path_kind(below(place, "manifest.json", path)), OS_PATH_NONE);
}

static void test_bad_choices(void **state) {
    const struct place *place = *state;
    bad_choice(place, "x.onnx", "order", "bgr", "has no file 'x.onnx'; it has detector.onnx, embedder.onnx");
    bad_choice(place, "embedder.onnx", "colour", "bgr", "nothing called 'colour' can be chosen; known: task, family");
    bad_choice(place, "embedder.onnx", "order", "grb", "pixels.order is 'grb'");
    bad_choice(place, "embedder.onnx", "mean", "1e", "'1e' is no value for 'mean'");
    bad_choice(place, "embedder.onnx", "mean", "1,2", "is no value for 'mean'");
    bad_choice(place, "embedder.onnx", "mean", "1],[2", "is no value for 'mean'");
    bad_choice(place, "embedder.onnx", "mean", "127.5", "pixels.std is missing");
    bad_choice(place, "embedder.onnx", "score", "2", "thresholds.score is 2");
    bad_choice(place, "embedder.onnx", "points", "1,2 3,4", "is no value for 'points'");
    bad_choice(place, "embedder.onnx", "normalised", "yes", "is no value for 'normalised'");
    bad_choice(place, "embedder.onnx", "labels", "a,,b", "is no value for 'labels'");
    bad_choice(place, "embedder.onnx", "task", "", "is no value for 'task'");
    bad_choice(place, NULL, "task", "x", "needs file, key and value");
    const fm_model_choice twice[] = {{"embedder.onnx", "order", "bgr"}, {"embedder.onnx", "order", "rgb"}};
    fm_pack_draft draft = {.struct_size = sizeof draft, .choices = twice, .choice_count = 2};
    not_described(place, &draft, FM_INVALID_ARGUMENT, "'order' was chosen twice");
    const fm_model_choice family = {"embedder.onnx", "family", "scrfd"};
    draft = (fm_pack_draft){.struct_size = sizeof draft, .choices = &family, .choice_count = 1};
    not_described(place, &draft, FM_BAD_MODEL, "'embedder.onnx': the manifest says that it is for detection (scrfd)");
    draft = (fm_pack_draft){0};
    not_described(place, &draft, FM_INVALID_ARGUMENT, "struct_size");
}

static void test_a_chosen_crop_makes_a_recogniser(void **state) {
    const struct place *place = *state;
    const fm_model_choice choices[] = {{"embedder.onnx", "points", "50,60 100,60 75,80 55,105 95,105"},
                                       {"embedder.onnx", "mean", "0"},
                                       {"embedder.onnx", "std", "1"}};
    fm_pack_draft draft = {.struct_size = sizeof draft, .choices = choices, .choice_count = 3};
    write_embedder(place, "embedder.onnx", 150, 128, DTYPE_F32);
    described(place, &draft);
    struct pack *pack = opened(place);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.side, 150);
    assert_int_equal(pack->manifest->models[1].crop_side, 150);
    assert_string_equal(pack->manifest->models[1].family, "arcface");
    fm_pack_close(pack);
}

static void test_what_cannot_be_described(void **state) {
    const struct place *place = *state;
    struct buffer before = {0}, after = {0};
    char path[2048];
    struct place missing;
    snprintf(missing.root, sizeof missing.root, "%.1000s/none", place->root);
    not_described(&missing, NULL, FM_NOT_FOUND, "there is no folder");
    OK(fm_folder_make(missing.root, NULL));
    not_described(&missing, NULL, FM_NOT_FOUND, "holds no .onnx file");
    write_file(place, "manifest.json", "{\"name\": \"a web page\"}");
    not_described(place, NULL, FM_BAD_MODEL, "will not be overwritten");
    write_file(place, "manifest.json", "{\"facemill_pack\": 1, \"models\": [{\"file\": \"gone.onnx\"}]}");
    not_described(place, NULL, FM_BAD_MODEL, "has no file 'gone.onnx'");
    write_file(place, "manifest.json",
               "{\"facemill_pack\": 1, \"models\": [{\"file\": \"embedder.onnx\", \"sha256\": "
               "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}");
    not_described(place, NULL, FM_BAD_MODEL, "its manifest says 0123456789abcdef");
    static const char v2[] = "{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"MODEL.LICENSE\",   "
                             "\"tasks\": {\"detection\": {\"file\": \"detector.onnx\"}}}";
    write_file(place, "manifest.json", v2);
    described(place, NULL);
    assert_string_equal(manifest_text(place, &before), v2); /* kept to the letter */
    const fm_model_choice choice = {"detector.onnx", "order", "bgr"};
    not_described(place, &(fm_pack_draft){.struct_size = sizeof(fm_pack_draft), .choices = &choice, .choice_count = 1},
                  FM_INVALID_ARGUMENT, "insightface's manifest, which is kept as it is");
    remove(below(place, "manifest.json", path));
    write_file(place, "broken.onnx", "not a network");
    not_described(place, NULL, FM_BAD_MODEL, "broken.onnx");
    assert_int_equal(fm_path_kind(path), OS_PATH_NONE);
    fm_buffer_reset(&before);
    fm_buffer_reset(&after);
}

/* The networks that need a manifest: crops of 150 pixels and levels as they are. */
static void check_150(const struct place *place, const char *file) {
    struct buffer onnx = {0};
    char path[2048];
    OK(fm_file_read(file, 1 << 30, &onnx, NULL));
    OK(fm_file_write(below(place, "embedder.onnx", path), onnx.bytes, onnx.size, NULL));
    fm_buffer_reset(&onnx);
    const fm_model_choice choices[] = {{"embedder.onnx", "points", "50,60 100,60 75,80 55,105 95,105"},
                                       {"embedder.onnx", "mean", "0"},
                                       {"embedder.onnx", "std", "1"}};
    described(place, &(fm_pack_draft){.struct_size = sizeof(fm_pack_draft), .choices = choices, .choice_count = 3});
    struct pack *pack = opened(place);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.side, 150);
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.size, 128);
    fm_pack_close(pack);
}

/* The recogniser of packs/mini, and dlib's where the reference data is. */
static void test_networks_of_150(void **state) {
    const struct place *place = *state;
    const char *shared = getenv("FM_SHARED");
    char path[2048];
    check_150(place, TEST_MINI_PACK "/mini-rec.onnx");
    remove(below(place, "manifest.json", path));
    snprintf(path, sizeof path, "%s/models/dlib_resnet_v1.onnx", shared != NULL ? shared : "../shared");
    if (fm_path_kind(path) == OS_PATH_FILE) {
        check_150(place, path);
    } else {
        print_message("without %s: packs/mini alone\n", path);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pack, remove_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_only_what_is_listed),
        TEST(test_the_manifests_order),
        TEST(test_licence_and_threshold),
        TEST(test_damage),
        TEST(test_damage_elsewhere),
        TEST(test_families_must_fit),
        TEST(test_contradictions),
        TEST(test_a_foreign_manifest_is_a_note),
        TEST(test_a_single_file_is_what_its_folder_says),
        TEST(test_defaults_repeated_keep_the_id),
        TEST(test_changes_change_the_id),
        TEST(test_recipes),
        TEST(test_a_side_that_no_template_knows),
        TEST(test_a_graph_without_a_side),
        TEST(test_a_pack_of_raccoons),
        TEST(test_described_is_the_same_pack),
        TEST(test_what_is_there_stays),
        TEST(test_choices),
        TEST(test_bad_choices),
        TEST(test_a_chosen_crop_makes_a_recogniser),
        TEST(test_what_cannot_be_described),
        TEST(test_networks_of_150),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
