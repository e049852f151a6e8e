/* Fetching for somebody else, who must not reach what only this machine can: every hop of a redirect is looked up in
   the list of allowed hosts anew, and every address is looked at when its socket is made, so that no name can mean one
   address when it is examined and another when it is used. An address that stands in the list itself, as one, may be a
   private one: whoever runs the worker wrote it there. No proxies, no compressed answers, no other protocols. libcurl
   is loaded when something is fetched. Any thread; waits. */
#define CURL_DISABLE_TYPECHECK
#include "http/url_fetch.h"

#include "base/os_address.h"
#include "base/text.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REDIRECTS 5
#define CONNECT_MS 3000L
#define PATIENCE_MS 10000u
#define LATE_MS 20 /* libcurl may give up a little early: whoever looks afterwards shall find the deadline passed */
#define HOST_SIZE 256
#define NS_PER_MS 1000000u

#define FUNCTIONS(X)                                                                                                   \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_easy_reset)                                                                                                 \
    X(curl_easy_cleanup)                                                                                               \
    X(curl_slist_append)                                                                                               \
    X(curl_slist_free_all)                                                                                             \
    X(curl_url)                                                                                                        \
    X(curl_url_set)                                                                                                    \
    X(curl_url_get)                                                                                                    \
    X(curl_url_cleanup)                                                                                                \
    X(curl_free)

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
        return fm_fail(error, FM_UNSUPPORTED,
                       "URLs cannot be fetched: libcurl is not on the worker's machine (Debian: libcurl4)");
    return found == OS_LIBRARY_WHOLE
               ? FM_OK
               : fm_fail(error, FM_UNSUPPORTED, "URLs cannot be fetched: libcurl is older than 7.85");
}

struct transfer {
    struct curl_library curl;
    CURL *handle;
    const struct url_rules *rules;
    struct buffer *bytes;
    uint64_t deadline_ns;
    bool listed_address; /* the host of this hop is an address that stands in the list as it is */
    bool refused, full;
};

/* ---- which host */

struct host {
    char name[HOST_SIZE]; /* lower case, without a last dot; IPv6 in brackets */
    char port[8], scheme[8];
};

static void get_part(const struct curl_library *curl, CURLU *parsed, CURLUPart part, unsigned flags, char *out,
                     size_t size) {
    char *text = NULL;
    out[0] = 0;
    if (curl->curl_url_get(parsed, part, &text, flags) == CURLUE_OK && text && strlen(text) < size)
        (void)snprintf(out, size, "%s", text);
    curl->curl_free(text);
}

static bool read_host(const struct curl_library *curl, const char *url, struct host *host) {
    CURLU *parsed = curl->curl_url();
    bool good = parsed && curl->curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK;
    if (good) {
        get_part(curl, parsed, CURLUPART_HOST, 0, host->name, sizeof host->name);
        get_part(curl, parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, host->port, sizeof host->port);
        get_part(curl, parsed, CURLUPART_SCHEME, 0, host->scheme, sizeof host->scheme);
    }
    curl->curl_url_cleanup(parsed);
    size_t length = good ? strlen(host->name) : 0;
    if (length > 1 && host->name[length - 1] == '.')
        host->name[length - 1] = 0;
    for (char *c = host->name; good && *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    return good && host->name[0] && (strcmp(host->scheme, "http") == 0 || strcmp(host->scheme, "https") == 0);
}

static bool is_default_port(const struct host *host) {
    return strcmp(host->port, strcmp(host->scheme, "https") == 0 ? "443" : "80") == 0;
}

/* "a.example", "*.a.example", "*", "[::1]", each with ":PORT" or the scheme's own. */
static bool is_entry(const char *entry, const struct host *host) {
    const char *bracket = strchr(entry, ']'), *colon = strchr(bracket ? bracket : entry, ':');
    size_t length = colon ? (size_t)(colon - entry) : strlen(entry), name = strlen(host->name);
    if (colon ? strcmp(colon + 1, host->port) != 0 : !is_default_port(host))
        return false;
    if (length == 1 && entry[0] == '*')
        return true;
    if (length > 2 && strncmp(entry, "*.", 2) == 0)
        return name > length - 1 && strncasecmp(entry + 1, host->name + name - (length - 1), length - 1) == 0;
    return name == length && strncasecmp(entry, host->name, length) == 0;
}

static bool is_allowed(struct transfer *transfer, const struct host *host) {
    const struct url_rules *rules = transfer->rules;
    bool is_address = false;
    (void)fm_address_text_is_public(host->name, &is_address);
    transfer->listed_address = false;
    for (size_t i = 0; i < rules->host_count; i++) {
        if (is_entry(rules->hosts[i], host)) {
            transfer->listed_address = is_address && rules->hosts[i][0] != '*';
            return true;
        }
    }
    return false;
}

/* ---- what libcurl calls */

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    struct transfer *transfer = user;
    (void)purpose;
    if (!transfer->listed_address && !fm_address_is_public(&address->addr, address->addrlen)) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    return fm_socket_open(address->family, address->socktype, address->protocol);
}

static size_t take_bytes(char *bytes, size_t one, size_t size, void *user) {
    struct transfer *transfer = user;
    (void)one;
    transfer->full = transfer->bytes->size + size > transfer->rules->max_bytes;
    return !transfer->full && fm_buffer_append(transfer->bytes, bytes, size, (size_t)transfer->rules->max_bytes) ? size
                                                                                                                 : 0;
}

/* ---- one hop */

/* Those that say which server or how much is meant are libcurl's own. */
static bool is_own_header(const char *name) {
    static const char *const own[] = {"host", "content-length", "transfer-encoding",  "connection", "expect",
                                      "te",   "upgrade",        "proxy-authorization"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcasecmp(name, own[i]) == 0)
            return true;
    }
    return false;
}

