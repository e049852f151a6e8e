/* Fetch: what is written down before the first byte (URL, ETag, date) is what makes a part file worth going on with. A
   server that has another file by now, or no ranges, answers with the whole: then the part begins anew. libcurl is
   loaded when something is fetched, not linked: its libraries would cost every start of the program 20 ms. One thread.
 */
#define CURL_DISABLE_TYPECHECK
#include "packs/fetch.h"

#include "base/json_read.h"
#include "base/os_install.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RETRIES 3
#define GAINED ((uint64_t)16 << 20) /* bytes after which retries are counted anew */
#define CONNECT_S 20L
#define STALLED_S 30L
#define REDIRECTS 10L
#define SIDECAR_BYTES ((size_t)16 << 10)

#define FUNCTIONS(X)                                                                                                   \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_easy_reset)                                                                                                 \
    X(curl_easy_cleanup)                                                                                               \
    X(curl_slist_append)                                                                                               \
    X(curl_slist_free_all)

struct curl_library {
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

static fm_status load(struct curl_library *library, fm_error *error) {
    static const char *const paths[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so", "libcurl.4.dylib", NULL};
#define NAME(name) #name,
    static const char *const names[] = {FUNCTIONS(NAME) NULL};
#undef NAME
    enum os_library found = fm_library_load(paths, names, library);
    if (found == OS_LIBRARY_NONE)
        return fm_fail(
            error, FM_UNSUPPORTED,
            "libcurl is not on this machine; install it (Debian: libcurl4), or fetch the file yourself and run "
            "'facemill models add' on it");
    return found == OS_LIBRARY_WHOLE
               ? FM_OK
               : fm_fail(error, FM_UNSUPPORTED, "libcurl of this machine lacks functions; install 7.85 or newer");
}

/* What the headers of one answer say. */
struct answer {
    long code;
    char etag[256], modified[128];
    uint64_t length, range_start, range_total;
    bool has_length, has_range;
};

struct transfer {
    struct curl_library curl;
    CURL *handle;
    struct fetch *fetch;
    struct os_growing part;
    struct answer answer;
    uint64_t asked_from; /* of this request */
    bool body_checked, refused;
    fm_status status; /* of what the callbacks found */
    fm_error error;
};

/* ---- what the part file is a part of */

static bool read_sidecar(const struct fetch *fetch, char validator[256]) {
    struct buffer bytes = {0};
    struct json_value *document = NULL;
    fm_error ignored = {0};
    validator[0] = 0;
    if (fm_file_read(fetch->sidecar, SIDECAR_BYTES, &bytes, &ignored) == FM_OK &&
        fm_json_read(bytes.bytes, bytes.size, SIDECAR_BYTES, "the part file's note", &document, &ignored) == FM_OK) {
        const char *url = fm_json_text(fm_json_member(document, "url"));
        const char *etag = fm_json_text(fm_json_member(document, "etag"));
        const char *modified = fm_json_text(fm_json_member(document, "last_modified"));
        const char *best = etag && etag[0] ? etag : modified;
        if (url && best && strcmp(url, fetch->url) == 0)
            (void)snprintf(validator, 256, "%s", best);
    }
    fm_json_free(document);
    fm_buffer_reset(&bytes);
    return validator[0] != 0;
}

static fm_status write_sidecar(struct transfer *transfer) {
    struct text text = {0};
    struct json json = {.text = &text};
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "url", transfer->fetch->url);
    fm_json_string(&json, "etag", transfer->answer.etag);
    fm_json_string(&json, "last_modified", transfer->answer.modified);
    fm_json_object_close(&json);
    fm_status status = fm_file_write(transfer->fetch->sidecar, text.chars, text.length, &transfer->error);
    fm_text_reset(&text);
    return status;
}

/* ---- what libcurl calls */

static bool header_value(const char *line, size_t size, const char *name, char *out, size_t out_size) {
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0)
        return false;
    while (length < size && (line[length] == ' ' || line[length] == '\t'))
        length++;
    while (size > length && (line[size - 1] == '\r' || line[size - 1] == '\n' || line[size - 1] == ' '))
        size--;
    if (size - length >= out_size)
        return false; /* longer than anything we could send back */
    memcpy(out, line + length, size - length);
    out[size - length] = 0;
    return true;
}

