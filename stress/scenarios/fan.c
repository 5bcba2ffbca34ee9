/*
 * fan: in turns, one thread allocates for all the others, which free (fan-out); and all allocate for one, which frees
 * (fan-in).
 *
 * Goal: memory that flows one way for a while, out of one arena or into it.
 * Class of bug: remote frees that pile up, or that only their owner's next call makes good; an arena that grows though
 * its blocks come back; order between a giver's last write and the taker's free.
 * Oracle: everything in oracle.h; the exchange is one atomic swap, so a block that arrives twice is the allocator's
 * doing.
 * Knobs: TURN, operations of a thread from one turn to the next; SLOTS, the blocks on their way.
 */
#include "exchange.h"
#include "mix.h"
#include "oracle.h"

enum { TURN = 2048, SLOTS = 512, BLOCKS = 64 };

/* Threads count their own operations, so they turn at about the same time; nothing depends on it. */
static bool gives(const struct kit_thread *thread)
{
    unsigned threads = thread->run->config->threads;
    uint64_t turn = kit_get(thread->ops) / TURN;
    bool is_hub = turn / 2 % threads == thread->index;

    return turn % 2 == 0 ? is_hub : !is_hub;
}

static void work(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_rng *rng = &thread->rng;

    while (kit_step(thread)) {
        struct kit_block **place = &thread->blocks[kit_rng_below(rng, BLOCKS)];
        bool is_live = kit_block_is_live(*place);

        if (gives(thread) && !is_live)
            kit_mix_allocate(thread, *place, allocator, kit_mix_bytes(rng, kit_sizes_usual));
        else if (!gives(thread) && is_live)
            kit_mix_release(thread, *place);
        *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(rng, SLOTS));
    }
}

const struct kit_scenario stress_fan = {
    .name = "fan",
    .summary = "one allocates for all, then all for one, in turns",
    .blocks_of_thread = BLOCKS,
    .slots = SLOTS,
    .work = work,
};
