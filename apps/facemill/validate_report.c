/* validate's report: a record per picture with something to say, and the verdict. */
#include "record.h"
#include "validate.h"

#include <stdio.h>
#include <string.h>

#define NOTES_SHOWN 6 /* per picture of the table; jsonl has all */

static void json_spread(struct json *json, const char *name, const struct spread *spread, const char *worst) {
    char key[64];
    if (!spread->count)
        return;
    snprintf(key, sizeof key, "%s_%s", name, worst);
    fm_json_number(json, key, spread->worst);
    snprintf(key, sizeof key, "%s_mean", name);
    fm_json_number(json, key, fm_spread_mean(spread));
}

static void json_tally(struct json *json, const struct tally *tally) {
    fm_json_integer(json, "faces_a", (int64_t)tally->faces[0]);
    fm_json_integer(json, "faces_b", (int64_t)tally->faces[1]);
    fm_json_integer(json, "compared", (int64_t)tally->pairs);
    fm_json_integer(json, "missing_in_a", (int64_t)tally->missing[0]);
    fm_json_integer(json, "missing_in_b", (int64_t)tally->missing[1]);
    fm_json_integer(json, "disordered", (int64_t)tally->disordered);
    fm_json_integer(json, "over_limit", (int64_t)tally->over_limit);
    fm_json_integer(json, "crops_over_limit", (int64_t)tally->crops_over_limit);
    fm_json_integer(json, "apart_rivals", (int64_t)tally->rivals);
    fm_json_integer(json, "apart_at_threshold", (int64_t)tally->at_threshold);
    fm_json_integer(json, "apart_order_ties", (int64_t)tally->order_ties);
    json_spread(json, "cosine", &tally->cosine, "min");
    json_spread(json, "crop_cosine", &tally->crop_cosine, "min");
    json_spread(json, "box", &tally->box, "max");
    json_spread(json, "landmark", &tally->landmark, "max");
    json_spread(json, "rival_cosine", &tally->rival_cosine, "min");
    json_spread(json, "rival_box", &tally->rival_box, "max");
}

void fm_report_picture(struct output *output, const struct picture *picture, const struct tally *tally,
                       const struct text *words) {
    struct json *json = &output->json;
    const char *line = fm_text_chars(words);
    if (output->table && !*line)
        return;
    if (output->table) {
        fm_text_add_visible(&output->text, picture->path);
        fm_text_add(&output->text, "\n");
    } else {
        fm_json_object_open(json, NULL);
        fm_json_string(json, "path", picture->path);
        json_tally(json, tally);
        fm_json_array_open(json, "notes");
    }
    for (int shown = 0; *line; shown++) {
        size_t length = strcspn(line, "\n");
        char note[512];
        snprintf(note, sizeof note, "%.*s", (int)length, line);
        if (!output->table)
            fm_json_string(json, NULL, note);
        else if (shown < NOTES_SHOWN)
            fm_text_add(&output->text, "  %s\n", note);
        else if (shown == NOTES_SHOWN)
            fm_text_add(&output->text, "  ... and more; --format jsonl has all\n");
        line += length + (line[length] == '\n');
    }
    if (!output->table) {
        fm_json_array_close(json);
        fm_json_object_close(json);
        fm_output_end_line(output);
    }
}

static void table_spread(struct text *text, const char *name, const struct spread *spread, const char *worst,
                         const char *limit) {
    if (spread->count)
        fm_text_add(text, "%-34s %s %.6f, mean %.6f%s%s\n", name, worst, spread->worst, fm_spread_mean(spread),
                    limit[0] ? "; limit " : "", limit);
}

