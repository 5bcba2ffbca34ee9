#include "histogram.h"

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from)
{
    for (unsigned i = 0; i < BENCH_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->most = from->most > into->most ? from->most : into->most;
}

uint64_t bench_histogram_count(const struct bench_histogram *histogram)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < BENCH_BUCKETS; i++)
        count += histogram->counts[i];
    return count;
}

static uint64_t middle_of(unsigned bucket)
{
    unsigned shift = bucket < 2 * BENCH_STEPS ? 0 : bucket / BENCH_STEPS - 1;

    if (shift == 0)
        return bucket;
    return ((uint64_t)(BENCH_STEPS + bucket % BENCH_STEPS) << shift) + (UINT64_C(1) << shift) / 2;
}

uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double share)
{
    double wanted = share * (double)bench_histogram_count(histogram);
    uint64_t seen = 0;

    for (unsigned bucket = 0; bucket < BENCH_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen != 0 && (double)seen >= wanted)
            return middle_of(bucket) < histogram->most ? middle_of(bucket) : histogram->most;
    }
    return 0;
}
