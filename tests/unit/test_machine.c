/* os.h and cpu.h: cores, control groups (in planted trees), memory, libraries, CPU levels and their mask. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "base/cpu.h"
#include "base/os.h"
#include "base/os_posix.h"

#include "unit.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char folder[OS_PATH_SIZE];
};

static int make_place(void **state) {
    static struct place place;
    *state = &place;
    return fm_temporary_folder(place.folder, sizeof place.folder) ? 0 : -1;
}

static int remove_place(void **state) {
    fm_folder_remove(((struct place *)*state)->folder);
    return 0;
}

static void plant(const struct place *place, const char *folder, const char *name, const char *words) {
    char path[OS_PATH_SIZE], file[OS_PATH_SIZE];
    assert_true(fm_path_join(path, sizeof path, place->folder, folder));
    assert_int_equal(fm_folder_make(path, NULL), FM_OK);
    assert_true(fm_path_join(file, sizeof file, path, name));
    assert_int_equal(fm_file_write(file, words, strlen(words), NULL), FM_OK);
}

static int cores_for(const struct place *place, const char *membership) {
    char file[OS_PATH_SIZE];
    assert_true(fm_path_join(file, sizeof file, place->folder, "cgroup"));
    assert_int_equal(fm_file_write(file, membership, strlen(membership), NULL), FM_OK);
    return fm_cgroup_cores(file, place->folder);
}

static void test_control_groups_2(void **state) {
    struct place *place = *state;
    plant(place, "a", "cpu.max", "250000 100000\n");
    plant(place, "a/b", "cpu.max", "max 100000\n");
    plant(place, "a/c", "cpu.max", "100000 100000\n");
    plant(place, "odd", "cpu.max", "garbage\n");
    plant(place, "nul", "cpu.max", "5 0\n");
    plant(place, "tiny", "cpu.max", "1000 100000\n");
    assert_int_equal(cores_for(place, "0::/a\n"), 3); /* 2.5 rounded up */
    assert_int_equal(cores_for(place, "0::/a/b\n"), 3);
    assert_int_equal(cores_for(place, "0::/a/c\n"), 1);
    assert_int_equal(cores_for(place, "0::/a/gone/deep\n"), 3);
    assert_int_equal(cores_for(place, "0::/odd\n"), 0);
    assert_int_equal(cores_for(place, "0::/nul\n"), 0);
    assert_int_equal(cores_for(place, "0::/tiny\n"), 1);
    assert_int_equal(cores_for(place, "0::/\n"), 0);
    plant(place, "", "cpu.max", "400000 100000\n"); /* a container that sees its own group as the root */
    assert_int_equal(cores_for(place, "0::/\n"), 4);
    assert_int_equal(cores_for(place, "0::/unknown"), 4);
    assert_int_equal(cores_for(place, ""), 0);
    assert_int_equal(cores_for(place, "nonsense\n:\n"), 0);
}

static void test_control_groups_1(void **state) {
    struct place *place = *state;
    plant(place, "cpu,cpuacct/docker/x", "cpu.cfs_quota_us", "150000\n");
    plant(place, "cpu,cpuacct/docker/x", "cpu.cfs_period_us", "100000\n");
    plant(place, "cpu,cpuacct", "cpu.cfs_quota_us", "-1\n");
    plant(place, "cpu,cpuacct", "cpu.cfs_period_us", "100000\n");
    plant(place, "cpuset/docker/x", "cpu.cfs_quota_us", "1\n");
    plant(place, "cpuset/docker/x", "cpu.cfs_period_us", "1\n");
    assert_int_equal(cores_for(place, "9:cpuset:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n"), 2);
    assert_int_equal(cores_for(place, "9:cpuset:/docker/x\n4:cpu,cpuacct:/\n"), 0);
    assert_int_equal(fm_cgroup_cores("/nonexistent", place->folder), 0);
}

