/* Audit of a strict session. A throw-away session with the same options runs one typical input while ONNX Runtime
   profiles it; its profile says for every node which provider ran it. The real session is never profiled.
   The profile is scanned by a small JSON reader of our own: it skips what it does not know and bounds its depth. */
#include "providers/ort/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "providers/ort/session.h"

#define MAX_DEPTH 16
#define MAX_NAMED 5
#define MAX_PROFILE_BYTES ((uint64_t)256 << 20)
#define EVENT_SUFFIX "_kernel_time"

/* ---------------------------------------------------------------- JSON */

struct scan {
    const char *at, *end;
    bool failed;
};

static char peek(struct scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t')) {
        scan->at++;
    }
    return scan->at < scan->end ? *scan->at : '\0';
}

static bool expect(struct scan *scan, char wanted) {
    if (scan->failed || peek(scan) != wanted) {
        scan->failed = true;
        return false;
    }
    scan->at++;
    return true;
}

/* A string, cut to `size`; \" and \\ are undone, other escapes keep their letter: names are for the eye. */
static void read_string(struct scan *scan, char *out, size_t size) {
    size_t length = 0;
    if (!expect(scan, '"')) {
        return;
    }
    while (scan->at < scan->end && *scan->at != '"') {
        scan->at += *scan->at == '\\' && scan->at + 1 < scan->end;
        if (length + 1 < size) {
            out[length++] = *scan->at;
        }
        scan->at++;
    }
    if (size) {
        out[length] = '\0';
    }
    (void)expect(scan, '"');
}

/* Inside an array or object: true when another element follows. */
static bool next_element(struct scan *scan, char close, bool *first) {
    if (scan->failed) {
        return false;
    }
    if (peek(scan) == close) {
        scan->at++;
        return false;
    }
    if (!*first && !expect(scan, ',')) {
        return false;
    }
    *first = false;
    return true;
}

static bool next_member(struct scan *scan, bool *first, char *key, size_t size) {
    key[0] = '\0';
    if (!next_element(scan, '}', first)) {
        return false;
    }
    read_string(scan, key, size);
    return expect(scan, ':');
}

static void skip_value(struct scan *scan, int depth) {
    const char opening = peek(scan);
    bool first = true;
    if (opening == '"') {
        read_string(scan, NULL, 0);
    } else if ((opening == '{' || opening == '[') && depth < MAX_DEPTH) {
        const char close = opening == '{' ? '}' : ']';
        scan->at++;
        while (next_element(scan, close, &first)) {
            if (opening == '{') {
                read_string(scan, NULL, 0);
                (void)expect(scan, ':');
            }
            skip_value(scan, depth + 1);
        }
    } else { /* a number or word */
        const char *start = scan->at;
        while (scan->at < scan->end && !strchr(",]}[{\" \n\r\t", *scan->at)) {
            scan->at++;
        }
        scan->failed = scan->failed || scan->at == start;
    }
}

/* ---------------------------------------------------------------- events */

struct event {
    char category[16], name[256], operator_name[128], provider[64];
    bool integer_outputs; /* all outputs are int64, int32 or bool, and there is one */
};

/* [{"int64":[4]}, ...] */
static void read_output_types(struct scan *scan, struct event *event) {
    char type[32];
    bool first = true, any = false, all = true;
    if (!expect(scan, '[')) {
        return;
    }
    while (next_element(scan, ']', &first)) {
        bool first_member = true;
        if (!expect(scan, '{')) {
            return;
        }
        while (next_member(scan, &first_member, type, sizeof type)) {
            skip_value(scan, 0);
            any = true;
            all = all && (strcmp(type, "int64") == 0 || strcmp(type, "int32") == 0 || strcmp(type, "bool") == 0);
        }
    }
    event->integer_outputs = any && all;
}

static void read_arguments(struct scan *scan, struct event *event) {
    char key[64];
    bool first = true;
    if (!expect(scan, '{')) {
        return;
    }
    while (next_member(scan, &first, key, sizeof key)) {
        if (strcmp(key, "op_name") == 0) {
            read_string(scan, event->operator_name, sizeof event->operator_name);
        } else if (strcmp(key, "provider") == 0) {
            read_string(scan, event->provider, sizeof event->provider);
        } else if (strcmp(key, "output_type_shape") == 0 && peek(scan) == '[') {
            read_output_types(scan, event);
        } else {
            skip_value(scan, 0);
        }
    }
}

static void read_event(struct scan *scan, struct event *event) {
    char key[64];
    bool first = true;
    memset(event, 0, sizeof *event);
    if (!expect(scan, '{')) {
        return;
    }
    while (next_member(scan, &first, key, sizeof key)) {
        if (strcmp(key, "cat") == 0) {
            read_string(scan, event->category, sizeof event->category);
        } else if (strcmp(key, "name") == 0) {
            read_string(scan, event->name, sizeof event->name);
        } else if (strcmp(key, "args") == 0 && peek(scan) == '{') {
            read_arguments(scan, event);
        } else {
            skip_value(scan, 0);
        }
    }
}

