/* Options and failures of providers that need other machines, against a fake runtime (fake_providers.c) that writes
   down what it is told. That the real ones accept it is for machines that have them: docs/GPU_RESULTS.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "graphs.h"

struct fake {
    void *library;
    const char *(*record)(void);
    void (*reset)(const char *library_words);
};
static struct fake fake;

static int load_fake(void **state) {
    (void)state;
    if (fm_library_open(FM_FAKE_PROVIDERS, &fake.library, NULL) != FM_OK) {
        return 1;
    }
    void *record = fm_library_symbol(fake.library, "fm_fake_record");
    void *reset = fm_library_symbol(fake.library, "fm_fake_reset");
    memcpy(&fake.record, &record, sizeof record);
    memcpy(&fake.reset, &reset, sizeof reset);
    return 0;
}

static int unload_fake(void **state) {
    (void)state;
    fm_library_close(fake.library);
    return 0;
}

/* Open a "model" of the fake's on a provider; the words of the failure that must come are in *error. */
static fm_status open_on(const char *provider, struct runtime_options options, const char *purpose,
                         fm_precision precision, const char *model, fm_error *error) {
    const struct buffer bytes = {.bytes = (uint8_t *)(uintptr_t)model, .size = strlen(model)};
    const struct provider *row = fm_provider_find(provider, strlen(provider));
    struct session_request request = graph_request("m.onnx", &bytes);
    struct session *session = NULL;
    *error = (fm_error){0};
    options.ort_library = FM_FAKE_PROVIDERS;
    request.purpose = purpose;
    request.precision = precision;
    const fm_status status = row->open(&options, &request, &session, error);
    row->close(session);
    return status;
}

static void expect_record(const char *part) {
    if (!strstr(fake.record(), part)) {
        fail_msg("'%s' is not in\n%s", part, fake.record());
    }
}

