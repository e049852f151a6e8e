/* Progress: counters that the writer feeds and a thread that draws them four times a second. The total comes from a
   walk of its own over the inputs' names, so that the work does not wait for it. */
#include "progress.h"

#include <stdio.h>

#define REDRAW_NS 250000000u

static void draw(struct progress *progress) {
    double seconds = (double)(fm_clock_ns() - progress->start_ns) * 1e-9;
    double rate = seconds > 0 ? (double)progress->images / seconds : 0;
    fprintf(stderr, "\r\033[K%llu", (unsigned long long)progress->images);
    if (progress->total)
        fprintf(stderr, " of %llu", (unsigned long long)progress->total);
    fprintf(stderr, " images, %.1f/s", rate);
    if (progress->total > progress->images && rate > 0) {
        double left = (double)(progress->total - progress->images) / rate;
        fprintf(stderr, ", %d:%02d:%02d left", (int)(left / 3600), (int)(left / 60) % 60, (int)left % 60);
    }
    fprintf(stderr, ", %llu faces, %llu errors", (unsigned long long)progress->faces,
            (unsigned long long)progress->errors);
    fflush(stderr);
    progress->shown = true;
}

static void erase(struct progress *progress) {
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

static void progress_run(void *argument) {
    struct progress *progress = argument;
    uint64_t total = progress->count ? progress->count(progress->user) : 0;
    fm_mutex_lock(&progress->mutex);
    progress->total = total;
    while (!progress->quit) {
        draw(progress);
        uint64_t next_ns = fm_clock_ns() + REDRAW_NS;
        while (!progress->quit && fm_cond_wait_until(&progress->changed, &progress->mutex, next_ns))
            continue;
    }
    erase(progress);
    fm_mutex_unlock(&progress->mutex);
}

void fm_progress_init(struct progress *progress) {
    *progress = (struct progress){.start_ns = fm_clock_ns()};
    fm_mutex_init(&progress->mutex);
    fm_cond_init(&progress->changed);
}

void fm_progress_start(struct progress *progress, uint64_t (*count)(void *user), void *user) {
    progress->start_ns = fm_clock_ns();
    progress->count = count;
    progress->user = user;
    progress->running = fm_thread_start(&progress->thread, "progress", progress_run, progress);
}

void fm_progress_add(struct progress *progress, size_t faces, bool error) {
    fm_mutex_lock(&progress->mutex);
    progress->images++;
    progress->faces += faces;
    progress->errors += error;
    fm_mutex_unlock(&progress->mutex);
}

void fm_progress_hide(struct progress *progress) {
    fm_mutex_lock(&progress->mutex);
    erase(progress);
    fm_mutex_unlock(&progress->mutex);
}

void fm_progress_stop(struct progress *progress) {
    if (!progress->running)
        return;
    fm_mutex_lock(&progress->mutex);
    progress->quit = true;
    fm_cond_signal(&progress->changed);
    fm_mutex_unlock(&progress->mutex);
    fm_thread_join(&progress->thread);
    progress->running = false;
}

void fm_progress_reset(struct progress *progress) {
    fm_cond_reset(&progress->changed);
    fm_mutex_reset(&progress->mutex);
}

void fm_progress_log(fm_log_level level, const char *component, const char *message, void *user) {
    static const char *const names[] = {"", "debug", "info", "warn", "error", "off"};
    struct progress *progress = user;
    fm_mutex_lock(&progress->mutex);
    erase(progress);
    fprintf(stderr, "facemill: %s: %s: %s\n", names[level], component, message);
    fm_mutex_unlock(&progress->mutex);
}
