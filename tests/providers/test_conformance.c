/* Conformance of the provider table: every row keeps the contract of providers/provider.h. Rows that can be opened here
   run a network with a known answer; the others must say why not and what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "graphs.h"

/* The linker sends our code's allocations through these (CMakeLists.txt); the runtime's own do not pass here. */
static _Thread_local size_t allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    allocations++;
    return __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __real_aligned_alloc(alignment, size);
}

static const struct runtime_options two_threads = {.threads = 2};

static void names_are_unique_and_findable(void **state) {
    (void)state;
    for (size_t i = 0; fm_provider_row(i); i++) {
        const char *name = fm_provider_row(i)->name;
        assert_ptr_equal(fm_provider_find(name, strlen(name)), fm_provider_row(i));
        assert_null(fm_provider_find(name, strlen(name) - 1));
    }
    assert_null(fm_provider_find("ort:cpux", 8));
    assert_null(fm_provider_find("", 0));
}

static void order_of_preference(void **state) {
    static const char *const wanted[] = {"cuda",       "ort:cuda",     "ort:migraphx", "ort:dml",
                                         "ort:coreml", "ort:openvino", "native",       "ort:cpu"};
    size_t listed = 0;
    (void)state;
    for (size_t i = 0; fm_provider_row(i); i++) {
        if (fm_provider_row(i)->listed_in_auto) {
            assert_true(listed < sizeof wanted / sizeof wanted[0]);
            assert_string_equal(fm_provider_row(i)->name, wanted[listed]);
            listed++;
        }
    }
    assert_int_equal(listed, sizeof wanted / sizeof wanted[0]);
    assert_non_null(fm_provider_find("ort:tensorrt", 12));
    assert_non_null(fm_provider_find("ort:rocm", 8));
}

static void probes_give_detail_or_reason_and_remedy(void **state) {
    (void)state;
    for (size_t i = 0; fm_provider_row(i); i++) {
        struct provider_probe probe;
        memset(&probe, 'x', sizeof probe);
        fm_provider_row(i)->probe(&two_threads, &probe);
        printf("%-13s %s%s%s%s\n", fm_provider_row(i)->name, probe.available ? probe.detail : probe.reason,
               probe.available ? "" : " -> ", probe.available ? "" : probe.remedy, "");
        assert_true(probe.available ? probe.detail[0] : probe.reason[0] && probe.remedy[0]);
        assert_true(probe.available ? !probe.reason[0] && !probe.remedy[0] : !probe.detail[0]);
    }
}

static void garbage_opens_nowhere(void **state) {
    const struct buffer garbage = {.bytes = (uint8_t *)"this is no model at all", .size = 23};
    (void)state;
    for (size_t i = 0; fm_provider_row(i); i++) {
        const struct provider *row = fm_provider_row(i);
        const struct session_request request = graph_request("garbage.onnx", &garbage);
        struct session *session = (struct session *)&two_threads;
        fm_error error = {0};
        const fm_status status = row->open(&two_threads, &request, &session, &error);
        assert_int_not_equal(status, FM_OK);
        assert_int_equal(status, error.status);
        assert_true(error.message[0]);
        assert_null(session);
        row->close(NULL);
    }
}

/* ---------------------------------------------------------------- rows that can be opened here */

struct open_row {
    const struct provider *row;
    struct session *session;
    struct run *run;
};

static bool open_row(struct open_row *open, const struct provider *row, const struct buffer *onnx, bool strict) {
    struct provider_probe probe;
    struct session_request request = graph_request("graph.onnx", onnx);
    fm_error error = {0};
    row->probe(&two_threads, &probe);
    if (!probe.available) {
        return false;
    }
    *open = (struct open_row){.row = row};
    request.strict = strict;
    if (row->open(&two_threads, &request, &open->session, &error) != FM_OK) {
        fail_msg("%s: %s", row->name, error.message);
    }
    assert_int_equal(row->run_open(open->session, &open->run, &error), FM_OK);
    return true;
}

static void close_row(struct open_row *open) {
    open->row->run_close(open->run);
    open->row->close(open->session);
}

static void run_and_check(const struct open_row *open, struct run *run, const struct tensor *input) {
    struct tensor outputs[FM_MAX_OUTPUTS];
    const float *x = input->bytes;
    fm_error error = {0};
    size_t count = 0;
    assert_true(fm_tensor_elements(input, &count));
    if (open->row->submit(run, input, &error) != FM_OK || open->row->wait(run, outputs, &error) != FM_OK) {
        fail_msg("%s: %s", open->row->name, error.message);
    }
    for (int k = 0; k < 2; k++) {
        assert_int_equal(outputs[k].dtype, DTYPE_F32);
        assert_int_equal(outputs[k].memory, FM_MEMORY_HOST);
        assert_int_equal(outputs[k].rank, input->rank);
        assert_memory_equal(outputs[k].dims, input->dims, (size_t)input->rank * sizeof input->dims[0]);
        assert_int_equal(outputs[k].capacity, count * sizeof(float));
    }
    const float *y0 = outputs[0].bytes, *y1 = outputs[1].bytes;
    for (size_t i = 0; i < count; i++) {
        /* Multiples of 1/4 below 64: exact in single precision whatever the order. */
        if (y0[i] != 2 * x[i] + 1 || y1[i] != (x[i] < 0 ? -x[i] : 0.0f)) {
            fail_msg("%s: value %zu: %g -> %g, %g", open->row->name, i, (double)x[i], (double)y0[i], (double)y1[i]);
        }
    }
}

