/* What every sub-command has in common: the parsed options, exit codes, opening an engine, words on standard error. */
#ifndef FM_PROGRAM_H
#define FM_PROGRAM_H

#include "config/config.h"

#include <stdatomic.h>

/* The program's answers; documented in `facemill --help`. An interrupt is 128 + the signal's number. */
enum exit_code {
    EXIT_DONE = 0,        /* everything done */
    EXIT_INPUTS = 1,      /* some inputs failed; the others are done */
    EXIT_USAGE = 2,       /* the command line, a variable or the config file is wrong */
    EXIT_UNAVAILABLE = 3, /* a pack, model, provider or runtime is not there or cannot be used */
    EXIT_CHECK = 4,       /* a check failed: validate, models verify, doctor's self-test */
    EXIT_INTERNAL = 5     /* the job could not go on: output cannot be written, out of memory, a defect */
};

struct program {
    struct config config;
    const char *self; /* argv[0] */
    char **arguments; /* what follows the command's name, as typed: serve reads it again */
    int argument_count;
    atomic_int interrupted; /* number of the signal that asked for the end; 0 */
    bool told_builtin;      /* fm_tell_builtin has spoken */
};

/* Sub-commands: one file each. They return an exit code. */
int fm_command_analyze(struct program *program);
int fm_command_bench(struct program *program);
int fm_command_compare(struct program *program);
int fm_command_completion(struct program *program);
int fm_command_crop(struct program *program);
int fm_command_detect(struct program *program);
int fm_command_doctor(struct program *program);
int fm_command_manual(struct program *program);
int fm_command_models(struct program *program);
int fm_command_providers(struct program *program);
int fm_command_serve(struct program *program);
int fm_command_validate(struct program *program);
int fm_command_version(struct program *program);

/* main.c: the table of commands, and what exit codes mean, as --help has them. */
const struct command_text *fm_command_text(size_t index); /* NULL behind the last one */
const char *fm_exit_code_words(void);

/* Exit code for a failure of the whole command. */
int fm_exit_code(fm_status status);
/* Where the guides explain a failure: "troubleshooting.md#no_provider". */
#define HELP_SIZE 96
void fm_help_place(const char *section, char out[HELP_SIZE]);
/* The same for errors, as a member "help" of the open JSON object. */
void fm_json_help(struct json *json, fm_status status);
/* Words on standard error: they may quote a file, an archive or a server, so control characters in them, which would
   speak to the terminal, become \xNN. `fm_say` makes a line of it, behind "facemill: ". */
void fm_show(const char *words);
void fm_say(const char *words);
/* "facemill: words" on standard error and, unless --quiet, where the guides explain it; the exit code that belongs to
   it. */
int fm_complain(const struct config *config, const fm_error *error);
/* That second line alone, for words of another kind. `config` may be NULL. */
void fm_complain_help(const struct config *config, fm_status status);
/* The same for a wrong command line: EXIT_USAGE, and where help is. */
int fm_complain_usage(const struct config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Engine options out of a config, with the storage they point into. The config must outlive it. */
struct engine_settings {
    fm_engine_options options;
    fm_limits limits;
    char pack_source[64];
    struct arena arena;
};
FM_MUST_USE fm_status fm_program_settings(struct engine_settings *settings, const struct config *config,
                                          fm_error *error);
void fm_program_settings_reset(struct engine_settings *settings);
/* Settings and open in one. */
FM_MUST_USE fm_status fm_program_open(const struct config *config, fm_engine **engine, fm_error *error);
/* When nobody named a pack and the one inside the library was taken: a line on standard error, once a run, that says so
   and how to get a stronger one. Not with --quiet. */
#define PACK_BUILTIN_REASON "built-in" /* fm_pack_info.reason, and that of fm_packs_visit */
#define PACK_STRONGER "buffalo_l"      /* of service/packs/known.c: a whole pack whose archive has a published digest */
void fm_tell_builtin(struct program *program, const fm_engine *engine);
fm_limits fm_program_limits(const struct config *config);
fm_log_level fm_program_log_level(const struct config *config);

/* "det_500m" of "det_500m.onnx"; `out` of `size`. */
void fm_model_stem(const char *file, char *out, size_t size);
/* The last part of a path. */
const char *fm_base_name(const char *path);

#endif
