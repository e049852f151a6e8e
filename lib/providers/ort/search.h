/* Where an ONNX Runtime library may lie, in the order in which places are asked. */
#ifndef FM_PROVIDERS_ORT_SEARCH_H
#define FM_PROVIDERS_ORT_SEARCH_H

#include "providers/provider.h"

struct ort_candidate {
    const char *path;   /* file, or a bare name for the system's loader */
    const char *origin; /* "--ort-library", "FM_ORT_LIBRARY", "data folder", "system", "Python environment" */
    bool named;         /* by the user: it must load, nothing else is tried */
};

/* Visit candidates until `visit` returns false. `suffix`: see fm_ort_library_open. Only folders are read. Any thread.
 */
void fm_ort_search(const struct runtime_options *options, const char *suffix,
                   bool (*visit)(const struct ort_candidate *candidate, void *user), void *user);

#endif
