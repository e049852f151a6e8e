/* facemill doctor: what this machine has, what works, and what to do about the rest. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const verdict_words[] = {"info", "good", "note", "missing", "skipped", "bad"};
static const char *const verdict_signs[] = {"    ", "ok  ", "note", "--  ", "skip", "BAD "};

void fm_doctor_section(struct doctor *doctor, const char *title) {
    doctor->section = title;
    if (doctor->output.table)
        fm_text_add(&doctor->output.text, "%s\n", title);
}

/* A finding that asks for something says what to do and where that is explained. */
static void add_row(struct doctor *doctor, enum verdict verdict, const char *name, const char *remedy,
                    const char *words, const char *help) {
    struct text *text = &doctor->output.text;
    fm_text_add(text, "  %s %-20s %s", verdict_signs[verdict], name, words);
    if (verdict == VERDICT_INFO || verdict == VERDICT_GOOD)
        fm_text_add(text, "\n");
    else if (remedy)
        fm_text_add(text, "\n%28s-> %s; see %s\n", "", remedy, help);
    else
        fm_text_add(text, "; see %s\n", help);
}

void fm_doctor_add(struct doctor *doctor, enum verdict verdict, const char *id, const char *name, const char *remedy,
                   const char *format, ...) {
    char words[2048], help[HELP_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    doctor->bad += verdict == VERDICT_BAD;
    remedy = remedy && remedy[0] ? remedy : NULL;
    struct output *output = &doctor->output;
    fm_help_place(id, help);
    if (output->table) {
        add_row(doctor, verdict, name, remedy, words, help);
        return;
    }
    fm_json_object_open(&output->json, NULL);
    fm_json_string(&output->json, "section", doctor->section);
    fm_json_string(&output->json, "id", id);
    fm_json_string(&output->json, "name", name);
    fm_json_string(&output->json, "verdict", verdict_words[verdict]);
    fm_json_string(&output->json, "detail", words);
    fm_json_string(&output->json, "remedy", remedy);
    fm_json_string(&output->json, "help", help);
    fm_json_object_close(&output->json);
    fm_output_end_line(output);
}

static void add_provider(const fm_provider_info *info, void *user) {
    struct doctor *doctor = user;
    char id[64]; /* "ort_cuda" of "ort:cuda" */
    snprintf(id, sizeof id, "%s", info->name);
    for (char *at = id; *at; at++)
        *at = *at == ':' ? '_' : *at;
    doctor->providers += info->available;
    if (info->available)
        fm_doctor_add(doctor, VERDICT_GOOD, id, info->name, NULL, "%s", info->detail);
    else
        fm_doctor_add(doctor, VERDICT_MISSING, id, info->name, info->remedy, "%s", info->reason);
}

static fm_status add_providers(struct doctor *doctor, fm_error *error) {
    struct engine_settings settings;
    fm_status status = fm_program_settings(&settings, &doctor->program->config, error);
    fm_doctor_section(doctor, "providers");
    if (!status)
        fm_providers_visit(&settings.options, add_provider, doctor);
    fm_program_settings_reset(&settings);
    return status;
}

struct pack_walk {
    struct doctor *doctor;
    bool chosen; /* one that is used without being named came before the built-in one */
};

static void add_pack(const char *name, const char *path, const char *reason, void *user) {
    struct pack_walk *walk = user;
    const bool builtin = strcmp(reason, PACK_BUILTIN_REASON) == 0;
    if (builtin && !walk->chosen)
        fm_doctor_add(walk->doctor, VERDICT_NOTE, "pack", name, "facemill models pull " PACK_STRONGER,
                      "%s (%s): used where none is named; small, for trying things", path, reason);
    else
        fm_doctor_add(walk->doctor, VERDICT_INFO, "pack", name, NULL, "%s (%s)", path, reason);
    walk->chosen = walk->chosen || strcmp(reason, "installed") == 0;
}

static void add_packs(struct doctor *doctor) {
    char source[64];
    const char *named = fm_config_text(&doctor->program->config, OPT_PACK);
    struct pack_walk walk = {doctor, named != NULL};
    fm_doctor_section(doctor, "packs");
    if (named)
        fm_doctor_add(doctor, VERDICT_INFO, "pack", named, NULL, "named by %s",
                      fm_config_source(&doctor->program->config, OPT_PACK, source));
    fm_packs_visit(add_pack, &walk);
}

/* The last finding: what all of it means. */
static int conclude(struct doctor *doctor) {
    fm_doctor_section(doctor, "verdict");
    if (doctor->providers == 0)
        fm_doctor_add(doctor, VERDICT_BAD, "verdict", "networks", "see the remedies under providers",
                      "no provider can run networks here");
    if (doctor->bad > (doctor->providers == 0))
        fm_doctor_add(doctor, VERDICT_BAD, "verdict", "self-test", "report the lines marked bad", "failed checks: %d",
                      doctor->bad);
    if (doctor->bad == 0)
        fm_doctor_add(doctor, VERDICT_GOOD, "verdict", "facemill", NULL,
                      "providers that can run networks: %d; every check made passed", doctor->providers);
    return doctor->providers == 0 ? EXIT_UNAVAILABLE : doctor->bad ? EXIT_CHECK : EXIT_DONE;
}

int fm_command_doctor(struct program *program) {
    struct doctor doctor = {.program = program};
    fm_error error = {0};
    if (program->config.argument_count)
        return fm_complain_usage(&program->config, "'%s': doctor takes no arguments", program->config.arguments[0]);
    if (fm_output_open(&doctor.output, &program->config, &error))
        return fm_complain(&program->config, &error);
    fm_doctor_machine(&doctor);
    fm_doctor_accelerators(&doctor);
    fm_status status = add_providers(&doctor, &error);
    fm_doctor_libraries(&doctor);
    add_packs(&doctor);
    int code = EXIT_DONE;
    if (!status) {
        fm_doctor_selftest(&doctor);
        code = conclude(&doctor);
    }
    (void)!fm_output_close(&doctor.output, error.status == FM_OK, &error); /* its words are in `error` */
    return error.status ? fm_complain(&program->config, &error) : code;
}
