/*
 * fragmented: what a call costs on a heap with many free blocks. In preparation, every other one of many blocks of
 * mixed sizes is freed; the others stay, so that no two free ones merge. Then batches of such sizes are allocated and
 * freed in random order: more than caches of threads keep, so that they come from the free blocks.
 */
#include "workload.h"

enum { LEAST = 16, DOUBLINGS = 6, BATCH = 1000 };

struct heap {
    size_t count;
    struct bench_slot batch[BATCH];
    struct bench_slot all[];
};

/* 16 to 1,023 bytes, each doubling as likely as the next one. */
static size_t draw_bytes(struct kit_rng *rng)
{
    size_t least = (size_t)LEAST << kit_rng_below(rng, DOUBLINGS);

    return kit_rng_between(rng, least, 2 * least - 1);
}

static void prepare(struct bench_worker *worker)
{
    size_t count = 2 * bench_share(worker, worker->run->workload->parameter);
    struct heap *heap = bench_state_map(worker, sizeof *heap + count * sizeof heap->all[0]);

    heap->count = count;
    for (size_t i = 0; i < count; i++)
        bench_slot_fill(worker, &heap->all[i], draw_bytes(&worker->rng));
    for (size_t i = 0; i < count; i += 2)
        bench_slot_empty(worker, &heap->all[i]);
}

static void shuffle(struct kit_rng *rng, struct bench_slot *slots)
{
    for (size_t i = BATCH - 1; i > 0; i--) {
        size_t other = kit_rng_below(rng, i + 1);
        struct bench_slot slot = slots[i];

        slots[i] = slots[other];
        slots[other] = slot;
    }
}

static void work(struct bench_worker *worker)
{
    struct heap *heap = worker->state;

    while (worker->operations < worker->quota) {
        for (unsigned i = 0; i < BATCH; i++)
            bench_slot_fill(worker, &heap->batch[i], draw_bytes(&worker->rng));
        shuffle(&worker->rng, heap->batch);
        bench_slots_empty(worker, heap->batch, BATCH);
        worker->operations += BATCH;
    }
}

static void finish(struct bench_worker *worker)
{
    struct heap *heap = worker->state;

    bench_slots_empty(worker, heap->all, heap->count);
}

const struct bench_workload BENCH_EXPORT(fragmented_1k) = {
    .name = "fragmented_1k",
    .description = "1,000 blocks of 16 to 1,023 bytes, freed in random order, where 1,000 blocks lie free on the heap",
    .operations = 15000000,
    .threads = {1, 2, 8},
    .parameter = 1000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};

const struct bench_workload BENCH_EXPORT(fragmented_1m) = {
    .name = "fragmented_1m",
    .description = "the same where a million blocks lie free",
    .operations = 3000000,
    .threads = {1, 2, 8},
    .parameter = 1000000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
