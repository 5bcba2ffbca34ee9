/*
 * remote: some threads only allocate, others only free, and none ever does the other thing.
 *
 * By the seed and the strategy all threads stand in a circle, each freeing what the one before it made; or in groups of
 * eight, with roles:
 *
 *     0 -> 1        2 -> 3, 4        5, 6 -> 7
 *
 * and either in arenas as they come or all in one.
 *
 * Goal: what flows one way for a whole run comes back to where it was made, and is used again.
 * Class of bug: remote frees that pile up, in an outbox, an inbox or the arena of whoever frees; an account of them
 * that drifts; a chain that is lost or taken twice. Oracle: everything in oracle.h; the heap's memory, resident (or,
 * where a sanitizer has memory of its own, held of the OS), stays within 1.3 times the most live bytes plus 16 MiB,
 * looked at all the time. Each thread beyond two may add what its cache, its boxes and its arena hold. Worst and next
 * fit strew their blocks over all the memory they have: with eight threads, 3 MiB live and requests of up to 80 KiB
 * they level, within half a minute, at 50 and at 100 to 115 MiB, and may take one and a half and three times as much.
 * This is Heapster's promise, and others are not held to it. Knobs: sizes; BLOCKS, how many blocks a consumer holds
 * back before it frees the oldest; LOOK_EVERY, operations of the first thread.
 */
#include "heapster.h"

#include <sched.h>

#include "compiler.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "queue.h"
#include "sampler.h"
#include "violation.h"

enum { BLOCKS = 256, QUEUES = 128, GROUP = 8, NO_QUEUE = QUEUES, LOOK_EVERY = 1000 };

/* For the caches and inboxes of two threads, and of each one more. */
#define SPARE_BYTES ((uint64_t)16 << 20)
#define SPARE_BYTES_OF_THREAD ((uint64_t)4 << 20)

static const struct kit_sizes sizes[] = {
    {80, 16, 1000},
    {18, 1000, (size_t)8 << 10},
    {2, (size_t)8 << 10, (size_t)80 << 10},
    {0, 0, 0},
};

struct local {
    struct kit_queue *queues;
    bool is_circle, is_together;
    uint64_t bytes_before, most_live_bytes; /* the first thread's */
};

/* Which queues a thread fills, in turn, and which it empties. */
struct role {
    unsigned targets[2];
    unsigned source;
};

static struct role role_in_circle(unsigned index, unsigned first, unsigned count)
{
    unsigned next = (first + (index - first + 1) % count) % QUEUES;

    return (struct role){{next, next}, index % QUEUES};
}

static struct role role_of(const struct kit_thread *thread)
{
    static const struct role roles[GROUP] = {
        {{1, 1}, NO_QUEUE}, {{NO_QUEUE, 0}, 1}, {{3, 4}, NO_QUEUE}, {{NO_QUEUE, 0}, 3},
        {{NO_QUEUE, 0}, 4}, {{7, 7}, NO_QUEUE}, {{7, 7}, NO_QUEUE}, {{NO_QUEUE, 0}, 7},
    };
    const struct local *local = thread->run->local;
    unsigned threads = thread->run->config->threads, first = thread->index / GROUP * GROUP;
    struct role role = roles[thread->index % GROUP];

    if (local->is_circle)
        return role_in_circle(thread->index, 0, threads);
    if (first + GROUP > threads)
        return role_in_circle(thread->index, first, threads - first);
    for (unsigned i = 0; i < 2; i++)
        role.targets[i] = role.targets[0] == NO_QUEUE ? NO_QUEUE : (first + role.targets[i]) % QUEUES;
    role.source = role.source == NO_QUEUE ? NO_QUEUE : (first + role.source) % QUEUES;
    return role;
}

/* ---- the bound -----------------------------------------------------------------------------------------------------
 */

static uint64_t bytes_now(const struct kit_run *run)
{
    return HS_HAS_SHADOW ? run->allocator->held_bytes(run->allocator->context) : kit_pages_resident();
}

