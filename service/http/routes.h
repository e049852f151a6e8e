/* What route files share: the error form of the GPU worker's interface, which health has too. */
#ifndef FM_HTTP_ROUTES_H
#define FM_HTTP_ROUTES_H

#include "http/http.h"

/* {"detail": words} */
void fm_routes_detail_error(struct text *out, int code, const char *words, const char *request_id);
/* metrics.c: everything that /metrics says, in Prometheus' text format 0.0.4. */
struct service;
void fm_metrics_write(struct service *service, struct text *out);

#endif
