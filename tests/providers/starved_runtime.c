/* A runtime without the memory for its own words, for test_starved.c: the real library named by STARVED_RUNTIME, but
   the call in slot STARVED_SLOT makes nothing and returns NULL, which reads as success. ONNX Runtime does that where it
   cannot allocate a status. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define SLOTS 259 /* those that lib/providers/ort calls */

struct runtime_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

static const struct runtime_base *real;
static void *table[SLOTS];

static void *make_nothing(void) {
    return NULL;
}

static void *const *get_api(uint32_t version) {
    const char *slot = getenv("STARVED_SLOT");
    void *(*starved)(void) = make_nothing;
    memcpy(table, real->get_api(version), sizeof table);
    if (slot) {
        memcpy(&table[atoi(slot)], &starved, sizeof starved);
    }
    return table;
}

EXPORT const struct runtime_base *OrtGetApiBase(void);
const struct runtime_base *OrtGetApiBase(void) {
    static struct runtime_base base;
    const struct runtime_base *(*get_base)(void) = NULL;
    void *library = dlopen(getenv("STARVED_RUNTIME"), RTLD_NOW | RTLD_LOCAL);
    void *address = library ? dlsym(library, "OrtGetApiBase") : NULL;
    if (!address) {
        return NULL;
    }
    memcpy(&get_base, &address, sizeof get_base);
    real = get_base();
    base.get_api = get_api;
    base.get_version = real->get_version;
    return &base;
}
