/* ONNX Runtime as loaded into this process: a registry of libraries, each counted by its users.

   The registry is the one piece of process-wide state of the project. It cannot be the engine's: the runtime keeps its
   environment (logging, allocators, provider libraries) once per loaded library, and gives every later caller the first
   one's, with the first one's log sink. So one entry per library owns the environment, and the sink finds the engine
   that a message belongs to by the log id of its session. Two libraries side by side (RTLD_LOCAL) do not meet; nor do
   we meet one that a Python process loaded for itself. Any thread. */
#include "providers/ort/library.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/os.h"
#include "providers/ort/search.h"

struct registry {
    atomic_int state; /* REGISTRY_* */
    atomic_uint next_log_id;
    struct os_mutex libraries_mutex, gather_mutex, routes_mutex; /* taken in this order */
    struct ort_library *libraries;
    struct log_route *routes;
};
enum { REGISTRY_NEW = 0, REGISTRY_STARTING = 1, REGISTRY_READY = 2 };

/* os_mutex has no static initialiser, so the first user initialises; whoever meets it half way spins for that moment.
 */
static struct registry *registry_get(void) {
    static struct registry registry;
    int expected = REGISTRY_NEW;
    if (atomic_compare_exchange_strong(&registry.state, &expected, REGISTRY_STARTING)) {
        fm_mutex_init(&registry.libraries_mutex);
        fm_mutex_init(&registry.gather_mutex);
        fm_mutex_init(&registry.routes_mutex);
        atomic_store(&registry.state, REGISTRY_READY);
    }
    while (atomic_load(&registry.state) != REGISTRY_READY) {
    }
    return &registry;
}

/* ---------------------------------------------------------------- messages */

static fm_log_level level_of(int severity) {
    /* Two steps down: the runtime's errors come back as statuses too, and its warnings are notes to its developers. */
    return severity >= ORT_LOG_FATAL ? FM_LOG_ERROR : severity == ORT_LOG_ERROR ? FM_LOG_INFO : FM_LOG_DEBUG;
}

static void keep_words(struct log_route *route, const char *message) {
    const size_t used = strlen(route->words);
    const char *separator = used ? "; " : "";
    snprintf(route->words + used, sizeof route->words - used, "%s%s", separator, message);
}

/* A message of no session of ours is dropped unless it is an error that someone gathers: nothing goes to stderr. */
static void receive_message(void *user, int severity, const char *category, const char *log_id, const char *location,
                            const char *message) {
    struct registry *registry = registry_get();
    (void)user;
    (void)category;
    (void)location;
    fm_mutex_lock(&registry->routes_mutex);
    for (struct log_route *route = registry->routes; route; route = route->next) {
        if (route->log_id[0] && log_id && strcmp(route->log_id, log_id) == 0) {
            fm_log(route->logger, level_of(severity), "ort", "%s", message);
            break;
        }
        if (!route->log_id[0] && severity >= ORT_LOG_ERROR) {
            keep_words(route, message);
        }
    }
    fm_mutex_unlock(&registry->routes_mutex);
}

void fm_ort_route_add(struct log_route *route, const char *log_id, struct logger *logger) {
    struct registry *registry = registry_get();
    snprintf(route->log_id, sizeof route->log_id, "%s", log_id);
    route->logger = logger;
    route->words[0] = '\0';
    if (!log_id[0]) {
        fm_mutex_lock(&registry->gather_mutex);
    }
    fm_mutex_lock(&registry->routes_mutex);
    route->next = registry->routes;
    registry->routes = route;
    fm_mutex_unlock(&registry->routes_mutex);
}

void fm_ort_route_remove(struct log_route *route) {
    struct registry *registry = registry_get();
    fm_mutex_lock(&registry->routes_mutex);
    for (struct log_route **at = &registry->routes; *at; at = &(*at)->next) {
        if (*at == route) {
            *at = route->next;
            break;
        }
    }
    fm_mutex_unlock(&registry->routes_mutex);
    if (!route->log_id[0]) {
        fm_mutex_unlock(&registry->gather_mutex);
    }
}

void fm_ort_log_id(char *out, size_t size) {
    snprintf(out, size, "facemill-%u", atomic_fetch_add(&registry_get()->next_log_id, 1u));
}

int fm_ort_log_level(const struct logger *logger) {
    return fm_log_enabled(logger, FM_LOG_DEBUG)  ? ORT_LOG_INFO
           : fm_log_enabled(logger, FM_LOG_INFO) ? ORT_LOG_ERROR
                                                 : ORT_LOG_FATAL;
}

/* ---------------------------------------------------------------- statuses */

static bool is_out_of_memory(const char *words) {
    static const char *const signs[] = {"Failed to allocate memory",
                                        "bad allocation",
                                        "bad_alloc",
                                        "out of memory",
                                        "CUBLAS_STATUS_ALLOC_FAILED",
                                        "CUDNN_STATUS_ALLOC_FAILED",
                                        "OutOfMemory",
                                        "Available memory of"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strstr(words, signs[i])) {
            return true;
        }
    }
    return false;
}

