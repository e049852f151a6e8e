/* Batcher: one network's open batches and the lanes that run them. Callers take slots and write into them; a lane takes
   the oldest full batch, else the oldest one, closes it, waits for the slots that are still being written, drops those
   that nobody wants any more, runs it and hands every slot its answer. A lane does not wait for more company: on a busy
   machine company comes by itself while all lanes run. Where max_wait_ns says so, a free lane leaves a batch that is
   not full until it is that old, or until its place is needed. */
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

/* ---- shape of a batch */

static bool batch_shape(struct network *network, struct batch *batch, int width, int height) {
    struct tensor *input = &batch->input;
    size_t size = 0;
    *input = (struct tensor){.dtype = network->input_dtype,
                             .rank = 4,
                             .dims = {network->max_batch, 3, height, width},
                             .bytes = input->bytes,
                             .capacity = input->capacity,
                             .memory = FM_MEMORY_HOST};
    if (!fm_tensor_size(input, &size))
        return false;
    if (size > input->capacity) {
        const struct device_ops *ops = fm_device_ops(network->device);
        ops->free(network->device, input->bytes);
        input->bytes = ops->alloc(network->device, size);
        input->capacity = input->bytes ? size : 0;
        if (!input->bytes)
            return false;
    }
    batch->width = width;
    batch->height = height;
    return true;
}

static void batch_remove(struct batch **list, struct batch *batch) {
    while (*list && *list != batch)
        list = &(*list)->next;
    if (*list)
        *list = batch->next;
    batch->next = NULL;
}

static void batch_append(struct batch **list, struct batch *batch) {
    while (*list)
        list = &(*list)->next;
    batch->next = NULL;
    *list = batch;
}

/* A free batch, one of the same shape first: its tensor fits already. */
static struct batch *free_batch(struct network *network, int width, int height) {
    for (struct batch *batch = network->free; batch; batch = batch->next)
        if (batch->width == width && batch->height == height)
            return batch;
    return network->free;
}

static struct batch *open_batch(struct network *network, int width, int height) {
    for (struct batch *batch = network->open; batch; batch = batch->next)
        if (batch->width == width && batch->height == height && batch->taken < batch->capacity)
            return batch;
    return NULL;
}

/* ---- callers' side */

fm_status fm_network_acquire(struct network *network, int width, int height, struct slot_owner *owner, int index,
                             struct batch **batch_out, int *slot, fm_error *error) {
    fm_status status = FM_OK;
    fm_mutex_lock(&network->mutex);
    struct batch *batch = NULL;
    while (network->trimming || (!(batch = open_batch(network, width, height)) && !network->free)) {
        network->waiting++;
        fm_cond_signal(&network->work); /* no batch is left waiting for company now */
        fm_cond_wait(&network->space, &network->mutex);
        network->waiting--;
    }
    if (!batch) {
        batch = free_batch(network, width, height);
        if (batch_shape(network, batch, width, height)) {
            batch_remove(&network->free, batch);
            batch->taken = batch->filled = 0;
            batch->capacity = network->max_batch;
            batch->opened_ns = fm_clock_ns();
            batch_append(&network->open, batch);
        } else {
            status = fm_fail(error, FM_OUT_OF_MEMORY,
                             "no memory for a batch of %d images of %dx%d; lower --batch or --det-size",
                             network->max_batch, width, height);
        }
    }
    if (status == FM_OK) {
        *slot = batch->taken++;
        batch->slots[*slot] = (struct batch_slot){owner, index};
        *batch_out = batch;
    }
    fm_mutex_unlock(&network->mutex);
    return status;
}

static bool is_open(const struct network *network, const struct batch *batch) {
    const struct batch *open = network->open;
    while (open && open != batch)
        open = open->next;
    return open != NULL;
}

/* A lane is woken only when the batch may have become one to run. */
void fm_network_commit(struct network *network, struct batch *batch) {
    fm_mutex_lock(&network->mutex);
    batch->filled++;
    if (!is_open(network, batch)) {
        if (batch->filled == batch->taken)
            fm_cond_broadcast(&network->written);
    } else if (batch->filled == 1 || batch->filled == batch->capacity) {
        fm_cond_signal(&network->work);
    }
    fm_mutex_unlock(&network->mutex);
}

/* ---- lanes' side */

