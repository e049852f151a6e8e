/* Known packs: where they are, what they weigh, under which terms. Facts of their makers; a digest stands here only
   where it is published. Pure data, its look-up, and the reader of an index of the same form. */
#include "packs/known.h"

#include "base/json_read.h"
#include "packs/install.h"

#include <stdio.h>
#include <string.h>

#define INSIGHTFACE "https://github.com/deepinsight/insightface/releases/download/"
#define INSIGHTFACE_LICENCE                                                                                            \
    "InsightFace models: non-commercial research only", "https://github.com/deepinsight/insightface#license"
#define NO_COMMERCE "no commercial use without a licence from InsightFace"
#define ZOO "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"
#define ZOO_TEXT "https://github.com/opencv/opencv_zoo/blob/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"
#define AURAFACE "https://huggingface.co/fal/AuraFace-v1/"
#define MEGA 1000000u

#define DET_10G "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
#define DET_2_5G "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9"
#define DET_500M "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
#define W600K_R50 "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
#define W600K_MBF "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"
#define GLINTR100 "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf"

static const struct known_pack rows[] = {
    {"buffalo_l",
     "SCRFD-10G, ArcFace R50",
     INSIGHTFACE "v0.7/buffalo_l.zip",
     "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
     326 * MEGA,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"det_10g.onnx", DET_10G}, {"w600k_r50.onnx", W600K_R50}},
     NULL,
     NULL},
    {"buffalo_m",
     "SCRFD-2.5G, ArcFace R50",
     INSIGHTFACE "v0.7/buffalo_m.zip",
     "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
     313 * MEGA,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"det_2.5g.onnx", DET_2_5G}, {"w600k_r50.onnx", W600K_R50}},
     NULL,
     NULL},
    {"buffalo_s",
     "SCRFD-500M, MobileFaceNet",
     INSIGHTFACE "v0.7/buffalo_s.zip",
     NULL,
     159 * MEGA,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"det_500m.onnx", DET_500M}, {"w600k_mbf.onnx", W600K_MBF}},
     NULL,
     NULL},
    {"buffalo_sc",
     "SCRFD-500M, MobileFaceNet",
     INSIGHTFACE "v0.7/buffalo_sc.zip",
     "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
     16 * MEGA,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"det_500m.onnx", DET_500M}, {"w600k_mbf.onnx", W600K_MBF}},
     NULL,
     NULL},
    {"antelopev2",
     "SCRFD-10G, ArcFace R100",
     INSIGHTFACE "v0.7/antelopev2.zip",
     "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
     407 * MEGA,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"scrfd_10g_bnkps.onnx", DET_10G}, {"glintr100.onnx", GLINTR100}},
     NULL,
     NULL},
    {"raccoon_s",
     "detector, verifier, MobileFaceNet",
     INSIGHTFACE "model-zoo/raccoon_s.zip",
     NULL,
     0,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"w600k_mbf.onnx", W600K_MBF}},
     NULL,
     NULL},
    {"raccoon_l",
     "detector, verifier, ArcFace R50",
     INSIGHTFACE "model-zoo/raccoon_l.zip",
     NULL,
     0,
     false,
     INSIGHTFACE_LICENCE,
     NO_COMMERCE,
     NULL,
     {{"w600k_r50.onnx", W600K_R50}},
     NULL,
     NULL},
    {"yunet",
     "YuNet 2023mar, a detector",
     ZOO "face_detection_yunet/face_detection_yunet_2023mar.onnx",
     "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
     232589,
     true,
     "MIT",
     ZOO_TEXT "face_detection_yunet/LICENSE",
     "commercial use is allowed",
     "facemill does not run YuNet's outputs yet",
     {{NULL, NULL}},
     NULL,
     NULL},
    {"sface",
     "SFace 2021dec, a recogniser alone",
     ZOO "face_recognition_sface/face_recognition_sface_2021dec.onnx",
     "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
     38696353,
     true,
     "Apache-2.0",
     ZOO_TEXT "face_recognition_sface/LICENSE",
     "commercial use is allowed",
     NULL,
     {{NULL, NULL}},
     "match",
     "0.363"},
    {"auraface",
     "AuraFace-v1, a recogniser alone",
     AURAFACE "resolve/af6d057c9b0ec4071d4c49c80e3539258798b609/glintr100.onnx",
     "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
     260694151,
     true,
     "Apache-2.0",
     AURAFACE "blob/af6d057c9b0ec4071d4c49c80e3539258798b609/LICENSE.md",
     "commercial use is allowed (of this file; others beside it are InsightFace's)",
     NULL,
     {{NULL, NULL}},
     NULL,
     NULL},
};

