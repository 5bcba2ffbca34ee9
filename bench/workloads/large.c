/*
 * large: blocks of 64 KiB to 2 MiB with random lives, each of whose pages is written to.
 */
#include "workload.h"

enum { LIVE = 64, LEAST = 64 << 10, DOUBLINGS = 5 };

static void prepare(struct bench_worker *worker)
{
    (void)bench_state_map(worker, bench_share(worker, LIVE) * sizeof(struct bench_slot));
}

static void work(struct bench_worker *worker)
{
    struct bench_slot *slots = worker->state;
    size_t count = worker->state_bytes / sizeof *slots;

    for (; worker->operations < worker->quota; worker->operations++) {
        struct bench_slot *slot = &slots[kit_rng_below(&worker->rng, count)];
        size_t least = (size_t)LEAST << kit_rng_below(&worker->rng, DOUBLINGS);

        bench_slot_empty(worker, slot);
        bench_slot_fill(worker, slot, kit_rng_between(&worker->rng, least, 2 * least - 1));
    }
}

static void finish(struct bench_worker *worker)
{
    bench_slots_empty(worker, worker->state, worker->state_bytes / sizeof(struct bench_slot));
}

const struct bench_workload BENCH_EXPORT(large) = {
    .name = "large",
    .description = "64 blocks of 64 KiB to 2 MiB, one replaced at random, every page of the new one written to",
    .operations = 20000,
    .threads = {1, 2, 8, 64},
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