static int histogram_bucket(int batch) {
    int bucket = 0;
    for (int limit = 1; batch > limit && bucket < FM_BATCH_BUCKETS - 1; limit *= 2)
        bucket++;
    return bucket;
}

/* Is nobody to be waited for? */
static bool batch_due(const struct network *network, const struct batch *batch, uint64_t now) {
    return batch->taken == batch->capacity || network->waiting > 0 || network->trimming || network->closing ||
           now >= batch->opened_ns + network->max_wait_ns;
}

/* The batch to run next: every one here has a slot taken; only those with a written slot are worth a lane's time. NULL:
   none; *wake_ns is when one will be due, 0 when there is no such one. */
static struct batch *next_batch(const struct network *network, uint64_t *wake_ns) {
    const uint64_t now = network->open && network->max_wait_ns ? fm_clock_ns() : UINT64_MAX;
    struct batch *oldest = NULL;
    *wake_ns = 0;
    for (struct batch *batch = network->open; batch; batch = batch->next) {
        if (batch->filled == batch->capacity)
            return batch;
        if (batch->filled == 0 || oldest)
            continue;
        if (batch_due(network, batch, now))
            oldest = batch;
        else if (*wake_ns == 0) /* older ones come first */
            *wake_ns = batch->opened_ns + network->max_wait_ns;
    }
    return oldest;
}

static void answer_slots(struct network *network, struct batch *batch, int first, int count,
                         const struct tensor *outputs, size_t output_count, double run_ms, fm_status status,
                         const fm_error *error) {
    for (int i = 0; i < count; i++) {
        const struct slot_answer answer = {network, outputs, output_count, count, i, run_ms, status, error};
        struct batch_slot *slot = &batch->slots[first + i];
        slot->owner->deliver(slot->owner, slot->index, &answer);
    }
}

/* Slots that nobody wants any more are answered now; the last ones take their places, so that what is run has none. */
static void drop_slots(struct network *network, struct batch *batch) {
    static const fm_error words = {FM_CANCELLED, "dropped before its batch ran"};
    struct tensor image = batch->input;
    size_t size = 0;
    image.dims[0] = 1;
    if (!fm_tensor_size(&image, &size))
        return;
    uint8_t *bytes = batch->input.bytes;
    for (int i = 0; i < batch->taken;) {
        const struct batch_slot slot = batch->slots[i];
        if (!slot.owner->alive || slot.owner->alive(slot.owner)) {
            i++;
            continue;
        }
        const int last = --batch->taken;
        batch->slots[i] = batch->slots[last];
        if (i < last)
            memcpy(bytes + (size_t)i * size, bytes + (size_t)last * size, size);
        const struct slot_answer answer = {.network = network, .status = words.status, .error = &words};
        slot.owner->deliver(slot.owner, slot.index, &answer);
    }
}

static void budget_take(struct budget *budget) {
    if (!budget)
        return;
    fm_mutex_lock(&budget->mutex);
    while (budget->available == 0)
        fm_cond_wait(&budget->freed, &budget->mutex);
    budget->available--;
    fm_mutex_unlock(&budget->mutex);
}

static void budget_return(struct budget *budget) {
    if (!budget)
        return;
    fm_mutex_lock(&budget->mutex);
    budget->available++;
    fm_cond_signal(&budget->freed);
    fm_mutex_unlock(&budget->mutex);
}

/* The common session: while one lane opens it the others wait, rather than open the graph again. The mutex is free
   meanwhile: it may take seconds, and reports shall not wait for it. */
static fm_status common_session(struct network *network, int width, int height, struct session **session,
                                fm_error *error) {
    fm_status status = FM_OK;
    fm_mutex_lock(&network->mutex);
    while (network->opening)
        fm_cond_wait(&network->idle, &network->mutex);
    if (!network->session) {
        struct session *opened = NULL;
        network->opening = true;
        fm_mutex_unlock(&network->mutex);
        status = fm_network_session_open(network, width, height, &opened, error);
        fm_mutex_lock(&network->mutex);
        network->opening = false;
        if (status == FM_OK) {
            network->session = opened;
            network->sessions_open++;
        }
        fm_cond_broadcast(&network->idle);
    }
    *session = network->session;
    fm_mutex_unlock(&network->mutex);
    return status;
}

