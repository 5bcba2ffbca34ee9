/*
 * runs: bursts of small blocks of all sizes, mixed, so that runs are cut up side by side by all threads, while one
 * thread does nothing but walk the heap, check it and read its statistics.
 *
 * Goal: whoever looks at the heap finds it whole while runs, which are cut without a lock, become shorter.
 * Class of bug: a cut that overlaps its neighbour, or leaves a gap; a cut that is visible before its tag, or counted
 * twice; a run that ends with too much or too little left, or that nobody ends; counters that go back when a run ends.
 * Oracle: everything in oracle.h; the thread that looks finds nothing broken, blocks without a gap within each span of
 * the walk, and no counter that goes back.
 * Knobs: BURST, blocks between two times when all go; sizes, up to those that begin a run of their own; LOOK_EVERY,
 * what a look counts for among operations; SHORT_PERCENT, bursts of threads that end.
 */
#include "heapster.h"

#include "mix.h"
#include "oracle.h"
#include "short_thread.h"
#include "violation.h"

enum { BURST = 400, GIVE_BACK_PERCENT = 30, SHORT_PERCENT = 5, LOOK_EVERY = 100 };

static const struct kit_sizes sizes[] = {{90, 1, 600}, {9, 600, 2000}, {1, 2000, 9000}, {0, 0, 0}};

/* ---- who looks -----------------------------------------------------------------------------------------------------
 */

struct look {
    uintptr_t end; /* of the block before */
    unsigned arena;
};

/* Regions lie apart by their END tags at least; within one, a block begins where the last one ends. */
static void expect_no_overlap(const struct kit_walked *block, void *argument)
{
    struct look *look = argument;

    if (block->arena == look->arena && block->payload < look->end && block->payload + block->block_bytes > look->end)
        kit_violation(NULL, NULL, "walk", "the block at 0x%llx begins before 0x%llx, where the one before it ends",
                      (unsigned long long)block->payload, (unsigned long long)look->end);
    look->arena = block->arena;
    look->end = block->payload + block->block_bytes;
}

static void walk(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct look look = {0, 0};

    kit_doing(thread, KIT_WALK, 0);
    allocator->walk(allocator->context, expect_no_overlap, &look);
}

static void check(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_text findings = {.length = 0};

    kit_doing(thread, KIT_CHECK, 0);
    allocator->check(allocator->context, false, &findings);
    if (findings.length != 0)
        kit_violation(NULL, NULL, "running heap", "\n%.*s", (int)findings.length, findings.bytes);
}

static void read_statistics(struct kit_thread *thread, struct heapster_stats *before)
{
    struct heapster_stats now;

    kit_doing(thread, KIT_STATISTICS, 0);
    heapster_stats(&now);
    if (now.allocations < before->allocations || now.frees < before->frees || now.frees > now.allocations)
        kit_violation(NULL, NULL, "statistics", "%llu allocations and %llu frees after %llu and %llu",
                      (unsigned long long)now.allocations, (unsigned long long)now.frees,
                      (unsigned long long)before->allocations, (unsigned long long)before->frees);
    *before = now;
}

static void observe(struct kit_thread *thread)
{
    struct heapster_stats before = {0};

    for (unsigned i = 0; kit_step(thread); i++) {
        if (i % LOOK_EVERY != 0)
            continue;
        switch (kit_rng_below(&thread->rng, 3)) {
        case 0:
            walk(thread);
            break;
        case 1:
            check(thread);
            break;
        default:
            read_statistics(thread, &before);
            break;
        }
    }
}

/* ---- who allocates -------------------------------------------------------------------------------------------------
 */

/* False where the thread is to finish. */
static bool make_burst(struct kit_thread *thread)
{
    for (unsigned i = 0; i < BURST; i++) {
        if (!kit_step(thread))
            return false;
        if (!kit_block_is_live(thread->blocks[i]))
            kit_mix_allocate(thread, thread->blocks[i], thread->run->allocator, kit_mix_bytes(&thread->rng, sizes));
    }
    return true;
}

/* All of them, or all but a few, which keep what was cut beside them from becoming one again. */
static bool free_burst(struct kit_thread *thread)
{
    unsigned kept_percent = kit_rng_percent(&thread->rng, 50) ? 3 : 0;

    for (unsigned i = 0; i < BURST; i++) {
        if (!kit_step(thread))
            return false;
        if (kit_rng_percent(&thread->rng, kept_percent))
            kit_inspect(thread, thread->blocks[i]);
        else
            kit_mix_release(thread, thread->blocks[i]);
    }
    return true;
}

static bool play(struct kit_thread *thread)
{
    return make_burst(thread) && free_burst(thread);
}

static void play_to_its_end(struct kit_thread *thread)
{
    (void)play(thread);
}

/* By a short thread, whose run nobody cuts any more once it has ended. */
static bool play_elsewhere(struct kit_thread *thread)
{
    struct kit_short_thread short_thread;

    if (!kit_step(thread))
        return false;
    kit_short_start(&short_thread, thread, play_to_its_end);
    (void)kit_short_join(&short_thread);
    return true;
}

static void work(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    if (thread->index == 0 && thread->run->config->threads > 1) {
        observe(thread);
        return;
    }
    while (kit_rng_percent(&thread->rng, SHORT_PERCENT) ? play_elsewhere(thread) : play(thread))
        if (kit_rng_percent(&thread->rng, GIVE_BACK_PERCENT))
            allocator->give_back(allocator->context);
}

const struct kit_scenario stress_runs = {
    .name = "runs",
    .summary = "blocks of mixed sizes cut side by side while one thread looks on all the time",
    .uses_libc = true,
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BURST,
    .work = work,
};
