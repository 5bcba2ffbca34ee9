/*
 * histogram: how long calls took, in ticks: 32 buckets for each doubling, exact below 64. What a bucket stands for is
 * its middle, which is within 1/64 of every number in it.
 *
 *     bucket   0 ... 63  |  64      65      ...  95        |  96 ...
 *     ticks    0 ... 63  |  64-65   66-67   ...  126-127   |  128-131 ...
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    BENCH_STEP_BITS = 5,
    BENCH_STEPS = 1 << BENCH_STEP_BITS,
    BENCH_BUCKETS = (64 - BENCH_STEP_BITS + 1) * BENCH_STEPS
};

struct bench_histogram {
    uint64_t most; /* exact */
    uint64_t counts[BENCH_BUCKETS];
};

static inline unsigned bench_bucket_of(uint64_t ticks)
{
    unsigned highest = 63 - (unsigned)__builtin_clzll(ticks | 1);
    unsigned shift = highest > BENCH_STEP_BITS ? highest - BENCH_STEP_BITS : 0;

    return (shift << BENCH_STEP_BITS) + (unsigned)(ticks >> shift);
}

static inline void bench_histogram_add(struct bench_histogram *histogram, uint64_t ticks)
{
    histogram->counts[bench_bucket_of(ticks)]++;
    if (ticks > histogram->most)
        histogram->most = ticks;
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from);

uint64_t bench_histogram_count(const struct bench_histogram *histogram);

/* What `share` (0 to 1) of the calls took at most, within 1/64; 0 where there were none. */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double share);

#endif
