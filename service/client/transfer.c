/* Transfer: one request of libcurl and what came back, bounded. Handles and buffers are kept for the next one. The
   client's thread. */
#include "client/client.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROBE_MS 5000
#define RETRY_AFTER_LEAST_MS 50
#define RETRY_AFTER_MOST_MS 10000

/* ---- what libcurl calls */

static size_t take_body(char *bytes, size_t one, size_t size, void *user) {
    struct transfer *transfer = user;
    (void)one;
    transfer->too_large = size > REPLY_BYTES - transfer->answer.size;
    if (transfer->too_large)
        return 0;
    transfer->no_memory = !fm_buffer_append(&transfer->answer, bytes, size, REPLY_BYTES);
    return transfer->no_memory ? 0 : size;
}

static size_t take_header(char *line, size_t one, size_t size, void *user) {
    static const char name[] = "retry-after:";
    struct transfer *transfer = user;
    char value[24];
    size_t at = sizeof name - 1;
    (void)one;
    if (size <= at || strncasecmp(line, name, at) != 0)
        return size;
    while (at < size && (line[at] == ' ' || line[at] == '\t'))
        at++;
    size_t length = size - at < sizeof value - 1 ? size - at : sizeof value - 1;
    memcpy(value, line + at, length);
    value[length] = 0;
    uint64_t seconds = value[0] >= '0' && value[0] <= '9' ? strtoull(value, NULL, 10) : 1; /* a date: soon */
    uint64_t ms = seconds > RETRY_AFTER_MOST_MS / 1000 ? RETRY_AFTER_MOST_MS : seconds * 1000;
    transfer->has_retry_after = true;
    transfer->retry_after_ms = ms > RETRY_AFTER_LEAST_MS ? ms : RETRY_AFTER_LEAST_MS;
    return size;
}

/* ---- making one */

static struct transfer *take_transfer(fm_client *client) {
    struct transfer *transfer = client->free_transfers;
    if (transfer) {
        client->free_transfers = transfer->next;
        CURL *easy = transfer->easy;
        struct buffer answer = transfer->answer;
        answer.size = 0;
        *transfer = (struct transfer){.easy = easy, .answer = answer};
        return transfer;
    }
    transfer = fm_alloc(sizeof *transfer);
    if (transfer)
        transfer->easy = client->curl.curl_easy_init();
    if (transfer && !transfer->easy) {
        fm_free(transfer);
        transfer = NULL;
    }
    return transfer;
}

static bool add_header(fm_client *client, struct transfer *transfer, const char *header) {
    struct curl_slist *longer = client->curl.curl_slist_append(transfer->headers, header);
    transfer->headers = longer ? longer : transfer->headers;
    return longer != NULL;
}

static bool set_address(fm_client *client, struct transfer *transfer, const char *path, const char *query) {
    const struct curl_library *curl = &client->curl;
    struct text url = {0};
    fm_text_add(&url, "%s%s%s", transfer->remote->base, path, query);
    bool good = !url.failed && curl->curl_easy_setopt(transfer->easy, CURLOPT_URL, url.chars) == CURLE_OK;
    fm_text_reset(&url);
    if (good && transfer->remote->socket)
        good = curl->curl_easy_setopt(transfer->easy, CURLOPT_UNIX_SOCKET_PATH, transfer->remote->socket) == CURLE_OK &&
               curl->curl_easy_setopt(transfer->easy, CURLOPT_PROXY, "") == CURLE_OK;
    return good;
}

static bool set_common(fm_client *client, struct transfer *transfer, uint64_t timeout_ms) {
    const struct curl_library *curl = &client->curl;
    CURL *easy = transfer->easy;
    bool good = curl->curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)transfer) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_USERAGENT, "facemill") == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->options.connect_ms) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)transfer) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
                curl->curl_easy_setopt(easy, CURLOPT_HEADERDATA, (void *)transfer) == CURLE_OK;
    if (good && client->options.certificates)
        good = curl->curl_easy_setopt(easy, CURLOPT_CAINFO, client->options.certificates) == CURLE_OK;
    if (good && client->authorization)
        good = add_header(client, transfer, client->authorization);
    return good;
}

/* By its first bytes, as our worker and others look at them too. */
static const char *media_type(const uint8_t *bytes, size_t size) {
    if (size >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0)
        return "image/jpeg";
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0)
        return "image/png";
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return "image/webp";
    if (size >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0)
        return memcmp(bytes + 8, "avi", 3) == 0 ? "image/avif" : "image/heic";
    return "application/octet-stream";
}

