/*
 * measure: what the kernel says of the process; read without allocating.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

struct bench_usage {
    uint64_t cpu_ns; /* of all threads, in user and system mode */
    uint64_t minor_faults;
};

struct bench_usage bench_usage_now(void);

/* Resident memory now. `statm` is an open file of /proc/self/statm; 0 where it cannot be read. */
size_t bench_rss_read(int statm);
int bench_rss_open(void);
size_t bench_rss_now(void);

/* The most that was ever resident, or since the last bench_rss_forget_peak where the kernel lets it be forgotten. */
size_t bench_rss_peak(void);
void bench_rss_forget_peak(void);

#endif
