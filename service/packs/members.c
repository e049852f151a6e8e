/* Members: archives of packs have been seen flat, inside a folder of the pack's name, and inside two of them
   (antelopev2): the folder with the networks is the pack, wherever it is. */
#include "packs/members.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES 255 /* longest part of a path */
#define LISTED_IN_WORDS 8

void fm_note(const struct notes *notes, const char *format, ...) {
    char words[2048];
    va_list arguments;
    if (notes == NULL || notes->say == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    notes->say(words, notes->user);
}

static bool part_is_safe(const char *part, size_t length, const char **why) {
    if (length == 0)
        *why = "has an empty part";
    else if (length > NAME_BYTES)
        *why = "has a part of more than 255 bytes";
    else if (length <= 2 && strspn(part, ".") >= length)
        *why = "climbs out of its folder";
    else
        return true;
    return false;
}

bool fm_member_is_safe(const char *path, const char **why) {
    *why = path[0] == 0 ? "is empty" : path[0] == '/' ? "is absolute" : NULL;
    for (const unsigned char *byte = (const unsigned char *)path; *byte && *why == NULL; byte++) {
        if (*byte < 0x20 || *byte == 0x7f)
            *why = "has a control character";
        else if (*byte == '\\')
            *why = "has a backslash";
        else if (*byte == ':')
            *why = "has a colon";
    }
    for (const char *part = path; *part && *why == NULL;) {
        size_t length = strcspn(part, "/");
        if (!part_is_safe(part, length, why))
            break;
        part += length + (part[length] == '/');
    }
    return *why == NULL;
}

fm_status fm_members_add(struct members *members, const char *path, uint64_t bytes, size_t index, fm_error *error) {
    if (members->count == PACK_MAX_MEMBERS)
        return fm_fail(error, FM_LIMIT, "%s holds more than %d entries; name the files or the folder of models alone",
                       members->source, PACK_MAX_MEMBERS);
    members->arena.limit = (size_t)4 << 20;
    const char *copy = fm_arena_copy(&members->arena, path);
    if (copy == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory listing %s", members->source);
    members->items[members->count++] = (struct member){.path = copy, .bytes = bytes, .index = index};
    return FM_OK;
}

/* ---- what a member is */

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t folder_length(const char *path) { /* with its slash */
    return (size_t)(base_of(path) - path);
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

/* Hidden, or what macOS leaves beside files. */
static bool is_clutter(const char *path) {
    for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        if (part[0] == '.' || strncmp(part, "__MACOSX/", 9) == 0)
            return true;
    }
    return false;
}

static bool is_network(const struct member *member) {
    return ends_with(base_of(member->path), ".onnx") && !is_clutter(member->path);
}

static bool is_manifest(const struct member *member) {
    return strcmp(base_of(member->path), "manifest.json") == 0 && !is_clutter(member->path);
}

/* What has to travel with models: their terms. */
static bool is_text(const struct member *member) {
    static const char *const words[] = {"LICENSE", "LICENCE", "README", "NOTICE", "COPYING"};
    char upper[NAME_BYTES + 1] = "";
    const char *base = base_of(member->path);
    for (size_t i = 0; base[i] && i < NAME_BYTES; i++)
        upper[i] = (char)toupper((unsigned char)base[i]);
    for (size_t i = 0; i < sizeof words / sizeof *words && !is_clutter(member->path); i++) {
        if (strncmp(upper, words[i], strlen(words[i])) == 0 || strcmp(upper, "MODEL.LICENSE") == 0)
            return true;
    }
    return false;
}

/* ---- the pack's folder */

static bool lies_below(const char *path, const char *root, size_t length) {
    return strncmp(path, root, length) == 0;
}

/* A manifest whose folder holds all networks, at any depth. */
static const struct member *manifest_above(const struct members *members) {
    for (size_t i = 0; i < members->count; i++) {
        const struct member *manifest = &members->items[i];
        bool all = is_manifest(manifest);
        for (size_t k = 0; k < members->count && all; k++)
            all = !is_network(&members->items[k]) ||
                  lies_below(members->items[k].path, manifest->path, folder_length(manifest->path));
        if (all)
            return manifest;
    }
    return NULL;
}

static fm_status find_root(const struct members *members, const char **root, size_t *length, fm_error *error) {
    const struct member *first = NULL, *manifest = manifest_above(members);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];
        if (!is_network(member))
            continue;
        first = first ? first : member;
        if (manifest == NULL && (folder_length(first->path) != folder_length(member->path) ||
                                 !lies_below(member->path, first->path, folder_length(first->path))))
            return fm_fail(
                error, FM_BAD_MODEL,
                "%s has .onnx files in two folders, '%.*s' and '%.*s', and no manifest.json above both: which "
                "of them is meant? Unpack it and name one",
                members->source, (int)folder_length(first->path), first->path, (int)folder_length(member->path),
                member->path);
    }
    if (first == NULL)
        return fm_fail(error, FM_BAD_MODEL, "%s holds no .onnx file", members->source);
    *root = manifest ? manifest->path : first->path;
    *length = folder_length(*root);
    return FM_OK;
}

