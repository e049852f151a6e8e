/* Progress on standard error: count, rate, time left, errors; only on a terminal. A thread of its own redraws it. */
#ifndef FM_PROGRESS_H
#define FM_PROGRESS_H

#include "base/os.h"

struct progress {
    struct os_mutex mutex;
    struct os_cond changed;
    struct os_thread thread;
    uint64_t images, faces, errors; /* done so far, under `mutex` */
    uint64_t total;                 /* 0: not known yet */
    uint64_t start_ns;
    bool running, shown, quit;
    uint64_t (*count)(void *user); /* how many images there will be; may take long */
    void *user;
};
void fm_progress_init(struct progress *progress);
/* Start drawing; without this everything below only counts. `count` may be NULL. */
void fm_progress_start(struct progress *progress, uint64_t (*count)(void *user), void *user);
void fm_progress_add(struct progress *progress, size_t faces, bool error);
/* Take the line away before something else is written to the terminal; drawn again within a quarter of a second. */
void fm_progress_hide(struct progress *progress);
void fm_progress_stop(struct progress *progress);
void fm_progress_reset(struct progress *progress);
/* fm_log_callback for an engine beside a progress line; `user` is the struct progress. */
void fm_progress_log(fm_log_level level, const char *component, const char *message, void *user);

#endif
