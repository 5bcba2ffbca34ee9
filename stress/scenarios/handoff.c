/*
 * handoff: blocks wander from thread to thread, so most are freed or resized by another one than allocated them.
 *
 * Goal: the paths that reach into another thread's arena.
 * Class of bug: frees that race with the owner's splits and merges, blocks lost or delivered twice on the way.
 * Oracle: everything in oracle.h. The exchange itself is one atomic swap, so a block that arrives twice is the
 * allocator's doing.
 * Knobs: hand_over, the percentage of swaps; slots, the number of blocks that lie between threads.
 */
#include "mix.h"

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 65, .resize = 10, .inspect = 5};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

const struct kit_scenario stress_handoff = {
    .name = "handoff",
    .summary = "most blocks are freed by another thread than allocated them",
    .blocks_of_thread = 128,
    .slots = 256,
    .work = work,
};
