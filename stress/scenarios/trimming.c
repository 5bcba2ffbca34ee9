/*
 * trimming: all threads allocate in waves, up to full and down to little, while pages decay within a millisecond and
 * every thread trims now and then, where the allocator can. Some blocks are freed by other threads than made them.
 *
 * Goal: memory goes back to the OS at any moment: the top of the break, whole regions, pages inside free blocks.
 * Class of bug: pages given back that are in use, or whose tags and links are; a region unmapped under a block that was
 * just taken from it; a free block taken for purged that is dirty.
 * Oracle: everything in oracle.h, above all content, and zeroed calloc. After the threads: once trimmed, free blocks
 * have no pages left but those with links and footers. Knobs: by an odd seed all memory is mapped, and whole regions go
 * back, none of the break; DECAY_MS; TRIM_EVERY, operations of a thread between two calls of trim; WAVE, operations up
 * or down.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { DECAY_MS = 1, TRIM_EVERY = 500, WAVE = 600, HAND_OVER = 5, SLOTS = 64 };

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
    if (!run->allocator->is_heapster)
        return;
    /* A huge page brings pages along that nobody has touched, and count_pages would count them. */
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    decay_ms_before = kit_heapster_set_decay_ms(DECAY_MS);
    if (run->config->seed % 2 == 1)
        kit_heapster_use_break(false);
}

/* ---- after the threads --------------------------------------------------------------------------------------------
 */

struct untrimmed {
    size_t page_bytes, pages;
};

/* Pages of a free block that are still there, but for the one with its links and the one with its footer. */
static void count_pages(const struct kit_walked *block, void *argument)
{
    struct untrimmed *untrimmed = argument;
    size_t page = untrimmed->page_bytes;
    uintptr_t first = (block->payload + page - 1) / page * page + page;
    uintptr_t last = (block->payload + block->usable_bytes) / page * page - page;
    unsigned char is_resident[256];

    if (block->state != KIT_BLOCK_FREE || block->usable_bytes < 4 * page)
        return;
    for (; first < last; first += page * sizeof is_resident) {
        size_t pages = (last - first) / page < sizeof is_resident ? (last - first) / page : sizeof is_resident;

        if (mincore((void *)first, pages * page, is_resident) != 0)
            kit_violation(NULL, NULL, "setup", "residence is not to be asked for");
        for (size_t i = 0; i < pages; i++)
            untrimmed->pages += is_resident[i] & 1;
    }
}

/* By main in the place of the first thread: every second block is freed, merged with what was free or purged before. */
static void expect_trimmed(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct untrimmed untrimmed = {(size_t)sysconf(_SC_PAGESIZE), 0};
    struct kit_thread *thread = &run->threads[0];

    for (unsigned i = 0; i < thread->block_count; i++)
        kit_allocate(thread, thread->blocks[i], allocator, KIT_MALLOC, 0,
                     1 + (size_t)kit_rng_below(&thread->rng, (size_t)120 << 10));
    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned i = turn; i < thread->block_count; i += 4)
            kit_release(thread, thread->blocks[i], KIT_FREE);
        kit_trim(thread, 0);
        allocator->walk(allocator->context, count_pages, &untrimmed);
        if (untrimmed.pages != 0)
            kit_violation(NULL, NULL, "untrimmed", "%zu pages of free blocks are still there", untrimmed.pages);
    }
}

static void end(struct kit_run *run)
{
    if (!run->allocator->is_heapster)
        return;
    expect_trimmed(run);
    (void)kit_heapster_set_decay_ms(decay_ms_before);
    (void)prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

/* On the way up only empty records are filled, on the way down only live ones are freed. */
static void step(struct kit_thread *thread, bool upward)
{
    struct kit_rng *rng = &thread->rng;
    struct kit_block **place = &thread->blocks[kit_rng_below(rng, thread->block_count)], *block = *place;
    bool is_live = kit_block_is_live(block);

    if (kit_rng_percent(rng, HAND_OVER))
        *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(rng, SLOTS));
    else if (upward && !is_live)
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
    .slots = SLOTS,
    .begin = begin,
    .work = work,
    .end = end,
};
