/* Statistics of measured times. Pure. */
#ifndef FM_APPS_STATISTICS_H
#define FM_APPS_STATISTICS_H

#include <stddef.h>

/* Numbers of one kind, in the order they were measured. */
struct samples {
    double *values;
    size_t count;
};

struct figures {
    double mean, deviation, p50, p90, p99, least, most; /* p50 is the median; deviation that of a sample (n - 1) */
};

/* All zero without samples. Sorts the values. Percentiles lie linearly between the two nearest ranks. */
struct figures fm_samples_summarise(struct samples *samples);

#endif
