/* facemill validate: two engines, one after the other, on the same pictures. What differs between them is written as a
   short list (ort:cpu,pack=DIR,precision=fp32) whose keys are options, so that anything can be compared. */
#include "validate.h"
#include "pictures.h"
#include "record.h"
#include "sources.h"
#include "summary.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 16 /* pictures per call: results of all are kept, decoded pixels of none */
#define DEFAULT_THRESHOLD 0.5

/* ---- inputs */

static bool add_picture(const char *path, void *user) {
    struct validation *v = user;
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 64;
        struct picture *pictures = fm_alloc_array(capacity, sizeof *pictures);
        if (pictures && v->count)
            memcpy(pictures, v->pictures, v->count * sizeof *pictures);
        if (pictures) {
            fm_free(v->pictures);
            v->pictures = pictures;
            v->capacity = capacity;
        }
    }
    char *copy = fm_arena_copy(&v->arena, path);
    if (v->count == v->capacity || !copy) {
        fm_fail(&v->error, FM_OUT_OF_MEMORY, "out of memory for the names of %zu pictures", v->count);
        return false;
    }
    v->pictures[v->count++] = (struct picture){.path = copy};
    return true;
}

static bool refuse_standard_input(void *user) {
    struct validation *v = user;
    fm_fail(&v->error, FM_INVALID_ARGUMENT,
            "--images: validate reads pictures twice and cannot take them from standard input");
    return false;
}

static bool refuse_folder(const char *path, const fm_error *error, void *user) {
    struct validation *v = user;
    (void)path;
    fm_fail(&v->error, error->status, "--images: %s", error->message);
    return false;
}

static fm_status collect(struct validation *v) {
    const struct config *config = &v->program->config;
    const struct option_value *images = &config->values[OPT_IMAGES];
    struct sources sources = {
        .paths = images->items, .path_count = images->count, .recursive = fm_config_flag(config, OPT_RECURSIVE)};
    fm_sources_walk(&sources, &(struct source_visitor){add_picture, refuse_standard_input, refuse_folder, v});
    if (!v->error.status && v->count == 0)
        return fm_fail(&v->error, FM_NOT_FOUND, "--images: there is no picture in '%s'", images->items[0]);
    return v->error.status;
}

/* ---- what the sides are */

static fm_status side_set(struct side *side, const char *name, const char *key, const char *value, fm_error *error) {
    char where[96];
    snprintf(where, sizeof where, "side %s: %s", name, key);
    return fm_config_set(&side->config, key, value, where, error);
}

/* "ort:cuda,ort:cpu,pack=DIR,det-size=128,640": words without '=' are providers at the beginning, and belong to the
   value before them later. */
static fm_status side_parse(struct side *side, const struct config *base, const char *name, fm_error *error) {
    char key[64] = "provider", value[OS_PATH_SIZE] = "";
    const char *rest = side->text;
    fm_status status = FM_OK;
    fm_config_derive(&side->config, base);
    while (!status) {
        size_t length = strcspn(rest, ","), name_length = strcspn(rest, "=,");
        bool pair = rest[name_length] == '=';
        if (pair && value[0])
            status = side_set(side, name, key, value, error);
        if (pair) {
            snprintf(key, sizeof key, "%.*s", (int)name_length, rest);
            snprintf(value, sizeof value, "%.*s", (int)(length - name_length - 1), rest + name_length + 1);
        } else {
            size_t used = strlen(value);
            snprintf(value + used, sizeof value - used, "%s%.*s", used ? "," : "", (int)length, rest);
        }
        if (!rest[length])
            break;
        rest += length + 1;
    }
    return status ? status : side_set(side, name, key, value, error);
}

static void side_describe(struct side *side, const fm_engine *engine) {
    struct json json = {.text = &side->report};
    fm_pack_info pack = fm_engine_pack(engine);
    fm_model_info model;
    fm_json_string(&json, "side", side->text);
    fm_json_string(&json, "pack", pack.name);
    fm_json_string(&json, "pack_path", pack.path);
    fm_json_string(&json, "pack_reason", pack.reason);
    fm_json_string(&json, "pack_id", pack.id);
    fm_json_providers(&json, engine);
    fm_text_add(&side->words, "%s: pack %s (%s)", side->text, pack.name, pack.reason);
    for (size_t i = 0; fm_engine_model(engine, i, &model); i++)
        fm_text_add(&side->words, ", %s on %s %s", model.file, model.provider, model.precision);
}

/* ---- running one side */

