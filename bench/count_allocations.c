/* Counts allocations by the library that asks for them. Our own count per image is tested to be 0 (tests/engine/
   test_allocations.c); this shows what the codecs and the runtime do meanwhile:

     cc -O2 -shared -fPIC -o build/count_allocations.so bench/count_allocations.c -ldl
     LD_PRELOAD=build/count_allocations.so facemill analyze ... picture.jpg

   Twice with one and with more copies of the pictures; the difference per image is what counts. Prints to standard
   error when the program ends. A tool, not a part of the product. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MODULES 64

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static struct {
    _Atomic(void *) base;
    const char *name;
    atomic_ulong count;
} modules[MODULES];

static void count(void *caller) {
    Dl_info info;
    if (!dladdr(caller, &info))
        return;
    for (int i = 0; i < MODULES; i++) {
        void *expected = NULL;
        if (atomic_compare_exchange_strong(&modules[i].base, &expected, info.dli_fbase))
            modules[i].name = info.dli_fname;
        if (!expected || expected == info.dli_fbase) {
            atomic_fetch_add(&modules[i].count, 1);
            return;
        }
    }
}

void *malloc(size_t size) {
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(__builtin_return_address(0));
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
    count(__builtin_return_address(0));
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    count(__builtin_return_address(0));
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : 12;
}

__attribute__((destructor)) static void report(void) {
    for (int i = 0; i < MODULES && modules[i].name; i++)
        fprintf(stderr, "%10lu %s\n", atomic_load(&modules[i].count), modules[i].name);
}
