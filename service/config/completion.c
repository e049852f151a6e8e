/* Completion: what a shell offers behind `facemill`, made from the tables of commands and options. bash takes no help
   beside its words, zsh and fish do. Pure. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

/* What may stand behind an option. */
enum value_kind { VALUE_NONE, VALUE_ANYTHING, VALUE_WORDS, VALUE_FILE, VALUE_FOLDER, VALUE_PROVIDERS };

static enum value_kind value_kind(enum option_id id) {
    const struct option_row *row = fm_option_row(id);
    if (row->type == OPTION_FLAG)
        return VALUE_NONE;
    if (row->choices || row->type == OPTION_DEVICE)
        return VALUE_WORDS;
    if (id == OPT_PROVIDER || id == OPT_PROVIDERS)
        return VALUE_PROVIDERS;
    if (row->type != OPTION_TEXT && row->type != OPTION_LIST)
        return VALUE_ANYTHING;
    if (strstr(row->value_name, "FILE") || strcmp(row->value_name, "LIST") == 0)
        return VALUE_FILE;
    return strstr(row->value_name, "DIR") ? VALUE_FOLDER : VALUE_ANYTHING;
}

/* What may stand behind a command, after its first words where it has such. */
static enum value_kind argument_kind(const struct command_text *command) {
    const char *word;
    if (command->bit == ON_VALIDATE)
        return VALUE_PROVIDERS;
    if (command->bit == ON_COMPARE || strstr(command->arguments, "INPUT") || strstr(command->arguments, "FILE"))
        return VALUE_FILE;
    return fm_command_word(command, 0, &word) ? VALUE_WORDS : VALUE_NONE;
}

size_t fm_command_word(const struct command_text *command, size_t index, const char **word) {
    const char *at = command->arguments;
    if (!strstr(at, " | "))
        return 0;
    while (index-- > 0) {
        at = strstr(at, " | ");
        if (!at)
            return 0;
        at += 3;
    }
    *word = at;
    return strspn(at, "abcdefghijklmnopqrstuvwxyz");
}

