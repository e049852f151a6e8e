/* serve: what its two files share. */
#ifndef FM_SERVE_H
#define FM_SERVE_H

#include "program.h"

#include "base/os_program.h"
#include "http/chores.h"
#include "http/worker.h"

#include <stdio.h>

struct serve {
    struct program *program;
    struct config fresh;   /* as read again by SIGHUP */
    struct config *config; /* the one in force: the program's, or `fresh` */
    struct worker *worker;
    struct http_server *server;
    struct chores *chores;
    struct service service;
    struct http_route *routes;
    char fingerprint[65];  /* of the pack's files and the options that an engine is made of */
    atomic_int level;      /* lowest fm_log_level that is shown */
    struct os_mutex mutex; /* of the log, the file, and what follows */
    struct os_cond asked;
    bool reload;
    FILE *access; /* NULL: standard error */
};

/* The engine and the worker as the options have them; the settings are the caller's (fm_program_settings_reset). */
FM_MUST_USE fm_status fm_serve_options(struct serve *serve, const struct config *config,
                                       struct engine_settings *settings, struct worker_options *options,
                                       fm_error *error);
/* Of what an engine would be opened with now. */
void fm_serve_fingerprint(const struct config *config, char out[65]);
/* Open --access-log-file anew. */
FM_MUST_USE fm_status fm_serve_open_log(struct serve *serve, fm_error *error);
/* SIGHUP. Whatever fails leaves its old one in force, and says so on standard error. */
void fm_serve_reload(struct serve *serve);
void fm_serve_log(fm_log_level level, const char *component, const char *message, void *serve);

#endif
