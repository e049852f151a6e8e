/* Packs: found by path, name, environment or installation; opened with notes about what was passed over; built for
 * providers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/sha256.h"
#include "models/builtin.h"
#include "models/pack.h"
#include "support/onnx_maker.h"

#define OK(call) assert_int_equal((call), FM_OK)

struct place {
    char root[1024];
};

/* A home of its own, so that nothing of this machine is found. */
static int make_place(void **state) {
    struct place *place = malloc(sizeof *place);
    char path[2048];
    assert_non_null(place);
    assert_true(fm_temporary_folder(place->root, sizeof place->root));
    setenv("HOME", place->root, 1);
    snprintf(path, sizeof path, "%s/data", place->root);
    setenv("XDG_DATA_HOME", path, 1);
    unsetenv("FM_PACK");
    *state = place;
    return 0;
}

static int remove_place(void **state) {
    struct place *place = *state;
    fm_folder_remove(place->root);
    free(place);
    return 0;
}

static const char *below(const struct place *place, const char *name, char path[2048]) {
    snprintf(path, 2048, "%s/%s", place->root, name);
    return path;
}

static void write_pack(const struct place *place, const char *name, const char *variant) {
    char path[2048];
    fm_error error = {FM_OK, ""};
    if (fm_maker_write(below(place, name, path), variant, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
}

/* -------------------------------------------------------------------- finding */

static void finds(const char *wanted, const char *source, const char *path, const char *reason) {
    char at[4096], why[64];
    fm_error error = {FM_OK, ""};
    if (fm_pack_find(wanted, source, at, sizeof at, why, sizeof why, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    assert_string_equal(at, path);
    assert_string_equal(why, reason);
}

/* With nothing named and nothing installed: the pack inside the library, or words. */
static void finds_the_last_resort(void) {
    char inside[256], at[4096], why[64];
    fm_error error = {FM_OK, ""};
    if (fm_builtin_find(NULL, inside, sizeof inside)) {
        finds(NULL, NULL, inside, "built-in");
        return;
    }
    assert_int_equal(fm_pack_find(NULL, NULL, at, sizeof at, why, sizeof why, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "FM_PACK is not set"));
    assert_non_null(strstr(error.message, "data/facemill/packs"));
}

static void test_order_of_places(void **state) {
    const struct place *place = *state;
    char path[2048], other[2048];
    finds_the_last_resort();
    write_pack(place, ".insightface/models/buffalo_x", "detector");
    finds_the_last_resort(); /* that one only when named */
    finds("buffalo_x", "--pack", below(place, ".insightface/models/buffalo_x", path), "--pack");
    OK(fm_folder_make(below(place, "data/facemill/packs/a_empty", path), NULL));
    write_pack(place, "data/facemill/packs/buffalo_x", "detector");
    write_pack(place, "data/facemill/packs/zebra", "detector");
    finds("buffalo_x", "--pack", below(place, "data/facemill/packs/buffalo_x", path), "--pack");
    finds(NULL, NULL, below(place, "data/facemill/packs/buffalo_x", path),
          "installed"); /* the first that holds a model */
    static const char v2[] = "{\"manifest_version\": 2, \"model_id\": \"a\", \"license\": \"MODEL.LICENSE\", "
                             "\"tasks\": {\"detection\": {\"file\": \"nets/det.onnx\"}}}";
    OK(fm_file_write(below(place, "data/facemill/packs/a_empty/manifest.json", path), "{}", 2, NULL));
    finds(NULL, NULL, below(place, "data/facemill/packs/buffalo_x", other), "installed");
    OK(fm_file_write(path, v2, sizeof v2 - 1, NULL));
    finds(NULL, NULL, below(place, "data/facemill/packs/a_empty", other), "installed"); /* or lists some below */
    fm_folder_remove(other);
    setenv("FM_PACK", "zebra", 1);
    finds(NULL, NULL, below(place, "data/facemill/packs/zebra", path), "FM_PACK");
    finds(below(place, "data/facemill/packs/buffalo_x", path), "config", path, "config");
    finds("~/data/facemill/packs/zebra", NULL, below(place, "data/facemill/packs/zebra", other), "caller");
    unsetenv("FM_PACK");
}

/* By name it is found last, by its path always. */
static void test_the_pack_inside_is_found_by_name(void **state) {
    const struct place *place = *state;
    const char *name = fm_builtin_pack.name;
    char inside[256], path[2048], folder[300];
    if (!fm_builtin_find(NULL, inside, sizeof inside)) {
        print_message("skipped: this build has no pack inside (FM_BUILTIN_PACK is OFF)\n");
        skip();
    }
    finds(name, "--pack", inside, "--pack");
    finds(inside, "--pack", inside, "--pack");
    setenv("FM_PACK", name, 1);
    finds(NULL, NULL, inside, "FM_PACK");
    unsetenv("FM_PACK");
    snprintf(folder, sizeof folder, ".insightface/models/%s", name);
    write_pack(place, folder, "detector");
    finds(name, "--pack", below(place, folder, path), "--pack");
    finds(NULL, NULL, inside, "built-in");
    snprintf(folder, sizeof folder, "data/facemill/packs/%s", name);
    write_pack(place, folder, "detector");
    finds(name, "--pack", below(place, folder, path), "--pack");
    finds(NULL, NULL, path, "installed");
    finds(inside, "config", inside, "config");
}

static void test_a_wrong_name_says_where_it_was_looked_for(void **state) {
    const struct place *place = *state;
    char path[2048], at[4096], why[64];
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_pack_find("nobody", "--pack", at, sizeof at, why, sizeof why, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "'nobody' (--pack named it"));
    assert_non_null(strstr(error.message, below(place, "data/facemill/packs/nobody", path)));
    assert_non_null(strstr(error.message, below(place, ".insightface/models/nobody", path)));
    error = (fm_error){FM_OK, ""};
    assert_int_equal(fm_pack_find("/no/where", "config", at, sizeof at, why, sizeof why, &error), FM_NOT_FOUND);
    assert_null(strstr(error.message, "insightface/models")); /* a path is looked for nowhere else */
}

/* -------------------------------------------------------------------- opening */

static struct pack *opened(const struct place *place, const char *name) {
    char path[2048];
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    if (fm_pack_open(below(place, name, path), "test", NULL, &pack, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    return pack;
}

static void test_a_folder_is_opened(void **state) {
    const struct place *place = *state;
    write_pack(place, "stock", "stock");
    struct pack *pack = opened(place, "stock/");
    assert_string_equal(pack->name, "stock");
    assert_string_equal(pack->reason, "test");
    assert_string_equal(pack->notes, "");
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "detector.onnx");
    assert_string_equal(pack->tasks[MODEL_RECOGNITION]->file, "embedder.onnx");
    assert_int_equal(strlen(pack->tasks[MODEL_DETECTION]->sha256), 64);
    assert_true(pack->tasks[MODEL_DETECTION]->bytes.size > 1000);
    fm_pack_close(pack);
}

static void test_a_file_is_a_pack(void **state) {
    const struct place *place = *state;
    write_pack(place, "stock", "stock");
    struct pack *pack = opened(place, "stock/embedder.onnx");
    assert_null(pack->tasks[MODEL_DETECTION]);
    assert_non_null(pack->tasks[MODEL_RECOGNITION]);
    assert_string_equal(pack->name, "embedder.onnx");
    fm_pack_close(pack);
}

static void test_the_archive_trap_of_a_folder_inside_itself(void **state) {
    const struct place *place = *state;
    write_pack(place, "twice/twice", "detector");
    struct pack *pack = opened(place, "twice");
    assert_non_null(pack->tasks[MODEL_DETECTION]);
    assert_non_null(strstr(pack->path, "twice/twice"));
    fm_pack_close(pack);
}

static void test_bad_files_are_notes_in_a_folder_and_errors_alone(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct pack *none = NULL;
    fm_error error = {FM_OK, ""};
    write_pack(place, "damaged", "damaged");
    struct pack *pack = opened(place, "damaged");
    assert_non_null(pack->tasks[MODEL_DETECTION]);
    assert_non_null(pack->tasks[MODEL_RECOGNITION]);
    assert_non_null(strstr(pack->notes, "a_cut_off.onnx: "));
    assert_non_null(strstr(pack->notes, "not a valid ONNX file"));
    assert_non_null(strstr(pack->notes, "'weights' keeps its data in another file"));
    fm_pack_close(pack);
    assert_int_equal(fm_pack_open(below(place, "damaged/a_cut_off.onnx", path), "test", NULL, &none, &error),
                     FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "a_cut_off.onnx"));
    assert_null(none);
}

static void count_warnings(fm_log_level level, const char *component, const char *message, void *user) {
    assert_string_equal(component, "pack");
    *(int *)user += level == FM_LOG_WARN && strstr(message, "a_cut_off.onnx: ") != NULL;
}

static void test_a_damaged_extra_file_is_a_warning(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct pack *pack = NULL;
    struct logger logger;
    int warnings = 0;
    write_pack(place, "damaged", "damaged");
    fm_logger_init(&logger, FM_LOG_WARN, count_warnings, &warnings);
    OK(fm_pack_open(below(place, "damaged", path), "test", &logger, &pack, NULL));
    assert_true(pack->damaged);
    assert_int_equal(warnings, 1);
    fm_pack_close(pack);
    fm_logger_reset(&logger);
}

/* A detector alone is a pack; a detector beside a recogniser that cannot be read is not one: vectors would be missing
   without a word. */
static void test_a_damaged_recogniser_is_no_detection_pack(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct pack *pack = NULL;
    struct buffer onnx = {0};
    fm_error error = {FM_OK, ""};
    write_pack(place, "cut", "stock");
    OK(fm_maker_embedder(MAKER_PLAIN, &onnx, NULL));
    OK(fm_file_write(below(place, "cut/embedder.onnx", path), onnx.bytes, onnx.size * 2 / 3, NULL));
    assert_int_equal(fm_pack_open(below(place, "cut", path), "test", NULL, &pack, &error), FM_BAD_MODEL);
    assert_null(pack);
    assert_non_null(strstr(error.message, "no recogniser"));
    assert_non_null(strstr(error.message, "embedder.onnx: "));
    OK(fm_file_write(below(place, "cut/embedder.onnx", path), onnx.bytes, onnx.size, NULL));
    OK(fm_maker_detector(MAKER_STOCK, &onnx, NULL));
    OK(fm_file_write(below(place, "cut/detector.onnx", path), onnx.bytes, onnx.size / 3, NULL));
    error = (fm_error){FM_OK, ""};
    assert_int_equal(fm_pack_open(below(place, "cut", path), "test", NULL, &pack, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "no detector"));
    assert_non_null(strstr(error.message, "detector.onnx: "));
    fm_buffer_reset(&onnx);
}

/* A network of the shape [N,3,side,side] -> [1,columns]: mean colour, then one layer. */
static void write_shape(const struct place *place, const char *name, int64_t side, int64_t columns) {
    struct graph *graph = NULL;
    struct buffer onnx = {0};
    char path[2048];
    size_t node = 0;
    float *weights = calloc((size_t)columns * 3, sizeof *weights);
    assert_non_null(weights);
    OK(fm_graph_create("network", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "data", DTYPE_F32, (int64_t[]){-1, 3, side, side}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "weights", DTYPE_F32, (int64_t[]){columns, 3}, 2, weights, NULL));
    OK(fm_graph_add_tensor(graph, "bias", DTYPE_F32, &columns, 1, weights, NULL));
    OK(fm_graph_add_node(graph, "GlobalAveragePool", "mean", "data", "mean", &node, NULL));
    OK(fm_graph_add_node(graph, "Flatten", "flat", "mean", "flat", &node, NULL));
    OK(fm_graph_add_node(graph, "Gemm", "fc1", "flat weights bias", "fc1", &node, NULL));
    OK(fm_graph_set_integer(graph, node, "transB", 1, NULL));
    OK(fm_graph_add_output(graph, "fc1", DTYPE_F32, (int64_t[]){1, columns}, 2, NULL));
    OK(fm_graph_write(graph, &onnx, NULL));
    OK(fm_file_write(below(place, name, path), onnx.bytes, onnx.size, NULL));
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
    free(weights);
}

/* The five files of insightface's large pack, by their shapes: two are used, three are named and left alone. */
static void test_a_pack_of_five_networks(void **state) {
    const struct place *place = *state;
    struct buffer onnx = {0};
    char path[2048];
    OK(fm_folder_make(below(place, "large", path), NULL));
    write_shape(place, "large/1k3d68.onnx", 192, 3309);
    write_shape(place, "large/2d106det.onnx", 192, 212);
    write_shape(place, "large/genderage.onnx", 96, 3);
    write_shape(place, "large/w600k_r50.onnx", 112, 512);
    OK(fm_maker_detector(MAKER_STOCK, &onnx, NULL));
    OK(fm_file_write(below(place, "large/det_10g.onnx", path), onnx.bytes, onnx.size, NULL));
    struct pack *pack = opened(place, "large");
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "det_10g.onnx");
    assert_string_equal(pack->tasks[MODEL_RECOGNITION]->file, "w600k_r50.onnx");
    assert_int_equal(pack->tasks[MODEL_RECOGNITION]->recogniser.size, 512);
    assert_false(pack->damaged);
    assert_string_equal(pack->notes, "1k3d68.onnx: landmark network (input 192x192): not used yet\n"
                                     "2d106det.onnx: landmark network (input 192x192): not used yet\n"
                                     "genderage.onnx: attribute network (input 96x96): not used yet");
    fm_pack_close(pack);
    fm_buffer_reset(&onnx);
}

static void test_the_first_of_a_task_wins(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct buffer onnx = {0};
    write_pack(place, "two", "stock");
    OK(fm_maker_detector(MAKER_BATCHED, &onnx, NULL));
    OK(fm_file_write(below(place, "two/another.onnx", path), onnx.bytes, onnx.size, NULL));
    struct pack *pack = opened(place, "two");
    assert_string_equal(pack->tasks[MODEL_DETECTION]->file, "another.onnx");
    assert_string_equal(pack->notes, "detector.onnx: detection by 'another.onnx' already: not used");
    fm_pack_close(pack);
    fm_buffer_reset(&onnx);
}

static void test_what_is_no_pack(void **state) {
    const struct place *place = *state;
    char path[2048];
    struct pack *pack = NULL;
    fm_error error = {FM_OK, ""};
    assert_int_equal(fm_pack_open(below(place, "nothing", path), "test", NULL, &pack, NULL), FM_NOT_FOUND);
    OK(fm_folder_make(below(place, "empty", path), NULL));
    assert_int_equal(fm_pack_open(path, "test", NULL, &pack, &error), FM_NOT_FOUND);
    assert_non_null(strstr(error.message, "holds no .onnx file"));
    OK(fm_file_write(below(place, "empty/x.onnx", path), "x", 1, NULL));
    error = (fm_error){FM_OK, ""};
    assert_int_equal(fm_pack_open(below(place, "empty", path), "test", NULL, &pack, &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "nothing in pack"));
    assert_non_null(strstr(error.message, "x.onnx"));
    assert_null(pack);
    fm_pack_close(NULL);
}

/* --------------------------------------------------------------- id and builds */

static void id_of(const struct place *place, const char *name, const char *precision, const char *mode, char hex[65]) {
    struct pack *pack = opened(place, name);
    fm_pack_id(pack, precision, mode, hex);
    fm_pack_close(pack);
}

static void test_id_says_what_makes_vectors_comparable(void **state) {
    const struct place *place = *state;
    char first[65], second[65];
    write_pack(place, "one", "stock");
    write_pack(place, "same", "stock");
    write_pack(place, "other", "batched");
    id_of(place, "one", "fp32", "exact", first);
    id_of(place, "same", "fp32", "exact", second);
    assert_string_equal(first, second); /* where a pack is and how it is called does not matter */
    id_of(place, "one", "fp16", "exact", second);
    assert_string_not_equal(first, second);
    id_of(place, "one", "fp32", "fast", second);
    assert_string_not_equal(first, second);
    id_of(place, "other", "fp32", "exact", second);
    assert_string_not_equal(first, second);
}

/* The digest put together here by hand. When the recipe's words change, stored vectors no longer compare: so a change
   must be made here too, knowingly. */
static void test_id_is_this_digest(void **state) {
    const struct place *place = *state;
    const char *recipe = "facemill 1: resize D15, scrfd D1, align D2 double, warp bilinear double";
    struct sha256 sha;
    char id[65], digest[65];
    write_pack(place, "stock", "stock");
    struct pack *pack = opened(place, "stock");
    const char *fields[] = {recipe,
                            "detection",
                            "scrfd",
                            pack->tasks[MODEL_DETECTION]->sha256,
                            "recognition",
                            "arcface",
                            pack->tasks[MODEL_RECOGNITION]->sha256,
                            "fp32",
                            "exact"};
    fm_sha256_init(&sha);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        fm_sha256_add(&sha, fields[i], strlen(fields[i]) + 1);
    }
    fm_sha256_hex(&sha, digest);
    fm_pack_id(pack, "fp32", "exact", id);
    assert_string_equal(id, digest);
    fm_pack_close(pack);
}

static struct graph_value built_input(const struct model *model, struct model_build build, int *output_rank) {
    struct buffer bytes = {0};
    struct graph *graph = NULL;
    OK(fm_model_build(model, &build, &bytes, NULL));
    OK(fm_graph_read(bytes.bytes, bytes.size, "built", &graph, NULL));
    struct graph_value input = fm_graph_input(graph, 0);
    *output_rank = fm_graph_output(graph, 0).rank;
    fm_graph_close(graph);
    fm_buffer_reset(&bytes);
    input.name = NULL;
    return input;
}

static void test_builds(void **state) {
    const struct place *place = *state;
    struct buffer bytes = {0};
    int rank = 0;
    write_pack(place, "stock", "stock");
    struct pack *pack = opened(place, "stock");
    const struct model *detector = pack->tasks[MODEL_DETECTION], *embedder = pack->tasks[MODEL_RECOGNITION];
    OK(fm_model_build(detector, &(struct model_build){0}, &bytes, NULL));
    assert_true(bytes.size == detector->bytes.size && memcmp(bytes.bytes, detector->bytes.bytes, bytes.size) == 0);
    struct graph_value input = built_input(detector, (struct model_build){.batch = true, .take_bytes = true}, &rank);
    assert_true(input.dims[0] == -1 && input.dtype == DTYPE_U8 && rank == -1);
    input = built_input(detector, (struct model_build){.width = 640, .height = 320}, &rank);
    assert_true(input.dims[0] == 1 && input.dims[2] == 320 && input.dims[3] == 640 && input.dtype == DTYPE_F32);
    input = built_input(embedder, (struct model_build){.batch = true}, &rank);
    assert_true(input.dims[0] == -1 && rank == -1); /* [1,512] was a lie */
    fm_pack_close(pack);
    fm_buffer_reset(&bytes);
}

static void test_a_batch_that_cannot_be_is_refused(void **state) {
    const struct place *place = *state;
    struct buffer bytes = {0};
    fm_error error = {FM_OK, ""};
    write_pack(place, "unknown", "unknown");
    struct pack *pack = opened(place, "unknown");
    for (int task = MODEL_DETECTION; task <= MODEL_RECOGNITION; task++) {
        assert_int_equal(fm_model_build(pack->tasks[task], &(struct model_build){.batch = true}, &bytes, &error),
                         FM_UNSUPPORTED);
        assert_non_null(strstr(error.message, pack->tasks[task]->batch_note));
        error = (fm_error){FM_OK, ""};
        OK(fm_model_build(pack->tasks[task], &(struct model_build){.take_bytes = true}, &bytes, NULL));
    }
    fm_pack_close(pack);
    fm_buffer_reset(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_of_places, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_the_pack_inside_is_found_by_name, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_wrong_name_says_where_it_was_looked_for, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_folder_is_opened, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_file_is_a_pack, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_the_archive_trap_of_a_folder_inside_itself, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_bad_files_are_notes_in_a_folder_and_errors_alone, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(test_a_damaged_extra_file_is_a_warning, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_damaged_recogniser_is_no_detection_pack, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_pack_of_five_networks, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_id_is_this_digest, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_the_first_of_a_task_wins, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_what_is_no_pack, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_id_says_what_makes_vectors_comparable, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_builds, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_batch_that_cannot_be_is_refused, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
