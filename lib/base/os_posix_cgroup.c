/* CPU limits of containers: Linux control groups, version 2 (cpu.max) and version 1 (cpu.cfs_quota_us). A group's
   limit holds for everything below it, so the smallest on the way up counts. Any thread. */
#include "base/os_posix.h"

#include "base/os.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GROUP_FILE ((uint64_t)64 << 10)

/* The first `count` numbers of a file; false when it is not there or does not begin with them ("max"). */
static bool read_numbers(const char *folder, const char *name, int count, long numbers[]) {
    char path[OS_PATH_SIZE];
    struct buffer text = {0};
    bool good =
        fm_path_join(path, sizeof path, folder, name) && fm_file_read(path, MAX_GROUP_FILE, &text, NULL) == FM_OK;
    char *next = (char *)text.bytes, *end = next; /* NUL-ended by the buffer's padding */
    for (int i = 0; i < count && good; i++, next = end) {
        numbers[i] = strtol(next, &end, 10);
        good = end != next;
    }
    fm_buffer_reset(&text);
    return good;
}

/* Cores that the group in `folder` itself allows; 0: no limit. */
static int group_cores(const char *folder) {
    long limit[2]; /* microseconds of work in each period of so many */
    bool found = read_numbers(folder, "cpu.max", 2, limit) || (read_numbers(folder, "cpu.cfs_quota_us", 1, &limit[0]) &&
                                                               read_numbers(folder, "cpu.cfs_period_us", 1, &limit[1]));
    if (!found || limit[0] <= 0 || limit[1] <= 0 || limit[0] / limit[1] >= INT_MAX) {
        return 0;
    }
    return (int)(limit[0] / limit[1] + (limit[0] % limit[1] > 0));
}

/* Smallest limit from the group `name` ("/a/b") up to the mount point itself. */
static int smallest_upwards(const char *mount, const char *name) {
    char folder[OS_PATH_SIZE];
    size_t top = strlen(mount);
    int smallest = 0;
    if (!fm_path_join(folder, sizeof folder, mount, name + strspn(name, "/"))) {
        return 0;
    }
    for (;;) {
        int cores = group_cores(folder);
        smallest = cores > 0 && (smallest == 0 || cores < smallest) ? cores : smallest;
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < top) {
            return smallest;
        }
        *slash = '\0';
    }
}

/* Does the comma-separated list name the CPU controller? Version 2 has an empty list. */
static bool is_cpu_list(const char *controllers) {
    const char *found = strstr(controllers, "cpu");
    while (found != NULL) {
        bool begins = found == controllers || found[-1] == ',', ends = found[3] == '\0' || found[3] == ',';
        if (begins && ends) {
            return true;
        }
        found = strstr(found + 3, "cpu");
    }
    return controllers[0] == '\0';
}

/* One line "7:cpu,cpuacct:/docker/abc" or "0::/user.slice"; modified. */
static int line_cores(char *line, const char *root) {
    char mount[OS_PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return 0;
    }
    *controllers++ = '\0';
    *group++ = '\0';
    bool usable = is_cpu_list(controllers) && fm_path_join(mount, sizeof mount, root, controllers);
    if (!usable) {
        return 0;
    }
    size_t length = strlen(mount);
    while (length > 1 && mount[length - 1] == '/') {
        mount[--length] = '\0';
    }
    return smallest_upwards(mount, group);
}

int fm_cgroup_cores(const char *membership, const char *root) {
    struct buffer text = {0};
    int smallest = 0;
    if (fm_file_read(membership, MAX_GROUP_FILE, &text, NULL) == FM_OK) {
        for (char *line = (char *)text.bytes, *end; line != NULL && *line != '\0'; line = end) {
            end = strchr(line, '\n');
            if (end != NULL) {
                *end++ = '\0';
            }
            int cores = line_cores(line, root);
            smallest = cores > 0 && (smallest == 0 || cores < smallest) ? cores : smallest;
        }
    }
    fm_buffer_reset(&text);
    return smallest;
}
