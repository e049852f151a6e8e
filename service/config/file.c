/* The config file: `key = value` lines, keys being the options' long names. Every line is checked, also where another
   source overrules it, so that a mistake shows up when it is made and not on another day. */
#include "config/config.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

#define MAX_FILE_BYTES ((uint64_t)1 << 20)

/* Cut white space off both ends, in place. */
static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length && strchr(" \t\r", text[length - 1]))
        text[--length] = 0;
    return text;
}

static fm_status take_line(struct config *config, char *line, const char *path, int number, fm_error *error) {
    line = trim(line);
    if (!line[0] || line[0] == '#')
        return FM_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s:%d: '%s' is not 'key = value'; comments start with #", path,
                       number, line);
    *equals = 0;
    char *key = trim(line), *value = trim(equals + 1);
    enum option_id id = fm_option_find(key, strlen(key));
    if (id == OPT_COUNT || id == OPT_CONFIG) {
        const char *nearest = id == OPT_CONFIG ? NULL : fm_option_suggest(key, ON_ALL);
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "%s:%d: unknown key '%s'%s%s%s; keys are the options' names without dashes", path, number, key,
                       nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    char where[4200];
    snprintf(where, sizeof where, "%s:%d: %s", path, number, key);
    return fm_config_assign(config, id, value, SOURCE_FILE, where, error);
}

fm_status fm_config_read(struct config *config, const char *path, fm_error *error) {
    struct buffer bytes = {0};
    fm_status status = fm_file_read(path, MAX_FILE_BYTES, &bytes, error);
    if (status)
        goto cleanup;
    char *text = fm_arena_alloc(&config->arena, bytes.size + 1); /* values point into it */
    if (!text) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while reading config file '%s'", path);
        goto cleanup;
    }
    if (bytes.size)
        memcpy(text, bytes.bytes, bytes.size);
    text[bytes.size] = 0;
    int number = 1;
    for (char *line = text; line && !status; number++) {
        char *end = memchr(line, '\n', (size_t)(text + bytes.size - line));
        size_t length = (size_t)((end ? end : text + bytes.size) - line);
        line[length] = 0;
        if (strlen(line) != length)
            status = fm_fail(error, FM_INVALID_ARGUMENT, "%s:%d: there is a zero byte; expected text", path, number);
        else
            status = take_line(config, line, path, number, error);
        line = end ? end + 1 : NULL;
    }
    snprintf(config->file, sizeof config->file, "%s", path);
cleanup:
    fm_buffer_reset(&bytes);
    return status;
}
