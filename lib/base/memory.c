/* Memory: checked sizes, zeroed and aligned blocks, growing byte buffers, arenas.
   The only file that calls the C allocator; everything here is owned by its caller and free of shared state. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_SIZE ((size_t)16 << 10)
#define ARENA_ALIGNMENT ((size_t)16)
#define BUFFER_MIN_CAPACITY ((size_t)256)

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(16) unsigned char bytes[];
};

bool fm_size_multiply(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

bool fm_size_add(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

void *fm_alloc(size_t size) {
    return calloc(1, size > 0 ? size : 1); /* never NULL for want of a size: NULL means out of memory */
}

void *fm_alloc_array(size_t count, size_t size) {
    size_t bytes;
    return fm_size_multiply(count, size, &bytes) ? fm_alloc(bytes) : NULL;
}

char *fm_string_copy(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = fm_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void fm_free(void *block) {
    free(block);
}

void *fm_alloc_aligned(size_t size) {
    size_t padded;
    if (!fm_size_add(size, FM_PADDING + FM_ALIGNMENT - 1, &padded)) {
        return NULL;
    }
    padded -= padded % FM_ALIGNMENT;
    unsigned char *block = aligned_alloc(FM_ALIGNMENT, padded);
    if (block != NULL) {
        memset(block + size, 0, padded - size); /* wide loads past the end read the same bytes in every run */
    }
    return block;
}

void fm_free_aligned(void *block) {
    free(block);
}

bool fm_buffer_resize(struct buffer *buffer, size_t size) {
    if (size > buffer->capacity || buffer->bytes == NULL) {
        uint8_t *bytes = fm_alloc_aligned(size);
        if (bytes == NULL) {
            return false;
        }
        fm_free_aligned(buffer->bytes);
        buffer->bytes = bytes;
        buffer->capacity = size;
    }
    buffer->size = size;
    memset(buffer->bytes + size, 0, FM_PADDING); /* what an earlier, larger use left behind */
    return true;
}

/* Capacity of at least `needed`, contents kept. */
static bool buffer_grow(struct buffer *buffer, size_t needed, size_t limit) {
    size_t capacity;
    if (!fm_size_add(buffer->capacity, buffer->capacity / 2, &capacity) || capacity < needed) {
        capacity = needed;
    }
    capacity = capacity < BUFFER_MIN_CAPACITY ? BUFFER_MIN_CAPACITY : capacity;
    capacity = limit > 0 && capacity > limit ? limit : capacity;
    uint8_t *bytes = fm_alloc_aligned(capacity);
    if (bytes == NULL) {
        return false;
    }
    if (buffer->size > 0) {
        memcpy(bytes, buffer->bytes, buffer->size);
    }
    fm_free_aligned(buffer->bytes);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

bool fm_buffer_append(struct buffer *buffer, const void *bytes, size_t size, size_t limit) {
    size_t needed;
    if (!fm_size_add(buffer->size, size, &needed) || (limit > 0 && needed > limit)) {
        return false;
    }
    if ((needed > buffer->capacity || buffer->bytes == NULL) && !buffer_grow(buffer, needed, limit)) {
        return false;
    }
    if (size > 0) {
        memcpy(buffer->bytes + buffer->size, bytes, size);
    }
    buffer->size = needed;
    memset(buffer->bytes + needed, 0, FM_PADDING);
    return true;
}

void fm_buffer_reset(struct buffer *buffer) {
    fm_free_aligned(buffer->bytes);
    *buffer = (struct buffer){0};
}

/* A new block with room for `size` bytes. A large one goes behind the first, whose free rest stays in use. */
static struct arena_block *arena_add_block(struct arena *arena, size_t size) {
    bool large = size > ARENA_BLOCK_SIZE / 2;
    size_t room = large ? size : ARENA_BLOCK_SIZE, total;
    if (!fm_size_add(room, sizeof(struct arena_block), &total)) {
        return NULL;
    }
    struct arena_block *block = fm_alloc(total);
    if (block == NULL) {
        return NULL;
    }
    block->size = room;
    struct arena_block **place = large && arena->first != NULL ? &arena->first->next : &arena->first;
    block->next = *place;
    *place = block;
    return block;
}

void *fm_arena_alloc(struct arena *arena, size_t size) {
    size_t rounded, used;
    if (!fm_size_add(size > 0 ? size : 1, ARENA_ALIGNMENT - 1, &rounded)) {
        return NULL;
    }
    rounded -= rounded % ARENA_ALIGNMENT;
    if (!fm_size_add(arena->used, rounded, &used) || (arena->limit > 0 && used > arena->limit)) {
        return NULL;
    }
    struct arena_block *block = arena->first;
    if (block == NULL || block->size - block->used < rounded) {
        block = arena_add_block(arena, rounded);
        if (block == NULL) {
            return NULL;
        }
    }
    void *bytes = block->bytes + block->used; /* zeroed by fm_alloc, handed out once */
    block->used += rounded;
    arena->used = used;
    return bytes;
}

char *fm_arena_copy(struct arena *arena, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = fm_arena_alloc(arena, size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void fm_arena_reset(struct arena *arena) {
    for (struct arena_block *block = arena->first, *next; block != NULL; block = next) {
        next = block->next;
        fm_free(block);
    }
    *arena = (struct arena){.limit = arena->limit};
}
