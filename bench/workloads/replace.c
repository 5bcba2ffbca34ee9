/*
 * replace: a population of live blocks; an operation frees one of them, chosen at random, and allocates another one in
 * its place.
 */
#include "workload.h"

enum { LEAST = 16, MOST = 512, MOST_OF_MANY = 128 }; /* small enough for ten million of them */

static void populate(struct bench_worker *worker, size_t most)
{
    size_t count = bench_share(worker, worker->run->workload->parameter);
    struct bench_slot *slots = bench_state_map(worker, count * sizeof *slots);

    for (size_t i = 0; i < count; i++)
        bench_slot_fill(worker, &slots[i], kit_rng_between(&worker->rng, LEAST, most));
}

static void replace(struct bench_worker *worker, size_t most)
{
    struct bench_slot *slots = worker->state;
    size_t count = worker->state_bytes / sizeof *slots;

    for (uint64_t i = 0; i < worker->quota; i++) {
        struct bench_slot *slot = &slots[kit_rng_below(&worker->rng, count)];

        bench_slot_empty(worker, slot);
        bench_slot_fill(worker, slot, kit_rng_between(&worker->rng, LEAST, most));
    }
    worker->operations = worker->quota;
}

static void prepare(struct bench_worker *worker)
{
    populate(worker, MOST);
}

static void work(struct bench_worker *worker)
{
    replace(worker, MOST);
}

static void prepare_many(struct bench_worker *worker)
{
    populate(worker, MOST_OF_MANY);
}

static void work_on_many(struct bench_worker *worker)
{
    replace(worker, MOST_OF_MANY);
}

static void finish(struct bench_worker *worker)
{
    struct bench_slot *slots = worker->state;

    bench_slots_empty(worker, slots, worker->state_bytes / sizeof *slots);
}

const struct bench_workload BENCH_EXPORT(replace_100k) = {
    .name = "replace_100k",
    .description = "of 100,000 live blocks of 16 to 512 bytes, one is replaced at random",
    .operations = 4000000,
    .threads = {1, 2, 8, 64},
    .parameter = 100000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};

const struct bench_workload BENCH_EXPORT(live_10k) = {
    .name = "live_10k",
    .description = "of 10,000 live blocks of 16 to 128 bytes, one is replaced at random",
    .operations = 10000000,
    .threads = {1, 2, 8},
    .parameter = 10000,
    .prepare = prepare_many,
    .work = work_on_many,
    .finish = finish,
};

const struct bench_workload BENCH_EXPORT(live_100k) = {
    .name = "live_100k",
    .description = "the same of 100,000",
    .operations = 6000000,
    .threads = {1, 2, 8},
    .parameter = 100000,
    .prepare = prepare_many,
    .work = work_on_many,
    .finish = finish,
};

const struct bench_workload BENCH_EXPORT(live_1m) = {
    .name = "live_1m",
    .description = "the same of a million",
    .operations = 3000000,
    .threads = {1, 2, 8},
    .parameter = 1000000,
    .prepare = prepare_many,
    .work = work_on_many,
    .finish = finish,
};

const struct bench_workload BENCH_EXPORT(live_10m) = {
    .name = "live_10m",
    .description = "the same of ten million",
    .operations = 2000000,
    .threads = {1, 2, 8},
    .parameter = 10000000,
    .prepare = prepare_many,
    .work = work_on_many,
    .finish = finish,
};
