/* Bounded queue of pointers: a ring under one mutex, with one condition for each side that may have to wait.
   The items stay their owners'; the queue only passes them on. Any thread. */
#include "base/queue.h"

#include <assert.h>

bool fm_queue_init(struct queue *queue, size_t capacity) {
    assert(capacity > 0);
    *queue = (struct queue){.items = fm_alloc_array(capacity, sizeof(void *)), .capacity = capacity};
    if (queue->items == NULL) {
        return false;
    }
    fm_mutex_init(&queue->mutex);
    fm_cond_init(&queue->not_empty);
    fm_cond_init(&queue->not_full);
    return true;
}

void fm_queue_reset(struct queue *queue) {
    if (queue->items == NULL) {
        return; /* never initialised, or its init failed */
    }
    fm_cond_reset(&queue->not_full);
    fm_cond_reset(&queue->not_empty);
    fm_mutex_reset(&queue->mutex);
    fm_free(queue->items);
    *queue = (struct queue){0};
}

static bool queue_push(struct queue *queue, void *item, bool wait) {
    assert(item != NULL); /* NULL is what pop answers at the end */
    fm_mutex_lock(&queue->mutex);
    while (wait && !queue->closed && queue->count == queue->capacity) {
        fm_cond_wait(&queue->not_full, &queue->mutex);
    }
    bool room = !queue->closed && queue->count < queue->capacity;
    if (room) {
        queue->items[(queue->head + queue->count) % queue->capacity] = item;
        queue->count++;
        fm_cond_signal(&queue->not_empty);
    }
    fm_mutex_unlock(&queue->mutex);
    return room;
}

static void *queue_pop(struct queue *queue, bool wait) {
    void *item = NULL;
    fm_mutex_lock(&queue->mutex);
    while (wait && !queue->closed && queue->count == 0) {
        fm_cond_wait(&queue->not_empty, &queue->mutex);
    }
    if (queue->count > 0) {
        item = queue->items[queue->head];
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
        fm_cond_signal(&queue->not_full);
    }
    fm_mutex_unlock(&queue->mutex);
    return item;
}

bool fm_queue_push(struct queue *queue, void *item) {
    return queue_push(queue, item, true);
}

bool fm_queue_try_push(struct queue *queue, void *item) {
    return queue_push(queue, item, false);
}

void *fm_queue_pop(struct queue *queue) {
    return queue_pop(queue, true);
}

void *fm_queue_try_pop(struct queue *queue) {
    return queue_pop(queue, false);
}

void fm_queue_close(struct queue *queue) {
    fm_mutex_lock(&queue->mutex);
    queue->closed = true;
    fm_cond_broadcast(&queue->not_empty);
    fm_cond_broadcast(&queue->not_full);
    fm_mutex_unlock(&queue->mutex);
}
