/* Policy: which provider runs a model. Providers are tried in the order that the policy gives; the first that opens the
   graph runs it, and every one passed over leaves its reason and remedy behind: nothing falls back in silence. */
#include "base/text.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

#define MAX_CHOICES 16

struct choices {
    const struct provider *rows[MAX_CHOICES];
    size_t count;
    bool strict;
};

static void list_provider_names(char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; fm_provider_row(i) && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", fm_provider_row(i)->name);
}

/* "ort:cuda, ort:cpu" into rows. */
static fm_status parse_names(const char *names, struct choices *choices, fm_error *error) {
    const char *at = names;
    while (at && *at) {
        at += strspn(at, ", ");
        const size_t length = strcspn(at, ", ");
        if (length == 0)
            break;
        const struct provider *row = fm_provider_find(at, length);
        if (!row) {
            char known[400];
            list_provider_names(known, sizeof known);
            return fm_fail(error, FM_INVALID_ARGUMENT, "there is no provider '%.*s'; expected one of: %s", (int)length,
                           at, known);
        }
        if (choices->count == MAX_CHOICES)
            return fm_fail(error, FM_INVALID_ARGUMENT, "more than %d providers named", MAX_CHOICES);
        choices->rows[choices->count++] = row;
        at += length;
    }
    return FM_OK;
}

static void take_auto(const struct settings *settings, struct choices *choices) {
    for (size_t i = 0; fm_provider_row(i) && choices->count < MAX_CHOICES; i++) {
        const struct provider *row = fm_provider_row(i);
        const bool fits = settings->device == 0 || row->host_compute == (settings->device == FM_DEVICE_CPU);
        if (row->listed_in_auto && fits)
            choices->rows[choices->count++] = row;
    }
}

/* A device that no named provider can mean is a mistake, not a wish to ignore. */
static fm_status check_device(const struct settings *settings, const struct choices *choices, fm_error *error) {
    size_t on_host = 0;
    for (size_t i = 0; i < choices->count; i++) {
        on_host += choices->rows[i]->host_compute;
        if (settings->device == FM_DEVICE_CPU && !choices->rows[i]->host_compute)
            return fm_fail(error, FM_INVALID_ARGUMENT,
                           "provider %s needs an accelerator, but the device asked for is the CPU",
                           choices->rows[i]->name);
    }
    if (settings->device > 0 && on_host == choices->count)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "device %d asked for, but %s runs on the CPU; name --device cpu, or none", settings->device - 1,
                       choices->rows[0]->name);
    return FM_OK;
}

static fm_status make_choices(const struct settings *settings, struct choices *choices, fm_error *error) {
    fm_status status = parse_names(settings->providers, choices, error);
    if (status != FM_OK)
        return status;
    fm_policy policy = settings->policy;
    if (policy == FM_POLICY_DEFAULT)
        policy = choices->count == 0 ? FM_POLICY_AUTO : choices->count == 1 ? FM_POLICY_STRICT : FM_POLICY_ORDERED;
    if (policy == FM_POLICY_AUTO && choices->count == 0) {
        take_auto(settings, choices);
        return FM_OK;
    }
    if (policy == FM_POLICY_AUTO)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "policy auto chooses the provider itself: name none, or take policy ordered");
    if (choices->count == 0)
        return fm_fail(error, FM_INVALID_ARGUMENT, "policy %s needs a provider: name one with --provider",
                       policy == FM_POLICY_STRICT ? "strict" : "ordered");
    if (policy == FM_POLICY_STRICT && choices->count > 1)
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "policy strict takes one provider, not %zu: name one, or take policy ordered", choices->count);
    choices->strict = policy == FM_POLICY_STRICT;
    return check_device(settings, choices, error);
}

/* ---- trying one */

static fm_status try_provider(struct fm_engine *engine, const struct model *model, const struct provider *provider,
                              bool strict, struct network **network, bool *is_there, fm_error *error) {
    const struct settings *settings = &engine->settings;
    struct provider_probe probe = {0};
    provider->probe(&engine->runtime, &probe);
    *is_there = probe.available;
    if (!probe.available)
        return fm_fail(error, FM_NO_PROVIDER, "%s%s%s", probe.reason, probe.remedy[0] ? "; " : "", probe.remedy);
    const bool detects = model->task == MODEL_DETECTION;
    int width = model->recogniser.side, height = model->recogniser.side;
    if (detects) {
        width = model->detector.fixed_width > 0 ? model->detector.fixed_width : settings->call.det_sizes[0];
        height = model->detector.fixed_height > 0 ? model->detector.fixed_height : settings->call.det_sizes[0];
    }
    const struct network_options options = {
        .model = model,
        .provider = provider,
        .runtime = &engine->runtime,
        .device = engine->device,
        .logger = &engine->logger,
        .budget = provider->host_compute ? &engine->budget : NULL,
        .strict = strict,
        .precision = settings->precision,
        .batch = settings->batch,
        .threads = settings->threads,
        .max_wait_ns = (uint64_t)settings->max_wait_us * 1000u,
        .width = width,
        .height = height,
    };
    return fm_network_open(&options, network, error);
}