/* Side A's faces of the picture, cut out one after the other. A face that cannot be aligned is the picture's error. */
static fm_status cut_crops(const struct side *side, const fm_engine *engine, struct picture *picture, uint8_t *crops,
                           fm_error *error) {
    size_t crop_bytes = (size_t)side->crop_size * (size_t)side->crop_size * 3;
    fm_limits limits = fm_program_limits(&side->config);
    fm_input input = fm_input_file(picture->path);
    fm_image *image = NULL;
    fm_status status = fm_image_decode(&input, &limits, &image, error);
    if (status)
        return status;
    fm_pixels pixels = fm_image_pixels(image);
    for (size_t i = 0; i < fm_result_face_count(picture->results[0]) && !status; i++) {
        const fm_face *face = fm_result_face(picture->results[0], i);
        const char *words;
        fm_error why = {0};
        status = fm_engine_crop(engine, &pixels, face->landmarks, crops + i * crop_bytes, &why);
        if (status == FM_INVALID_ARGUMENT) { /* the size is the engine's: it is the landmarks */
            status = FM_OK;
            fm_status unaligned = fm_face_unaligned(face, &words);
            fm_fail(&picture->error, unaligned, "face %zu of A cannot be cut out: %s", i + 1, words);
        } else if (status) {
            fm_fail(error, status, "%s", why.message);
        }
    }
    fm_image_free(image);
    return status;
}

/* Embeddings of the picture's faces as side A found them. Pixels are decoded again: keeping all would not fit. */
static fm_status embed_crops(struct validation *v, int number, fm_engine *engine, struct picture *picture,
                             struct buffer *crops) {
    const struct side *side = &v->sides[number];
    const fm_result *faces = picture->results[0];
    size_t count = fm_result_face_count(faces);
    size_t crop_bytes = (size_t)side->crop_size * (size_t)side->crop_size * 3;
    if (count == 0 || side->crop_size == 0 || v->sides[0].crop_size != side->crop_size ||
        v->sides[0].embedding_size != side->embedding_size)
        return FM_OK;
    picture->crops[number] = fm_alloc_array(count, side->embedding_size * sizeof(float));
    if (!picture->crops[number] || !fm_buffer_resize(crops, count * crop_bytes))
        return fm_fail(&v->error, FM_OUT_OF_MEMORY, "out of memory for %zu crops of '%s'", count, picture->path);
    fm_status status = cut_crops(side, engine, picture, crops->bytes, &v->error);
    if (!status && !picture->error.status)
        status = fm_embed_crops(engine, crops->bytes, count, picture->crops[number], &v->error);
    return status;
}

static fm_status side_run(struct validation *v, int number) {
    struct side *side = &v->sides[number];
    struct buffer crops = {0};
    fm_engine *engine = NULL;
    fm_status status = fm_program_open(&side->config, &engine, &v->error);
    if (status)
        return status;
    fm_tell_builtin(v->program, engine);
    side->crop_size = fm_engine_crop_size(engine);
    side->embedding_size = (size_t)fm_engine_embedding_size(engine);
    for (size_t first = 0; first < v->count && !status; first += CHUNK) {
        size_t count = v->count - first < CHUNK ? v->count - first : CHUNK;
        fm_input inputs[CHUNK];
        fm_result *results[CHUNK] = {0};
        for (size_t i = 0; i < count; i++)
            inputs[i] = fm_input_file(v->pictures[first + i].path);
        status = fm_analyze_batch(engine, inputs, count, NULL, results, &v->error);
        for (size_t i = 0; i < count; i++)
            v->pictures[first + i].results[number] = results[i];
        for (size_t i = 0; i < count && !status; i++) {
            struct picture *picture = &v->pictures[first + i];
            bool both;
            if (number == 0 ? !fm_result_status(picture->results[0]) : !fm_picture_failed(picture, &both))
                status = embed_crops(v, number, engine, picture, &crops);
        }
        if (!status && atomic_load(&v->program->interrupted))
            status = fm_fail(&v->error, FM_CANCELLED, "interrupted");
    }
    if (!status)
        side_describe(side, engine);
    fm_buffer_reset(&crops);
    fm_engine_close(engine);
    return status;
}

/* ---- the end */

