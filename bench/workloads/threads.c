/*
 * threads: threads that start, work a little and end. What a thread costs an allocator shows here, and whether it gets
 * back what the thread held.
 */
#include "workload.h"

enum { BLOCKS = 100, LEAST = 16, MOST = 512 };

static void *live(void *argument)
{
    struct bench_worker *worker = argument;
    struct bench_slot slots[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++)
        bench_slot_fill(worker, &slots[i], kit_rng_between(&worker->rng, LEAST, MOST));
    bench_settle(worker);
    bench_slots_empty(worker, slots, BLOCKS);
    worker->operations++;
    return NULL;
}

static void work(struct bench_worker *worker)
{
    while (worker->operations < worker->quota)
        bench_thread_run(live, worker);
}

const struct bench_workload BENCH_EXPORT(thread_churn) = {
    .name = "thread_churn",
    .description =
        "threads that start, allocate and free 100 blocks of 16 to 512 bytes, and end; an operation is a thread",
    .operations = 12000,
    .threads = {1, 2, 8, 64},
    .work = work,
};
