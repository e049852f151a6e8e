/* Chores: a ring of functions to call, and threads that take them in order. */
#include "http/chores.h"

#include "base/os.h"

struct chore {
    void (*run)(void *argument);
    void *argument;
};

struct chores {
    struct os_mutex mutex;
    struct os_cond changed;
    struct chore *ring;
    size_t limit, first, count;
    struct os_thread *threads;
    int thread_count;
    bool closing;
};

static void work(void *argument) {
    struct chores *chores = argument;
    fm_mutex_lock(&chores->mutex);
    for (;;) {
        if (chores->count) {
            struct chore chore = chores->ring[chores->first];
            chores->first = (chores->first + 1) % chores->limit;
            chores->count--;
            fm_mutex_unlock(&chores->mutex);
            chore.run(chore.argument);
            fm_mutex_lock(&chores->mutex);
        } else if (chores->closing) {
            break;
        } else {
            fm_cond_wait(&chores->changed, &chores->mutex);
        }
    }
    fm_mutex_unlock(&chores->mutex);
}

fm_status fm_chores_open(int threads, size_t limit, struct chores **opened, fm_error *error) {
    struct chores *chores = fm_alloc(sizeof *chores);
    *opened = NULL;
    if (!chores)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the service's threads");
    fm_mutex_init(&chores->mutex);
    fm_cond_init(&chores->changed);
    chores->limit = limit;
    chores->ring = fm_alloc_array(limit, sizeof *chores->ring);
    chores->threads = fm_alloc_array((size_t)threads, sizeof *chores->threads);
    while (chores->ring && chores->threads && chores->thread_count < threads &&
           fm_thread_start(&chores->threads[chores->thread_count], "facemill-chore", work, chores))
        chores->thread_count++;
    if (chores->thread_count < threads) {
        fm_chores_close(chores);
        return fm_fail(error, FM_OUT_OF_MEMORY, "cannot start %d threads for the service; raise the limit of tasks",
                       threads);
    }
    *opened = chores;
    return FM_OK;
}

bool fm_chores_add(struct chores *chores, void (*run)(void *argument), void *argument) {
    bool taken = false;
    if (!chores)
        return false;
    fm_mutex_lock(&chores->mutex);
    if (chores->count < chores->limit && !chores->closing) {
        chores->ring[(chores->first + chores->count++) % chores->limit] = (struct chore){run, argument};
        taken = true;
        fm_cond_signal(&chores->changed);
    }
    fm_mutex_unlock(&chores->mutex);
    return taken;
}

void fm_chores_close(struct chores *chores) {
    if (!chores)
        return;
    fm_mutex_lock(&chores->mutex);
    chores->closing = true;
    fm_cond_broadcast(&chores->changed);
    fm_mutex_unlock(&chores->mutex);
    for (int i = 0; i < chores->thread_count; i++)
        fm_thread_join(&chores->threads[i]);
    fm_cond_reset(&chores->changed);
    fm_mutex_reset(&chores->mutex);
    fm_free(chores->threads);
    fm_free(chores->ring);
    fm_free(chores);
}
