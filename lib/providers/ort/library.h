/* ONNX Runtime's library: found, loaded, counted. One environment per library of a process, shared by every engine. */
#ifndef FM_PROVIDERS_ORT_LIBRARY_H
#define FM_PROVIDERS_ORT_LIBRARY_H

#include "providers/ort/abi.h"
#include "providers/provider.h"

#define FM_ORT_PATH 4096

/* Immutable while open, but for what library.c guards. */
struct ort_library {
    struct ort_api api;
    char path[FM_ORT_PATH]; /* canonical, or the name that the system's loader took */
    char origin[32];  /* who named it when it was started: "--ort-library", "FM_ORT_LIBRARY", "data folder", "system",
                         "Python environment" */
    char version[32]; /* "1.31.1" */
    void *handle;
    struct ort_env *env;
    struct ort_memory_info *host_memory;
    struct ort_allocator *allocator; /* the runtime's own, for the names it hands out */
    struct ort_library *next;        /* this and the next guarded by the registry's mutex */
    size_t references;
    bool owns_bridge; /* it may load providers (options.c); guarded by gathering, see fm_ort_route_add */
};

/* Find and load: a library named by the options or the environment must load; what a search finds may be passed over.
   `suffix` is the provider's own name ("openvino"): the data folder's ort-<suffix> goes before its ort. Each success is
   closed once. FM_NO_PROVIDER with reason and remedy, FM_OUT_OF_MEMORY. Any thread. */
FM_MUST_USE fm_status fm_ort_library_open(const struct runtime_options *options, const char *suffix,
                                          struct ort_library **library, fm_error *error);
void fm_ort_library_close(struct ort_library *library);
/* Is `name` ("CUDAExecutionProvider") compiled into this library? */
bool fm_ort_has_provider(const struct ort_library *library, const char *name);

/* Give back a string that the runtime allocated; NULL is fine. */
void fm_ort_free_name(const struct ort_library *library, char *name);

/* A route for the runtime's messages: those of the session with this log id go to `logger`. A route with the empty id
   gathers, in `words`, the errors that belong to no session: the runtime says only there why a provider's library does
   not load; one thread gathers at a time, others wait in fm_ort_route_add. The route is the caller's memory and stays
   in place until the same thread removes it. */
struct log_route {
    char log_id[32];
    struct logger *logger;
    char words[1024];
    struct log_route *next;
};
void fm_ort_route_add(struct log_route *route, const char *log_id, struct logger *logger);
void fm_ort_route_remove(struct log_route *route);
/* A log id that no other session of this process has. */
void fm_ort_log_id(char *out, size_t size);
/* Severity below which a session need not even form a message. */
int fm_ort_log_level(const struct logger *logger);

/* Turn a foreign status into ours and release it; FM_OK for NULL. `fallback` is what a failure without a more precise
   meaning becomes; `what` opens the words: "cannot open 'det.onnx' with ort:cpu". */
fm_status fm_ort_check(const struct ort_api *api, struct ort_status *status, fm_status fallback, fm_error *error,
                       const char *what);
/* `status`, or FM_OUT_OF_MEMORY where it is FM_OK and nothing was made: the runtime says success with a NULL status,
   and a failure too when it has no memory left for the status. Ask it wherever a NULL would be followed. */
fm_status fm_ort_made(fm_status status, const void *made, fm_error *error, const char *what);

#endif
