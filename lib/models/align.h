/* Alignment: the least-squares similarity transform (Umeyama 1991, closed form in the plane) from five landmarks to a
   template. Pure; double precision. */
#ifndef FM_MODELS_ALIGN_H
#define FM_MODELS_ALIGN_H

#include <facemill/facemill.h>

/* ArcFace's template for side 112; `side` a multiple of 112, or of 128 (RECIPES D2). False otherwise. */
FM_MUST_USE bool fm_align_template(int side, float points[5][2]);
/* m (2x3, row-major) maps image points onto template points. False when the landmarks coincide or are not finite. */
FM_MUST_USE bool fm_align_matrix(const float landmarks[5][2], const float template_points[5][2], double m[6]);

#endif
