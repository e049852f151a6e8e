/* FastAPI's list of what is wrong with a request. Any thread. */
#include "http/fastapi.h"

void fm_fastapi_refuse(struct http_request *request, const char *type, const char *field, const char *words) {
    struct http_reply reply = {.code = 422, .type = "application/json"};
    struct json json = {.text = &reply.text};
    fm_json_object_open(&json, NULL);
    fm_json_array_open(&json, "detail");
    fm_json_object_open(&json, NULL);
    fm_json_string(&json, "type", type);
    fm_json_array_open(&json, "loc");
    fm_json_string(&json, NULL, "body");
    if (field)
        fm_json_string(&json, NULL, field);
    fm_json_array_close(&json);
    fm_json_string(&json, "msg", words);
    fm_json_object_close(&json);
    fm_json_array_close(&json);
    fm_json_object_close(&json);
    fm_http_reply(request, &reply);
}
