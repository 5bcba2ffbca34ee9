/*
 * phases: a program that does one thing after the other, each with sizes of its own. At the end of a phase most of its
 * blocks are freed, in random order; some stay to the end of the next one, strewn over the heap. An allocator that
 * cannot use the memory of small blocks for large ones, or the other way round, shows it in the peak.
 */
#include "workload.h"

enum { PHASE_BYTES = 24 << 20, STAY_PERCENT = 3, LEAST_BLOCKS = 16 };

static const size_t phase_sizes[] = {48, 768, 64, 4096, 128, 16384, 256, 1536, 20000, 96};

enum { PHASES = sizeof phase_sizes / sizeof phase_sizes[0] };

struct phases {
    size_t room;                      /* of each half */
    size_t count;                     /* of the blocks of this phase */
    size_t staying_count;             /* of those that stayed from the one before */
    struct bench_slot *now, *staying; /* halves */
    struct bench_slot slots[];
};

/* Three quarters to five quarters of the phase's size. */
static size_t draw_bytes(struct kit_rng *rng, size_t usual)
{
    return kit_rng_between(rng, usual - usual / 4, usual + usual / 4);
}

static size_t blocks_of(const struct bench_worker *worker, unsigned phase)
{
    size_t share = bench_share(worker, PHASE_BYTES) / phase_sizes[phase];

    return share > LEAST_BLOCKS ? share : LEAST_BLOCKS;
}

static void prepare(struct bench_worker *worker)
{
    size_t room = 0;
    struct phases *phases;

    for (unsigned i = 0; i < PHASES; i++)
        room = blocks_of(worker, i) > room ? blocks_of(worker, i) : room;
    phases = bench_state_map(worker, sizeof *phases + 2 * room * sizeof phases->slots[0]);
    phases->now = phases->slots;
    phases->staying = phases->slots + room;
}

static void allocate_phase(struct bench_worker *worker, struct phases *phases, unsigned phase)
{
    phases->count = blocks_of(worker, phase);
    for (size_t i = 0; i < phases->count; i++)
        bench_slot_fill(worker, &phases->now[i], draw_bytes(&worker->rng, phase_sizes[phase]));
}

/* What stayed goes; then, each time one of those that are left at random; the last ones stay. */
static void free_phase(struct bench_worker *worker, struct phases *phases)
{
    struct bench_slot *now = phases->now;
    size_t staying = phases->count * STAY_PERCENT / 100;

    bench_slots_empty(worker, phases->staying, phases->staying_count);
    for (size_t left = phases->count; left > staying; left--) {
        struct bench_slot *slot = &now[kit_rng_below(&worker->rng, left)];

        bench_slot_empty(worker, slot);
        *slot = now[left - 1];
    }
    phases->now = phases->staying;
    phases->staying = now;
    phases->staying_count = staying;
}

static void work(struct bench_worker *worker)
{
    struct phases *phases = worker->state;

    for (unsigned phase = 0; worker->operations < worker->quota; phase = (phase + 1) % PHASES) {
        allocate_phase(worker, phases, phase);
        free_phase(worker, phases);
        worker->operations += phases->count;
    }
}

static void finish(struct bench_worker *worker)
{
    struct phases *phases = worker->state;

    bench_slots_empty(worker, phases->staying, phases->staying_count);
}

const struct bench_workload BENCH_EXPORT(phases) = {
    .name = "phases",
    .description =
        "10 phases of 24 MiB each, each with sizes of its own, 3 of 100 blocks outlive theirs; look at the peak",
    .operations = 3000000,
    .threads = {1, 2, 8, 64},
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