/* Both sides' annotated copies beside one another, A left. */
static fm_status draw_pair(struct validation *v, struct names *names, const struct picture *picture) {
    fm_limits limits = fm_program_limits(&v->program->config);
    fm_input input = fm_input_file(picture->path);
    fm_image *image = NULL, *drawn[2] = {NULL, NULL};
    struct buffer both = {0};
    fm_status status = fm_image_decode(&input, &limits, &image, &v->error);
    fm_pixels pixels = status ? (fm_pixels){0} : fm_image_pixels(image);
    size_t row = (size_t)pixels.width * 3, height = (size_t)pixels.height;
    if (!status && !fm_buffer_resize(&both, 2 * row * height))
        status = fm_fail(&v->error, FM_OUT_OF_MEMORY, "out of memory for drawing '%s'", picture->path);
    for (size_t side = 0; side < 2 && !status; side++) {
        status = fm_annotate(&pixels, picture->results[side], NULL, &drawn[side], &v->error);
        fm_pixels half = status ? (fm_pixels){0} : fm_image_pixels(drawn[side]);
        size_t stride = half.stride ? half.stride : row;
        for (size_t y = 0; y < height && !status; y++)
            memcpy(both.bytes + y * 2 * row + side * row, (const uint8_t *)half.data + y * stride, row);
    }
    fm_pixels whole = {
        .struct_size = sizeof whole, .data = both.bytes, .width = pixels.width * 2, .height = pixels.height};
    if (!status)
        status = fm_picture_write(names, picture->path, "validate.jpg", &whole, &v->error);
    fm_buffer_reset(&both);
    fm_image_free(drawn[0]);
    fm_image_free(drawn[1]);
    fm_image_free(image);
    return status;
}

static int conclude(struct validation *v) {
    struct names names = {.folder = fm_config_text(&v->program->config, OPT_DRAW)};
    struct tally sum = {0};
    struct text words = {0};
    size_t failed = 0, differing = 0;
    fm_status status = names.folder ? fm_folder_make(names.folder, &v->error) : FM_OK;
    for (size_t i = 0; i < v->count && !status; i++) {
        const struct picture *picture = &v->pictures[i];
        bool both;
        if (fm_picture_failed(picture, &both)) {
            failed += both;
            differing += !both;
            fm_report_failed(&v->output, picture);
            continue;
        }
        const float *const crops[2] = {picture->crops[0], picture->crops[1]};
        struct tally tally;
        fm_text_clear(&words);
        fm_results_compare(picture->results[0], picture->results[1], crops[0] && crops[1] ? crops : NULL,
                           v->sides[0].embedding_size, &v->limits, &tally, &words);
        fm_report_picture(&v->output, picture, &tally, &words);
        fm_tally_add(&sum, &tally);
        if (names.folder)
            status = draw_pair(v, &names, picture);
    }
    bool pass = differing == 0 && sum.pairs + sum.rivals > 0 && fm_tally_good(&sum);
    fm_report_total(v, &sum, failed, pass);
    fm_text_reset(&words);
    fm_names_reset(&names);
    if (!pass && failed < v->count)
        return EXIT_CHECK;
    return failed ? EXIT_INPUTS : EXIT_DONE; /* no picture at all says nothing about the sides */
}

static void validation_reset(struct validation *v) {
    for (size_t i = 0; i < v->count; i++) {
        for (int side = 0; side < 2; side++) {
            fm_result_free(v->pictures[i].results[side]);
            fm_free(v->pictures[i].crops[side]);
        }
    }
    fm_free(v->pictures);
    fm_arena_reset(&v->arena);
    for (int side = 0; side < 2; side++) {
        fm_text_reset(&v->sides[side].report);
        fm_text_reset(&v->sides[side].words);
        fm_config_reset(&v->sides[side].config);
    }
}

int fm_command_validate(struct program *program) {
    const struct config *config = &program->config;
    struct validation v = {.program = program, .arena = {.limit = (size_t)256 << 20}};
    int code = EXIT_DONE;
    if (config->argument_count != 2)
        return fm_complain_usage(config, "validate takes two sides, A and B, not %zu arguments",
                                 config->argument_count);
    if (!fm_config_given(config, OPT_IMAGES))
        return fm_complain_usage(config, "--images DIR is needed: the pictures to compare on");
    v.limits = (struct limits){.cosine = fm_config_number(config, OPT_LIMIT_COSINE),
                               .box = fm_config_number(config, OPT_LIMIT_BOX),
                               .landmark = fm_config_number(config, OPT_LIMIT_LANDMARK)};
    for (int i = 0; i < 2 && !v.error.status; i++) {
        v.sides[i].text = config->arguments[i];
        if (!side_parse(&v.sides[i], config, i ? "B" : "A", &v.error)) {
            const struct config *own = &v.sides[i].config;
            v.limits.thresholds[i] =
                fm_config_given(own, OPT_DET_THRESHOLD) ? fm_config_number(own, OPT_DET_THRESHOLD) : DEFAULT_THRESHOLD;
        }
    }
    if (!v.error.status && !fm_output_open(&v.output, config, &v.error)) {
        if (!collect(&v) && !side_run(&v, 0) && !side_run(&v, 1))
            code = conclude(&v);
        (void)!fm_output_close(&v.output, v.error.status == FM_OK, &v.error); /* its words are in v.error */
    }
    if (v.error.status)
        code = atomic_load(&program->interrupted) ? 128 + atomic_load(&program->interrupted)
                                                  : fm_complain(config, &v.error);
    validation_reset(&v);
    return code;
}
