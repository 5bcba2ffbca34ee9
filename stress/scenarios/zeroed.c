/*
 * zeroed: calloc of what was written to and freed a moment ago, at all sizes: blocks of exact lists, of ranges, of
 * whole regions, and mappings.
 *
 * Goal: calloc is zeroed whatever its memory was before, and however the allocator knows that it need not write.
 * Class of bug: memory taken for fresh that is not: after a split of dirty and fresh memory, after a merge, after
 * trimming gave back some of its pages, in an idle or a shrunk mapping.
 * Oracle: every byte of every calloc; everything else in oracle.h, which fills each block with a pattern that has
 * hardly a zero byte. Knobs: GROUP, how many neighbours are dirtied before some of them are freed; TRIM_EVERY, groups
 * between two calls of trim by one thread in turn.
 */
#include "mix.h"
#include "oracle.h"

enum { GROUP = 12, TRIM_EVERY = 64 };

/* Each group of one order of magnitude, so that what calloc gets is what was just freed. */
static const struct kit_sizes magnitudes[] = {
    {4000, 1, 112},
    {4000, 112, 4096},
    {1200, 4096, (size_t)64 << 10},
    {120, (size_t)64 << 10, (size_t)400 << 10},
    {12, (size_t)400 << 10, (size_t)3 << 20},
    {0, 0, 0},
};

/* Sizes around one that was drawn, never 0. */
static size_t near(struct kit_rng *rng, size_t bytes)
{
    return bytes / 2 + (size_t)kit_rng_below(rng, bytes) + 1;
}

static bool dirty_and_free(struct kit_thread *thread, size_t bytes)
{
    for (unsigned i = 0; i < GROUP; i++) {
        if (!kit_step(thread))
            return false;
        if (!kit_block_is_live(thread->blocks[i]))
            kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_MALLOC, 0, near(&thread->rng, bytes));
    }
    for (unsigned i = 0; i < GROUP; i++) {
        if (!kit_step(thread))
            return false;
        if (kit_rng_percent(&thread->rng, 70))
            kit_mix_release(thread, thread->blocks[i]);
        else if (kit_rng_percent(&thread->rng, 50))
            kit_resize(thread, thread->blocks[i], near(&thread->rng, bytes));
    }
    return true;
}

static bool take_zeroed(struct kit_thread *thread, size_t bytes)
{
    for (unsigned i = 0; i < GROUP; i++) {
        struct kit_block *block = thread->blocks[i];

        if (!kit_step(thread))
            return false;
        if (kit_block_is_live(block))
            kit_mix_release(thread, block);
        kit_allocate(thread, block, thread->run->allocator, KIT_CALLOC, 0, near(&thread->rng, bytes));
    }
    return true;
}

static void work(struct kit_thread *thread)
{
    for (uint64_t group = 1;; group++) {
        size_t bytes = kit_mix_bytes(&thread->rng, magnitudes);

        if (!dirty_and_free(thread, bytes))
            return;
        if (group % TRIM_EVERY == 0 && group / TRIM_EVERY % thread->run->config->threads == thread->index)
            kit_trim(thread, (size_t)kit_rng_below(&thread->rng, 2) << 18);
        if (!take_zeroed(thread, bytes))
            return;
    }
}

const struct kit_scenario stress_zeroed = {
    .name = "zeroed",
    .summary = "calloc of memory that was written to and freed just before, at all sizes",
    .blocks_of_thread = GROUP,
    .work = work,
};
