/* A test harness small enough to cross-compile: named tests, checks, seeded random numbers, and memory whose end lies
   against a forbidden page, so that a kernel that reads or writes one byte too far dies at once, also through a gather.
 */
#ifndef FM_TESTS_HARNESS_H
#define FM_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

struct test {
    const char *name;
    void (*run)(void);
};

/* Run all; lines are cmocka's ("[       OK ] name"), so that one script counts both. The process's exit code. */
int harness_run(const struct test *tests, size_t count);

/* Note a failed check of the running test (the first few are printed). */
void harness_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            harness_fail(__FILE__, __LINE__, __VA_ARGS__);                                                             \
        }                                                                                                              \
    } while (0)

/* `size` bytes ending at a forbidden page and preceded by a pattern, filled with `fill`. guarded_free checks the
 * pattern. */
void *guarded_alloc(size_t size, uint8_t fill);
void guarded_free(void *block, size_t size);

/* Random numbers of the running test; each test begins with the same seed. */
uint32_t random_bits(void);
int random_below(int limit);
double random_between(double low, double high);
void random_fill(uint8_t *bytes, size_t size);

/* Instruction sets to try, reference first: what this CPU has, limited by FM_CPU_MASK. Returns how many. */
size_t available_levels(enum cpu_level levels[4]);

#endif
