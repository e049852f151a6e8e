/* What every kind of device shares: the head of its struct. Only this folder includes this. */
#ifndef FM_DEVICE_ROW_H
#define FM_DEVICE_ROW_H

#include "device/device.h"

struct device {
    const struct device_ops *ops;
    enum cpu_level level;
};

extern const struct device_ops fm_device_cpu;

#endif
