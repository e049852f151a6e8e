/* csv: one line per face for spreadsheets and data frames (RFC 4180). The columns are docs/output.md's. */
#ifndef FM_APPS_CSV_H
#define FM_APPS_CSV_H

#include "record.h"

void fm_csv_header(struct text *text);
/* A line per face, or one line without a face. */
void fm_csv_found(struct text *text, const char *path, const struct found *found, const struct record_options *options);
void fm_csv_error(struct text *text, const char *path, fm_status status, const char *message);

#endif
