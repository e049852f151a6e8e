/* Sessions of ONNX Runtime behind the provider contract (providers/provider.h). */
#ifndef FM_PROVIDERS_ORT_SESSION_H
#define FM_PROVIDERS_ORT_SESSION_H

#include "providers/ort/options.h"

/* The provider contract's operations; open with the row's backend. */
FM_MUST_USE fm_status fm_ort_session_open(const struct ort_backend *backend, const struct runtime_options *options,
                                          const struct session_request *request, struct session **session,
                                          fm_error *error);
void fm_ort_session_close(struct session *session);
const char *fm_ort_session_detail(const struct session *session);
const char *fm_ort_session_elsewhere(const struct session *session);
size_t fm_ort_session_output_count(const struct session *session);
FM_MUST_USE fm_status fm_ort_run_open(struct session *session, struct run **run, fm_error *error);
void fm_ort_run_close(struct run *run);
FM_MUST_USE fm_status fm_ort_run_submit(struct run *run, const struct tensor *input, fm_error *error);
FM_MUST_USE fm_status fm_ort_run_wait(struct run *run, struct tensor *outputs, fm_error *error);

/* For the audit: the runtime's session of a model, and one run of the request's typical input (zeros). */
FM_MUST_USE fm_status fm_ort_session_create(const struct ort_backend *backend, const struct ort_library *library,
                                            const struct ort_session_options *session_options,
                                            const struct session_request *request, struct ort_session **session,
                                            fm_error *error);
FM_MUST_USE fm_status fm_ort_session_try(const struct ort_backend *backend, const struct ort_library *library,
                                         struct ort_session *session, const struct session_request *request,
                                         fm_error *error);

#endif
