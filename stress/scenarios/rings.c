/*
 * rings: blocks flow through bounded queues, in three shapes that the threads take one after the other: pairs (1:1),
 * one producer for all consumers (1:N), all producers for one consumer (N:1).
 *
 * Goal: producer and consumer at work on the same arena at the same moment, blocks freed in the order they were made.
 * Class of bug: remote frees that race with the owner's allocations; memory that flows one way and does not come back.
 * Oracle: everything in oracle.h; a record leaves a queue exactly once, so a block that arrives twice is the
 * allocator's doing.
 * Knobs: TURN, operations of a thread in one shape; CELLS, the length of a queue; BLOCKS, how many blocks a consumer
 * holds back before it frees the oldest.
 *
 * A cell always holds a record: a producer swaps a live one for an empty one, a consumer the other way round. Nobody
 * waits: where a queue is full or empty, a thread frees a block of its own, or lets others run.
 */
#include <sched.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"

enum { TURN = 4096, CELLS = 32, RINGS = 32, BLOCKS = 32, ONE_TO_MANY = RINGS - 2, MANY_TO_ONE = RINGS - 1 };

/* `turn` of cell i counts up: i + n * CELLS where it is to be filled for the n-th time, one more where it is full. */
struct ring {
    _Atomic uint64_t head, tail;
    _Atomic uint64_t turn[CELLS];
};

/* Swaps the record with that of the next cell to be filled (lag 0) or emptied (lag 1); NULL where there is none. */
static struct kit_block *pass(struct kit_run *run, unsigned index, unsigned lag, struct kit_block *block)
{
    struct ring *ring = (struct ring *)run->local + index;
    _Atomic uint64_t *end = lag == 0 ? &ring->tail : &ring->head;
    uint64_t position = kit_get(*end);
    struct kit_block *found;

    for (;;) {
        /* [RING] what the last one to use this cell wrote, into the record and into the block, is visible. */
        uint64_t turn = atomic_load_explicit(&ring->turn[position % CELLS], memory_order_acquire);

        if (turn < position + lag)
            return NULL;
        if (turn > position + lag)
            position = kit_get(*end);
        else if (atomic_compare_exchange_weak_explicit(end, &position, position + 1, memory_order_relaxed,
                                                       memory_order_relaxed))
            break;
    }
    found =
        atomic_exchange_explicit(&run->slots[(size_t)index * CELLS + position % CELLS], block, memory_order_acq_rel);
    /* [RING] */
    atomic_store_explicit(&ring->turn[position % CELLS], position + (lag == 0 ? 1 : CELLS), memory_order_release);
    return found;
}

static void begin(struct kit_run *run)
{
    struct ring *rings = kit_pages_map(RINGS * sizeof *rings);

    for (unsigned i = 0; i < RINGS; i++)
        for (unsigned k = 0; k < CELLS; k++)
            atomic_init(&rings[i].turn[k], k);
    run->local = rings;
}

static void end(struct kit_run *run)
{
    kit_pages_unmap(run->local, RINGS * sizeof(struct ring));
}

/* Which queue a thread uses at the moment, and at which end. */
static unsigned choose_ring(const struct kit_thread *thread, bool *produces)
{
    uint64_t turn = kit_get(thread->ops) / TURN;
    unsigned hub = (unsigned)(turn / 3 % thread->run->config->threads);

    switch (turn % 3) {
    case 0:
        *produces = (thread->index + turn / 3) % 2 == 0;
        return thread->index / 2 % ONE_TO_MANY;
    case 1:
        *produces = thread->index == hub;
        return ONE_TO_MANY;
    default:
        *produces = thread->index != hub;
        return MANY_TO_ONE;
    }
}

/* `next` goes round a thread's records: the oldest block comes first. */
static void work(struct kit_thread *thread)
{
    unsigned next = 0;

    while (kit_step(thread)) {
        struct kit_block **place = &thread->blocks[next], *passed;
        bool produces;
        unsigned ring = choose_ring(thread, &produces);

        if (kit_block_is_live(*place) && !produces)
            kit_mix_release(thread, *place);
        else if (!kit_block_is_live(*place) && produces)
            kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(&thread->rng, kit_sizes_usual));
        kit_doing(thread, KIT_HAND_OVER, 0);
        passed = pass(thread->run, ring, produces ? 0 : 1, *place);
        if (passed != NULL)
            *place = passed;
        else
            (void)sched_yield();
        next = (next + 1) % BLOCKS;
    }
}

const struct kit_scenario stress_rings = {
    .name = "rings",
    .summary = "producers and consumers 1:1, 1:N and N:1",
    .blocks_of_thread = BLOCKS,
    .slots = RINGS * CELLS,
    .begin = begin,
    .work = work,
    .end = end,
};
