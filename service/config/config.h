/* Options: one table feeds the command line, the environment, the config file, --help and --print-config.
   Precedence: command line, environment, config file, default. A config belongs to one thread. */
#ifndef FM_CONFIG_CONFIG_H
#define FM_CONFIG_CONFIG_H

#include "base/error.h"
#include "base/text.h"

/* Commands an option belongs to, as bits. */
#define ON_ANALYZE (1u << 0)
#define ON_DETECT (1u << 1)
#define ON_COMPARE (1u << 2)
#define ON_CROP (1u << 3)
#define ON_MODELS (1u << 4)
#define ON_PROVIDERS (1u << 5)
#define ON_DOCTOR (1u << 6)
#define ON_BENCH (1u << 7)
#define ON_VALIDATE (1u << 8)
#define ON_VERSION (1u << 9)
#define ON_COMPLETION (1u << 10)
#define ON_MANUAL (1u << 11)
#define ON_SERVE (1u << 12)
#define ON_ALL 0xffffffffu
#define ON_RECORDS (ON_ALL & ~(ON_COMPLETION | ON_MANUAL)) /* those that print records */

/* Of the records' form (docs/output.md): grows when a field changes its meaning or goes, not when one is added. */
#define OUTPUT_VERSION 1

/* In the order of --help. */
enum option_id {
    OPT_PACK,
    OPT_PROVIDER,
    OPT_POLICY,
    OPT_PROVIDER_OPTION,
    OPT_ORT_LIBRARY,
    OPT_DEVICE,
    OPT_GPU_MEM_LIMIT,
    OPT_PRECISION,
    OPT_THREADS,
    OPT_BATCH,
    OPT_MAX_BATCH,
    OPT_MAX_WAIT_US,
    OPT_QUEUE_DEPTH,
    OPT_CPU_MASK,
    OPT_WORKER,
    OPT_WORKER_POLICY,
    OPT_WORKER_TOKEN_FILE,
    OPT_WORKER_TIMEOUT,
    OPT_DET_SIZE,
    OPT_DET_THRESHOLD,
    OPT_MAX_FACES,
    OPT_FACE_METRIC,
    OPT_MIN_FACE,
    OPT_FROM_FILE,
    OPT_RECURSIVE,
    OPT_ACCEPT_TRUNCATED,
    OPT_MAX_FILE_SIZE,
    OPT_MAX_PIXELS,
    OPT_MAX_WIDTH,
    OPT_MAX_HEIGHT,
    OPT_DEADLINE,
    OPT_FORMAT,
    OPT_EMBEDDING,
    OPT_OUTPUT,
    OPT_SUMMARY,
    OPT_DRAW,
    OPT_THRESHOLD,
    OPT_DIR,
    OPT_SIZE,
    OPT_IMAGES,
    OPT_LIMIT_COSINE,
    OPT_LIMIT_BOX,
    OPT_LIMIT_LANDMARK,
    OPT_PROVIDERS,
    OPT_ITERATIONS,
    OPT_WARMUP,
    OPT_NAME,
    OPT_REPLACE,
    OPT_LICENCE,
    OPT_LICENCE_URL,
    OPT_MODEL_OPTION,
    OPT_ACCEPT_LICENSE,
    OPT_INDEX,
    OPT_MIRROR,
    OPT_LISTEN,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TOKEN_FILE,
    OPT_CORS_ORIGIN,
    OPT_MAX_BODY,
    OPT_MAX_BODIES,
    OPT_MAX_CONNECTIONS,
    OPT_IDLE_TIMEOUT,
    OPT_REQUEST_DEADLINE,
    OPT_GRACE,
    OPT_IDLE_UNLOAD,
    OPT_ALLOW_URL_HOST,
    OPT_ACCESS_LOG,
    OPT_ACCESS_LOG_FILE,
    OPT_QUIET,
    OPT_LOG_LEVEL,
    OPT_CONFIG,
    OPT_PRINT_CONFIG,
    OPT_COUNT
};

enum option_type {
    OPTION_FLAG,    /* --name, --no-name, or yes|no */
    OPTION_TEXT,    /* anything but "" */
    OPTION_INTEGER, /* low..high */
    OPTION_NUMBER,  /* low..high */
    OPTION_BYTES,   /* a whole number with K, M, G or T behind it (powers of 1024) */
    OPTION_CHOICE,  /* one word of choices "a|b|c" */
    OPTION_SIZES,   /* 640 or 128,640: multiples of 32 */
    OPTION_DEVICE,  /* cpu or an index */
    OPTION_PAIR,    /* P:KEY=VALUE; may be repeated */
    OPTION_LIST     /* a text that may be repeated */
};

enum option_group {
    GROUP_ENGINE,
    GROUP_FACES,
    GROUP_INPUT,
    GROUP_OUTPUT,
    GROUP_COMMAND,
    GROUP_SERVER,
    GROUP_GENERAL,
    GROUP_COUNT
};

