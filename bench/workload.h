/*
 * workload: what a workload is made of, and the calls of the malloc family that it measures.
 *
 *     prepare_run   the main thread, before there are workers
 *     prepare       each worker in its own thread; not timed, but in the peak of memory
 *     work          timed: as many operations as `quota` says, rounded up to what the workload does at a time
 *     finish        each worker; not timed
 *     finish_run    the main thread, alone again
 *
 * With one thread the main thread is the worker, and the process has no other: allocators that notice are measured as
 * programs without threads use them.
 *
 * What a workload does is a function of its name, the seed, the scale and the number of threads; scheduling decides
 * only when. Workloads are compiled twice: once with BENCH_TIMED, where every call is timed into the worker's
 * histogram, and once without any trace of that.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "clock.h"
#include "histogram.h"
#include "memory.h"
#include "rng.h"

enum {
    BENCH_THREADS_MAX = 256,
    BENCH_THREAD_COUNTS = 4,
    BENCH_LINE = 128, /* neighbours of a cache line are fetched in pairs */
    BENCH_PAGE = 4096,
    BENCH_UNSETTLED_BYTES = 16 * 1024, /* a worker counts so many for itself */
};

/* Below this scale, populations shrink with the work: the run shows that the workload works, not how fast. */
#define BENCH_SMOKE_SCALE 0.01

struct bench_run;

struct bench_worker {
    struct bench_run *run;
    unsigned number;
    uint64_t quota;
    uint64_t operations; /* done */
    struct kit_rng rng;
    int64_t unsettled_bytes; /* live, not yet in the run's sum */
    struct bench_histogram *histogram;
    void *state; /* the workload's own */
    size_t state_bytes;
    uint64_t started_ns, ended_ns;
} __attribute__((aligned(BENCH_LINE)));

struct bench_workload {
    const char *name, *description;
    uint64_t operations;                   /* of all threads together, at scale 1 */
    unsigned threads[BENCH_THREAD_COUNTS]; /* that make sense; the rest 0 */
    unsigned least_threads;                /* 0: one */
    bool threads_are_paired;
    size_t parameter; /* what tells workloads of one kind apart */
    void (*prepare_run)(struct bench_run *run);
    void (*prepare)(struct bench_worker *worker);
    void (*work)(struct bench_worker *worker);
    void (*finish)(struct bench_worker *worker);
    void (*finish_run)(struct bench_run *run);
};

/* All of them, with NULL at the end; as they are, and with every call timed. */
extern const struct bench_workload *const bench_workloads[], *const bench_timed_workloads[];

/* What a thread asked of the allocator and holds. */
struct bench_slot {
    void *block;
    size_t bytes;
};

struct bench_run {
    const struct bench_workload *workload;
    unsigned threads;
    unsigned processors;
    double scale;
    uint64_t seed;
    struct bench_worker *workers;
    void *shared; /* the workload's own */
    size_t shared_bytes;
    /* Relaxed: sums and maxima that nothing else depends on. */
    _Alignas(BENCH_LINE) _Atomic int64_t live_bytes;
    _Atomic int64_t most_live_bytes;
};

/* The share of one worker in a population of the whole run, at least 1. */
size_t bench_share(const struct bench_worker *worker, size_t population);

/* Pages for the worker's state, given back behind `finish`. */
void *bench_state_map(struct bench_worker *worker, size_t bytes);
void *bench_shared_map(struct bench_run *run, size_t bytes);

/* Adds what the worker counted for itself to the run's sum. */
void bench_settle(struct bench_worker *worker);

/* Bytes asked for that are live from now on, or, below 0, no longer. */
static inline void bench_count(struct bench_worker *worker, int64_t bytes)
{
    worker->unsettled_bytes += bytes;
    if (worker->unsettled_bytes > BENCH_UNSETTLED_BYTES || worker->unsettled_bytes < -BENCH_UNSETTLED_BYTES)
        bench_settle(worker);
}

/* A thread of a workload's own, started and waited for. */
void bench_thread_run(void *(*body)(void *), void *argument);

/* ---- the calls that are measured --------------------------------------------------------------------------- */

#ifdef BENCH_TIMED
#define BENCH_EXPORT(name) bench_timed_##name
static inline uint64_t bench_call_starts(void)
{
    return bench_ticks();
}
static inline void bench_call_ended(struct bench_worker *worker, uint64_t since)
{
    bench_histogram_add(worker->histogram, bench_ticks() - since);
}
#else
#define BENCH_EXPORT(name) bench_##name
static inline uint64_t bench_call_starts(void)
{
    return 0;
}
static inline void bench_call_ended(struct bench_worker *worker, uint64_t since)
{
    (void)worker;
    (void)since;
}
#endif

/* Every block is written to, as a program would; volatile, or the compiler might do without. */
static inline void *bench_expect(void *block, const char *call)
{
    if (__builtin_expect(block == NULL, 0))
        bench_out_of_memory(call);
    *(volatile char *)block = 1;
    return block;
}

static inline void *bench_malloc(struct bench_worker *worker, size_t bytes)
{
    uint64_t since = bench_call_starts();
    void *block = malloc(bytes);

    bench_call_ended(worker, since);
    return bench_expect(block, "malloc");
}

static inline void *bench_calloc(struct bench_worker *worker, size_t count, size_t bytes)
{
    uint64_t since = bench_call_starts();
    void *block = calloc(count, bytes);

    bench_call_ended(worker, since);
    return bench_expect(block, "calloc");
}

static inline void *bench_realloc(struct bench_worker *worker, void *old, size_t bytes)
{
    uint64_t since = bench_call_starts();
    void *block = realloc(old, bytes);

    bench_call_ended(worker, since);
    return bench_expect(block, "realloc");
}

static inline void bench_free(struct bench_worker *worker, void *block)
{
    uint64_t since = bench_call_starts();

    free(block);
    bench_call_ended(worker, since);
}

/* ---- slots --------------------------------------------------------------------------------------------------- */

/* Every page of the block is written to: what is asked for is also resident. */
static inline void bench_slot_fill(struct bench_worker *worker, struct bench_slot *slot, size_t bytes)
{
    slot->block = bench_malloc(worker, bytes);
    slot->bytes = bytes;
    for (size_t at = BENCH_PAGE; at < bytes; at += BENCH_PAGE)
        ((volatile char *)slot->block)[at] = 1;
    bench_count(worker, (int64_t)bytes);
}

static inline void bench_slot_empty(struct bench_worker *worker, struct bench_slot *slot)
{
    if (slot->block == NULL)
        return;
    bench_free(worker, slot->block);
    bench_count(worker, -(int64_t)slot->bytes);
    *slot = (struct bench_slot){NULL, 0};
}

static inline void bench_slots_empty(struct bench_worker *worker, struct bench_slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bench_slot_empty(worker, &slots[i]);
}

#endif
