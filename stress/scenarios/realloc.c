/*
 * realloc: blocks grow and shrink all the time: by a little, to half and double, and across the threshold to large
 * mappings and back.
 *
 * Goal: every way to resize: in place to the right, giving back an end, moving, mremap, between arena and mapping.
 * Class of bug: a lost prefix, an end that is given back and kept, a moved block whose old place is still in use.
 * Oracle: all content before each realloc, the kept prefix after it; everything else in oracle.h.
 * Knobs: the sizes below, larger than elsewhere; records of each thread, few for that reason.
 */
#include "mix.h"

static void work(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {
        {70, 1, 2048},
        {20, 2048, (size_t)64 << 10},
        {9, (size_t)64 << 10, (size_t)512 << 10},
        {1, (size_t)512 << 10, (size_t)4 << 20},
        {0, 0, 0},
    };
    static const struct kit_mix mix = {.sizes = sizes, .hand_over = 5, .resize = 80, .inspect = 5};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

const struct kit_scenario stress_realloc = {
    .name = "realloc",
    .summary = "blocks that grow and shrink all the time, up to large mappings and back",
    .blocks_of_thread = 64,
    .slots = 32,
    .work = work,
};
