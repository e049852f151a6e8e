/* doctor: answers that are known beforehand. Decoders on pictures of ours, alignment on a drawn face, and, where a pack
   can be opened, the same answer twice and in company. */
#include "doctor.h"
#include "drawn.h"

#include "base/os.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define CROP_SIDE 112
#define COMPANY 5

/* ---- decoders */

/* Levels by which the middle of a quadrant may differ: what lossy codecs did to the samples, doubled. */
#define COLOUR_TOLERANCE 8

static bool colours_good(const fm_pixels *pixels) {
    static const uint8_t quadrants[4][3] = {{220, 40, 40}, {40, 200, 60}, {50, 70, 210}, {230, 220, 90}};
    if (pixels->width != 16 || pixels->height != 16)
        return false;
    size_t stride = pixels->stride ? pixels->stride : 16 * 3;
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *pixel = (const uint8_t *)pixels->data + (i / 2 * 8 + 4) * stride + (i % 2 * 8 + 4) * 3;
        for (int c = 0; c < 3; c++) {
            if (abs(pixel[c] - quadrants[i][c]) > COLOUR_TOLERANCE)
                return false;
        }
    }
    return true;
}

static void test_decoder(struct doctor *doctor, const struct sample *sample) {
    fm_input input = fm_input_encoded(sample->bytes, sample->size);
    fm_image *image = NULL;
    fm_error error = {0};
    fm_status status = fm_image_decode(&input, NULL, &image, &error);
    if (status == FM_UNSUPPORTED) {
        fm_doctor_add(doctor, VERDICT_MISSING, "decoder", sample->name, NULL, "%s", error.message);
    } else if (status) {
        fm_doctor_add(doctor, VERDICT_BAD, "decoder", sample->name, NULL, "%s", error.message);
    } else {
        fm_pixels pixels = fm_image_pixels(image);
        bool good = colours_good(&pixels);
        fm_doctor_add(doctor, good ? VERDICT_GOOD : VERDICT_BAD, "decoder", sample->name, NULL,
                      good ? "decodes to the known colours" : "decodes to other colours than were encoded");
    }
    fm_image_free(image);
}

/* ---- alignment */

static void test_alignment(struct doctor *doctor) {
    /* Of the crop's bytes: the same from every instruction set, and within one level of OpenCV's warp. */
    static const char known[] = "2b8ad85ec097b8ea3bebe92301f9879aeb516fe41f1980698d2e9b7f94b14b23";
    struct buffer rgb = {0};
    float landmarks[1][5][2];
    uint8_t crop[CROP_SIDE * CROP_SIDE * 3];
    char digest[65];
    fm_error error = {0};
    if (!fm_drawn_picture(&rgb, 320, 240, 1, landmarks)) {
        fm_doctor_add(doctor, VERDICT_BAD, "alignment", "alignment", NULL, "out of memory");
        return;
    }
    fm_pixels pixels = fm_drawn_pixels(&rgb, 320, 240);
    if (fm_crop_aligned(&pixels, landmarks[0], CROP_SIDE, crop, &error)) {
        fm_doctor_add(doctor, VERDICT_BAD, "alignment", "alignment", NULL, "%s", error.message);
    } else {
        struct sha256 sha;
        fm_sha256_init(&sha);
        fm_sha256_add(&sha, crop, sizeof crop);
        fm_sha256_hex(&sha, digest);
        bool good = strcmp(digest, known) == 0;
        fm_doctor_add(doctor, good ? VERDICT_GOOD : VERDICT_BAD, "alignment", "alignment", NULL,
                      "crop of a drawn face has %s digest %.16s...", good ? "the known" : "another", digest);
    }
    fm_buffer_reset(&rgb);
}

/* ---- networks */

static bool faces_equal(const fm_result *a, const fm_result *b) {
    size_t count = fm_result_face_count(a);
    if (count != fm_result_face_count(b))
        return false;
    for (size_t i = 0; i < count; i++) {
        const fm_face *x = fm_result_face(a, i), *y = fm_result_face(b, i);
        if (memcmp(x->box, y->box, sizeof x->box) != 0 ||
            memcmp(x->landmarks, y->landmarks, sizeof x->landmarks) != 0 || x->embedding_size != y->embedding_size)
            return false;
        if (x->embedding && memcmp(x->embedding, y->embedding, (size_t)x->embedding_size * sizeof(float)) != 0)
            return false;
    }
    return true;
}

