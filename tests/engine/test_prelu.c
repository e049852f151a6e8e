/* fm_graph_split_prelu: the same function in other words. Structure here; values through ONNX Runtime when it is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine_support.h"

#define OK(call) assert_int_equal((call), FM_OK)
#define CHANNELS 4
#define SIDE 5

/* input -> PRelu(slopes) -> y -> Relu-free output; `dims` says how the slopes are declared. */
static struct graph *prelu_graph(const float *slopes, const int64_t *dims, int rank) {
    struct graph *graph = NULL;
    OK(fm_graph_create("prelu", 11, &graph, NULL));
    OK(fm_graph_add_input(graph, "x", DTYPE_F32, (int64_t[]){1, CHANNELS, SIDE, SIDE}, 4, NULL));
    OK(fm_graph_add_tensor(graph, "slopes", DTYPE_F32, dims, rank, slopes, NULL));
    OK(fm_graph_add_node(graph, "Neg", "before", "x", "a", NULL, NULL));
    OK(fm_graph_add_node(graph, "PRelu", "prelu", "a slopes", "b", NULL, NULL));
    OK(fm_graph_add_node(graph, "Neg", "after", "b", "y", NULL, NULL));
    OK(fm_graph_add_output(graph, "y", DTYPE_F32, (int64_t[]){1, CHANNELS, SIDE, SIDE}, 4, NULL));
    return graph;
}

static const int64_t per_channel[3] = {CHANNELS, 1, 1};
static const float gentle[CHANNELS] = {0.25f, -0.5f, 1.0f, 0.0f};

static void same_name_in_the_same_place(void **state) {
    (void)state;
    struct graph *graph = prelu_graph(gentle, per_channel, 3);
    size_t count = 0;
    char operators[200];
    OK(fm_graph_split_prelu(graph, &count, NULL));
    assert_int_equal(count, 1);
    fm_graph_operators(graph, operators, sizeof operators);
    assert_null(strstr(operators, "PRelu"));
    assert_non_null(strstr(operators, "Conv 2"));
    /* topological order: nobody reads a value before it is made */
    for (size_t node = 0; node < fm_graph_node_count(graph); node++)
        for (size_t i = 0; i < fm_graph_node_input_count(graph, node); i++) {
            const size_t maker = fm_graph_producer(graph, fm_graph_node_input(graph, node, i));
            assert_true(maker == SIZE_MAX || maker < node);
        }
    assert_string_equal(fm_graph_node_operator(graph, fm_graph_producer(graph, "b")), "Add");
    OK(fm_graph_split_prelu(graph, &count, NULL));
    assert_int_equal(count, 0);
    fm_graph_close(graph);
}

static void what_would_mean_something_else_stays(void **state) {
    (void)state;
    static const float steep[CHANNELS] = {0.25f, 1.5f, 0.1f, 0.1f};
    static const float broken[CHANNELS] = {0.25f, NAN, 0.1f, 0.1f};
    static const float columns[SIDE] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
    size_t count = 9;
    struct graph *graphs[] = {prelu_graph(steep, per_channel, 3), prelu_graph(broken, per_channel, 3),
                              prelu_graph(columns, (int64_t[]){SIDE}, 1), prelu_graph(columns, (int64_t[]){1}, 1)};
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        OK(fm_graph_split_prelu(graphs[i], &count, NULL));
        assert_int_equal(count, 0);
        fm_graph_close(graphs[i]);
    }
}

/* Run a graph once on ort:cpu; `values` receives CHANNELS * SIDE * SIDE floats. */
static void run_graph(const struct graph *graph, const float *input, float *values) {
    const struct provider *provider = fm_provider_find("ort:cpu", 7);
    const struct runtime_options runtime = {.threads = 1};
    struct buffer bytes = {0};
    struct session *session = NULL;
    struct run *run = NULL;
    struct tensor outputs[FM_MAX_OUTPUTS];
    fm_error error = {0};
    OK(fm_graph_write(graph, &bytes, NULL));
    struct session_request request = {.name = "prelu",
                                      .purpose = "recognition",
                                      .bytes = bytes.bytes,
                                      .size = bytes.size,
                                      .input_dtype = DTYPE_F32,
                                      .input_rank = 4,
                                      .input_dims = {1, CHANNELS, SIDE, SIDE}};
    if (provider->open(&runtime, &request, &session, &error) != FM_OK)
        fail_msg("%s", error.message);
    void *copy = fm_alloc_aligned(sizeof(float) * CHANNELS * SIDE * SIDE);
    memcpy(copy, input, sizeof(float) * CHANNELS * SIDE * SIDE);
    const struct tensor tensor = {.dtype = DTYPE_F32,
                                  .rank = 4,
                                  .dims = {1, CHANNELS, SIDE, SIDE},
                                  .bytes = copy,
                                  .capacity = sizeof(float) * CHANNELS * SIDE * SIDE};
    OK(provider->run_open(session, &run, &error));
    OK(provider->submit(run, &tensor, &error));
    OK(provider->wait(run, outputs, &error));
    memcpy(values, outputs[0].bytes, sizeof(float) * CHANNELS * SIDE * SIDE);
    provider->run_close(run);
    provider->close(session);
    fm_free_aligned(copy);
    fm_buffer_reset(&bytes);
}

static void same_values(void **state) {
    (void)state;
    float input[CHANNELS * SIDE * SIDE], plain[CHANNELS * SIDE * SIDE], split[CHANNELS * SIDE * SIDE];
    size_t count = 0;
    if (!test_has_runtime())
        skip();
    for (int i = 0; i < CHANNELS * SIDE * SIDE; i++)
        input[i] = (float)((i * 37) % 101 - 50) / 7.0f;
    struct graph *graph = prelu_graph(gentle, per_channel, 3);
    run_graph(graph, input, plain);
    OK(fm_graph_split_prelu(graph, &count, NULL));
    assert_int_equal(count, 1);
    run_graph(graph, input, split);
    int negative = 0;
    for (int i = 0; i < CHANNELS * SIDE * SIDE; i++) {
        const float x = -input[i], slope = gentle[i / (SIDE * SIDE)];
        negative += x < 0;
        assert_true(fabsf(plain[i] + (x < 0 ? slope * x : x)) < 1e-6f);
        assert_true(fabsf(plain[i] - split[i]) <= 2e-7f * (1.0f + 2.0f * fabsf(x))); /* two roundings instead of one */
    }
    assert_true(negative > 20 && negative < 80);
    fm_graph_close(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_name_in_the_same_place),
        cmocka_unit_test(what_would_mean_something_else_stays),
        cmocka_unit_test(same_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
