/* Place: the packs folder, a name in it, and the lock on that name. What begins with a dot in the folder is ours:
   .lock-NAME, .part-NAME and .part-NAME.json (a download), .new-NAME.XXXXXX (being put together, or replaced by
   exchange), .old-NAME.XXXXXX/pack (replaced by two renames), .gone-NAME.XXXXXX (being removed). */
#include "packs/install.h"

#include "base/json_read.h"
#include "base/sha256.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MOST 100
#define SUFFIX 7 /* ".XXXXXX" */
#define LOOK_AGAIN_MS 100
#define RECEIPT_BYTES ((size_t)16 << 10)

bool fm_pack_name_is_good(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MOST || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)name[i];
        if (byte >= 0x80 || (!isalnum(byte) && byte != '.' && byte != '_' && byte != '-'))
            return false;
    }
    return true;
}

static bool join(char out[OS_PATH_SIZE], const char *folder, const char *prefix, const char *name, const char *end) {
    int length = snprintf(out, OS_PATH_SIZE, "%s/%s%s%s", folder, prefix, name, end);
    return length > 0 && length < OS_PATH_SIZE;
}

static bool packs_folder(char out[OS_PATH_SIZE]) {
    char data[OS_PATH_SIZE];
    return fm_data_folder(data, sizeof data) && fm_path_join(out, OS_PATH_SIZE, data, "packs");
}

/* ---- leftovers */

/* NAME of ".new-NAME.XXXXXX"; false when the entry is none of ours. */
static bool leftover_name(const char *entry, const char *prefix, char name[NAME_MOST + 1]) {
    size_t length = strlen(entry), head = strlen(prefix);
    if (strncmp(entry, prefix, head) != 0 || length <= head + SUFFIX || length - head - SUFFIX > NAME_MOST ||
        entry[length - SUFFIX] != '.')
        return false;
    (void)snprintf(name, NAME_MOST + 1, "%.*s", (int)(length - head - SUFFIX), entry + head);
    return fm_pack_name_is_good(name);
}

struct cleaning {
    const struct place *place;
    const char *own; /* its lock is held */
};

/* A replacement that was killed between its two renames left the name free: the old pack goes back. */
static void put_back(const char *leftover, const char *target) {
    char inner[OS_PATH_SIZE];
    fm_error ignored = {0};
    if (!fm_path_exists(target) && fm_path_join(inner, sizeof inner, leftover, "pack") &&
        fm_path_kind(inner) == OS_PATH_FOLDER)
        (void)!fm_folder_rename(inner, target, &ignored);
}

static bool clean_one(const char *entry, enum os_path_kind kind, void *user) {
    const struct cleaning *cleaning = user;
    char name[NAME_MOST + 1], leftover[OS_PATH_SIZE], target[OS_PATH_SIZE], lock_path[OS_PATH_SIZE];
    const char *packs = cleaning->place->packs;
    struct os_lock lock = {-1};
    fm_error ignored = {0};
    bool old = leftover_name(entry, ".old-", name);
    if (kind != OS_PATH_FOLDER ||
        (!old && !leftover_name(entry, ".new-", name) && !leftover_name(entry, ".gone-", name)) ||
        !join(leftover, packs, "", entry, "") || !join(target, packs, "", name, "") ||
        !join(lock_path, packs, ".lock-", name, ""))
        return true;
    if (strcmp(name, cleaning->own) != 0 && fm_lock_take(lock_path, &lock, &ignored) != FM_OK)
        return true; /* somebody is at work on it */
    if (old)
        put_back(leftover, target);
    fm_folder_remove(leftover);
    fm_lock_release(&lock);
    return true;
}

/* ---- taking */

static fm_status take_lock(const char *path, const char *name, const struct notes *notes, const atomic_int *interrupted,
                           struct os_lock *lock, fm_error *error) {
    for (bool told = false;; told = true) {
        fm_error why = {0};
        fm_status status = fm_lock_take(path, lock, &why);
        if (status != FM_BUSY)
            return status == FM_OK ? FM_OK : fm_fail(error, status, "%s", why.message);
        if (!told)
            fm_note(notes, "another facemill is at work on the pack '%s'; waiting for it", name);
        if (interrupted && atomic_load(interrupted))
            return fm_fail(error, FM_CANCELLED, "interrupted while waiting for another facemill at work on '%s'", name);
        fm_pause(LOOK_AGAIN_MS);
    }
}

fm_status fm_place_take(struct place *place, const char *name, const struct notes *notes, const atomic_int *interrupted,
                        fm_error *error) {
    char lock[OS_PATH_SIZE];
    place->lock = (struct os_lock){-1};
    if (!fm_pack_name_is_good(name))
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%s' cannot be a pack's name, expected " FM_PACK_NAME_WORDS, name);
    if (!packs_folder(place->packs))
        return fm_fail(error, FM_NOT_FOUND, "there is no data folder: neither XDG_DATA_HOME nor a home is set");
    if (!join(place->target, place->packs, "", name, "") || !join(place->part, place->packs, ".part-", name, "") ||
        !join(place->sidecar, place->packs, ".part-", name, ".json") || !join(lock, place->packs, ".lock-", name, ""))
        return fm_fail(error, FM_INVALID_ARGUMENT, "the data folder's path is too long");
    fm_status status = fm_folder_make(place->packs, error);
    if (status == FM_OK)
        status = take_lock(lock, name, notes, interrupted, &place->lock, error);
    if (status == FM_OK)
        status = fm_folder_visit(place->packs, clean_one, &(struct cleaning){place, name}, error);
    if (status != FM_OK)
        fm_place_release(place);
    return status;
}

void fm_place_release(struct place *place) {
    fm_lock_release(&place->lock);
}

/* ---- digests */

static bool take_digest(const void *bytes, size_t size, void *user) {
    fm_sha256_add(user, bytes, size);
    return true;
}

fm_status fm_place_digest(const char *path, char sha256[65], fm_error *error) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    fm_status status = fm_file_stream(path, take_digest, &sha, error);
    fm_sha256_hex(&sha, sha256);
    return status;
}

bool fm_place_receipt(const char *pack, char sha256[65]) {
    char path[OS_PATH_SIZE];
    struct buffer bytes = {0};
    struct json_value *document = NULL;
    fm_error ignored = {0};
    sha256[0] = 0;
    if (fm_path_join(path, sizeof path, pack, ".installed.json") &&
        fm_file_read(path, RECEIPT_BYTES, &bytes, &ignored) == FM_OK &&
        fm_json_read(bytes.bytes, bytes.size, RECEIPT_BYTES, path, &document, &ignored) == FM_OK) {
        const char *digest = fm_json_text(fm_json_member(document, "sha256"));
        (void)snprintf(sha256, 65, "%s", digest ? digest : "");
    }
    fm_json_free(document);
    fm_buffer_reset(&bytes);
    return strlen(sha256) == 64;
}

bool fm_install_has(const struct known_pack *known, bool *same) {
    char packs[OS_PATH_SIZE], target[OS_PATH_SIZE], sha256[65];
    *same = false;
    if (!packs_folder(packs) || !join(target, packs, "", known->name, "") || fm_path_kind(target) != OS_PATH_FOLDER)
        return false;
    *same = known->sha256 && fm_place_receipt(target, sha256) && strcmp(sha256, known->sha256) == 0;
    return true;
}
