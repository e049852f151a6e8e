/* Dot product of single-precision vectors, summed in double. Pure; any thread. */
#ifndef FM_KERNELS_DOT_H
#define FM_KERNELS_DOT_H

#include <stddef.h>

#define FM_DOT_SUMS 16

/* Element i goes to partial sum i % 16; then sums are folded in halves (s[k] += s[k + 8], + 4, + 2, + 1). A product of
   two floats is exact in double, so a fused multiply-add changes nothing and all instruction sets give the same bits.
 */
double fm_dot_c(const float *a, const float *b, size_t count);
double fm_dot_avx2(const float *a, const float *b, size_t count);
double fm_dot_avx512(const float *a, const float *b, size_t count);
double fm_dot_neon(const float *a, const float *b, size_t count);

/* The end shared by all: add elements from..count to the sums by the rule above, then fold. `from` is a multiple of 16.
 */
double fm_dot_finish(double sums[FM_DOT_SUMS], const float *a, const float *b, size_t from, size_t count);

#endif