/* A lane's own session: nobody else touches it while the lane runs, so lanes may open theirs side by side. */
static fm_status own_session(struct lane *lane, int width, int height, fm_error *error) {
    if (lane->session)
        return FM_OK;
    const fm_status status = fm_network_session_open(lane->network, width, height, &lane->session, error);
    fm_mutex_lock(&lane->network->mutex);
    lane->network->sessions_open += status == FM_OK;
    fm_mutex_unlock(&lane->network->mutex);
    return status;
}

/* The lane's run; session and run are opened when they are not there (first use, or after a trim). */
static fm_status lane_ready(struct lane *lane, int width, int height, fm_error *error) {
    struct network *network = lane->network;
    struct session *session = NULL;
    if (lane->run)
        return FM_OK;
    fm_status status = network->provider->session_per_lane ? own_session(lane, width, height, error)
                                                           : common_session(network, width, height, &session, error);
    if (status == FM_OK)
        status = network->provider->run_open(session ? session : lane->session, &lane->run, error);
    return status;
}

static fm_status run_once(struct lane *lane, struct batch *batch, int first, int count, struct tensor *outputs,
                          double *run_ms, fm_error *error) {
    struct network *network = lane->network;
    const struct provider *provider = network->provider;
    struct tensor input = batch->input;
    size_t image_size = 0;
    input.dims[0] = 1;
    if (!fm_tensor_size(&input, &image_size))
        return fm_fail(error, FM_INTERNAL, "%s: input of impossible size", network->model->file);
    input.dims[0] = count;
    input.bytes = (uint8_t *)input.bytes + image_size * (size_t)first;
    budget_take(network->budget);
    const uint64_t start = fm_clock_ns();
    fm_status status = provider->submit(lane->run, &input, error);
    if (status == FM_OK)
        status = provider->wait(lane->run, outputs, error);
    *run_ms = (double)(fm_clock_ns() - start) / 1e6;
    budget_return(network->budget);
    return status;
}

static void note_out_of_memory(struct network *network, int count) {
    fm_mutex_lock(&network->mutex);
    network->oom_retries++;
    if (network->max_batch > count / 2)
        network->max_batch = count / 2;
    const bool report = !network->oom_reported;
    network->oom_reported = true;
    fm_mutex_unlock(&network->mutex);
    if (report)
        fm_log(network->logger, FM_LOG_WARN, "engine",
               "%s ran out of memory on %s with a batch of %d; going on with batches of %d", network->provider->name,
               network->model->file, count, count / 2);
}

static void count_run(struct network *network, int batch) {
    fm_mutex_lock(&network->mutex);
    network->histogram[histogram_bucket(batch)]++;
    network->items += (uint64_t)batch;
    fm_mutex_unlock(&network->mutex);
}

/* Run a closed batch; what does not fit in the provider's memory is halved and tried again. */
static void run_batch(struct lane *lane, struct batch *batch) {
    struct network *network = lane->network;
    drop_slots(network, batch);
    const int count = batch->taken;
    int done = 0, step = count;
    fm_error error = {0};
    if (count == 0)
        return;
    fm_status status = lane_ready(lane, batch->width, batch->height, &error);
    if (status != FM_OK) {
        answer_slots(network, batch, 0, count, NULL, 0, 0, status, &error);
        return;
    }
    while (done < count) {
        struct tensor outputs[FM_MAX_OUTPUTS];
        double run_ms = 0;
        const int now = step < count - done ? step : count - done;
        error = (fm_error){0};
        status = run_once(lane, batch, done, now, outputs, &run_ms, &error);
        if (status == FM_OUT_OF_MEMORY && now > 1) {
            note_out_of_memory(network, now);
            step = now / 2;
            continue;
        }
        if (status == FM_OK)
            count_run(network, now);
        answer_slots(network, batch, done, now, outputs, status == FM_OK ? network->output_count : 0, run_ms, status,
                     &error);
        done += now;
    }
}

/* Wait for a batch to run, under the mutex; NULL: the network is being closed. */
static struct batch *wait_for_batch(struct network *network) {
    struct batch *batch = NULL;
    uint64_t wake_ns = 0;
    while (!(batch = next_batch(network, &wake_ns)) && !network->closing) {
        if (wake_ns)
            (void)fm_cond_wait_until(&network->work, &network->mutex, wake_ns);
        else
            fm_cond_wait(&network->work, &network->mutex);
    }
    return batch;
}