/* ---- the choice */

static bool has_target(const struct members *members, const char *target) {
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].target && strcmp(members->items[i].target, target) == 0)
            return true;
    }
    return false;
}

static fm_status check_size(const struct members *members, const struct member *member, fm_error *error) {
    uint64_t most = is_network(member) ? PACK_MAX_FILE : is_manifest(member) ? (uint64_t)1 << 20 : PACK_MAX_TEXT;
    if (member->bytes > most)
        return fm_fail(error, FM_LIMIT, "%s: '%s' has %" PRIu64 " bytes, at most %" PRIu64 " are taken",
                       members->source, member->path, member->bytes, most);
    if (fm_members_total(members) > PACK_MAX_TOTAL)
        return fm_fail(error, FM_LIMIT, "%s: its files have more than %" PRIu64 " bytes together", members->source,
                       PACK_MAX_TOTAL);
    return FM_OK;
}

static fm_status refuse_doubles(const struct members *members, fm_error *error) {
    for (size_t i = 0; i < members->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(members->items[i].path, members->items[k].path) == 0)
                return fm_fail(error, FM_BAD_MODEL, "%s has two entries named '%s'", members->source,
                               members->items[i].path);
        }
    }
    return FM_OK;
}

static void note_rest(const struct members *members, const struct notes *notes) {
    size_t left = 0;
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].target == NULL && left++ < LISTED_IN_WORDS)
            fm_note(notes, "%s: '%s' is left out: no network, manifest or licence of the pack", members->source,
                    members->items[i].path);
    }
    if (left > LISTED_IN_WORDS)
        fm_note(notes, "%s: %zu more entries are left out", members->source, left - LISTED_IN_WORDS);
}

fm_status fm_members_choose(struct members *members, const struct notes *notes, fm_error *error) {
    const char *root = NULL;
    size_t length = 0;
    fm_status status = refuse_doubles(members, error);
    if (status == FM_OK)
        status = find_root(members, &root, &length, error);
    for (size_t i = 0; i < members->count && status == FM_OK; i++) {
        struct member *member = &members->items[i];
        bool below = lies_below(member->path, root, length);
        bool beside = below && folder_length(member->path) == length;
        if ((below && is_network(member)) || (beside && (is_manifest(member) || is_text(member)))) {
            member->target = member->path + length;
            status = check_size(members, member, error);
        }
    }
    /* terms may stand further up, beside the pack's folder; or, with a manifest, in a folder of their own */
    for (size_t i = 0; i < members->count && status == FM_OK; i++) {
        struct member *member = &members->items[i];
        bool above = lies_below(root, member->path, folder_length(member->path));
        bool below = lies_below(member->path, root, length);
        const char *target = below ? member->path + length : base_of(member->path);
        if (member->target == NULL && is_text(member) && (above || below) && !has_target(members, target)) {
            member->target = target;
            status = check_size(members, member, error);
        }
    }
    if (status == FM_OK)
        note_rest(members, notes);
    return status;
}

uint64_t fm_members_total(const struct members *members) {
    uint64_t total = 0;
    for (size_t i = 0; i < members->count; i++)
        total += members->items[i].target ? members->items[i].bytes : 0; /* each at most PACK_MAX_FILE by then */
    return total;
}

void fm_members_reset(struct members *members) {
    fm_arena_reset(&members->arena);
    members->count = 0;
}
