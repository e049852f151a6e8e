/* Accelerators as Linux shows them: NVIDIA's /proc tree (it works without nvidia-smi), and /sys/class/drm for the
   others. Nothing here loads a driver's library. */
#include "base/os_posix.h"
#include "base/os_program.h"

#include <stdio.h>
#include <string.h>

struct visit {
    void (*visit)(const struct os_accelerator *accelerator, void *user);
    void *user;
    const char *root; /* "" or the folder that stands for / in tests */
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
static void nvidia_version(const char *root, char *out, size_t size) {
    char text[512], path[512];
    out[0] = 0;
    snprintf(path, sizeof path, "%.200s/proc/driver/nvidia/version", root);
    if (!read_text(path, text, sizeof text))
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
    snprintf(path, sizeof path, "%.200s/proc/driver/nvidia/gpus/%.255s/information", visit->root, name);
    if (read_text(path, text, sizeof text)) {
        const char *model = strstr(text, "Model:");
        if (model) {
            model += strlen("Model:");
            model += strspn(model, " \t");
            snprintf(found.name, sizeof found.name, "%.*s", (int)strcspn(model, "\n"), model);
        }
    }
    nvidia_version(visit->root, version, sizeof version);
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
    snprintf(path, sizeof path, "%.200s/sys/class/drm/%.255s/device/vendor", visit->root, name);
    if (!read_text(path, vendor, sizeof vendor))
        return true;
    snprintf(path, sizeof path, "%.200s/sys/class/drm/%.255s/device/device", visit->root, name);
    if (!read_text(path, device, sizeof device))
        device[0] = 0;
    vendor[strcspn(vendor, "\n")] = 0;
    device[strcspn(device, "\n")] = 0;
    snprintf(path, sizeof path, "%.200s/sys/class/drm/%.255s/device/driver", visit->root, name);
    if (fm_path_real(path, driver, sizeof driver) && strrchr(driver, '/'))
        snprintf(found.driver, sizeof found.driver, "%.100s", strrchr(driver, '/') + 1);
    if (strcmp(found.driver, "nvidia") == 0)
        return true; /* NVIDIA's own tree has said more about it */
    snprintf(found.name, sizeof found.name, "%s %s:%s", vendor_name(vendor), vendor, device);
    visit->visit(&found, visit->user);
    return true;
}

static void visit_folder(const char *folder, bool (*entry)(const char *name, enum os_path_kind kind, void *user),
                         struct visit *visit) {
    char path[512];
    snprintf(path, sizeof path, "%.200s%.200s", visit->root, folder);
    const fm_status status = fm_folder_visit(path, entry, visit, NULL);
    (void)status; /* a folder that is not there is a machine without such a driver */
}

void fm_accelerators_visit_below(const char *root, void (*visit)(const struct os_accelerator *accelerator, void *user),
                                 void *user) {
    struct visit state = {visit, user, root};
    visit_folder("/proc/driver/nvidia/gpus", visit_nvidia, &state);
    visit_folder("/sys/class/drm", visit_card, &state);
}

void fm_accelerators_visit(void (*visit)(const struct os_accelerator *accelerator, void *user), void *user) {
    fm_accelerators_visit_below("", visit, user);
}