const struct known_pack *fm_known_row(size_t index) {
    return index < sizeof rows / sizeof *rows ? &rows[index] : NULL;
}

/* ---- an index of the user's own */

static bool is_digest(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* A text member; NULL when it is not there. */
static fm_status take_text(struct known_index *index, const struct json_value *object, const char *key, bool needed,
                           const char *path, size_t number, const char **out, fm_error *error) {
    const struct json_value *value = fm_json_member(object, key);
    const char *text = fm_json_text(value);
    *out = NULL;
    if (value == NULL && !needed)
        return FM_OK;
    if (text == NULL || text[0] == 0)
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s': pack %zu: \"%s\" is %s, expected a text", path, number + 1,
                       key, value ? "something else" : "missing");
    *out = fm_arena_copy(&index->arena, text);
    return *out ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s'", path);
}

static fm_status take_pack(struct known_index *index, const struct json_value *object, const char *path, size_t number,
                           fm_error *error) {
    struct known_pack *pack = &index->packs[number];
    const struct json_value *size = fm_json_member(object, "size");
    fm_status status = take_text(index, object, "name", true, path, number, &pack->name, error);
    if (!status)
        status = take_text(index, object, "url", true, path, number, &pack->url, error);
    if (!status)
        status = take_text(index, object, "sha256", false, path, number, &pack->sha256, error);
    if (!status)
        status = take_text(index, object, "licence", true, path, number, &pack->licence, error);
    if (!status)
        status = take_text(index, object, "licence_url", false, path, number, &pack->licence_url, error);
    if (status)
        return status;
    if (!fm_pack_name_is_good(pack->name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s': pack %zu: \"name\" is '%s', expected " FM_PACK_NAME_WORDS,
                       path, number + 1, pack->name);
    if (pack->sha256 && !is_digest(pack->sha256))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%s': pack '%s': \"sha256\" is '%s', expected 64 lower-case hexadecimal "
                       "digits",
                       path, pack->name, pack->sha256);
    if (size && fm_json_whole(size, 0) <= 0)
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s': pack '%s': \"size\" is no whole number of bytes", path,
                       pack->name);
    pack->bytes = (uint64_t)fm_json_whole(size, 0);
    pack->exact = pack->bytes > 0;
    pack->about = "from the index";
    pack->terms = "read the licence for commercial use";
    return FM_OK;
}

fm_status fm_known_read(struct known_index *index, const char *path, fm_error *error) {
    struct buffer bytes = {0};
    struct json_value *document = NULL;
    char what[OS_PATH_SIZE + 2];
    *index = (struct known_index){.arena = {.limit = (size_t)4 << 20}};
    (void)snprintf(what, sizeof what, "'%s'", path);
    fm_status status = fm_file_read(path, (uint64_t)1 << 20, &bytes, error);
    if (status == FM_OK)
        status = fm_json_read(bytes.bytes, bytes.size, (size_t)1 << 20, what, &document, error);
    const struct json_value *packs = fm_json_member(document, "packs");
    if (status == FM_OK && !fm_json_is_array(packs))
        status = fm_fail(error, FM_INVALID_ARGUMENT, "'%s' has no list \"packs\"; docs/packs.md shows one", path);
    size_t count = fm_json_count(packs);
    if (status == FM_OK) {
        index->packs = fm_alloc_array(count + 1, sizeof *index->packs);
        status = index->packs ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s'", path);
    }
    for (; status == FM_OK && index->count < count; index->count++)
        status = take_pack(index, fm_json_item(packs, index->count), path, index->count, error);
    fm_json_free(document);
    fm_buffer_reset(&bytes);
    if (status != FM_OK)
        fm_known_reset(index);
    return status;
}

void fm_known_reset(struct known_index *index) {
    fm_free(index->packs);
    fm_arena_reset(&index->arena);
    *index = (struct known_index){0};
}

const struct known_pack *fm_known_find(const struct known_index *index, const char *name) {
    for (size_t i = 0; index && i < index->count; i++) {
        if (strcmp(index->packs[i].name, name) == 0)
            return &index->packs[i];
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}