static void cuda_gets_the_fields_defaults(void **state) {
    const struct runtime_options options = {.device = 1};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_int_equal(open_on("ort:cuda", options, "detection", FM_PRECISION_AUTO, "open:CUDA failure 2: no", &error),
                     FM_NO_PROVIDER);
    expect_record("cuda: device_id=1 arena_extend_strategy=kSameAsRequested gpu_mem_limit=2147483648 "
                  "cudnn_conv_algo_search=EXHAUSTIVE do_copy_in_default_stream=1");
    expect_record("session: session.intra_op.allow_spinning=0");
    fake.reset("");
    assert_int_not_equal(open_on("ort:cuda", options, "deepfake", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("gpu_mem_limit=1073741824");
    fake.reset("");
    const struct runtime_options limited = {.gpu_mem_limit = 12345};
    assert_int_not_equal(open_on("ort:cuda", limited, "deepfake", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("gpu_mem_limit=12345");
}

/* What the runtime does to a graph is never held back: the answers are compared as the field gets them. */
static void every_graph_optimisation_is_asked_for(void **state) {
    static const char *const providers[] = {"ort:cpu", "ort:cuda", "ort:tensorrt"};
    const struct runtime_options options = {.threads = 1};
    fm_error error;
    (void)state;
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        fake.reset("");
        assert_int_not_equal(open_on(providers[i], options, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
        expect_record("optimization: level=99");
        assert_null(strstr(strstr(fake.record(), "level=99") + 1, "optimization"));
    }
}

/* A library is ours alone: its names do not join those of the program, where another runtime may be at home. */
static void a_librarys_names_stay_its_own(void **state) {
    const struct runtime_options options = {.threads = 1};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_int_not_equal(open_on("ort:cpu", options, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    assert_non_null(fm_library_symbol(fake.library, "OrtGetApiBase"));
    assert_null(fm_library_symbol(NULL, "OrtGetApiBase"));
    assert_null(fm_library_symbol(NULL, "fm_fake_record"));
    assert_non_null(fm_library_symbol(NULL, "malloc"));
}

static void callers_options_replace_and_extend(void **state) {
    const fm_provider_option chosen[] = {{"ort:cuda", "cudnn_conv_algo_search", "HEURISTIC"},
                                         {"ort:cpu", "other", "1"},
                                         {"ort:cuda", "enable_cuda_graph", "1"},
                                         {"ort:cuda", "session.disable_prepacking", "1"}};
    const struct runtime_options options = {.options = chosen, .option_count = 4};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_int_not_equal(open_on("ort:cuda", options, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("cudnn_conv_algo_search=HEURISTIC");
    expect_record("enable_cuda_graph=1");
    expect_record("session: session.disable_prepacking=1");
    assert_null(strstr(fake.record(), "EXHAUSTIVE"));
    assert_null(strstr(fake.record(), "other"));
}

static void tensorrt_keeps_its_engines(void **state) {
    char folder[4096], cache[4096 + 64];
    const struct runtime_options options = {.device = 0};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_true(fm_temporary_folder(folder, sizeof folder));
    snprintf(cache, sizeof cache, "trt_engine_cache_path=%s/facemill/tensorrt", folder);
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    assert_int_not_equal(open_on("ort:tensorrt", options, "detection", FM_PRECISION_FP16, "open:no", &error), FM_OK);
    expect_record("trt_engine_cache_enable=1");
    expect_record(cache);
    expect_record("trt_fp16_enable=1");
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    fm_folder_remove(folder);
}

static void the_exported_function_serves_without_options(void **state) {
    const fm_provider_option chosen = {"ort:migraphx", "migraphx_fp16_enable", "1"};
    const struct runtime_options plain = {.device = 1};
    const struct runtime_options options = {.device = 1, .options = &chosen, .option_count = 1};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_int_not_equal(open_on("ort:migraphx", plain, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("exported MIGraphX: device=1");
    fake.reset("");
    assert_int_not_equal(open_on("ort:migraphx", options, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("MIGraphX: device_id=1 migraphx_fp16_enable=1");
    assert_null(strstr(fake.record(), "exported"));
    fake.reset("");
    assert_int_not_equal(open_on("ort:migraphx", plain, "detection", FM_PRECISION_FP16, "open:no", &error), FM_OK);
    expect_record("migraphx_fp16_enable=1"); /* a precision is an option too */
    fake.reset("");
    assert_int_not_equal(open_on("ort:dml", plain, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("DML: device_id=1"); /* not exported here: the generic call */
    fake.reset("");
    assert_int_not_equal(open_on("ort:rocm", plain, "detection", FM_PRECISION_AUTO, "open:no", &error), FM_OK);
    expect_record("rocm: device_id=1");
}

static void a_missing_library_is_named_from_the_log(void **state) {
    const struct runtime_options options = {.ort_library = FM_FAKE_PROVIDERS};
    struct provider_probe probe;
    (void)state;
    fake.reset(
        "Failed to load library libonnxruntime_providers_cuda.so with error: libcudart.so.12: cannot open shared "
        "object file: No such file or directory");
    fm_provider_find("ort:cuda", 8)->probe(&options, &probe);
    assert_false(probe.available);
    assert_non_null(strstr(probe.reason, "libcudart.so.12 is missing"));
    assert_non_null(strstr(probe.reason, "1.24.0"));
    assert_non_null(strstr(probe.remedy, "CUDA toolkit"));
    fake.reset("");
    fm_provider_find("ort:cuda", 8)->probe(&options, &probe);
    assert_true(probe.available);
}

static void drivers_too_old_and_full_devices_are_told(void **state) {
    const struct runtime_options options = {.device = 0};
    fm_error error;
    (void)state;
    fake.reset("");
    assert_int_equal(open_on("ort:cuda", options, "detection", FM_PRECISION_AUTO,
                             "open:CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
                             &error),
                     FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "update the NVIDIA driver"));
    assert_int_equal(
        open_on("ort:cuda", options, "detection", FM_PRECISION_AUTO, "run:CUDA failure 2: out of memory", &error),
        FM_OUT_OF_MEMORY);
    assert_int_equal(
        open_on("ort:cuda", options, "detection", FM_PRECISION_AUTO, "run:no kernel image is available", &error),
        FM_NO_PROVIDER); /* the first run, while another provider can still be taken */
    assert_int_equal(open_on("ort:cuda", options, "detection", FM_PRECISION_INT8, "open:no", &error), FM_UNSUPPORTED);
}

static void running_out_of_memory_is_a_status_of_its_own(void **state) {
    static const struct {
        const char *model;
        fm_status status;
    } cases[] = {
        {"run:BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 99",
         FM_OUT_OF_MEMORY},
        {"run:std::bad_alloc", FM_OUT_OF_MEMORY},
        {"run:bad allocation", FM_OUT_OF_MEMORY},
        {"run:CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", FM_OUT_OF_MEMORY},
        {"run:something else", FM_PROVIDER_FAILED},
    };
    const struct provider *row = fm_provider_find("ort:cpu", 7);
    const struct runtime_options options = {.ort_library = FM_FAKE_PROVIDERS};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct buffer bytes = {.bytes = (uint8_t *)(uintptr_t)cases[i].model, .size = strlen(cases[i].model)};
        const struct session_request request = graph_request("m.onnx", &bytes);
        struct session *session = NULL;
        struct run *run = NULL;
        struct tensor input = graph_input(1, 0);
        fm_error error = {0};
        assert_int_equal(row->open(&options, &request, &session, &error), FM_OK);
        assert_int_equal(row->run_open(session, &run, &error), FM_OK);
        assert_int_equal(row->submit(run, &input, &error), cases[i].status);
        assert_non_null(strstr(error.message, cases[i].model + 4));
        row->run_close(run);
        row->close(session);
        fm_free_aligned(input.bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuda_gets_the_fields_defaults),
        cmocka_unit_test(every_graph_optimisation_is_asked_for),
        cmocka_unit_test(a_librarys_names_stay_its_own),
        cmocka_unit_test(callers_options_replace_and_extend),
        cmocka_unit_test(tensorrt_keeps_its_engines),
        cmocka_unit_test(the_exported_function_serves_without_options),
        cmocka_unit_test(a_missing_library_is_named_from_the_log),
        cmocka_unit_test(drivers_too_old_and_full_devices_are_told),
        cmocka_unit_test(running_out_of_memory_is_a_status_of_its_own),
    };
    return cmocka_run_group_tests_name("options and failures", tests, load_fake, unload_fake);
}