/* Providers passed over so far, and why. */
struct refusals {
    const struct provider *rows[MAX_CHOICES];
    char why[MAX_CHOICES][512];
    size_t count;
    fm_status status; /* of the first that is there and could not run the model; FM_NO_PROVIDER when none is */
};

/* What is there and failed is the news: it goes first. */
static void refusals_add(struct refusals *refusals, const struct provider *provider, bool is_there, fm_status status,
                         const char *why) {
    size_t at = refusals->count;
    if (is_there) {
        refusals->status = refusals->status == FM_NO_PROVIDER ? status : refusals->status;
        memmove(refusals->rows + 1, refusals->rows, refusals->count * sizeof *refusals->rows);
        memmove(refusals->why + 1, refusals->why, refusals->count * sizeof *refusals->why);
        at = 0;
    }
    refusals->rows[at] = provider;
    (void)snprintf(refusals->why[at], sizeof refusals->why[at], "%s", why);
    refusals->count++;
}

static bool same_reason_before(const struct refusals *refusals, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(refusals->why[i], refusals->why[index]) == 0)
            return true;
    return false;
}

/* "ort:cuda, ort:dml: no library ... | native: not in this build ...": a reason is said once, behind all it stopped. */
static void refusals_words(const struct refusals *refusals, char *out, size_t size) {
    struct text text = {0};
    for (size_t i = 0; i < refusals->count; i++) {
        if (same_reason_before(refusals, i))
            continue;
        fm_text_add(&text, "%s%s", text.length ? " | " : "", refusals->rows[i]->name);
        for (size_t k = i + 1; k < refusals->count; k++)
            if (strcmp(refusals->why[k], refusals->why[i]) == 0)
                fm_text_add(&text, ", %s", refusals->rows[k]->name);
        fm_text_add(&text, ": %s", refusals->why[i]);
    }
    (void)snprintf(out, size, "%s", fm_text_chars(&text));
    fm_text_reset(&text);
}

static void warn_unused_options(struct fm_engine *engine, const struct model *model, const struct provider *taken) {
    const struct settings *settings = &engine->settings;
    for (size_t i = 0; i < settings->provider_option_count; i++) {
        const fm_provider_option *option = &settings->provider_options[i];
        if (strcmp(option->provider, taken->name) != 0)
            fm_log(&engine->logger, FM_LOG_WARN, "policy", "option %s:%s has no effect on %s, which runs on %s",
                   option->provider, option->key, model->file, taken->name);
    }
}

fm_status fm_policy_open_network(struct fm_engine *engine, const struct model *model, struct network **network,
                                 fm_error *error) {
    struct choices choices = {.count = 0};
    struct refusals refusals = {.status = FM_NO_PROVIDER};
    char words[sizeof(((struct network *)0)->passed_over)] = "";
    fm_status status = make_choices(&engine->settings, &choices, error);
    if (status != FM_OK)
        return status;
    for (size_t i = 0; i < choices.count; i++) {
        fm_error why = {0};
        bool is_there = false;
        status = try_provider(engine, model, choices.rows[i], choices.strict, network, &is_there, &why);
        if (status == FM_OK) {
            refusals_words(&refusals, (*network)->passed_over, sizeof(*network)->passed_over);
            warn_unused_options(engine, model, choices.rows[i]);
            return FM_OK;
        }
        refusals_add(&refusals, choices.rows[i], is_there, status, why.message);
        fm_log(&engine->logger, FM_LOG_INFO, "policy", "%s passed over for %s: %s", choices.rows[i]->name, model->file,
               why.message);
    }
    refusals_words(&refusals, words, sizeof words);
    return fm_fail(error, refusals.status, "%s cannot be run by %s: %s", model->file,
                   choices.count == 1 ? "the provider named" : "any provider allowed", words);
}
