#include "latency.h"

/* Numbers below EXACT have a bucket each; above, the STEP_BITS bits after the highest one choose among the four. */
enum { STEP_BITS = 2, STEPS = 1 << STEP_BITS, EXACT = STEPS };

static unsigned find_bucket(uint64_t nanoseconds)
{
    unsigned highest, bucket;

    if (nanoseconds < EXACT)
        return (unsigned)nanoseconds;
    highest = 63 - (unsigned)__builtin_clzll(nanoseconds);
    bucket = STEPS * (highest - 1) + ((unsigned)(nanoseconds >> (highest - STEP_BITS)) & (STEPS - 1));
    return bucket < KIT_LATENCY_BUCKETS ? bucket : KIT_LATENCY_BUCKETS - 1;
}

void kit_latency_add(struct kit_latency *latency, uint64_t nanoseconds)
{
    latency->counts[find_bucket(nanoseconds)]++;
}

void kit_latency_merge(struct kit_latency *into, const struct kit_latency *from)
{
    for (unsigned i = 0; i < KIT_LATENCY_BUCKETS; i++)
        into->counts[i] += from->counts[i];
}

uint64_t kit_latency_least(unsigned bucket)
{
    if (bucket < EXACT)
        return bucket;
    return (uint64_t)(STEPS + bucket % STEPS) << (bucket / STEPS - 1);
}

uint64_t kit_latency_count(const struct kit_latency *latency)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < KIT_LATENCY_BUCKETS; i++)
        count += latency->counts[i];
    return count;
}

/* The most that the bucket of the call of that rank can hold. The last bucket also has what took longer, which is half
 * an hour: no run goes on for so long without an operation. */
uint64_t kit_latency_quantile(const struct kit_latency *latency, double share)
{
    uint64_t count = kit_latency_count(latency), seen = 0;
    double wanted = share * (double)count;
    unsigned bucket = 0;

    if (count == 0)
        return 0;
    for (; bucket < KIT_LATENCY_BUCKETS - 1; bucket++) {
        seen += latency->counts[bucket];
        if (seen != 0 && (double)seen >= wanted)
            break;
    }
    return kit_latency_least(bucket + 1) - 1;
}
