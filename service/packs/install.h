/* Install: packs in the data folder, put in place whole or not at all. One lock per name keeps two processes apart;
   what a killed one left behind (.new-*, .old-*, .gone-*) is put right by the next. */
#ifndef FM_PACKS_INSTALL_H
#define FM_PACKS_INSTALL_H

#include "base/os_install.h"
#include "packs/known.h"
#include "packs/members.h"

#include <stdatomic.h>

#define PACK_LICENCE_BYTES 127 /* of a licence's name, in a manifest */
#define FM_PACK_NAME_WORDS                                                                                             \
    "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit (at most 100)"
bool fm_pack_name_is_good(const char *name);

struct install_options {
    const char *name;
    bool replace;
    fm_pack_draft draft;            /* licence and choices; the name is set here */
    const struct known_pack *known; /* what it should be; NULL: anything */
    const char *mirror;             /* pull: fetch from below this URL; NULL: from the pack's own */
    const struct notes *notes;
    const atomic_int *interrupted;
    void (*progress)(uint64_t done, uint64_t total, void *user);
    /* The channel order of a recogniser that nobody has said yet: "rgb", "bgr", or NULL for no answer. NULL: nobody is
       asked. */
    const char *(*ask_order)(const char *file, void *user);
    void *user; /* for both */
};
struct install_result {
    char path[OS_PATH_SIZE]; /* of the installed pack */
    char sha256[65];         /* of the file that was fetched or added; "" for a folder */
    uint64_t resumed_at;     /* bytes that an earlier run had fetched */
    char licence[128];       /* as the manifest has it in the end; "" when it does not say */
    int networks, useful;    /* .onnx files; those that something here can run */
    bool detector, recogniser;
    bool replaced, already; /* another one was there; this very one was there and nothing was done */
    bool digest_wrong;      /* the failure is that of a check */
};

/* Install a .onnx file, a folder or a zip file. FM_INVALID_ARGUMENT (a name that is none, or taken), FM_BAD_MODEL
   (nothing usable, a hostile archive), FM_LIMIT, FM_IO, FM_NOT_FOUND, FM_UNSUPPORTED. What was installed before stays
   as it was. */
FM_MUST_USE fm_status fm_install_add(const char *source, const struct install_options *options,
                                     struct install_result *result, fm_error *error);
/* Fetch options->known, check and install it; goes on where an earlier run ended. The licence is the caller's business.
   Errors: also those of fm_fetch. */
FM_MUST_USE fm_status fm_install_pull(const struct install_options *options, struct install_result *result,
                                      fm_error *error);
/* Remove an installed pack, and what was fetched of one. FM_NOT_FOUND. */
FM_MUST_USE fm_status fm_install_remove(const char *name, const struct notes *notes, const atomic_int *interrupted,
                                        struct install_result *result, fm_error *error);
/* Is the pack of `known`'s name installed? *same: from the very file whose digest is published. */
bool fm_install_has(const struct known_pack *known, bool *same);

/* For pull.c and inspect.c. */
struct place {
    char packs[OS_PATH_SIZE], target[OS_PATH_SIZE], part[OS_PATH_SIZE], sidecar[OS_PATH_SIZE];
    struct os_lock lock;
};
/* The packs folder made, the name locked (waiting for others, with a note), leftovers put right. */
FM_MUST_USE fm_status fm_place_take(struct place *place, const char *name, const struct notes *notes,
                                    const atomic_int *interrupted, fm_error *error);
void fm_place_release(struct place *place);
/* fm_install_add with the place taken. */
FM_MUST_USE fm_status fm_place_fill(struct place *place, const char *source, const char *what,
                                    const struct install_options *options, struct install_result *result,
                                    fm_error *error);
/* Describe the pack in `folder`, see that something in it can be used, and say or ask what its graphs cannot tell. A
   manifest.json of another kind is taken out. `what` names the source in words. */
FM_MUST_USE fm_status fm_place_inspect(const char *folder, const char *what, const struct install_options *options,
                                       struct install_result *result, fm_error *error);
/* Of an archive without a published digest: are the networks with one the ones that would be used? FM_BAD_MODEL. */
FM_MUST_USE fm_status fm_pull_check_used(const char *folder, const struct install_options *options,
                                         struct install_result *result, fm_error *error);
FM_MUST_USE fm_status fm_place_digest(const char *path, char sha256[65], fm_error *error);
/* The digest that the installed pack was made from; false when it does not say. */
bool fm_place_receipt(const char *pack, char sha256[65]);

#endif
