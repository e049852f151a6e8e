/* Chores: a few threads of the service for what has to wait (crops to embed, libraries to look at), so that neither the
   server's threads nor the engine's do. The queue is bounded. */
#ifndef FM_HTTP_CHORES_H
#define FM_HTTP_CHORES_H

#include "base/error.h"

struct chores;

/* *chores is the caller's (fm_chores_close). At most `limit` wait beside those that run. */
FM_MUST_USE fm_status fm_chores_open(int threads, size_t limit, struct chores **chores, fm_error *error);
/* Run `run(argument)` on one of the threads. false: the queue is full, or `chores` is NULL. Any thread. */
FM_MUST_USE bool fm_chores_add(struct chores *chores, void (*run)(void *argument), void *argument);
/* Finish what was accepted, then free. */
void fm_chores_close(struct chores *chores);

#endif
