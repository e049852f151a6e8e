/* Benchmark of what an image costs outside its networks, per instruction set, on one core: median and fastest of many
   runs. The pictures are random: no kernel's time depends on what is in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "device/device.h"
#include "tests.h"

#define RUNS 201
#define WARM_UPS 20

/* Everything a measured call needs. */
struct bench {
    struct device *device;
    const struct device_ops *ops;
    struct rgb_view image;
    struct letterbox fit;
    struct pixel_recipe recipe;
    struct tensor batch, crops;
    struct buffer scratch;
    struct head_view heads[3];
    struct candidate *candidates, *crowd;
    size_t crowd_count;
    float embedding[512];
    float checksum; /* keeps results alive */
};

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *name, struct bench *bench, void (*call)(struct bench *)) {
    uint64_t times[RUNS];
    for (int i = -WARM_UPS; i < RUNS; i++) {
        uint64_t start = fm_clock_ns();
        call(bench);
        times[i < 0 ? 0 : i] = fm_clock_ns() - start;
    }
    qsort(times, RUNS, sizeof *times, by_value);
    printf("  %-44s %9.4f ms   %9.4f ms\n", name, (double)times[RUNS / 2] * 1e-6, (double)times[0] * 1e-6);
}

static void run_letterbox(struct bench *bench) {
    if (bench->ops->letterbox(bench->device, &bench->image, &bench->fit, &bench->recipe, &bench->batch, 0,
                              &bench->scratch, NULL) != FM_OK) {
        abort();
    }
}

static void run_warps(struct bench *bench) {
    for (int i = 0; i < 6; i++) {
        const double m[6] = {0.71, 0.09, -60.0 - 70.0 * i, -0.09, 0.71, -40.0 - 30.0 * i};
        if (bench->ops->warp(bench->device, &bench->image, m, &bench->recipe, &bench->crops, i, NULL, 0,
                             &bench->scratch, NULL) != FM_OK) {
            abort();
        }
    }
}

static void run_decode(struct bench *bench) {
    size_t count = 0;
    for (int i = 0; i < 3; i++) {
        if (!bench->ops->decode(bench->device, &bench->heads[i], 0.5F, 0.5, bench->candidates, 1000, &count)) {
            abort();
        }
    }
    count = bench->ops->nms(bench->device, bench->candidates, count, 0.4F, true, &bench->scratch);
    bench->checksum += (float)count;
}

static void run_crowd(struct bench *bench) {
    memcpy(bench->candidates, bench->crowd, bench->crowd_count * sizeof *bench->crowd);
    bench->checksum +=
        (float)bench->ops->nms(bench->device, bench->candidates, bench->crowd_count, 0.4F, true, &bench->scratch);
}

static void run_norm(struct bench *bench) {
    float norm;
    bench->ops->norms(bench->device, bench->embedding, 1, 512, &norm);
    bench->checksum += norm;
}

/* Room for what `ops` is given; the process ends with the benchmark, so nothing is given back. */
static void *room(size_t size) {
    void *bytes = fm_alloc_aligned(size);
    if (bytes == NULL) {
        abort();
    }
    memset(bytes, 0, size);
    return bytes;
}

static void image_make(struct bench *bench, int width, int height) {
    size_t size = 3 * (size_t)width * (size_t)height;
    uint8_t *rgb = room(size);
    random_fill(rgb, size);
    bench->image = (struct rgb_view){.rgb = rgb, .width = width, .height = height, .stride = 3 * (size_t)width};
    bench->fit = fm_letterbox_fit(width, height, 640, 640);
}

static struct tensor batch_make(enum dtype dtype, int count, int side) {
    struct tensor batch = {.dtype = dtype, .rank = 4, .dims = {count, 3, side, side}};
    if (!fm_tensor_size(&batch, &batch.capacity)) {
        abort();
    }
    batch.bytes = room(batch.capacity);
    return batch;
}

