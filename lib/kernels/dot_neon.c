/* Dot product, NEON: the sixteen partial sums are eight registers of two doubles. */
#include "kernels/dot.h"

#include <arm_neon.h>

double fm_dot_neon(const float *a, const float *b, size_t count) {
    float64x2_t parts[8];
    for (int part = 0; part < 8; part++) {
        parts[part] = vdupq_n_f64(0.0);
    }
    size_t i = 0;
    for (; i + FM_DOT_SUMS <= count; i += FM_DOT_SUMS) {
        for (int part = 0; part < 8; part++) {
            parts[part] = vfmaq_f64(parts[part], vcvt_f64_f32(vld1_f32(a + i + 2 * part)),
                                    vcvt_f64_f32(vld1_f32(b + i + 2 * part)));
        }
    }
    double sums[FM_DOT_SUMS];
    for (int part = 0; part < 8; part++) {
        vst1q_f64(sums + 2 * part, parts[part]);
    }
    return fm_dot_finish(sums, a, b, i, count);
}
