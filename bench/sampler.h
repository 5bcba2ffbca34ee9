/*
 * sampler: a thread that looks at memory while a run goes on, and allocates nothing itself. How long the run takes is
 * not known beforehand, so whenever the samples fill their room, every other one is dropped and the interval doubled:
 * in the end there are half as many as there is room for, or more, evenly spread.
 */
#ifndef BENCH_SAMPLER_H
#define BENCH_SAMPLER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "workload.h"

enum { BENCH_SAMPLES_MAX = 80 };

struct bench_sample {
    uint64_t at_ns; /* since the start of the work */
    uint64_t rss_bytes, live_bytes;
    uint64_t free_bytes, largest_free; /* Heapster's; 0 where the process's malloc is another one */
};

struct bench_sampler {
    const struct bench_run *run;
    pthread_t thread;
    atomic_bool stop;
    uint64_t started_ns, interval_ns;
    unsigned count;
    struct bench_sample samples[BENCH_SAMPLES_MAX];
};

void bench_sampler_start(struct bench_sampler *sampler, const struct bench_run *run);
void bench_sampler_stop(struct bench_sampler *sampler);

#endif
