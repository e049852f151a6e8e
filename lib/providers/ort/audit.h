/* Audit: which provider really ran each node, by ONNX Runtime's own profile of one run. */
#ifndef FM_PROVIDERS_ORT_AUDIT_H
#define FM_PROVIDERS_ORT_AUDIT_H

#include "providers/ort/options.h"

struct audit_report {
    size_t own;      /* nodes that the provider ran */
    size_t foreign;  /* nodes of computation that another ran; copies and shape arithmetic do not count */
    char names[768]; /* the first five of those: "Det 'det_odd' (CPUExecutionProvider), ..." */
};

/* Read a profile (JSON, an array of trace events). False when it is not one; nothing in it is trusted. Pure. */
FM_MUST_USE bool fm_ort_profile_read(const char *json, size_t size, const char *provider, struct audit_report *report);

/* Open the model once more, profiled, run a typical input and read the profile. FM_NO_PROVIDER names the nodes. */
FM_MUST_USE fm_status fm_ort_audit(const struct ort_backend *backend, struct ort_library *library,
                                   const struct runtime_options *options, const struct session_request *request,
                                   fm_error *error);

#endif