static void lane_main(void *argument) {
    struct lane *lane = argument;
    struct network *network = lane->network;
    struct batch *batch = NULL;
    fm_mutex_lock(&network->mutex);
    while ((batch = wait_for_batch(network))) {
        batch_remove(&network->open, batch); /* closed: no further slots */
        network->running++;
        while (batch->filled < batch->taken)
            fm_cond_wait(&network->written, &network->mutex);
        fm_mutex_unlock(&network->mutex);
        run_batch(lane, batch);
        fm_mutex_lock(&network->mutex);
        network->running--;
        batch_append(&network->free, batch);
        fm_cond_broadcast(&network->space);
        fm_cond_broadcast(&network->idle);
    }
    fm_mutex_unlock(&network->mutex);
}

/* ---- opening and closing */

/* Tensors for the typical size are there from the start: the first images need not wait for memory. */
static bool create_batches(struct network *network, int width, int height) {
    network->batch_count = network->lane_count * 2; /* one that runs, one that fills */
    network->batches = fm_alloc_array((size_t)network->batch_count, sizeof *network->batches);
    network->lanes = fm_alloc_array((size_t)network->lane_count, sizeof *network->lanes);
    if (!network->batches || !network->lanes)
        return false;
    for (int i = 0; i < network->batch_count; i++) {
        struct batch *batch = &network->batches[i];
        batch->slots = fm_alloc_array((size_t)network->max_batch, sizeof *batch->slots);
        if (!batch->slots || !batch_shape(network, batch, width, height))
            return false;
        batch_append(&network->free, batch);
    }
    return true;
}

/* The session opened first is the common one, or becomes the first lane's own. */
static bool start_lanes(struct network *network) {
    if (network->provider->session_per_lane) {
        network->lanes[0].session = network->session;
        network->session = NULL;
    }
    network->sessions_open = 1;
    for (int i = 0; i < network->lane_count; i++) {
        struct lane *lane = &network->lanes[i];
        lane->network = network;
        lane->started = fm_thread_start(&lane->thread, "fm-lane", lane_main, lane);
        if (!lane->started)
            return false;
    }
    return true;
}

static int wanted_batch(const struct network_options *options) {
    const bool detects = options->model->task == MODEL_DETECTION;
    const int by_table = detects ? options->provider->detect_batch : options->provider->embed_batch;
    const int batch = options->batch > 0 ? options->batch : by_table;
    return batch > 1 ? batch : 1;
}

static fm_status decide_batch(struct network *network, const struct network_options *options, struct session *session) {
    const int batch = wanted_batch(options);
    network->max_batch = 1;
    if (batch == 1)
        return FM_OK;
    if (!options->model->batch_possible)
        (void)snprintf(network->batch_note, sizeof network->batch_note, "one at a time: %s",
                       options->model->batch_note);
    else if (fm_network_batch_holds(network, session, options->width, options->height, network->batch_note,
                                    sizeof network->batch_note))
        network->max_batch = batch;
    if (network->max_batch == 1) /* louder when a batch was asked for than when the table would have liked one */
        fm_log(network->logger, options->batch > 1 ? FM_LOG_WARN : FM_LOG_INFO, "engine", "%s: %s",
               network->model->file, network->batch_note);
    return FM_OK;
}

/* What is to be known of the session, for reports; nodes that ran elsewhere are never passed over in silence. */
static void note_session(struct network *network, const struct session *session) {
    const struct provider *provider = network->provider;
    network->output_count = provider->output_count(session);
    (void)snprintf(network->detail, sizeof network->detail, "%s", provider->detail(session));
    (void)snprintf(network->elsewhere, sizeof network->elsewhere, "%s", provider->elsewhere(session));
    if (network->elsewhere[0])
        fm_log(network->logger, FM_LOG_WARN, "engine", "%s on %s: %s", network->model->file, provider->name,
               network->elsewhere);
}

