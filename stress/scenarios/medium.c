/*
 * medium: blocks of 1 KiB to 72 KiB, of odd sizes and just beside those that caches keep, resized from one to the next.
 *
 * Goal: the sizes that are rounded up to a class, at each of its ends.
 * Class of bug: a request that goes to the class below; a bin that holds blocks of another size; a class that is
 * rounded up too far; a block resized in place that is taken for one of its class. Oracle: everything in oracle.h; no
 * more than an eighth is rounded up, and what is too little to be a block. Knobs: EDGE_PERCENT of the sizes lie beside
 * a class's; SLACK_BYTES.
 */
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "size_class.h"
#include "violation.h"

enum { EDGE_PERCENT = 60, HAND_OVER_PERCENT = 10, SLOTS = 64, LEAST_BYTES = 1000, MOST_BYTES = 80 << 10 };

/* A tag, the grain of sizes, and less than the smallest block. */
enum { SLACK_BYTES = 8 + 16 + 16 };

static size_t choose_bytes(struct kit_rng *rng)
{
    unsigned index = (unsigned)kit_rng_between(rng, HS_CLASS_MEDIUM - 2, HS_CLASSES - 1);

    if (kit_rng_percent(rng, EDGE_PERCENT))
        return hs_class_bytes(index) - 40 + (size_t)kit_rng_below(rng, 80);
    return LEAST_BYTES + ((size_t)kit_rng_below(rng, MOST_BYTES - LEAST_BYTES) >> kit_rng_below(rng, 6));
}

/* Of a block that malloc or calloc has just made. */
static void expect_little_slack(const struct kit_thread *thread, const struct kit_block *block)
{
    size_t bytes = kit_get(block->bytes), usable_bytes = kit_get(block->usable_bytes);

    if (thread->run->allocator->is_heapster && usable_bytes > bytes + bytes / 8 + SLACK_BYTES)
        kit_violation(block, NULL, "slack", "%zu bytes are usable, %zu were asked for", usable_bytes, bytes);
}

static void step(struct kit_thread *thread, struct kit_block *block)
{
    struct kit_rng *rng = &thread->rng;

    if (!kit_block_is_live(block)) {
        kit_allocate(thread, block, thread->run->allocator, kit_rng_percent(rng, 30) ? KIT_CALLOC : KIT_MALLOC, 0,
                     choose_bytes(rng));
        expect_little_slack(thread, block);
    } else if (kit_rng_percent(rng, 15)) {
        kit_resize(thread, block, choose_bytes(rng));
    } else if (kit_rng_percent(rng, 10)) {
        kit_inspect(thread, block);
    } else {
        kit_mix_release(thread, block);
    }
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        struct kit_block **place = &thread->blocks[kit_rng_below(&thread->rng, thread->block_count)];

        if (kit_rng_percent(&thread->rng, HAND_OVER_PERCENT))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, SLOTS));
        else
            step(thread, *place);
    }
}

const struct kit_scenario stress_medium = {
    .name = "medium",
    .summary = "odd sizes from 1 KiB to 72 KiB, and those beside every size class",
    .blocks_of_thread = 128,
    .slots = SLOTS,
    .work = work,
};
