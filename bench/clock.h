/*
 * clock: the cheapest clock there is for timing single calls, in ticks of its own; and the one for whole runs.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t bench_nanoseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#ifdef __x86_64__
/* Not serialising: that would cost more than the calls that are timed. By the compilers' own name: the header that has
 * __rdtsc brings all vector instructions along, which took most of the time that each workload was compiled in. */
static inline uint64_t bench_ticks(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static inline uint64_t bench_ticks(void)
{
    return bench_nanoseconds();
}
#endif

/* Measures both clocks against each other for some milliseconds. */
double bench_nanoseconds_per_tick(void);

/* The usual difference of two readings one right after the other: what is in every latency measured. */
uint64_t bench_usual_ticks(void);

#endif
