/* Files: read whole, write whole or not at all. The errors of the operating system become words here. Any thread. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)16 << 10)
#define WRITE_AT_ONCE ((size_t)1 << 30) /* the kernel takes at most 2 GiB - 4 KiB a call */
#define NAME_ATTEMPTS 100

static enum os_path_kind kind_of(mode_t mode) {
    if (S_ISREG(mode)) {
        return OS_PATH_FILE;
    }
    return S_ISDIR(mode) ? OS_PATH_FOLDER : OS_PATH_OTHER;
}

enum os_path_kind fm_path_kind(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? kind_of(info.st_mode) : OS_PATH_NONE;
}

static fm_status fail_to_open(const char *path, int code, fm_error *error) {
    if (code == ENOENT || code == ENOTDIR) {
        return fm_fail(error, FM_NOT_FOUND, "there is no file '%s'; check the path", path);
    }
    const char *remedy = code == EACCES ? "; check its permissions" : "";
    return fm_fail(error, FM_IO, "cannot open '%s': %s%s", path, strerror(code), remedy);
}

/* FM_OK for what can be read to an end: regular files and pipes. */
static fm_status check_readable(const char *path, const struct stat *info, fm_error *error) {
    if (S_ISREG(info->st_mode) || S_ISFIFO(info->st_mode)) {
        return FM_OK;
    }
    if (S_ISDIR(info->st_mode)) {
        return fm_fail(error, FM_IO, "'%s' is a folder, expected a file; name a file in it", path);
    }
    return fm_fail(error, FM_IO, "'%s' is a device or socket, expected a regular file or a pipe", path);
}

static fm_status fail_too_large(const char *path, uint64_t max_bytes, fm_error *error) {
    return fm_fail(error, FM_LIMIT, "'%s' is larger than the limit of %" PRIu64 " bytes; raise the limit to read it",
                   path, max_bytes);
}

/* Up to `size` bytes; fewer only at the end. Negative on failure (errno). */
static ssize_t read_fully(int descriptor, void *bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(descriptor, (char *)bytes + done, size - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* `expected` bytes at once, then what has come since (all of a pipe); a file that shrinks ends early. */
static fm_status read_all(int descriptor, const char *path, size_t expected, uint64_t max_bytes, struct buffer *buffer,
                          fm_error *error) {
    if (!fm_buffer_resize(buffer, expected)) {
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s' (%zu bytes)", path, expected);
    }
    ssize_t got = read_fully(descriptor, buffer->bytes, expected);
    bool shrunk = got >= 0 && (size_t)got < expected;
    if (shrunk) {
        return fm_buffer_resize(buffer, (size_t)got) ? FM_OK : FM_INTERNAL; /* smaller: cannot fail */
    }
    unsigned char chunk[CHUNK];
    while (got > 0 || (got == 0 && buffer->size == 0)) {
        got = read_fully(descriptor, chunk, sizeof chunk);
        if (got <= 0) {
            break;
        }
        if (max_bytes - buffer->size < (size_t)got) {
            return fail_too_large(path, max_bytes, error);
        }
        if (!fm_buffer_append(buffer, chunk, (size_t)got, 0)) {
            return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading '%s' (%zu bytes so far)", path,
                           buffer->size);
        }
    }
    return got < 0 ? fm_fail(error, FM_IO, "cannot read '%s': %s", path, strerror(errno)) : FM_OK;
}

fm_status fm_file_read(const char *path, uint64_t max_bytes, struct buffer *buffer, fm_error *error) {
    struct stat info;
    fm_status status;
    if (stat(path, &info) != 0) { /* before opening: opening a device may do things */
        return fail_to_open(path, errno, error);
    }
    status = check_readable(path, &info, error);
    if (status != FM_OK) {
        return status;
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        return fail_to_open(path, errno, error);
    }
    if (fstat(descriptor, &info) != 0) {
        status = fm_fail(error, FM_IO, "cannot read '%s': %s", path, strerror(errno));
        goto cleanup;
    }
    status = check_readable(path, &info, error); /* it may be another one by now */
    if (status != FM_OK) {
        goto cleanup;
    }
    uint64_t expected = S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
    if (expected > max_bytes || expected > SIZE_MAX / 2) {
        status = fail_too_large(path, max_bytes, error);
        goto cleanup;
    }
    status = read_all(descriptor, path, (size_t)expected, max_bytes, buffer, error);
cleanup:
    close(descriptor);
    return status;
}

static fm_status write_fully(int descriptor, const char *path, const void *bytes, size_t size, fm_error *error) {
    const char *next = bytes;
    while (size > 0) {
        ssize_t done = write(descriptor, next, size < WRITE_AT_ONCE ? size : WRITE_AT_ONCE);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            const char *remedy = errno == ENOSPC || errno == EDQUOT ? "; make room or write elsewhere" : "";
            return fm_fail(error, FM_IO, "cannot write '%s': %s%s", path, strerror(errno), remedy);
        }
        next += done;
        size -= (size_t)done;
    }
    return FM_OK;
}