static void table_total(struct validation *v, const struct tally *tally, size_t failed, bool pass) {
    const struct config *config = &v->program->config;
    struct text *text = &v->output.text;
    fm_text_add(text, "A  %s\nB  %s\n", fm_text_chars(&v->sides[0].words), fm_text_chars(&v->sides[1].words));
    fm_text_add(text, "%zu pictures, %zu not readable; faces: A %llu, B %llu, compared %llu\n", v->count, failed,
                (unsigned long long)tally->faces[0], (unsigned long long)tally->faces[1],
                (unsigned long long)tally->pairs);
    fm_text_add(text,
                "missing in A %llu, in B %llu; in another order %llu; past a limit %llu, on identical crops %llu\n",
                (unsigned long long)tally->missing[0], (unsigned long long)tally->missing[1],
                (unsigned long long)tally->disordered, (unsigned long long)tally->over_limit,
                (unsigned long long)tally->crops_over_limit);
    table_spread(text, "cosine, end to end", &tally->cosine, "min", fm_config_text(config, OPT_LIMIT_COSINE));
    table_spread(text, "cosine, identical crops", &tally->crop_cosine, "min", fm_config_text(config, OPT_LIMIT_COSINE));
    table_spread(text, "box, px", &tally->box, "max", fm_config_text(config, OPT_LIMIT_BOX));
    table_spread(text, "landmarks, px", &tally->landmark, "max", fm_config_text(config, OPT_LIMIT_LANDMARK));
    fm_text_add(text, "apart: %llu with a rival anchor, %llu at the threshold, %llu ties in the order\n",
                (unsigned long long)tally->rivals, (unsigned long long)tally->at_threshold,
                (unsigned long long)tally->order_ties);
    table_spread(text, "cosine, with a rival", &tally->rival_cosine, "min", "");
    table_spread(text, "box, with a rival, px", &tally->rival_box, "max", "");
    fm_text_add(text, "%s\n",
                pass                           ? "PASS"
                : tally->pairs + tally->rivals ? "FAIL"
                                               : "FAIL: no face to compare was found");
}

static void json_total(struct validation *v, const struct tally *tally, size_t failed, bool pass) {
    struct json *json = &v->output.json;
    fm_json_object_open(json, NULL);
    fm_json_string(json, "verdict", pass ? "pass" : "fail");
    fm_json_integer(json, "images", (int64_t)v->count);
    fm_json_integer(json, "errors", (int64_t)failed);
    json_tally(json, tally);
    fm_json_object_open(json, "limits");
    fm_json_number(json, "cosine", v->limits.cosine);
    fm_json_number(json, "box", v->limits.box);
    fm_json_number(json, "landmark", v->limits.landmark);
    fm_json_object_close(json);
    for (int i = 0; i < 2; i++) {
        fm_json_object_open(json, i ? "b" : "a");
        fm_text_add(&v->output.text, "%s", fm_text_chars(&v->sides[i].report));
        fm_json_object_close(json);
    }
    fm_json_object_close(json);
    fm_output_end_line(&v->output);
}

void fm_report_total(struct validation *v, const struct tally *tally, size_t failed, bool pass) {
    if (v->output.table)
        table_total(v, tally, failed, pass);
    else
        json_total(v, tally, failed, pass);
}

bool fm_picture_failed(const struct picture *picture, bool *both) {
    bool a = fm_result_status(picture->results[0]) != FM_OK, b = fm_result_status(picture->results[1]) != FM_OK;
    *both = (a && b) || picture->error.status;
    return a || b || picture->error.status;
}

void fm_report_failed(struct output *output, const struct picture *picture) {
    bool both, of_a = fm_result_status(picture->results[0]) != FM_OK;
    (void)fm_picture_failed(picture, &both);
    const fm_result *told = picture->results[of_a ? 0 : 1];
    bool crops = fm_result_status(told) == FM_OK; /* both were analyzed, and then had no crops */
    fm_status status = crops ? picture->error.status : fm_result_status(told);
    const char *message = crops ? picture->error.message : fm_result_message(told);
    if (output->table) {
        fm_text_add_visible(&output->text, picture->path);
        fm_text_add(&output->text, "\n  error%s: ", both ? "" : of_a ? " of A alone" : " of B alone");
        fm_text_add_visible(&output->text, message);
        fm_text_add(&output->text, "\n");
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "path", picture->path);
    fm_json_object_open(&output->json, "error");
    fm_json_string(&output->json, "code", fm_status_name(status));
    fm_json_string(&output->json, "message", message);
    fm_json_help(&output->json, status);
    fm_json_string(&output->json, "side", both ? "both" : of_a ? "a" : "b");
    fm_json_object_close(&output->json);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}
