/* The harness of the kernel and device tests; see harness.h. One thread. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kernels.h"

#define PATTERN 0xA5
#define PRINTED_FAILURES 5

static int failures_of_test;
static uint64_t random_state;

void harness_fail(const char *file, int line, const char *format, ...) {
    if (failures_of_test++ >= PRINTED_FAILURES) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("    %s:%d: ", file, line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

/* An instruction set that cannot be tried here is a skipped test, not a silent one. */
static void print_missing_levels(void) {
    enum cpu_level available[4];
    size_t count = available_levels(available);
    for (int level = CPU_SCALAR; level <= CPU_NEON; level++) {
        bool tried = fm_kernels((enum cpu_level)level)->level != (enum cpu_level)level; /* of another architecture */
        for (size_t i = 0; i < count; i++) {
            tried = tried || available[i] == (enum cpu_level)level;
        }
        if (!tried) {
            printf("this CPU does not have it, or FM_CPU_MASK leaves it out\n[  SKIPPED ] kernels on %s\n",
                   fm_cpu_level_name((enum cpu_level)level));
        }
    }
}

int harness_run(const struct test *tests, size_t count) {
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not swallow the name of its test */
    for (size_t i = 0; i < count; i++) {
        failures_of_test = 0;
        random_state = 0x9E3779B97F4A7C15U;
        tests[i].run();
        printf("%s %s\n", failures_of_test == 0 ? "[       OK ]" : "[  FAILED  ]", tests[i].name);
        failed += failures_of_test != 0;
    }
    print_missing_levels();
    printf("%zu passed, %d failed\n", count - (size_t)failed, failed);
    return failed != 0;
}

static size_t mapping_size(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page + 2 * page; /* one page before for the pattern, one behind forbidden */
}

void *guarded_alloc(size_t size, uint8_t fill) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = mapping_size(size);
    uint8_t *mapping = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping + whole - page, page, PROT_NONE) != 0) {
        perror("guarded memory");
        exit(2);
    }
    uint8_t *block = mapping + whole - page - size;
    memset(mapping, PATTERN, (size_t)(block - mapping));
    memset(block, fill, size);
    return block;
}

void guarded_free(void *block, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = mapping_size(size);
    uint8_t *mapping = (uint8_t *)block + size + page - whole;
    for (const uint8_t *guard = mapping; guard < (const uint8_t *)block; guard++) {
        if (*guard != PATTERN) {
            CHECK(false, "a byte %td before a block of %zu bytes was written", (const uint8_t *)block - guard, size);
            break;
        }
    }
    munmap(mapping, whole);
}

uint32_t random_bits(void) {
    random_state = random_state * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX constants */
    return (uint32_t)(random_state >> 32);
}

int random_below(int limit) {
    return (int)(random_bits() % (uint32_t)limit);
}

double random_between(double low, double high) {
    return low + (high - low) * ((double)random_bits() / 4294967296.0);
}

void random_fill(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(random_bits() >> 8);
    }
}

size_t available_levels(enum cpu_level levels[4]) {
    const enum cpu_level all[4] = {CPU_SCALAR, CPU_AVX2, CPU_AVX512, CPU_NEON};
    enum cpu_level top = CPU_SCALAR;
    size_t count = 0;
    if (!fm_cpu_level_masked(NULL, &top)) {
        printf("FM_CPU_MASK names no instruction set of this program\n");
        exit(2);
    }
    for (size_t i = 0; i < 4; i++) {
        bool of_this_machine = fm_kernels(all[i])->level == all[i];
        if (of_this_machine && all[i] <= top) {
            levels[count++] = all[i];
        }
    }
    return count;
}
