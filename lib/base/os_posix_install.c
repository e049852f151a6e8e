/* Installing: every step either leaves things as they were or is whole. Waiting for the disk (fsync) comes before the
   rename that makes something visible, so that a power cut cannot show a name without its bytes. Any thread. */
#define _GNU_SOURCE /* renameat2, flock */
#include "base/os_install.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)256 << 10)

static fm_status fail_with(const char *verb, const char *path, int code, fm_error *error) {
    if (code == ENOENT || code == ENOTDIR) {
        return fm_fail(error, FM_NOT_FOUND, "cannot %s '%s': %s", verb, path, strerror(code));
    }
    if (code == ENOSPC || code == EDQUOT) {
        return fm_fail(error, FM_IO, "cannot %s '%s': %s (%" PRIu64 " bytes free there); make room and try again", verb,
                       path, strerror(code), fm_free_space(path));
    }
    if (code == EFBIG) {
        return fm_fail(error, FM_IO, "cannot %s '%s': %s (a file may not grow that large here); raise the limit", verb,
                       path, strerror(code));
    }
    return fm_fail(error, FM_IO, "cannot %s '%s': %s", verb, path, strerror(code));
}

/* ------------------------------------------------------------------- locks */

fm_status fm_lock_take(const char *path, struct os_lock *lock, fm_error *error) {
    lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (lock->descriptor < 0) {
        return fail_with("lock", path, errno, error);
    }
    while (flock(lock->descriptor, LOCK_EX | LOCK_NB) != 0) {
        int code = errno;
        if (code == EINTR) {
            continue;
        }
        fm_lock_release(lock);
        return code == EWOULDBLOCK ? fm_fail(error, FM_BUSY, "'%s' is locked by another process", path)
                                   : fail_with("lock", path, code, error);
    }
    return FM_OK;
}

void fm_lock_release(struct os_lock *lock) {
    if (lock->descriptor >= 0) {
        close(lock->descriptor);
    }
    lock->descriptor = -1;
}

/* ---------------------------------------------------------- growing files */

static fm_status fail_irregular(const char *path, fm_error *error) {
    return fm_fail(error, FM_IO, "cannot write '%s': it is no regular file; move it away and try again", path);
}

fm_status fm_growing_open(struct os_growing *file, const char *path, bool fresh, fm_error *error) {
    struct stat info;
    /* without O_NONBLOCK, opening a pipe would wait for somebody to read it */
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | (fresh ? O_EXCL : 0);
    file->descriptor = -1;
    file->size = 0;
    int length = snprintf(file->path, sizeof file->path, "%s", path);
    if (length < 0 || (size_t)length >= sizeof file->path) {
        return fm_fail(error, FM_IO, "cannot write '%s': the path is too long", path);
    }
    file->descriptor = open(path, flags, 0666);
    if (file->descriptor < 0 && (errno == ENXIO || errno == ELOOP)) {
        return fail_irregular(path, error);
    }
    if (file->descriptor < 0) {
        return fail_with("write", path, errno, error);
    }
    if (fstat(file->descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(file->descriptor);
        file->descriptor = -1;
        return fail_irregular(path, error);
    }
    file->size = (uint64_t)info.st_size;
    return FM_OK;
}

fm_status fm_growing_add(struct os_growing *file, const void *bytes, size_t size, fm_error *error) {
    const char *next = bytes;
    while (size > 0) {
        ssize_t done = write(file->descriptor, next, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return fail_with("write", file->path, errno, error);
        }
        next += done;
        size -= (size_t)done;
        file->size += (uint64_t)done;
    }
    return FM_OK;
}

fm_status fm_growing_cut(struct os_growing *file, fm_error *error) {
    if (ftruncate(file->descriptor, 0) != 0) {
        return fail_with("empty", file->path, errno, error);
    }
    file->size = 0;
    return FM_OK;
}

fm_status fm_growing_close(struct os_growing *file, bool sync, fm_error *error) {
    fm_status status = FM_OK;
    if (file->descriptor < 0) {
        return FM_OK;
    }
    if (sync && fsync(file->descriptor) != 0 && errno != EINVAL) {
        status = fail_with("write", file->path, errno, error);
    }
    if (close(file->descriptor) != 0 && errno != EINTR && status == FM_OK) {
        status = fail_with("write", file->path, errno, error);
    }
    file->descriptor = -1;
    return status;
}

/* -------------------------------------------------------------------- files */

static int open_regular(const char *path) {
    struct stat info;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor >= 0 && (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))) {
        close(descriptor);
        errno = EINVAL;
        return -1;
    }
    return descriptor;
}

fm_status fm_file_stream(const char *path, bool (*take)(const void *bytes, size_t size, void *user), void *user,
                         fm_error *error) {
    fm_status status = FM_OK;
    unsigned char *chunk = fm_alloc(CHUNK);
    int descriptor = chunk != NULL ? open_regular(path) : -1;
    if (chunk == NULL) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s'", path);
    }
    if (descriptor < 0) {
        status = fail_with("read", path, errno, error);
        goto cleanup;
    }
    for (;;) {
        ssize_t got = read(descriptor, chunk, CHUNK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = fail_with("read", path, errno, error);
        }
        if (got <= 0 || !take(chunk, (size_t)got, user)) {
            break;
        }
    }