static fm_status status_of(int code, const char *words, fm_status fallback) {
    if (is_out_of_memory(words)) {
        return FM_OUT_OF_MEMORY;
    }
    switch (code) {
    case ORT_CODE_INVALID_ARGUMENT:
        return fallback == FM_PROVIDER_FAILED ? FM_INVALID_ARGUMENT : fallback;
    case ORT_CODE_NO_MODEL:
    case ORT_CODE_INVALID_PROTOBUF:
    case ORT_CODE_INVALID_GRAPH:
        return FM_BAD_MODEL;
    case ORT_CODE_NOT_IMPLEMENTED:
        return FM_UNSUPPORTED;
    default:
        return fallback;
    }
}

fm_status fm_ort_check(const struct ort_api *api, struct ort_status *status, fm_status fallback, fm_error *error,
                       const char *what) {
    if (!status) {
        return FM_OK;
    }
    const char *words = api->GetErrorMessage(status);
    const fm_status ours = status_of(api->GetErrorCode(status), words, fallback);
    fm_fail(error, ours, "%s: %s", what, words);
    api->ReleaseStatus(status);
    return ours;
}

fm_status fm_ort_made(fm_status status, const void *made, fm_error *error, const char *what) {
    return status != FM_OK || made
               ? status
               : fm_fail(error, FM_OUT_OF_MEMORY, "%s: ONNX Runtime had no memory left, not even to say so", what);
}

/* ---------------------------------------------------------------- libraries */

static fm_status make_environment(struct ort_library *library, fm_error *error) {
    const struct ort_api *api = &library->api;
    char log_id[32] = "facemill";
    static const char *const start = "cannot start ONNX Runtime", *const describe = "cannot describe host memory to it";
    static const char *const allocate = "cannot get ONNX Runtime's allocator";
    fm_status status =
        fm_ort_check(api, api->CreateEnvWithCustomLogger(receive_message, NULL, ORT_LOG_WARNING, log_id, &library->env),
                     FM_NO_PROVIDER, error, start);
    status = fm_ort_made(status, library->env, error, start);
    if (status == FM_OK) {
        status = fm_ort_check(api, api->DisableTelemetryEvents(library->env), FM_NO_PROVIDER, error,
                              "cannot switch ONNX Runtime's telemetry off");
    }
    if (status == FM_OK) {
        status =
            fm_ort_check(api, api->CreateCpuMemoryInfo(ORT_ALLOCATOR_ARENA, ORT_MEMORY_DEFAULT, &library->host_memory),
                         FM_NO_PROVIDER, error, describe);
        status = fm_ort_made(status, library->host_memory, error, describe);
    }
    if (status == FM_OK) {
        status = fm_ort_check(api, api->GetAllocatorWithDefaultOptions(&library->allocator), FM_NO_PROVIDER, error,
                              allocate);
        status = fm_ort_made(status, library->allocator, error, allocate);
    }
    return status;
}

/* The library itself stays mapped and its entry listed: it and its providers leave thread-local destructors and worker
   threads behind, whose code must not go away, and the loader goes on giving it to whoever asks for its bare name. */
static void library_stop(struct ort_library *library) {
    if (library->host_memory) {
        library->api.ReleaseMemoryInfo(library->host_memory);
        library->host_memory = NULL;
    }
    if (library->env) {
        library->api.ReleaseEnv(library->env);
        library->env = NULL;
    }
    library->owns_bridge = false; /* the environment took its providers with it */
}

/* Fill in a loaded library: first use, or first after the last close. */
static fm_status library_start(struct ort_library *library, fm_error *error) {
    const struct ort_api_base *(*get_base)(void) = NULL;
    void *symbol = fm_library_symbol(library->handle, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof get_base); /* ISO C has no cast from object to function pointer */
    if (!symbol) {
        return fm_fail(error, FM_NO_PROVIDER, "'%s' is not ONNX Runtime: it has no OrtGetApiBase", library->path);
    }
    const struct ort_api_base *base = get_base();
    snprintf(library->version, sizeof library->version, "%s", base->get_version());
    if (!fm_ort_api_bind(base, &library->api)) {
        return fm_fail(error, FM_NO_PROVIDER, "ONNX Runtime %s in '%s' is too old: 1.%u or newer is needed",
                       library->version, library->path, FM_ORT_API_VERSION);
    }
    return make_environment(library, error);
}

static struct ort_library *find_library(const struct registry *registry, const char *path, const void *handle) {
    struct ort_library *library = registry->libraries;
    while (library && (handle ? library->handle != handle : strcmp(library->path, path) != 0)) {
        library = library->next;
    }
    return library;
}

