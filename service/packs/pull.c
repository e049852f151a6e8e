/* Pull: fetch a known pack, compare its digest before anything is unpacked, install it. */
#include "packs/fetch.h"
#include "packs/install.h"

#include <stdio.h>
#include <string.h>

/* The pack's file below another place. */
static bool mirrored(const char *mirror, const char *url, char out[OS_PATH_SIZE]) {
    const char *slash = strrchr(url, '/');
    const char *file = slash ? slash + 1 : url;
    size_t length = strlen(mirror);
    return snprintf(out, OS_PATH_SIZE, "%s%s%.*s", mirror, length && mirror[length - 1] == '/' ? "" : "/",
                    (int)strcspn(file, "?#"), file) < OS_PATH_SIZE;
}

static fm_status fetch_part(const struct place *place, const char *url, const struct install_options *options,
                            struct install_result *result, fm_error *error) {
    const struct known_pack *known = options->known;
    struct fetch fetch = {.url = url,
                          .part = place->part,
                          .sidecar = place->sidecar,
                          .exact_bytes = known->exact ? known->bytes : 0,
                          .max_bytes = known->exact ? known->bytes : PACK_MAX_TOTAL,
                          .notes = options->notes,
                          .interrupted = options->interrupted,
                          .progress = options->progress,
                          .user = options->user};
    fm_status status = fm_fetch(&fetch, error);
    result->resumed_at = fetch.resumed_at;
    return status;
}

/* ---- an archive without a digest, of networks that have one */

struct used {
    const struct known_pack *known;
    char tasks[KNOWN_MEMBERS][32]; /* of the listed files; "" where nothing uses it */
    char other[256];               /* file that is not listed, but has the task of one that is */
};

static size_t listed_at(const struct known_pack *known, const char *file) {
    size_t at = 0;
    while (at < KNOWN_MEMBERS && known->members[at].file && strcmp(known->members[at].file, file) != 0)
        at++;
    return at < KNOWN_MEMBERS && known->members[at].file ? at : KNOWN_MEMBERS;
}

static void take_listed(const fm_model_file *model, void *user) {
    struct used *used = user;
    size_t at = listed_at(used->known, model->file);
    if (at < KNOWN_MEMBERS && model->status == FM_OK)
        (void)snprintf(used->tasks[at], sizeof used->tasks[at], "%s", model->task);
}

static void take_other(const fm_model_file *model, void *user) {
    struct used *used = user;
    for (size_t i = 0; i < KNOWN_MEMBERS && listed_at(used->known, model->file) == KNOWN_MEMBERS; i++) {
        if (used->tasks[i][0] && strcmp(used->tasks[i], model->task) == 0)
            (void)snprintf(used->other, sizeof used->other, "%.255s", model->file);
    }
}

fm_status fm_pull_check_used(const char *folder, const struct install_options *options, struct install_result *result,
                             fm_error *error) {
    const struct known_pack *known = options->known;
    struct used used = {.known = known};
    if (!known || known->sha256 || !known->members[0].file)
        return FM_OK;
    fm_status status = fm_pack_visit(folder, take_listed, &used, NULL, 0, error);
    if (status == FM_OK)
        status = fm_pack_visit(folder, take_other, &used, NULL, 0, error);
    for (size_t i = 0; i < KNOWN_MEMBERS && known->members[i].file && status == FM_OK; i++) {
        result->digest_wrong = used.tasks[i][0] == 0;
        if (result->digest_wrong)
            status = fm_fail(error, FM_BAD_MODEL,
                             "'%s', SHA-256 %s, is not in it, or not to be used: it is not '%s', nothing was installed",
                             known->members[i].file, known->members[i].sha256, known->name);
    }
    if (status == FM_OK && used.other[0]) {
        result->digest_wrong = true;
        status = fm_fail(error, FM_BAD_MODEL,
                         "'%s' in it could be used in place of a network whose digest is published: it is not '%s', "
                         "nothing was installed",
                         used.other, known->name);
    }
    return status;
}

