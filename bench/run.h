/*
 * run: one workload, once, and what was measured of it.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "counters.h"
#include "options.h"
#include "sampler.h"
#include "workload.h"

struct bench_result {
    uint64_t operations;
    uint64_t wall_ns, cpu_ns;
    uint64_t minor_faults;
    size_t start_rss_bytes, peak_rss_bytes;
    size_t own_bytes;  /* of the peak: tables of the bench itself */
    size_t live_bytes; /* asked for, at the peak */
    struct bench_counters before, after;
    struct bench_histogram latencies; /* in ticks; only where calls were timed */
    double ns_per_tick;
    struct bench_sampler sampler; /* only where samples were asked for */
};

void bench_run(const struct bench_options *options, struct bench_result *result);

#endif