/* The same picture alone, again, and among others. */
static void test_detection(struct doctor *doctor, fm_engine *engine, const struct buffer rgb[COMPANY],
                           const int widths[COMPANY]) {
    fm_pixels pixels[COMPANY];
    fm_input inputs[COMPANY];
    fm_result *alone[2] = {NULL, NULL}, *company[COMPANY] = {NULL};
    fm_error error = {0};
    for (int i = 0; i < COMPANY; i++) {
        pixels[i] = fm_drawn_pixels(&rgb[i], widths[i], 240);
        inputs[i] = fm_input_pixels(&pixels[i]);
    }
    if (fm_analyze(engine, &inputs[0], NULL, &alone[0], &error) ||
        fm_analyze(engine, &inputs[0], NULL, &alone[1], &error) ||
        fm_analyze_batch(engine, inputs, COMPANY, NULL, company, &error)) {
        fm_doctor_add(doctor, VERDICT_BAD, "networks", "networks", NULL, "%s", error.message);
    } else {
        bool again = faces_equal(alone[0], alone[1]), together = faces_equal(alone[0], company[0]);
        fm_doctor_add(doctor, again ? VERDICT_GOOD : VERDICT_BAD, "repetition", "repetition", NULL,
                      "the same picture twice: %s, %zu faces", again ? "equal" : "different",
                      fm_result_face_count(alone[0]));
        fm_doctor_add(doctor, together ? VERDICT_GOOD : VERDICT_BAD, "company", "company", NULL,
                      "alone and among %d pictures: %s", COMPANY, together ? "equal" : "different");
    }
    fm_result_free(alone[0]);
    fm_result_free(alone[1]);
    for (int i = 0; i < COMPANY; i++)
        fm_result_free(company[i]);
}

/* Drawn crops one by one and together. */
static void test_embedding(struct doctor *doctor, fm_engine *engine) {
    size_t side = (size_t)fm_engine_crop_size(engine), size = (size_t)fm_engine_embedding_size(engine),
           bytes = side * side * 3;
    struct buffer crops = {0}, one = {0};
    float *together = size ? fm_alloc_array(COMPANY, size * sizeof(float)) : NULL,
          *single = size ? fm_alloc_array(size, sizeof(float)) : NULL;
    fm_error error = {0};
    bool equal = true;
    if (!size) {
        fm_doctor_add(doctor, VERDICT_SKIPPED, "embedding", "embedding", NULL, "the pack has no recogniser");
        goto cleanup;
    }
    for (int i = 0; i < COMPANY && !error.status; i++) {
        if (!together || !single || !fm_drawn_picture(&one, (int)side, (int)side, 1 + i % 2, NULL) ||
            !fm_buffer_append(&crops, one.bytes, bytes, 0))
            fm_fail(&error, FM_OUT_OF_MEMORY, "out of memory");
        else
            crops.bytes[(size_t)i * bytes + (size_t)i * 97] ^= 0x40; /* no two alike */
    }
    if (error.status || fm_embed_crops(engine, crops.bytes, COMPANY, together, &error))
        goto cleanup;
    for (size_t i = 0; i < COMPANY && equal; i++) {
        if (fm_embed_crops(engine, crops.bytes + i * bytes, 1, single, &error))
            goto cleanup;
        equal = memcmp(single, together + i * size, size * sizeof(float)) == 0;
    }
    fm_doctor_add(doctor, equal ? VERDICT_GOOD : VERDICT_BAD, "embedding", "embedding", NULL,
                  "%d crops together and one by one: %s", COMPANY, equal ? "equal" : "different");
cleanup:
    if (error.status)
        fm_doctor_add(doctor, VERDICT_BAD, "embedding", "embedding", NULL, "%s", error.message);
    fm_free(together);
    fm_free(single);
    fm_buffer_reset(&crops);
    fm_buffer_reset(&one);
}

static void test_networks(struct doctor *doctor) {
    static const int widths[COMPANY] = {320, 200, 480, 240, 640};
    struct buffer rgb[COMPANY] = {{0}};
    fm_engine *engine = NULL;
    fm_error error = {0};
    bool drawn = true;
    fm_status status = fm_program_open(&doctor->program->config, &engine, &error);
    for (int i = 0; i < COMPANY && drawn; i++)
        drawn = fm_drawn_picture(&rgb[i], widths[i], 240, 1 + i % 2, NULL);
    if (status == FM_NOT_FOUND && !fm_config_given(&doctor->program->config, OPT_PACK)) {
        fm_doctor_add(doctor, VERDICT_SKIPPED, "networks", "networks", "name a pack with --pack to test it", "%s",
                      error.message);
    } else if (status == FM_NO_PROVIDER) {
        fm_doctor_add(doctor, VERDICT_SKIPPED, "networks", "networks", NULL, "%s", error.message);
    } else if (status || !drawn) {
        fm_doctor_add(doctor, VERDICT_BAD, "networks", "networks", NULL, "%s",
                      status ? error.message : "out of memory");
    } else {
        test_detection(doctor, engine, rgb, widths);
        test_embedding(doctor, engine);
    }
    fm_engine_close(engine);
    for (int i = 0; i < COMPANY; i++)
        fm_buffer_reset(&rgb[i]);
}

void fm_doctor_selftest(struct doctor *doctor) {
    const struct sample *sample;
    fm_doctor_section(doctor, "self-test");
    for (size_t i = 0; (sample = fm_doctor_sample(i)) != NULL; i++)
        test_decoder(doctor, sample);
    test_alignment(doctor);
    test_networks(doctor);
}
