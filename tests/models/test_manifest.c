/* Manifests: every member, its mistakes and limits, ours and insightface's; and packs that are opened by what they say:
   digests, recipes, ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/text.h"
#include "models/manifest.h"
#include "models/place.h"

/* -------------------------------------------------------------------- parsing */

static struct manifest *parsed(const char *text) {
    struct manifest *manifest = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_manifest_parse(text, strlen(text), "'m'", &manifest, &error) != FM_OK) {
        fail_msg("%s\n%s", error.message, text);
    }
    return manifest;
}

static void refused(const char *text, const char *words) {
    struct manifest *manifest = (void *)"not touched";
    fm_error error = {FM_OK, ""};
    if (fm_manifest_parse(text, strlen(text), "'m'", &manifest, &error) != FM_BAD_MODEL) {
        fail_msg("taken: %s", text);
    }
    assert_null(manifest);
    if (strstr(error.message, words) == NULL || strstr(error.message, "'m'") == NULL) {
        fail_msg("\"%s\" should have said \"%s\" about %s", error.message, words, text);
    }
}

/* One file with further members. */
static void refused_model(const char *members, const char *words) {
    char text[4096];
    snprintf(text, sizeof text, "{\"facemill_pack\": 1, \"models\": [{\"file\": \"x.onnx\", %s}]}", members);
    refused(text, words);
}

static void refused_top(const char *members, const char *words) {
    char text[4096];
    snprintf(text, sizeof text, "{\"facemill_pack\": 1, \"models\": [], %s}", members);
    refused(text, words);
}

static void test_the_least_there_is(void **state) {
    (void)state;
    struct manifest *manifest = parsed("{\"facemill_pack\": 1, \"models\": [{\"file\": \"x.onnx\"}]}");
    const struct manifest_model *model = &manifest->models[0];
    assert_int_equal(manifest->kind, MANIFEST_FACEMILL);
    assert_string_equal(fm_manifest_kind_name(manifest->kind), "facemill");
    assert_int_equal(manifest->model_count, 1);
    assert_string_equal(model->file, "x.onnx");
    assert_string_equal(model->sha256, "");
    assert_string_equal(model->task, "");
    assert_false(model->has_pixels || model->has_order || model->has_template || model->normalised);
    assert_true(model->score_threshold == 0 && model->nms_threshold == 0 && model->match_threshold == 0);
    assert_ptr_equal(fm_manifest_model(manifest, "x.onnx"), model);
    assert_null(fm_manifest_model(manifest, "y.onnx"));
    assert_null(fm_manifest_model(NULL, "x.onnx"));
    fm_manifest_close(manifest);
    fm_manifest_close(NULL);
    assert_string_equal(fm_manifest_kind_name(MANIFEST_NONE), "");
}

