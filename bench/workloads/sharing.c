/*
 * sharing: threads that each write to a small block of their own, over and over. Where two of those lie in one cache
 * line, it travels between the processors, and every write waits for it.
 *
 * Active: the allocator itself gives parts of a line to two threads. Passive: the blocks came from one thread, which
 * handed them out, and are given out again where they were freed. (After Berger, McKinley, Blumofe and Wilson, Hoard,
 * 2000: cache-thrash and cache-scratch.)
 */
#include "workload.h"

enum { BYTES = 8, WRITES = 1000 };

static void write_often(void *block)
{
    volatile char *bytes = block;

    for (unsigned i = 0; i < WRITES; i++)
        bytes[i % BYTES] = (char)(bytes[i % BYTES] + 1);
}

static void work(struct bench_worker *worker)
{
    bench_count(worker, BYTES);
    for (uint64_t i = 0; i < worker->quota; i++) {
        void *block = bench_malloc(worker, BYTES);

        write_often(block);
        bench_free(worker, block);
    }
    bench_settle(worker);
    bench_count(worker, -BYTES);
    worker->operations = worker->quota;
}

/* One block for each thread, side by side if the allocator places them so. */
static void hand_out(struct bench_run *run)
{
    struct bench_slot *slots = bench_shared_map(run, run->threads * sizeof *slots);

    for (unsigned i = 0; i < run->threads; i++)
        bench_slot_fill(&run->workers[i], &slots[i], BYTES);
}

static void work_on_what_was_handed_out(struct bench_worker *worker)
{
    struct bench_slot *slots = worker->run->shared;

    write_often(slots[worker->number].block);
    bench_slot_empty(worker, &slots[worker->number]);
    work(worker);
}

const struct bench_workload BENCH_EXPORT(sharing_active) = {
    .name = "sharing_active",
    .description = "each thread: malloc of 8 bytes, 1,000 writes, free; do blocks of two threads share a cache line?",
    .operations = 1000000,
    .threads = {1, 2, 8, 64},
    .work = work,
};

const struct bench_workload BENCH_EXPORT(sharing_passive) = {
    .name = "sharing_passive",
    .description = "the same, but first each thread frees a block that lies beside those of the others",
    .operations = 1000000,
    .threads = {1, 2, 8, 64},
    .prepare_run = hand_out,
    .work = work_on_what_was_handed_out,
};
