/* The operating system: threads, shared libraries, files, memory figures. Only os_*.c files implement this, and only
   they may include pthread.h, dlfcn.h, sys/mman.h, dirent.h, unistd.h and their like. */
#ifndef FM_BASE_OS_H
#define FM_BASE_OS_H

#include "base/error.h"
#include "base/memory.h"

/* ---- threads. Storage is inline so that structs can embed them. */
struct os_mutex {
    _Alignas(16) unsigned char storage[64];
};
struct os_cond {
    _Alignas(16) unsigned char storage[64];
};
struct os_thread {
    _Alignas(16) unsigned char storage[16];
};
void fm_mutex_init(struct os_mutex *mutex);
void fm_mutex_reset(struct os_mutex *mutex);
void fm_mutex_lock(struct os_mutex *mutex);
void fm_mutex_unlock(struct os_mutex *mutex);
void fm_cond_init(struct os_cond *cond); /* monotonic clock */
void fm_cond_reset(struct os_cond *cond);
void fm_cond_wait(struct os_cond *cond, struct os_mutex *mutex);
/* Wait until fm_clock_ns() reaches deadline_ns; false when it did. */
bool fm_cond_wait_until(struct os_cond *cond, struct os_mutex *mutex, uint64_t deadline_ns);
void fm_cond_signal(struct os_cond *cond);
void fm_cond_broadcast(struct os_cond *cond);
/* `name` at most 15 characters, cut there. Signals meant for the program are left to the program's own threads. */
FM_MUST_USE bool fm_thread_start(struct os_thread *thread, const char *name, void (*run)(void *), void *argument);
void fm_thread_join(struct os_thread *thread);

/* ---- clock */
uint64_t fm_clock_ns(void); /* monotonic */

/* ---- shared libraries */
/* RTLD_NOW | RTLD_LOCAL; the loader's words go to `error` (FM_NOT_FOUND). */
FM_MUST_USE fm_status fm_library_open(const char *path, void **library, fm_error *error);
void *fm_library_symbol(void *library, const char *name); /* library NULL: what the whole process can see */
void fm_library_close(void *library);
/* The first of `paths` that can be opened, and the addresses of `names` in it, into `functions`: as many pointers, or a
   struct of as many function pointers. Both lists end with NULL. What was opened stays open: what it brought along may
   have left things to do at the process's end. */
enum os_library { OS_LIBRARY_NONE = 0, OS_LIBRARY_OLD = 1, OS_LIBRARY_WHOLE = 2 }; /* old: it lacks some */
enum os_library fm_library_load(const char *const paths[], const char *const names[], void *functions);

/* ---- files */
#define OS_PATH_SIZE 4096 /* bytes of any path that we build, with its NUL */
enum os_path_kind { OS_PATH_NONE = 0, OS_PATH_FILE = 1, OS_PATH_FOLDER = 2, OS_PATH_OTHER = 3 };
enum os_path_kind fm_path_kind(const char *path);
/* Read a regular file (or pipe, waiting for its writer) whole into `buffer`; FM_NOT_FOUND, FM_IO, FM_LIMIT (more than
   max_bytes; checked by size before reading where there is one), FM_OUT_OF_MEMORY. Words name the path. */
FM_MUST_USE fm_status fm_file_read(const char *path, uint64_t max_bytes, struct buffer *buffer, fm_error *error);
/* Write a temporary file beside `path`, then rename: whole or not at all. A link stays a link, the mode of a file that
   was there stays; devices and pipes are written in place. */
FM_MUST_USE fm_status fm_file_write(const char *path, const void *bytes, size_t size, fm_error *error);
FM_MUST_USE fm_status fm_folder_make(const char *path, fm_error *error); /* with parents; fine when it is there */
/* Visit entries (not "." and "..") in strcmp order; `visit` returning false stops. */
FM_MUST_USE fm_status fm_folder_visit(const char *path,
                                      bool (*visit)(const char *name, enum os_path_kind kind, void *user), void *user,
                                      fm_error *error);
/* Join with one '/'; false when it does not fit. */
FM_MUST_USE bool fm_path_join(char *out, size_t size, const char *folder, const char *name);
/* Canonical absolute path; false when there is none. */
FM_MUST_USE bool fm_path_real(const char *path, char *out, size_t size);
/* XDG: $XDG_DATA_HOME/facemill or ~/.local/share/facemill; likewise config and cache; false without a home. */
FM_MUST_USE bool fm_data_folder(char *out, size_t size);
FM_MUST_USE bool fm_cache_folder(char *out, size_t size);
FM_MUST_USE bool fm_config_folder(char *out, size_t size);
FM_MUST_USE bool fm_home_folder(char *out, size_t size);
/* A fresh private folder below $TMPDIR or /tmp, and its removal with everything in it. */
FM_MUST_USE bool fm_temporary_folder(char *out, size_t size);
void fm_folder_remove(const char *path);
const char *fm_environment(const char *name); /* NULL when unset or empty */
/* Set a variable of this process unless it is set already. No other thread may read the environment meanwhile. */
void fm_environment_offer(const char *name, const char *value);
bool fm_is_terminal(int descriptor);
int fm_terminal_width(int descriptor); /* 80 when unknown */

/* ---- the machine */
int fm_core_count(void); /* that this process may use (affinity, control groups); at least 1 */
/* In bytes; 0 = unknown. */
struct os_memory {
    uint64_t total, available, process, process_peak;
};
struct os_memory fm_memory_figures(void);
/* AT_HWCAP and AT_HWCAP2; 0 where there is no such thing. */
struct os_cpu_bits {
    uint64_t first, second;
};
struct os_cpu_bits fm_cpu_bits(void);
void fm_machine_name(char *out, size_t size); /* "aarch64", as uname has it */

#endif
