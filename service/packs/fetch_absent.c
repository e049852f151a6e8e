/* Fetch, in a build without libcurl (FM_WITH_CURL): what to do instead. */
#include "packs/fetch.h"

fm_status fm_fetch(struct fetch *fetch, fm_error *error) {
    return fm_fail(error, FM_UNSUPPORTED,
                   "this build fetches nothing (FM_WITH_CURL): fetch '%s' yourself and run 'facemill models add' on it",
                   fetch->url);
}