static struct curl_slist *make_headers(const struct transfer *transfer) {
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < transfer->rules->header_count; i++) {
        struct text line = {0};
        fm_text_add(&line, "%s: %s", transfer->rules->headers[i][0], transfer->rules->headers[i][1]);
        struct curl_slist *longer = is_own_header(transfer->rules->headers[i][0]) || line.failed
                                        ? NULL
                                        : transfer->curl.curl_slist_append(list, line.chars);
        list = longer ? longer : list;
        fm_text_reset(&line);
    }
    return list;
}

static bool set_up(struct transfer *transfer, const char *url, struct curl_slist *headers, long left_ms) {
    const struct curl_library *curl = &transfer->curl;
    CURL *handle = transfer->handle;
    curl->curl_easy_reset(handle);
    return curl->curl_easy_setopt(handle, CURLOPT_URL, url) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, (void *)transfer) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_WRITEDATA, (void *)transfer) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_PROXY, "") == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, left_ms) == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->rules->max_bytes) ==
               CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_USERAGENT, "facemill") == CURLE_OK &&
           curl->curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
}

static fm_status fail_hop(const struct transfer *transfer, const char *url, CURLcode code, fm_error *error) {
    if (transfer->refused)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "'%.300s' leads to an address that is not public; such are fetched from only when the address "
                       "itself is allowed (--allow-url-host)",
                       url);
    if (transfer->full || code == CURLE_FILESIZE_EXCEEDED)
        return fm_fail(error, FM_LIMIT, "'%.300s' has more than the %" PRIu64 " bytes allowed", url,
                       transfer->rules->max_bytes);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fm_fail(error, FM_NOT_FOUND, "'%.300s' was not there in time", url);
    return fm_fail(error, FM_NOT_FOUND, "cannot fetch '%.300s': %s", url, transfer->curl.curl_easy_strerror(code));
}

/* Ask `url`; *next is where a redirect leads to (the caller's, curl_free), or NULL. */
static fm_status hop(struct transfer *transfer, const char *url, bool first, char **next, fm_error *error) {
    const struct curl_library *curl = &transfer->curl;
    struct host host = {.name = ""};
    uint64_t now_ns = fm_clock_ns();
    long http = 0;
    char *location = NULL;
    if (!read_host(curl, url, &host))
        return fm_fail(error, FM_INVALID_ARGUMENT, "'%.300s' is no http:// or https:// URL", url);
    if (!is_allowed(transfer, &host))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "host '%s' (port %s) is not one that pictures are fetched from; allow it with --allow-url-host",
                       host.name, host.port);
    if (now_ns >= transfer->deadline_ns)
        return fm_fail(error, FM_NOT_FOUND, "'%.300s' was not there in time", url);
    struct curl_slist *headers = first ? make_headers(transfer) : NULL;
    bool ready = set_up(transfer, url, headers, (long)((transfer->deadline_ns - now_ns) / NS_PER_MS) + LATE_MS);
    CURLcode code = ready ? curl->curl_easy_perform(transfer->handle) : CURLE_UNKNOWN_OPTION;
    curl->curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &http);
    curl->curl_easy_getinfo(transfer->handle, CURLINFO_REDIRECT_URL, &location);
    curl->curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return fail_hop(transfer, url, code, error);
    *next = http >= 300 && http < 400 && location ? fm_string_copy(location) : NULL;
    if (!*next && http != 200)
        return fm_fail(error, FM_NOT_FOUND, "'%.300s': the server answers %ld", url, http);
    return FM_OK;
}

static fm_status follow(struct transfer *transfer, const char *url, fm_error *error) {
    char *here = NULL, *next = NULL;
    fm_status status = hop(transfer, url, true, &next, error);
    for (int i = 0; status == FM_OK && next; i++) {
        fm_free(here);
        here = next;
        next = NULL;
        (void)!fm_buffer_resize(transfer->bytes, 0); /* the redirect's own page */
        status = i < REDIRECTS ? hop(transfer, here, false, &next, error)
                               : fm_fail(error, FM_NOT_FOUND, "'%.300s' is redirected too often", url);
    }
    fm_free(here);
    fm_free(next);
    return status;
}

fm_status fm_url_fetch(const char *url, const struct url_rules *rules, struct buffer *bytes, fm_error *error) {
    uint64_t patience_ns = fm_clock_ns() + (uint64_t)PATIENCE_MS * NS_PER_MS;
    struct transfer transfer = {.rules = rules, .bytes = bytes, .deadline_ns = patience_ns};
    if (rules->host_count == 0)
        return fm_fail(error, FM_UNSUPPORTED,
                       "URLs are not fetched by this worker; send the picture itself in images.data, or let the worker "
                       "be started with --allow-url-host");
    fm_status status = load(&transfer.curl, error);
    if (status != FM_OK)
        return status;
    if (rules->deadline_ns && rules->deadline_ns < patience_ns)
        transfer.deadline_ns = rules->deadline_ns;
    transfer.handle = transfer.curl.curl_easy_init();
    status =
        transfer.handle ? follow(&transfer, url, error) : fm_fail(error, FM_OUT_OF_MEMORY, "libcurl cannot be set up");
    transfer.curl.curl_easy_cleanup(transfer.handle);
    if (status == FM_OK && bytes->size == 0)
        status = fm_fail(error, FM_BAD_IMAGE, "'%.300s' is empty; expected an encoded image", url);
    if (status != FM_OK)
        fm_buffer_reset(bytes);
    return status;
}
