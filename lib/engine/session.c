/* Session: a model's graph opened on the network's provider, and the two questions asked of it at load: does a batch
   give what single images give, and how long is an embedding. */
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>

static const char *purpose_of(const struct model *model) {
    return model->task == MODEL_DETECTION ? "detection" : "recognition";
}

fm_status fm_network_session_open(struct network *network, int width, int height, struct session **session,
                                  fm_error *error) {
    const struct model *model = network->model;
    struct buffer bytes = {0};
    const struct model_build build = {
        .batch = model->batch_possible,
        .take_bytes = network->input_dtype == DTYPE_U8,
        .split_prelu = network->provider->split_prelu,
    };
    fm_status status = fm_model_build(model, &build, &bytes, error);
    if (status == FM_OK) {
        const struct session_request request = {
            .name = model->file,
            .purpose = purpose_of(model),
            .bytes = bytes.bytes,
            .size = bytes.size,
            .strict = network->strict && !network->audited,
            .report = !network->strict && !network->audited,
            .input_dtype = network->input_dtype,
            .input_rank = 4,
            .input_dims = {1, 3, height, width},
            .precision = network->precision,
        };
        status = network->provider->open(network->runtime, &request, session, error);
    }
    fm_buffer_reset(&bytes);
    return status;
}

/* ---- running a session once, outside of the lanes */

struct trial {
    struct run *run;
    struct tensor input, outputs[FM_MAX_OUTPUTS];
};

static fm_status trial_open(const struct network *network, struct session *session, int batch, int width, int height,
                            struct trial *trial, fm_error *error) {
    size_t size = 0;
    trial->input = (struct tensor){.dtype = network->input_dtype, .rank = 4, .dims = {batch, 3, height, width}};
    if (!fm_tensor_size(&trial->input, &size))
        return fm_fail(error, FM_INVALID_ARGUMENT, "%s: input of %dx%d is too large", network->model->file, width,
                       height);
    trial->input.bytes = fm_device_ops(network->device)->alloc(network->device, size);
    trial->input.capacity = size;
    if (!trial->input.bytes)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to try %s", network->model->file);
    return network->provider->run_open(session, &trial->run, error);
}

static fm_status trial_run(const struct network *network, struct trial *trial, fm_error *error) {
    fm_status status = network->provider->submit(trial->run, &trial->input, error);
    return status == FM_OK ? network->provider->wait(trial->run, trial->outputs, error) : status;
}

static void trial_close(const struct network *network, struct trial *trial) {
    network->provider->run_close(trial->run);
    fm_device_ops(network->device)->free(network->device, trial->input.bytes);
}

/* Seeded noise with flat patches: pictures that differ and that excite the heads. */
static void fill_image(struct tensor *input, int slot, uint32_t seed) {
    const size_t count = (size_t)(3 * input->dims[2] * input->dims[3]);
    uint32_t state = seed * 2654435761u + 1u;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        const uint32_t level = ((uint32_t)(i >> 6) * seed * 37u + (state >> 27) + seed * 61u) & 255u;
        if (input->dtype == DTYPE_U8)
            ((uint8_t *)input->bytes)[(size_t)slot * count + i] = (uint8_t)level;
        else
            ((float *)input->bytes)[(size_t)slot * count + i] = ((float)level - 127.5f) / 128.0f;
    }
}

/* Sums per image, seen through the model's own reading of the rows: enough to notice rows of another image. */
struct fingerprint {
    double sum, squares;
};

static void fingerprint_add(struct fingerprint *print, const float *values, size_t count, size_t position) {
    for (size_t i = 0; i < count; i++) {
        print->sum += (double)values[i] * (1.0 + (double)((position + i) % 97));
        print->squares += (double)values[i] * (double)values[i];
    }
}

static void fingerprint_outputs(const struct model *model, const struct tensor *outputs, size_t count, int batch,
                                int slot, struct fingerprint *print) {
    for (size_t k = 0; k < count; k++) {
        const struct tensor *output = &outputs[k];
        size_t elements = 0;
        if (output->dtype != DTYPE_F32 || !fm_tensor_elements(output, &elements))
            continue;
        const size_t each = elements / (size_t)batch;
        const bool interleaved = model->task == MODEL_DETECTION && model->detector.interleaved;
        const size_t block =
            interleaved ? (size_t)output->dims[output->rank - 1] * (size_t)model->detector.anchors : each;
        for (size_t row = 0; block && row < each / block; row++) {
            const size_t at = interleaved ? (row * (size_t)batch + (size_t)slot) * block : (size_t)slot * each;
            fingerprint_add(print, (const float *)output->bytes + at, block, row * block);
        }
    }
}

static bool fingerprints_agree(const struct fingerprint *a, const struct fingerprint *b) {
    const double scale = 1.0 + fabs(a->sum) + fabs(b->sum);
    return fabs(a->sum - b->sum) <= 1e-3 * scale &&
           fabs(a->squares - b->squares) <= 1e-3 * (1.0 + a->squares + b->squares);
}

#define TRIAL_IMAGES 3

bool fm_network_batch_holds(struct network *network, struct session *session, int width, int height, char *note,
                            size_t note_size) {
    struct fingerprint alone[TRIAL_IMAGES] = {{0, 0}}, together[TRIAL_IMAGES] = {{0, 0}};
    struct trial single = {0}, batch = {0};
    fm_error error = {0};
    const size_t outputs = network->provider->output_count(session);
    bool holds = false;
    if (trial_open(network, session, 1, width, height, &single, &error) ||
        trial_open(network, session, TRIAL_IMAGES, width, height, &batch, &error))
        goto cleanup;
    for (int i = 0; i < TRIAL_IMAGES; i++) {
        fill_image(&single.input, 0, (uint32_t)i + 1u);
        fill_image(&batch.input, i, (uint32_t)i + 1u);
        if (trial_run(network, &single, &error))
            goto cleanup;
        fingerprint_outputs(network->model, single.outputs, outputs, 1, 0, &alone[i]);
    }
    if (trial_run(network, &batch, &error))
        goto cleanup;
    holds = true;
    for (int i = 0; i < TRIAL_IMAGES; i++) {
        fingerprint_outputs(network->model, batch.outputs, outputs, TRIAL_IMAGES, i, &together[i]);
        holds = holds && fingerprints_agree(&alone[i], &together[i]);
    }
    if (!holds)
        (void)snprintf(note, note_size, "one at a time: a batch of %d gave other rows than %d single images",
                       TRIAL_IMAGES, TRIAL_IMAGES);
cleanup:
    if (error.status != FM_OK)
        (void)snprintf(note, note_size, "one at a time: a batch of %d failed: %.300s", TRIAL_IMAGES, error.message);
    trial_close(network, &single);
    trial_close(network, &batch);
    return holds;
}

fm_status fm_network_measure_embedding(struct network *network, struct session *session, fm_error *error) {
    const int side = network->model->recogniser.side;
    struct trial trial = {0};
    fm_status status = trial_open(network, session, 1, side, side, &trial, error);
    if (status == FM_OK) {
        fill_image(&trial.input, 0, 1);
        status = trial_run(network, &trial, error);
    }
    if (status == FM_OK) {
        const struct tensor *output = &trial.outputs[0];
        size_t count = 0;
        if (output->dtype != DTYPE_F32 || !fm_tensor_elements(output, &count) || count < 8 || count > 65536)
            status =
                fm_fail(error, FM_BAD_MODEL,
                        "%s: expected one row of 8 to 65536 floats per face, got another shape; it is no recogniser",
                        network->model->file);
        network->embedding_size = (int)count;
    }
    trial_close(network, &trial);
    return status;
}
