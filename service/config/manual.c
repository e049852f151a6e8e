/* Manual: the man page facemill(1), made from the tables of commands and options. Roff reads '.' and ''' at the start
   of a line and '\' anywhere as its own: every text goes through add_roff. Pure. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_ENGINE] = "Models and providers",
    [GROUP_FACES] = "Faces",
    [GROUP_INPUT] = "Input",
    [GROUP_OUTPUT] = "Output",
    [GROUP_COMMAND] = "Of single commands",
    [GROUP_SERVER] = "Server",
    [GROUP_GENERAL] = "General",
};

static const struct {
    const char *name, *words;
} variables[] =
    {
        {"XDG_CONFIG_HOME", "Where the folder facemill with the config file is; ~/.config when unset."},
        {"XDG_DATA_HOME", "Where the folder facemill with packs and ONNX Runtime is; ~/.local/share when unset."},
        {"VIRTUAL_ENV, CONDA_PREFIX", "Python environments in which ONNX Runtime's library is looked for."},
        {"GPU_WORKER_URL", "The worker of --worker, where FM_WORKER is not set."},
        {"HOME", "The user's folder."},
},
  files[] = {
      {"~/.config/facemill/config",
       "The config file: lines 'det-size = 640'; lines starting with # are comments. --config names another."},
      {"~/.local/share/facemill/packs", "Installed packs, a folder each."},
      {"~/.local/share/facemill/ort", "ONNX Runtime's library, where the set-up puts it."},
      {"~/.insightface/models", "Packs of insightface, used only when named."},
};

/* The characters of `words` as themselves. Line ends stay. */
static void add_roff(struct text *out, const char *words, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = words[i];
        bool first = i == 0 || words[i - 1] == '\n';
        if (first && (c == '.' || c == '\''))
            fm_text_add(out, "\\&");
        if (c == '\\')
            fm_text_add(out, "\\e");
        else if (c == '-')
            fm_text_add(out, "\\-");
        else if (c == '\'')
            fm_text_add(out, "\\(aq");
        else if (c == '~')
            fm_text_add(out, "\\(ti");
        else if (c == '^')
            fm_text_add(out, "\\(ha");
        else if (c == '`')
            fm_text_add(out, "\\(ga");
        else
            fm_text_add_bytes(out, &c, 1);
    }
}

static void add_words(struct text *out, const char *words) {
    add_roff(out, words, strlen(words));
}

/* Lines shown as they are typed. */
static void add_verbatim(struct text *out, const char *lines) {
    fm_text_add(out, ".nf\n");
    add_words(out, lines);
    fm_text_add(out, "%s.fi\n", lines[0] && lines[strlen(lines) - 1] != '\n' ? "\n" : "");
}

/* A term in bold and its words, indented below. */
static void add_term(struct text *out, const char *term, const char *words) {
    fm_text_add(out, ".TP\n\\fB");
    add_words(out, term);
    fm_text_add(out, "\\fR\n");
    add_words(out, words);
    fm_text_add(out, "\n");
}

static void add_synopsis(const struct program_text *program, struct text *out) {
    const struct command_text *command;
    for (size_t i = 0; (command = program->command(i)) != NULL; i++) {
        fm_text_add(out, "%s\\fBfacemill ", i ? ".br\n" : "");
        add_words(out, command->name);
        fm_text_add(out, "\\fR [\\fIOPTION\\fR...]%s", command->arguments[0] ? " " : "");
        add_words(out, command->arguments);
        fm_text_add(out, "\n");
    }
    fm_text_add(out, ".br\n\\fBfacemill\\fR [\\fICOMMAND\\fR] \\fB\\-\\-help\\fR\n.br\n"
                     "\\fBfacemill \\-\\-version\\fR\n");
}

static void add_names_of_options(const struct command_text *command, struct text *out) {
    bool first = true;
    fm_text_add(out, ".PP\nOptions: ");
    for (int id = 0; id < OPT_COUNT; id++) {
        const struct option_row *row = fm_option_row((enum option_id)id);
        if (!(row->commands & command->bit))
            continue;
        fm_text_add(out, "%s\\fB\\-\\-", first ? "" : ",\n");
        add_words(out, row->name);
        fm_text_add(out, "\\fR");
        first = false;
    }
    fm_text_add(out, ".\n");
}

static void add_command(const struct command_text *command, struct text *out) {
    fm_text_add(out, ".SS facemill ");
    add_words(out, command->name);
    fm_text_add(out, "%s", command->arguments[0] ? " " : "");
    add_words(out, command->arguments);
    fm_text_add(out, "\n");
    add_words(out, command->summary);
    fm_text_add(out, ".\n");
    if (command->details[0]) {
        fm_text_add(out, ".PP\n");
        add_verbatim(out, command->details);
    }
    add_names_of_options(command, out);
}

