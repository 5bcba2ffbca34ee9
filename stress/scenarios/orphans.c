/*
 * orphans: forks while other threads fill and empty their caches, cut runs, send what is another's and take what is
 * theirs, all the time; some end and leave what they kept to the next.
 *
 * Goal: whatever vanished threads held in their caches is the child's, once.
 * Class of bug: blocks in a cache, an outbox or a chain whose thread is gone, lost or given back twice; a run that
 * nobody ends; an inbox whose account is not what it holds; the forking thread's own cache taken for an orphan.
 * Oracle: in the child the heap passes the check at rest at once; after it gave back its own cache nothing is kept by
 * any; then, and after it has worked, again the check. Everything in oracle.h, in both.
 * Knobs: BURST, blocks of a turn; FORK_PERCENT of the turns; SHORT_PERCENT, turns of threads that end; CHILD_STEPS.
 */
#include "exchange.h"
#include "forked.h"
#include "mix.h"
#include "oracle.h"
#include "short_thread.h"
#include "violation.h"

enum {
    BURST = 192,
    SLOTS = 256,
    HAND_OVER_PERCENT = 30,
    FORK_PERCENT = 15,
    GIVE_BACK_PERCENT = 25,
    SHORT_PERCENT = 25,
    CHILD_STEPS = 200
};

static const struct kit_sizes sizes[] = {
    {85, 1, 700}, {14, 700, (size_t)8 << 10}, {1, (size_t)8 << 10, (size_t)80 << 10}, {0, 0, 0}};

static void live_in_child(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = sizes, .resize = 20, .inspect = 10};
    const struct kit_allocator *allocator = thread->run->allocator;
    uint64_t kept_bytes;

    kit_forked_check(thread);
    if (allocator->give_all_back != NULL) {
        allocator->give_all_back(allocator->context);
        kept_bytes = allocator->kept_bytes(allocator->context);
        if (kept_bytes != 0)
            kit_violation(NULL, NULL, "kept", "%llu bytes in caches of a child, which has one thread",
                          (unsigned long long)kept_bytes);
        kit_forked_check(thread);
    }
    kit_forked_work(thread, &mix, allocator, CHILD_STEPS);
    kit_forked_check(thread);
}

/* Empty records are filled, live ones freed, some by others. False where the thread is to finish. */
static bool play_turn(struct kit_thread *thread)
{
    for (unsigned i = 0; i < BURST; i++) {
        struct kit_block **place = &thread->blocks[i];

        if (!kit_step(thread))
            return false;
        if (kit_rng_percent(&thread->rng, HAND_OVER_PERCENT))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
        else
            kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(&thread->rng, sizes));
    }
    return true;
}

static void play_turn_to_its_end(struct kit_thread *thread)
{
    (void)play_turn(thread);
}

/* By a short thread, which ends with a full cache. */
static bool play_turn_elsewhere(struct kit_thread *thread)
{
    struct kit_short_thread short_thread;

    if (!kit_step(thread))
        return false;
    kit_short_start(&short_thread, thread, play_turn_to_its_end);
    (void)kit_short_join(&short_thread);
    return true;
}

static void work(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    while (kit_rng_percent(&thread->rng, SHORT_PERCENT) ? play_turn_elsewhere(thread) : play_turn(thread)) {
        if (kit_rng_percent(&thread->rng, FORK_PERCENT))
            kit_forked_run(thread, live_in_child);
        if (allocator->give_all_back != NULL && kit_rng_percent(&thread->rng, GIVE_BACK_PERCENT))
            allocator->give_all_back(allocator->context);
    }
}

const struct kit_scenario stress_orphans = {
    .name = "orphans",
    .summary = "forks while others fill and empty caches and send blocks home",
    .uses_libc = true,
    .needs = KIT_NEEDS_FORK,
    .blocks_of_thread = BURST,
    .slots = SLOTS,
    .work = work,
};