fm_status fm_network_open(const struct network_options *options, struct network **network_out, fm_error *error) {
    struct session *session = NULL;
    struct network *network = fm_alloc(sizeof *network);
    if (!network)
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for the network of %s", options->model->file);
    network->model = options->model;
    network->provider = options->provider;
    network->runtime = options->runtime;
    network->device = options->device;
    network->logger = options->logger;
    network->budget = options->budget;
    network->strict = options->strict;
    network->precision = options->precision;
    network->input_dtype = options->provider->prefer_bytes ? DTYPE_U8 : DTYPE_F32;
    network->max_wait_ns = options->max_wait_ns;
    network->lane_count = options->provider->lanes > 0 ? options->provider->lanes : options->threads;
    network->max_batch = wanted_batch(options);
    fm_mutex_init(&network->mutex);
    fm_cond_init(&network->work);
    fm_cond_init(&network->written);
    fm_cond_init(&network->space);
    fm_cond_init(&network->idle);

    fm_status status = fm_network_session_open(network, options->width, options->height, &session, error);
    if (status != FM_OK)
        goto cleanup;
    network->session = session;
    network->audited = true; /* later sessions are of the same graph and options */
    note_session(network, session);
    status = decide_batch(network, options, session);
    if (status == FM_OK && options->model->task == MODEL_RECOGNITION)
        status = fm_network_measure_embedding(network, session, error);
    if (status == FM_OK && (!create_batches(network, options->width, options->height) || !start_lanes(network)))
        status =
            fm_fail(error, FM_OUT_OF_MEMORY, "not enough memory to start %d lanes for %s; lower --threads or --batch",
                    network->lane_count, options->model->file);
cleanup:
    if (status != FM_OK) {
        fm_network_close(network);
        network = NULL;
    }
    *network_out = network;
    return status;
}

static void close_sessions(struct network *network) {
    for (int i = 0; network->lanes && i < network->lane_count; i++) {
        struct lane *lane = &network->lanes[i];
        network->provider->run_close(lane->run);
        network->provider->close(lane->session);
        lane->run = NULL;
        lane->session = NULL;
    }
    network->provider->close(network->session);
    network->session = NULL;
    network->sessions_open = 0;
}

static void free_tensors(struct network *network) {
    for (int i = 0; network->batches && i < network->batch_count; i++) {
        struct batch *batch = &network->batches[i];
        fm_device_ops(network->device)->free(network->device, batch->input.bytes);
        batch->input = (struct tensor){0};
        batch->width = batch->height = 0;
    }
}

void fm_network_close(struct network *network) {
    if (!network)
        return;
    fm_mutex_lock(&network->mutex);
    network->closing = true;
    fm_cond_broadcast(&network->work);
    fm_mutex_unlock(&network->mutex);
    for (int i = 0; network->lanes && i < network->lane_count; i++)
        if (network->lanes[i].started)
            fm_thread_join(&network->lanes[i].thread);
    close_sessions(network);
    free_tensors(network);
    for (int i = 0; network->batches && i < network->batch_count; i++)
        fm_free(network->batches[i].slots);
    fm_free(network->batches);
    fm_free(network->lanes);
    fm_cond_reset(&network->work);
    fm_cond_reset(&network->written);
    fm_cond_reset(&network->space);
    fm_cond_reset(&network->idle);
    fm_mutex_reset(&network->mutex);
    fm_free(network);
}

void fm_network_trim(struct network *network) {
    if (!network)
        return;
    fm_mutex_lock(&network->mutex);
    while (network->trimming)
        fm_cond_wait(&network->idle, &network->mutex);
    network->trimming = true; /* no new slots */
    fm_cond_broadcast(&network->work);
    while (network->running > 0 || network->open) /* what was begun is finished first */
        fm_cond_wait(&network->idle, &network->mutex);
    close_sessions(network);
    free_tensors(network);
    network->trimming = false;
    fm_cond_broadcast(&network->space);
    fm_cond_broadcast(&network->work);
    fm_cond_broadcast(&network->idle);
    fm_mutex_unlock(&network->mutex);
}

uint64_t fm_network_memory(struct network *network) {
    uint64_t bytes = 0;
    if (!network)
        return 0;
    fm_mutex_lock(&network->mutex);
    for (int i = 0; i < network->batch_count; i++)
        bytes += network->batches[i].input.capacity;
    fm_mutex_unlock(&network->mutex);
    return bytes;
}

bool fm_network_loaded(struct network *network) {
    fm_mutex_lock(&network->mutex);
    const bool loaded = network->sessions_open > 0;
    fm_mutex_unlock(&network->mutex);
    return loaded;
}
