/* Dot product, AVX-512: the sixteen partial sums are two registers of eight doubles. */
#include "kernels/dot.h"

#include <immintrin.h>

double fm_dot_avx512(const float *a, const float *b, size_t count) {
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    size_t i = 0;
    for (; i + FM_DOT_SUMS <= count; i += FM_DOT_SUMS) {
        low = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(a + i)), _mm512_cvtps_pd(_mm256_loadu_ps(b + i)), low);
        high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(a + i + 8)), _mm512_cvtps_pd(_mm256_loadu_ps(b + i + 8)),
                               high);
    }
    double sums[FM_DOT_SUMS];
    _mm512_storeu_pd(sums, low);
    _mm512_storeu_pd(sums + 8, high);
    return fm_dot_finish(sums, a, b, i, count);
}