cleanup:
    if (descriptor >= 0) {
        close(descriptor);
    }
    fm_free(chunk);
    return status;
}

struct copy {
    struct os_growing to;
    uint64_t max_bytes;
    const char *from;
    fm_status status;
    fm_error *error;
};

static bool copy_piece(const void *bytes, size_t size, void *user) {
    struct copy *copy = user;
    if (copy->max_bytes - copy->to.size < size) {
        copy->status =
            fm_fail(copy->error, FM_LIMIT, "'%s' is larger than %" PRIu64 " bytes", copy->from, copy->max_bytes);
    } else {
        copy->status = fm_growing_add(&copy->to, bytes, size, copy->error);
    }
    return copy->status == FM_OK;
}

fm_status fm_file_copy(const char *from, const char *to, uint64_t max_bytes, fm_error *error) {
    struct copy copy = {.to = {.descriptor = -1}, .max_bytes = max_bytes, .from = from, .error = error};
    fm_status status = fm_growing_open(&copy.to, to, true, error);
    if (status != FM_OK) {
        return status;
    }
    status = fm_file_stream(from, copy_piece, &copy, error);
    if (status == FM_OK) {
        status = copy.status;
    }
    fm_status closed = fm_growing_close(&copy.to, status == FM_OK, error);
    status = status != FM_OK ? status : closed;
    if (status != FM_OK) {
        (void)unlink(to);
    }
    return status;
}

uint64_t fm_file_size(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
}

bool fm_file_remove(const char *path) {
    return unlink(path) == 0 || errno == ENOENT;
}

bool fm_path_is_link(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

bool fm_path_exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

/* ------------------------------------------------------------------ folders */

fm_status fm_folder_make_unique(char *path, fm_error *error) {
    if (mkdtemp(path) == NULL) {
        return fail_with("make the folder", path, errno, error);
    }
    if (chmod(path, 0755) != 0) { /* mkdtemp's is private, an installed pack is not */
        int code = errno;
        (void)rmdir(path);
        return fail_with("make the folder", path, code, error);
    }
    return FM_OK;
}

static fm_status sync_path(const char *path, int flags, fm_error *error) {
    fm_status status = FM_OK;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    if (descriptor < 0) {
        return fail_with("write", path, errno, error);
    }
    if (fsync(descriptor) != 0 && errno != EINVAL) { /* EINVAL: a file system without such a promise */
        status = fail_with("write", path, errno, error);
    }
    close(descriptor);
    return status;
}

struct sync {
    const char *folder;
    fm_status status;
    fm_error *error;
};

static bool sync_file(const char *name, enum os_path_kind kind, void *user) {
    struct sync *sync = user;
    char path[OS_PATH_SIZE];
    if (!fm_path_join(path, sizeof path, sync->folder, name)) {
        return true;
    }
    if (kind == OS_PATH_FILE) {
        sync->status = sync_path(path, O_NOFOLLOW, sync->error);
    } else if (kind == OS_PATH_FOLDER && !fm_path_is_link(path)) {
        sync->status = fm_folder_sync(path, sync->error);
    }
    return sync->status == FM_OK;
}

fm_status fm_folder_sync(const char *path, fm_error *error) {
    struct sync sync = {path, FM_OK, error};
    fm_status status = fm_folder_visit(path, sync_file, &sync, error);
    if (status == FM_OK) {
        status = sync.status;
    }
    return status == FM_OK ? sync_path(path, O_DIRECTORY | O_NOFOLLOW, error) : status;
}

/* The folder that holds `path`; it may be a link to another disk: only what lies in it must be none. */
static fm_status sync_parent(const char *path, fm_error *error) {
    char parent[OS_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    int length = slash != NULL ? (int)(slash - path) : 1;
    (void)snprintf(parent, sizeof parent, "%.*s", length > 0 ? length : 1, slash != NULL ? path : ".");
    return sync_path(parent, O_DIRECTORY, error);
}

fm_status fm_folder_rename(const char *from, const char *to, fm_error *error) {
    /* rename would take the place of an empty folder; the callers hold a lock, so looking first is enough */
    if (fm_path_exists(to)) {
        return fm_fail(error, FM_IO, "cannot rename '%s' to '%s': there is something of that name", from, to);
    }
    if (rename(from, to) != 0) {
        return fail_with("rename", from, errno, error);
    }
    return sync_parent(to, error);
}

fm_status fm_folder_exchange(const char *a, const char *b, fm_error *error) {
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0) {
        return sync_parent(b, error);
    }
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
        return fail_with("put in place", b, errno, error);
    }
#endif
    return fm_fail(error, FM_UNSUPPORTED, "the file system of '%s' cannot exchange '%s' with it", b, a);
}

uint64_t fm_free_space(const char *path) {
    struct statvfs info;
    char parent[OS_PATH_SIZE];
    (void)snprintf(parent, sizeof parent, "%s", path);
    while (statvfs(parent, &info) != 0) {
        char *slash = strrchr(parent, '/');
        if (slash == NULL || slash == parent) {
            return UINT64_MAX;
        }
        *slash = '\0';
    }
    return (uint64_t)info.f_bavail * (uint64_t)info.f_frsize;
}

void fm_pause(unsigned ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
        continue;
    }
}
