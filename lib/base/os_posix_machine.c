/* The machine and the process: shared libraries, the terminal, memory figures, cores. Any thread. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/os.h"
#include "base/os_posix.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAX_CORES 65536
#define MAX_PROC_BYTES ((uint64_t)1 << 20)

fm_status fm_library_open(const char *path, void **library, fm_error *error) {
    *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*library != NULL) {
        return FM_OK;
    }
    const char *why = dlerror();
    return fm_fail(error, FM_NOT_FOUND, "cannot load the library '%s': %s", path,
                   why != NULL ? why : "no reason given");
}

void *fm_library_symbol(void *library, const char *name) {
    return dlsym(library, name);
}

void fm_library_close(void *library) {
    if (library != NULL) {
        dlclose(library);
    }
}

enum os_library fm_library_load(const char *const paths[], const char *const names[], void *functions) {
    void *library = NULL;
    bool all = true;
    for (size_t i = 0; paths[i] != NULL && library == NULL; i++) {
        fm_error ignored = {FM_OK, ""};
        (void)!fm_library_open(paths[i], &library, &ignored);
    }
    if (library == NULL) {
        return OS_LIBRARY_NONE;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        void *symbol = fm_library_symbol(library, names[i]);
        memcpy((char *)functions + i * sizeof symbol, &symbol, sizeof symbol);
        all = all && symbol != NULL;
    }
    return all ? OS_LIBRARY_WHOLE : OS_LIBRARY_OLD;
}

bool fm_is_terminal(int descriptor) {
    return isatty(descriptor) == 1;
}

int fm_terminal_width(int descriptor) {
    struct winsize window = {0};
    return ioctl(descriptor, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

/* Cores that the scheduler may give this process; 0 when it does not say. */
static int affinity_cores(void) {
    int cores = 0;
    for (size_t count = 1024; count <= MAX_CORES && cores == 0; count *= 2) { /* EINVAL: more cores than bits */
        cpu_set_t *set = fm_alloc(CPU_ALLOC_SIZE(count));
        if (set == NULL) {
            return 0;
        }
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(count), set) == 0) {
            cores = CPU_COUNT_S(CPU_ALLOC_SIZE(count), set);
        }
        fm_free(set);
    }
    return cores;
}

int fm_core_count(void) {
    int cores = affinity_cores();
    if (cores < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online > 0 && online <= MAX_CORES ? (int)online : 1;
    }
    int quota = fm_cgroup_cores("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota > 0 && quota < cores ? quota : cores;
}

/* Bytes of a line "Name:   123 kB"; 0 when it is not there. */
static uint64_t figure(const char *path, const char *name) {
    struct buffer text = {0};
    uint64_t bytes = 0;
    if (fm_file_read(path, MAX_PROC_BYTES, &text, NULL) == FM_OK) { /* NUL-ended by the padding */
        for (const char *line = (const char *)text.bytes; line != NULL; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (strncmp(line, name, strlen(name)) == 0) {
                bytes = strtoull(line + strlen(name), NULL, 10) * 1024;
                break;
            }
        }
    }
    fm_buffer_reset(&text);
    return bytes;
}

struct os_memory fm_memory_figures(void) {
    return (struct os_memory){
        .total = figure("/proc/meminfo", "MemTotal:"),
        .available = figure("/proc/meminfo", "MemAvailable:"),
        .process = figure("/proc/self/status", "VmRSS:"),
        .process_peak = figure("/proc/self/status", "VmHWM:"),
    };
}

struct os_cpu_bits fm_cpu_bits(void) {
    return (struct os_cpu_bits){.first = getauxval(AT_HWCAP), .second = getauxval(AT_HWCAP2)};
}

void fm_machine_name(char *out, size_t size) {
    struct utsname names;
    snprintf(out, size, "%s", uname(&names) == 0 ? names.machine : "unknown");
}