static bool set_raw(fm_client *client, struct transfer *transfer, const struct task *task, const char *type) {
    const struct curl_library *curl = &client->curl;
    char header[64];
    (void)snprintf(header, sizeof header, "Content-Type: %s", type);
    return curl->curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)task->size) == CURLE_OK &&
           curl->curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, task->bytes) == CURLE_OK &&
           add_header(client, transfer, header);
}

static bool set_form(fm_client *client, struct transfer *transfer, const struct task *task, const char *type) {
    const struct curl_library *curl = &client->curl;
    transfer->mime = curl->curl_mime_init(transfer->easy);
    curl_mimepart *part = transfer->mime ? curl->curl_mime_addpart(transfer->mime) : NULL;
    return part && curl->curl_mime_name(part, "file") == CURLE_OK &&
           curl->curl_mime_filename(part, "image") == CURLE_OK && curl->curl_mime_type(part, type) == CURLE_OK &&
           curl->curl_mime_data(part, task->bytes, task->size) == CURLE_OK &&
           curl->curl_easy_setopt(transfer->easy, CURLOPT_MIMEPOST, transfer->mime) == CURLE_OK;
}

static struct transfer *begin(fm_client *client, struct transfer *transfer, bool good) {
    if (good)
        good = !transfer->headers ||
               client->curl.curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
    if (good && client->curl.curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK)
        return transfer;
    fm_transfer_end(client, transfer);
    return NULL;
}

struct transfer *fm_transfer_picture(fm_client *client, struct remote *remote, struct task *task, uint64_t now_ns) {
    struct transfer *transfer = take_transfer(client);
    bool ours = remote->dialect == DIALECT_V1;
    uint64_t timeout_ms = client->options.timeout_ms;
    if (!transfer)
        return NULL;
    transfer->remote = remote;
    transfer->task = task;
    uint64_t left_ms = task->deadline_ns > now_ns ? (task->deadline_ns - now_ns) / MS + 1 : timeout_ms;
    const char *type = media_type(task->bytes, task->size);
    bool good = set_address(client, transfer, ours ? "/v1/analyze" : "/detect", ours ? client->query : "") &&
                set_common(client, transfer, left_ms < timeout_ms ? left_ms : timeout_ms) &&
                (ours ? set_raw(client, transfer, task, type) : set_form(client, transfer, task, type));
    if (good && ours && task->deadline_ns) {
        char header[64];
        (void)snprintf(header, sizeof header, "X-Deadline-Ms: %llu", (unsigned long long)left_ms);
        good = add_header(client, transfer, header);
    }
    return begin(client, transfer, good);
}

struct transfer *fm_transfer_probe(fm_client *client, struct remote *remote, bool at_root) {
    struct transfer *transfer = take_transfer(client);
    if (!transfer)
        return NULL;
    transfer->remote = remote;
    transfer->at_root = at_root;
    bool good = set_address(client, transfer, at_root ? "/" : "/v1/models", "") &&
                set_common(client, transfer, PROBE_MS) && add_header(client, transfer, "Accept: application/json");
    return begin(client, transfer, good);
}

/* ---- what became of it */

long fm_transfer_code(fm_client *client, const struct transfer *transfer) {
    long code = 0;
    (void)client->curl.curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

void fm_transfer_words(fm_client *client, const struct transfer *transfer, CURLcode code, char out[CLIENT_WORDS]) {
    if (transfer->too_large)
        (void)snprintf(out, CLIENT_WORDS, "its answer is longer than %zu bytes", REPLY_BYTES);
    else if (transfer->no_memory)
        (void)snprintf(out, CLIENT_WORDS, "no memory for its answer");
    else
        (void)snprintf(out, CLIENT_WORDS, "%s",
                       transfer->why[0] ? transfer->why : client->curl.curl_easy_strerror(code));
}

void fm_transfer_end(fm_client *client, struct transfer *transfer) {
    client->curl.curl_multi_remove_handle(client->multi, transfer->easy);
    client->curl.curl_easy_reset(transfer->easy); /* forgets what is freed now */
    client->curl.curl_slist_free_all(transfer->headers);
    client->curl.curl_mime_free(transfer->mime);
    transfer->headers = NULL;
    transfer->mime = NULL;
    if (transfer->answer.capacity > REPLY_BYTES / 16)
        fm_buffer_reset(&transfer->answer);
    transfer->next = client->free_transfers;
    client->free_transfers = transfer;
}

void fm_transfers_reset(fm_client *client) {
    while (client->free_transfers) {
        struct transfer *transfer = client->free_transfers;
        client->free_transfers = transfer->next;
        client->curl.curl_easy_cleanup(transfer->easy);
        fm_buffer_reset(&transfer->answer);
        fm_free(transfer);
    }
}
