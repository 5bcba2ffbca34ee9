/*
 * rings: blocks flow through bounded queues, in three shapes that the threads take one after the other: pairs (1:1),
 * one producer for all consumers (1:N), all producers for one consumer (N:1).
 *
 * Goal: producer and consumer at work on the same arena at the same moment, blocks freed in the order they were made.
 * Class of bug: remote frees that race with the owner's allocations; memory that flows one way and does not come back.
 * Oracle: everything in oracle.h; a record leaves a queue exactly once, so a block that arrives twice is the
 * allocator's doing.
 * Knobs: TURN, operations of a thread in one shape; KIT_QUEUE_CELLS, the length of a queue; BLOCKS, how many blocks a
 * consumer holds back before it frees the oldest.
 *
 * Nobody waits: where a queue is full or empty, a thread frees a block of its own, or lets others run.
 */
#include <sched.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "queue.h"

enum { TURN = 4096, RINGS = 32, BLOCKS = 32, ONE_TO_MANY = RINGS - 2, MANY_TO_ONE = RINGS - 1 };

static void begin(struct kit_run *run)
{
    run->local = kit_queues_make(RINGS);
}

static void end(struct kit_run *run)
{
    kit_pages_unmap(run->local, RINGS * sizeof(struct kit_queue));
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
        passed =
            kit_queue_swap(thread->run, thread->run->local, ring, produces ? KIT_QUEUE_FILL : KIT_QUEUE_EMPTY, *place);
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
    .slots = RINGS * KIT_QUEUE_CELLS,
    .begin = begin,
    .work = work,
    .end = end,
};
