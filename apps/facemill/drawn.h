/* Pictures drawn by us, for self-tests and benchmarks on machines without any. Pure; whole numbers only, so that they
   are the same bytes everywhere. */
#ifndef FM_DRAWN_H
#define FM_DRAWN_H

#include "base/memory.h"

/* A soft background with `faces` schematic faces side by side into `rgb` (width * height * 3 bytes). Their landmarks
   into landmarks[0..faces) where it is not NULL. False when out of memory. */
FM_MUST_USE bool fm_drawn_picture(struct buffer *rgb, int width, int height, int faces, float landmarks[][5][2]);
fm_pixels fm_drawn_pixels(const struct buffer *rgb, int width, int height);

#endif
