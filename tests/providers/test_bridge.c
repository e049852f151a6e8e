/* Bridge: a process whose host program has loaded another ONNX Runtime with providers. This program stands for that
   host: it shows the symbol through which a provider's library calls home, to all that it loads (-rdynamic). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graphs.h"

__attribute__((visibility("default"))) void *Provider_GetHost(void);
void *Provider_GetHost(void) {
    abort(); /* a provider's library called into the wrong runtime */
}

static fm_status open_affine(const char *provider, fm_error *error) {
    const struct runtime_options options = {.threads = 1};
    const struct provider *row = fm_provider_find(provider, strlen(provider));
    struct buffer onnx = {0};
    struct session *session = NULL;
    graph_affine(&onnx);
    const struct session_request request = graph_request("affine.onnx", &onnx);
    const fm_status status = row->open(&options, &request, &session, error);
    row->close(session);
    fm_buffer_reset(&onnx);
    return status;
}

static void a_second_runtime_loads_no_providers(void **state) {
    struct provider_probe probe;
    const struct runtime_options options = {.threads = 1};
    fm_error error = {0};
    (void)state;
    fm_provider_find("ort:openvino", 12)->probe(&options, &probe);
    if (strstr(probe.reason, "without") || strstr(probe.reason, "no ONNX Runtime")) {
        print_message("%s\n", probe.reason);
        skip();
    }
    assert_false(probe.available);
    assert_int_equal(open_affine("ort:openvino", &error), FM_NO_PROVIDER);
    assert_non_null(strstr(error.message, "another ONNX Runtime in this process"));
}

static void the_cpu_needs_no_bridge(void **state) {
    fm_error error = {0};
    (void)state;
    if (!graph_provider_there("ort:cpu")) {
        skip();
    }
    assert_int_equal(open_affine("ort:cpu", &error), FM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_runtime_loads_no_providers),
        cmocka_unit_test(the_cpu_needs_no_bridge),
    };
    return cmocka_run_group_tests_name("a host with a runtime of its own", tests, NULL, NULL);
}
