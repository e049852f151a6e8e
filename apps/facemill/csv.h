/* csv: one line per face for spreadsheets and data frames (RFC 4180). The columns are docs/output.md's. */
#ifndef FM_APPS_CSV_H
#define FM_APPS_CSV_H

#include "record.h"

void fm_csv_header(struct text *text);
/* A good result: a line per face, or one line without a face. */
void fm_csv_result(struct text *text, const char *path, const fm_result *result, const struct record_options *options);
void fm_csv_error(struct text *text, const char *path, fm_status status, const char *message);

#endif
