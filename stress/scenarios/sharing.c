/*
 * sharing: tiny blocks, most of them freed by other threads than made them.
 *
 * Goal: no cache line is shared by blocks that were handed to threads of two arenas. Passively: a block that another
 * thread freed does not come to that thread, but back to where it was made. Actively: blocks that two arenas hand out
 * do not lie side by side.
 * Class of bug: a remote free that ends in the cache of whoever freed; a refill from an arena that is another thread's;
 * a chain given back to the wrong arena; arenas whose regions share a line.
 * Oracle: everything in oracle.h; each block is of the arena of the thread it was handed to; all live blocks are looked
 * at together, now and then: those of different arenas share no line.
 * Knobs: BLOCKS; LOOK_EVERY, operations of the first thread. Nothing is out of memory here: only then would a thread be
 * served by another arena.
 */
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { BLOCKS = 128, SLOTS = 256, HAND_OVER_PERCENT = 60, LOOK_EVERY = 5000, LINE_BYTES = 64 };

static const struct kit_sizes sizes[] = {{90, 1, 120}, {10, 120, 1200}, {0, 0, 0}};

/* A live block, as the first thread found it while others went on. */
struct sight {
    uintptr_t first_line, last_line;
    const struct kit_block *block;
    uint64_t id;
};

struct local {
    _Atomic unsigned *arenas; /* of each thread, plus one */
    struct sight *sights;     /* the first thread's */
};

/* ---- passive -------------------------------------------------------------------------------------------------------
 */

static void allocate(struct kit_thread *thread, struct kit_block *block)
{
    const struct kit_run *run = thread->run;

    kit_allocate(thread, block, run->allocator, kit_rng_percent(&thread->rng, 20) ? KIT_CALLOC : KIT_MALLOC, 0,
                 kit_mix_bytes(&thread->rng, sizes));
    if (kit_heapster_arena_of(kit_block_payload(block)) != kit_heapster_own_arena())
        kit_violation(block, NULL, "sharing", "a block of arena %u was handed to a thread of arena %u",
                      kit_heapster_arena_of(kit_block_payload(block)), kit_heapster_own_arena());
}

/* ---- active --------------------------------------------------------------------------------------------------------
 */

static bool sees(const struct kit_block *block, struct sight *sight)
{
    uintptr_t address = kit_get(block->address), end = address + kit_get(block->usable_bytes);

    if (address == 0)
        return false;
    *sight = (struct sight){address / LINE_BYTES, (end - 1) / LINE_BYTES, block, kit_get(block->id)};
    return true;
}

/* A heap of sights by line, made in place, then taken apart. */
static void sink(struct sight *sights, size_t at, size_t count)
{
    struct sight moved = sights[at];
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && sights[child + 1].first_line > sights[child].first_line)
            child++;
        if (sights[child].first_line <= moved.first_line)
            break;
        sights[at] = sights[child];
        at = child;
    }
    sights[at] = moved;
}

static void sort_by_line(struct sight *sights, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sink(sights, i - 1, count);
    for (size_t last = count - 1; last > 0 && last < count; last--) {
        struct sight first = sights[0];

        sights[0] = sights[last];
        sights[last] = first;
        sink(sights, 0, last);
    }
}

static unsigned maker_arena(const struct local *local, uint64_t id)
{
    return kit_get(local->arenas[id >> 40]);
}

/* True if the block is still the one that was seen: its address, which is written before its number, was its own. */
static bool is_still(const struct sight *sight)
{
    struct sight now;

    return sees(sight->block, &now) && now.id == sight->id && now.first_line == sight->first_line;
}

static void look(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;
    const struct local *local = run->local;
    size_t count = 0;

    kit_doing(thread, KIT_INSPECT, 0);
    for (size_t i = 0; i < run->block_count; i++)
        count += sees(&run->blocks[i], &local->sights[count]);
    sort_by_line(local->sights, count);
    for (size_t i = 0; i + 1 < count; i++) {
        const struct sight *one = &local->sights[i], *next = &local->sights[i + 1];

        if (one->last_line < next->first_line || maker_arena(local, one->id) == maker_arena(local, next->id))
            continue;
        if (is_still(one) && is_still(next))
            kit_violation(one->block, next->block, "sharing", "blocks of arenas %u and %u lie in one line",
                          maker_arena(local, one->id) - 1, maker_arena(local, next->id) - 1);
    }
}

/* ---- the threads ---------------------------------------------------------------------------------------------------
 */

static void work(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;
    const struct local *local = run->local;

    /* The first block decides where the thread allocates. */
    run->allocator->free(run->allocator->context, run->allocator->malloc(run->allocator->context, 1));
    kit_put(local->arenas[thread->index], kit_heapster_own_arena() + 1);
    for (unsigned i = 1; kit_step(thread); i++) {
        struct kit_block **place = &thread->blocks[kit_rng_below(&thread->rng, BLOCKS)];

        if (kit_rng_percent(&thread->rng, HAND_OVER_PERCENT))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
        else
            allocate(thread, *place);
        if (thread->index == 0 && i % LOOK_EVERY == 0)
            look(thread);
    }
}

static size_t sights_bytes(const struct kit_run *run)
{
    return run->block_count * sizeof(struct sight);
}

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);

    local->arenas = kit_pages_map(run->config->threads * sizeof *local->arenas);
    local->sights = kit_pages_map(sights_bytes(run));
    run->local = local;
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    kit_pages_unmap(local->arenas, run->config->threads * sizeof *local->arenas);
    kit_pages_unmap(local->sights, sights_bytes(run));
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_sharing = {
    .name = "sharing",
    .summary = "tiny blocks freed by other threads, which must not share cache lines with theirs",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BLOCKS,
    .slots = SLOTS,
    .begin = begin,
    .work = work,
    .end = end,
};