static void test_cores_follow_affinity(void **state) {
    (void)state;
    cpu_set_t before, one;
    assert_true(fm_core_count() >= 1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(fm_core_count() <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(fm_core_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void test_memory_figures(void **state) {
    (void)state;
    struct os_memory before = fm_memory_figures();
    assert_true(before.total > (uint64_t)64 << 20);
    assert_true(before.available > 0 && before.available <= before.total);
    assert_true(before.process > 100000 && before.process <= before.process_peak);
    size_t size = (size_t)64 << 20;
    unsigned char *block = fm_alloc_aligned(size);
    assert_non_null(block);
    memset(block, 1, size);
    struct os_memory after = fm_memory_figures();
    assert_true(after.process >= before.process + size / 2);
    fm_free_aligned(block);
    assert_true(fm_memory_figures().process_peak >= before.process + size / 2);
}

static void test_libraries(void **state) {
    (void)state;
    void *library = NULL;
    fm_error error = {0};
    assert_int_equal(fm_library_open("/nonexistent/libnone.so", &library, &error), FM_NOT_FOUND);
    assert_null(library);
    assert_non_null(strstr(error.message, "/nonexistent/libnone.so"));
    assert_int_equal(fm_library_open("libm.so.6", &library, NULL), FM_OK);
    assert_non_null(fm_library_symbol(library, "cos"));
    assert_null(fm_library_symbol(library, "no_such_symbol"));
    fm_library_close(library);
    fm_library_close(NULL);
}

static void test_terminal(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(fm_is_terminal(ends[0]));
    assert_int_equal(fm_terminal_width(ends[0]), 80);
    assert_false(fm_is_terminal(-1));
    close(ends[0]);
    close(ends[1]);
}

static void test_cpu_level_and_features_agree(void **state) {
    (void)state;
    char features[512], name[64], tiny[3];
    enum cpu_level level = fm_cpu_level();
    fm_cpu_features(features, sizeof features);
    assert_int_equal(level == CPU_AVX512 || level == CPU_AVX2,
                     strstr(features, "avx2") && strstr(features, "fma") && strstr(features, "f16c"));
    assert_int_equal(level == CPU_NEON, strstr(features, "neon") != NULL);
    if (level == CPU_AVX512) {
        assert_non_null(strstr(features, "avx512bw avx512dq avx512vl"));
    }
    fm_cpu_features(tiny, sizeof tiny);
    assert_true(strlen(tiny) < sizeof tiny);
    fm_cpu_name(name, sizeof name);
    assert_true(strlen(name) > 0);
#if defined(__x86_64__) && defined(__GNUC__)
    assert_int_equal(level != CPU_SCALAR, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(level == CPU_AVX512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
#endif
}

static void test_cpu_mask(void **state) {
    (void)state;
    enum cpu_level level = CPU_SCALAR, best = fm_cpu_level();
    unsetenv("FM_CPU_MASK");
    assert_true(fm_cpu_level_masked(NULL, &level));
    assert_int_equal(level, best);
    assert_true(fm_cpu_level_masked("scalar", &level));
    assert_int_equal(level, CPU_SCALAR);
    assert_true(fm_cpu_level_masked(fm_cpu_level_name(best), &level));
    assert_int_equal(level, best);
    assert_true(fm_cpu_level_masked(best == CPU_NEON ? "avx512" : "neon", &level)); /* another family's */
    assert_int_equal(level, CPU_SCALAR);
    if (best == CPU_AVX512) {
        assert_true(fm_cpu_level_masked("avx2", &level));
        assert_int_equal(level, CPU_AVX2);
    } else if (best == CPU_AVX2) {
        assert_true(fm_cpu_level_masked("avx512", &level));
        assert_int_equal(level, CPU_AVX2);
    }
    level = CPU_AVX2;
    assert_false(fm_cpu_level_masked("sse9", &level));
    assert_false(fm_cpu_level_masked("", &level));
    setenv("FM_CPU_MASK", "scalar", 1);
    assert_true(fm_cpu_level_masked(NULL, &level));
    assert_int_equal(level, CPU_SCALAR);
    setenv("FM_CPU_MASK", "AVX2", 1);
    assert_false(fm_cpu_level_masked(NULL, &level));
    unsetenv("FM_CPU_MASK");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_control_groups_2, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_control_groups_1, make_place, remove_place),
        cmocka_unit_test(test_cores_follow_affinity),
        cmocka_unit_test(test_memory_figures),
        cmocka_unit_test(test_libraries),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_cpu_level_and_features_agree),
        cmocka_unit_test(test_cpu_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
