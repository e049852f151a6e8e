/* Binding of ONNX Runtime's function table: slot numbers in, typed pointers out. Pure; any thread. */
#include "providers/ort/abi.h"

#include <stdlib.h>
#include <string.h>

/* "1.24.1" -> 24: the API version is the minor number. A runtime asked for more than it has writes to stderr, so it is
   never asked. A future major number counts as newest. */
static unsigned version_of(const char *text) {
    char *end = NULL;
    unsigned long major = text ? strtoul(text, &end, 10) : 0;
    if (major > 1) {
        return UINT32_MAX;
    }
    return major == 1 && *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
}

bool fm_ort_api_bind(const struct ort_api_base *base, struct ort_api *api) {
    const unsigned version = version_of(base->get_version());
    const void *table = version >= FM_ORT_API_VERSION ? base->get_api(FM_ORT_API_VERSION) : NULL;
    memset(api, 0, sizeof *api);
    api->version = version;
    if (!table) {
        return false;
    }
    /* memcpy: a table of pointers to differently typed functions is not an array of any one type. */
#define FM_ORT_BIND(slot, since, name, result, parameters)                                                             \
    if (version >= (since)) {                                                                                          \
        memcpy(&api->name, (const char *)table + (slot) * sizeof(void *), sizeof api->name);                           \
    }
    FM_ORT_CALLS(FM_ORT_BIND)
#undef FM_ORT_BIND
    return true;
}
