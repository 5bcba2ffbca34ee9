/*
 * latency: how long calls of the allocator take, as a histogram with four buckets for each doubling.
 *
 *     bucket   0    1    2    3  |  4       5       6       7  |  8  ...
 *     ns       0    1    2    3  |  4       5       6       7  |  8-9, 10-11, 12-13, 14-15  |  16-19, ...
 */
#ifndef KIT_LATENCY_H
#define KIT_LATENCY_H

#include <stdint.h>

enum kit_call { KIT_CALL_ALLOCATE, KIT_CALL_RESIZE, KIT_CALL_RELEASE, KIT_CALLS };

enum { KIT_LATENCY_BUCKETS = 160 };

struct kit_latency {
    uint64_t counts[KIT_LATENCY_BUCKETS];
};

void kit_latency_add(struct kit_latency *latency, uint64_t nanoseconds);
void kit_latency_merge(struct kit_latency *into, const struct kit_latency *from);

/* The least number of nanoseconds of a bucket. */
uint64_t kit_latency_least(unsigned bucket);

uint64_t kit_latency_count(const struct kit_latency *latency);

/* An upper bound, within a quarter, of what `share` (0 to 1) of the calls took at most; 0 where there were none. */
uint64_t kit_latency_quantile(const struct kit_latency *latency, double share);

#endif
