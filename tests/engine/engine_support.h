/* Pictures with known faces and generated packs, for the engine's tests. */
#ifndef FM_TESTS_ENGINE_SUPPORT_H
#define FM_TESTS_ENGINE_SUPPORT_H

#include <facemill/facemill.h>

#include "support/onnx_maker.h"

#define TEST_SQUARES 3

/* A black picture with three coloured squares, each one face of the generated detector when the picture is not
   resized: for a 640 detector when width is 640 and height a multiple of 80. */
struct test_image {
    int width, height;
    struct maker_square squares[TEST_SQUARES];
    uint8_t *rgb;
};
struct test_image test_image_make(int width, int height, uint32_t seed);
void test_image_free(struct test_image *image);
fm_pixels test_image_pixels(const struct test_image *image);

/* Folder of the generated pack `name`, written on first use and removed when the program ends. */
const char *test_pack(const char *name);
void test_packs_remove(void);
/* Is there a runtime library that ort:cpu can load? */
bool test_has_runtime(void);

/* Path of a picture that tests/support/draw_pictures.py drew; none is drawn where there is no Python, which is said. */
bool test_drawn(const char *name, char *path, size_t size);
/* Path of a file below FM_SHARED; false, and said, when it is not there. */
bool test_shared(const char *name, char *path, size_t size);

/* Exactly the faces that the squares mean. */
void test_check_faces(const struct test_image *image, const fm_result *result);
/* The same faces to the last bit, embeddings included. */
void test_same_faces(const fm_result *a, const fm_result *b);

#endif
