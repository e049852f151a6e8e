/* Do many callers with one picture each get as many images per second out of one engine as one caller with many? Three
   ways by turns, `rounds` times each, on one engine and with pictures from memory:

     batch    one thread calls fm_analyze_batch with two pictures per client, at least 64
     threads  `clients` threads call fm_analyze in a loop, as the threads of a service would
     loops    `clients` loops of fm_try_submit, each submitting its next picture from its callback

     cc -O2 -Iinclude -o build/submitters bench/submitters.c -Lbuild -lfacemill -lpthread -Wl,-rpath,build
     build/submitters --pack PACK --clients 32 --seconds 5 --rounds 3 PICTURE...

   Prints JSON: the median rate of each way, its share of that of `batch`, and the mean sizes of batches. With
   --require SHARE it ends with 4 when `threads` or `loops` reaches less than that share. A tool, not a part of the
   product. */
#define _GNU_SOURCE
#include <facemill/facemill.h>

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_CLIENTS 1024
#define MOST_ROUNDS 99

struct settings {
    fm_engine_options engine;
    fm_call_options call;
    int clients, rounds;
    double seconds, require;
};

/* One measurement. */
struct figures {
    double rate, detect_batch, embed_batch, milliseconds; /* the last: mean of fm_timings.total_ms */
};

