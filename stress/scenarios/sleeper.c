/*
 * sleeper: the first thread makes many blocks and sleeps until the others have freed all of them, again and again.
 *
 * Goal: what is given back to an arena whose threads do not call is given back all the same.
 * Class of bug: an inbox without a bound; a sender that empties it in part, or twice; an account of the inbox that
 * drifts away from what it holds, so that the bound is never met any more.
 * Oracle: everything in oracle.h; while its owner sleeps an inbox holds HS_INBOX_BYTES_MOST and what one sender adds,
 * and the arena's depot what hs_depot_sent_bytes_most allows; every other sender has an outbox, which is not full,
 * and what is unsent;
 * whoever lives in the owner's arena may keep what it frees.
 * Knobs: BLOCKS, freed during one sleep; sizes, so that they are several times what an inbox may hold.
 */
#include <time.h>

#include "cache.h"
#include "depot.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { BLOCKS = 2048, NAP_NS = 50000 };

/* An outbox, with the block that filled it, and what is unsent, 16 KiB each; for each sender. */
#define SENDER_BYTES (((size_t)32 + 72) << 10)

static const struct kit_sizes sizes[] = {
    {60, 16, 2000},
    {30, 2000, (size_t)16 << 10},
    {10, (size_t)16 << 10, (size_t)70 << 10},
    {0, 0, 0},
};

struct local {
    struct kit_block **blocks;                            /* of the first thread, */
    unsigned count;                                       /* and how many there are in this round */
    struct hs_arena *home;                                /* where it allocates */
    _Atomic uint64_t round __attribute__((aligned(128))); /* that is to be freed, from 1 on */
    _Atomic uint64_t done __attribute__((aligned(128)));  /* threads that have freed their share, in all rounds */
    _Atomic uint64_t allowed_bytes;                       /* in the hands of those that free, in this round */
    _Atomic bool is_over;
};

static void nap(struct kit_thread *thread)
{
    const struct timespec pause = {0, NAP_NS};

    kit_put(thread->is_waiting, true);
    (void)nanosleep(&pause, NULL);
    kit_put(thread->is_waiting, false);
}

/* ---- the owner -----------------------------------------------------------------------------------------------------
 */

static void make_blocks(struct kit_thread *thread, struct local *local)
{
    for (local->count = 0; local->count < BLOCKS && kit_step(thread); local->count++)
        kit_mix_allocate(thread, thread->blocks[local->count], thread->run->allocator,
                         kit_mix_bytes(&thread->rng, sizes));
}

/* What the depot of the owner's arena may hold for it. The bound grows with the arena. */
static uint64_t depot_bytes_most(const struct local *local)
{
    const struct hs_depot *depot = hs_depot_of(local->home);

    return depot != NULL ? hs_depot_sent_bytes_most(depot) : 0;
}

static void expect_bound(struct kit_thread *thread, uint64_t kept_before, uint64_t in_depot_most)
{
    const struct kit_run *run = thread->run;
    const struct local *local = run->local;
    uint64_t kept_bytes = run->allocator->kept_bytes(run->allocator->context);

    if (depot_bytes_most(local) > in_depot_most)
        in_depot_most = depot_bytes_most(local);
    if (kept_bytes > kept_before + HS_INBOX_BYTES_MOST + in_depot_most + kit_get(local->allowed_bytes))
        kit_violation(NULL, NULL, "kept", "%llu KiB were given back to an owner that sleeps, and are in nobody's hands",
                      (unsigned long long)(kept_bytes - kept_before) >> 10);
}

static void own(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct local *local = thread->run->local;
    uint64_t others = thread->run->config->threads - 1, kept_before = 0, in_depot_most = 0;

    local->blocks = thread->blocks;
    for (uint64_t round = 1; kit_step(thread); round++) {
        make_blocks(thread, local);
        if (allocator->is_heapster) {
            local->home = allocator->home(allocator->context); /* where it made them: known by now */
            kept_before = allocator->kept_bytes(allocator->context);
            in_depot_most = depot_bytes_most(local);
        }
        kit_put(local->allowed_bytes, 0);
        atomic_store_explicit(&local->round, round, memory_order_release); /* [ROUND] the blocks */
        /* [FREED] what the others sent is counted in the inbox. */
        while (atomic_load_explicit(&local->done, memory_order_acquire) != round * others)
            nap(thread);
        if (allocator->is_heapster)
            expect_bound(thread, kept_before, in_depot_most);
    }
    kit_put(local->is_over, true);
}

/* ---- the others ----------------------------------------------------------------------------------------------------
 */

/* Whoever lives in the owner's arena keeps in its own cache, or puts into the depot, what it frees. */
static void free_share(struct kit_thread *thread, struct local *local)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    unsigned others = thread->run->config->threads - 1;
    bool is_neighbour = allocator->is_heapster && allocator->home(allocator->context) == local->home;
    uint64_t allowed_bytes = is_neighbour ? 0 : SENDER_BYTES;

    for (unsigned i = thread->index - 1; i < local->count; i += others) {
        (void)kit_step(thread);
        if (is_neighbour)
            allowed_bytes += 2 * kit_get(local->blocks[i]->usable_bytes);
        kit_mix_release(thread, local->blocks[i]);
    }
    (void)atomic_fetch_add_explicit(&local->allowed_bytes, allowed_bytes, memory_order_relaxed); /* [FREED] */
    (void)atomic_fetch_add_explicit(&local->done, 1, memory_order_release);                      /* [FREED] */
}

static void free_for_owner(struct kit_thread *thread)
{
    struct local *local = thread->run->local;
    uint64_t round = 0;
    bool is_over = false;

    while (!is_over) {
        is_over = kit_get(local->is_over);
        /* [ROUND] */
        if (atomic_load_explicit(&local->round, memory_order_acquire) == round) {
            nap(thread);
            continue;
        }
        is_over = false;
        round++;
        free_share(thread, local);
    }
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = sizes, .resize = 10, .inspect = 10};

    if (thread->run->config->threads == 1) {
        while (kit_step(thread))
            kit_mix_step(thread, &mix, thread->run->allocator);
    } else if (thread->index == 0) {
        own(thread);
    } else {
        free_for_owner(thread);
    }
}

static void begin(struct kit_run *run)
{
    run->local = kit_pages_map(sizeof(struct local));
}

static void end(struct kit_run *run)
{
    kit_pages_unmap(run->local, sizeof(struct local));
}

const struct kit_scenario stress_sleeper = {
    .name = "sleeper",
    .summary = "a thread whose blocks others free while it sleeps",
    .blocks_of_thread = BLOCKS,
    .begin = begin,
    .work = work,
    .end = end,
};
