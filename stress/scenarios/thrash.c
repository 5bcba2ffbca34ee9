/*
 * thrash: threads that go from one class of sizes to another, fill all of a cache and then use little of it, while what
 * is not used goes back after a millisecond.
 *
 * Goal: a cache is bounded at any moment, and gives back what it does not use.
 * Class of bug: bounds that are not kept when bins grow and shrink; a bin that is given back while it is in use, or is
 * never given back; a stack of a bin that is used for another one, or lost; slots that grow without end.
 * Oracle: everything in oracle.h; no cache ever holds more than HS_CACHE_BYTES_MOST in its bins; where a
 * thread goes on in one class alone, its cache shrinks to LITTLE_BYTES within CALM_SECONDS.
 * Knobs: BURST; DECAY_MS; CALM_PERCENT of the bursts are followed by calm.
 */
#include "cache.h"
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum {
    BURST = 512,
    SLOTS = 64,
    HAND_OVER_PERCENT = 2,
    DECAY_MS = 1,
    CALM_PERCENT = 3,
    CALM_BLOCKS = 300,
    CALM_BYTES = 100
};

/* The uncut part of a run. */
#define RUN_BYTES ((size_t)64 << 10)

/* One bin, and what a class that was just used again may have. */
#define LITTLE_BYTES (HS_BIN_BYTES_MOST + RUN_BYTES)
#define CALM_SECONDS 5.0

static uint64_t decay_ms_before;

static void expect_bound(uint64_t kept_bytes, uint64_t most_bytes, const char *when)
{
    if (kept_bytes > most_bytes)
        kit_violation(NULL, NULL, "kept", "%llu KiB in a thread's cache %s, expected %llu at the most",
                      (unsigned long long)kept_bytes >> 10, when, (unsigned long long)most_bytes >> 10);
}

/* ---- calm ----------------------------------------------------------------------------------------------------------
 */

/* Of one size, more of them than a bin keeps, so that slow paths are taken. */
static void use_one_class(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    for (unsigned i = 0; i < CALM_BLOCKS; i++)
        kit_allocate(thread, thread->blocks[i], allocator, KIT_MALLOC, 0, CALM_BYTES);
    for (unsigned i = 0; i < CALM_BLOCKS; i++)
        kit_release(thread, thread->blocks[i], KIT_FREE);
}

static void calm_down(struct kit_thread *thread)
{
    double began_at = kit_now();

    for (unsigned i = 0; i < BURST; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_mix_release(thread, thread->blocks[i]);
    while (kit_heapster_own_kept_bytes() > LITTLE_BYTES) {
        use_one_class(thread);
        if (kit_now() - began_at > CALM_SECONDS)
            expect_bound(kit_heapster_own_kept_bytes(), LITTLE_BYTES, "though most of it was not used for seconds");
    }
}

/* ---- bursts --------------------------------------------------------------------------------------------------------
 */

/* From a window of sizes: one class, a few, or all of them. */
static size_t window_bytes(struct kit_rng *rng, unsigned first, unsigned classes)
{
    unsigned index = first + (unsigned)kit_rng_below(rng, classes);

    return hs_class_bytes(index < HS_CLASSES ? index : HS_CLASSES - 1) - HS_TAG_BYTES - (size_t)kit_rng_below(rng, 8);
}

/* False where the thread is to finish. */
static bool play_burst(struct kit_thread *thread)
{
    struct kit_rng *rng = &thread->rng;
    unsigned classes = 1U << kit_rng_below(rng, 8);
    unsigned first = HS_CLASS_FIRST + (unsigned)kit_rng_below(rng, HS_CLASSES - HS_CLASS_FIRST);
    unsigned count = 1 + (unsigned)kit_rng_below(rng, BURST);

    for (unsigned i = 0; i < count; i++) {
        struct kit_block **place = &thread->blocks[i];

        if (!kit_step(thread))
            return false;
        if (kit_rng_percent(rng, HAND_OVER_PERCENT))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
        else
            kit_allocate(thread, *place, thread->run->allocator, KIT_MALLOC, 0, window_bytes(rng, first, classes));
    }
    for (unsigned i = 0; i < count; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_mix_release(thread, thread->blocks[i]);
    return true;
}

static void work(struct kit_thread *thread)
{
    while (play_burst(thread)) {
        expect_bound(kit_heapster_own_bins_bytes(), HS_CACHE_BYTES_MOST, "after a burst");
        if (kit_rng_percent(&thread->rng, CALM_PERCENT))
            calm_down(thread);
    }
}

static void begin(struct kit_run *run)
{
    (void)run;
    decay_ms_before = kit_heapster_set_decay_ms(DECAY_MS);
}

static void end(struct kit_run *run)
{
    (void)run;
    (void)kit_heapster_set_decay_ms(decay_ms_before);
}

const struct kit_scenario stress_thrash = {
    .name = "thrash",
    .summary = "threads that go from one class of sizes to another, while what is unused goes back at once",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BURST,
    .slots = SLOTS,
    .begin = begin,
    .work = work,
    .end = end,
};
