/* Archive: nothing that an entry says of itself is believed. Names are checked before they become paths, kinds before
   they are opened, sizes while they are inflated. libzip is loaded when an archive is opened, not linked: its own
   libraries would cost every start of the program more than 5 ms. One thread. */
#include "packs/archive.h"

#include "base/os_install.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zip.h>

#define CHUNK ((size_t)256 << 10)
#define UNPACKED_FREELY ((uint64_t)16 << 20) /* below this the ratio is not looked at */
#define MAX_RATIO 200                        /* networks hardly shrink; a bomb's entry is 1000 times its size */
#define MODE_KIND 0170000u                   /* of POSIX, in the upper half of the external attributes */
#define MODE_FILE 0100000u
#define MODE_FOLDER 0040000u
#define MODE_LINK 0120000u

#define FUNCTIONS(X)                                                                                                   \
    X(zip_open)                                                                                                        \
    X(zip_discard)                                                                                                     \
    X(zip_strerror)                                                                                                    \
    X(zip_error_init_with_code)                                                                                        \
    X(zip_error_strerror)                                                                                              \
    X(zip_error_fini)                                                                                                  \
    X(zip_get_num_entries)                                                                                             \
    X(zip_stat_index)                                                                                                  \
    X(zip_file_get_external_attributes)                                                                                \
    X(zip_fopen_index)                                                                                                 \
    X(zip_fread)                                                                                                       \
    X(zip_file_strerror)                                                                                               \
    X(zip_fclose)