/* The heads of a 640 x 640 run: 16,800 rows, about 50 above the threshold in clumps of 8 neighbours. */
static void heads_make(struct bench *bench) {
    for (int i = 0; i < 3; i++) {
        int stride = 8 << i, side = 640 / stride;
        size_t rows = (size_t)side * (size_t)side * 2;
        float *scores = room(rows * sizeof(float)), *boxes = room(4 * rows * sizeof(float));
        float *points = room(10 * rows * sizeof(float));
        for (size_t row = 0; row < rows; row++) {
            scores[row] = row % 2800 < 8 ? (float)random_between(0.5, 0.9) : (float)random_between(0.0, 0.1);
            boxes[4 * row] = boxes[4 * row + 1] = boxes[4 * row + 2] = boxes[4 * row + 3] = (float)random_between(2, 4);
        }
        bench->heads[i] = (struct head_view){.scores = scores,
                                             .boxes = boxes,
                                             .landmarks = points,
                                             .score_cell = 2,
                                             .score_anchor = 1,
                                             .box_cell = 8,
                                             .box_anchor = 4,
                                             .landmark_cell = 20,
                                             .landmark_anchor = 10,
                                             .columns = side,
                                             .rows = side,
                                             .anchors = 2,
                                             .stride = stride};
    }
}

/* 5,000 boxes: around 60 centres (dense), or spread so wide that nearly all survive. */
static void crowd_make(struct bench *bench, bool dense) {
    bench->crowd_count = 5000;
    for (size_t i = 0; i < bench->crowd_count; i++) {
        double size = random_between(20, 60), x = random_between(0, 4000), y = random_between(0, 4000);
        if (dense) {
            x = (double)(i % 60) * 10 + random_between(0, 8);
            y = (double)(i * 7 % 60) * 10 + random_between(0, 8);
        }
        struct candidate *candidate = &bench->crowd[i];
        candidate->box[0] = (float)x;
        candidate->box[1] = (float)y;
        candidate->box[2] = (float)(x + size);
        candidate->box[3] = (float)(y + size);
        candidate->score = (float)random_between(0.02, 1);
        candidate->order = (uint32_t)i;
    }
}

static void bench_level(struct bench *bench, enum cpu_level level) {
    if (bench->ops->open(0, level, &bench->device, NULL) != FM_OK) {
        abort();
    }
    printf("%s\n", fm_cpu_level_name(level));
    image_make(bench, 1280, 886);
    bench->batch = batch_make(DTYPE_F32, 1, 640);
    measure("letterbox 1280x886 -> 640x443, f32", bench, run_letterbox);
    bench->batch = batch_make(DTYPE_U8, 1, 640);
    measure("letterbox 1280x886 -> 640x443, u8", bench, run_letterbox);
    measure("six crops of 112x112, f32", bench, run_warps);
    image_make(bench, 4352, 2903);
    measure("letterbox 4352x2903 -> 640x426, u8", bench, run_letterbox);
    image_make(bench, 250, 250);
    measure("letterbox 250x250 -> 640x640, u8", bench, run_letterbox);
    image_make(bench, 640, 640);
    measure("letterbox 640x640 as it is, u8", bench, run_letterbox);
    heads_make(bench);
    measure("decode of 16,800 rows (48 found) and nms", bench, run_decode);
    crowd_make(bench, true);
    measure("nms of 5,000 boxes, dense", bench, run_crowd);
    crowd_make(bench, false);
    measure("nms of 5,000 boxes, most survive", bench, run_crowd);
    measure("norm of 512 values", bench, run_norm);
    bench->ops->close(bench->device);
}

int bench_run(void) {
    enum cpu_level available[4];
    size_t count = available_levels(available);
    struct bench bench = {.ops = fm_device_row(0), .recipe = {.mean = 127.5F, .scale = 1.0F / 128.0F}};
    bench.crops = batch_make(DTYPE_F32, 6, 112);
    bench.candidates = room(5000 * sizeof *bench.candidates);
    bench.crowd = room(5000 * sizeof *bench.crowd);
    for (int i = 0; i < 512; i++) {
        bench.embedding[i] = (float)random_between(-1, 1);
    }
    printf("  %-44s %12s   %12s   (%d runs)\n", "", "median", "fastest", RUNS);
    for (size_t i = 0; i < count; i++) {
        bench_level(&bench, available[i]);
    }
    return bench.checksum > 0 ? 0 : 1;
}
