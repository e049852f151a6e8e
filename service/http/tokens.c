/* Tokens are compared by their SHA-256 digests, all of them and to the last character: neither how long it takes nor
   what lies in memory says anything about a token. */
#include "http/tokens.h"

#include "base/os.h"
#include "base/sha256.h"

#include <string.h>
#include <strings.h>

#define FILE_BYTES ((uint64_t)1 << 20)

static void digest(const char *token, size_t length, char hex[65]) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, token, length);
    fm_sha256_hex(&sha, hex);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Cut white space off both ends. */
static const char *trim(const char *text, size_t *length) {
    while (*length > 0 && is_space(text[0])) {
        text++;
        --*length;
    }
    while (*length > 0 && is_space(text[*length - 1]))
        --*length;
    return text;
}

fm_status fm_tokens_read(const char *path, struct tokens *tokens, fm_error *error) {
    struct buffer file = {0};
    *tokens = (struct tokens){0};
    fm_status status = fm_file_read(path, FILE_BYTES, &file, error);
    if (status != FM_OK)
        goto cleanup;
    size_t lines = 1;
    for (size_t i = 0; i < file.size; i++)
        lines += file.bytes[i] == '\n';
    tokens->digests = fm_alloc_array(lines < TOKENS_MAX ? lines : TOKENS_MAX, sizeof *tokens->digests);
    if (tokens->digests == NULL) {
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading the token file '%s'", path);
        goto cleanup;
    }
    for (size_t at = 0; at < file.size && status == FM_OK;) {
        const char *line = (const char *)file.bytes + at;
        const char *end = memchr(line, '\n', file.size - at);
        size_t length = end ? (size_t)(end - line) : file.size - at;
        at += length + 1;
        line = trim(line, &length);
        if (length == 0 || line[0] == '#')
            continue;
        if (tokens->count == TOKENS_MAX)
            status = fm_fail(error, FM_LIMIT, "the token file '%s' has more than %d tokens", path, TOKENS_MAX);
        else
            digest(line, length, tokens->digests[tokens->count++]);
    }
    if (status == FM_OK && tokens->count == 0)
        status = fm_fail(error, FM_INVALID_ARGUMENT,
                         "the token file '%s' has no token: write one per line, or leave the option out", path);
cleanup:
    if (status != FM_OK)
        fm_tokens_reset(tokens);
    fm_buffer_reset(&file);
    return status;
}

void fm_tokens_reset(struct tokens *tokens) {
    fm_free(tokens->digests);
    *tokens = (struct tokens){0};
}

bool fm_tokens_allow(const struct tokens *tokens, const char *authorization) {
    char given[65];
    unsigned found = 0;
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    size_t length = strlen(authorization + 7);
    const char *token = trim(authorization + 7, &length);
    digest(token, length, given);
    for (size_t i = 0; i < tokens->count; i++) {
        unsigned differs = 0;
        for (size_t c = 0; c < sizeof given; c++)
            differs |= (unsigned)given[c] ^ (unsigned)tokens->digests[i][c];
        found |= differs == 0;
    }
    return found != 0;
}
