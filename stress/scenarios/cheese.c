/*
 * cheese: each thread attacks an arena of its own, in a buffer, with sequences that fragment it: Swiss cheese (free
 * every k-th block, then ask for slightly more than a hole), and Robson's bad sequence.
 *
 * Goal: fragmentation stays within what theory gives, at every refusal.
 * Class of bug: free blocks that no search finds, neighbours that stay unmerged, remainders that are lost.
 * Oracle: everything in oracle.h, and the bound:
 *
 *     An allocator that refuses only what fits nowhere, and merges free neighbours, refuses a block of s bytes only in
 *     a heap of at most  L + (k + 1) * (s - 16)  bytes, with L bytes in k live blocks: each free block is smaller than
 *     s, by 16 at least, and between two of them lies a live one.
 *
 * So with blocks of m to n bytes, never more than M of them live, it needs no more than M + (M / m + 1) * (n - 16)
 * bytes whatever the strategy. (The tighter bounds of Robson 1974 and 1977 are those of first fit by address;
 * Heapster's is by list and age.) Most buffers here are smaller, so that there are refusals, and each is held against
 * the bound. At last all is freed, and must be one block again.
 *
 * Knobs: BLOCKS, the most live blocks; UNIT_BYTES and PHASES, m and n of Robson's sequence.
 */
#include "heapster.h"

#include <errno.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { BLOCKS = 1024, UNIT_BYTES = 32, PHASES = 6 };
enum { TAG_BYTES = 8, QUANTUM_BYTES = 16, LEAST_BYTES = 32, OVERHEAD_BYTES = 48 };

struct attack {
    struct kit_thread *thread;
    struct kit_allocator allocator;
    char *buffer;
    size_t buffer_bytes;
};

static void expect_justified(const struct attack *attack, size_t bytes)
{
    size_t block_bytes = (bytes + TAG_BYTES + QUANTUM_BYTES - 1) / QUANTUM_BYTES * QUANTUM_BYTES, live_bytes = 0;
    size_t extent = attack->buffer_bytes - OVERHEAD_BYTES, count = 0;

    block_bytes = block_bytes < LEAST_BYTES ? LEAST_BYTES : block_bytes;
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct kit_block *block = attack->thread->blocks[i];

        if (kit_block_is_live(block)) {
            count++;
            live_bytes += kit_get(block->usable_bytes) + TAG_BYTES;
        }
    }
    if (extent > live_bytes + (count + 1) * (block_bytes - QUANTUM_BYTES))
        kit_violation(NULL, NULL, "fragmentation",
                      "%zu bytes refused in a heap of %zu with %zu live blocks of %zu bytes", bytes, extent, count,
                      live_bytes);
}

/* False where the request was refused, or the thread is to finish. */
static bool allocate(const struct attack *attack, unsigned index, size_t bytes)
{
    struct kit_block *block = attack->thread->blocks[index];

    if (!kit_step(attack->thread))
        return false;
    kit_allocate(attack->thread, block, &attack->allocator, KIT_MALLOC, 0, bytes);
    if (!kit_block_is_live(block))
        expect_justified(attack, bytes);
    return kit_block_is_live(block);
}

static void release(const struct attack *attack, unsigned index)
{
    struct kit_block *block = attack->thread->blocks[index];

    if (kit_block_is_live(block) && kit_step(attack->thread))
        kit_release(attack->thread, block, KIT_FREE);
}

/* Fills empty records until one is refused. */
static void fill(const struct attack *attack, size_t bytes, size_t spread_bytes)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t more = (size_t)kit_rng_below(&attack->thread->rng, spread_bytes + 1);

        if (!kit_block_is_live(attack->thread->blocks[i]) && !allocate(attack, i, bytes + more))
            return;
    }
}

/* Holes of one block, then of two neighbours, each time asked for a little more than the old holes have. */
static void make_cheese(const struct attack *attack)
{
    struct kit_rng *rng = &attack->thread->rng;
    unsigned every = 2 + (unsigned)kit_rng_below(rng, 6);
    size_t bytes = 16 + (size_t)kit_rng_below(rng, 2 * attack->buffer_bytes / BLOCKS);

    fill(attack, bytes, 0);
    for (unsigned i = 0; i < BLOCKS; i += every)
        release(attack, i);
    fill(attack, bytes + QUANTUM_BYTES, 3 * (size_t)QUANTUM_BYTES);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % every < 2)
            release(attack, i);
    fill(attack, 2 * bytes, QUANTUM_BYTES);
}

