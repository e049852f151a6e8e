/* Dot product, reference. */
#include "kernels/dot.h"

double fm_dot_finish(double sums[FM_DOT_SUMS], const float *a, const float *b, size_t from, size_t count) {
    for (size_t i = from; i < count; i++) {
        sums[i % FM_DOT_SUMS] += (double)a[i] * (double)b[i];
    }
    for (size_t half = FM_DOT_SUMS / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            sums[i] += sums[i + half];
        }
    }
    return sums[0];
}

double fm_dot_c(const float *a, const float *b, size_t count) {
    double sums[FM_DOT_SUMS] = {0};
    return fm_dot_finish(sums, a, b, 0, count);
}
