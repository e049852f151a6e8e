/* doctor: the processor, memory, accelerators and shared libraries of this machine. */
#include "doctor.h"

#include "base/cpu.h"
#include "base/os_program.h"

#include <string.h>

#define GIB (1024.0 * 1024.0 * 1024.0)

/* The instruction set that an engine with these options would use. */
static void add_kernels(struct doctor *doctor) {
    struct engine_settings settings;
    fm_error error = {0};
    enum cpu_level level = CPU_SCALAR;
    fm_status status = fm_program_settings(&settings, &doctor->program->config, &error);
    const char *mask = settings.options.cpu_mask;
    if (status || !fm_cpu_level_masked(mask, &level))
        fm_doctor_add(doctor, VERDICT_BAD, "kernels", "kernels", NULL, "cannot be limited to '%s'", mask ? mask : "");
    else
        fm_doctor_add(doctor, VERDICT_INFO, "kernels", "kernels", NULL, "%s, this processor's best is %s",
                      fm_cpu_level_name(level), fm_cpu_level_name(fm_cpu_level()));
    fm_program_settings_reset(&settings);
}

void fm_doctor_machine(struct doctor *doctor) {
    char name[256], features[512];
    struct os_memory memory = fm_memory_figures();
    fm_cpu_name(name, sizeof name);
    fm_cpu_features(features, sizeof features);
    fm_doctor_section(doctor, "machine");
    fm_doctor_add(doctor, VERDICT_INFO, "version", "facemill", NULL, "%s", fm_version());
    fm_doctor_add(doctor, VERDICT_INFO, "processor", "processor", NULL, "%s", name);
    fm_doctor_add(doctor, VERDICT_INFO, "features", "features", NULL, "%s", features);
    add_kernels(doctor);
    fm_doctor_add(doctor, VERDICT_INFO, "cores", "cores", NULL, "%d for this process", fm_core_count());
    fm_doctor_add(doctor, VERDICT_INFO, "memory", "memory", NULL, "%.1f GiB, %.1f GiB available",
                  (double)memory.total / GIB, (double)memory.available / GIB);
}

struct accelerators {
    struct doctor *doctor;
    int found;
};

static void add_accelerator(const struct os_accelerator *accelerator, void *user) {
    struct accelerators *accelerators = user;
    accelerators->found++;
    bool driven = accelerator->driver[0] != 0;
    fm_doctor_add(accelerators->doctor, driven ? VERDICT_GOOD : VERDICT_MISSING, "accelerator", "accelerator",
                  driven ? NULL : "install its kernel driver", "%s, driver %s", accelerator->name,
                  driven ? accelerator->driver : "not loaded");
}

void fm_doctor_accelerators(struct doctor *doctor) {
    struct accelerators accelerators = {.doctor = doctor};
    fm_doctor_section(doctor, "accelerators");
    fm_accelerators_visit(add_accelerator, &accelerators);
    if (accelerators.found == 0)
        fm_doctor_add(doctor, VERDICT_INFO, "accelerator", "accelerator", NULL,
                      "none that the operating system knows of");
}

static void add_library(const char *path, void *user) {
    static const char *const interesting[] = {"jpeg", "spng", "webp", "heif", "onnxruntime", "openvino"};
    const char *name = fm_base_name(path);
    for (size_t i = 0; i < sizeof interesting / sizeof interesting[0]; i++) {
        if (strstr(name, interesting[i])) {
            fm_doctor_add(user, VERDICT_GOOD, "linked_library", name, NULL, "%s", path);
            return;
        }
    }
}

/* What GPU providers of ONNX Runtime load; the version in a name is the one its present wheels are built for. */
void fm_doctor_libraries(struct doctor *doctor) {
    static const char *const wanted[] = {"libcuda.so.1",     "libcudart.so.12",  "libcudart.so.13",
                                         "libcublas.so.12",  "libcublas.so.13",  "libcudnn.so.9",
                                         "libnvinfer.so.10", "libamdhip64.so.6", "libmigraphx_c.so.3"};
    fm_doctor_section(doctor, "libraries");
    fm_libraries_visit(add_library, doctor);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char path[OS_PATH_SIZE];
        if (fm_library_find(wanted[i], path, sizeof path))
            fm_doctor_add(doctor, VERDICT_GOOD, "gpu_library", wanted[i], NULL, "%s", path);
        else
            fm_doctor_add(doctor, VERDICT_MISSING, "gpu_library", wanted[i], NULL, "not found by the loader");
    }
}