/* What the clients of one round share. */
struct round {
    fm_engine *engine;
    const fm_call_options *call;
    const fm_input *pictures;
    int picture_count, clients;
    double until;
    atomic_int next; /* picture */
    atomic_long done, failed, microseconds;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    int running; /* loops; under the mutex */
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void give_up(const char *what, const char *words) {
    fprintf(stderr, "submitters: %s: %s\n", what, words);
    exit(1);
}

static const fm_input *next_picture(struct round *round) {
    return &round->pictures[(unsigned)atomic_fetch_add(&round->next, 1) % (unsigned)round->picture_count];
}

static void take_result(struct round *round, fm_result *result) {
    fm_timings timings = {.struct_size = sizeof timings};
    fm_result_timings(result, &timings);
    atomic_fetch_add(&round->microseconds, (long)(timings.total_ms * 1e3));
    atomic_fetch_add(fm_result_status(result) == FM_OK ? &round->done : &round->failed, 1);
    fm_result_free(result);
}

/* ---- three ways */

static void run_batch(struct round *round) {
    const int count = 2 * round->clients > 64 ? 2 * round->clients : 64;
    fm_input *inputs = calloc((size_t)count, sizeof *inputs);
    fm_result **results = calloc((size_t)count, sizeof *results);
    fm_error error;
    if (!inputs || !results)
        give_up("batch", "no memory");
    do {
        for (int i = 0; i < count; i++)
            inputs[i] = *next_picture(round);
        if (fm_analyze_batch(round->engine, inputs, (size_t)count, round->call, results, &error) != FM_OK)
            give_up("fm_analyze_batch", error.message);
        for (int i = 0; i < count; i++)
            take_result(round, results[i]);
    } while (now() < round->until);
    free(inputs);
    free(results);
}

static void *client_main(void *user) {
    struct round *round = user;
    fm_error error;
    do {
        fm_result *result = NULL;
        if (fm_analyze(round->engine, next_picture(round), round->call, &result, &error) != FM_OK)
            give_up("fm_analyze", error.message);
        take_result(round, result);
    } while (now() < round->until);
    return NULL;
}

static void run_threads(struct round *round) {
    static pthread_t threads[MOST_CLIENTS];
    for (int i = 0; i < round->clients; i++)
        if (pthread_create(&threads[i], NULL, client_main, round) != 0)
            give_up("threads", "one could not be started");
    for (int i = 0; i < round->clients; i++)
        pthread_join(threads[i], NULL);
}

static void submit_next(struct round *round);

static void loop_answered(fm_result *result, void *user) {
    struct round *round = user;
    take_result(round, result);
    if (now() < round->until) {
        submit_next(round);
        return;
    }
    pthread_mutex_lock(&round->mutex);
    round->running--;
    pthread_cond_signal(&round->ended);
    pthread_mutex_unlock(&round->mutex);
}

static void submit_next(struct round *round) {
    fm_error error;
    if (fm_try_submit(round->engine, next_picture(round), round->call, loop_answered, round, NULL, &error) != FM_OK)
        give_up("fm_try_submit", error.message);
}

static void run_loops(struct round *round) {
    round->running = round->clients;
    for (int i = 0; i < round->clients; i++)
        submit_next(round);
    pthread_mutex_lock(&round->mutex);
    while (round->running > 0)
        pthread_cond_wait(&round->ended, &round->mutex);
    pthread_mutex_unlock(&round->mutex);
}

static const struct way {
    const char *name;
    void (*run)(struct round *round);
} ways[] = {{"batch", run_batch}, {"threads", run_threads}, {"loops", run_loops}};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- measuring */

static double mean_batch(const uint64_t before[FM_BATCH_BUCKETS], const uint64_t after[FM_BATCH_BUCKETS],
                         uint64_t items) {
    uint64_t runs = 0;
    for (int i = 0; i < FM_BATCH_BUCKETS; i++)
        runs += after[i] - before[i];
    return runs ? (double)items / (double)runs : 0;
}

static struct figures measure(const struct way *way, const struct settings *settings, fm_engine *engine,
                              const fm_input *pictures, int picture_count, double seconds) {
    struct round round = {.engine = engine,
                          .call = &settings->call,
                          .pictures = pictures,
                          .picture_count = picture_count,
                          .clients = settings->clients,
                          .mutex = PTHREAD_MUTEX_INITIALIZER,
                          .ended = PTHREAD_COND_INITIALIZER};
    fm_stats before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    fm_engine_stats(engine, &before);
    const double start = now();
    round.until = start + seconds;
    way->run(&round);
    const double took = now() - start;
    fm_drain(engine);
    fm_engine_stats(engine, &after);
    const long done = atomic_load(&round.done);
    if (atomic_load(&round.failed) || !done)
        give_up(way->name, "a picture failed");
    return (struct figures){
        .rate = (double)done / took,
        .detect_batch = mean_batch(before.detect_batches, after.detect_batches, after.images - before.images),
        .embed_batch = mean_batch(before.embed_batches, after.embed_batches, after.faces - before.faces),
        .milliseconds = (double)atomic_load(&round.microseconds) / 1e3 / (double)done,
    };
}

static int by_rate(const void *a, const void *b) {
    const double x = ((const struct figures *)a)->rate, y = ((const struct figures *)b)->rate;
    return (x > y) - (x < y);
}

/* ---- around it */

static fm_input load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        give_up(path, "cannot be opened");
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    void *bytes = malloc((size_t)size + 1);
    if (size <= 0 || !bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        give_up(path, "cannot be read");
    fclose(file);
    return fm_input_encoded(bytes, (size_t)size);
}

static void read_options(int argc, char **argv, struct settings *settings) {
    static const struct option options[] = {
        {"pack", required_argument, NULL, 'p'},     {"providers", required_argument, NULL, 'P'},
        {"threads", required_argument, NULL, 't'},  {"batch", required_argument, NULL, 'b'},
        {"det-size", required_argument, NULL, 'd'}, {"max-wait-us", required_argument, NULL, 'w'},
        {"queue", required_argument, NULL, 'q'},    {"clients", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},  {"rounds", required_argument, NULL, 'r'},
        {"require", required_argument, NULL, 'R'},  {0}};
    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p':
            settings->engine.pack = optarg;
            break;
        case 'P':
            settings->engine.providers = optarg;
            break;
        case 't':
            settings->engine.threads = atoi(optarg);
            break;
        case 'b':
            settings->engine.batch = atoi(optarg);
            break;
        case 'd':
            settings->engine.det_sizes[0] = atoi(optarg);
            break;
        case 'w':
            settings->engine.max_wait_us = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'q':
            settings->engine.queue_depth = atoi(optarg);
            break;
        case 'c':
            settings->clients = atoi(optarg);
            break;
        case 's':
            settings->seconds = atof(optarg);
            break;
        case 'r':
            settings->rounds = atoi(optarg);
            break;
        case 'R':
            settings->require = atof(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (optind == argc || settings->clients < 1 || settings->clients > MOST_CLIENTS || settings->rounds < 1 ||
        settings->rounds > MOST_ROUNDS)
        give_up("usage", "submitters [--pack PACK] [--clients 1..1024] [--rounds 1..99] ... PICTURE...");
}

int main(int argc, char **argv) {
    static struct figures figures[WAYS][MOST_ROUNDS];
    struct settings settings = {.engine = {.struct_size = sizeof settings.engine},
                                .call = {.struct_size = sizeof settings.call},
                                .clients = 32,
                                .rounds = 3,
                                .seconds = 5};
    fm_engine *engine = NULL;
    fm_error error;
    fm_model_info model = {0};
    bool enough = true;
    read_options(argc, argv, &settings);
    if (settings.engine.queue_depth == 0 && settings.clients > 32)
        settings.engine.queue_depth = 2 * settings.clients;
    if (fm_engine_open(&settings.engine, &engine, &error) != FM_OK)
        give_up("fm_engine_open", error.message);
    const int count = argc - optind;
    fm_input *pictures = calloc((size_t)count, sizeof *pictures);
    if (!pictures)
        give_up("pictures", "no memory");
    for (int i = 0; i < count; i++)
        pictures[i] = load(argv[optind + i]);
    (void)measure(&ways[0], &settings, engine, pictures, count, 0); /* warm */
    for (int r = 0; r < settings.rounds; r++)
        for (int w = 0; w < WAYS; w++)
            figures[w][r] = measure(&ways[w], &settings, engine, pictures, count, settings.seconds);
    fm_engine_model(engine, 0, &model);
    printf("{\"provider\": \"%s\", \"pictures\": %d, \"clients\": %d, \"seconds\": %g, \"rounds\": %d,\n",
           model.provider, count, settings.clients, settings.seconds, settings.rounds);
    for (int w = 0; w < WAYS; w++) {
        qsort(figures[w], (size_t)settings.rounds, sizeof *figures[w], by_rate);
        const struct figures *median = &figures[w][settings.rounds / 2];
        const double share = median->rate / figures[0][settings.rounds / 2].rate;
        enough = enough && share >= settings.require;
        printf(" \"%s\": {\"images_per_second\": %.2f, \"lowest\": %.2f, \"highest\": %.2f, \"share\": %.3f, "
               "\"mean_detect_batch\": %.2f, \"mean_embed_batch\": %.2f, \"mean_ms\": %.2f}%s\n",
               ways[w].name, median->rate, figures[w][0].rate, figures[w][settings.rounds - 1].rate, share,
               median->detect_batch, median->embed_batch, median->milliseconds, w + 1 < WAYS ? "," : "}");
    }
    fm_engine_close(engine);
    for (int i = 0; i < count; i++)
        free((void *)(uintptr_t)pictures[i].bytes);
    free(pictures);
    return enough ? 0 : 4;
}
