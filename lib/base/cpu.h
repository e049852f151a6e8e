/* What this CPU can do, for the dispatch table of the kernels and for `doctor`. */
#ifndef FM_BASE_CPU_H
#define FM_BASE_CPU_H

#include <facemill/facemill.h>

enum cpu_level { CPU_SCALAR = 0, CPU_AVX2 = 1, CPU_AVX512 = 2, CPU_NEON = 3 };

/* Highest level this CPU and operating system support (AVX2 means AVX2+FMA+F16C; AVX512 means F, BW, DQ, VL). */
enum cpu_level fm_cpu_level(void);
/* fm_cpu_level() limited by `mask` ("scalar", "avx2", "avx512", "neon"), or by FM_CPU_MASK when NULL. A level of
   another family of CPUs leaves scalar. An unknown mask is refused: false. */
FM_MUST_USE bool fm_cpu_level_masked(const char *mask, enum cpu_level *level);
const char *fm_cpu_level_name(enum cpu_level level);
/* By its name in fm_cpu_features; false for unknown names. */
bool fm_cpu_has(const char *feature);
/* Human list of features ("avx2 fma avx512f avx512_vnni ...") into `out`. */
void fm_cpu_features(char *out, size_t size);
void fm_cpu_name(char *out, size_t size); /* "Intel(R) Xeon(R) Processor" */

#endif
