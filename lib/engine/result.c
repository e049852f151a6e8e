/* Result: one image's answer, and the pool it comes from and returns to, so that a warm engine allocates nothing. A
   result may outlive its engine: the pool lives until the last one is back. Any thread. */
#include "engine/engine.h"

#include <string.h>

#define KEPT_BYTES ((size_t)64 << 20) /* a pooled result gives larger memory back */

struct result_pool *fm_result_pool_open(int capacity) {
    struct result_pool *pool = fm_alloc(sizeof *pool);
    if (!pool)
        return NULL;
    atomic_init(&pool->references, 1);
    pool->capacity = capacity;
    fm_mutex_init(&pool->mutex);
    return pool;
}

static void result_destroy(struct fm_result *result) {
    fm_buffer_reset(&result->faces);
    fm_buffer_reset(&result->embeddings);
    fm_image_reset(&result->image);
    fm_free(result);
}

void fm_result_pool_trim(struct result_pool *pool) {
    fm_mutex_lock(&pool->mutex);
    struct fm_result *result = pool->free;
    pool->free = NULL;
    pool->free_count = 0;
    fm_mutex_unlock(&pool->mutex);
    while (result) {
        struct fm_result *next = result->next;
        result_destroy(result);
        result = next;
    }
}

void fm_result_pool_unref(struct result_pool *pool) {
    if (!pool || atomic_fetch_sub(&pool->references, 1) > 1)
        return;
    fm_result_pool_trim(pool);
    fm_mutex_reset(&pool->mutex);
    fm_free(pool);
}

struct fm_result *fm_result_take(struct result_pool *pool) {
    fm_mutex_lock(&pool->mutex);
    struct fm_result *result = pool->free;
    if (result) {
        pool->free = result->next;
        pool->free_count--;
    }
    fm_mutex_unlock(&pool->mutex);
    if (!result)
        result = fm_alloc(sizeof *result);
    if (!result)
        return NULL;
    atomic_fetch_add(&pool->references, 1);
    result->pool = pool;
    result->next = NULL;
    result->error = (fm_error){0};
    result->width = result->height = 0;
    result->face_count = 0;
    result->has_pixels = false;
    memset(result->stage_ms, 0, sizeof result->stage_ms);
    result->total_ms = 0;
    return result;
}

bool fm_result_reserve(struct fm_result *result, size_t count, int size) {
    size_t bytes = 0, floats = 0;
    if (!fm_size_multiply(count, sizeof(fm_face), &bytes) ||
        !fm_size_multiply(count, (size_t)size * sizeof(float), &floats))
        return false;
    return fm_buffer_resize(&result->faces, bytes) && (size == 0 || fm_buffer_resize(&result->embeddings, floats));
}

void fm_result_free(fm_result *result) {
    if (!result)
        return;
    struct result_pool *pool = result->pool;
    if (result->image.rgb.capacity > KEPT_BYTES)
        fm_image_reset(&result->image);
    fm_mutex_lock(&pool->mutex);
    const bool keep = pool->free_count < pool->capacity;
    if (keep) {
        result->next = pool->free;
        pool->free = result;
        pool->free_count++;
    }
    fm_mutex_unlock(&pool->mutex);
    if (!keep)
        result_destroy(result);
    fm_result_pool_unref(pool);
}

fm_status fm_result_status(const fm_result *result) {
    return result->error.status;
}

const char *fm_result_message(const fm_result *result) {
    return result->error.message;
}

int fm_result_width(const fm_result *result) {
    return result->width;
}

int fm_result_height(const fm_result *result) {
    return result->height;
}

size_t fm_result_face_count(const fm_result *result) {
    return result->face_count;
}

const fm_face *fm_result_face(const fm_result *result, size_t index) {
    return index < result->face_count ? (const fm_face *)(const void *)result->faces.bytes + index : NULL;
}

static fm_pixels image_pixels(const struct image *image) {
    return (fm_pixels){.struct_size = sizeof(fm_pixels),
                       .data = image->rgb.bytes,
                       .width = image->width,
                       .height = image->height,
                       .stride = (size_t)image->width * 3};
}

fm_pixels fm_result_pixels(const fm_result *result) {
    return result->has_pixels ? image_pixels(&result->image) : (fm_pixels){.struct_size = sizeof(fm_pixels)};
}

void fm_result_timings(const fm_result *result, fm_timings *timings) {
    const double *ms = result->stage_ms;
    const fm_timings all = {
        .struct_size = timings->struct_size,
        .queue_ms = ms[STAGE_QUEUE],
        .read_ms = ms[STAGE_READ],
        .decode_ms = ms[STAGE_DECODE],
        .letterbox_ms = ms[STAGE_LETTERBOX],
        .detect_ms = ms[STAGE_DETECT],
        .postprocess_ms = ms[STAGE_POSTPROCESS],
        .align_ms = ms[STAGE_ALIGN],
        .embed_ms = ms[STAGE_EMBED],
        .total_ms = result->total_ms,
    };
    memcpy(timings, &all, timings->struct_size < sizeof all ? timings->struct_size : sizeof all);
}
