/* Accelerators as Linux shows them: NVIDIA's /proc tree (it works without nvidia-smi), and /sys/class/drm for the
   others. Nothing here loads a driver's library. */
#include "base/os_program.h"

#include <stdio.h>
#include <string.h>

struct visit {
    void (*visit)(const struct os_accelerator *accelerator, void *user);
    void *user;
};

/* The file's text into `out`, cut to its size; false when it cannot be read. */
static bool read_text(const char *path, char *out, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t length = fread(out, 1, size - 1, file);
    fclose(file);
    out[length] = 0;
    return length > 0;
}

/* "550.54.15" out of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  ..."; "" when it is not there. */
static void nvidia_version(char *out, size_t size) {
    char text[512];
    out[0] = 0;
    if (!read_text("/proc/driver/nvidia/version", text, sizeof text))
        return;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        if (word[0] >= '0' && word[0] <= '9' && strchr(word, '.')) {
            snprintf(out, size, "%s", word);
            return;
        }
    }
}

static bool visit_nvidia(const char *name, enum os_path_kind kind, void *user) {
    const struct visit *visit = user;
    struct os_accelerator found = {.name = "NVIDIA GPU"};
    char path[512], text[1024], version[64];
    (void)kind;
    snprintf(path, sizeof path, "/proc/driver/nvidia/gpus/%.255s/information", name);
    if (read_text(path, text, sizeof text)) {
        const char *model = strstr(text, "Model:");
        if (model) {
            model += strlen("Model:");
            model += strspn(model, " \t");
            snprintf(found.name, sizeof found.name, "%.*s", (int)strcspn(model, "\n"), model);
        }
    }
    nvidia_version(version, sizeof version);
    snprintf(found.driver, sizeof found.driver, "nvidia %s", version);
    visit->visit(&found, visit->user);
    return true;
}

static const char *vendor_name(const char *number) {
    if (strncmp(number, "0x1002", 6) == 0)
        return "AMD";
    if (strncmp(number, "0x8086", 6) == 0)
        return "Intel";
    return strncmp(number, "0x10de", 6) == 0 ? "NVIDIA" : "vendor";
}

static bool visit_card(const char *name, enum os_path_kind kind, void *user) {
    const struct visit *visit = user;
    struct os_accelerator found = {0};
    char path[512], vendor[32], device[32], driver[4096];
    (void)kind;
    if (strncmp(name, "card", 4) != 0 || strchr(name, '-'))
        return true; /* connectors (card0-HDMI-A-1) and render nodes */
    snprintf(path, sizeof path, "/sys/class/drm/%.255s/device/vendor", name);
    if (!read_text(path, vendor, sizeof vendor))
        return true;
    snprintf(path, sizeof path, "/sys/class/drm/%.255s/device/device", name);
    if (!read_text(path, device, sizeof device))
        device[0] = 0;
    vendor[strcspn(vendor, "\n")] = 0;
    device[strcspn(device, "\n")] = 0;
    snprintf(path, sizeof path, "/sys/class/drm/%.255s/device/driver", name);
    if (fm_path_real(path, driver, sizeof driver) && strrchr(driver, '/'))
        snprintf(found.driver, sizeof found.driver, "%.100s", strrchr(driver, '/') + 1);
    if (strcmp(found.driver, "nvidia") == 0)
        return true; /* NVIDIA's own tree has said more about it */
    snprintf(found.name, sizeof found.name, "%s %s:%s", vendor_name(vendor), vendor, device);
    visit->visit(&found, visit->user);
    return true;
}

void fm_accelerators_visit(void (*visit)(const struct os_accelerator *accelerator, void *user), void *user) {
    struct visit state = {visit, user};
    fm_error ignored = {0}; /* a folder that is not there is a machine without such a driver */
    if (fm_folder_visit("/proc/driver/nvidia/gpus", visit_nvidia, &state, &ignored))
        ignored = (fm_error){0};
    if (fm_folder_visit("/sys/class/drm", visit_card, &state, &ignored))
        ignored = (fm_error){0};
}
