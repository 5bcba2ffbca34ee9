/*
 * aligned: alignments of all powers of two up to 1 GiB, by all names that take one, mixed with resizes, which may drop
 * the alignment, and frees.
 *
 * Goal: aligned blocks in arenas, with a front cut off, and in mappings, with both ends cut off.
 * Class of bug: a front or an end that is lost, or kept and handed out too; a front too small for a tag; overflow in
 * the sum of alignment and size; free_sized at odds with what an aligned block holds.
 * Oracle: everything in oracle.h, above all the alignment.
 * Knobs: the table below. Huge alignments are rare: each reserves that much address space for a moment, and may touch
 * a page table of its own.
 */
#include "mix.h"
#include "oracle.h"

static const struct {
    unsigned weight, least_shift, most_shift;
    size_t most_bytes;
} classes[] = {
    {400, 0, 6, 2000},    {200, 5, 6, 96},      {300, 7, 12, 20000},
    {80, 13, 18, 100000}, {17, 19, 24, 300000}, {3, 25, 30, 600000},
};

static void allocate(struct kit_thread *thread, struct kit_block *block)
{
    static const enum kit_deed ways[] = {KIT_ALIGNED_ALLOC, KIT_POSIX_MEMALIGN, KIT_MEMALIGN};
    struct kit_rng *rng = &thread->rng;
    enum kit_deed how = ways[kit_rng_below(rng, 3)];
    uint64_t chosen = kit_rng_below(rng, 1000);
    unsigned class = 0, shift;

    while (chosen >= classes[class].weight)
        chosen -= classes[class ++].weight;
    shift = classes[class].least_shift +
            (unsigned)kit_rng_below(rng, classes[class].most_shift - classes[class].least_shift + 1);
    if (how == KIT_POSIX_MEMALIGN && shift < 3)
        shift = 3; /* a multiple of sizeof(void *) */
    kit_allocate(thread, block, thread->run->allocator, how, (size_t)1 << shift,
                 (size_t)kit_rng_below(rng, classes[class].most_bytes));
}

static void work(struct kit_thread *thread)
{
    struct kit_rng *rng = &thread->rng;

    while (kit_step(thread)) {
        struct kit_block *block = thread->blocks[kit_rng_below(rng, thread->block_count)];

        if (!kit_block_is_live(block))
            allocate(thread, block);
        else if (kit_rng_percent(rng, 15))
            kit_mix_resize(thread, block, kit_sizes_usual);
        else if (kit_rng_percent(rng, 15))
            kit_inspect(thread, block);
        else
            kit_mix_release(thread, block);
    }
}

const struct kit_scenario stress_aligned = {
    .name = "aligned",
    .summary = "alignments up to 1 GiB",
    .blocks_of_thread = 96,
    .work = work,
};
