/* Statistics of measured times: mean, deviation, percentiles. Pure. */
#include "statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare_values(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct samples *samples, double share) {
    double rank = share * (double)(samples->count - 1), low = floor(rank);
    size_t at = (size_t)low;
    if (at + 1 >= samples->count)
        return samples->values[samples->count - 1];
    return samples->values[at] + (rank - low) * (samples->values[at + 1] - samples->values[at]);
}

struct figures fm_samples_summarise(struct samples *samples) {
    struct figures figures = {0};
    double squares = 0;
    if (samples->count == 0)
        return figures;
    for (size_t i = 0; i < samples->count; i++)
        figures.mean += samples->values[i] / (double)samples->count;
    for (size_t i = 0; i < samples->count; i++)
        squares += (samples->values[i] - figures.mean) * (samples->values[i] - figures.mean);
    figures.deviation = samples->count > 1 ? sqrt(squares / (double)(samples->count - 1)) : 0;
    qsort(samples->values, samples->count, sizeof *samples->values, compare_values);
    figures.p50 = percentile(samples, 0.5);
    figures.p90 = percentile(samples, 0.9);
    figures.p99 = percentile(samples, 0.99);
    figures.least = samples->values[0];
    figures.most = samples->values[samples->count - 1];
    return figures;
}
