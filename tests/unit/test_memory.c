/* memory.h: checked sizes, alignment and padding, growth, limits, and what happens when the allocator says no
   (calloc and aligned_alloc are wrapped by the linker). */
#include "base/memory.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

struct allocator {
    int allowed; /* allocations until the next fails; negative: all succeed */
    int calls;
};

static struct allocator allocator = {.allowed = -1};

void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static bool may_allocate(void) {
    allocator.calls++;
    if (allocator.allowed > 0) {
        allocator.allowed--;
        return true;
    }
    return allocator.allowed < 0;
}

void *__wrap_calloc(size_t count, size_t size) {
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return may_allocate() ? __real_aligned_alloc(alignment, size) : NULL;
}

static int allow_all(void **state) {
    (void)state;
    allocator = (struct allocator){.allowed = -1};
    return 0;
}

static void test_sizes(void **state) {
    (void)state;
    size_t value = 0;
    assert_true(fm_size_multiply(3, 7, &value));
    assert_int_equal(value, 21);
    assert_true(fm_size_multiply(SIZE_MAX, 1, &value));
    assert_false(fm_size_multiply(SIZE_MAX / 2 + 1, 2, &value));
    assert_false(fm_size_multiply((size_t)1 << 33, (size_t)1 << 33, &value));
    assert_true(fm_size_add(SIZE_MAX - 1, 1, &value));
    assert_true(value == SIZE_MAX);
    assert_false(fm_size_add(SIZE_MAX, 1, &value));
}

static void test_plain_blocks(void **state) {
    (void)state;
    for (size_t size = 0; size < 300; size += 13) {
        unsigned char *block = fm_alloc(size);
        assert_non_null(block);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(block[i], 0);
        }
        fm_free(block);
    }
    assert_null(fm_alloc_array(SIZE_MAX / 2, 3));
    void *none = fm_alloc_array(0, 8);
    assert_non_null(none);
    fm_free(none);
    fm_free(NULL);
    char *copy = fm_string_copy("lane");
    assert_string_equal(copy, "lane");
    fm_free(copy);
}

static void test_aligned_blocks(void **state) {
    (void)state;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *block = fm_alloc_aligned(size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % FM_ALIGNMENT, 0);
        for (size_t i = 0; i < FM_PADDING; i++) {
            assert_int_equal(block[size + i], 0);
        }
        memset(block, 0xAA, size + FM_PADDING); /* all of it is ours: AddressSanitizer would tell */
        fm_free_aligned(block);
    }
    assert_null(fm_alloc_aligned(SIZE_MAX));
    assert_null(fm_alloc_aligned(SIZE_MAX - FM_PADDING));
    fm_free_aligned(NULL);
}

static void assert_padded(const struct buffer *buffer) {
    assert_int_equal((uintptr_t)buffer->bytes % FM_ALIGNMENT, 0);
    for (size_t i = 0; i < FM_PADDING; i++) {
        assert_int_equal(buffer->bytes[buffer->size + i], 0);
    }
}

static void test_buffer_resize_keeps_memory(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(fm_buffer_resize(&buffer, 0));
    assert_non_null(buffer.bytes);
    assert_padded(&buffer);
    assert_true(fm_buffer_resize(&buffer, 1000));
    memset(buffer.bytes, 0xFF, 1000);
    int calls = allocator.calls;
    assert_true(fm_buffer_resize(&buffer, 10));
    assert_true(fm_buffer_resize(&buffer, 1000));
    assert_true(fm_buffer_resize(&buffer, 500));
    assert_int_equal(allocator.calls, calls);
    assert_int_equal(buffer.size, 500);
    assert_padded(&buffer);
    fm_buffer_reset(&buffer);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.capacity, 0);
    fm_buffer_reset(&buffer);
}

static void test_buffer_append(void **state) {
    (void)state;
    struct buffer buffer = {0};
    for (int i = 0; i < 10000; i++) {
        unsigned char bytes[3] = {(unsigned char)i, (unsigned char)(i >> 8), 7};
        assert_true(fm_buffer_append(&buffer, bytes, 3, 0));
    }
    assert_int_equal(buffer.size, 30000);
    assert_true(allocator.calls < 20); /* by halves, not by pieces */
    assert_padded(&buffer);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buffer.bytes[3 * i] | buffer.bytes[3 * i + 1] << 8, i);
        assert_int_equal(buffer.bytes[3 * i + 2], 7);
    }
    assert_true(fm_buffer_append(&buffer, NULL, 0, 0));
    fm_buffer_reset(&buffer);
}

