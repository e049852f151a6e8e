/* facemill providers: every row of the provider table, available or why not and what to do. */
#include "output.h"
#include "program.h"

struct listing {
    struct output *output;
    int available;
};

static void list_provider(const fm_provider_info *info, void *user) {
    struct listing *listing = user;
    struct output *output = listing->output;
    struct json *json = &output->json;
    listing->available += info->available;
    if (output->table && info->available) {
        fm_text_add(&output->text, "%-13s yes  %s\n", info->name, info->detail);
    } else if (output->table) {
        fm_text_add(&output->text, "%-13s no   %s\n%19s-> %s\n", info->name, info->reason, "", info->remedy);
    } else {
        fm_json_object_open(json, NULL);
        fm_json_string(json, "provider", info->name);
        fm_json_bool(json, "available", info->available);
        fm_json_string(json, "detail", info->available ? info->detail : NULL);
        fm_json_string(json, "reason", info->available ? NULL : info->reason);
        fm_json_string(json, "remedy", info->available ? NULL : info->remedy);
        fm_json_object_close(json);
        fm_output_end_line(output);
    }
}

int fm_command_providers(struct program *program) {
    struct output output;
    struct engine_settings settings;
    fm_error error = {0};
    if (program->config.argument_count)
        return fm_complain_usage(&program->config, "'%s': providers takes no arguments", program->config.arguments[0]);
    if (fm_program_settings(&settings, &program->config, &error) || fm_output_open(&output, &program->config, &error)) {
        fm_program_settings_reset(&settings);
        return fm_complain(&program->config, &error);
    }
    struct listing listing = {.output = &output};
    fm_providers_visit(&settings.options, list_provider, &listing);
    fm_program_settings_reset(&settings);
    if (fm_output_close(&output, true, &error))
        return fm_complain(&program->config, &error);
    return listing.available ? EXIT_DONE : EXIT_UNAVAILABLE;
}
