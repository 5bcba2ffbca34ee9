/*
 * trimming: all threads allocate in waves, up to full and down to little, while pages decay within a millisecond and
 * every thread trims now and then, where the allocator can.
 *
 * Goal: memory goes back to the OS at any moment: the top of the break, whole regions, pages inside free blocks.
 * Class of bug: pages given back that are in use, or whose tags and links are; a region unmapped under a block that was
 * just taken from it; a free block taken for purged that is dirty.
 * Oracle: everything in oracle.h, above all content, and zeroed calloc.
 * Knobs: DECAY_MS; TRIM_EVERY, operations of a thread between two calls of trim; WAVE, operations up or down.
 */
#include "mix.h"
#include "oracle.h"

enum { DECAY_MS = 1, TRIM_EVERY = 500, WAVE = 600 };

static const struct kit_sizes sizes[] = {
    {60, 16, 1024},
    {30, 1024, (size_t)64 << 10},
    {9, (size_t)64 << 10, (size_t)250 << 10},
    {1, (size_t)250 << 10, (size_t)2 << 20},
    {0, 0, 0},
};

static uint64_t decay_ms_before;

static void begin(struct kit_run *run)
{
    if (run->allocator->is_heapster)
        decay_ms_before = kit_heapster_set_decay_ms(DECAY_MS);
}

static void end(struct kit_run *run)
{
    if (run->allocator->is_heapster)
        (void)kit_heapster_set_decay_ms(decay_ms_before);
}

/* On the way up only empty records are filled, on the way down only live ones are freed. */
static void step(struct kit_thread *thread, bool upward)
{
    struct kit_rng *rng = &thread->rng;
    struct kit_block *block = thread->blocks[kit_rng_below(rng, thread->block_count)];
    bool is_live = kit_block_is_live(block);

    if (upward && !is_live)
        kit_mix_allocate(thread, block, thread->run->allocator, kit_mix_bytes(rng, sizes));
    else if (!upward && is_live)
        kit_mix_release(thread, block);
    else if (is_live)
        kit_inspect(thread, block);
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        step(thread, kit_get(thread->ops) / WAVE % 2 == 0);
        if (kit_rng_below(&thread->rng, TRIM_EVERY) == 0)
            kit_trim(thread, (size_t)kit_rng_below(&thread->rng, 3) << 18);
    }
}

const struct kit_scenario stress_trimming = {
    .name = "trimming",
    .summary = "trim by every thread and decay within a millisecond, while all allocate",
    .blocks_of_thread = 256,
    .begin = begin,
    .work = work,
    .end = end,
};