/* The example in docs/manifest.md has every member there is. */
static void test_the_documented_example(void **state) {
    (void)state;
    struct buffer document = {0};
    fm_error error = {FM_OK, ""};
    if (fm_file_read(MANIFEST_DOCUMENT, 1 << 20, &document, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    const char *begin = strstr((const char *)document.bytes, "```json\n"), *end = strstr(begin + 8, "```");
    struct manifest *manifest = NULL;
    assert_non_null(end);
    if (fm_manifest_parse(begin + 8, (size_t)(end - begin - 8), "the example", &manifest, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    assert_string_equal(manifest->name, "example");
    assert_string_equal(manifest->display_name, "An example");
    assert_string_equal(manifest->version, "1.0");
    assert_string_equal(manifest->source, "https://example.org/packs");
    assert_string_equal(manifest->licence, "MIT");
    assert_string_equal(manifest->licence_url, "https://example.org/LICENSE");
    assert_string_equal(fm_manifest_about(manifest, NULL, 0), "Made for an example, from nobody's pictures.");
    assert_string_equal(fm_manifest_about(manifest, NULL, 1), "For reading, not for running.");
    assert_null(fm_manifest_about(manifest, NULL, 2));
    assert_int_equal(manifest->model_count, 3);
    const struct manifest_model *detector = &manifest->models[0], *embedder = &manifest->models[1];
    assert_string_equal(detector->task, "detection");
    assert_string_equal(detector->family, "scrfd");
    assert_int_equal(strlen(detector->sha256), 64);
    assert_int_equal(detector->bytes, 2524817);
    assert_true(detector->has_pixels && detector->mean == 127.5f && detector->std == 128.0f);
    assert_true(detector->has_order && !detector->bgr);
    assert_true(detector->width == 640 && detector->height == 640);
    assert_true(detector->score_threshold == 0.5f && detector->nms_threshold == 0.4f);
    assert_true(embedder->crop_side == 112 && embedder->has_template && embedder->template_points[4][1] == 92.2041f);
    assert_true(embedder->has_order && embedder->bgr && embedder->std == 127.5f && !embedder->uneven_pixels);
    assert_string_equal(embedder->metric, "cosine");
    assert_true(embedder->match_threshold == 0.35f && embedder->normalised);
    assert_string_equal(embedder->licence, "Apache-2.0");
    assert_string_equal(embedder->licence_url, "https://example.org/LICENSE-2.0");
    assert_string_equal(fm_manifest_about(manifest, detector, 0), "Weak where faces are smaller than 16 pixels.");
    assert_null(fm_manifest_about(manifest, detector, 1));
    assert_null(fm_manifest_about(manifest, embedder, 0));
    assert_string_equal(manifest->models[2].task, "none");
    assert_int_equal(manifest->models[2].label_count, 2);
    assert_string_equal(manifest->models[2].labels[1], "male");
    fm_manifest_close(manifest);
    fm_buffer_reset(&document);
}

/* A list of `count` texts of `length` letters. */
static const char *about_list(size_t count, size_t length, struct text *text) {
    fm_text_clear(text);
    fm_text_add(text, "{\"facemill_pack\": 1, \"models\": [], \"about\": [");
    for (size_t i = 0; i < count; i++) {
        fm_text_add(text, i > 0 ? ", \"" : "\"");
        for (size_t k = 0; k < length; k++) {
            fm_text_add(text, "a");
        }
        fm_text_add(text, "\"");
    }
    fm_text_add(text, "]}");
    return fm_text_chars(text);
}

static void test_what_it_says_about_itself(void **state) {
    (void)state;
    static const char words[] = "a list of at most 16 texts of 1 to 1000 plain characters";
    struct text text = {0};
    struct manifest *manifest = parsed(about_list(FM_MANIFEST_ABOUT, FM_MANIFEST_ABOUT_BYTES, &text));
    assert_int_equal(strlen(fm_manifest_about(manifest, NULL, FM_MANIFEST_ABOUT - 1)), FM_MANIFEST_ABOUT_BYTES);
    assert_null(fm_manifest_about(manifest, NULL, FM_MANIFEST_ABOUT));
    fm_manifest_close(manifest);
    manifest = parsed("{\"facemill_pack\": 1, \"models\": [], \"about\": []}");
    assert_null(fm_manifest_about(manifest, NULL, 0));
    fm_manifest_close(manifest);
    assert_null(fm_manifest_about(NULL, NULL, 0));
    refused(about_list(FM_MANIFEST_ABOUT + 1, 1, &text), words);
    refused(about_list(1, FM_MANIFEST_ABOUT_BYTES + 1, &text), words);
    refused(about_list(2, 0, &text), words);
    refused_top("\"about\": \"one\"", words);
    refused_top("\"about\": [\"one\", 2]", words);
    refused_top("\"about\": [\"two\\nlines\"]", words);
    refused_top("\"about\": {\"a\": \"b\"}", words);
    refused_model("\"about\": [null]", "models[0].about");
    refused_model("\"about\": 7", words);
    /* insightface's is not checked, and so not shown */
    manifest =
        parsed("{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"MODEL.LICENSE\", \"about\": [\"x\"], "
               "\"tasks\": {\"detection\": {\"file\": \"d.onnx\"}}}");
    assert_null(fm_manifest_about(manifest, NULL, 0));
    assert_null(fm_manifest_about(manifest, &manifest->models[0], 0));
    fm_manifest_close(manifest);
    fm_text_reset(&text);
}

static void test_the_other_spelling_of_licence(void **state) {
    (void)state;
    struct manifest *manifest = parsed("{\"facemill_pack\": 1, \"license\": {\"name\": \"MIT\", \"url\": \"u\"}, "
                                       "\"models\": [{\"file\": \"x.onnx\", \"license\": {\"name\": \"BSD\"}}]}");
    assert_string_equal(manifest->licence, "MIT");
    assert_string_equal(manifest->licence_url, "u");
    assert_string_equal(manifest->models[0].licence, "BSD");
    fm_manifest_close(manifest);
}

static void test_unknown_members_are_kept(void **state) {
    (void)state;
    struct manifest *manifest = parsed("{\"facemill_pack\": 1, \"later\": {\"x\": [1]}, \"models\": [{\"file\": "
                                       "\"x.onnx\", \"colour\": 7, \"pixels\": {\"gamma\": 2.2}}]}");
    const struct json_value *model = fm_json_item(fm_json_member(manifest->tree, "models"), 0);
    assert_true(fm_json_value(fm_json_member(fm_json_member(model, "pixels"), "gamma"), 0) == 2.2);
    assert_int_equal(fm_json_count(fm_json_member(fm_json_member(manifest->tree, "later"), "x")), 1);
    assert_false(manifest->models[0].has_pixels);
    fm_manifest_close(manifest);
}

static void test_wrong_tops(void **state) {
    (void)state;
    refused("[]", "no manifest of a pack");
    refused("{}", "no manifest of a pack");
    refused("{\"facemill_pack\": 1", "not valid JSON at line 1");
    refused("{\"facemill_pack\": 2, \"models\": []}", "facemill_pack is 2; expected 1");
    refused("{\"facemill_pack\": \"1\", \"models\": []}", "facemill_pack is '1'; expected 1");
    refused("{\"facemill_pack\": 1.0, \"models\": []}", "facemill_pack is 1; expected 1");
    refused("{\"facemill_pack\": null, \"models\": []}", "facemill_pack is null");
    refused("{\"facemill_pack\": 1}", "models is missing; expected a list");
    refused("{\"facemill_pack\": 1, \"models\": {}}", "models is an object; expected a list");
    refused("{\"facemill_pack\": 1, \"models\": [1]}", "models[0] is 1; expected an object");
    refused("{\"facemill_pack\": 1, \"models\": [], \"models\": []}", "duplicate object key");
    refused_top("\"name\": 3", "name is 3; expected a text");
    refused_top("\"name\": \"\"", "name is ''");
    refused_top("\"name\": \"../x\"", "name is '../x'; expected a name without");
    refused_top("\"name\": \"a/b\"", "a name without");
    refused_top("\"name\": \"a\\nb\"", "a text of 1 to");
    refused_top("\"display_name\": []", "display_name is a list");
    refused_top("\"version\": 1", "version is 1; expected a text of 1 to 31");
    refused_top("\"version\": \"12345678901234567890123456789012\"", "a text of 1 to 31");
    refused_top("\"source\": true", "source is true");
    refused_top("\"licence\": \"MIT\"", "licence is 'MIT'; expected an object");
    refused_top("\"license\": {\"name\": 1}", "license.name is 1; expected a text");
    refused_top("\"licence\": {\"url\": {}}", "licence.url is an object");
}

static void test_wrong_files(void **state) {
    (void)state;
    static const char *const names[] = {
        "3",           "\"\"",         "\"../x.onnx\"", "\"/x.onnx\"", "\"a/x.onnx\"",      "\"a\\\\x.onnx\"",
        "\".x.onnx\"", "\"C:x.onnx\"", "\"x.txt\"",     "\".onnx\"",   "\"x\\u0001.onnx\"", "null",
        "\"x.onnx/\""};
    char text[1024];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, "{\"facemill_pack\": 1, \"models\": [{\"file\": %s}]}", names[i]);
        refused(text, "models[0].file is ");
    }
    refused("{\"facemill_pack\": 1, \"models\": [{}]}", "models[0].file is missing");
    refused("{\"facemill_pack\": 1, \"models\": [{\"file\": \"x.onnx\"}, {\"file\": \"y.onnx\"}, {\"file\": "
            "\"x.onnx\"}]}",
            "'x.onnx' is listed twice");
    snprintf(text, sizeof text, "{\"facemill_pack\": 1, \"models\": [{\"file\": \"%0300d.onnx\"}]}", 1);
    refused(text, "models[0].file is ");
}

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_wrong_members(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"\"sha256\": 1", "models[0].sha256 is 1; expected 64 lower-case"},
        {"\"sha256\": \"abc\"", "sha256 is 'abc'"},
        {"\"sha256\": \"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"", "64 lower-case"},
        {"\"sha256\": \"" DIGEST "0\"", "64 lower-case"},
        {"\"bytes\": \"1\"", "bytes is '1'; expected the file's size"},
        {"\"bytes\": -1", "bytes is -1"},
        {"\"bytes\": 1.5", "bytes is 1.5"},
        {"\"task\": 1", "task is 1; expected a word"},
        {"\"task\": \"\"", "task is ''"},
        {"\"task\": \"Detection\"", "task is 'Detection'; expected a word"},
        {"\"task\": \"detection-of-many-faces-at-once\"", "expected a word"},
        {"\"family\": []", "family is a list; expected a word"},
        {"\"family\": \"a b\"", "family is 'a b'"},
        {"\"input\": 640", "input is 640; expected an object"},
        {"\"input\": {\"width\": 0}", "input.width is 0; expected a whole number"},
        {"\"input\": {\"width\": 640.5}", "input.width is 640.5"},
        {"\"input\": {\"height\": 20000}", "input.height is 20000"},
        {"\"input\": {\"height\": \"640\"}", "input.height is '640'"},
        {"\"pixels\": []", "pixels is a list; expected an object"},
        {"\"pixels\": {\"order\": \"RGB\"}", "pixels.order is 'RGB'; expected \"rgb\" or \"bgr\""},
        {"\"pixels\": {\"order\": 1}", "pixels.order is 1"},
        {"\"pixels\": {\"mean\": 1}", "pixels.std is missing; expected mean and std together"},
        {"\"pixels\": {\"std\": 1}", "pixels.mean is missing"},
        {"\"pixels\": {\"mean\": \"1\", \"std\": 1}", "pixels.mean is '1'"},
        {"\"pixels\": {\"mean\": 1, \"std\": 0}", "pixels.std is 0; expected a number from 0.000001"},
        {"\"pixels\": {\"mean\": 1, \"std\": -1}", "pixels.std is -1"},
        {"\"pixels\": {\"mean\": 1e7, \"std\": 1}", "pixels.mean is 10000000"},
        {"\"pixels\": {\"mean\": [1, 2], \"std\": 1}", "pixels.mean is a list; expected a number"},
        {"\"pixels\": {\"mean\": [1, 2, null], \"std\": 1}", "pixels.mean is null"},
        {"\"pixels\": {\"mean\": 0, \"std\": [1, 1, 0]}", "pixels.std is 0"},
        {"\"crop\": 112", "crop is 112; expected an object"},
        {"\"crop\": {\"side\": -112}", "crop.side is -112"},
        {"\"crop\": {\"points\": 1}", "crop.points is 1; expected five different points"},
        {"\"crop\": {\"points\": [[1,2],[3,4],[5,6],[7,8]]}", "crop.points is a list"},
        {"\"crop\": {\"points\": [[1,2],[3,4],[5,6],[7,8],[9]]}", "five different points"},
        {"\"crop\": {\"points\": [[1,2],[3,4],[5,6],[7,8],[9,\"1\"]]}", "five different points"},
        {"\"crop\": {\"points\": [[1,2],[3,4],[5,6],[7,8],[9,1e5]]}", "five different points"},
        {"\"crop\": {\"points\": [[1,2],[1,2],[1,2],[1,2],[1,2]]}", "five different points"},
        {"\"thresholds\": 0.5", "thresholds is 0.5; expected an object"},
        {"\"thresholds\": {\"score\": 0}", "thresholds.score is 0; expected a number above 0, at most 1"},
        {"\"thresholds\": {\"score\": 1.1}", "thresholds.score is 1.1"},
        {"\"thresholds\": {\"nms\": \"0.4\"}", "thresholds.nms is '0.4'"},
        {"\"thresholds\": {\"match\": -0.1}", "thresholds.match is -0.1"},
        {"\"thresholds\": {\"match\": 1.2}", "thresholds.match is 1.2"},
        {"\"metric\": \"euclidean\", \"thresholds\": {\"match\": 1.5}", "a distance above 0, at most 1.4"},
        {"\"metric\": \"manhattan\"", "metric is 'manhattan'; expected \"cosine\" or \"euclidean\""},
        {"\"metric\": 1", "metric is 1"},
        {"\"normalised\": 1", "normalised is 1; expected true or false"},
        {"\"labels\": \"a\"", "labels is 'a'; expected a list of at most 16"},
        {"\"labels\": {\"a\": 1}", "labels is an object"},
        {"\"labels\": [1]", "labels is a list"},
        {"\"labels\": [\"\"]", "labels is a list"},
        {"\"labels\": [\"12345678901234567890123456789012\"]", "labels is a list"},
        {"\"labels\": [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\","
         "\"q\"]",
         "labels is a list"},
        {"\"licence\": []", "models[0].licence is a list; expected an object"},
        {"\"license\": {\"url\": 1}", "models[0].license.url is 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        refused_model(rows[i][0], rows[i][1]);
    }
}

static void test_equal_channels_are_one(void **state) {
    (void)state;
    struct manifest *manifest =
        parsed("{\"facemill_pack\": 1, \"models\": [{\"file\": \"x.onnx\", \"pixels\": {\"mean\": [104, 104, 104], "
               "\"std\": [2, 2, 2]}}, {\"file\": \"y.onnx\", \"pixels\": {\"mean\": [104, 117, 123], \"std\": 1}}]}");
    assert_true(manifest->models[0].mean == 104 && manifest->models[0].std == 2 && !manifest->models[0].uneven_pixels);
    assert_true(manifest->models[1].uneven_pixels);
    fm_manifest_close(manifest);
}

static void test_limits(void **state) {
    (void)state;
    struct text text = {0};
    for (int count = 64; count <= 65; count++) {
        fm_text_clear(&text);
        fm_text_add(&text, "{\"facemill_pack\": 1, \"models\": [");
        for (int i = 0; i < count; i++) {
            fm_text_add(&text, "%s{\"file\": \"%d.onnx\"}", i > 0 ? "," : "", i);
        }
        fm_text_add(&text, "]}");
        if (count == 64) {
            struct manifest *manifest = parsed(text.chars);
            assert_int_equal(manifest->model_count, 64);
            fm_manifest_close(manifest);
        } else {
            refused(text.chars, "a list of at most 64 objects");
        }
    }
    fm_text_clear(&text);
    fm_text_add(&text, "{\"facemill_pack\": 1, \"models\": []");
    for (int i = 0; i < 1000; i++) {
        fm_text_add(&text, ", \"x%d\": 1", i);
    }
    fm_text_add(&text, "}");
    refused(text.chars, "expected at most 1000");
    fm_text_clear(&text);
    fm_text_add(&text, "{\"facemill_pack\": 1, \"models\": [], \"x\": \"%0*d\"}", 1 << 20, 1);
    refused(text.chars, "more than the 1048576 allowed");
    fm_text_reset(&text);
}

/* --------------------------------------------------------- insightface's V2 */

static void test_v2_defaults(void **state) {
    (void)state;
    struct manifest *manifest =
        parsed("{\"manifest_version\": 2, \"model_id\": \" raccoon_x \", \"license\": \"MODEL.LICENSE\", \"tasks\": "
               "{\"recognition\": {\"file\": \"rec.onnx\"}, \"detection\": {\"file\": \"./nets//det.ONNX\", "
               "\"preprocessing\": \"embedded\"}, \"verification\": {\"file\": \"ver.onnx\"}, \"mood\": 3}, \"x\": 1}");
    const struct manifest_model *models = manifest->models;
    assert_int_equal(manifest->kind, MANIFEST_INSIGHTFACE);
    assert_string_equal(fm_manifest_kind_name(manifest->kind), "insightface-2");
    assert_string_equal(manifest->name, "raccoon_x");
    assert_string_equal(manifest->display_name, "raccoon_x");
    assert_string_equal(manifest->licence, "MODEL.LICENSE");
    assert_int_equal(manifest->model_count, 3);
    assert_string_equal(models[0].task, "detection");
    assert_string_equal(models[0].family, "scrfd");
    assert_string_equal(models[0].file, "nets/det.ONNX");
    assert_true(models[0].has_pixels && models[0].mean == 0 && models[0].std == 1 && !models[0].bgr);
    assert_string_equal(models[1].task, "verification");
    assert_string_equal(models[1].family, "");
    assert_string_equal(models[2].task, "recognition");
    assert_true(models[2].mean == 127.5f && models[2].std == 127.5f && models[2].crop_side == 112);
    assert_int_equal(models[2].embedding_size, 512);
    fm_manifest_close(manifest);
    manifest = parsed("{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"x/MODEL.LICENSE\", \"tasks\": "
                      "{\"detection\": {\"file\": \"d.onnx\"}}, \"display_name\": \" A b \"}");
    assert_true(manifest->models[0].mean == 127.5f && manifest->models[0].std == 128.0f);
    assert_string_equal(manifest->display_name, "A b");
    fm_manifest_close(manifest);
}

static void refused_v2(const char *id, const char *licence, const char *tasks, const char *words) {
    char text[4096];
    snprintf(text, sizeof text, "{\"manifest_version\": 2, \"model_id\": %s, \"license\": %s, \"tasks\": %s}", id,
             licence, tasks);
    refused(text, words);
}

static void refused_task(const char *name, const char *members, const char *words) {
    char tasks[2048];
    snprintf(tasks, sizeof tasks, "{\"%s\": {\"file\": \"x.onnx\", %s}}", name, members);
    refused_v2("\"a\"", "\"MODEL.LICENSE\"", tasks, words);
}

static void test_v2_mistakes(void **state) {
    (void)state;
    static const char good[] = "\"MODEL.LICENSE\"";
    static const char *const ids[] = {"1", "\"\"", "\"-a\"", "\"a b\"", "\"a/b\"", "null"};
    static const char *const licences[] = {"1",
                                           "\"\"",
                                           "\"LICENSE\"",
                                           "\"/MODEL.LICENSE\"",
                                           "\"../MODEL.LICENSE\"",
                                           "\"a\\\\MODEL.LICENSE\"",
                                           "\"xMODEL.LICENSE\"",
                                           "{}"};
    static const char *const files[] = {
        "1",         "\"\"",         "\"/x.onnx\"",     "\"../x.onnx\"", "\"a/../../x.onnx\"",
        "\"x.bin\"", "\"c:x.onnx\"", "\"a\\\\x.onnx\"", "\" \"",         "null"};
    char tasks[256];
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        refused_v2(ids[i], good, "{}", "model_id is ");
    }
    for (size_t i = 0; i < sizeof licences / sizeof *licences; i++) {
        refused_v2("\"a\"", licences[i], "{}", "license is ");
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(tasks, sizeof tasks, "{\"verification\": {\"file\": %s}}", files[i]);
        refused_v2("\"a\"", good, tasks, "tasks.verification.file is ");
    }
    refused("{\"manifest_version\": 2}", "model_id is missing");
    refused("{\"manifest_version\": 2, \"model_id\": \"a\"}", "license is missing");
    refused("{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"MODEL.LICENSE\"}", "tasks is missing");
    refused_v2("\"a\"", good, "[]", "tasks is a list");
    refused_v2("\"a\"", good, "{\"detection\": 1}", "tasks.detection is 1; expected an object");
    refused_v2("\"a\"", good, "{\"detection\": {}}", "tasks.detection.file is missing");
    refused_v2("\"a\"", good, "{\"detection\": {\"file\": \"x.onnx\"}, \"recognition\": {\"file\": \"./x.onnx\"}}",
               "'x.onnx' is there for two tasks");
    refused_task("detection", "\"sha256\": \"ABC\"", "tasks.detection.sha256 is 'ABC'");
    refused_task("detection", "\"preprocessing\": \"none\"", "preprocessing is 'none'; expected \"embedded\"");
    refused_task("detection", "\"preprocessing\": {\"mean\": 1}", "an object of exactly mean and std");
    refused_task("detection", "\"preprocessing\": {\"mean\": 1, \"std\": 1, \"x\": 1}", "exactly mean and std");
    refused_task("detection", "\"preprocessing\": {\"mean\": 1, \"std\": 0}", "preprocessing.std is 0");
    refused_task("detection", "\"preprocessing\": {\"mean\": [1,1,1], \"std\": 1}", "preprocessing.mean is a list");
    refused_task("detection", "\"preprocessing_version\": 1", "preprocessing_version is 1");
    refused_task("verification", "\"expansion\": 0", "expansion is 0");
    refused_task("recognition", "\"input_size\": 112", "input_size is 112");
    refused_task("recognition", "\"input_size\": [112, 96]", "input_size is a list; expected two equal");
    refused_task("recognition", "\"input_size\": [112.0, 112.0]", "two equal whole numbers");
    refused_task("recognition", "\"embedding_dimension\": 0", "embedding_dimension is 0");
    refused("{\"manifest_version\": 2.0}", "no manifest of a pack"); /* not an integer: routed by shape there too */
    refused("{\"manifest_version\": 3}", "no manifest of a pack");
}

/* -------------------------------------------------------------------- reading */

static void test_a_folder_may_have_none(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct manifest *manifest = (void *)"not touched";
    OK(fm_manifest_read(place->root, &manifest, NULL));
    assert_null(manifest);
    write_file(place, "manifest.json", "{\"name\": \"an add-on of a browser\", \"manifest_version\": 3}");
    OK(fm_manifest_read(place->root, &manifest, NULL));
    assert_null(manifest);
    fm_error error = {FM_OK, ""};
    write_file(place, "manifest.json", "{\"facemill_pack\": 1, \"mod");
    assert_int_equal(fm_manifest_read(place->root, &manifest, &error), FM_BAD_MODEL);
    assert_null(manifest);
    assert_non_null(strstr(error.message, below(place, "manifest.json", path)));
    assert_non_null(strstr(error.message, "line 1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_there_is),
        cmocka_unit_test(test_the_documented_example),
        cmocka_unit_test(test_what_it_says_about_itself),
        cmocka_unit_test(test_the_other_spelling_of_licence),
        cmocka_unit_test(test_unknown_members_are_kept),
        cmocka_unit_test(test_wrong_tops),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_equal_channels_are_one),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_v2_defaults),
        cmocka_unit_test(test_v2_mistakes),
        cmocka_unit_test_setup_teardown(test_a_folder_may_have_none, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
