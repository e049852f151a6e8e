/* Pictures with known faces and generated packs, for the engine's tests. One thread. */
#include "engine_support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"

/* ---- pictures */

struct test_image test_image_make(int width, int height, uint32_t seed) {
    struct test_image image = {.width = width, .height = height};
    const int s = (int)(seed % 1000u);
    image.squares[0] = (struct maker_square){8, s % 2, 4 + s % 9, 2 + s % 5, 225 + s % 20};
    image.squares[1] = (struct maker_square){16, (s / 2) % 2, 14 + s % 6, 1 + s % 2, 248};
    image.squares[2] = (struct maker_square){32, (s + 1) % 2, 15, 1, 254};
    image.rgb = calloc((size_t)width * (size_t)height * 3, 1);
    assert_non_null(image.rgb);
    for (int i = 0; i < TEST_SQUARES; i++)
        fm_maker_paint(image.rgb, width, height, &image.squares[i]);
    return image;
}

void test_image_free(struct test_image *image) {
    free(image->rgb);
    image->rgb = NULL;
}

fm_pixels test_image_pixels(const struct test_image *image) {
    return (fm_pixels){.struct_size = sizeof(fm_pixels),
                       .data = image->rgb,
                       .width = image->width,
                       .height = image->height,
                       .stride = (size_t)image->width * 3};
}

/* ---- packs */

static char packs_root[OS_PATH_SIZE];
static char packs_path[OS_PATH_SIZE];

const char *test_pack(const char *name) {
    fm_error error = {0};
    if (!packs_root[0])
        assert_true(fm_temporary_folder(packs_root, sizeof packs_root));
    assert_true(fm_path_join(packs_path, sizeof packs_path, packs_root, name));
    if (fm_path_kind(packs_path) == OS_PATH_NONE && fm_maker_write(packs_path, name, &error) != FM_OK)
        fail_msg("pack %s: %s", name, error.message);
    return packs_path;
}

void test_packs_remove(void) {
    if (packs_root[0])
        fm_folder_remove(packs_root);
    packs_root[0] = 0;
}

static void note_available(const fm_provider_info *info, void *user) {
    if (strcmp(info->name, "ort:cpu") == 0)
        *(bool *)user = info->available;
}

bool test_has_runtime(void) {
    bool available = false;
    fm_providers_visit(NULL, note_available, &available);
    if (!available)
        print_message("skipped: no ONNX Runtime library found (sh scripts/setup.sh puts one in place)\n");
    return available;
}

/* ---- files */

bool test_drawn(const char *name, char *path, size_t size) {
    assert_true(fm_path_join(path, size, TEST_DRAWN, name));
    if (fm_path_kind(path) != OS_PATH_FILE) {
        print_message("no drawn pictures in %s: ctest draws them first, with Python\n", TEST_DRAWN);
        return false;
    }
    return true;
}

bool test_shared(const char *name, char *path, size_t size) {
    const char *shared = fm_environment("FM_SHARED");
    if (!shared || !fm_path_join(path, size, shared, name) || fm_path_kind(path) != OS_PATH_FILE) {
        print_message("without FM_SHARED/%s: done on packs/mini alone\n", name);
        return false;
    }
    return true;
}

/* ---- checks */

static float largest_difference(const struct maker_face *want, const fm_face *have) {
    float worst = 0;
    for (int i = 0; i < 4; i++)
        worst = fmaxf(worst, fabsf(want->box[i] - have->box[i]));
    for (int i = 0; i < 5; i++)
        worst = fmaxf(worst, fmaxf(fabsf(want->landmarks[i][0] - have->landmarks[i][0]),
                                   fabsf(want->landmarks[i][1] - have->landmarks[i][1])));
    return worst;
}

void test_check_faces(const struct test_image *image, const fm_result *result) {
    assert_int_equal(fm_result_face_count(result), TEST_SQUARES);
    for (int i = 0; i < TEST_SQUARES; i++) {
        struct maker_face want;
        float closest = INFINITY, score = 0;
        fm_maker_expect_face(&image->squares[i], &want);
        for (size_t k = 0; k < fm_result_face_count(result); k++) {
            const fm_face *face = fm_result_face(result, k);
            const float difference = largest_difference(&want, face);
            if (difference < closest) {
                closest = difference;
                score = face->score;
            }
        }
        assert_true(closest < 1e-3f); /* 1e-4 px of the maker, and the division by the scale */
        assert_true(fabsf(score - want.score) < 1e-4f);
    }
    for (size_t k = 1; k < fm_result_face_count(result); k++)
        assert_true(fm_result_face(result, k - 1)->score >= fm_result_face(result, k)->score);
}

void test_same_faces(const fm_result *a, const fm_result *b) {
    assert_int_equal(fm_result_status(a), fm_result_status(b));
    assert_int_equal(fm_result_face_count(a), fm_result_face_count(b));
    for (size_t i = 0; i < fm_result_face_count(a); i++) {
        const fm_face *x = fm_result_face(a, i), *y = fm_result_face(b, i);
        assert_memory_equal(x->box, y->box, sizeof x->box);
        assert_memory_equal(&x->score, &y->score, sizeof x->score);
        assert_memory_equal(x->landmarks, y->landmarks, sizeof x->landmarks);
        assert_int_equal(x->embedding_size, y->embedding_size);
        if (x->embedding_size)
            assert_memory_equal(x->embedding, y->embedding, (size_t)x->embedding_size * sizeof(float));
    }
}
