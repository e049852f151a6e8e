/* What the CPU can do: cpuid on x86 (with xgetbv: the operating system must save the wide registers too), the ELF
   auxiliary vector on aarch64. Asked afresh at every call, so that there is no state; any thread. */
#include "base/cpu.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

struct feature {
    const char *name;
    uint32_t leaf, subleaf; /* x86: of cpuid; aarch64: leaf 0 is AT_HWCAP, 1 is AT_HWCAP2 */
    int word, bit;          /* x86: word 0..3 is eax, ebx, ecx, edx */
    uint64_t state;         /* x86: bits of XCR0 without which the registers are not saved */
};

#if defined(__x86_64__) || defined(__i386__)

#define STATE_AVX UINT64_C(0x6)
#define STATE_AVX512 UINT64_C(0xE6)
#define STATE_AMX UINT64_C(0x60000)

static const struct feature features[] = {
    {"sse4.1", 1, 0, 2, 19, 0},
    {"avx2", 7, 0, 1, 5, STATE_AVX},
    {"fma", 1, 0, 2, 12, STATE_AVX},
    {"f16c", 1, 0, 2, 29, STATE_AVX},
    {"avx512f", 7, 0, 1, 16, STATE_AVX512},
    {"avx512bw", 7, 0, 1, 30, STATE_AVX512},
    {"avx512dq", 7, 0, 1, 17, STATE_AVX512},
    {"avx512vl", 7, 0, 1, 31, STATE_AVX512},
    {"avx512_vbmi", 7, 0, 2, 1, STATE_AVX512},
    {"avx512_vnni", 7, 0, 2, 11, STATE_AVX512},
    {"avx512_bf16", 7, 1, 0, 5, STATE_AVX512},
    {"avx512_fp16", 7, 0, 3, 23, STATE_AVX512},
    {"avx_vnni", 7, 1, 0, 4, STATE_AVX},
    {"amx_tile", 7, 0, 3, 24, STATE_AMX},
    {"amx_int8", 7, 0, 3, 25, STATE_AMX},
    {"amx_bf16", 7, 0, 3, 22, STATE_AMX},
    {"sha", 7, 0, 1, 29, 0},
};

static uint64_t saved_state(void) {
    uint32_t words[4] = {0};
    if (!__get_cpuid(1, &words[0], &words[1], &words[2], &words[3]) || (words[2] >> 27 & 1) == 0) {
        return 0;
    }
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has_feature(const struct feature *feature) {
    uint32_t words[4] = {0};
    if (!__get_cpuid_count(feature->leaf, feature->subleaf, &words[0], &words[1], &words[2], &words[3])) {
        return false;
    }
    return (words[feature->word] >> feature->bit & 1) != 0 && (saved_state() & feature->state) == feature->state;
}

static bool brand_string(char brand[49]) {
    uint32_t words[12];
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t *part = words + 4 * i;
        if (!__get_cpuid(0x80000002u + i, &part[0], &part[1], &part[2], &part[3])) {
            return false;
        }
    }
    memcpy(brand, words, sizeof words);
    brand[48] = '\0';
    return brand[strspn(brand, " ")] != '\0';
}

#elif defined(__aarch64__)

/* Bits of Linux' <asm/hwcap.h>. */
static const struct feature features[] = {
    {"neon", 0, 0, 0, 1, 0}, {"fp16", 0, 0, 0, 10, 0}, {"dotprod", 0, 0, 0, 20, 0}, {"sve", 0, 0, 0, 22, 0},
    {"sve2", 1, 0, 0, 1, 0}, {"i8mm", 1, 0, 0, 13, 0}, {"bf16", 1, 0, 0, 14, 0},    {"sha", 0, 0, 0, 6, 0},
};

static bool has_feature(const struct feature *feature) {
    struct os_cpu_bits bits = fm_cpu_bits();
    return ((feature->leaf == 0 ? bits.first : bits.second) >> feature->bit & 1) != 0;
}

static bool brand_string(char brand[49]) {
    (void)brand;
    return false;
}

#else

static const struct feature features[] = {{"", 0, 0, 0, 0, 0}};

static bool has_feature(const struct feature *feature) {
    (void)feature;
    return false;
}

static bool brand_string(char brand[49]) {
    (void)brand;
    return false;
}

#endif

#define FEATURE_COUNT (sizeof features / sizeof *features)

bool fm_cpu_has(const char *feature) {
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (strcmp(features[i].name, feature) == 0) {
            return has_feature(&features[i]);
        }
    }
    return false;
}

enum cpu_level fm_cpu_level(void) {
    if (fm_cpu_has("neon")) {
        return CPU_NEON;
    }
    if (!fm_cpu_has("avx2") || !fm_cpu_has("fma") || !fm_cpu_has("f16c")) {
        return CPU_SCALAR;
    }
    bool wide = fm_cpu_has("avx512f") && fm_cpu_has("avx512bw") && fm_cpu_has("avx512dq") && fm_cpu_has("avx512vl");
    return wide ? CPU_AVX512 : CPU_AVX2;
}

bool fm_cpu_level_masked(const char *mask, enum cpu_level *level) {
    enum cpu_level best = fm_cpu_level();
    mask = mask != NULL ? mask : fm_environment("FM_CPU_MASK");
    if (mask == NULL) {
        *level = best;
        return true;
    }
    for (enum cpu_level limit = CPU_SCALAR; limit <= CPU_NEON; limit++) {
        if (strcmp(mask, fm_cpu_level_name(limit)) == 0) {
            bool other_family = (limit == CPU_NEON) != (best == CPU_NEON);
            enum cpu_level lower = limit < best ? limit : best;
            *level = other_family ? CPU_SCALAR : lower;
            return true;
        }
    }
    return false;
}

const char *fm_cpu_level_name(enum cpu_level level) {
    switch (level) {
    case CPU_SCALAR:
        return "scalar";
    case CPU_AVX2:
        return "avx2";
    case CPU_AVX512:
        return "avx512";
    case CPU_NEON:
        return "neon";
    }
    return "unknown";
}

void fm_cpu_features(char *out, size_t size) {
    size_t length = 0;
    if (size > 0) {
        out[0] = '\0';
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (length < size && has_feature(&features[i])) {
            int added = snprintf(out + length, size - length, "%s%s", length > 0 ? " " : "", features[i].name);
            length += added > 0 ? (size_t)added : 0;
        }
    }
}

void fm_cpu_name(char *out, size_t size) {
    char brand[49];
    if (!brand_string(brand)) {
        fm_machine_name(out, size);
        return;
    }
    size_t length = strlen(brand);
    while (length > 0 && brand[length - 1] == ' ') {
        brand[--length] = '\0';
    }
    snprintf(out, size, "%s", brand + strspn(brand, " "));
}
