/* Greedy non-maximum suppression of candidates on the host. Only this folder includes this. */
#ifndef FM_DEVICE_NMS_H
#define FM_DEVICE_NMS_H

#include "device/device.h"
#include "kernels/kernels.h"

/* As device_ops.nms. When `scratch` cannot grow, the answer comes from fm_nms_in_place. */
size_t fm_nms(const struct kernels *kernels, struct candidate *candidates, size_t count, float threshold, bool plus_one,
              struct buffer *scratch);
/* The same answer without memory, slowly: heap sort, then every pair. It is what is left when memory is out, and what
   the tests hold against fm_nms. */
size_t fm_nms_in_place(const struct kernels *kernels, struct candidate *candidates, size_t count, float threshold,
                       bool plus_one);

#endif
