/* Memory runs out at every single allocation in turn: each call must then fail with the right status, leak nothing (the
   sanitizer build sees that), and leave a graph that can still be used or closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "models/pack.h"
#include "models/route.h"
#include "onnx/cost.h"
#include "support/onnx_maker.h"

void *__real_fm_alloc(size_t size);
void *__real_fm_alloc_array(size_t count, size_t size);
char *__real_fm_string_copy(const char *text);
bool __real_fm_buffer_resize(struct buffer *buffer, size_t size);
void *__wrap_fm_alloc(size_t size);
void *__wrap_fm_alloc_array(size_t count, size_t size);
char *__wrap_fm_string_copy(const char *text);
bool __wrap_fm_buffer_resize(struct buffer *buffer, size_t size);

static size_t left = SIZE_MAX; /* allocations that still succeed */

static bool may_allocate(void) {
    if (left == SIZE_MAX) {
        return true;
    }
    left -= left > 0;
    return left > 0;
}

void *__wrap_fm_alloc(size_t size) {
    return may_allocate() ? __real_fm_alloc(size) : NULL;
}

void *__wrap_fm_alloc_array(size_t count, size_t size) {
    return may_allocate() ? __real_fm_alloc_array(count, size) : NULL;
}

char *__wrap_fm_string_copy(const char *text) {
    return may_allocate() ? __real_fm_string_copy(text) : NULL;
}

bool __wrap_fm_buffer_resize(struct buffer *buffer, size_t size) {
    return may_allocate() && __real_fm_buffer_resize(buffer, size);
}

/* Run `work` with 1, 2, 3, ... allocations until it succeeds; returns how many failures it took. */
static size_t exhaust(fm_status (*work)(void *user, fm_error *error), void *user) {
    for (size_t allocations = 1; allocations < 100000; allocations++) {
        fm_error error = {FM_OK, ""};
        left = allocations;
        fm_status status = work(user, &error);
        left = SIZE_MAX;
        if (status == FM_OK) {
            return allocations - 1;
        }
        if (error.status != status || status != FM_OUT_OF_MEMORY) {
            fail_msg("allocation %zu: status %d, '%s'", allocations, (int)status, error.message);
        }
    }
    fail();
    return 0;
}

static fm_status build_work(void *user, fm_error *error) {
    struct buffer onnx = {0};
    (void)user;
    fm_status status = fm_maker_detector(MAKER_STOCK, &onnx, error);
    fm_buffer_reset(&onnx);
    return status;
}

static fm_status edit_work(void *user, fm_error *error) {
    const struct buffer *file = user;
    struct buffer out = {0};
    struct graph *graph = NULL;
    fm_status status = fm_graph_read(file->bytes, file->size, "m", &graph, error);
    if (status == FM_OK) {
        status = fm_graph_make_batch_dynamic(graph, 0, error);
    }
    if (status == FM_OK) {
        status = fm_graph_take_bytes(graph, 0, 127.5f, 0.5f, error);
    }
    if (status == FM_OK) {
        status = fm_graph_write(graph, &out, error);
    }
    fm_graph_close(graph);
    fm_buffer_reset(&out);
    return status;
}

static fm_status cost_work(void *user, fm_error *error) {
    const struct graph *graph = user;
    struct graph_cost cost;
    int64_t dims[FM_MAX_RANK] = {0};
    int rank = fm_graph_typical_input(graph, 0, 0, dims);
    return fm_graph_cost(graph, dims, rank, &cost, error);
}

static void test_counting(void **state) {
    (void)state;
    struct buffer onnx = {0};
    struct graph *graph = NULL;
    assert_int_equal(fm_maker_detector(MAKER_STOCK, &onnx, NULL), FM_OK);
    assert_int_equal(fm_graph_read(onnx.bytes, onnx.size, "m", &graph, NULL), FM_OK);
    assert_true(exhaust(cost_work, graph) > 4);
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
}

static void test_building(void **state) {
    (void)state;
    assert_true(exhaust(build_work, NULL) > 300);
}

static void test_reading_and_editing(void **state) {
    (void)state;
    struct buffer onnx = {0};
    assert_int_equal(fm_maker_detector(MAKER_STOCK, &onnx, NULL), FM_OK);
    assert_true(exhaust(edit_work, &onnx) > 300);
    fm_buffer_reset(&onnx);
}

/* Without memory nothing can be said about a batch, and then one image at a time is the safe answer. */
static void test_routing(void **state) {
    (void)state;
    struct buffer onnx = {0};
    struct graph *graph = NULL;
    char why[128];
    assert_int_equal(fm_maker_embedder(MAKER_PLAIN, &onnx, NULL), FM_OK);
    assert_int_equal(fm_graph_read(onnx.bytes, onnx.size, "m", &graph, NULL), FM_OK);
    left = 1;
    assert_true(fm_batch_blocked(graph, NULL, 0, why, sizeof why));
    left = SIZE_MAX;
    assert_false(fm_batch_blocked(graph, NULL, 0, why, sizeof why));
    fm_graph_close(graph);
    fm_buffer_reset(&onnx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_reading_and_editing),
        cmocka_unit_test(test_routing),
        cmocka_unit_test(test_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
