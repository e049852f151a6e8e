/* bench's statistics against numbers worked out by hand. */
#include "statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(double value, double wanted) {
    assert_true(fabs(value - wanted) < 1e-12);
}

static void known_samples(void **state) {
    (void)state;
    double values[] = {4, 1, 3, 2, 10};
    struct samples samples = {values, 5};
    const struct figures figures = fm_samples_summarise(&samples);
    expect(figures.mean, 4);
    expect(figures.deviation, sqrt(12.5)); /* squares 0 + 9 + 1 + 4 + 36 over 4 */
    expect(figures.p50, 3);
    expect(figures.p90, 4 + 0.6 * 6); /* rank 3.6 */
    expect(figures.p99, 4 + 0.96 * 6);
    expect(figures.least, 1);
    expect(figures.most, 10);
}

static void one_sample_and_none(void **state) {
    (void)state;
    double value = 7;
    struct samples samples = {&value, 1};
    struct figures figures = fm_samples_summarise(&samples);
    expect(figures.mean + figures.p50 + figures.p99, 21);
    expect(figures.deviation, 0);
    samples.count = 0;
    figures = fm_samples_summarise(&samples);
    expect(figures.mean + figures.p50 + figures.most, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_samples), cmocka_unit_test(one_sample_and_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