static size_t take_header(char *line, size_t one, size_t size, void *user) {
    struct answer *answer = &((struct transfer *)user)->answer;
    char value[256];
    (void)one;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        *answer = (struct answer){0}; /* that of a redirect, or of a proxy, was before */
    if (header_value(line, size, "etag:", value, sizeof value) && value[0] == '"')
        (void)snprintf(answer->etag, sizeof answer->etag, "%s", value); /* weak ones (W/) say nothing about bytes */
    else if (header_value(line, size, "last-modified:", value, sizeof value))
        (void)snprintf(answer->modified, sizeof answer->modified, "%.127s", value);
    else if (header_value(line, size, "content-length:", value, sizeof value)) {
        answer->length = strtoull(value, NULL, 10);
        answer->has_length = true;
    } else if (header_value(line, size, "content-range:", value, sizeof value)) {
        const char *slash = strchr(value, '/');
        const char *start = strncasecmp(value, "bytes ", 6) == 0 ? value + 6 : "";
        answer->has_range = slash && start[0] >= '0' && start[0] <= '9';
        answer->range_start = strtoull(start, NULL, 10);
        answer->range_total = slash ? strtoull(slash + 1, NULL, 10) : 0; /* 0: "*" */
    }
    return size;
}

/* Before the first byte of a body that is wanted: begin anew or go on, and how large it will be. */
static fm_status check_answer(struct transfer *transfer) {
    struct fetch *fetch = transfer->fetch;
    const struct answer *answer = &transfer->answer;
    uint64_t total = answer->code == 206 ? answer->range_total : answer->has_length ? answer->length : 0;
    fm_status status = FM_OK;
    if (answer->code == 206 && (!answer->has_range || answer->range_start != transfer->part.size))
        return fm_fail(&transfer->error, FM_NOT_FOUND, "'%s': the server sends another part than was asked for",
                       fetch->url);
    if (answer->code == 200 && transfer->part.size > 0) {
        fm_note(fetch->notes, "the server sends the whole file again: it has another one by now, or knows no parts");
        status = fm_growing_cut(&transfer->part, &transfer->error);
    }
    fetch->resumed_at = transfer->part.size;
    if (status == FM_OK && fetch->exact_bytes && total && total != fetch->exact_bytes)
        return fm_fail(&transfer->error, FM_BAD_MODEL,
                       "'%s' has %" PRIu64 " bytes, expected %" PRIu64 ": it is another file", fetch->url, total,
                       fetch->exact_bytes);
    if (status == FM_OK && total > fetch->max_bytes)
        return fm_fail(&transfer->error, FM_LIMIT, "'%s' has %" PRIu64 " bytes, at most %" PRIu64 " are fetched",
                       fetch->url, total, fetch->max_bytes);
    uint64_t free_bytes = fm_free_space(fetch->part),
             left = total > transfer->part.size ? total - transfer->part.size : 0;
    if (status == FM_OK && left > free_bytes)
        return fm_fail(&transfer->error, FM_IO,
                       "no room for '%s': %" PRIu64 " bytes are needed where '%s' is, %" PRIu64
                       " are free; make room and "
                       "try again",
                       fetch->url, left, fetch->part, free_bytes);
    return status == FM_OK ? write_sidecar(transfer) : status;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *user) {
    struct transfer *transfer = user;
    (void)one;
    if (!transfer->body_checked) {
        transfer->curl.curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &transfer->answer.code);
        transfer->refused = transfer->answer.code != 200 && transfer->answer.code != 206;
        transfer->status = transfer->refused ? FM_OK : check_answer(transfer);
        transfer->body_checked = true;
    }
    if (transfer->status == FM_OK && transfer->refused)
        return size; /* an error's page */
    if (transfer->status == FM_OK && transfer->part.size + size > transfer->fetch->max_bytes)
        transfer->status = fm_fail(&transfer->error, FM_LIMIT, "'%s' sends more than %" PRIu64 " bytes",
                                   transfer->fetch->url, transfer->fetch->max_bytes);
    if (transfer->status == FM_OK)
        transfer->status = fm_growing_add(&transfer->part, bytes, size, &transfer->error);
    return transfer->status == FM_OK ? size : 0;
}

static bool is_interrupted(const struct fetch *fetch) {
    return fetch->interrupted && atomic_load(fetch->interrupted) != 0;
}

