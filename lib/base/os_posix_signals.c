/* Interrupts: signals are blocked everywhere and taken by one waiting thread, so that no handler runs in the middle of
   anything and no global flag is needed. */
#include "base/os_program.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

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

bool fm_signals_watch(void (*on_signal)(int number, void *user), void *user) {
    struct watch *watch = fm_alloc(sizeof *watch);
    pthread_t thread;
    if (!watch)
        return false;
    *watch = (struct watch){.on_signal = on_signal, .user = user};
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&watch->signals);
    sigaddset(&watch->signals, SIGINT);
    sigaddset(&watch->signals, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &watch->signals, NULL) != 0 ||
        pthread_create(&thread, NULL, watch_run, watch) != 0) {
        fm_free(watch);
        return false;
    }
    pthread_detach(thread);
    return true;
}
