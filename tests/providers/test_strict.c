/* Strictness, options, precision and messages of ONNX Runtime's providers. The OpenVINO cases need a library with it
   (scripts/setup_openvino.sh, or FM_ORT_LIBRARY) and are one skip without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/os.h"
#include "graphs.h"

static void need(const char *provider) {
    if (!graph_provider_there(provider)) {
        skip();
    }
}

/* Open and close; returns the status, words in *error. */
static fm_status try_open(const char *provider, const struct runtime_options *options, struct session_request request,
                          fm_error *error) {
    const struct provider *row = fm_provider_find(provider, strlen(provider));
    struct session *session = NULL;
    *error = (fm_error){0};
    const fm_status status = row->open(options, &request, &session, error);
    row->close(session);
    return status;
}

static const struct runtime_options plain = {.threads = 2};

static void strict_names_the_node_that_runs_elsewhere(void **state) {
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:openvino");
    graph_foreign(&onnx);
    struct session_request request = graph_request("foreign.onnx", &onnx);
    assert_int_equal(try_open("ort:openvino", &plain, request, &error), FM_OK); /* falls back to the CPU: allowed */
    request.strict = true;
    assert_int_equal(try_open("ort:openvino", &plain, request, &error), FM_NO_PROVIDER);
    print_message("%s\n", error.message);
    assert_non_null(strstr(error.message, "odd_determinant"));
    assert_non_null(strstr(error.message, "Det"));
    assert_null(strstr(error.message, "plain_relu"));
    assert_non_null(strstr(error.message, "ordered"));
    fm_buffer_reset(&onnx);
}

/* Not strict, the same audit only reports. */
static void what_ran_elsewhere(const char *provider, char words[1024]) {
    const struct provider *row = fm_provider_find(provider, strlen(provider));
    struct buffer onnx = {0};
    struct session *session = NULL;
    fm_error error = {0};
    graph_foreign(&onnx);
    struct session_request request = graph_request("foreign.onnx", &onnx);
    request.report = true;
    if (row->open(&plain, &request, &session, &error) != FM_OK) {
        fail_msg("%s", error.message);
    }
    snprintf(words, 1024, "%s", row->elsewhere(session));
    row->close(session);
    fm_buffer_reset(&onnx);
}

static void a_report_names_the_node_that_ran_elsewhere(void **state) {
    char words[1024];
    (void)state;
    need("ort:cpu");
    what_ran_elsewhere("ort:cpu", words);
    assert_string_equal(words, "");
    need("ort:openvino");
    what_ran_elsewhere("ort:openvino", words);
    assert_non_null(strstr(words, "odd_determinant"));
    assert_null(strstr(words, "plain_relu"));
}

static void strict_accepts_what_runs_whole(void **state) {
    void (*const graphs[])(struct buffer *) = {graph_affine, graph_shapes};
    (void)state;
    need("ort:openvino");
    for (size_t i = 0; i < 2; i++) {
        struct buffer onnx = {0};
        fm_error error;
        graphs[i](&onnx);
        struct session_request request = graph_request("whole.onnx", &onnx);
        request.strict = true;
        if (try_open("ort:openvino", &plain, request, &error) != FM_OK) {
            fail_msg("%s", error.message);
        }
        fm_buffer_reset(&onnx);
    }
}

static void strict_cpu_runs_anything(void **state) {
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:cpu");
    graph_foreign(&onnx);
    struct session_request request = graph_request("foreign.onnx", &onnx);
    request.strict = true;
    assert_int_equal(try_open("ort:cpu", &plain, request, &error), FM_OK);
    fm_buffer_reset(&onnx);
}

static void two_inputs_are_unsupported(void **state) {
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:cpu");
    graph_two_inputs(&onnx);
    assert_int_equal(try_open("ort:cpu", &plain, graph_request("two.onnx", &onnx), &error), FM_UNSUPPORTED);
    assert_non_null(strstr(error.message, "2 inputs"));
    fm_buffer_reset(&onnx);
}

static void damaged_models_are_bad_models(void **state) {
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:cpu");
    graph_affine(&onnx);
    onnx.size /= 2;
    assert_int_equal(try_open("ort:cpu", &plain, graph_request("half.onnx", &onnx), &error), FM_BAD_MODEL);
    assert_non_null(strstr(error.message, "half.onnx"));
    fm_buffer_reset(&onnx);
}

static void precisions_that_cannot_be_are_said(void **state) {
    static const fm_precision precisions[] = {FM_PRECISION_FP16, FM_PRECISION_BF16, FM_PRECISION_INT8};
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:cpu");
    graph_affine(&onnx);
    struct session_request request = graph_request("affine.onnx", &onnx);
    for (size_t i = 0; i < 3; i++) {
        request.precision = precisions[i];
        assert_int_equal(try_open("ort:cpu", &plain, request, &error), FM_UNSUPPORTED);
        assert_non_null(strstr(error.message, "fp32"));
    }
    request.precision = FM_PRECISION_FP32;
    assert_int_equal(try_open("ort:cpu", &plain, request, &error), FM_OK);
    fm_buffer_reset(&onnx);
}

