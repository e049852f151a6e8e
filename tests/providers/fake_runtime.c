/* Fake runtimes for test_library.c: an ONNX Runtime that is too old, and (FAKE_NOTHING) a library that is none. */
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

#ifdef FAKE_NOTHING
EXPORT int fm_fake_nothing(void);
int fm_fake_nothing(void) {
    return 0;
}
#else
struct fake_base {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

static const void *get_api(uint32_t version) {
    (void)version;
    return NULL;
}

static const char *get_version(void) {
    return "1.9.0";
}

EXPORT const struct fake_base *OrtGetApiBase(void);
const struct fake_base *OrtGetApiBase(void) {
    static const struct fake_base base = {get_api, get_version};
    return &base;
}
#endif
