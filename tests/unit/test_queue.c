/* queue.h: order, bound, closing, and several threads on both sides (also meant for ThreadSanitizer). */
#include "base/queue.h"

#include "unit.h"

static void test_order_and_bound(void **state) {
    (void)state;
    struct queue queue;
    int items[5];
    assert_true(fm_queue_init(&queue, 3));
    assert_null(fm_queue_try_pop(&queue));
    for (int round = 0; round < 4; round++) { /* round after round, so that the ring wraps */
        assert_true(fm_queue_try_push(&queue, &items[0]));
        assert_true(fm_queue_push(&queue, &items[1]));
        assert_ptr_equal(fm_queue_pop(&queue), &items[0]);
        assert_true(fm_queue_push(&queue, &items[2]));
        assert_true(fm_queue_try_push(&queue, &items[3]));
        assert_false(fm_queue_try_push(&queue, &items[4]));
        assert_ptr_equal(fm_queue_pop(&queue), &items[1]);
        assert_ptr_equal(fm_queue_try_pop(&queue), &items[2]);
        assert_ptr_equal(fm_queue_pop(&queue), &items[3]);
        assert_null(fm_queue_try_pop(&queue));
    }
    fm_queue_reset(&queue);
    fm_queue_reset(&queue);
}

static void test_closed_queue_drains(void **state) {
    (void)state;
    struct queue queue;
    int item;
    assert_true(fm_queue_init(&queue, 2));
    assert_true(fm_queue_push(&queue, &item));
    fm_queue_close(&queue);
    assert_false(fm_queue_push(&queue, &item));
    assert_false(fm_queue_try_push(&queue, &item));
    assert_ptr_equal(fm_queue_pop(&queue), &item);
    assert_null(fm_queue_pop(&queue));
    assert_null(fm_queue_pop(&queue));
    fm_queue_reset(&queue);
}

#define ITEMS 5000
#define SIDES 4

struct side {
    struct queue *queue;
    int *seen; /* one counter per item; each item is popped by one thread only */
    int first; /* producers push first, first + SIDES, ... */
    int done;
};

static void produce(void *user) {
    struct side *side = user;
    for (int i = side->first; i < ITEMS; i += SIDES) {
        side->done += fm_queue_push(side->queue, &side->seen[i]);
    }
}

static void consume(void *user) {
    struct side *side = user;
    for (int *item; (item = fm_queue_pop(side->queue)) != NULL; side->done++) {
        ++*item;
    }
}

static void test_many_threads(void **state) {
    (void)state;
    static const size_t capacities[] = {1, 2, 64};
    for (size_t c = 0; c < 3; c++) {
        struct queue queue;
        struct side producers[SIDES], consumers[SIDES];
        struct os_thread threads[2 * SIDES];
        int *seen = fm_alloc_array(ITEMS, sizeof *seen), popped = 0, pushed = 0;
        assert_non_null(seen);
        assert_true(fm_queue_init(&queue, capacities[c]));
        for (int i = 0; i < SIDES; i++) {
            producers[i] = consumers[i] = (struct side){.queue = &queue, .seen = seen, .first = i};
            assert_true(fm_thread_start(&threads[i], "produce", produce, &producers[i]));
            assert_true(fm_thread_start(&threads[SIDES + i], "consume", consume, &consumers[i]));
        }
        for (int i = 0; i < SIDES; i++) {
            fm_thread_join(&threads[i]);
        }
        fm_queue_close(&queue);
        for (int i = 0; i < SIDES; i++) {
            fm_thread_join(&threads[SIDES + i]);
            popped += consumers[i].done;
            pushed += producers[i].done;
        }
        assert_int_equal(pushed, ITEMS);
        assert_int_equal(popped, ITEMS);
        for (int i = 0; i < ITEMS; i++) {
            assert_int_equal(seen[i], 1);
        }
        fm_queue_reset(&queue);
        fm_free(seen);
    }
}

static void test_close_wakes_waiting_sides(void **state) {
    (void)state;
    struct queue full, empty;
    struct os_thread pushers[2], poppers[2];
    int seen[ITEMS] = {0};
    struct side push = {.queue = &full, .seen = seen}, push_too = push, pop = {.queue = &empty}, pop_too = pop;
    assert_true(fm_queue_init(&full, 1));
    assert_true(fm_queue_init(&empty, 1));
    assert_true(fm_thread_start(&pushers[0], "push", produce, &push));
    assert_true(fm_thread_start(&pushers[1], "push", produce, &push_too));
    assert_true(fm_thread_start(&poppers[0], "pop", consume, &pop));
    assert_true(fm_thread_start(&poppers[1], "pop", consume, &pop_too));
    struct os_mutex mutex;
    struct os_cond nobody;
    fm_mutex_init(&mutex);
    fm_cond_init(&nobody);
    fm_mutex_lock(&mutex); /* 20 ms for them to begin to wait */
    while (fm_cond_wait_until(&nobody, &mutex, fm_clock_ns() + 20000000u)) {
    }
    fm_mutex_unlock(&mutex);
    fm_queue_close(&full);
    fm_queue_close(&empty);
    for (int i = 0; i < 2; i++) {
        fm_thread_join(&pushers[i]);
        fm_thread_join(&poppers[i]);
    }
    assert_int_equal(push.done + push_too.done, 1);
    assert_int_equal(pop.done + pop_too.done, 0);
    fm_cond_reset(&nobody);
    fm_mutex_reset(&mutex);
    fm_queue_reset(&full);
    fm_queue_reset(&empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bound),
        cmocka_unit_test(test_closed_queue_drains),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_close_wakes_waiting_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
