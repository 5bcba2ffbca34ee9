/*
 * counters: what Heapster counts, where it is the process's malloc. Asked for by name, so that the bench is linked with
 * no allocator; and as text, so that the bench shows every counter that the library at hand has.
 */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_COUNTERS_MAX = 128, BENCH_COUNTER_NAME = 40 };

struct bench_counter {
    char name[BENCH_COUNTER_NAME];
    uint64_t value;
};

struct bench_counters {
    unsigned count; /* 0: the process's malloc is not Heapster */
    struct bench_counter each[BENCH_COUNTERS_MAX];
};

/* Once, while there is one thread. */
void bench_counters_find(void);
bool bench_counters_exist(void);

void bench_counters_read(struct bench_counters *out);

/* 0 where there is none of that name. */
uint64_t bench_counters_value(const struct bench_counters *counters, const char *name);

/* All calls of the OS together. */
uint64_t bench_counters_os_calls(const struct bench_counters *counters);

#endif
