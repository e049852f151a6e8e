/* Bearer tokens: who may ask. Only digests are kept. Immutable once read; any thread. */
#ifndef FM_HTTP_TOKENS_H
#define FM_HTTP_TOKENS_H

#include "base/error.h"
#include "base/memory.h"

#define TOKENS_MAX 4096

struct tokens {
    char (*digests)[65];
    size_t count;
};
/* Read a token per line; blank lines and lines that begin with # are left out. FM_INVALID_ARGUMENT when there is none,
   FM_NOT_FOUND, FM_IO. */
FM_MUST_USE fm_status fm_tokens_read(const char *path, struct tokens *tokens, fm_error *error);
void fm_tokens_reset(struct tokens *tokens);
/* Does an Authorization header hold one of them? Takes as long for a wrong token as for a right one. NULL: false. */
bool fm_tokens_allow(const struct tokens *tokens, const char *authorization);

#endif
