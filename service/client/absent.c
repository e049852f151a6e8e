/* Client, in a build without libcurl (FM_WITH_CURL): every call says so, none is missing. */
#include "base/error.h"

#include <facemill/facemill_client.h>

fm_status fm_client_open(const fm_client_options *options, fm_client **client, fm_error *error) {
    (void)options;
    *client = NULL;
    fm_error_clear(error);
    return fm_fail(error, FM_UNSUPPORTED,
                   "this build reaches no workers (FM_WITH_CURL): do without one, or build facemill with "
                   "-DFM_WITH_CURL=ON");
}

void fm_client_close(fm_client *client) {
    (void)client;
}

const fm_engine *fm_client_engine(fm_client *client) {
    (void)client;
    return NULL;
}

fm_status fm_client_analyze(fm_client *client, const fm_input *input, fm_reply **reply, fm_error *error) {
    (void)client, (void)input;
    *reply = NULL;
    fm_error_clear(error);
    return fm_fail(error, FM_UNSUPPORTED, "this build reaches no workers (FM_WITH_CURL)");
}

fm_status fm_client_submit(fm_client *client, const fm_input *input, fm_reply_callback callback, void *user,
                           fm_error *error) {
    (void)client, (void)input, (void)callback, (void)user;
    fm_error_clear(error);
    return fm_fail(error, FM_UNSUPPORTED, "this build reaches no workers (FM_WITH_CURL)");
}

void fm_client_drain(fm_client *client) {
    (void)client;
}
