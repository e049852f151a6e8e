/* Threads, mutexes, conditions and the clock by POSIX. A failure of a lock is a bug of ours (or a destroyed object):
   the process ends there, before it works on unprotected memory. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "base/os.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct os_mutex), "os_mutex is too small");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(struct os_cond), "os_cond is too small");
_Static_assert(sizeof(pthread_t) <= sizeof(struct os_thread), "os_thread is too small");

/* What a new thread needs to know; freed by it. */
struct thread_start {
    void (*run)(void *);
    void *argument;
    char name[16];
};

static void must(int code, const char *what) {
    if (code != 0) {
        fprintf(stderr, "facemill: error: threads: %s: %s\n", what, strerror(code));
        abort();
    }
}

static pthread_mutex_t *mutex_of(struct os_mutex *mutex) {
    return (void *)mutex->storage;
}

static pthread_cond_t *cond_of(struct os_cond *cond) {
    return (void *)cond->storage;
}

void fm_mutex_init(struct os_mutex *mutex) {
    must(pthread_mutex_init(mutex_of(mutex), NULL), "cannot make a mutex");
}

void fm_mutex_reset(struct os_mutex *mutex) {
    must(pthread_mutex_destroy(mutex_of(mutex)), "cannot destroy a mutex");
}

void fm_mutex_lock(struct os_mutex *mutex) {
    must(pthread_mutex_lock(mutex_of(mutex)), "cannot lock a mutex");
}

void fm_mutex_unlock(struct os_mutex *mutex) {
    must(pthread_mutex_unlock(mutex_of(mutex)), "cannot unlock a mutex");
}

void fm_cond_init(struct os_cond *cond) {
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes), "cannot make a condition");
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "cannot make a condition");
    must(pthread_cond_init(cond_of(cond), &attributes), "cannot make a condition");
    pthread_condattr_destroy(&attributes);
}

void fm_cond_reset(struct os_cond *cond) {
    must(pthread_cond_destroy(cond_of(cond)), "cannot destroy a condition");
}

void fm_cond_wait(struct os_cond *cond, struct os_mutex *mutex) {
    must(pthread_cond_wait(cond_of(cond), mutex_of(mutex)), "cannot wait");
}

bool fm_cond_wait_until(struct os_cond *cond, struct os_mutex *mutex, uint64_t deadline_ns) {
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(deadline_ns % UINT64_C(1000000000)),
    };
    /* ETIMEDOUT and nothing else ends the wait early; a wake-up at the deadline counts as having reached it. */
    (void)pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &deadline);
    return fm_clock_ns() < deadline_ns;
}

void fm_cond_signal(struct os_cond *cond) {
    must(pthread_cond_signal(cond_of(cond)), "cannot signal");
}

void fm_cond_broadcast(struct os_cond *cond) {
    must(pthread_cond_broadcast(cond_of(cond)), "cannot broadcast");
}

static void *thread_main(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    fm_free(argument);
    (void)pthread_setname_np(pthread_self(), start.name); /* for humans only: top -H, gdb */
    start.run(start.argument);
    return NULL;
}

/* Signals meant for the program (SIGINT, SIGTERM, SIGCHLD...) go to the program's own threads; what a thread raises
   by its own fault, and profiling, stays. */
static void fill_program_signals(sigset_t *signals) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    sigfillset(signals);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        sigdelset(signals, own[i]);
    }
}

bool fm_thread_start(struct os_thread *thread, const char *name, void (*run)(void *), void *argument) {
    struct thread_start *start = fm_alloc(sizeof *start);
    if (start == NULL) {
        return false;
    }
    start->run = run;
    start->argument = argument;
    snprintf(start->name, sizeof start->name, "%s", name);
    sigset_t blocked, before;
    fill_program_signals(&blocked);
    must(pthread_sigmask(SIG_BLOCK, &blocked, &before), "cannot block signals");
    pthread_t id;
    int code = pthread_create(&id, NULL, thread_main, start);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL), "cannot restore signals");
    if (code != 0) {
        fm_free(start);
        return false;
    }
    memcpy(thread->storage, &id, sizeof id);
    return true;
}

void fm_thread_join(struct os_thread *thread) {
    pthread_t id;
    memcpy(&id, thread->storage, sizeof id);
    must(pthread_join(id, NULL), "cannot join a thread");
}

uint64_t fm_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
