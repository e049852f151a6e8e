/* Filling in an fm_error: who detects describes, who propagates adds nothing, the first message wins. */
#ifndef FM_BASE_ERROR_H
#define FM_BASE_ERROR_H

#include <facemill/facemill.h>

/* Write status and words unless `error` is NULL or already holds a failure; returns `status`.
   Use: return fm_fail(error, FM_IO, "cannot read '%s': %s; check its permissions", path, why); */
fm_status fm_fail(fm_error *error, fm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Public functions call this first: a caller's fm_error need not be initialised, and old words never survive. */
void fm_error_clear(fm_error *error);

#endif