static void test_buffer_limit(void **state) {
    (void)state;
    struct buffer buffer = {0};
    unsigned char bytes[600];
    memset(bytes, 1, sizeof bytes);
    assert_true(fm_buffer_append(&buffer, bytes, 600, 1000));
    assert_true(fm_buffer_append(&buffer, bytes, 400, 1000));
    assert_int_equal(buffer.capacity, 1000);
    assert_false(fm_buffer_append(&buffer, bytes, 1, 1000));
    assert_int_equal(buffer.size, 1000);
    assert_padded(&buffer);
    fm_buffer_reset(&buffer);
}

static void test_buffer_out_of_memory(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(fm_buffer_append(&buffer, "abc", 3, 0));
    struct buffer before = buffer;
    allocator.allowed = 0;
    assert_false(fm_buffer_resize(&buffer, 100000));
    assert_false(fm_buffer_append(&buffer, buffer.bytes, SIZE_MAX - 1, 0));
    unsigned char more[4096] = {0};
    assert_false(fm_buffer_append(&buffer, more, sizeof more, 0));
    assert_memory_equal(&buffer, &before, sizeof buffer);
    assert_memory_equal(buffer.bytes, "abc", 3);
    allocator.allowed = -1;
    fm_buffer_reset(&buffer);
}

static void test_arena(void **state) {
    (void)state;
    struct arena arena = {0};
    unsigned char *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        size_t size = i % 50 == 49 ? 20000 : i; /* large ones in between */
        blocks[i] = fm_arena_alloc(&arena, size);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t at = 0; at < size; at++) {
            assert_int_equal(blocks[i][at], 0);
        }
        memset(blocks[i], (int)i & 0xFF, size);
    }
    for (size_t i = 0; i < 500; i++) {
        size_t size = i % 50 == 49 ? 20000 : i;
        for (size_t at = 0; at < size; at++) {
            assert_int_equal(blocks[i][at], i & 0xFF);
        }
    }
    assert_true(allocator.calls < 30);
    assert_string_equal(fm_arena_copy(&arena, "kps_stride_8"), "kps_stride_8");
    fm_arena_reset(&arena);
    assert_null(arena.first);
    assert_int_equal(arena.used, 0);
    fm_arena_reset(&arena);
}

static void test_arena_limit(void **state) {
    (void)state;
    struct arena arena = {.limit = 64};
    assert_non_null(fm_arena_alloc(&arena, 33)); /* 48 when rounded */
    assert_null(fm_arena_alloc(&arena, 17));
    assert_null(fm_arena_alloc(&arena, SIZE_MAX));
    assert_non_null(fm_arena_alloc(&arena, 16));
    assert_null(fm_arena_copy(&arena, ""));
    fm_arena_reset(&arena);
    assert_int_equal(arena.limit, 64);
    allocator.allowed = 0;
    assert_null(fm_arena_alloc(&arena, 1));
    assert_int_equal(arena.used, 0);
    allocator.allowed = -1;
    assert_non_null(fm_arena_alloc(&arena, 64));
    fm_arena_reset(&arena);
}

static void test_out_of_memory_is_null(void **state) {
    (void)state;
    allocator.allowed = 0;
    assert_null(fm_alloc(1));
    assert_null(fm_alloc_array(2, 2));
    assert_null(fm_alloc_aligned(1));
    assert_null(fm_string_copy("x"));
    allocator.allowed = -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes, allow_all),
        cmocka_unit_test_setup(test_plain_blocks, allow_all),
        cmocka_unit_test_setup(test_aligned_blocks, allow_all),
        cmocka_unit_test_setup(test_buffer_resize_keeps_memory, allow_all),
        cmocka_unit_test_setup(test_buffer_append, allow_all),
        cmocka_unit_test_setup(test_buffer_limit, allow_all),
        cmocka_unit_test_setup(test_buffer_out_of_memory, allow_all),
        cmocka_unit_test_setup(test_arena, allow_all),
        cmocka_unit_test_setup(test_arena_limit, allow_all),
        cmocka_unit_test_setup(test_out_of_memory_is_null, allow_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