struct zip_library {
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

static fm_status load(struct zip_library *library, fm_error *error) {
    static const char *const paths[] = {"libzip.so.5",    "libzip.so.4",  "libzip.so",
                                        "libzip.5.dylib", "libzip.dylib", NULL};
#define NAME(name) #name,
    static const char *const names[] = {FUNCTIONS(NAME) NULL};
#undef NAME
    enum os_library found = fm_library_load(paths, names, library);
    if (found == OS_LIBRARY_NONE)
        return fm_fail(error, FM_UNSUPPORTED,
                       "libzip is not on this machine; install it (Debian: libzip4), or unpack the archive and run "
                       "'facemill models add' on the folder");
    return found == OS_LIBRARY_WHOLE
               ? FM_OK
               : fm_fail(error, FM_UNSUPPORTED, "libzip of this machine lacks functions; install 1.0 or newer");
}

/* One archive being unpacked. */
struct unpacking {
    struct zip_library zip;
    zip_t *archive;
    const char *path, *what, *folder;
    uint64_t packed, unpacked; /* bytes of the whole file; written so far */
    struct members members;
    unsigned char *chunk;
};

static fm_status refuse(const struct unpacking *work, const char *entry, const char *why, fm_error *error) {
    return fm_fail(error, FM_BAD_MODEL, "%s: the entry '%s' %s; the archive is refused, nothing was installed",
                   work->what, entry, why);
}

/* ---- looking */

static fm_status check_kind(const struct unpacking *work, zip_uint64_t index, const zip_stat_t *entry,
                            fm_error *error) {
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (work->zip.zip_file_get_external_attributes(work->archive, index, 0, &system, &attributes) != 0)
        return refuse(work, entry->name, "has attributes that cannot be read", error);
    unsigned kind = attributes >> 16 & MODE_KIND;
    if (kind == MODE_LINK)
        return refuse(work, entry->name, "is a symbolic link", error);
    if (kind != 0 && kind != MODE_FILE && kind != MODE_FOLDER)
        return refuse(work, entry->name, "is a device or another special file", error);
    if ((entry->valid & ZIP_STAT_ENCRYPTION_METHOD) && entry->encryption_method != ZIP_EM_NONE)
        return refuse(work, entry->name, "is encrypted", error);
    if (!(entry->valid & ZIP_STAT_COMP_METHOD) ||
        (entry->comp_method != ZIP_CM_STORE && entry->comp_method != ZIP_CM_DEFLATE))
        return refuse(work, entry->name, "is packed in a way that is not read here (neither stored nor deflated)",
                      error);
    return FM_OK;
}

static fm_status look_at(struct unpacking *work, zip_uint64_t index, fm_error *error) {
    zip_stat_t entry = {0};
    const char *why = NULL;
    char number[32];
    (void)snprintf(number, sizeof number, "%" PRIu64, (uint64_t)index);
    if (work->zip.zip_stat_index(work->archive, index, ZIP_FL_ENC_RAW, &entry) != 0 || !(entry.valid & ZIP_STAT_NAME) ||
        !(entry.valid & ZIP_STAT_SIZE) || !entry.name)
        return refuse(work, number, "cannot be read", error);
    if (!fm_member_is_safe(entry.name, &why)) {
        char words[96];
        (void)snprintf(words, sizeof words, "has a name that %s", why);
        return refuse(work, entry.name, words, error);
    }
    fm_status status = check_kind(work, index, &entry, error);
    size_t length = strlen(entry.name);
    if (status != FM_OK || entry.name[length - 1] == '/')
        return status;
    if (entry.size > PACK_MAX_FILE)
        return fm_fail(error, FM_LIMIT, "%s: the entry '%s' has %" PRIu64 " bytes, at most %" PRIu64 " are taken",
                       work->what, entry.name, (uint64_t)entry.size, PACK_MAX_FILE);
    return fm_members_add(&work->members, entry.name, entry.size, (size_t)index, error);
}

static fm_status look(struct unpacking *work, const struct notes *notes, fm_error *error) {
    zip_int64_t count = work->zip.zip_get_num_entries(work->archive, 0);
    fm_status status = FM_OK;
    if (count > PACK_MAX_MEMBERS)
        return fm_fail(error, FM_LIMIT, "%s has %" PRId64 " entries, at most %d are taken", work->what, (int64_t)count,
                       PACK_MAX_MEMBERS);
    for (zip_int64_t i = 0; i < count && status == FM_OK; i++)
        status = look_at(work, (zip_uint64_t)i, error);
    if (status == FM_OK)
        status = fm_members_choose(&work->members, notes, error);
    uint64_t total = fm_members_total(&work->members), free_bytes = fm_free_space(work->folder);
    if (status == FM_OK && total > free_bytes)
        status =
            fm_fail(error, FM_IO,
                    "no room to unpack %s: it needs %" PRIu64 " bytes in '%s', %" PRIu64 " are free; make room and "
                    "try again",
                    work->what, total, work->folder, free_bytes);
    return status;
}

/* ---- unpacking */

static fm_status make_parents(const struct unpacking *work, const char *target, fm_error *error) {
    char parent[OS_PATH_SIZE];
    const char *slash = strrchr(target, '/');
    if (slash == NULL)
        return FM_OK;
    int length = snprintf(parent, sizeof parent, "%s/%.*s", work->folder, (int)(slash - target), target);
    if (length < 0 || (size_t)length >= sizeof parent)
        return refuse(work, target, "has a name that is too long", error);
    return fm_folder_make(parent, error);
}

static fm_status copy_out(struct unpacking *work, const struct member *member, zip_file_t *entry,
                          struct os_growing *file, fm_error *error) {
    for (;;) {
        zip_int64_t got = work->zip.zip_fread(entry, work->chunk, CHUNK);
        char words[256];
        if (got < 0) {
            (void)snprintf(words, sizeof words, "is damaged: %.200s", work->zip.zip_file_strerror(entry));
            return refuse(work, member->path, words, error);
        }
        if (got == 0)
            break;
        work->unpacked += (uint64_t)got;
        if (file->size + (uint64_t)got > member->bytes)
            return refuse(work, member->path, "is longer than it says", error);
        if (work->unpacked > UNPACKED_FREELY && work->unpacked / MAX_RATIO > work->packed)
            return refuse(work, member->path, "unpacks to more than 200 times the archive's size (a bomb)", error);
        fm_status status = fm_growing_add(file, work->chunk, (size_t)got, error);
        if (status != FM_OK)
            return status;
    }
    return file->size == member->bytes ? FM_OK : refuse(work, member->path, "is shorter than it says", error);
}

static fm_status unpack_one(struct unpacking *work, const struct member *member, fm_error *error) {
    char path[OS_PATH_SIZE];
    struct os_growing file = {.descriptor = -1};
    zip_file_t *entry = NULL;
    fm_status status = make_parents(work, member->target, error);
    if (status == FM_OK && !fm_path_join(path, sizeof path, work->folder, member->target))
        status = refuse(work, member->path, "has a name that is too long", error);
    if (status != FM_OK)
        return status;
    entry = work->zip.zip_fopen_index(work->archive, member->index, 0);
    if (entry == NULL) {
        char words[256];
        (void)snprintf(words, sizeof words, "cannot be opened: %.200s", work->zip.zip_strerror(work->archive));
        return refuse(work, member->path, words, error);
    }
    status = fm_growing_open(&file, path, true, error);
    if (status == FM_OK)
        status = copy_out(work, member, entry, &file, error);
    fm_status closed = fm_growing_close(&file, status == FM_OK, error);
    work->zip.zip_fclose(entry);
    return status != FM_OK ? status : closed;
}

static fm_status open_archive(struct unpacking *work, fm_error *error) {
    int code = 0;
    fm_status status = load(&work->zip, error);
    if (status != FM_OK)
        return status;
    work->packed = fm_file_size(work->path);
    work->archive = work->zip.zip_open(work->path, ZIP_RDONLY, &code);
    if (work->archive == NULL) {
        zip_error_t why;
        work->zip.zip_error_init_with_code(&why, code);
        status = fm_fail(error, FM_BAD_MODEL, "%s is no zip file that can be read: %s; fetch it again", work->what,
                         work->zip.zip_error_strerror(&why));
        work->zip.zip_error_fini(&why);
    }
    return status;
}

fm_status fm_archive_unpack(const char *path, const char *what, const char *folder, const struct notes *notes,
                            fm_error *error) {
    struct unpacking *work = fm_alloc(sizeof *work);
    if (work == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory unpacking %s", what);
    work->path = path;
    work->what = work->members.source = what;
    work->folder = folder;
    work->chunk = fm_alloc(CHUNK);
    fm_status status =
        work->chunk ? open_archive(work, error) : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory unpacking %s", what);
    if (status == FM_OK)
        status = look(work, notes, error);
    for (size_t i = 0; i < work->members.count && status == FM_OK; i++) {
        if (work->members.items[i].target)
            status = unpack_one(work, &work->members.items[i], error);
    }
    if (work->archive)
        work->zip.zip_discard(work->archive);
    fm_members_reset(&work->members);
    fm_free(work->chunk);
    fm_free(work);
    return status;
}
