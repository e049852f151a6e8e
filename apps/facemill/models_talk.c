/* What the actions of `facemill models` that install say and ask, always on standard error. The work is done on the
   main thread, so that nothing here needs a lock. */
#include "models.h"

#include "base/os_program.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REDRAW_NS 250000000u

static void say(const char *words, void *user) {
    struct talk *talk = user;
    fm_talk_hide(talk);
    if (!fm_config_flag(&talk->program->config, OPT_QUIET))
        fm_say(words);
}

void fm_talk_init(struct talk *talk, struct program *program) {
    bool quiet = fm_config_flag(&program->config, OPT_QUIET);
    *talk = (struct talk){.program = program, .notes = {say, talk}};
    talk->asks = !quiet && fm_is_terminal(0) && fm_is_terminal(2);
    talk->draws = !quiet && fm_is_terminal(2);
}

bool fm_talk_ask(struct talk *talk, const char *question, char *answer, size_t size) {
    size_t length = 0;
    fm_talk_hide(talk);
    fm_show(question);
    fflush(stderr);
    for (char byte = 0; byte != '\n';) {
        size_t got = 0;
        fm_error ignored = {0};
        if (fm_input_read(0, &talk->program->interrupted, &byte, 1, &got, &ignored) != FM_OK || got == 0)
            return false;
        if (byte != '\n' && length + 1 < size)
            answer[length++] = byte;
    }
    while (length > 0 && (answer[length - 1] == ' ' || answer[length - 1] == '\r'))
        length--;
    answer[length] = 0;
    return true;
}

void fm_talk_progress(uint64_t done, uint64_t total, void *user) {
    struct talk *talk = user;
    uint64_t now_ns = fm_clock_ns();
    if (!talk->draws || now_ns < talk->next_ns)
        return;
    if (talk->start_ns == 0) {
        talk->start_ns = now_ns;
        talk->start_bytes = done;
    }
    talk->next_ns = now_ns + REDRAW_NS;
    double seconds = (double)(now_ns - talk->start_ns) * 1e-9;
    double rate = seconds > 0.5 && done > talk->start_bytes ? (double)(done - talk->start_bytes) / seconds : 0;
    fprintf(stderr, "\r\033[K%.1f", (double)done * 1e-6);
    if (total)
        fprintf(stderr, " of %.1f", (double)total * 1e-6);
    fputs(" MB", stderr);
    if (rate > 0)
        fprintf(stderr, ", %.1f MB/s", rate * 1e-6);
    if (rate > 0 && total > done) {
        unsigned left = (unsigned)((double)(total - done) / rate);
        fprintf(stderr, ", %u:%02u:%02u left", left / 3600, left / 60 % 60, left % 60);
    }
    fflush(stderr);
    talk->drawn = true;
}

void fm_talk_hide(struct talk *talk) {
    if (talk->drawn)
        fputs("\r\033[K", stderr);
    talk->drawn = false;
}

void fm_talk_shadow(struct talk *talk, const char *name) {
    if (fm_models_is_builtin(name))
        fm_note(&talk->notes, "'%s' names the installed pack from now on; the one that is built in is 'builtin:%s'",
                name, name);
}

void fm_models_report(struct output *output, const char *name, const char *outcome, const struct install_result *result,
                      const char *licence) {
    if (output->table) {
        fm_text_add(&output->text, "%-24s %-12s %s\n", name, outcome, result->path);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "pack", name);
    fm_json_string(&output->json, "outcome", outcome);
    fm_json_string(&output->json, "path", result->path);
    if (licence)
        fm_json_string(&output->json, "licence", licence);
    if (result->sha256[0])
        fm_json_string(&output->json, "sha256", result->sha256);
    if (result->networks) {
        fm_json_integer(&output->json, "files", result->networks);
        fm_json_integer(&output->json, "useful", result->useful);
    }
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

fm_status fm_models_index(const struct config *config, struct known_index *index, fm_error *error) {
    const char *path = fm_config_text(config, OPT_INDEX);
    *index = (struct known_index){0};
    return path ? fm_known_read(index, path, error) : FM_OK;
}

const char *fm_models_size(const struct known_pack *known, char out[48]) {
    if (known->bytes == 0)
        (void)snprintf(out, 48, "size not published");
    else if (known->exact)
        (void)snprintf(out, 48, "%" PRIu64 " bytes", known->bytes);
    else
        (void)snprintf(out, 48, "about %" PRIu64 " MB", known->bytes / 1000000);
    return out;
}
