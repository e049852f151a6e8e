/* Bounded queue of pointers, first in first out. Any thread. */
#ifndef FM_BASE_QUEUE_H
#define FM_BASE_QUEUE_H

#include "base/os.h"

struct queue {
    void **items;
    size_t capacity, count, head;
    bool closed;
    struct os_mutex mutex;
    struct os_cond not_empty, not_full;
};
FM_MUST_USE bool fm_queue_init(struct queue *queue, size_t capacity);
void fm_queue_reset(struct queue *queue);
FM_MUST_USE bool fm_queue_push(struct queue *queue, void *item);     /* waits; false when closed */
FM_MUST_USE bool fm_queue_try_push(struct queue *queue, void *item); /* false when full or closed */
void *fm_queue_pop(struct queue *queue);                             /* waits; NULL when closed and empty */
void *fm_queue_try_pop(struct queue *queue);                         /* NULL when empty */
void fm_queue_close(struct queue *queue);

#endif
