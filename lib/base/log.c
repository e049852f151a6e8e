/* Log: formats one line at a time and hands it to the engine's sink, or to standard error.
   Owner: the engine that embeds the logger. Any thread; the sink is called under the logger's mutex. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_MESSAGE 2048

static const char *level_name(fm_log_level level) {
    switch (level) {
    case FM_LOG_DEBUG:
        return "debug";
    case FM_LOG_INFO:
        return "info";
    case FM_LOG_ERROR:
        return "error";
    case FM_LOG_DEFAULT:
    case FM_LOG_WARN:
    case FM_LOG_OFF:
        break;
    }
    return "warn";
}

void fm_logger_init(struct logger *logger, fm_log_level level, fm_log_callback callback, void *user) {
    *logger = (struct logger){
        .level = level == FM_LOG_DEFAULT ? FM_LOG_WARN : level,
        .callback = callback,
        .user = user,
    };
    fm_mutex_init(&logger->mutex);
}

void fm_logger_reset(struct logger *logger) {
    fm_mutex_reset(&logger->mutex);
}

bool fm_log_enabled(const struct logger *logger, fm_log_level level) {
    return logger != NULL && level < FM_LOG_OFF && level >= logger->level;
}

void fm_log(struct logger *logger, fm_log_level level, const char *component, const char *format, ...) {
    if (!fm_log_enabled(logger, level)) {
        return;
    }
    char message[MAX_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof message, format, arguments) < 0) {
        message[0] = '\0';
    }
    va_end(arguments);
    fm_mutex_lock(&logger->mutex);
    if (logger->callback != NULL) {
        logger->callback(level, component, message, logger->user);
    } else {
        fprintf(stderr, "facemill: %s: %s: %s\n", level_name(level), component, message);
    }
    fm_mutex_unlock(&logger->mutex);
}
