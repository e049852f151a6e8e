/* A runtime that says success and made nothing, because it had no memory even for its words (starved_runtime.c): every
   call that makes something must be answered by out_of_memory and never be followed. One process for each call. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "graphs.h"
#include "providers/ort/abi.h"

static const struct {
    int slot;
    const char *name;
} making[] = {
    {4, "CreateEnvWithCustomLogger"},
    {8, "CreateSessionFromArray"},
    {9, "Run"},
    {10, "CreateSessionOptions"},
    {36, "SessionGetInputName"},
    {37, "SessionGetOutputName"},
    {49, "CreateTensorWithDataAsOrtValue"},
    {51, "GetTensorMutableData"},
    {65, "GetTensorTypeAndShape"},
    {69, "CreateCpuMemoryInfo"},
    {78, "GetAllocatorWithDefaultOptions"},
};

/* Open a graph, run it once, read what came out. */
static fm_status open_and_run(const char *library, fm_error *error) {
    const struct runtime_options options = {.ort_library = library, .threads = 1};
    const struct provider *row = fm_provider_find("ort:cpu", strlen("ort:cpu"));
    struct buffer onnx = {0};
    struct session *session = NULL;
    struct run *run = NULL;
    struct tensor input = graph_input(1, 0.5f), outputs[FM_MAX_OUTPUTS];
    graph_affine(&onnx);
    const struct session_request request = graph_request("affine.onnx", &onnx);
    fm_status status = row->open(&options, &request, &session, error);
    if (status == FM_OK) {
        status = row->run_open(session, &run, error);
    }
    if (status == FM_OK) {
        status = row->submit(run, &input, error);
    }
    if (status == FM_OK) {
        status = row->wait(run, outputs, error);
    }
    if (run) {
        row->run_close(run);
    }
    row->close(session);
    fm_free_aligned(input.bytes);
    fm_buffer_reset(&onnx);
    return status;
}

/* The exit status of a process that does it with a starved call (0: with none); its words are on standard error. */
static int ended(int slot) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the parent's tests */
        signal(SIGABRT, SIG_DFL);
        char digits[16];
        fm_error error = {0};
        snprintf(digits, sizeof digits, "%d", slot);
        if (slot) {
            setenv("STARVED_SLOT", digits, 1);
        }
        const fm_status status = open_and_run(FM_STARVED_RUNTIME, &error);
        fprintf(stderr, "slot %d: %s\n", slot, error.message);
        _exit(status);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

/* The real library's path goes into STARVED_RUNTIME; false where there is none. */
static bool name_the_real_one(void) {
    const struct runtime_options options = {.threads = 1};
    struct provider_probe probe;
    char path[1024];
    fm_provider_find("ort:cpu", strlen("ort:cpu"))->probe(&options, &probe);
    return probe.available && sscanf(probe.detail, "%*[^(](%1023[^,)]", path) == 1 &&
           setenv("STARVED_RUNTIME", path, 1) == 0;
}

static void what_was_not_made_is_not_followed(void **state) {
    (void)state;
    if (!name_the_real_one()) {
        print_message("no ONNX Runtime: set FM_ORT_LIBRARY, or run the set-up\n");
        skip();
    }
    assert_int_equal(ended(0), FM_OK);
    for (size_t i = 0; i < sizeof making / sizeof *making; i++) {
        const int status = ended(making[i].slot);
        if (status != FM_OUT_OF_MEMORY) {
            fail_msg("%s made nothing: ended with %d, not with out_of_memory", making[i].name, status);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_not_made_is_not_followed)};
    return cmocka_run_group_tests_name("providers.starved", tests, NULL, NULL);
}