/* The inside of a word in single quotes: of `special`, each with a backslash before it; for a quote, `quote`. */
static void add_inside(struct text *out, const char *text, const char *special, const char *quote) {
    for (; *text; text++) {
        if (*text == '\'')
            fm_text_add(out, "%s", quote);
        else
            fm_text_add(out, "%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* "a|b|c" with spaces between; the words of the device option. */
static void add_choices(struct text *out, const struct option_row *row) {
    for (const char *c = row->choices ? row->choices : "cpu|0|1"; *c; c++)
        fm_text_add_bytes(out, *c == '|' ? " " : c, 1);
}

static void add_command_words(struct text *out, const struct command_text *command) {
    const char *word = NULL;
    size_t length;
    for (size_t i = 0; (length = fm_command_word(command, i, &word)) > 0; i++)
        fm_text_add(out, "%s%.*s", i ? " " : "", (int)length, word);
}

static void add_providers(struct text *out, const struct program_text *program) {
    for (size_t i = 0; i < program->provider_count; i++)
        fm_text_add(out, "%s%s", i ? " " : "", program->providers[i]);
}

/* ---- bash */

static const char bash_helpers[] =
    "# facemill(1) in bash                                        -*- shell-script -*-\n"
    "# Made by 'facemill completion bash' from the program's tables.\n"
    "\n"
    "# Offer those of the words that begin with $1. Where ':' ends a word, bash replaces what is behind it alone.\n"
    "_facemill_words() {\n"
    "    local IFS=$' \\t\\n' typed=$1 cut= offer\n"
    "    shift\n"
    "    [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]] && cut=${typed%\"${typed##*:}\"}\n"
    "    for offer in $(compgen -W \"$*\" -- \"$typed\"); do\n"
    "        COMPREPLY+=(\"${offer#\"$cut\"}\")\n"
    "    done\n"
    "    compopt +o default 2>/dev/null\n"
    "}\n"
    "\n"
    "# The same for a list with commas.\n"
    "_facemill_list() {\n"
    "    local typed=$1 before=\n"
    "    shift\n"
    "    [[ $typed == *,* ]] && before=${typed%,*},\n"
    "    _facemill_words \"$typed\" \"${@/#/$before}\"\n"
    "}\n"
    "\n"
    "_facemill() {\n"
    "    local -a words=()\n"
    "    local i last word cur prev name= value= options= negated= actions= arguments=\n"
    "    COMPREPLY=()\n"
    "    # bash ends words at ':' and '=' too: ort:cpu and --format=csv are put together again\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        last=$((${#words[@]} - 1))\n"
    "        if ((last > 0)) && [[ $word == [:=]* || ${words[last]} == *[:=] ]]; then\n"
    "            words[last]+=$word\n"
    "        else\n"
    "            words+=(\"$word\")\n"
    "        fi\n"
    "    done\n"
    "    last=$((${#words[@]} - 1))\n"
    "    cur=${words[last]} prev=${words[last - 1]}\n";

static const char bash_end[] = "    if [[ $cur == --no* ]]; then\n"
                               "        _facemill_words \"$cur\" $options $negated\n"
                               "    elif [[ $cur == -* ]]; then\n"
                               "        _facemill_words \"$cur\" $options --help\n"
                               "    elif [[ $actions ]]; then\n"
                               "        for word in \"${words[@]:2:last - 2}\"; do\n"
                               "            [[ \" $actions \" == *\" $word \"* ]] && actions=\n"
                               "        done\n"
                               "        [[ $actions ]] && _facemill_words \"$cur\" $actions\n"
                               "    elif [[ $arguments == none ]]; then\n"
                               "        compopt +o default 2>/dev/null\n"
                               "    elif [[ $arguments ]]; then\n"
                               "        _facemill_words \"$cur\" $arguments\n"
                               "    fi\n"
                               "}\n"
                               "# Where nothing is offered, names of files are.\n"
                               "complete -o default -F _facemill facemill\n";

static void bash_commands(const struct program_text *program, struct text *out) {
    const struct command_text *command;
    fm_text_add(out, "    if ((last < 2)); then\n        _facemill_words \"$cur\"");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++)
        fm_text_add(out, " %s", command->name);
    fm_text_add(out, " --help --version\n        return\n    fi\n");
    fm_text_add(out, "    case ${words[1]} in\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++) {
        fm_text_add(out, "    %s)\n        options='", command->name);
        for (int pass = 0; pass < 2; pass++) {
            for (int id = 0; id < OPT_COUNT; id++) {
                const struct option_row *row = fm_option_row((enum option_id)id);
                if ((row->commands & command->bit) && (pass == 0 || row->type == OPTION_FLAG))
                    fm_text_add(out, "--%s%s ", pass ? "no-" : "", row->name);
            }
            fm_text_add(out, pass ? "'\n" : "'\n        negated='");
        }
        fm_text_add(out, "        actions='");
        add_command_words(out, command);
        fm_text_add(out, "' arguments='");
        if (argument_kind(command) == VALUE_PROVIDERS)
            add_providers(out, program);
        else if (argument_kind(command) == VALUE_NONE)
            fm_text_add(out, "none");
        fm_text_add(out, "'\n        ;;\n");
    }
    fm_text_add(out, "    esac\n");
}

static void bash_value(const struct program_text *program, enum option_id id, struct text *out) {
    const struct option_row *row = fm_option_row(id);
    enum value_kind kind = value_kind(id);
    if (kind == VALUE_NONE)
        return;
    fm_text_add(out, "    --%s%s%s)\n        ", row->name, row->alias ? " | --" : "", row->alias ? row->alias : "");
    if (kind == VALUE_WORDS) {
        fm_text_add(out, "_facemill_words \"$value\" ");
        add_choices(out, row);
    } else if (kind == VALUE_PROVIDERS) {
        fm_text_add(out, "_facemill_list \"$value\" ");
        add_providers(out, program);
    } else if (kind == VALUE_FOLDER) {
        fm_text_add(out, "compopt +o default -o dirnames 2>/dev/null");
    } else if (kind == VALUE_ANYTHING) {
        fm_text_add(out, "compopt +o default 2>/dev/null");
    }
    fm_text_add(out, "%sreturn\n        ;;\n", kind == VALUE_FILE ? "" : "\n        ");
}

static void print_bash(const struct program_text *program, struct text *out) {
    fm_text_add_bytes(out, bash_helpers, sizeof bash_helpers - 1);
    bash_commands(program, out);
    fm_text_add(out, "    if [[ $cur == --*=* ]]; then\n        name=${cur%%%%=*} value=${cur#*=}\n"
                     "    elif [[ $prev == --* && $prev != *=* ]]; then\n        name=$prev value=$cur\n    fi\n"
                     "    case $name in\n");
    for (int id = 0; id < OPT_COUNT; id++)
        bash_value(program, (enum option_id)id, out);
    fm_text_add(out, "    esac\n");
    fm_text_add_bytes(out, bash_end, sizeof bash_end - 1);
}

/* ---- zsh */

#define ZSH_QUOTE "'\\''"
#define FISH_QUOTE "\\'"

static void zsh_option(enum option_id id, struct text *out) {
    const struct option_row *row = fm_option_row(id);
    enum value_kind kind = value_kind(id);
    bool repeated = row->type == OPTION_PAIR || row->type == OPTION_LIST;
    fm_text_add(out, "            '%s--%s%s[", repeated ? "*" : "", row->name, kind == VALUE_NONE ? "" : "=");
    add_inside(out, row->help, "[]\\", ZSH_QUOTE);
    fm_text_add(out, "]");
    if (kind != VALUE_NONE) {
        fm_text_add(out, ":");
        add_inside(out, row->value_name, ":\\", ZSH_QUOTE);
        fm_text_add(out, ":");
    }
    if (kind == VALUE_WORDS) {
        fm_text_add(out, "(");
        add_choices(out, row);
        fm_text_add(out, ")");
    }
    fm_text_add(out, "%s' \\\n",
                kind == VALUE_FILE        ? "_files"
                : kind == VALUE_FOLDER    ? "_files -/"
                : kind == VALUE_PROVIDERS ? "_facemill_providers"
                                          : "");
    if (kind == VALUE_NONE)
        fm_text_add(out, "            '--no-%s[not --%s]' \\\n", row->name, row->name);
}

static void zsh_command(const struct command_text *command, struct text *out) {
    enum value_kind kind = argument_kind(command);
    const char *word;
    fm_text_add(out, "        %s)\n            _arguments \\\n", command->name);
    for (int id = 0; id < OPT_COUNT; id++) {
        if (fm_option_row((enum option_id)id)->commands & command->bit)
            zsh_option((enum option_id)id, out);
    }
    if (fm_command_word(command, 0, &word)) {
        fm_text_add(out, "            '1:action:(");
        add_command_words(out, command);
        fm_text_add(out, ")' \\\n");
    }
    if (kind == VALUE_FILE || kind == VALUE_PROVIDERS)
        fm_text_add(out, "            '*:argument:%s' \\\n", kind == VALUE_FILE ? "_files" : "_facemill_providers");
    fm_text_add(out, "            '--help[how to use it]'\n            ;;\n");
}

static void print_zsh(const struct program_text *program, struct text *out) {
    const struct command_text *command;
    fm_text_add(out, "#compdef facemill\n# Made by 'facemill completion zsh' from the program's tables.\n\n"
                     "_facemill_providers() {\n    _sequence compadd - ");
    add_providers(out, program);
    fm_text_add(out, "\n}\n\n"
                     "_facemill() {\n    local context state state_descr line\n    local -a commands\n"
                     "    typeset -A opt_args\n    commands=(\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++) {
        fm_text_add(out, "        '%s:", command->name);
        add_inside(out, command->summary, "\\", ZSH_QUOTE);
        fm_text_add(out, "'\n");
    }
    fm_text_add(out,
                "    )\n    _arguments -C '(- *)--help[how to use it]' '(- *)--version[which facemill this is]' \\\n"
                "        '1:command:->command' '*::argument:->arguments' && return\n"
                "    case $state in\n    command)\n        _describe command commands\n        ;;\n"
                "    arguments)\n        case $words[1] in\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++)
        zsh_command(command, out);
    fm_text_add(out, "        esac\n        ;;\n    esac\n}\n\n"
                     "# Loaded by itself as a function, or sourced.\n"
                     "if [[ $funcstack[1] == _facemill ]]; then\n    _facemill \"$@\"\nelse\n"
                     "    compdef _facemill facemill\nfi\n");
}

/* ---- fish */

static void fish_value(const struct program_text *program, enum option_id id, struct text *out) {
    enum value_kind kind = value_kind(id);
    if (kind == VALUE_NONE)
        return;
    fm_text_add(out, kind == VALUE_FILE ? " -r -F" : " -x");
    if (kind == VALUE_WORDS) {
        fm_text_add(out, " -a '");
        add_choices(out, fm_option_row(id));
        fm_text_add(out, "'");
    } else if (kind == VALUE_PROVIDERS) {
        fm_text_add(out, " -a '(__fish_append , ");
        add_providers(out, program);
        fm_text_add(out, ")'");
    } else if (kind == VALUE_FOLDER) {
        fm_text_add(out, " -a '(__fish_complete_directories)'");
    }
}

static void fish_option(const struct program_text *program, enum option_id id, struct text *out) {
    const struct option_row *row = fm_option_row(id);
    const struct command_text *command;
    struct text condition = {0};
    fm_text_add(&condition, "-n '__fish_seen_subcommand_from");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++) {
        if (row->commands & command->bit)
            fm_text_add(&condition, " %s", command->name);
    }
    fm_text_add(&condition, "'");
    fm_text_add(out, "complete -c facemill %s -l %s", fm_text_chars(&condition), row->name);
    fish_value(program, id, out);
    fm_text_add(out, " -d '");
    add_inside(out, row->help, "\\", FISH_QUOTE);
    fm_text_add(out, "'\n");
    if (row->type == OPTION_FLAG)
        fm_text_add(out, "complete -c facemill %s -l no-%s -d 'not --%s'\n", fm_text_chars(&condition), row->name,
                    row->name);
    out->failed = out->failed || condition.failed;
    fm_text_reset(&condition);
}

static void fish_command(const struct program_text *program, const struct command_text *command, struct text *out) {
    enum value_kind kind = argument_kind(command);
    const char *word;
    fm_text_add(out, "complete -c facemill -n __fish_use_subcommand -a %s -d '", command->name);
    add_inside(out, command->summary, "\\", FISH_QUOTE);
    fm_text_add(out, "'\n");
    if (fm_command_word(command, 0, &word)) {
        fm_text_add(out,
                    "complete -c facemill -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ",
                    command->name);
        add_command_words(out, command);
        fm_text_add(out, "' -a '");
        add_command_words(out, command);
        fm_text_add(out, "'\n");
    }
    if (kind == VALUE_FILE)
        fm_text_add(out, "complete -c facemill -n '__fish_seen_subcommand_from %s' -F\n", command->name);
    if (kind == VALUE_PROVIDERS) {
        fm_text_add(out, "complete -c facemill -n '__fish_seen_subcommand_from %s' -a '", command->name);
        add_providers(out, program);
        fm_text_add(out, "'\n");
    }
}

static void print_fish(const struct program_text *program, struct text *out) {
    const struct command_text *command;
    fm_text_add(out, "# Made by 'facemill completion fish' from the program's tables.\ncomplete -c facemill -f\n"
                     "complete -c facemill -n __fish_use_subcommand -l version -d 'which facemill this is'\n"
                     "complete -c facemill -l help -d 'how to use it'\n");
    for (size_t i = 0; (command = program->command(i)) != NULL; i++)
        fish_command(program, command, out);
    for (int id = 0; id < OPT_COUNT; id++)
        fish_option(program, (enum option_id)id, out);
}

bool fm_config_completion(const struct program_text *program, const char *shell, struct text *out) {
    bool bash = strcmp(shell, "bash") == 0, zsh = strcmp(shell, "zsh") == 0, fish = strcmp(shell, "fish") == 0;
    if (bash)
        print_bash(program, out);
    if (zsh)
        print_zsh(program, out);
    if (fish)
        print_fish(program, out);
    return bash || zsh || fish;
}
