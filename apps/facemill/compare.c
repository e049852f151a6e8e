/* facemill compare: are the largest faces of two images the same person? */
#include "output.h"
#include "program.h"
#include "record.h"

#include <math.h>

static const fm_face *largest_face(const fm_result *result) {
    const fm_face *largest = NULL;
    float most = -1;
    for (size_t i = 0; i < fm_result_face_count(result); i++) {
        const fm_face *face = fm_result_face(result, i);
        float area = (face->box[2] - face->box[0]) * (face->box[3] - face->box[1]);
        if (area > most) {
            most = area;
            largest = face;
        }
    }
    return largest;
}

/* The face of one side; NULL and an error record when there is none to compare, or `error` when it is the pack that
   cannot embed such faces. */
static const fm_face *side_face(struct output *output, const char *path, const fm_result *result, fm_error *error) {
    const fm_face *face = fm_result_status(result) ? NULL : largest_face(result);
    const char *words;
    if (face && face->embedding)
        return face;
    if (fm_result_status(result)) {
        fm_record_error(output, path, fm_result_status(result), fm_result_message(result));
    } else if (!face) {
        fm_record_error(output, path, FM_NOT_FOUND,
                        "no face was found; a lower --det-threshold or another --det-size may find one");
    } else {
        fm_error why = {0};
        fm_status status = fm_face_unaligned(face, &words);
        fm_fail(status == FM_UNSUPPORTED ? error : &why, status, "the largest face of '%s' has no embedding: %s", path,
                words);
        if (why.status)
            fm_record_error(output, path, why.status, why.message);
    }
    return NULL;
}

static void add_side(struct json *json, const char *key, const char *path, const fm_result *result,
                     const fm_face *face) {
    fm_json_object_open(json, key);
    fm_json_string(json, "path", path);
    fm_json_integer(json, "faces", (int64_t)fm_result_face_count(result));
    fm_json_floats(json, "box", face->box, 4);
    fm_json_float(json, "score", face->score);
    fm_json_object_close(json);
}

/* Where the verdict is drawn, and who says so. */
struct verdict {
    double threshold;
    const char *source;
};

/* What was asked for; else what the pack's manifest says of its recogniser; else the option's default. */
static struct verdict choose_threshold(const struct config *config, const fm_engine *engine) {
    float packs = fm_engine_pack(engine).match_threshold;
    double given = fm_config_number(config, OPT_THRESHOLD);
    if (fm_config_given(config, OPT_THRESHOLD))
        return (struct verdict){given, "as asked for"};
    if (packs > 0) /* 0.35, not the float nearest to it */
        return (struct verdict){round((double)packs * 1e6) / 1e6, "the pack's"};
    return (struct verdict){given, "the default"};
}

static void report(struct output *output, const char *const *paths, fm_result *const *results,
                   const fm_face *const *faces, struct verdict verdict) {
    size_t size = (size_t)faces[0]->embedding_size;
    double similarity = (double)fm_similarity(faces[0]->embedding, faces[1]->embedding, size);
    bool same = similarity >= verdict.threshold;
    if (output->table) {
        for (int i = 0; i < 2; i++) {
            fm_text_add(&output->text, "%c  ", 'A' + i);
            fm_text_add_visible(&output->text, paths[i]);
            fm_text_add(&output->text, ": %zu faces, the largest at %.0f,%.0f to %.0f,%.0f (score %.3f)\n",
                        fm_result_face_count(results[i]), (double)faces[i]->box[0], (double)faces[i]->box[1],
                        (double)faces[i]->box[2], (double)faces[i]->box[3], (double)faces[i]->score);
        }
        fm_text_add(&output->text, "similarity %.4f: %s (threshold %g, %s)\n", similarity,
                    same ? "the same person" : "different people", verdict.threshold, verdict.source);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_number(&output->json, "similarity", similarity);
    fm_json_number(&output->json, "threshold", verdict.threshold);
    fm_json_bool(&output->json, "same", same);
    add_side(&output->json, "a", paths[0], results[0], faces[0]);
    add_side(&output->json, "b", paths[1], results[1], faces[1]);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

int fm_command_compare(struct program *program) {
    const struct config *config = &program->config;
    const char *const *paths = config->arguments;
    struct output output = {0};
    fm_engine *engine = NULL;
    fm_result *results[2] = {NULL, NULL};
    fm_error error = {0};
    int code = EXIT_DONE;
    if (config->argument_count != 2)
        return fm_complain_usage(config, "compare takes two image files, not %zu", config->argument_count);
    if (fm_program_open(config, &engine, &error))
        return fm_complain(config, &error);
    if (fm_engine_embedding_size(engine) == 0) {
        fm_fail(&error, FM_UNSUPPORTED, "pack '%s' has no recogniser; compare needs one", fm_engine_pack(engine).name);
        goto cleanup;
    }
    fm_input inputs[2] = {fm_input_file(paths[0]), fm_input_file(paths[1])};
    if (fm_output_open(&output, config, &error))
        goto cleanup;
    fm_tell_builtin(program, engine);
    if (fm_analyze_batch(engine, inputs, 2, NULL, results, &error))
        goto cleanup;
    const fm_face *faces[2];
    for (int i = 0; i < 2; i++)
        faces[i] = side_face(&output, paths[i], results[i], &error);
    if (faces[0] && faces[1])
        report(&output, paths, results, faces, choose_threshold(config, engine));
    else
        code = EXIT_INPUTS;
cleanup:
    if (output.file)
        (void)!fm_output_close(&output, error.status == FM_OK, &error); /* its words are in `error` */
    if (error.status)
        code = fm_complain(config, &error);
    fm_result_free(results[0]);
    fm_result_free(results[1]);
    fm_engine_close(engine);
    return code;
}
