/* os.h, threads and clock: mutual exclusion, signalling, deadlines, names, and who gets signals. */
#define _GNU_SOURCE /* pthread_getname_np */
#include "base/os.h"

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

struct shared {
    struct os_mutex mutex;
    struct os_cond changed;
    long sum;
    int turn;
};

static void shared_init(struct shared *shared) {
    *shared = (struct shared){0};
    fm_mutex_init(&shared->mutex);
    fm_cond_init(&shared->changed);
}

static void shared_reset(struct shared *shared) {
    fm_cond_reset(&shared->changed);
    fm_mutex_reset(&shared->mutex);
}

static void add_many(void *user) {
    struct shared *shared = user;
    for (int i = 0; i < 20000; i++) {
        fm_mutex_lock(&shared->mutex);
        shared->sum++;
        fm_mutex_unlock(&shared->mutex);
    }
}

static void test_mutex_excludes(void **state) {
    (void)state;
    struct shared shared;
    struct os_thread threads[4];
    shared_init(&shared);
    for (int i = 0; i < 4; i++) {
        assert_true(fm_thread_start(&threads[i], "add", add_many, &shared));
    }
    for (int i = 0; i < 4; i++) {
        fm_thread_join(&threads[i]);
    }
    assert_int_equal(shared.sum, 80000);
    shared_reset(&shared);
}

static void answer(void *user) {
    struct shared *shared = user;
    fm_mutex_lock(&shared->mutex);
    for (int round = 0; round < 500; round++) {
        while (shared->turn != 1) {
            fm_cond_wait(&shared->changed, &shared->mutex);
        }
        shared->turn = 0;
        shared->sum++;
        fm_cond_broadcast(&shared->changed);
    }
    fm_mutex_unlock(&shared->mutex);
}

static void test_ping_pong(void **state) {
    (void)state;
    struct shared shared;
    struct os_thread thread;
    shared_init(&shared);
    assert_true(fm_thread_start(&thread, "answer", answer, &shared));
    for (int round = 0; round < 500; round++) {
        fm_mutex_lock(&shared.mutex);
        shared.turn = 1;
        fm_cond_signal(&shared.changed);
        while (shared.turn != 0) {
            fm_cond_wait(&shared.changed, &shared.mutex);
        }
        fm_mutex_unlock(&shared.mutex);
    }
    fm_thread_join(&thread);
    assert_int_equal(shared.sum, 500);
    shared_reset(&shared);
}

static void test_deadline(void **state) {
    (void)state;
    struct shared shared;
    shared_init(&shared);
    fm_mutex_lock(&shared.mutex);
    uint64_t deadline = fm_clock_ns() + 30000000u;
    while (fm_cond_wait_until(&shared.changed, &shared.mutex, deadline)) {
    }
    assert_true(fm_clock_ns() >= deadline);
    assert_true(fm_clock_ns() < deadline + 5000000000u);
    assert_false(fm_cond_wait_until(&shared.changed, &shared.mutex, 0)); /* long past: at once */
    fm_mutex_unlock(&shared.mutex);
    shared_reset(&shared);
}

static void signal_once(void *user) {
    struct shared *shared = user;
    fm_mutex_lock(&shared->mutex);
    shared->turn = 1;
    fm_cond_signal(&shared->changed);
    fm_mutex_unlock(&shared->mutex);
}

static void test_signal_before_a_far_deadline(void **state) {
    (void)state;
    struct shared shared;
    struct os_thread thread;
    shared_init(&shared);
    fm_mutex_lock(&shared.mutex);
    assert_true(fm_thread_start(&thread, "signal", signal_once, &shared));
    bool in_time = true;
    while (shared.turn == 0 && in_time) {
        in_time = fm_cond_wait_until(&shared.changed, &shared.mutex, UINT64_MAX);
    }
    assert_true(in_time);
    fm_mutex_unlock(&shared.mutex);
    fm_thread_join(&thread);
    shared_reset(&shared);
}

struct self {
    char name[16];
    sigset_t blocked;
};

static void look_at_self(void *user) {
    struct self *self = user;
    pthread_getname_np(pthread_self(), self->name, sizeof self->name);
    pthread_sigmask(SIG_BLOCK, NULL, &self->blocked);
}

static void test_name_and_signals(void **state) {
    (void)state;
    struct self self;
    struct os_thread thread;
    assert_true(fm_thread_start(&thread, "a name that is too long", look_at_self, &self));
    fm_thread_join(&thread);
    assert_string_equal(self.name, "a name that is ");
    assert_int_equal(sigismember(&self.blocked, SIGINT), 1);
    assert_int_equal(sigismember(&self.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&self.blocked, SIGSEGV), 0);
    sigset_t own;
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    assert_int_equal(sigismember(&own, SIGINT), 0);
}

static void test_clock_never_goes_back(void **state) {
    (void)state;
    uint64_t last = fm_clock_ns();
    assert_true(last > 0);
    for (int i = 0; i < 100000; i++) {
        uint64_t now = fm_clock_ns();
        assert_true(now >= last);
        last = now;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutex_excludes),   cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_deadline),         cmocka_unit_test(test_signal_before_a_far_deadline),
        cmocka_unit_test(test_name_and_signals), cmocka_unit_test(test_clock_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
