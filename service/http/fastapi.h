/* What FastAPI answers when a field of a request is missing or of the wrong kind: the interfaces that we stand in for
   are written with it. Plain errors are routes.h's. */
#ifndef FM_HTTP_FASTAPI_H
#define FM_HTTP_FASTAPI_H

#include "http/http.h"

/* Answer 422 with {"detail":[{"type","loc":["body",field],"msg"}]}. `type` "missing", "json_invalid", "value_error";
   `field` NULL: the body itself. */
void fm_fastapi_refuse(struct http_request *request, const char *type, const char *field, const char *words);

#endif
