/* Log: one sink per engine (no globals), quiet below its level; calls of the sink are serialised. */
#ifndef FM_BASE_LOG_H
#define FM_BASE_LOG_H

#include "base/os.h"

struct logger {
    fm_log_level level;
    fm_log_callback callback; /* NULL: a line "facemill: warn: component: message" on standard error */
    void *user;
    struct os_mutex mutex;
};
void fm_logger_init(struct logger *logger, fm_log_level level, fm_log_callback callback, void *user);
void fm_logger_reset(struct logger *logger);
/* `logger` may be NULL: nothing happens. */
void fm_log(struct logger *logger, fm_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool fm_log_enabled(const struct logger *logger, fm_log_level level);

#endif
