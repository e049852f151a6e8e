/* tensor.h: sizes of every element type, overflow, negative and zero dimensions. */
#include "base/tensor.h"

#include "unit.h"

static void test_dtypes(void **state) {
    (void)state;
    static const struct {
        enum dtype dtype;
        size_t size;
        const char *name;
    } rows[] = {
        {DTYPE_F32, 4, "f32"},   {DTYPE_U8, 1, "u8"},     {DTYPE_I8, 1, "i8"},           {DTYPE_I32, 4, "i32"},
        {DTYPE_I64, 8, "i64"},   {DTYPE_BOOL, 1, "bool"}, {DTYPE_F16, 2, "f16"},         {DTYPE_F64, 8, "f64"},
        {DTYPE_BF16, 2, "bf16"}, {DTYPE_NONE, 0, "none"}, {(enum dtype)8, 0, "unknown"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fm_dtype_size(rows[i].dtype), rows[i].size);
        assert_string_equal(fm_dtype_name(rows[i].dtype), rows[i].name);
    }
}

static void test_sizes(void **state) {
    (void)state;
    size_t value = 0;
    struct tensor tensor = {.dtype = DTYPE_F32, .rank = 4, .dims = {2, 3, 640, 640}};
    assert_true(fm_tensor_elements(&tensor, &value));
    assert_int_equal(value, 2 * 3 * 640 * 640);
    assert_true(fm_tensor_size(&tensor, &value));
    assert_int_equal(value, 4 * 2 * 3 * 640 * 640);
    struct tensor scalar = {.dtype = DTYPE_I64};
    assert_true(fm_tensor_size(&scalar, &value));
    assert_int_equal(value, 8);
}

static void test_refused(void **state) {
    (void)state;
    size_t value = 77;
    struct tensor symbolic = {.dtype = DTYPE_F32, .rank = 2, .dims = {-1, 512}};
    assert_false(fm_tensor_elements(&symbolic, &value));
    struct tensor negative_and_empty = {.dtype = DTYPE_F32, .rank = 2, .dims = {0, -1}};
    assert_false(fm_tensor_elements(&negative_and_empty, &value));
    struct tensor huge = {.dtype = DTYPE_F32, .rank = 2, .dims = {INT64_MAX, 4}};
    assert_false(fm_tensor_elements(&huge, &value));
    struct tensor huge_bytes = {.dtype = DTYPE_F64, .rank = 1, .dims = {INT64_MAX / 2}};
    assert_true(fm_tensor_elements(&huge_bytes, &value));
    assert_false(fm_tensor_size(&huge_bytes, &value));
    struct tensor rank = {.dtype = DTYPE_F32, .rank = FM_MAX_RANK + 1};
    assert_false(fm_tensor_elements(&rank, &value));
    rank.rank = -1;
    assert_false(fm_tensor_elements(&rank, &value));
    struct tensor untyped = {.rank = 1, .dims = {1}};
    assert_false(fm_tensor_size(&untyped, &value));
}

static void test_empty_wherever_the_zero_stands(void **state) {
    (void)state;
    size_t value = 77;
    struct tensor first = {.dtype = DTYPE_F32, .rank = 3, .dims = {0, INT64_MAX, INT64_MAX}};
    assert_true(fm_tensor_size(&first, &value));
    assert_int_equal(value, 0);
    value = 77;
    struct tensor last = {.dtype = DTYPE_F32, .rank = 3, .dims = {INT64_MAX, INT64_MAX, 0}};
    assert_true(fm_tensor_size(&last, &value));
    assert_int_equal(value, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_empty_wherever_the_zero_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