static void look(struct kit_thread *thread)
{
    struct kit_run *run = thread->run;
    struct local *local = run->local;
    uint64_t live_bytes = kit_sampler_live_bytes(run), allowed_bytes, now;
    unsigned threads = run->config->threads;

    if (!run->allocator->is_heapster)
        return;
    kit_doing(thread, KIT_STATISTICS, 0);
    now = bytes_now(run);
    if (live_bytes > local->most_live_bytes)
        local->most_live_bytes = live_bytes;
    allowed_bytes = SPARE_BYTES;
    if (threads > 2)
        allowed_bytes += (threads - 2) * SPARE_BYTES_OF_THREAD;
    if (heapster_get_strategy() == HEAPSTER_NEXT_FIT)
        allowed_bytes *= 3;
    else if (heapster_get_strategy() == HEAPSTER_WORST_FIT)
        allowed_bytes += allowed_bytes / 2;
    allowed_bytes += local->most_live_bytes + local->most_live_bytes / 10 * 3;
    if (now > local->bytes_before + allowed_bytes)
        kit_violation(NULL, NULL, "growth", "%llu KiB of memory more than before, for %llu KiB live at the most",
                      (unsigned long long)(now - local->bytes_before) >> 10,
                      (unsigned long long)local->most_live_bytes >> 10);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

/* Makes a block, if the record is empty, and passes it on, if there is room. */
static bool produce(struct kit_thread *thread, const struct role *role, unsigned turn, struct kit_block **place)
{
    struct local *local = thread->run->local;
    struct kit_block *passed;

    if (!kit_block_is_live(*place))
        kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(&thread->rng, sizes));
    kit_doing(thread, KIT_HAND_OVER, 0);
    passed = kit_queue_swap(thread->run, local->queues, role->targets[turn % 2], KIT_QUEUE_FILL, *place);
    if (passed != NULL)
        *place = passed;
    return passed != NULL;
}

/* Frees the block, the oldest one, and takes another one for it, if there is any. */
static bool consume(struct kit_thread *thread, const struct role *role, struct kit_block **place)
{
    struct local *local = thread->run->local;
    struct kit_block *passed;

    if (kit_block_is_live(*place))
        kit_mix_release(thread, *place);
    kit_doing(thread, KIT_HAND_OVER, 0);
    passed = kit_queue_swap(thread->run, local->queues, role->source, KIT_QUEUE_EMPTY, *place);
    if (passed != NULL)
        *place = passed;
    return passed != NULL;
}

static void work(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    const struct local *local = thread->run->local;
    struct role role = role_of(thread);
    unsigned made = 0, taken = 0;

    if (local->is_together && allocator->settle != NULL)
        allocator->settle(allocator->context, thread->run->home);
    for (unsigned i = 1; kit_step(thread); i++) {
        bool went_on = false;

        if (role.targets[0] != NO_QUEUE && produce(thread, &role, made, &thread->blocks[0])) {
            made++;
            went_on = true;
        }
        if (role.source != NO_QUEUE && consume(thread, &role, &thread->blocks[1 + taken % (BLOCKS - 1)])) {
            taken++;
            went_on = true;
        }
        if (!went_on)
            (void)sched_yield();
        if (thread->index == 0 && i % LOOK_EVERY == 0)
            look(thread);
    }
}

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);
    uint64_t chosen = run->config->seed;

    if (run->allocator->is_heapster) {
        chosen += (uint64_t)heapster_get_strategy();
        local->bytes_before = bytes_now(run);
    }
    local->is_circle = chosen % 2 == 1;
    local->is_together = chosen / 2 % 2 == 1;
    local->queues = kit_queues_make(QUEUES);
    run->local = local;
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    kit_pages_unmap(local->queues, QUEUES * sizeof *local->queues);
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_remote = {
    .name = "remote",
    .summary = "threads that only allocate, and others that only free what those made",
    .blocks_of_thread = BLOCKS,
    .slots = QUEUES * KIT_QUEUE_CELLS,
    .begin = begin,
    .work = work,
    .end = end,
};
