/*
 * scarce: a thread that has hoarded blocks in its cache, and got others from the rest, then finds the OS without
 * memory.
 *
 * Each round hoards blocks of several classes (makes and frees them), lets all OS calls of the thread fail, and
 * allocates larger ones until one is refused.
 *
 * Goal: what caches and inboxes hold is had before a request is refused.
 * Class of bug: a refusal while the cache still holds blocks; a refill that fails and loses what it had, or leaves its
 * run or its bin half changed; a refusal that outlives its cause.
 * Oracle: everything in oracle.h; nothing is refused but by a call in which mmap failed; after it the thread's cache
 * holds nothing; when memory is back, blocks of all sizes are to be had.
 * Knobs: HOARD, blocks that are made and freed; sizes of these and of the larger ones.
 */
#include "exchange.h"
#include "faults.h"
#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { HOARD = 128, LARGER = 256, SLOTS = 64, HAND_OVER_PERCENT = 10 };

#define TOUCHED_BYTES ((size_t)4 << 10)

static const struct kit_sizes hoarded[] = {{60, 1, 1000}, {40, 1000, (size_t)32 << 10}, {0, 0, 0}};
static const struct kit_sizes larger[] = {
    {20, 1000, (size_t)16 << 10},
    {60, (size_t)16 << 10, (size_t)70 << 10},
    {20, (size_t)70 << 10, (size_t)250 << 10},
    {0, 0, 0},
};

/* Not to be refused by another call than one that failed. */
static void expect_cause(const struct kit_block *block, uint64_t failed_before, size_t bytes)
{
    if (kit_faults_so_far().failed[HS_OS_MMAP] == failed_before)
        kit_violation(block, NULL, "refused", "no memory for %zu bytes, though no mmap failed in the call", bytes);
}

static void hoard(struct kit_thread *thread, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct kit_block **place = &thread->blocks[i];

        (void)kit_step(thread); /* a round is played to its end */
        if (!kit_block_is_live(*place))
            kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(&thread->rng, hoarded));
    }
    for (unsigned i = 0; i < count; i++) {
        struct kit_block **place = &thread->blocks[i];

        if (kit_rng_percent(&thread->rng, HAND_OVER_PERCENT))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
    }
}

/* The first one that is refused ends it. */
static void use_up(struct kit_thread *thread, const struct kit_allocator *allocator)
{
    for (unsigned i = HOARD; i < thread->block_count; i++) {
        struct kit_block *block = thread->blocks[i];
        size_t bytes = kit_mix_bytes(&thread->rng, larger);
        uint64_t failed_before = kit_faults_so_far().failed[HS_OS_MMAP], kept_bytes;

        if (kit_block_is_live(block))
            continue;
        (void)kit_step(thread);
        kit_allocate(thread, block, allocator, kit_rng_percent(&thread->rng, 50) ? KIT_MALLOC : KIT_CALLOC, 0, bytes);
        if (kit_block_is_live(block))
            continue;
        expect_cause(block, failed_before, bytes);
        kept_bytes = kit_heapster_own_kept_bytes();
        if (kept_bytes != 0)
            kit_violation(block, NULL, "kept", "%llu bytes in the cache of a thread that was refused %zu",
                          (unsigned long long)kept_bytes, bytes);
        return;
    }
}

static void play_round(struct kit_thread *thread)
{
    static const struct kit_fault_plan nothing = {KIT_FAULT_ALL_KINDS, KIT_FAULT_ALWAYS, 1, 0, 0};
    struct kit_allocator allocator = *thread->run->allocator;

    allocator.may_refuse = true;
    hoard(thread, HOARD);
    thread->untouched_from = TOUCHED_BYTES;
    kit_faults_arm(&nothing);
    use_up(thread, &allocator);
    (void)kit_faults_disarm();
    thread->untouched_from = 0;
    for (unsigned i = HOARD; i < thread->block_count; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_mix_release(thread, thread->blocks[i]);
    hoard(thread, HOARD / 8);
    /* So that the next round does not find all that this one gave back. */
    if (kit_rng_percent(&thread->rng, 50))
        kit_trim(thread, 0);
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread))
        play_round(thread);
}

static void begin(struct kit_run *run)
{
    (void)run;
    kit_faults_install();
}

static void end(struct kit_run *run)
{
    (void)run;
    kit_faults_remove();
}

const struct kit_scenario stress_scarce = {
    .name = "scarce",
    .summary = "threads with full caches, and no memory to be had of the OS",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = HOARD + LARGER,
    .slots = SLOTS,
    .begin = begin,
    .work = work,
    .end = end,
};
