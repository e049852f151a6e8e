/* Damage: some 500 broken variants of generated files and as many of real ones (of drawn ones, where there are none),
   each of which must end within two seconds, inside a memory limit, in a result or in an error with words. One process:
   a crash fails the test, a leak fails it under LeakSanitizer. */
#include "samples.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10, CHECK_MEMORY = 0 }; /* sanitizers cost time and keep freed memory */
#else
enum { SLOWER = 1, CHECK_MEMORY = 1 };
#endif
#define MAX_NS (UINT64_C(2000000000) * SLOWER)
/* 150 million pixels are 450 MB of ours; the codecs hold at most about as much again. */
#define MAX_PEAK (UINT64_C(2) << 30)
enum { GENERATED = 20, REAL = 20, VARIANTS = 25, WANTED = 500 };

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void flip_bits(struct buffer *file, uint32_t *seed, size_t from, size_t to, int count) {
    for (int i = 0; i < count; i++)
        file->bytes[from + next_random(seed) % (to - from)] ^= (uint8_t)(1u << next_random(seed) % 8);
}

/* Lengths, sizes and offsets stand in the first kilobyte: extreme values over any four bytes there. */
static void overwrite_field(struct buffer *file, uint32_t *seed, size_t head) {
    static const uint8_t values[][4] = {{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0},      {0x7f, 0xff, 0xff, 0xff},
                                        {0, 0, 0x75, 0x30},       {0, 0, 0, 1},      {0x80, 0, 0, 0},
                                        {0x30, 0x75, 0, 0},       {0xff, 0xff, 0, 0}};
    memcpy(file->bytes + next_random(seed) % (head - 4), values[next_random(seed) % 8], 4);
}

static void move_block(struct buffer *file, uint32_t *seed) {
    size_t size = 1 + next_random(seed) % (file->size / 4);
    size_t from = next_random(seed) % (file->size - size), to = next_random(seed) % (file->size - size);
    memmove(file->bytes + to, file->bytes + from, size);
}

static void damage(struct buffer *file, int variant, uint32_t *seed) {
    size_t head = file->size < 1024 ? file->size : 1024;
    switch (variant % 6) {
    case 0:
        flip_bits(file, seed, 4, file->size, 1 + variant);
        break;
    case 1:
        flip_bits(file, seed, 4, head, 1 + variant / 2);
        break;
    case 2:
        overwrite_field(file, seed, head);
        break;
    case 3:
        file->size = 12 + next_random(seed) % (file->size - 12);
        break;
    case 4:
        move_block(file, seed);
        break;
    default:
        for (int i = 0; i < 4; i++)
            overwrite_field(file, seed, head < 200 ? head : 200);
        flip_bits(file, seed, file->size / 2, file->size, 8);
    }
}

struct tally {
    int read, failed;
    uint64_t slowest_ns;
};

static void try_file(struct image *image, const struct buffer *file, const char *name, bool accept,
                     struct tally *tally) {
    const fm_limits limits = {.struct_size = sizeof limits, .accept_truncated = accept};
    fm_error error = {0};
    uint64_t start = fm_clock_ns();
    fm_status status = fm_image_read(image, file->bytes, file->size, name, &limits, &error);
    uint64_t taken = fm_clock_ns() - start;
    tally->slowest_ns = taken > tally->slowest_ns ? taken : tally->slowest_ns;
    if (taken > MAX_NS)
        fail_msg("%s took %.1f s (status %d)", name, (double)taken / 1e9, (int)status);
    if (status) {
        assert_int_equal(error.status, status);
        assert_non_null(strstr(error.message, name));
        assert_true(status == FM_BAD_IMAGE || status == FM_TRUNCATED || status == FM_LIMIT ||
                    status == FM_UNSUPPORTED || status == FM_OUT_OF_MEMORY);
        tally->failed++;
    } else {
        assert_true(image->rgb.size == (size_t)image->width * (size_t)image->height * 3 && image->rgb.size > 0);
        tally->read++;
    }
}

static void try_variants(const struct buffer *whole, const char *name, uint32_t seed, struct tally *tally) {
    struct buffer file = {0};
    struct image image = {0};
    for (int variant = 0; variant < VARIANTS; variant++) {
        char label[96];
        file.size = 0;
        sample_append(&file, whole->bytes, whole->size);
        damage(&file, variant, &seed);
        snprintf(label, sizeof label, "%s-%d", name, variant);
        try_file(&image, &file, label, variant & 8, tally);
    }
    fm_image_reset(&image);
    fm_buffer_reset(&file);
}

