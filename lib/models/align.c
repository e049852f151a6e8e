/* Align: the similarity transform (rotation, uniform scale, shift) that brings five landmarks closest to a template in
   the least-squares sense: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
   IEEE PAMI 13 (1991). In the plane no singular value decomposition is needed. Pure; any thread. */
#include "models/align.h"

#include <math.h>
#include <stddef.h>

#define POINTS 5

/* ArcFace's template for a crop of side 112, single precision as its authors store it (RECIPES D2). */
static const float template_112[POINTS][2] = {
    {38.2946f, 51.6963f}, {73.5318f, 51.5014f}, {56.0252f, 71.7366f}, {41.5493f, 92.3655f}, {70.7299f, 92.2041f}};

bool fm_align_template(int side, float points[POINTS][2]) {
    bool of_112 = side > 0 && side % 112 == 0;
    if (!of_112 && (side <= 0 || side % 128 != 0)) {
        return false;
    }
    /* The 128 layout is the 112 one with 8 pixels more on either side of x and 16 below. */
    float ratio = (float)side / (of_112 ? 112.0f : 128.0f);
    float shift = of_112 ? 0.0f : 8.0f * ratio;
    for (int i = 0; i < POINTS; i++) {
        points[i][0] = template_112[i][0] * ratio + shift;
        points[i][1] = template_112[i][1] * ratio;
    }
    return true;
}

static void mean_of(const float points[POINTS][2], double mean[2]) {
    mean[0] = mean[1] = 0.0;
    for (int i = 0; i < POINTS; i++) {
        mean[0] += (double)points[i][0] / POINTS;
        mean[1] += (double)points[i][1] / POINTS;
    }
}

/* With C = sum of (to - mean)(from - mean)^T the best proper rotation maximises trace(R^T C) = (C00 + C11) cos + (C10 -
   C01) sin, so its cosine and sine are those two sums over their length. Umeyama's sign correction when det C < 0 picks
   the same rotation: the length is then the difference of C's singular values instead of their sum, which is what he
   divides by the variance to get the scale. So scale * cos and scale * sin are the sums over the variance, reflection
   or not. */
bool fm_align_matrix(const float landmarks[POINTS][2], const float template_points[POINTS][2], double m[6]) {
    double from_mean[2], to_mean[2], variance = 0.0, along = 0.0, across = 0.0;
    mean_of(landmarks, from_mean);
    mean_of(template_points, to_mean);
    for (int i = 0; i < POINTS; i++) {
        double x = (double)landmarks[i][0] - from_mean[0], y = (double)landmarks[i][1] - from_mean[1];
        double u = (double)template_points[i][0] - to_mean[0], v = (double)template_points[i][1] - to_mean[1];
        variance += x * x + y * y;
        along += u * x + v * y;  /* C00 + C11 */
        across += v * x - u * y; /* C10 - C01 */
    }
    double cosine = along / variance, sine = across / variance;
    if (!isfinite(cosine) || !isfinite(sine) || (cosine == 0.0 && sine == 0.0)) {
        return false;
    }
    m[0] = cosine;
    m[1] = -sine;
    m[2] = to_mean[0] - cosine * from_mean[0] + sine * from_mean[1];
    m[3] = sine;
    m[4] = cosine;
    m[5] = to_mean[1] - sine * from_mean[0] - cosine * from_mean[1];
    return isfinite(m[2]) && isfinite(m[5]);
}
