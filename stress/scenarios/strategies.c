/*
 * strategies: one thread switches strategy and mapping threshold and trims, while all of them allocate.
 *
 * Goal: what may be tuned at run time may be tuned at any time.
 * Class of bug: searches that meet half-switched lists, search trees that miss blocks, pages given back in use, a
 * break that is lowered under a block.
 * Oracle: everything in oracle.h, above all content after a trim; get_strategy returns what was set.
 * Knobs: TUNE_EVERY, operations of thread 0 between two changes.
 */
#include "heapster.h"

#include "mix.h"
#include "violation.h"

enum { TUNE_EVERY = 64, STRATEGIES = HEAPSTER_WORST_FIT + 1 };

static struct {
    enum heapster_strategy strategy;
    size_t mmap_threshold;
} before;

static void begin(struct kit_run *run)
{
    (void)run;
    before.strategy = heapster_get_strategy();
    before.mmap_threshold = heapster_get_mmap_threshold();
}

static void end(struct kit_run *run)
{
    (void)run;
    (void)heapster_set_strategy(before.strategy);
    heapster_set_mmap_threshold(before.mmap_threshold);
}

static void switch_strategy(struct kit_rng *rng)
{
    enum heapster_strategy chosen = (enum heapster_strategy)kit_rng_below(rng, STRATEGIES);

    if (heapster_set_strategy(chosen) != 0 || heapster_get_strategy() != chosen)
        kit_violation(NULL, NULL, "strategy", "set to %d, got %d", (int)chosen, (int)heapster_get_strategy());
}

static void switch_threshold(struct kit_rng *rng)
{
    size_t bytes = (size_t)65536 << kit_rng_below(rng, 7);

    heapster_set_mmap_threshold(bytes);
    if (heapster_get_mmap_threshold() != bytes)
        kit_violation(NULL, NULL, "threshold", "set to %zu, got %zu", bytes, heapster_get_mmap_threshold());
}

static void tune(struct kit_thread *thread)
{
    uint64_t chosen = kit_rng_below(&thread->rng, 4);

    kit_doing(thread, KIT_TUNE, chosen);
    if (chosen < 2)
        switch_strategy(&thread->rng);
    else if (chosen == 2)
        switch_threshold(&thread->rng);
    else
        (void)heapster_trim((size_t)kit_rng_below(&thread->rng, 3) << 19);
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 10, .resize = 15, .inspect = 15};

    while (kit_step(thread)) {
        if (thread->index == 0 && kit_get(thread->ops) % TUNE_EVERY == 0)
            tune(thread);
        else
            kit_mix_step(thread, &mix, thread->run->allocator);
    }
}

const struct kit_scenario stress_strategies = {
    .name = "strategies",
    .summary = "strategy and threshold switched, memory trimmed, while all threads allocate",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = 256,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
