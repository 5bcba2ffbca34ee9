#include "clock.h"

#include "histogram.h"

enum { CALIBRATION_NANOSECONDS = 20 * 1000 * 1000, TRIALS = 10000 };

double bench_nanoseconds_per_tick(void)
{
    uint64_t ticks = bench_ticks(), since = bench_nanoseconds(), passed = 0;

    while (passed < CALIBRATION_NANOSECONDS)
        passed = bench_nanoseconds() - since;
    return (double)passed / (double)(bench_ticks() - ticks);
}

uint64_t bench_usual_ticks(void)
{
    static struct bench_histogram differences;

    for (unsigned i = 0; i < TRIALS; i++) {
        uint64_t from = bench_ticks();

        bench_histogram_add(&differences, bench_ticks() - from);
    }
    return bench_histogram_quantile(&differences, 0.5);
}
