/* Support: which providers run one ONNX file. */
#include "engine/engine.h"

fm_status fm_model_visit_support(const char *path, const fm_engine_options *options, fm_support_visitor visitor,
                                 void *user, fm_error *error) {
    (void)options;
    (void)visitor;
    (void)user;
    fm_error_clear(error);
    return fm_fail(error, FM_UNSUPPORTED, "%s: providers are not tried yet", path);
}
