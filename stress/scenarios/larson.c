/*
 * larson: a server whose threads come and go. A thread replaces random blocks of its lot by new ones for a while and
 * ends; its successor inherits the lot and goes on. (After Larson and Krishnan's server workload.)
 *
 * Goal: blocks that outlive the thread that made them, and are freed by one that may live in another arena.
 * Class of bug: an arena that dies, or is forgotten, with its last thread; memory that nobody reuses because its thread
 * is gone; thread-local state read after its end.
 * Oracle: everything in oracle.h; the starter joins a thread before the successor comes, so a lot has one owner at any
 * time.
 * Knobs: LIFE, replacements of one thread; LOT, its blocks; hand_overs between lots, 1 in HAND_OVER_EVERY.
 */
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "short_thread.h"

enum { LIFE = 500, LOT = 256, SLOTS = 64, HAND_OVER_EVERY = 32 };

static const struct kit_sizes sizes[] = {{95, 10, 1000}, {5, 1000, (size_t)64 << 10}, {0, 0, 0}};

static void live(struct kit_thread *thread)
{
    struct kit_rng *rng = &thread->rng;

    for (unsigned i = 0; i < LIFE && kit_step(thread); i++) {
        struct kit_block **place = &thread->blocks[kit_rng_below(rng, LOT)];

        if (kit_rng_below(rng, HAND_OVER_EVERY) == 0)
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
        kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(rng, sizes));
    }
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        struct kit_short_thread successor;

        kit_short_start(&successor, thread, live);
        (void)kit_short_join(&successor);
    }
}

const struct kit_scenario stress_larson = {
    .name = "larson",
    .summary = "threads come and go, successors inherit their blocks",
    .blocks_of_thread = LOT,
    .slots = SLOTS,
    .work = work,
};
