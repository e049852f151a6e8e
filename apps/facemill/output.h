/* Where a command's answer goes: standard output, or a file that appears when it is complete. One thread. */
#ifndef FM_OUTPUT_H
#define FM_OUTPUT_H

#include "config/config.h"

#include <stdio.h>

struct output {
    struct text text; /* what waits to be written: commands append here */
    struct json json; /* writes into `text` */
    bool table;       /* --format table, or a terminal */
    bool csv;         /* --format csv */
    bool terminal;    /* standard output is one */
    bool reader_gone; /* the pipe's reader closed it: the rest is dropped in silence */
    FILE *file;
    const char *path; /* --output; NULL: standard output */
    bool renames;     /* written beside `path` first */
    char part[4200];
};
/* Has the command the form that was asked for? FM_INVALID_ARGUMENT where it has no csv. */
FM_MUST_USE fm_status fm_output_suits(const struct config *config, fm_error *error);
/* Errors: FM_IO (words name the file). */
FM_MUST_USE fm_status fm_output_open(struct output *output, const struct config *config, fm_error *error);
/* Write what waits. */
FM_MUST_USE fm_status fm_output_flush(struct output *output, fm_error *error);
/* End a JSON line. */
void fm_output_end_line(struct output *output);
/* Write the rest and, when `complete`, give the file its name; otherwise FILE.part stays. After a failure of flush:
 * only free. */
FM_MUST_USE fm_status fm_output_close(struct output *output, bool complete, fm_error *error);

#endif