/* Run `check` on every row that can be opened; skip visibly when there is none. */
static void each_row(void (*check)(const struct open_row *open), bool strict) {
    struct buffer onnx = {0};
    int opened = 0;
    graph_affine(&onnx);
    for (size_t i = 0; fm_provider_row(i); i++) {
        struct open_row open;
        if (open_row(&open, fm_provider_row(i), &onnx, strict)) {
            check(&open);
            close_row(&open);
            opened++;
        }
    }
    fm_buffer_reset(&onnx);
    if (!opened) {
        print_message("no provider can be opened here: no ONNX Runtime library\n");
        skip();
    }
}

static void check_answers(const struct open_row *open) {
    const int64_t batches[] = {1, 3, 8, 1, 2};
    assert_int_equal(open->row->output_count(open->session), 2);
    assert_true(strlen(open->row->detail(open->session)) > 0);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct tensor input = graph_input(batches[i], (float)i);
        run_and_check(open, open->run, &input);
        ((float *)input.bytes)[0] = -3.5f; /* same memory, other pixels */
        run_and_check(open, open->run, &input);
        fm_free_aligned(input.bytes);
    }
}

static void answers_are_right_at_any_batch(void **state) {
    (void)state;
    each_row(check_answers, false);
}

static void answers_are_right_when_strict(void **state) {
    (void)state;
    each_row(check_answers, true);
}

static void check_failure(const struct open_row *open) {
    struct tensor outputs[FM_MAX_OUTPUTS], input = graph_input(1, 0), wrong = input;
    fm_error error = {0};
    wrong.dims[1] = 5; /* channels are fixed to 3, and the memory is too small */
    assert_int_equal(open->row->submit(open->run, &wrong, &error), FM_INVALID_ARGUMENT);
    assert_true(error.message[0]);
    error = (fm_error){0};
    assert_int_equal(open->row->wait(open->run, outputs, &error), FM_INTERNAL);
    wrong = input;
    wrong.dims[1] = 1;
    error = (fm_error){0};
    const fm_status status = open->row->submit(open->run, &wrong, &error);
    assert_true(status == FM_INVALID_ARGUMENT || status == FM_PROVIDER_FAILED);
    assert_non_null(strstr(error.message, "graph.onnx"));
    run_and_check(open, open->run, &input);
    fm_free_aligned(input.bytes);
}

static void a_failed_run_leaves_the_next_unharmed(void **state) {
    (void)state;
    each_row(check_failure, false);
}

static void check_allocations(const struct open_row *open) {
    struct tensor input = graph_input(2, 0), outputs[FM_MAX_OUTPUTS];
    run_and_check(open, open->run, &input);
    const size_t before = allocations;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(open->row->submit(open->run, &input, NULL), FM_OK);
        assert_int_equal(open->row->wait(open->run, outputs, NULL), FM_OK);
    }
    assert_int_equal(allocations - before, 0);
    fm_free_aligned(input.bytes);
}

static void a_warm_run_allocates_nothing_of_ours(void **state) {
    const size_t before = allocations;
    (void)state;
    void *block = fm_alloc(1);
    assert_int_equal(allocations - before, 1); /* the counter counts */
    fm_free(block);
    each_row(check_allocations, false);
}

struct caller {
    const struct open_row *open;
    struct tensor input;
    int rounds;
};

static void call_many_times(void *user) {
    struct caller *caller = user;
    struct run *run = NULL;
    if (caller->open->row->run_open(caller->open->session, &run, NULL) != FM_OK) {
        abort();
    }
    for (int i = 0; i < caller->rounds; i++) {
        run_and_check(caller->open, run, &caller->input);
    }
    caller->open->row->run_close(run);
}

#define CALLERS 8
static void check_company(const struct open_row *open) {
    struct os_thread threads[CALLERS];
    struct caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){open, graph_input(1 + i % 3, (float)i), 25};
        assert_true(fm_thread_start(&threads[i], "caller", call_many_times, &callers[i]));
    }
    for (int i = 0; i < CALLERS; i++) {
        fm_thread_join(&threads[i]);
        fm_free_aligned(callers[i].input.bytes);
    }
}

static void eight_callers_share_a_session(void **state) {
    (void)state;
    each_row(check_company, false);
}

static void shapes_that_change_reuse_one_run(void **state) {
    struct buffer onnx = {0};
    struct open_row open;
    (void)state;
    graph_affine(&onnx);
    if (open_row(&open, fm_provider_find("ort:cpu", 7), &onnx, false)) {
        struct tensor input = graph_input(4, 0);
        for (int64_t side = 2; side <= GRAPH_SIDE; side++) {
            input.dims[2] = side;
            run_and_check(&open, open.run, &input);
        }
        fm_free_aligned(input.bytes);
        close_row(&open);
    }
    fm_buffer_reset(&onnx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_findable),
        cmocka_unit_test(order_of_preference),
        cmocka_unit_test(probes_give_detail_or_reason_and_remedy),
        cmocka_unit_test(garbage_opens_nowhere),
        cmocka_unit_test(answers_are_right_at_any_batch),
        cmocka_unit_test(answers_are_right_when_strict),
        cmocka_unit_test(a_failed_run_leaves_the_next_unharmed),
        cmocka_unit_test(a_warm_run_allocates_nothing_of_ours),
        cmocka_unit_test(eight_callers_share_a_session),
        cmocka_unit_test(shapes_that_change_reuse_one_run),
    };
    return cmocka_run_group_tests_name("provider conformance", tests, NULL, NULL);
}