static fm_status open_with(const char *provider, const char *owner, const char *key, const char *value,
                           fm_error *error) {
    const fm_provider_option option = {owner, key, value};
    const struct runtime_options options = {.threads = 2, .options = &option, .option_count = 1};
    struct buffer onnx = {0};
    graph_affine(&onnx);
    const fm_status status = try_open(provider, &options, graph_request("affine.onnx", &onnx), error);
    fm_buffer_reset(&onnx);
    return status;
}

static void options_pass_through(void **state) {
    fm_error error;
    (void)state;
    need("ort:openvino");
    assert_int_equal(open_with("ort:openvino", "ort:openvino", "num_streams", "1", &error), FM_OK);
    assert_int_equal(open_with("ort:openvino", "ort:openvino", "no_such_key", "1", &error), FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "no_such_key")); /* the runtime's own words */
    assert_int_equal(open_with("ort:openvino", "ort:cuda", "no_such_key", "1", &error), FM_OK); /* not its option */
    assert_int_equal(open_with("ort:openvino", "ort:openvino", "device_type", "NO_SUCH_DEVICE", &error),
                     FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "device")); /* it replaces our default */
}

static void session_keys_reach_the_cpu(void **state) {
    fm_error error;
    (void)state;
    need("ort:cpu");
    assert_int_equal(open_with("ort:cpu", "ort:cpu", "session.disable_prepacking", "1", &error), FM_OK);
    /* Forbids what ort:cpu is: proof that the key arrived. */
    assert_int_not_equal(open_with("ort:cpu", "ort:cpu", "session.disable_cpu_ep_fallback", "1", &error), FM_OK);
    assert_non_null(strstr(error.message, "fallback"));
}

static void rocm_points_to_migraphx(void **state) {
    struct buffer onnx = {0};
    fm_error error;
    (void)state;
    need("ort:cpu");
    if (graph_provider_there("ort:rocm")) {
        skip();
    }
    graph_affine(&onnx);
    assert_int_equal(try_open("ort:rocm", &plain, graph_request("affine.onnx", &onnx), &error), FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "ort:migraphx"));
    fm_buffer_reset(&onnx);
}

/* ---------------------------------------------------------------- messages */

struct messages {
    int count;
    char last[512];
};

static void keep_message(fm_log_level level, const char *component, const char *message, void *user) {
    struct messages *messages = user;
    (void)level;
    assert_string_equal(component, "ort");
    messages->count++;
    snprintf(messages->last, sizeof messages->last, "%s", message);
}

static int messages_at(fm_log_level level) {
    struct messages messages = {0};
    struct logger logger;
    struct buffer onnx = {0};
    fm_error error;
    fm_logger_init(&logger, level, keep_message, &messages);
    const struct runtime_options options = {.threads = 1, .logger = &logger};
    graph_affine(&onnx);
    assert_int_equal(try_open("ort:cpu", &options, graph_request("affine.onnx", &onnx), &error), FM_OK);
    fm_buffer_reset(&onnx);
    fm_logger_reset(&logger);
    return messages.count;
}

static void messages_go_to_the_engine_that_asked(void **state) {
    (void)state;
    need("ort:cpu");
    assert_true(messages_at(FM_LOG_DEBUG) > 0);
    assert_int_equal(messages_at(FM_LOG_WARN), 0);
}

/* In place of those four, where no library has it: the words were said when it was looked for. */
static void four_tests_of_openvino(void **state) {
    (void)state;
    need("ort:openvino");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_cpu_runs_anything),
        cmocka_unit_test(two_inputs_are_unsupported),
        cmocka_unit_test(damaged_models_are_bad_models),
        cmocka_unit_test(precisions_that_cannot_be_are_said),
        cmocka_unit_test(session_keys_reach_the_cpu),
        cmocka_unit_test(rocm_points_to_migraphx),
        cmocka_unit_test(messages_go_to_the_engine_that_asked),
    };
    const struct CMUnitTest of_openvino[] = {
        cmocka_unit_test(strict_names_the_node_that_runs_elsewhere),
        cmocka_unit_test(a_report_names_the_node_that_ran_elsewhere),
        cmocka_unit_test(strict_accepts_what_runs_whole),
        cmocka_unit_test(options_pass_through),
    };
    const struct CMUnitTest without[] = {cmocka_unit_test(four_tests_of_openvino)};
    const int failed = cmocka_run_group_tests_name("strictness and options", tests, NULL, NULL);
    return failed + (graph_provider_there("ort:openvino")
                         ? cmocka_run_group_tests_name("OpenVINO", of_openvino, NULL, NULL)
                         : cmocka_run_group_tests_name("OpenVINO", without, NULL, NULL));
}
