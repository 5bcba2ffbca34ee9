/*
 * observers: every thread allocates, and now and then walks the heap, checks it, or reads or prints its statistics, so
 * that several look at once.
 *
 * Goal: what looks at the heap may do so at any time, beside any number of others.
 * Class of bug: locks taken in two orders, a walk that meets a half-made block or misses one, sums that do not add up.
 * Oracle: a walk finds each of the walking thread's own blocks exactly once, in use, and of its usable size; counters
 * never go back; a check finds nothing; everything else in oracle.h.
 * Knobs: LOOK_EVERY, operations between two looks of a thread; BLOCKS, which bounds what a walk has to look up.
 */
#include "heapster.h"

#include <fcntl.h>
#include <unistd.h>

#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { LOOK_EVERY = 400, BLOCKS = 128 };

/* The walking thread's own blocks, by address. */
struct own_blocks {
    const struct kit_block *blocks[BLOCKS];
    unsigned count;
    unsigned found;
};

static int null_file;

static void insert(struct own_blocks *own, const struct kit_block *block)
{
    unsigned place = own->count++;

    while (place > 0 && kit_get(own->blocks[place - 1]->address) > kit_get(block->address)) {
        own->blocks[place] = own->blocks[place - 1];
        place--;
    }
    own->blocks[place] = block;
}

static bool visit(const struct heapster_block_info *info, void *context)
{
    struct own_blocks *own = context;
    uintptr_t address = (uintptr_t)info->payload;
    unsigned low = 0, high = own->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (kit_get(own->blocks[middle]->address) < address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == own->count || kit_get(own->blocks[low]->address) != address)
        return true;
    own->found++;
    if (info->state != HEAPSTER_BLOCK_USED && info->state != HEAPSTER_BLOCK_LARGE)
        kit_violation(own->blocks[low], NULL, "walk", "a live block is said to be in state %d", (int)info->state);
    if (info->usable_bytes != kit_get(own->blocks[low]->usable_bytes))
        kit_violation(own->blocks[low], NULL, "walk", "a live block is said to have %zu usable bytes",
                      info->usable_bytes);
    return true;
}

static void walk(struct kit_thread *thread)
{
    struct own_blocks own = {.count = 0};

    kit_doing(thread, KIT_WALK, 0);
    for (unsigned i = 0; i < thread->block_count; i++)
        if (kit_block_is_live(thread->blocks[i]))
            insert(&own, thread->blocks[i]);
    (void)heapster_walk(visit, &own);
    if (own.found != own.count)
        kit_violation(NULL, NULL, "walk", "found %u of the %u blocks of the walking thread", own.found, own.count);
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

/* `before` is what the same thread read last. */
static void read_statistics(struct kit_thread *thread, struct heapster_stats *before)
{
    struct heapster_stats now;

    kit_doing(thread, KIT_STATISTICS, 0);
    heapster_stats(&now);
    if (now.allocations < before->allocations || now.frees < before->frees || now.splits < before->splits ||
        now.coalesces < before->coalesces || now.retreats < before->retreats || now.arena_count < before->arena_count ||
        now.os_mmap_calls < before->os_mmap_calls || now.os_purged_bytes < before->os_purged_bytes)
        kit_violation(NULL, NULL, "statistics", "a counter went back");
    if (now.used_blocks + now.cached_blocks != now.allocations - now.frees)
        kit_violation(NULL, NULL, "statistics", "%llu blocks in use and %llu cached of %llu allocations and %llu frees",
                      (unsigned long long)now.used_blocks, (unsigned long long)now.cached_blocks,
                      (unsigned long long)now.allocations, (unsigned long long)now.frees);
    *before = now;
}

static void print(struct kit_thread *thread)
{
    int failure;

    kit_doing(thread, KIT_STATISTICS, 0);
    failure = heapster_stats_print(null_file, kit_rng_percent(&thread->rng, 50) ? HEAPSTER_TEXT : HEAPSTER_JSON);
    if (failure != 0)
        kit_violation(NULL, NULL, "statistics", "printing failed with %d", failure);
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};
    struct heapster_stats before = {0};

    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, LOOK_EVERY) != 0)
            continue;
        switch (kit_rng_below(&thread->rng, 4)) {
        case 0:
            walk(thread);
            break;
        case 1:
            check(thread);
            break;
        case 2:
            read_statistics(thread, &before);
            break;
        default:
            print(thread);
            break;
        }
    }
}

static void begin(struct kit_run *run)
{
    (void)run;
    null_file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null_file < 0)
        kit_violation(NULL, NULL, "setup", "/dev/null cannot be opened");
}

static void end(struct kit_run *run)
{
    (void)run;
    (void)close(null_file);
}

const struct kit_scenario stress_observers = {
    .name = "observers",
    .summary = "walks, checks and statistics by all threads while all allocate",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BLOCKS,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
