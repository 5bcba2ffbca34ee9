/*
 * neighbours: all threads in one arena, in rows of blocks of nearly the same size. Every second block of a row goes to
 * another thread, and both threads free their halves at once.
 *
 * Goal: the greatest contention on neighbours that there can be: whenever a block is freed, both its neighbours are
 * being freed or split, too.
 * Class of bug: two neighbours free and not merged, a merge with a block that was just taken, lost blocks, deadlock
 * between two lists.
 * Oracle: everything in oracle.h; the running check, more often than elsewhere, looks for neighbours that are both
 * free. Knobs: the length of a row; sizes within a row; slots, few, so that blocks are freed soon after they were
 * handed over.
 */
#include "exchange.h"
#include "mix.h"
#include "oracle.h"

enum { ROW = 16, SLOTS = 16, LEAST_BYTES = 16, MOST_BYTES = 640 };

static bool allocate_row(struct kit_thread *thread)
{
    size_t bytes = LEAST_BYTES + (size_t)kit_rng_below(&thread->rng, MOST_BYTES - LEAST_BYTES);

    for (unsigned i = 0; i < ROW; i++) {
        if (!kit_step(thread))
            return false;
        if (!kit_block_is_live(thread->blocks[i]))
            kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_MALLOC, 0,
                         bytes + (size_t)kit_rng_below(&thread->rng, 3) * 16);
    }
    return true;
}

static bool hand_over_every_second(struct kit_thread *thread)
{
    for (unsigned i = 1; i < ROW; i += 2) {
        if (!kit_step(thread))
            return false;
        thread->blocks[i] = kit_exchange(thread, thread->blocks[i], (unsigned)kit_rng_below(&thread->rng, SLOTS));
    }
    return true;
}

/* From either end: merges then meet in the middle. */
static bool free_row(struct kit_thread *thread)
{
    bool backwards = kit_rng_percent(&thread->rng, 50);

    for (unsigned i = 0; i < ROW; i++) {
        struct kit_block *block = thread->blocks[backwards ? ROW - 1 - i : i];

        if (!kit_step(thread))
            return false;
        if (kit_block_is_live(block))
            kit_release(thread, block, KIT_FREE);
    }
    return true;
}

static void work(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;

    if (run->allocator->settle != NULL)
        run->allocator->settle(run->allocator->context, run->home);
    while (allocate_row(thread) && hand_over_every_second(thread) && free_row(thread))
        ;
}

const struct kit_scenario stress_neighbours = {
    .name = "neighbours",
    .summary = "one arena for all threads, every second block of a row freed by another thread at once",
    .blocks_of_thread = ROW,
    .slots = SLOTS,
    .work = work,
};
