/* In a build without libcurl no URL is fetched. */
#include "http/url_fetch.h"

fm_status fm_url_fetch(const char *url, const struct url_rules *rules, struct buffer *bytes, fm_error *error) {
    (void)rules, (void)bytes;
    return fm_fail(error, FM_UNSUPPORTED,
                   "'%.300s' cannot be fetched: this build of facemill has no libcurl (FM_WITH_CURL); send the picture "
                   "itself in images.data",
                   url);
}
