/* What installing needs of the operating system: locks between processes, files that grow by appending, copies, folders
   put in each other's place, and the promise that what was written is on the disk. POSIX. */
#ifndef FM_BASE_OS_INSTALL_H
#define FM_BASE_OS_INSTALL_H

#include "base/os.h"

/* Held from taking to release, or to the end of the process. {.descriptor = -1} is not held. */
struct os_lock {
    int descriptor;
};
/* Take the lock that the file `path` stands for (made when it is not there, and left there). FM_BUSY at once when
   another process holds it; FM_IO. */
FM_MUST_USE fm_status fm_lock_take(const char *path, struct os_lock *lock, fm_error *error);
void fm_lock_release(struct os_lock *lock);

/* A file being written from its start or from its end on. {.descriptor = -1} is closed. */
struct os_growing {
    int descriptor;
    uint64_t size; /* so far */
    char path[OS_PATH_SIZE];
};
/* Open for appending, made when it is not there; never through a symbolic link. With `fresh` it must not be there. */
FM_MUST_USE fm_status fm_growing_open(struct os_growing *file, const char *path, bool fresh, fm_error *error);
/* FM_IO; a full disk and a file size limit are said in words, with what is free. What was written before stays. */
FM_MUST_USE fm_status fm_growing_add(struct os_growing *file, const void *bytes, size_t size, fm_error *error);
FM_MUST_USE fm_status fm_growing_cut(struct os_growing *file, fm_error *error); /* to nothing */
/* Close; with `sync` first wait until it is on the disk. */
FM_MUST_USE fm_status fm_growing_close(struct os_growing *file, bool sync, fm_error *error);

/* Call `take` with the bytes of a regular file, piece by piece; `take` returning false stops (and is no failure). */
FM_MUST_USE fm_status fm_file_stream(const char *path, bool (*take)(const void *bytes, size_t size, void *user),
                                     void *user, fm_error *error);
/* Copy a regular file of at most `max_bytes` to `to`, which must not be there, and wait until it is on the disk. */
FM_MUST_USE fm_status fm_file_copy(const char *from, const char *to, uint64_t max_bytes, fm_error *error);
uint64_t fm_file_size(const char *path); /* 0 when it is no regular file */
FM_MUST_USE bool fm_file_remove(const char *path);
/* Is `path` itself a symbolic link? */
bool fm_path_is_link(const char *path);
/* Is there anything of that name, a broken link too? */
bool fm_path_exists(const char *path);

/* Make a folder whose name is `path` with its last six characters, XXXXXX, replaced. */
FM_MUST_USE fm_status fm_folder_make_unique(char *path, fm_error *error);
/* Wait until a folder with everything in it is on the disk. */
FM_MUST_USE fm_status fm_folder_sync(const char *path, fm_error *error);
/* Rename a folder to a name that must be free, and wait until that is on the disk. */
FM_MUST_USE fm_status fm_folder_rename(const char *from, const char *to, fm_error *error);
/* Two folders change their names, so that each name leads to a whole folder at every moment. FM_UNSUPPORTED where the
   file system cannot. */
FM_MUST_USE fm_status fm_folder_exchange(const char *a, const char *b, fm_error *error);
/* Bytes that can still be written where `path` is; UINT64_MAX when unknown. */
uint64_t fm_free_space(const char *path);
void fm_pause(unsigned ms);

#endif