static size_t units_of(const struct kit_block *block)
{
    return kit_block_is_live(block) ? (kit_get(block->usable_bytes) + TAG_BYTES) / UNIT_BYTES : 0;
}

/* True if the block covers a unit whose number is `offset` modulo `period`. */
static bool covers(const struct attack *attack, const struct kit_block *block, size_t offset, size_t period)
{
    size_t first;

    if (!kit_block_is_live(block))
        return false;
    first = (kit_get(block->address) - (uintptr_t)attack->buffer) / UNIT_BYTES;
    return (offset + period - first % period) % period < units_of(block);
}

/* By how much the gaps that the covering blocks spoil are larger than these blocks. */
static size_t spoiled_units(const struct attack *attack, size_t offset, size_t period)
{
    size_t units = 0;

    for (unsigned i = 0; i < BLOCKS; i++)
        if (covers(attack, attack->thread->blocks[i], offset, period))
            units += period - units_of(attack->thread->blocks[i]);
    return units;
}

/* Phase i asks for blocks of 2^i units, after it has freed all but those that keep two units at a distance of 2^i from
 * being free together. BLOCKS units are live at most. */
static void play_robson(const struct attack *attack)
{
    size_t offset = 0, live_units;

    fill(attack, UNIT_BYTES - TAG_BYTES, 0);
    for (unsigned phase = 1; phase <= PHASES; phase++) {
        size_t period = (size_t)1 << phase;

        if (spoiled_units(attack, offset + period / 2, period) > spoiled_units(attack, offset, period))
            offset += period / 2;
        live_units = 0;
        for (unsigned i = 0; i < BLOCKS; i++) {
            if (!covers(attack, attack->thread->blocks[i], offset, period))
                release(attack, i);
            live_units += units_of(attack->thread->blocks[i]);
        }
        for (unsigned i = 0; i < BLOCKS && live_units + period <= BLOCKS; i++) {
            if (kit_block_is_live(attack->thread->blocks[i]))
                continue;
            if (!allocate(attack, i, period * UNIT_BYTES - TAG_BYTES))
                break;
            live_units += period;
        }
    }
}

static void free_all(const struct attack *attack)
{
    struct kit_thread *thread = attack->thread;

    for (unsigned i = 0; i < BLOCKS; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_release(thread, thread->blocks[i], KIT_FREE);
    if (allocate(attack, 0, attack->buffer_bytes - 2 * (size_t)OVERHEAD_BYTES))
        kit_release(thread, thread->blocks[0], KIT_FREE);
}

static void work(struct kit_thread *thread)
{
    const size_t robson_bytes = (size_t)BLOCKS * UNIT_BYTES, most_bytes = robson_bytes * (2 + (1 << PHASES));

    while (kit_step(thread)) {
        bool is_robson = kit_rng_percent(&thread->rng, 50);
        size_t most = is_robson && kit_rng_percent(&thread->rng, 20) ? most_bytes : 4 * robson_bytes;
        struct attack attack = {.thread = thread};
        struct heapster_arena_config config = {.strategy = heapster_get_strategy()};

        attack.buffer_bytes = robson_bytes + (size_t)kit_rng_below(&thread->rng, most - robson_bytes + 1);
        attack.buffer = kit_pages_map(attack.buffer_bytes);
        config.buffer = attack.buffer;
        config.buffer_bytes = attack.buffer_bytes;
        attack.allocator = kit_heapster_arena(heapster_arena_create(&config));
        attack.allocator.may_refuse = true;
        if (attack.allocator.context == NULL)
            kit_violation(NULL, NULL, "refused", "no arena, errno %d", errno);
        is_robson ? play_robson(&attack) : make_cheese(&attack);
        free_all(&attack);
        heapster_arena_destroy(attack.allocator.context);
        kit_pages_unmap(attack.buffer, attack.buffer_bytes);
    }
}

const struct kit_scenario stress_cheese = {
    .name = "cheese",
    .summary = "fragmentation attacks, each refusal held against the bound",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BLOCKS,
    .work = work,
};
