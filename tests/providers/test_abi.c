/* ABI: every slot number and enum value of our declaration against ONNX Runtime's official header, at compile time for
   the numbers and here for the binding. Without the header (FM_SHARED's reference/onnxruntime) the comparison skips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/tensor.h"
#include "providers/ort/abi.h"

#ifdef FM_ORT_OFFICIAL_HEADER
#include <onnxruntime_c_api.h>

#define CHECK_SLOT(slot, since, name, result, parameters)                                                              \
    _Static_assert(offsetof(OrtApi, name) == (slot) * sizeof(void *), "slot of " #name);                               \
    _Static_assert(sizeof(((OrtApi *)0)->name) == sizeof(((struct ort_api *)0)->name), "size of " #name);
FM_ORT_CALLS(CHECK_SLOT)

#define CHECK_VALUE(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
CHECK_VALUE(ORT_CODE_OK, ORT_OK);
CHECK_VALUE(ORT_CODE_FAIL, ORT_FAIL);
CHECK_VALUE(ORT_CODE_INVALID_ARGUMENT, ORT_INVALID_ARGUMENT);
CHECK_VALUE(ORT_CODE_NO_SUCH_FILE, ORT_NO_SUCHFILE);
CHECK_VALUE(ORT_CODE_NO_MODEL, ORT_NO_MODEL);
CHECK_VALUE(ORT_CODE_ENGINE_ERROR, ORT_ENGINE_ERROR);
CHECK_VALUE(ORT_CODE_RUNTIME_EXCEPTION, ORT_RUNTIME_EXCEPTION);
CHECK_VALUE(ORT_CODE_INVALID_PROTOBUF, ORT_INVALID_PROTOBUF);
CHECK_VALUE(ORT_CODE_MODEL_LOADED, ORT_MODEL_LOADED);
CHECK_VALUE(ORT_CODE_NOT_IMPLEMENTED, ORT_NOT_IMPLEMENTED);
CHECK_VALUE(ORT_CODE_INVALID_GRAPH, ORT_INVALID_GRAPH);
CHECK_VALUE(ORT_CODE_PROVIDER_FAIL, ORT_EP_FAIL);
CHECK_VALUE(ORT_LOG_VERBOSE, ORT_LOGGING_LEVEL_VERBOSE);
CHECK_VALUE(ORT_LOG_INFO, ORT_LOGGING_LEVEL_INFO);
CHECK_VALUE(ORT_LOG_WARNING, ORT_LOGGING_LEVEL_WARNING);
CHECK_VALUE(ORT_LOG_ERROR, ORT_LOGGING_LEVEL_ERROR);
CHECK_VALUE(ORT_LOG_FATAL, ORT_LOGGING_LEVEL_FATAL);
CHECK_VALUE(ORT_OPTIMIZE_ALL, ORT_ENABLE_ALL);
CHECK_VALUE(ORT_EXECUTION_SEQUENTIAL, ORT_SEQUENTIAL);
CHECK_VALUE(ORT_ALLOCATOR_ARENA, OrtArenaAllocator);
CHECK_VALUE(ORT_MEMORY_DEFAULT, OrtMemTypeDefault);
CHECK_VALUE(DTYPE_NONE, ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED);
CHECK_VALUE(DTYPE_F32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
CHECK_VALUE(DTYPE_U8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
CHECK_VALUE(DTYPE_I8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8);
CHECK_VALUE(DTYPE_I32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
CHECK_VALUE(DTYPE_I64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
CHECK_VALUE(DTYPE_BOOL, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
CHECK_VALUE(DTYPE_F16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
CHECK_VALUE(DTYPE_F64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE);
CHECK_VALUE(DTYPE_BF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);
_Static_assert(offsetof(OrtApiBase, GetApi) == offsetof(struct ort_api_base, get_api), "GetApi");
_Static_assert(offsetof(OrtApiBase, GetVersionString) == offsetof(struct ort_api_base, get_version),
               "GetVersionString");
#endif

static void numbers_equal_the_official_header(void **state) {
    (void)state;
#ifdef FM_ORT_OFFICIAL_HEADER
    print_message("compared with the header of API version %d\n", ORT_API_VERSION);
#else
    print_message("no official header at build time (FM_SHARED)\n");
    skip();
#endif
}

/* ---------------------------------------------------------------- binding, against a table of numbered functions */

#define TABLE_SIZE 320
static const void *table[TABLE_SIZE];
static uint32_t asked;

static const void *give_table(uint32_t version) {
    asked = version;
    return table;
}
static const char *version_1_10(void) {
    return "1.10.0";
}
static const char *version_1_12(void) {
    return "1.12.1";
}
static const char *version_1_31(void) {
    return "1.31.1";
}
static const char *version_odd(void) {
    return "nightly";
}

static void fill_table(void) {
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        table[i] = (const char *)table + i; /* any address that tells the slot */
    }
}

static size_t slot_of(const void *field) {
    const char *address = NULL;
    memcpy(&address, field, sizeof address);
    return (size_t)(address - (const char *)table);
}

static void calls_bind_to_their_slots(void **state) {
    const struct ort_api_base base = {give_table, version_1_31};
    struct ort_api api;
    (void)state;
    fill_table();
    assert_true(fm_ort_api_bind(&base, &api));
    assert_int_equal(asked, FM_ORT_API_VERSION);
    assert_int_equal(slot_of(&api.Run), 9);
    assert_int_equal(slot_of(&api.SessionOptionsAppendExecutionProvider), 216);
    assert_int_equal(slot_of(&api.ReleaseROCMProviderOptions), 258);
}

static void an_older_runtime_lacks_the_younger_calls(void **state) {
    const struct ort_api_base base = {give_table, version_1_12};
    struct ort_api api;
    (void)state;
    fill_table();
    assert_true(fm_ort_api_bind(&base, &api));
    assert_int_equal(slot_of(&api.SessionOptionsAppendExecutionProvider), 216);
    assert_true(api.CreateROCMProviderOptions == NULL);
}

static void too_old_a_runtime_is_refused_without_being_asked(void **state) {
    const struct ort_api_base old = {give_table, version_1_10}, odd = {give_table, version_odd};
    struct ort_api api;
    (void)state;
    asked = 0;
    assert_false(fm_ort_api_bind(&old, &api));
    assert_false(fm_ort_api_bind(&odd, &api));
    assert_int_equal(asked, 0); /* asking would make it write to standard error */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_equal_the_official_header),
        cmocka_unit_test(calls_bind_to_their_slots),
        cmocka_unit_test(an_older_runtime_lacks_the_younger_calls),
        cmocka_unit_test(too_old_a_runtime_is_refused_without_being_asked),
    };
    return cmocka_run_group_tests_name("ONNX Runtime's ABI", tests, NULL, NULL);
}