static void add_option_commands(const struct program_text *program, const struct option_row *row, struct text *out) {
    const struct command_text *command;
    size_t all = 0, its = 0;
    for (; (command = program->command(all)) != NULL; all++)
        its += (row->commands & command->bit) != 0;
    if (its == all)
        return;
    fm_text_add(out, " For");
    for (size_t i = 0, said = 0; i < all; i++) {
        command = program->command(i);
        if (!(row->commands & command->bit))
            continue;
        fm_text_add(out, "%s %s", said++ ? "," : "", command->name);
    }
    fm_text_add(out, ".");
}

static void add_option(const struct program_text *program, const struct option_row *row, struct text *out) {
    const char *value = row->choices ? row->choices : row->value_name;
    fm_text_add(out, ".TP\n\\fB\\-\\-");
    add_words(out, row->name);
    fm_text_add(out, "\\fR");
    if (row->type == OPTION_FLAG) {
        fm_text_add(out, ", \\fB\\-\\-no\\-");
        add_words(out, row->name);
        fm_text_add(out, "\\fR");
    } else if (value) {
        fm_text_add(out, " \\fI");
        add_words(out, value);
        fm_text_add(out, "\\fR");
    }
    fm_text_add(out, "\n");
    add_words(out, row->help);
    fm_text_add(out, ".");
    if (row->fallback) {
        fm_text_add(out, " Default: ");
        add_words(out, row->fallback);
        fm_text_add(out, ".");
    }
    if (row->alias) {
        fm_text_add(out, " Also \\fB\\-\\-");
        add_words(out, row->alias);
        fm_text_add(out, "\\fR.");
    }
    add_option_commands(program, row, out);
    fm_text_add(out, "\n");
}

static void add_options(const struct program_text *program, struct text *out) {
    fm_text_add(out, ".SH OPTIONS\n.nf\n");
    struct text sources = {0};
    fm_config_help_sources(&sources);
    add_words(out, fm_text_chars(&sources));
    fm_text_reset(&sources);
    fm_text_add(out, ".fi\n");
    for (int group = 0; group < GROUP_COUNT; group++) {
        fm_text_add(out, ".SS %s\n", group_titles[group]);
        for (int id = 0; id < OPT_COUNT; id++) {
            const struct option_row *row = fm_option_row((enum option_id)id);
            if ((int)row->group == group)
                add_option(program, row, out);
        }
    }
    add_term(out, "--help", "The command's own help.");
}

static void add_environment(struct text *out) {
    fm_text_add(out, ".SH ENVIRONMENT\n");
    for (int id = 0; id < OPT_COUNT; id++) {
        char variable[80], words[160];
        fm_option_variable(fm_option_row((enum option_id)id)->name, variable, sizeof variable);
        snprintf(words, sizeof words, "The value of --%s, where the command line has none.",
                 fm_option_row((enum option_id)id)->name);
        add_term(out, variable, words);
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        add_term(out, variables[i].name, variables[i].words);
}

/* "Exit codes:" and lines "  0  done"; what follows without a number is prose. */
static void add_exit_status(const char *lines, struct text *out) {
    fm_text_add(out, ".SH EXIT STATUS\n");
    for (const char *line = lines; *line;) {
        size_t length = strcspn(line, "\n");
        size_t digits = strspn(line, " 0123456789,");
        if (line[0] == ' ' && digits > 2) {
            size_t end = digits;
            while (line[end - 1] == ' ')
                end--;
            fm_text_add(out, ".TP\n.B ");
            add_roff(out, line + 2, end - 2);
            fm_text_add(out, "\n");
            add_roff(out, line + digits, length - digits);
            fm_text_add(out, "\n");
        } else if (line != lines) {
            fm_text_add(out, ".PP\n");
            add_roff(out, line, length);
            fm_text_add(out, "\n");
        }
        line += length + (line[length] == '\n');
    }
}

void fm_config_manual(const struct program_text *program, struct text *out) {
    const struct command_text *command;
    fm_text_add(out, ".\\\" Made by 'facemill manual' from the program's tables.\n"
                     ".TH FACEMILL 1 \"\" \"facemill ");
    add_words(out, program->version);
    fm_text_add(out, "\" \"User Commands\"\n.SH NAME\nfacemill \\- images in, faces out\n.SH SYNOPSIS\n");
    add_synopsis(program, out);
    fm_text_add(out,
                ".SH DESCRIPTION\nFinds the faces of images, with landmarks and embeddings, and says which pack of "
                "models and which provider did it.\n.SH COMMANDS\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++)
        add_command(command, out);
    add_options(program, out);
    add_environment(out);
    fm_text_add(out, ".SH FILES\n");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        add_term(out, files[i].name, files[i].words);
    add_exit_status(program->exit_codes, out);
    fm_text_add(out, ".SH EXAMPLES\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++) {
        if (i)
            fm_text_add(out, ".PP\n");
        add_verbatim(out, command->examples);
    }
    fm_text_add(out, ".SH SEE ALSO\nThe guides in share/doc/facemill: install.md, providers.md, troubleshooting.md, "
                     "output.md and others.\n");
}