static bool load_shared(const char *path, struct buffer *file) {
    const char *folder = fm_environment("FM_SHARED");
    fm_error error = {0};
    char whole[4096];
    return fm_path_join(whole, sizeof whole, folder ? folder : FM_DEFAULT_SHARED, path) &&
           fm_file_read(whole, UINT64_C(1) << 28, file, &error) == FM_OK;
}

static void check_tally(const struct tally *tally) {
    const uint64_t peak = fm_memory_figures().process_peak;
    print_message("%d variants: %d decoded, %d refused, slowest %.0f ms, peak memory %.0f MiB\n",
                  tally->read + tally->failed, tally->read, tally->failed, (double)tally->slowest_ns / 1e6,
                  (double)peak / 1048576.0);
    assert_true(tally->failed > (tally->read + tally->failed) / 3);
    if (CHECK_MEMORY)
        assert_true(peak < MAX_PEAK);
}

static void test_damaged_generated_files(void **state) {
    (void)state;
    struct tally tally = {0};
    struct sample sample;
    int files = 0;
    for (; files < GENERATED && (sample_make((size_t)files, &sample), sample.name); files++) {
        char name[32];
        snprintf(name, sizeof name, "%s%d", sample.name, files);
        try_variants(&sample.file, name, (uint32_t)files + 1, &tally);
        fm_buffer_reset(&sample.file);
    }
    assert_int_equal(tally.read + tally.failed, files * VARIANTS);
    check_tally(&tally);
}

/* Cameras, phones, the web; every format. */
static const char *const real[REAL] = {"formats/IMG_2682.heic",
                                       "formats/8bit-sRGB.avif",
                                       "formats/denali.webp",
                                       "formats/data_crop_no_face.png",
                                       "formats/density_plot.png",
                                       "photos/tests_test_images_32bit.png",
                                       "formats/data_rotate_rot_90.jpg",
                                       "orientation/Portrait_6.jpg",
                                       "orientation/Portrait_8.jpg",
                                       "orientation/portrait-orientation-6.jpg",
                                       "liveness/real_1.jpeg",
                                       "liveness/fake_5.jpeg",
                                       "liveness/image_T1.jpg",
                                       "mesonet/real/real00240.jpg",
                                       "mesonet/df/df00204.jpg",
                                       "photos/dogs.jpg",
                                       "photos/t1.jpg",
                                       "photos/2007_007763.jpg",
                                       "photos/selfie-many-people.jpg",
                                       "photos/examples_obama2.jpg"};

/* The pictures of draw_pictures.py, each several times with other damage. 0 when they were not drawn, which is said. */
static int try_drawn(struct tally *tally) {
    static const char *const names[] = {"turned.jpg", "small.png", "three.png", "one.png", "portrait.png"};
    for (int i = 0; i < REAL; i++) {
        struct buffer file = {0};
        fm_error error = {0};
        char path[4096];
        assert_true(fm_path_join(path, sizeof path, TEST_DRAWN, names[i % 5]));
        if (fm_file_read(path, UINT64_C(1) << 28, &file, &error) != FM_OK) {
            print_message("skipped: %s\n", error.message);
            return 0;
        }
        try_variants(&file, names[i % 5], 200 + (uint32_t)i, tally);
        fm_buffer_reset(&file);
    }
    return REAL;
}

static void test_damaged_real_files(void **state) {
    (void)state;
    struct tally tally = {0};
    int files = 0;
    for (int i = 0; i < REAL; i++) {
        struct buffer file = {0};
        char path[128];
        snprintf(path, sizeof path, "images/%s", real[i]);
        if (load_shared(path, &file)) {
            try_variants(&file, real[i], 100 + (uint32_t)i, &tally);
            files++;
        }
        fm_buffer_reset(&file);
    }
    if (files == 0) {
        print_message("without FM_SHARED's photographs: drawn pictures alone\n");
        files = try_drawn(&tally);
    }
    if (files == 0)
        skip();
    assert_int_equal(files, REAL);
    assert_true(tally.read + tally.failed >= WANTED);
    check_tally(&tally);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_generated_files),
                                       cmocka_unit_test(test_damaged_real_files)};
    return cmocka_run_group_tests_name("image corrupt", tests, NULL, NULL);
}
