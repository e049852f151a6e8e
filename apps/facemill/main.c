/* facemill: the program. The table below is what it can do; each row is one file. */
#include "output.h"
#include "program.h"

#include "base/os.h"
#include "base/os_program.h"

#include <stdio.h>
#include <string.h>

#define TWO_SIDES                                                                                                      \
    "A and B say what differs: providers, then options as KEY=VALUE, separated by commas:\n"                           \
    "  ort:cpu                         one provider (strict)\n"                                                        \
    "  ort:cuda,precision=fp16         a provider and a precision\n"                                                   \
    "  pack=DIR                        another pack; whatever is not said is taken from the other options\n"           \
    "  ort:cpu,pack=DIR,det-size=128,640,threads=1\n"

struct command {
    struct command_text text;
    int (*run)(struct program *program);
};

static const struct command commands[] = {
    {{"analyze", ON_ANALYZE, "INPUT...", "Find the faces of images and compute their embeddings",
      "An INPUT is an image file of any name, a folder (its .jpg .jpeg .jpe .jfif .png .webp .heic .heif .hif .avif "
      "files,\n"
      "in the order of their names; names that start with a dot are left out), or - for one encoded image on standard\n"
      "input. Records come in the order of the inputs. An image that cannot be used is an error record, never the "
      "end.\n\n"
      "jsonl, one line per image, in pixels of the upright image:\n"
      "  {\"path\",\"width\",\"height\",\"faces\":[{\"box\":[x1,y1,x2,y2],\"score\",\"landmarks\":[[x,y] x5],\n"
      "   \"embedding\":[raw],\"embedding_norm\"}]}\n"
      "  {\"path\",\"error\":{\"code\",\"message\",\"help\"}}\n"
      "The last line on standard error names the pack, why it was chosen, and the provider of each model.\n",
      "  facemill analyze photo.jpg\n"
      "  facemill analyze --pack buffalo_l photos/ --recursive > faces.jsonl\n"
      "  facemill analyze --worker http://10.0.0.5:8001 photos/ > faces.jsonl\n"
      "  facemill analyze --provider ort:cuda,ort:cpu --output faces.jsonl --summary summary.json --from-file "
      "list.txt\n"
      "  curl -s URL | facemill analyze --embedding base64 -\n"},
     fm_command_analyze},
    {{"detect", ON_DETECT, "INPUT...", "Find the faces of images, without embeddings",
      "Inputs and output are those of 'facemill analyze'; records have no embeddings.\n",
      "  facemill detect --det-size 128,640 --draw annotated/ photos/\n"
      "  facemill detect --max-faces 1 --face-metric area portrait.jpg\n"},
     fm_command_detect},
    {{"compare", ON_COMPARE, "A B", "Compare the largest faces of two images",
      "Prints the similarity (cosine of the embeddings, -1 to 1) and whether it reaches --threshold. The verdict does "
      "not\n"
      "change the exit code; an image without a face is 1.\n",
      "  facemill compare passport.jpg selfie.jpg\n"
      "  facemill compare --threshold 0.5 --format jsonl a.jpg b.jpg\n"},
     fm_command_compare},
    {{"crop", ON_CROP, "INPUT...", "Cut faces out, aligned as recognisers expect them",
      "Each record's faces have \"crop\", the PNG file written into --dir.\n",
      "  facemill crop --dir crops photos/\n"
      "  facemill crop --dir crops --size 224 --max-faces 1 portrait.jpg\n"},
     fm_command_crop},
    {{"models", ON_MODELS, "list | show [PACK|FILE] | verify [PACK|FILE] | add PATH | pull NAME | remove NAME",
      "List packs, look into one, check one, install or remove one",
      "list    packs that can be used by name, and known ones that can be fetched: size, licence, whether installed\n"
      "show    the files of a pack: task, input, outputs, operators, multiply-adds, memory, SHA-256, licence, what\n"
      "        its makers say of it, and which providers run them; of one FILE also why others do not\n"
      "verify  read every file, compare it with the manifest, open the pack on its providers and run each model on a\n"
      "        known input; 4 when a check fails\n"
      "add     install the .onnx file, folder or zip file PATH as a pack: copied, looked at, given a manifest\n"
      "pull    fetch a known pack and install it. Its licence is shown, with --quiet too, and must be accepted\n"
      "        first: asked on a terminal, --accept-license elsewhere. A download that was cut goes on where it\n"
      "        ended; 4 when a digest is wrong\n"
      "remove  remove an installed pack (the one that is built in stays)\n\n"
      "add and pull install a pack whole or not at all; one of the same name stays as it is, or with --replace\n"
      "until the new one is complete. Nothing is ever fetched by another action.\n",
      "  facemill models list\n"
      "  facemill models show buffalo_l\n"
      "  facemill models verify --provider ort:cpu ./my_pack\n"
      "  facemill models add antelopev2.zip --licence 'non-commercial research'\n"
      "  facemill models pull buffalo_l\n"},
     fm_command_models},
    {{"providers", ON_PROVIDERS, "", "List what can run networks here, and what is missing for the rest",
      "In order of preference. Exit code 3 when none is available.\n",
      "  facemill providers\n"
      "  facemill providers --ort-library ./libonnxruntime.so --format jsonl\n"},
     fm_command_providers},
    {{"doctor", ON_DOCTOR, "",
      "Examine this machine: processor, memory, accelerators, libraries, providers, packs, self-test",
      "The self-test decodes built-in pictures, aligns a drawn face with a known answer and, where a pack can be "
      "opened,\n"
      "checks that answers do not depend on repetition or batching. Exit code 3 when nothing can run networks, 4 when "
      "the\n"
      "self-test fails.\n",
      "  facemill doctor\n"
      "  facemill doctor --pack buffalo_l --format jsonl\n"},
     fm_command_doctor},
    {{"bench", ON_BENCH, "[INPUT...]", "Measure speed: per stage, per image, and many images at once",
      "Without INPUT, four pictures with 12 schematic faces are drawn in memory. Each pass analyzes every picture "
      "alone\n"
      "(latency, stages), then all together (rates). Passes before the timed ones: --warmup. Peak memory\n"
      "is the process's so far, so that the first row of several is its own.\n",
      "  facemill bench --pack buffalo_l photos/\n"
      "  facemill bench --providers ort:cuda,ort:openvino,ort:cpu --iterations 50 --format jsonl photo.jpg\n"},
     fm_command_bench},
    {{"validate", ON_VALIDATE, "A B", "Compare two providers, precisions or packs on the same pictures",
      TWO_SIDES
      "\nPasses when both sides find the same faces in the same order within the limits. Listed apart and not counted: "
      "faces\n"
      "with a rival anchor, whose box and points rounding alone decides; faces whose score is within 0.002 of the\n"
      "threshold or of their neighbour in the order. Exit code 0: pass, 4: fail.\n",
      "  facemill validate ort:cpu ort:openvino --pack buffalo_l --images photos/\n"
      "  facemill validate pack=./fp32 pack=./int8 --provider ort:cpu --images photos/ --draw out/ --format jsonl\n"},
     fm_command_validate},
    {{"serve", ON_SERVE, "", "Serve faces over HTTP: many clients, one engine, common batches",
      "POST /detect and /detect-batch (the GPU worker's interface), /v1 (our own; GET /openapi.json), /extract and\n"
      "/predict (as InsightFace-REST and immich have them), GET / /healthz /readyz /metrics. docs/serve.md has the\n"
      "routes.\n\n"
      "The first line on standard output comes when requests are taken: JSON in a pipe, words on a terminal.\n"
      "SIGTERM, Ctrl-C: nothing new is taken, what was accepted is answered within --grace, exit 0. SIGHUP: config\n"
      "file, tokens and certificate are read again, and another pack takes over; what fails leaves its old one.\n"
      "SIGUSR1, SIGUSR2: log more, log less.\n",
      "  facemill serve --pack buffalo_l\n"
      "  facemill serve --listen 0.0.0.0:8001 --token-file tokens --access-log json\n"
      "  facemill serve --listen unix:/run/facemill.sock --idle-unload 600\n"},
     fm_command_serve},
    {{"completion", ON_COMPLETION, "bash | zsh | fish", "Print the completion of a shell",
      "Made from the table of options. An installation puts them where the shells look; without one:\n",
      "  facemill completion bash > ~/.local/share/bash-completion/completions/facemill\n"
      "  facemill completion zsh > _facemill    # into a folder of $fpath\n"
      "  facemill completion fish > ~/.config/fish/completions/facemill.fish\n"},
     fm_command_completion},
    {{"manual", ON_MANUAL, "", "Print the man page", "Made from the table of options.\n",
      "  facemill manual --output facemill.1 && man ./facemill.1\n"},
     fm_command_manual},
    {{"version", ON_VERSION, "", "Say which facemill this is and how it was built", "",
      "  facemill version --format jsonl\n"},
     fm_command_version},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const char exit_codes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  some inputs failed, the others are done; each has an error record\n"
    "  2  usage: the command line, a variable or the config file is wrong\n"
    "  3  a pack, model, provider or runtime is not available\n"
    "  4  a check failed (validate, models verify, doctor)\n"
    "  5  the job could not go on: output cannot be written (full disk), out of memory, a defect of facemill\n"
    "  130, 143  interrupted: images in flight are finished and written first; a second Ctrl-C stops at once\n"
    "A reader that closes the pipe ends the job quietly. 'facemill serve' that was told to stop ends with 0.\n";

const struct command_text *fm_command_text(size_t index) {
    return index < COMMAND_COUNT ? &commands[index].text : NULL;
}

const char *fm_exit_code_words(void) {
    return exit_codes;
}

static void print_help(FILE *stream) {
    struct text text = {0};
    fm_text_add(
        &text, "facemill %s: images in, faces out.\n\nUsage: facemill COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n",
        fm_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fm_text_add(&text, "  %-10s %s\n", commands[i].text.name, commands[i].text.summary);
    fm_text_add(&text, "\n'facemill COMMAND --help' has the options of a command.\n\n");
    fm_config_help_sources(&text);
    fm_text_add(
        &text,
        "\nGuides: install.md, providers.md, troubleshooting.md and others, in docs/ of the sources and in\n"
        "share/doc/facemill where facemill is installed. An error ends with the section that explains it\n"
        "(troubleshooting.md#no_provider).\n"
        "\nWhich pack: --pack, then FM_PACK, then the config file, then an installed pack, then the built-in one;\n"
        "~/.insightface only when named. The summary says which it was and why.\n\n%s\nExamples:\n"
        "  facemill doctor\n"
        "  facemill analyze --pack buffalo_l photos/ > faces.jsonl\n"
        "  facemill validate ort:cpu ort:cuda --pack buffalo_l --images photos/\n",
        exit_codes);
    fputs(fm_text_chars(&text), stream);
    fm_text_reset(&text);
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].text.name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int complain_command(const char *name) {
    const char *nearest = NULL;
    int best = 3;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        int distance = fm_edit_distance(name, commands[i].text.name, 2);
        if (distance < best) {
            best = distance;
            nearest = commands[i].text.name;
        }
    }
    fprintf(stderr, "facemill: unknown command '%s'%s%s%s; 'facemill --help' lists the commands\n", name,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    fm_complain_help(NULL, FM_INVALID_ARGUMENT);
    return EXIT_USAGE;
}

/* Text on standard output; 5 when it could not be written. */
static int print_text(const struct config *config, struct text *text) {
    bool good = !text->failed && fputs(fm_text_chars(text), stdout) >= 0 && fflush(stdout) == 0;
    fm_text_reset(text);
    if (!good) {
        perror("facemill: cannot write to standard output");
        fm_complain_help(config, FM_IO);
    }
    return good ? EXIT_DONE : EXIT_INTERNAL;
}

static void on_signal(int number, void *user) {
    struct program *program = user;
    atomic_store(&program->interrupted, number);
    fputs("\nfacemill: stopping after the images in flight; once more stops at once\n", stderr);
}

static int run_command(const struct command *command, int argc, char **argv) {
    struct program program = {.self = argv[0], .argument_count = argc - 2, .arguments = argv + 2};
    struct text text = {0};
    fm_error error = {0};
    int code;
    if (fm_config_parse(&program.config, &command->text, argc - 2, argv + 2, &error)) {
        code = fm_complain(&program.config, &error);
        code = error.status == FM_OUT_OF_MEMORY ? code : EXIT_USAGE; /* a config file that cannot be read, too */
    } else if (program.config.help) {
        fm_config_help(&command->text, &text);
        code = print_text(&program.config, &text);
    } else if (fm_config_flag(&program.config, OPT_PRINT_CONFIG)) {
        fm_config_print(&program.config, &text);
        code = print_text(&program.config, &text);
    } else if (fm_output_suits(&program.config, &error)) {
        code = fm_complain(&program.config, &error);
    } else if (!fm_signals_watch(on_signal, &program)) {
        fputs("facemill: not enough memory to start a thread\n", stderr);
        fm_complain_help(&program.config, FM_OUT_OF_MEMORY);
        code = EXIT_INTERNAL;
    } else {
        code = command->run(&program);
    }
    fm_config_reset(&program.config);
    return code;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    fm_standard_streams_guard();
    if (!name || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(name ? stdout : stderr);
        return name ? EXIT_DONE : EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *command = find_command(name);
    return command ? run_command(command, argc, argv) : complain_command(name);
}
