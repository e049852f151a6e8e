/* Interrupts: signals are blocked everywhere and taken by one waiting thread, so that no handler runs in the middle of
   anything and no global flag is needed. What may wait without end looks at its owner's flag now and then. */
#include "base/os_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LOOK_UP_MS 100 /* how often a wait looks whether it was interrupted */

struct watch {
    sigset_t signals;
    void (*on_signal)(int number, void *user);
    void *user;
};

static void *watch_run(void *argument) {
    struct watch *watch = argument;
    int number = 0;
    if (sigwait(&watch->signals, &number) == 0) {
        watch->on_signal(number, watch->user);
        if (sigwait(&watch->signals, &number) == 0)
            _exit(128 + number);
    }
    fm_free(watch);
    return NULL;
}

/* Block `signals` for the whole process and start the thread that takes them; that thread itself takes no others, so
   that signals of another watch are left to that one. */
static bool start_watching(const sigset_t *signals, pthread_t *thread, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_BLOCK, signals, NULL) != 0 || pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    bool started = pthread_create(thread, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool fm_signals_watch(void (*on_signal)(int number, void *user), void *user) {
    struct watch *watch = fm_alloc(sizeof *watch);
    pthread_t thread;
    if (!watch)
        return false;
    *watch = (struct watch){.on_signal = on_signal, .user = user};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failed write, too */
    sigemptyset(&watch->signals);
    sigaddset(&watch->signals, SIGINT);
    sigaddset(&watch->signals, SIGTERM);
    if (!start_watching(&watch->signals, &thread, watch_run, watch)) {
        fm_free(watch);
        return false;
    }
    pthread_detach(thread);
    return true;
}

struct request_watch {
    sigset_t signals;
    void (*on_request)(enum os_request request, void *user);
    void *user;
};

static void *request_watch_run(void *argument) {
    struct request_watch *watch = argument;
    int number = 0;
    while (sigwait(&watch->signals, &number) == 0)
        watch->on_request(number == SIGHUP    ? OS_REQUEST_RELOAD
                          : number == SIGUSR1 ? OS_REQUEST_LOUDER
                                              : OS_REQUEST_QUIETER,
                          watch->user);
    fm_free(watch);
    return NULL;
}

bool fm_requests_watch(void (*on_request)(enum os_request request, void *user), void *user) {
    struct request_watch *watch = fm_alloc(sizeof *watch);
    pthread_t thread;
    if (!watch)
        return false;
    *watch = (struct request_watch){.on_request = on_request, .user = user};
    sigemptyset(&watch->signals);
    sigaddset(&watch->signals, SIGHUP);
    sigaddset(&watch->signals, SIGUSR1);
    sigaddset(&watch->signals, SIGUSR2);
    if (!start_watching(&watch->signals, &thread, request_watch_run, watch)) {
        fm_free(watch);
        return false;
    }
    pthread_detach(thread);
    return true;
}

fm_status fm_input_read(int descriptor, const atomic_int *interrupted, void *bytes, size_t size, size_t *got,
                        fm_error *error) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    *got = 0;
    while (atomic_load(interrupted) == 0) {
        int ready = poll(&wanted, 1, LOOK_UP_MS);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t count = ready < 0 ? -1 : read(descriptor, bytes, size); /* also says what poll has no words for */
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count < 0)
            return fm_fail(error, FM_IO, "%s", strerror(errno));
        *got = (size_t)count;
        break;
    }
    return FM_OK;
}

void fm_standard_streams_guard(void) {
    /* Opened the wrong way round, so that using them still fails; the lowest free number is given first. */
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY) != descriptor)
            return; /* without /dev/null things are as they were */
    }
}