static fm_status close_written(int descriptor, const char *path, fm_status status, fm_error *error) {
    if (close(descriptor) != 0 && errno != EINTR && status == FM_OK) { /* network file systems tell only now */
        return fm_fail(error, FM_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return status;
}

/* Devices and pipes are written, never replaced: a rename would destroy /dev/null. */
static fm_status write_in_place(const char *path, const void *bytes, size_t size, fm_error *error) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        return fm_fail(error, FM_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return close_written(descriptor, path, write_fully(descriptor, path, bytes, size, error), error);
}

/* Open a new file beside `path`; its name goes to `temporary`. Negative on failure (errno). */
static int open_beside(const char *path, char temporary[OS_PATH_SIZE], mode_t mode) {
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        int length = snprintf(temporary, OS_PATH_SIZE, "%s.%lx-%" PRIx64 ".part", path, (unsigned long)getpid(),
                              fm_clock_ns() + (uint64_t)attempt);
        if (length < 0 || length >= OS_PATH_SIZE) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor >= 0 || errno != EEXIST) {
            return descriptor;
        }
    }
    return -1;
}

static fm_status write_and_rename(const char *path, mode_t mode, const void *bytes, size_t size, fm_error *error) {
    char temporary[OS_PATH_SIZE];
    int descriptor = open_beside(path, temporary, mode);
    if (descriptor < 0) {
        const char *remedy = errno == ENOENT ? "; make its folder first" : "";
        return fm_fail(error, FM_IO, "cannot write '%s': %s%s", path, strerror(errno), remedy);
    }
    fm_status status = write_fully(descriptor, path, bytes, size, error);
    status = close_written(descriptor, path, status, error);
    if (status == FM_OK && rename(temporary, path) != 0) {
        status = fm_fail(error, FM_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (status != FM_OK) {
        unlink(temporary);
    }
    return status;
}

fm_status fm_file_write(const char *path, const void *bytes, size_t size, fm_error *error) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return write_and_rename(path, 0666, bytes, size, error);
    }
    if (S_ISDIR(info.st_mode)) {
        return fm_fail(error, FM_IO, "cannot write '%s': it is a folder; name a file in it", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return write_in_place(path, bytes, size, error);
    }
    char real[OS_PATH_SIZE]; /* a symbolic link stays one: its target is replaced */
    if (!fm_path_real(path, real, sizeof real)) {
        return fm_fail(error, FM_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return write_and_rename(real, info.st_mode & 0777, bytes, size, error);
}

bool fm_path_join(char *out, size_t size, const char *folder, const char *name) {
    size_t length = strlen(folder);
    const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
    int joined = snprintf(out, size, "%s%s%s", folder, slash, name);
    return joined >= 0 && (size_t)joined < size;
}

bool fm_path_real(const char *path, char *out, size_t size) {
    char *real = realpath(path, NULL);
    if (real == NULL) {
        return false;
    }
    int length = snprintf(out, size, "%s", real);
    free(real); /* the C library's own block */
    return length >= 0 && (size_t)length < size;
}
