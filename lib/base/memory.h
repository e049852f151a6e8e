/* Memory: checked sizes, aligned blocks, growing buffers, arenas. Every allocation of the project that is not a
   foreign library's goes through here, so that one test can count them. Pure but for the allocator; any thread. */
#ifndef FM_BASE_MEMORY_H
#define FM_BASE_MEMORY_H

#include <facemill/facemill.h>

#define FM_ALIGNMENT ((size_t)64)
#define FM_PADDING ((size_t)64) /* readable and writable bytes behind every aligned block, for wide loads */

/* *product = a * b; false when it does not fit. */
FM_MUST_USE bool fm_size_multiply(size_t a, size_t b, size_t *product);
FM_MUST_USE bool fm_size_add(size_t a, size_t b, size_t *sum);

/* Zeroed; NULL when out of memory. Freed by fm_free. */
FM_MUST_USE void *fm_alloc(size_t size);
FM_MUST_USE void *fm_alloc_array(size_t count, size_t size);
FM_MUST_USE char *fm_string_copy(const char *text);
void fm_free(void *block);
/* 64-byte aligned, FM_PADDING bytes longer than asked, not zeroed. Freed by fm_free_aligned. */
FM_MUST_USE void *fm_alloc_aligned(size_t size);
void fm_free_aligned(void *block);

/* A byte buffer that keeps its memory from use to use. {0} is empty. */
struct buffer {
    uint8_t *bytes; /* aligned and padded as above */
    size_t size, capacity;
};
/* Make size = `size` without keeping the contents (they stay when it shrinks); false when out of memory, with the
   buffer as it was. */
FM_MUST_USE bool fm_buffer_resize(struct buffer *buffer, size_t size);
/* Append, growing by halves; `limit` 0 = none. */
FM_MUST_USE bool fm_buffer_append(struct buffer *buffer, const void *bytes, size_t size, size_t limit);
void fm_buffer_reset(struct buffer *buffer);

/* Many small blocks freed together; one block chain, stated maximum. {.limit = n}, in bytes; 0 = none. */
struct arena_block;
struct arena {
    struct arena_block *first;
    size_t used, limit;
};
/* Zeroed, 16-byte aligned; NULL when out of memory or past the limit. */
FM_MUST_USE void *fm_arena_alloc(struct arena *arena, size_t size);
FM_MUST_USE char *fm_arena_copy(struct arena *arena, const char *text);
void fm_arena_reset(struct arena *arena);

#endif
