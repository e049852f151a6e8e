/* What only a program needs of the operating system: interrupts, standard streams, and what accelerators and libraries
   there are. */
#ifndef FM_BASE_OS_PROGRAM_H
#define FM_BASE_OS_PROGRAM_H

#include "base/os.h"

#include <stdatomic.h>

/* Standard streams that were closed are closed for good: no file opened later takes their number, and reading or
   writing them fails as before. Call first of all. */
void fm_standard_streams_guard(void);

/* Watch for requests to stop (Ctrl-C, SIGTERM) from now on: the first calls `on_signal` with its number, on a thread of
   its own; the second ends the process at once with 128 + its number. A closed pipe becomes a write error instead
   of a signal. Call before the first thread is started; once per process; lasts until it ends. */
FM_MUST_USE bool fm_signals_watch(void (*on_signal)(int number, void *user), void *user);

/* Watch for what a service is told while it runs: read your configuration again (SIGHUP), say more (SIGUSR1), say less
   (SIGUSR2); one call at a time, on a thread of its own. Call before other threads are started; once per process. */
enum os_request { OS_REQUEST_RELOAD, OS_REQUEST_LOUDER, OS_REQUEST_QUIETER };
FM_MUST_USE bool fm_requests_watch(void (*on_request)(enum os_request request, void *user), void *user);

/* Tell the service manager (NOTIFY_SOCKET, sd_notify's protocol): "READY=1", lines of KEY=VALUE. Nothing happens where
   there is none. */
void fm_manager_tell(const char *state);
/* How often it wants "WATCHDOG=1" from this process (WATCHDOG_USEC), at most half of the time that it waits; 0: never.
 */
uint64_t fm_manager_watchdog_ns(void);
unsigned fm_process_number(void);

/* Read what is there of a descriptor (0: standard input), at most `size` bytes, waiting for the first of them until
 *interrupted is not 0. *got is 0 at the end and when interrupted. FM_IO: words are the system's alone. */
FM_MUST_USE fm_status fm_input_read(int descriptor, const atomic_int *interrupted, void *bytes, size_t size,
                                    size_t *got, fm_error *error);

/* One accelerator as the operating system lists it. */
struct os_accelerator {
    char name[128];   /* "NVIDIA H200", or vendor and device numbers */
    char driver[128]; /* "nvidia 550.54.15"; "" when none is loaded */
};
void fm_accelerators_visit(void (*visit)(const struct os_accelerator *accelerator, void *user), void *user);

/* Paths of the shared libraries in this process, as loaded. */
void fm_libraries_visit(void (*visit)(const char *path, void *user), void *user);
/* Does the loader find a library of this name? Its path into `out`. It stays loaded: not every
   vendor's library can be unloaded cleanly. */
FM_MUST_USE bool fm_library_find(const char *name, char *out, size_t size);

#endif
