/* Output: our own buffer over an unbuffered stream, so that one write takes whole lines and every failure is seen. */
#include "output.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>

fm_status fm_output_suits(const struct config *config, fm_error *error) {
    char source[64];
    if (!fm_config_is(config, OPT_FORMAT, "csv") ||
        (config->command->bit & (ON_ANALYZE | ON_DETECT | ON_CROP | ON_COMPLETION | ON_MANUAL)))
        return FM_OK;
    return fm_fail(
        error, FM_INVALID_ARGUMENT,
        "%s: 'csv' is for analyze, detect and crop; 'facemill %s' has table and jsonl, and --format overrules "
        "the environment and the config file",
        fm_config_source(config, OPT_FORMAT, source), config->command->name);
}

fm_status fm_output_open(struct output *output, const struct config *config, fm_error *error) {
    *output = (struct output){.path = fm_config_text(config, OPT_OUTPUT), .file = stdout};
    output->terminal = !output->path && fm_is_terminal(1);
    output->table = fm_config_text(config, OPT_FORMAT) ? fm_config_is(config, OPT_FORMAT, "table") : output->terminal;
    output->csv = fm_config_is(config, OPT_FORMAT, "csv");
    if (output->path) {
        enum os_path_kind kind = fm_path_kind(output->path);
        output->renames = kind != OS_PATH_OTHER; /* devices and pipes are written as they are */
        snprintf(output->part, sizeof output->part, "%.4096s%s", output->path, output->renames ? ".part" : "");
        output->file = kind == OS_PATH_FOLDER ? NULL : fopen(output->part, "wb");
        if (!output->file)
            return fm_fail(error, FM_IO, "--output: cannot create '%s': %s", output->part,
                           kind == OS_PATH_FOLDER ? "there is a folder of that name" : strerror(errno));
    }
    output->json = (struct json){.text = &output->text};
    setvbuf(output->file, NULL, _IONBF, 0);
    return FM_OK;
}

fm_status fm_output_flush(struct output *output, fm_error *error) {
    struct text *text = &output->text;
    if (text->failed)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while writing results");
    if (text->length && !output->reader_gone && fwrite(text->chars, 1, text->length, output->file) != text->length) {
        if (errno != EPIPE || output->path)
            return fm_fail(error, FM_IO, "cannot write to %s%s%s: %s; make room or name another place with --output",
                           output->path ? "'" : "", output->path ? output->part : "standard output",
                           output->path ? "'" : "", strerror(errno));
        output->reader_gone = true;
    }
    fm_text_clear(text);
    return FM_OK;
}

void fm_output_end_line(struct output *output) {
    fm_text_add_bytes(&output->text, "\n", 1);
    output->json = (struct json){.text = &output->text};
}

fm_status fm_output_close(struct output *output, bool complete, fm_error *error) {
    fm_status status = output->file ? fm_output_flush(output, error) : FM_OK;
    if (output->file && output->path) {
        if (fclose(output->file) != 0 && !status)
            status = fm_fail(error, FM_IO, "cannot write to '%s': %s; make room or name another place", output->part,
                             strerror(errno));
        if (status && output->renames)
            remove(output->part); /* a full disk is not helped by half a file */
        else if (complete && output->renames && rename(output->part, output->path) != 0)
            status =
                fm_fail(error, FM_IO, "cannot rename '%s' to '%s': %s", output->part, output->path, strerror(errno));
    }
    fm_text_reset(&output->text);
    output->file = NULL;
    return status;
}