/* A library that was not met before, unstarted. */
static fm_status load(struct registry *registry, const struct ort_candidate *candidate, const char *path,
                      struct ort_library **out, fm_error *error) {
    void *handle = NULL;
    /* The runtime's Linux builds report home (1.31.1: a device id in ~/.cache, events sent after seconds), from their
       own start on: DisableTelemetryEvents comes too late. A user's own choice stands. */
    fm_environment_offer("ORT_DISABLE_TELEMETRY", "1");
    const fm_status status = fm_library_open(path, &handle, error);
    if (status != FM_OK) {
        return status;
    }
    /* The loader gives a bare name to any library of that name that is loaded already; one that was found by its path
       is not the system's because of that. By another path it is the same library, with the same environment. */
    struct ort_library *library = find_library(registry, path, handle);
    if (library) {
        fm_library_close(handle);
        *out = library;
        return strchr(path, '/') || candidate->named
                   ? FM_OK
                   : fm_fail(error, FM_NOT_FOUND, "the system has no %s of its own", path);
    }
    library = fm_alloc(sizeof *library);
    if (!library) {
        fm_library_close(handle);
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to load '%s'", path);
    }
    library->handle = handle;
    snprintf(library->path, sizeof library->path, "%s", path);
    library->next = registry->libraries;
    registry->libraries = library;
    *out = library;
    return FM_OK;
}

/* Under the registry's mutex. */
static fm_status load_and_start(struct registry *registry, const struct ort_candidate *candidate, const char *path,
                                struct ort_library **out, fm_error *error) {
    struct ort_library *library = find_library(registry, path, NULL);
    fm_status status = library ? FM_OK : load(registry, candidate, path, &library, error);
    if (status == FM_OK && library->references == 0) {
        snprintf(library->origin, sizeof library->origin, "%s", candidate->origin);
        status = library_start(library, error);
        if (status != FM_OK) {
            library_stop(library);
        }
    }
    if (status == FM_OK) {
        library->references++;
        *out = library;
    }
    return status;
}

struct attempt {
    struct registry *registry;
    struct ort_library *library;
    fm_error failure; /* of the last candidate that was there and did not load */
    bool named;
};

static bool try_candidate(const struct ort_candidate *candidate, void *user) {
    struct attempt *attempt = user;
    char path[FM_ORT_PATH];
    fm_error failure = {0};
    const bool is_path = strchr(candidate->path, '/') != NULL || candidate->named;
    if (!is_path || !fm_path_real(candidate->path, path, sizeof path)) {
        snprintf(path, sizeof path, "%s", candidate->path);
    }
    attempt->named = candidate->named;
    if (load_and_start(attempt->registry, candidate, path, &attempt->library, &failure) == FM_OK) {
        return false;
    }
    /* A bare name that the system does not have is no news; a file that lies there and does not load is. */
    if (is_path) {
        attempt->failure.status = FM_OK;
        fm_fail(&attempt->failure, failure.status == FM_OUT_OF_MEMORY ? FM_OUT_OF_MEMORY : FM_NO_PROVIDER, "%s: %s",
                candidate->origin, failure.message);
    }
    return !candidate->named;
}

fm_status fm_ort_library_open(const struct runtime_options *options, const char *suffix, struct ort_library **library,
                              fm_error *error) {
    struct attempt attempt = {.registry = registry_get()};
    fm_mutex_lock(&attempt.registry->libraries_mutex);
    fm_ort_search(options, suffix, try_candidate, &attempt);
    fm_mutex_unlock(&attempt.registry->libraries_mutex);
    *library = attempt.library;
    if (attempt.library) {
        return FM_OK;
    }
    if (attempt.failure.status != FM_OK) {
        return fm_fail(error, attempt.failure.status, "%s%s", attempt.failure.message,
                       attempt.named ? "; name another file, or none to have it searched for" : "");
    }
    return fm_fail(
        error, FM_NO_PROVIDER,
        "no ONNX Runtime library was found (asked: --ort-library, FM_ORT_LIBRARY, the data folder's ort/, the "
        "system, Python environments); run the project's set-up, or pip install onnxruntime, or name the file "
        "with --ort-library");
}

void fm_ort_library_close(struct ort_library *library) {
    struct registry *registry = registry_get();
    if (!library) {
        return;
    }
    fm_mutex_lock(&registry->libraries_mutex);
    if (--library->references == 0) {
        library_stop(library);
    }
    fm_mutex_unlock(&registry->libraries_mutex);
}

bool fm_ort_has_provider(const struct ort_library *library, const char *name) {
    char **names = NULL;
    int count = 0;
    bool found = false;
    if (fm_ort_check(&library->api, library->api.GetAvailableProviders(&names, &count), FM_INTERNAL, NULL, "") !=
        FM_OK) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        found = found || strcmp(names[i], name) == 0;
    }
    struct ort_status *status = library->api.ReleaseAvailableProviders(names, count);
    if (status) {
        library->api.ReleaseStatus(status);
    }
    return found;
}

void fm_ort_free_name(const struct ort_library *library, char *name) {
    struct ort_status *status = name ? library->api.AllocatorFree(library->allocator, name) : NULL;
    if (status) {
        library->api.ReleaseStatus(status);
    }
}