static int take_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t up_now) {
    struct transfer *transfer = user;
    struct fetch *fetch = transfer->fetch;
    (void)total, (void)now, (void)up, (void)up_now;
    const struct answer *answer = &transfer->answer;
    if (fetch->progress && transfer->body_checked && !transfer->refused)
        fetch->progress(transfer->part.size, answer->has_range ? answer->range_total : answer->length, fetch->user);
    return is_interrupted(fetch);
}

/* ---- one request */

static bool is_plain_http(const char *url) {
    return strncmp(url, "http://", 7) == 0;
}

static fm_status set_up(struct transfer *transfer, struct curl_slist *headers, fm_error *error) {
    const struct curl_library *curl = &transfer->curl;
    CURL *handle = transfer->handle;
    const char *url = transfer->fetch->url;
    const char *protocols = is_plain_http(url) ? "http,https" : "https"; /* a redirect must not take TLS away */
    char range[32];
    (void)snprintf(range, sizeof range, "%" PRIu64 "-", transfer->part.size);
    bool good = curl->curl_easy_setopt(handle, CURLOPT_URL, url) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    good = good && curl->curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, protocols) == CURLE_OK;
#else
    long bits = CURLPROTO_HTTPS | (is_plain_http(protocols) || protocols[4] == ',' ? CURLPROTO_HTTP : 0);
    good = good && curl->curl_easy_setopt(handle, CURLOPT_PROTOCOLS, bits) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS, bits) == CURLE_OK;
#endif
    good = good && curl->curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_MAXREDIRS, REDIRECTS) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_S) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, STALLED_S) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_USERAGENT, "facemill") == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_HEADERDATA, (void *)transfer) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_WRITEDATA, (void *)transfer) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, take_progress) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_XFERINFODATA, (void *)transfer) == CURLE_OK;
    if (good && transfer->part.size > 0)
        good = curl->curl_easy_setopt(handle, CURLOPT_RANGE, range) == CURLE_OK &&
               curl->curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    return good ? FM_OK
                : fm_fail(error, FM_UNSUPPORTED,
                          "libcurl of this machine does not know all that is needed; install 7.85 or newer");
}

