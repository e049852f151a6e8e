/* Dot product, AVX2: the sixteen partial sums are four registers of four doubles. */
#include "kernels/dot.h"

#include <immintrin.h>

double fm_dot_avx2(const float *a, const float *b, size_t count) {
    __m256d parts[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
    size_t i = 0;
    for (; i + FM_DOT_SUMS <= count; i += FM_DOT_SUMS) {
        for (int part = 0; part < 4; part++) {
            parts[part] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(a + i + 4 * part)),
                                          _mm256_cvtps_pd(_mm_loadu_ps(b + i + 4 * part)), parts[part]);
        }
    }
    double sums[FM_DOT_SUMS];
    for (int part = 0; part < 4; part++) {
        _mm256_storeu_pd(sums + 4 * part, parts[part]);
    }
    return fm_dot_finish(sums, a, b, i, count);
}
