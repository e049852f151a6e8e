/* facemill completion and facemill manual: files about the program, made from the tables it works by. */
#include "output.h"
#include "program.h"

#include <stdio.h>
#include <string.h>

#define MAX_PROVIDERS 32

struct provider_names {
    char chars[MAX_PROVIDERS][32];
    const char *names[MAX_PROVIDERS];
    size_t count;
};

static void add_name(const fm_provider_info *info, void *user) {
    struct provider_names *providers = user;
    if (providers->count == MAX_PROVIDERS)
        return;
    char *name = providers->chars[providers->count];
    snprintf(name, sizeof providers->chars[0], "%s", info->name);
    providers->names[providers->count++] = name;
}

/* Names alone: no library is loaded for them, so that the same text comes out on every machine. */
static void find_providers(struct provider_names *providers) {
    fm_engine_options options = {.struct_size = sizeof options, .ort_library = "/dev/null", .log_level = FM_LOG_OFF};
    *providers = (struct provider_names){0};
    fm_providers_visit(&options, add_name, providers);
}

static int print_file(struct program *program, const char *shell) {
    const struct config *config = &program->config;
    struct provider_names providers;
    struct output output;
    fm_error error = {0};
    find_providers(&providers);
    struct program_text about = {.version = fm_version(),
                                 .exit_codes = fm_exit_code_words(),
                                 .command = fm_command_text,
                                 .providers = providers.names,
                                 .provider_count = providers.count};
    if (fm_output_open(&output, config, &error))
        return fm_complain(config, &error);
    bool known = true;
    if (shell)
        known = fm_config_completion(&about, shell, &output.text);
    else
        fm_config_manual(&about, &output.text);
    if (fm_output_close(&output, known, &error))
        return fm_complain(config, &error);
    return EXIT_DONE;
}

int fm_command_completion(struct program *program) {
    const struct config *config = &program->config;
    const char *shell = config->argument_count == 1 ? config->arguments[0] : "";
    if (strcmp(shell, "bash") != 0 && strcmp(shell, "zsh") != 0 && strcmp(shell, "fish") != 0)
        return fm_complain_usage(config, "completion takes bash, zsh or fish, not '%s'",
                                 config->argument_count ? config->arguments[config->argument_count - 1] : "");
    return print_file(program, shell);
}

int fm_command_manual(struct program *program) {
    if (program->config.argument_count)
        return fm_complain_usage(&program->config, "'%s': manual takes no arguments", program->config.arguments[0]);
    return print_file(program, NULL);
}
