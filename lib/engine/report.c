/* Report: what could run here, for `providers` and `doctor`. Opens no engine. */
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

const char *fm_version(void) {
#define TEXT_OF(x) #x
#define VERSION_OF(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)
    return VERSION_OF(FM_VERSION_MAJOR, FM_VERSION_MINOR, FM_VERSION_PATCH);
}

/* ---- providers */

void fm_providers_visit(const fm_engine_options *given, fm_provider_visitor visitor, void *user) {
    struct settings settings = {0};
    char data_folder[1024] = "";
    fm_error error = {0};
    if (fm_settings_resolve(&settings, given, &error) != FM_OK)
        fm_settings_reset(&settings);
    if (!fm_data_folder(data_folder, sizeof data_folder))
        data_folder[0] = 0;
    const struct runtime_options runtime = {.ort_library = settings.ort_library,
                                            .data_folder = data_folder,
                                            .device = settings.device > 0 ? settings.device - 1 : 0,
                                            .threads = settings.threads,
                                            .options = settings.provider_options,
                                            .option_count = settings.provider_option_count};
    for (size_t i = 0; fm_provider_row(i); i++) {
        struct provider_probe probe = {0};
        fm_provider_row(i)->probe(&runtime, &probe);
        const fm_provider_info info = {fm_provider_row(i)->name, probe.available, probe.detail, probe.reason,
                                       probe.remedy};
        visitor(&info, user);
    }
    fm_settings_reset(&settings);
}