/* What was fetched is of no use: it goes, so that the next run begins anew. */
static fm_status drop_part(const struct place *place, const fm_error *why, fm_error *error) {
    bool gone = fm_file_remove(place->part) && fm_file_remove(place->sidecar);
    return fm_fail(error, why->status, "%s; %s", why->message,
                   gone ? "what was fetched was deleted" : "what was fetched could not be deleted");
}

static fm_status check_part(const struct place *place, const struct install_options *options,
                            struct install_result *result, fm_error *error) {
    const struct known_pack *known = options->known;
    fm_status status = fm_place_digest(place->part, result->sha256, error);
    if (status != FM_OK)
        return status;
    if (known->sha256 == NULL) {
        fm_note(options->notes, "no digest of '%s' is published; what was fetched has SHA-256 %s", known->name,
                result->sha256);
        return FM_OK;
    }
    result->digest_wrong = strcmp(result->sha256, known->sha256) != 0;
    if (!result->digest_wrong)
        return FM_OK;
    return fm_fail(error, FM_BAD_MODEL,
                   "what was fetched of '%s' has SHA-256 %s, expected %s: it is refused, nothing was installed",
                   known->name, result->sha256, known->sha256);
}

static fm_status pull_in_place(struct place *place, const char *url, const struct install_options *options,
                               struct install_result *result, fm_error *error) {
    const struct known_pack *known = options->known;
    char sha256[65], what[OS_PATH_SIZE + 32];
    (void)snprintf(what, sizeof what, "the archive from '%s'", url);
    if (fm_path_exists(place->target) && !options->replace) {
        result->already =
            known->sha256 && fm_place_receipt(place->target, sha256) && strcmp(sha256, known->sha256) == 0;
        (void)snprintf(result->sha256, sizeof result->sha256, "%s", result->already ? sha256 : "");
        (void)snprintf(result->path, sizeof result->path, "%s", place->target);
        return result->already
                   ? FM_OK
                   : fm_fail(error, FM_INVALID_ARGUMENT,
                             "a pack '%s' is installed ('%s'), and not known to be this one; --replace puts "
                             "the new one into its place",
                             options->name, place->target);
    }
    fm_status status = fetch_part(place, url, options, result, error);
    if (status != FM_OK)
        return status;
    fm_error why = {0};
    status = check_part(place, options, result, &why);
    if (status == FM_OK)
        status = fm_place_fill(place, place->part, what, options, result, &why);
    if (result->digest_wrong || (!known->sha256 && (status == FM_BAD_MODEL || status == FM_LIMIT)))
        return drop_part(place, &why, error);
    if (status != FM_OK)
        return fm_fail(error, status, "%s", why.message);
    if (!fm_file_remove(place->part) || !fm_file_remove(place->sidecar))
        fm_note(options->notes, "'%s' could not be removed", place->part);
    return FM_OK;
}

fm_status fm_install_pull(const struct install_options *options, struct install_result *result, fm_error *error) {
    const struct known_pack *known = options->known;
    char url[OS_PATH_SIZE];
    struct place place;
    *result = (struct install_result){.sha256 = ""};
    if (known->not_here || !known->url)
        return fm_fail(error, FM_UNSUPPORTED, "'%s' is not fetched: %s", known->name,
                       known->not_here ? known->not_here
                                       : "no URL of it is known here; fetch it yourself and run 'facemill models add'");
    if (options->mirror && strpbrk(options->mirror, "?#"))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "--mirror '%s' has a '?' or '#'; the file's name is put behind it, so name the folder alone "
                       "(https://mirror.example.org/packs)",
                       options->mirror);
    if (options->mirror ? !mirrored(options->mirror, known->url, url)
                        : snprintf(url, sizeof url, "%s", known->url) >= (int)sizeof url)
        return fm_fail(error, FM_INVALID_ARGUMENT, "the URL of '%s' is too long", known->name);
    fm_status status = fm_place_take(&place, options->name, options->notes, options->interrupted, error);
    if (status != FM_OK)
        return status;
    status = pull_in_place(&place, url, options, result, error);
    fm_place_release(&place);
    return status;
}
