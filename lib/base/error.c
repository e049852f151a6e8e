/* Errors: the words of a failure and the names of the statuses. Pure; any thread. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

fm_status fm_fail(fm_error *error, fm_status status, const char *format, ...) {
    if (error == NULL || error->status != FM_OK) {
        return status;
    }
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(error->message, sizeof error->message, format, arguments) < 0) {
        error->message[0] = '\0';
    }
    va_end(arguments);
    return status;
}

void fm_error_clear(fm_error *error) {
    if (error != NULL) {
        error->status = FM_OK;
        error->message[0] = '\0';
    }
}

const char *fm_status_name(fm_status status) {
    static const char *const names[] = {
        [FM_OK] = "ok",
        [FM_INVALID_ARGUMENT] = "invalid_argument",
        [FM_OUT_OF_MEMORY] = "out_of_memory",
        [FM_NOT_FOUND] = "not_found",
        [FM_IO] = "io",
        [FM_UNSUPPORTED] = "unsupported",
        [FM_BAD_IMAGE] = "bad_image",
        [FM_TRUNCATED] = "truncated",
        [FM_LIMIT] = "limit",
        [FM_BAD_MODEL] = "bad_model",
        [FM_NO_PROVIDER] = "no_provider",
        [FM_PROVIDER_FAILED] = "provider_failed",
        [FM_BUSY] = "busy",
        [FM_CANCELLED] = "cancelled",
        [FM_DEADLINE] = "deadline",
        [FM_CLOSED] = "closed",
        [FM_INTERNAL] = "internal",
    };
    size_t index = (size_t)status;
    return index < sizeof names / sizeof *names ? names[index] : "unknown";
}
