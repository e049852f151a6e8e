/* make_test_pack: write a pack of small networks with known answers into a folder. */
#include <stdio.h>
#include <string.h>

#include "support/onnx_maker.h"

static void help(FILE *out) {
    fprintf(out, "usage: make_test_pack DIR [--variant NAME]\n\n"
                 "Writes small ONNX networks with known answers (tests/support/onnx_maker.h) into DIR.\n\n"
                 "  --variant NAME   which pack (default: stock)\n");
    for (size_t i = 0; fm_maker_pack(i) != NULL; i++) {
        fprintf(out, "      %-12s %s\n", fm_maker_pack(i)->name, fm_maker_pack(i)->about);
    }
}

int main(int argc, char **argv) {
    const char *folder = NULL, *variant = "stock";
    fm_error error = {FM_OK, ""};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            help(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--variant") == 0 && i + 1 < argc) {
            variant = argv[++i];
        } else if (folder == NULL && argv[i][0] != '-') {
            folder = argv[i];
        } else {
            help(stderr);
            return 2;
        }
    }
    if (folder == NULL) {
        help(stderr);
        return 2;
    }
    if (fm_maker_write(folder, variant, &error) != FM_OK) {
        fprintf(stderr, "make_test_pack: %s\n", error.message);
        return 1;
    }
    return 0;
}
