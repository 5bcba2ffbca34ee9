/*
 * brief: threads that live for a few calls, thousands of them. Each frees what dead ones left behind, allocates in many
 * sizes, leaves half of it for those to come, and ends.
 *
 * Goal: a thread's cache costs nothing that outlives it.
 * Class of bug: blocks, runs or outboxes that go with their thread; a cache's record, or its place in an arena, that is
 * never used again; a new cache made in the midst of the end, for good; a heap that grows by a little with every
 * thread. Oracle: everything in oracle.h; once there were WARM_LIVES, neither what the allocator holds of the OS nor
 * what the process has of address space beside that grows (of others only what the kit can ask for); in the end no
 * thread's cache holds anything (run.h). Knobs: CREW, threads of one worker at a time; SHARE, records of each;
 * LOOK_EVERY, lives of a worker.
 */
#include "cache.h"
#include "compiler.h"
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "sampler.h"
#include "short_thread.h"
#include "violation.h"

enum { CREW = 2, SHARE = 24, SLOTS = 256, WARM_LIVES = 100, LOOK_EVERY = 50, ID_BITS = 20 };

#define SPARE_BYTES ((uint64_t)16 << 20)

static const struct kit_sizes sizes[] = {
    {85, 1, 1000},
    {13, 1000, (size_t)16 << 10},
    {2, (size_t)16 << 10, (size_t)80 << 10},
    {0, 0, 0},
};

/* Of the first worker's. */
struct memory {
    uint64_t held_bytes, unknown_bytes;
};

static void live(struct kit_thread *part)
{
    for (unsigned i = 0; i < part->block_count; i++) {
        struct kit_block **place = &part->blocks[i];

        *place = kit_exchange(part, *place, (unsigned)kit_rng_below(&part->rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(part, *place);
        if (kit_rng_percent(&part->rng, 75))
            kit_mix_allocate(part, *place, part->run->allocator, kit_mix_bytes(&part->rng, sizes));
        if (kit_block_is_live(*place) && kit_rng_percent(&part->rng, 50))
            kit_mix_release(part, *place);
    }
}

static void lead_lives(struct kit_thread *thread)
{
    struct kit_thread parts[CREW];
    struct kit_short_thread threads[CREW];

    for (unsigned i = 0; i < CREW; i++) {
        parts[i] = (struct kit_thread){.run = thread->run,
                                       .index = thread->index,
                                       .rng = {kit_rng_next(&thread->rng)},
                                       .blocks = thread->blocks + (size_t)i * SHARE,
                                       .block_count = SHARE,
                                       .next_id = thread->next_id};
        thread->next_id += UINT64_C(1) << ID_BITS;
        kit_short_start(&threads[i], &parts[i], live);
    }
    for (unsigned i = 0; i < CREW; i++) {
        (void)kit_short_join(&threads[i]);
        kit_put(thread->live_bytes, kit_get(thread->live_bytes) + kit_get(parts[i].live_bytes));
    }
}

static struct memory memory_now(const struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct memory now = {0, 0};

    if (allocator->held_bytes != NULL)
        now.held_bytes = allocator->held_bytes(allocator->context);
    if (allocator->held_bytes != NULL && !HS_HAS_SHADOW)
        now.unknown_bytes = kit_sampler_unknown_bytes(run);
    return now;
}

/* Each thread that lives at the moment may have a record. */
static void expect_no_growth(const struct kit_run *run, const struct memory *before, uint64_t lives)
{
    uint64_t records_bytes = (uint64_t)run->config->threads * (CREW + 1) * HS_CACHE_RECORD_BYTES;
    struct memory now = memory_now(run);

    if (now.held_bytes > before->held_bytes + before->held_bytes / 4 + SPARE_BYTES)
        kit_violation(NULL, NULL, "growth", "%llu KiB held after %llu lives of a worker's threads, %llu before",
                      (unsigned long long)now.held_bytes >> 10, (unsigned long long)lives,
                      (unsigned long long)before->held_bytes >> 10);
    if (run->allocator->is_heapster && now.unknown_bytes > before->unknown_bytes + records_bytes + SPARE_BYTES)
        kit_violation(NULL, NULL, "growth", "%llu KiB more of address space after %llu lives of a worker's threads",
                      (unsigned long long)(now.unknown_bytes - before->unknown_bytes) >> 10, (unsigned long long)lives);
}

static void work(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;
    struct memory before = {0, 0};

    for (uint64_t lives = 1; kit_step(thread); lives++) {
        lead_lives(thread);
        if (thread->index != 0 || lives < WARM_LIVES || lives % LOOK_EVERY != 0)
            continue;
        kit_doing(thread, KIT_STATISTICS, 0);
        if (lives == WARM_LIVES)
            before = memory_now(run);
        else
            expect_no_growth(run, &before, lives);
    }
}

const struct kit_scenario stress_brief = {
    .name = "brief",
    .summary = "thousands of threads that live for a few calls and leave blocks behind",
    .uses_libc = true,
    .blocks_of_thread = CREW * SHARE,
    .slots = SLOTS,
    .work = work,
};
