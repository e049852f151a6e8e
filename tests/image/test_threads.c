/* Concurrency: four threads decode all samples at once; each must see what one thread alone saw. */
#include "samples.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 3, MAX_SAMPLES = 40 };

struct reference {
    struct sample sample;
    struct image image;
};

struct worker {
    const struct reference *references;
    size_t first; /* each thread starts elsewhere, so that different codecs run side by side */
    int differences;
    struct os_thread thread;
};

static void run(void *argument) {
    struct worker *worker = argument;
    struct image image = {0};
    size_t count = 0;
    while (worker->references[count].sample.name)
        count++;
    for (size_t i = 0; i < ROUNDS * count; i++) {
        const struct reference *reference = &worker->references[(worker->first + i) % count];
        const struct buffer *file = &reference->sample.file;
        if (fm_image_read(&image, file->bytes, file->size, "thread", NULL, NULL) ||
            image.rgb.size != reference->image.rgb.size ||
            memcmp(image.rgb.bytes, reference->image.rgb.bytes, image.rgb.size))
            worker->differences++;
    }
    fm_image_reset(&image);
}

static void test_threads_agree(void **state) {
    (void)state;
    static struct reference references[MAX_SAMPLES];
    struct worker workers[THREADS];
    size_t count = 0;
    while (sample_make(count, &references[count].sample), references[count].sample.name) {
        struct buffer *file = &references[count].sample.file;
        assert_int_equal(fm_image_read(&references[count].image, file->bytes, file->size, "alone", NULL, NULL), FM_OK);
        assert_true(++count < MAX_SAMPLES);
    }
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.references = references, .first = i * count / THREADS};
        assert_true(fm_thread_start(&workers[i].thread, "decode", run, &workers[i]));
    }
    for (size_t i = 0; i < THREADS; i++) {
        fm_thread_join(&workers[i].thread);
        assert_int_equal(workers[i].differences, 0);
    }
    for (size_t i = 0; i < count; i++) {
        fm_image_reset(&references[i].image);
        fm_buffer_reset(&references[i].sample.file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_agree)};
    return cmocka_run_group_tests_name("image threads", tests, NULL, NULL);
}
