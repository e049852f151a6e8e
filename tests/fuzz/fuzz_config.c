/* Fuzzer: the config file and the command line. Input up to the first NUL is the file; behind it stand arguments, each
   ended by a NUL. What parses is read back through every accessor and printed. */
#define _GNU_SOURCE
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_ARGUMENTS 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct command_text analyze = {
    .name = "analyze", .bit = ON_ANALYZE, .arguments = "INPUT...", .summary = "", .details = "", .examples = ""};

static void read_back(const struct config *config) {
    for (int i = 0; i < OPT_COUNT; i++) {
        enum option_id id = (enum option_id)i;
        int sizes[FM_MAX_DET_SIZES];
        char source[64];
        (void)fm_config_flag(config, id);
        (void)fm_config_integer(config, id);
        (void)fm_config_number(config, id);
        (void)fm_config_source(config, id, source);
        fm_config_sizes(config, OPT_DET_SIZE, sizes, FM_MAX_DET_SIZES);
        const struct option_value *value = &config->values[i];
        for (size_t k = 0; k < value->count; k++) {
            size_t colon = 0, equals = 0;
            if (fm_value_pair(value->items[k], &colon, &equals) && (colon >= equals || !value->items[k][equals]))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size > 65536)
        return 0;
    char path[64];
    char *argv[MAX_ARGUMENTS] = {"--config", path};
    int argc = 2;
    const uint8_t *end = size ? memchr(bytes, 0, size) : NULL;
    size_t file_size = end ? (size_t)(end - bytes) : size;
    char *words = malloc(size + 1);
    int file = memfd_create("config", 0);
    if (!words || file < 0 || write(file, bytes, file_size) != (ssize_t)file_size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (size)
        memcpy(words, bytes, size);
    words[size] = 0;
    for (size_t at = file_size + 1; at < size && argc < MAX_ARGUMENTS; at += strlen(words + at) + 1)
        if (strncmp(words + at, "--config", 8) != 0) /* it would read other files of this machine */
            argv[argc++] = words + at;

    struct config config;
    struct text out = {0};
    fm_error error = {0};
    fm_status status = fm_config_parse(&config, &analyze, argc, argv, &error);
    if (status && !error.message[0])
        abort(); /* a failure without words */
    if (!status && !config.help) {
        read_back(&config);
        fm_config_print(&config, &out);
    }
    fm_text_reset(&out);
    fm_config_reset(&config);
    free(words);
    close(file);
    return 0;
}