/* Shapes are worked out on the host by every provider's own design, and copies between memories are not computation. */
static bool is_bookkeeping(const struct event *event) {
    static const char *const operators[] = {"Shape",
                                            "Size",
                                            "Gather",
                                            "Concat",
                                            "Slice",
                                            "Unsqueeze",
                                            "Squeeze",
                                            "Cast",
                                            "Reshape",
                                            "Add",
                                            "Sub",
                                            "Mul",
                                            "Div",
                                            "Mod",
                                            "Min",
                                            "Max",
                                            "Range",
                                            "Expand",
                                            "Where",
                                            "Equal",
                                            "Split",
                                            "Transpose",
                                            "Floor",
                                            "Ceil",
                                            "Greater",
                                            "Less",
                                            "Not",
                                            "And",
                                            "Or",
                                            "ReduceProd",
                                            "ReduceMin",
                                            "ReduceMax",
                                            "ConstantOfShape",
                                            "Identity",
                                            "GatherElements",
                                            "ScatterND",
                                            "ScatterElements",
                                            "GatherND",
                                            "Flatten"};
    if (strncmp(event->operator_name, "Memcpy", 6) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0] && event->integer_outputs; i++) {
        if (strcmp(event->operator_name, operators[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void count_event(const struct event *event, const char *provider, struct audit_report *report) {
    const size_t length = strlen(event->name), tail = sizeof EVENT_SUFFIX - 1;
    /* Older runtimes have further events per node ("_fence_before"). */
    if (strcmp(event->category, "Node") != 0 || length < tail ||
        strcmp(event->name + length - tail, EVENT_SUFFIX) != 0) {
        return;
    }
    if (strcmp(event->provider, provider) == 0) {
        report->own++;
    } else if (!is_bookkeeping(event)) {
        const size_t used = strlen(report->names);
        if (report->foreign < MAX_NAMED) {
            snprintf(report->names + used, sizeof report->names - used, "%s%s '%.*s' (%s)", used ? ", " : "",
                     event->operator_name, (int)(length - tail), event->name, event->provider);
        }
        report->foreign++;
    }
}

bool fm_ort_profile_read(const char *json, size_t size, const char *provider, struct audit_report *report) {
    struct scan scan = {json, json + size, false};
    struct event event;
    bool first = true;
    memset(report, 0, sizeof *report);
    if (!expect(&scan, '[')) {
        return false;
    }
    while (next_element(&scan, ']', &first)) {
        read_event(&scan, &event);
        if (!scan.failed) {
            count_event(&event, provider, report);
        }
    }
    return !scan.failed;
}

/* ---------------------------------------------------------------- the profiled run */

static fm_status judge(const struct audit_report *report, const struct ort_backend *backend,
                       const struct session_request *request, fm_error *error) {
    if (report->foreign) {
        return fm_fail(
            error, FM_NO_PROVIDER,
            "%s does not run all of '%s': %zu of %zu nodes ran elsewhere: %s%s; use an ordered policy (--policy "
            "ordered) to allow that, or another provider",
            backend->name, request->name, report->foreign, report->foreign + report->own, report->names,
            report->foreign > MAX_NAMED ? ", ..." : "");
    }
    if (!report->own) {
        return fm_fail(
            error, FM_NO_PROVIDER,
            "%s ran no node of '%s' as far as ONNX Runtime's profile says; use an ordered policy to do without "
            "the audit",
            backend->name, request->name);
    }
    return FM_OK;
}

static fm_status read_profile(const char *path, const struct ort_backend *backend,
                              const struct session_request *request, fm_error *error) {
    struct buffer profile = {0};
    struct audit_report report;
    fm_status status = fm_file_read(path, MAX_PROFILE_BYTES, &profile, error);
    if (status == FM_OK &&
        !fm_ort_profile_read((const char *)profile.bytes, profile.size, backend->runtime_name, &report)) {
        status = fm_fail(error, FM_NO_PROVIDER, "the audit of '%s' on %s failed: ONNX Runtime's profile cannot be read",
                         request->name, backend->name);
    }
    if (status == FM_OK) {
        status = judge(&report, backend, request, error);
    }
    fm_buffer_reset(&profile);
    return status;
}

fm_status fm_ort_audit(const struct ort_backend *backend, struct ort_library *library,
                       const struct runtime_options *options, const struct session_request *request, fm_error *error) {
    const struct ort_api *api = &library->api;
    char folder[FM_ORT_PATH] = "", prefix[FM_ORT_PATH];
    struct ort_session_options *session_options = NULL;
    struct ort_session *session = NULL;
    static const char *const end = "cannot end the audit's profile";
    char *path = NULL;
    fm_status status = fm_ort_options_make(backend, library, options, request, &session_options, error);
    if (status != FM_OK) {
        goto cleanup;
    }
    if (!fm_temporary_folder(folder, sizeof folder) || !fm_path_join(prefix, sizeof prefix, folder, "audit")) {
        status =
            fm_fail(error, FM_IO, "cannot make a temporary folder for the audit of '%s'; check TMPDIR", request->name);
        goto cleanup;
    }
    status = fm_ort_check(api, api->EnableProfiling(session_options, prefix), FM_NO_PROVIDER, error,
                          "cannot profile for the audit");
    if (status == FM_OK) {
        status = fm_ort_session_create(backend, library, session_options, request, &session, error);
    }
    if (status == FM_OK) {
        status = fm_ort_session_try(backend, library, session, request, error);
    }
    if (status == FM_OK) {
        status =
            fm_ort_check(api, api->SessionEndProfiling(session, library->allocator, &path), FM_NO_PROVIDER, error, end);
        status = fm_ort_made(status, path, error, end);
    }
    if (status == FM_OK) {
        status = read_profile(path, backend, request, error);
    }
cleanup:
    if (path) {
        fm_ort_free_name(library, path);
    }
    if (session) {
        api->ReleaseSession(session);
    }
    if (session_options) {
        api->ReleaseSessionOptions(session_options);
    }
    if (folder[0]) {
        fm_folder_remove(folder);
    }
    return status;
}
