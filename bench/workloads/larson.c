/*
 * larson: a server whose threads come and go. A thread replaces random blocks of its lot by new ones for a while and
 * ends; its successor inherits the lot and goes on, so that blocks outlive the thread that made them. (After Larson and
 * Krishnan, Memory Allocation for Long-Running Server Applications, 1998.)
 */
#include "workload.h"

enum { LOT = 1000, LIFE = 20000, LEAST = 10, MOST = 500 };

static void prepare(struct bench_worker *worker)
{
    struct bench_slot *lot = bench_state_map(worker, LOT * sizeof *lot);

    for (unsigned i = 0; i < LOT; i++)
        bench_slot_fill(worker, &lot[i], kit_rng_between(&worker->rng, LEAST, MOST));
}

static void *live(void *argument)
{
    struct bench_worker *worker = argument;
    struct bench_slot *lot = worker->state;
    uint64_t left = worker->quota - worker->operations, life = left < LIFE ? left : LIFE;

    for (uint64_t i = 0; i < life; i++) {
        struct bench_slot *slot = &lot[kit_rng_below(&worker->rng, LOT)];

        bench_slot_empty(worker, slot);
        bench_slot_fill(worker, slot, kit_rng_between(&worker->rng, LEAST, MOST));
    }
    worker->operations += life;
    return NULL;
}

/* It waits for each thread before it starts the successor: a lot has one owner at any time. */
static void work(struct bench_worker *worker)
{
    while (worker->operations < worker->quota)
        bench_thread_run(live, worker);
}

static void finish(struct bench_worker *worker)
{
    bench_slots_empty(worker, worker->state, LOT);
}

const struct bench_workload BENCH_EXPORT(larson) = {
    .name = "larson",
    .description = "a server: 1,000 blocks of 10 to 500 bytes for each thread, replaced at random, that outlive it",
    .operations = 12000000,
    .threads = {1, 2, 8, 64},
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
