/*
 * churn: every thread allocates, resizes and frees its own blocks, of all sizes and by all names of the family.
 *
 * Goal: the breadth of the interface under ordinary load.
 * Class of bug: wrong sizes and alignments, content lost by split or merge, forgotten blocks.
 * Oracle: everything in oracle.h; running checks; the walk against the oracle's records at the end.
 * Knobs: the weights below; records of each thread, which bound its live blocks.
 */
#include "mix.h"

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 2, .resize = 20, .inspect = 25};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

const struct kit_scenario stress_churn = {
    .name = "churn",
    .summary = "all operations and sizes, each thread mostly on blocks of its own",
    .blocks_of_thread = 512,
    .slots = 64,
    .work = work,
};