/* A row of the option table. */
struct option_row {
    const char *name;  /* without dashes; the config key; FM_ + upper case with _ in the environment */
    const char *alias; /* another spelling, everywhere; NULL */
    enum option_type type;
    const char *value_name; /* "DIR|NAME" in --help; NULL for flags */
    const char *fallback;   /* default as one would type it; NULL: unset */
    const char *choices;
    double low, high;
    enum option_group group;
    uint32_t commands;
    const char *help;
};
const struct option_row *fm_option_row(enum option_id id);
/* The row named by `name` (or its alias) of `length` characters; OPT_COUNT when there is none. */
enum option_id fm_option_find(const char *name, size_t length);
/* The nearest name among the options of `commands`; NULL when nothing is near. */
const char *fm_option_suggest(const char *name, uint32_t commands);
/* "FM_DET_SIZE" of "det-size". */
void fm_option_variable(const char *name, char *out, size_t size);
/* A variable without FM_ that other programs read for the same purpose; FM_'s goes before it. NULL: none. */
const char *fm_option_other_variable(enum option_id id);

/* Who gave a value; a larger one wins. */
enum option_source { SOURCE_DEFAULT = 0, SOURCE_FILE = 1, SOURCE_ENVIRONMENT = 2, SOURCE_COMMAND = 3 };

struct option_value {
    enum option_source source;
    const char *text;   /* the last one given; NULL: unset */
    const char **items; /* OPTION_PAIR, OPTION_LIST: all of them, in order */
    size_t count;
};

/* What one command shows of itself; the rest of its --help comes from the option table. */
struct command_text {
    const char *name;
    uint32_t bit;
    const char *arguments; /* "INPUT..." */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs; may be "" */
    const char *examples;  /* lines as typed */
};

/* Everything that one run of the program was told. {0}, then fm_config_parse. */
struct config {
    const struct command_text *command;
    struct option_value values[OPT_COUNT];
    const char **arguments; /* what is not an option, in order */
    size_t argument_count;
    char file[4096]; /* config file that was read; "" when none was */
    bool help;       /* --help was given: nothing else was checked */
    struct arena arena;
};

/* Take argv[0..argc) (what follows the command's name), then the environment, then the config file. Strings of argv and
   the environment are not copied. FM_INVALID_ARGUMENT: words name the option, its value, its place and what was
   expected. */
FM_MUST_USE fm_status fm_config_parse(struct config *config, const struct command_text *command, int argc, char **argv,
                                      fm_error *error);
void fm_config_reset(struct config *config);
/* A copy that can be changed by fm_config_set; `parent` must outlive it. */
void fm_config_derive(struct config *child, const struct config *parent);
/* Give one option as if it stood on the command line. `where` is its place in error words ("A of validate"). */
FM_MUST_USE fm_status fm_config_set(struct config *config, const char *name, const char *value, const char *where,
                                    fm_error *error);

/* Values, checked when they were parsed. */
bool fm_config_given(const struct config *config, enum option_id id);       /* by anyone but the default */
const char *fm_config_text(const struct config *config, enum option_id id); /* NULL when unset */
bool fm_config_flag(const struct config *config, enum option_id id);
int64_t fm_config_integer(const struct config *config, enum option_id id); /* 0 when unset; also OPTION_BYTES */
double fm_config_number(const struct config *config, enum option_id id);   /* 0 when unset */
bool fm_config_is(const struct config *config, enum option_id id, const char *word);
/* Whole numbers of an OPTION_SIZES into out[0..room), zero-ended where there is room. */
void fm_config_sizes(const struct config *config, enum option_id id, int *out, size_t room);
/* "--pack", "FM_PACK", "config", "default". `out` holds 64 characters. */
const char *fm_config_source(const struct config *config, enum option_id id, char out[64]);

/* Is `text` a value of `row`? When not, `expected` says what is. Pure. */
bool fm_value_check(const struct option_row *row, const char *text, char *expected, size_t size);
bool fm_value_flag(const char *text, bool *value);
bool fm_value_bytes(const char *text, uint64_t *value);
/* Position of the '=' in P:KEY=VALUE and of the last ':' before it; false when it is not one. */
bool fm_value_pair(const char *text, size_t *colon, size_t *equals);

/* file.c: `key = value` lines, '#' comments. Words name file and line. */
FM_MUST_USE fm_status fm_config_read(struct config *config, const char *path, fm_error *error);
/* For file.c: give `text` to an option, checked; a source of lower rank than the present one is ignored. */
FM_MUST_USE fm_status fm_config_assign(struct config *config, enum option_id id, const char *text,
                                       enum option_source source, const char *where, fm_error *error);

/* --help of one command, and --print-config (one JSON document), made from the table. */
void fm_config_help(const struct command_text *command, struct text *out);
void fm_config_print(const struct config *config, struct text *out);
/* The part of `facemill --help` about environment and config file. */
void fm_config_help_sources(struct text *out);

/* What the man page and the completions say beside the option table. */
struct program_text {
    const char *version;
    const char *exit_codes;                              /* as --help has them */
    const struct command_text *(*command)(size_t index); /* NULL behind the last one */
    const char *const *providers;
    size_t provider_count;
};
/* Word `index` of a command's arguments where these begin with a choice of words ("list | show [PACK] | ..."): its
   length, 0 behind the last one. */
size_t fm_command_word(const struct command_text *command, size_t index, const char **word);
/* manual.c: the man page, in the roff of man(7). */
void fm_config_manual(const struct program_text *program, struct text *out);
/* completion.c: for "bash", "zsh" or "fish"; false when `shell` is another. */
bool fm_config_completion(const struct program_text *program, const char *shell, struct text *out);

/* Number of single-character edits between two words, at most `limit` + 1. Pure. */
int fm_edit_distance(const char *a, const char *b, int limit);

#endif