static bool is_transient(const struct transfer *transfer, CURLcode code) {
    long http = transfer->answer.code;
    switch ((int)code) {
    case CURLE_OK:
        return http == 408 || http == 429 || http == 500 || http == 502 || http == 503 || http == 504;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static fm_status fail_transfer(struct transfer *transfer, CURLcode code, fm_error *error) {
    const struct fetch *fetch = transfer->fetch;
    if (is_interrupted(fetch))
        return fm_fail(error, FM_CANCELLED,
                       "interrupted: %" PRIu64 " bytes of '%s' are kept, the next run goes on there",
                       transfer->part.size, fetch->url);
    if (transfer->status != FM_OK)
        return fm_fail(error, transfer->status, "%s", transfer->error.message);
    if (code == CURLE_OK)
        return fm_fail(error, FM_NOT_FOUND,
                       "'%s': the server answers %ld; try again later, or name another place with "
                       "--mirror",
                       fetch->url, transfer->answer.code);
    return fm_fail(error, FM_NOT_FOUND,
                   "cannot fetch '%s': %s (%" PRIu64
                   " bytes are kept, the next run goes on there); check the network and "
                   "proxy, or name another place with --mirror",
                   fetch->url, transfer->curl.curl_easy_strerror(code), transfer->part.size);
}

/* *again: failed, but worth another try. */
static fm_status request(struct transfer *transfer, bool *again, fm_error *error) {
    char validator[256], header[300];
    struct curl_slist *headers = NULL;
    *again = false;
    transfer->body_checked = transfer->refused = false;
    transfer->status = FM_OK;
    fm_error_clear(&transfer->error);
    transfer->answer = (struct answer){0};
    fm_status status = FM_OK;
    if (transfer->part.size > 0 && read_sidecar(transfer->fetch, validator)) {
        (void)snprintf(header, sizeof header, "If-Range: %s", validator);
        headers = transfer->curl.curl_slist_append(NULL, header);
    }
    if (transfer->part.size > 0 && headers == NULL)
        status = fm_growing_cut(&transfer->part, error); /* of something that nobody can name any more */
    transfer->asked_from = transfer->part.size;
    transfer->curl.curl_easy_reset(transfer->handle);
    if (status == FM_OK)
        status = set_up(transfer, headers, error);
    if (status != FM_OK)
        goto cleanup;
    CURLcode code = transfer->curl.curl_easy_perform(transfer->handle);
    transfer->curl.curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &transfer->answer.code);
    long http = transfer->answer.code;
    if (code == CURLE_OK && http == 416 && transfer->asked_from > 0) { /* the part is longer than the file */
        status = fm_growing_cut(&transfer->part, error);
        *again = status == FM_OK;
        if (*again)
            status = fm_fail(error, FM_NOT_FOUND,
                             "'%s': the server has nothing behind the %" PRIu64 " bytes that are here (it answers "
                             "416), so they are not of its file and were dropped; try again, or name another place "
                             "with --mirror",
                             transfer->fetch->url, transfer->asked_from);
        goto cleanup;
    }
    if (code == CURLE_OK && (http == 200 || http == 206) && !transfer->body_checked) /* a body of no bytes */
        transfer->status = check_answer(transfer);
    if (code == CURLE_OK && (http == 200 || http == 206) && transfer->status == FM_OK)
        goto cleanup;
    *again = transfer->status == FM_OK && !is_interrupted(transfer->fetch) && is_transient(transfer, code);
    status = fail_transfer(transfer, code, error);
cleanup:
    transfer->curl.curl_slist_free_all(headers);
    return status;
}

static fm_status request_until_whole(struct transfer *transfer, fm_error *error) {
    int retries = 0;
    for (;;) {
        fm_error why = {0};
        bool again = false;
        uint64_t before = transfer->part.size;
        fm_status status = request(transfer, &again, &why);
        if (!again)
            return status == FM_OK ? FM_OK : fm_fail(error, status, "%s", why.message);
        if (transfer->part.size > before + GAINED)
            retries = 0;
        if (retries == RETRIES)
            return fm_fail(error, status, "%s", why.message);
        fm_note(transfer->fetch->notes, "%s; trying again", why.message);
        for (unsigned waited = 0; waited < 500u << retries && !is_interrupted(transfer->fetch); waited += 100)
            fm_pause(100);
        retries++;
    }
}

fm_status fm_fetch(struct fetch *fetch, fm_error *error) {
    struct transfer *transfer = fm_alloc(sizeof *transfer);
    if (transfer == NULL)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory fetching '%s'", fetch->url);
    fm_status status = FM_OK;
    transfer->part.descriptor = -1;
    transfer->fetch = fetch;
    if (!is_plain_http(fetch->url) && strncmp(fetch->url, "https://", 8) != 0) {
        status = fm_fail(error, FM_INVALID_ARGUMENT,
                         "'%s' is no URL that can be fetched; it begins with https:// or "
                         "http://",
                         fetch->url);
        goto cleanup;
    }
    if (fm_path_exists(fetch->sidecar) &&
        (fm_path_is_link(fetch->sidecar) || fm_path_kind(fetch->sidecar) != OS_PATH_FILE)) {
        status = fm_fail(error, FM_IO, "cannot write '%s': it is no regular file; move it away and try again",
                         fetch->sidecar);
        goto cleanup;
    }
    status = load(&transfer->curl, error);
    if (status == FM_OK)
        status = fm_growing_open(&transfer->part, fetch->part, false, error);
    if (status != FM_OK)
        goto cleanup;
    transfer->handle = transfer->curl.curl_easy_init();
    status = transfer->handle ? request_until_whole(transfer, error)
                              : fm_fail(error, FM_OUT_OF_MEMORY, "libcurl cannot be set up");
    if (status == FM_OK && fetch->exact_bytes && transfer->part.size != fetch->exact_bytes)
        status = fm_fail(error, FM_BAD_MODEL, "'%s' has %" PRIu64 " bytes, expected %" PRIu64, fetch->url,
                         transfer->part.size, fetch->exact_bytes);
    transfer->curl.curl_easy_cleanup(transfer->handle);
    fm_status closed = fm_growing_close(&transfer->part, status == FM_OK, error);
    status = status != FM_OK ? status : closed;
cleanup:
    fm_free(transfer);
    return status;
}
