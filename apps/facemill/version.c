/* facemill version: which one this is and how it was built. */
#include "output.h"
#include "program.h"

#include "base/cpu.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

int fm_command_version(struct program *program) {
    struct output output;
    fm_error error = {0};
    if (program->config.argument_count)
        return fm_complain_usage(&program->config, "'%s': version takes no arguments", program->config.arguments[0]);
    if (fm_output_open(&output, &program->config, &error))
        return fm_complain(&program->config, &error);
    const char *sanitizers = FM_SANITIZE[0] ? FM_SANITIZE : "none";
    if (output.table) {
        fm_text_add(&output.text,
                    "facemill %s\ncompiler    %s\nbuild type  %s\nsanitizers  %s\ndecoders    %s\nkernels     %s\n",
                    fm_version(), COMPILER, FM_BUILD_TYPE, sanitizers, FM_DECODERS, fm_cpu_level_name(fm_cpu_level()));
    } else {
        struct json *json = &output.json;
        fm_json_object_open(json, NULL);
        fm_json_string(json, "version", fm_version());
        fm_json_integer(json, "output_version", OUTPUT_VERSION);
        fm_json_string(json, "compiler", COMPILER);
        fm_json_string(json, "build_type", FM_BUILD_TYPE);
        fm_json_string(json, "sanitizers", sanitizers);
        fm_json_string(json, "decoders", FM_DECODERS);
        fm_json_string(json, "kernels", fm_cpu_level_name(fm_cpu_level()));
        fm_json_object_close(json);
        fm_output_end_line(&output);
    }
    if (fm_output_close(&output, true, &error))
        return fm_complain(&program->config, &error);
    return EXIT_DONE;
}
