/* Can a provider be used here, and if not, why and what to do. */
#ifndef FM_PROVIDERS_ORT_PROBE_H
#define FM_PROVIDERS_ORT_PROBE_H

#include "providers/ort/options.h"

/* The provider contract's probe: finds and loads libraries, opens no model. */
void fm_ort_probe(const struct ort_backend *backend, const struct runtime_options *options,
                  struct provider_probe *probe);

/* Open the library and check that `backend` is compiled into it: FM_NO_PROVIDER with reason and remedy in *why. */
FM_MUST_USE fm_status fm_ort_probe_library(const struct ort_backend *backend, const struct runtime_options *options,
                                           struct ort_library **library, struct provider_probe *why);

/* Turn the runtime's words into a reason and, where one is known, a remedy: a missing library by name, a driver too
 * old. */
void fm_ort_explain(const char *words, struct provider_probe *why);

/* `failure` told as "reason; remedy" into `error`; returns its status. */
fm_status fm_ort_fail(fm_error *error, const fm_error *failure);

#endif
