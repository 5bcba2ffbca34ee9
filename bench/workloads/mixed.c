/*
 * mixed: many sizes, short and long lives at once, as in most programs: of ten blocks nine are freed within some
 * hundred operations, one lives on for long.
 */
#include "workload.h"

enum { SHORT_LIVED = 128, LONG_LIVED = 20000, LONG_PERCENT = 10 };

static const struct {
    unsigned percent;
    size_t least, most;
} sizes[] = {{80, 16, 256}, {15, 256, 4096}, {4, 4096, (size_t)32 << 10}, {1, (size_t)32 << 10, (size_t)256 << 10}};

static size_t draw_bytes(struct kit_rng *rng)
{
    uint64_t percent = kit_rng_below(rng, 100);
    unsigned kind = 0;

    for (; percent >= sizes[kind].percent; kind++)
        percent -= sizes[kind].percent;
    return kit_rng_between(rng, sizes[kind].least, sizes[kind].most);
}

static void prepare(struct bench_worker *worker)
{
    (void)bench_state_map(worker, (SHORT_LIVED + bench_share(worker, LONG_LIVED)) * sizeof(struct bench_slot));
}

static void work(struct bench_worker *worker)
{
    struct bench_slot *short_lived = worker->state, *long_lived = short_lived + SHORT_LIVED;
    size_t long_count = worker->state_bytes / sizeof *long_lived - SHORT_LIVED;

    for (; worker->operations < worker->quota; worker->operations++) {
        struct bench_slot *slot = kit_rng_percent(&worker->rng, LONG_PERCENT)
                                      ? &long_lived[kit_rng_below(&worker->rng, long_count)]
                                      : &short_lived[kit_rng_below(&worker->rng, SHORT_LIVED)];

        bench_slot_empty(worker, slot);
        bench_slot_fill(worker, slot, draw_bytes(&worker->rng));
    }
}

static void finish(struct bench_worker *worker)
{
    bench_slots_empty(worker, worker->state, worker->state_bytes / sizeof(struct bench_slot));
}

const struct bench_workload BENCH_EXPORT(mixed) = {
    .name = "mixed",
    .description = "16 bytes to 256 KiB, small ones mostly; nine of ten blocks live briefly, the others for long",
    .operations = 5000000,
    .threads = {1, 2, 8, 64},
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
