/* Probe and diagnosis: what the runtime or the loader said, turned into a reason and a remedy a user can act on. Pure
   but for loading libraries; any thread. */
#include "providers/ort/probe.h"

#include <stdio.h>
#include <string.h>

/* Missing libraries by the beginning of their name; the version of the name says which release is wanted. */
static const struct {
    const char *prefix, *remedy;
} library_remedies[] = {
    {"libcuda.so", "install the NVIDIA driver (in a container: start it with the GPU's driver passed through)"},
    {"libcudnn", "install cuDNN of that version (pip install nvidia-cudnn-cu12 or -cu13) and put its folder on "
                 "LD_LIBRARY_PATH"},
    {"libcu", "install the CUDA toolkit of that version and put its lib folder on LD_LIBRARY_PATH"},
    {"libnvrtc", "install the CUDA toolkit of that version and put its lib folder on LD_LIBRARY_PATH"},
    {"libnvinfer", "install TensorRT of that version (pip install tensorrt) and put its folder on LD_LIBRARY_PATH"},
    {"libnvonnxparser",
     "install TensorRT of that version (pip install tensorrt) and put its folder on LD_LIBRARY_PATH"},
    {"libopenvino", "the onnxruntime-openvino wheel is not complete: run scripts/setup_openvino.sh"},
    {"libtbb", "the onnxruntime-openvino wheel is not complete: run scripts/setup_openvino.sh"},
    {"libamdhip", "install ROCm"},
    {"libmigraphx", "install ROCm's migraphx package"},
    {"libroc", "install ROCm"},
    {"libhip", "install ROCm"},
    {"libMIOpen", "install ROCm's miopen package"},
};

/* What drivers and runtimes say, and what to do. */
static const struct {
    const char *sign, *remedy;
} word_remedies[] = {
    {"driver version is insufficient", "update the NVIDIA driver, or use an onnxruntime-gpu built for an older CUDA"},
    {"no CUDA-capable device",
     "no GPU is visible: check nvidia-smi, CUDA_VISIBLE_DEVICES and the container's GPU access"},
    {"no kernel image is available", "this GPU needs another onnxruntime-gpu release"},
    {"invalid device ordinal", "there is no such device: choose another --device"},
    {"Unknown provider name", "use a newer ONNX Runtime"},
    {"Invalid provider_option", "check --provider-option"},
    {"Unknown provider option", "check --provider-option"},
    {"out of memory", "free memory on the device, or lower --gpu-mem-limit or --batch"},
};

/* The name in "libcudart.so.12: cannot open shared object file"; false when the words hold none. */
static bool missing_library(const char *words, char *name, size_t size) {
    const char *sign = strstr(words, ": cannot open shared object file");
    const char *start = sign;
    while (start && start > words && !strchr(" '\"\n(", start[-1])) {
        start--;
    }
    if (!sign || start == sign || (size_t)(sign - start) >= size) {
        return false;
    }
    snprintf(name, size, "%.*s", (int)(sign - start), start);
    return true;
}

/* One line of text: the runtime breaks lines, and ends with some. */
static void one_line(char *text) {
    size_t length = 0;
    for (const char *from = text; *from; from++) {
        const char c = *from == '\n' || *from == '\r' || *from == '\t' ? ' ' : *from;
        if (c != ' ' || (length && text[length - 1] != ' ')) {
            text[length++] = c;
        }
    }
    text[length - (length && text[length - 1] == ' ')] = '\0';
}

void fm_ort_explain(const char *words, struct provider_probe *why) {
    char name[256];
    snprintf(why->reason, sizeof why->reason, "%s", words);
    one_line(why->reason);
    why->remedy[0] = '\0';
    if (missing_library(words, name, sizeof name)) {
        const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
        snprintf(why->reason, sizeof why->reason, "the library %s is missing", name);
        snprintf(why->remedy, sizeof why->remedy,
                 "install the package that has %s, or put its folder on LD_LIBRARY_PATH", base);
        for (size_t i = 0; i < sizeof library_remedies / sizeof library_remedies[0]; i++) {
            if (strncmp(base, library_remedies[i].prefix, strlen(library_remedies[i].prefix)) == 0) {
                snprintf(why->remedy, sizeof why->remedy, "%s", library_remedies[i].remedy);
                break;
            }
        }
        return;
    }
    for (size_t i = 0; i < sizeof word_remedies / sizeof word_remedies[0]; i++) {
        if (strstr(words, word_remedies[i].sign)) {
            snprintf(why->remedy, sizeof why->remedy, "%s", word_remedies[i].remedy);
            break;
        }
    }
}

fm_status fm_ort_fail(fm_error *error, const fm_error *failure) {
    struct provider_probe why;
    fm_ort_explain(failure->message, &why);
    return fm_fail(error, failure->status, "%s%s%s", why.reason, why.remedy[0] ? "; " : "", why.remedy);
}

fm_status fm_ort_probe_library(const struct ort_backend *backend, const struct runtime_options *options,
                               struct ort_library **library, struct provider_probe *why) {
    fm_error failure = {0};
    const fm_status status = fm_ort_library_open(options, backend->suffix, library, &failure);
    if (status != FM_OK) {
        /* The library's own words hold reason and remedy already, split at the last semicolon. */
        const char *split = strrchr(failure.message, ';');
        const size_t length = split ? (size_t)(split - failure.message) : strlen(failure.message);
        snprintf(why->reason, sizeof why->reason, "%.*s", (int)length, failure.message);
        snprintf(why->remedy, sizeof why->remedy, "%s", split ? split + 2 : "");
        return status;
    }
    if (!fm_ort_has_provider(*library, backend->runtime_name)) {
        snprintf(why->reason, sizeof why->reason, "ONNX Runtime %s (%.300s, found by: %s) was built without %s",
                 (*library)->version, (*library)->path, (*library)->origin, backend->runtime_name);
        snprintf(why->remedy, sizeof why->remedy, "%s", backend->remedy);
        fm_ort_library_close(*library);
        *library = NULL;
        return FM_NO_PROVIDER;
    }
    return FM_OK;
}

void fm_ort_probe(const struct ort_backend *backend, const struct runtime_options *options,
                  struct provider_probe *probe) {
    struct ort_library *library = NULL;
    struct ort_session_options *session_options = NULL;
    fm_error failure = {0};
    memset(probe, 0, sizeof *probe);
    if (fm_ort_probe_library(backend, options, &library, probe) != FM_OK) {
        return;
    }
    if (fm_ort_options_make(backend, library, options, NULL, &session_options, &failure) == FM_OK) {
        probe->available = true;
        snprintf(probe->detail, sizeof probe->detail, "ONNX Runtime %s (%.300s, found by: %s)", library->version,
                 library->path, library->origin);
        library->api.ReleaseSessionOptions(session_options);
    } else {
        struct provider_probe why;
        fm_ort_explain(failure.message, &why);
        snprintf(probe->reason, sizeof probe->reason, "%.300s (ONNX Runtime %s, %.120s, found by: %s)", why.reason,
                 library->version, library->path, library->origin);
        snprintf(probe->remedy, sizeof probe->remedy, "%s", why.remedy);
    }
    fm_ort_library_close(library);
}
