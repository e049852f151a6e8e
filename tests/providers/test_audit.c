/* Audit: reading profiles, and the diagnosis of what runtimes and loaders say. Pure; needs no library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "providers/ort/audit.h"
#include "providers/ort/probe.h"

#define NODE(name, op, provider, types)                                                                                \
    "{\"cat\" : \"Node\",\"pid\" :1,\"tid\" :2,\"dur\" :-3.5e2,\"ph\" : \"X\",\"name\" :\"" name                       \
    "_kernel_time\",\"args\" : {\"thread_scheduling_stats\" : \"\",\"output_type_shape\" : " types                     \
    ",\"input_type_shape\" : [{\"float\":[1,3]},{\"int64\":[4]}],\"provider\" : \"" provider "\",\"op_name\" : \"" op  \
    "\"}}"
#define FLOATS "[{\"float\":[1,3,8,8]}]"
#define INTEGERS "[{\"int64\":[4]}]"
#define SESSION "{\"cat\" : \"Session\",\"name\" :\"model_run\",\"args\" : {}}"

static const char mixed[] =
    "[\n" SESSION ",\n" NODE("OpenVINO-1", "Subgraph", "OpenVINOExecutionProvider", FLOATS) ",\n" NODE(
        "odd \\\"one\\\"", "Det", "CPUExecutionProvider",
        FLOATS) ",\n" NODE("s", "Shape", "CPUExecutionProvider",
                           INTEGERS) "," NODE("c", "MemcpyToHost", "CPUExecutionProvider",
                                              FLOATS) "," NODE("g", "Gather", "CPUExecutionProvider",
                                                               FLOATS) ",\n"
                                                                       "{\"cat\" : \"Node\",\"name\" "
                                                                       ":\"x_fence_before\",\"args\" : {\"op_name\" : "
                                                                       "\"Det\"}}\n]\n";

static void computation_elsewhere_is_named(void **state) {
    struct audit_report report;
    (void)state;
    assert_true(fm_ort_profile_read(mixed, sizeof mixed - 1, "OpenVINOExecutionProvider", &report));
    assert_int_equal(report.own, 1);
    assert_int_equal(report.foreign, 2); /* Det, and a Gather of floats; Shape on int64 and the copy are bookkeeping */
    assert_string_equal(report.names, "Det 'odd \"one\"' (CPUExecutionProvider), Gather 'g' (CPUExecutionProvider)");
}

static void only_the_first_five_are_named(void **state) {
    char json[8192] = "[";
    struct audit_report report;
    (void)state;
    for (int i = 0; i < 9; i++) {
        strcat(json, i ? "," NODE("n", "Det", "CPUExecutionProvider", FLOATS)
                       : NODE("n", "Det", "CPUExecutionProvider", FLOATS));
    }
    strcat(json, "]");
    assert_true(fm_ort_profile_read(json, strlen(json), "CUDAExecutionProvider", &report));
    assert_int_equal(report.foreign, 9);
    int named = 0;
    for (const char *at = report.names; (at = strstr(at, "Det")) != NULL; at++) {
        named++;
    }
    assert_int_equal(named, 5);
}

static void mixed_outputs_are_computation(void **state) {
    static const char json[] =
        "[" NODE("m", "Split", "CPUExecutionProvider",
                 "[{\"int64\":[4]},{\"float\":[1]}]") "," NODE("e", "Shape", "CPUExecutionProvider", "[]") "]";
    struct audit_report report;
    (void)state;
    assert_true(fm_ort_profile_read(json, sizeof json - 1, "CUDAExecutionProvider", &report));
    assert_int_equal(report.foreign, 2);
}

/* Every prefix and every single damaged byte: no crash, no read past the end (AddressSanitizer), and no prefix passes.
 */
static void damaged_profiles_are_survived(void **state) {
    struct audit_report report;
    (void)state;
    for (size_t size = 0; size < sizeof mixed - 3; size++) {
        char *copy = malloc(size ? size : 1);
        memcpy(copy, mixed, size);
        assert_false(fm_ort_profile_read(copy, size, "x", &report));
        free(copy);
    }
    for (size_t i = 0; i < sizeof mixed - 1; i++) {
        static const char damage[] = {'"', '{', '[', ']', '}', ',', '\\', '\0', (char)0xff};
        for (size_t k = 0; k < sizeof damage; k++) {
            char *copy = malloc(sizeof mixed - 1);
            memcpy(copy, mixed, sizeof mixed - 1);
            copy[i] = damage[k];
            (void)!fm_ort_profile_read(copy, sizeof mixed - 1, "x", &report);
            free(copy);
        }
    }
}

static void deep_nesting_is_refused(void **state) {
    const size_t size = 1u << 20;
    char *deep = malloc(size);
    struct audit_report report;
    (void)state;
    memset(deep, '[', size);
    memcpy(deep, "[{\"a\":", 6);
    assert_false(fm_ort_profile_read(deep, size, "x", &report));
    free(deep);
}

static void words_become_reason_and_remedy(void **state) {
    static const struct {
        const char *words, *reason, *remedy;
    } cases[] = {
        {"x.cc:12 Get() Failed to load library /a/libonnxruntime_providers_cuda.so with error: libcudart.so.12: cannot "
         "open "
         "shared object file: No such file or directory",
         "libcudart.so.12", "CUDA toolkit"},
        {"libcuda.so.1: cannot open shared object file: No such file or directory", "libcuda.so.1", "NVIDIA driver"},
        {"(libcudnn.so.9: cannot open shared object file: No such file or directory)", "libcudnn.so.9", "cuDNN"},
        {"libnvinfer.so.10: cannot open shared object file", "libnvinfer.so.10", "TensorRT"},
        {"libweird.so.3: cannot open shared object file", "libweird.so.3", "libweird.so.3"},
        {"CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", "driver version", "update"},
        {"CUDA failure 100: no CUDA-capable device is detected ; GPU=0", "no CUDA-capable", "nvidia-smi"},
        {"CUDA failure 101: invalid device ordinal", "ordinal", "--device"},
        {"something\nelse entirely\n", "something else entirely", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct provider_probe why;
        fm_ort_explain(cases[i].words, &why);
        assert_non_null(strstr(why.reason, cases[i].reason));
        assert_non_null(strstr(why.remedy, cases[i].remedy));
        assert_true(cases[i].remedy[0] || !why.remedy[0]);
        assert_null(strchr(why.reason, '\n'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computation_elsewhere_is_named), cmocka_unit_test(only_the_first_five_are_named),
        cmocka_unit_test(mixed_outputs_are_computation),  cmocka_unit_test(damaged_profiles_are_survived),
        cmocka_unit_test(deep_nesting_is_refused),        cmocka_unit_test(words_become_reason_and_remedy),
    };
    return cmocka_run_group_tests_name("audit and diagnosis", tests, NULL, NULL);
}
