/*
 * slow: every call that the allocator makes of the OS may take long, and so do the locks that it holds meanwhile. All
 * threads allocate beside that, from the heap, from a first-class arena and from a buffer; they trim, and they fork
 * just when a call takes long.
 *
 * Goal: what is rare elsewhere, two threads that both need more memory, or a fork in the midst of a growth, happens all
 * the time.
 * Class of bug: growth, trimming or setting up without the lock that it needs; a lock that fork does not know of.
 * Oracle: everything in oracle.h; a child finds the heap at rest, and can use every part of it.
 * Knobs: SLOW_PER_MILLE and SLOW_US, how often and how long; TUNE_EVERY, FORK_EVERY, operations of a thread, the latter
 * while a call takes long, ten times as many otherwise.
 *
 * Every second thread allocates in one arena, so that two want to grow it at once. The threshold to mappings goes up
 * and down, so that arenas have blocks of all sizes, too.
 */
#include "heapster.h"

#include <errno.h>

#include "faults.h"
#include "forked.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum {
    SLOW_PER_MILLE = 50,
    SLOW_US = 1000,
    TUNE_EVERY = 300,
    FORK_EVERY = 30,
    FORK_EVERY_OTHERWISE = 300,
    CHILD_STEPS = 50
};

/* More than all threads ever have in it: a quarter of the small ones of up to 64 blocks. */
#define BUFFER_BYTES_OF_THREAD ((size_t)1 << 20)

#define LOW_THRESHOLD ((size_t)128 << 10)
#define HIGH_THRESHOLD ((size_t)64 << 20)

static const struct kit_sizes sizes[] = {
    {70, 16, (size_t)4 << 10},
    {20, (size_t)4 << 10, (size_t)120 << 10},
    {10, (size_t)260 << 10, (size_t)2 << 20},
    {0, 0, 0},
};
static const struct kit_sizes small_sizes[] = {{1, 16, 2000}, {0, 0, 0}};

static const struct kit_mix mix = {.sizes = sizes, .hand_over = 10, .resize = 25, .inspect = 10};
static const struct kit_mix small_mix = {.sizes = small_sizes, .hand_over = 10, .resize = 10, .inspect = 50};

struct local {
    struct kit_allocator mapped, buffered;
    void *buffer;
    size_t buffer_bytes;
    size_t threshold_before;
};

static void step(struct kit_thread *thread)
{
    const struct local *local = thread->run->local;
    uint64_t chosen = kit_rng_below(&thread->rng, 100);

    if (chosen < 50)
        kit_mix_step(thread, &mix, thread->run->allocator);
    else
        kit_mix_step(thread, chosen < 70 ? &mix : &small_mix, chosen < 70 ? &local->mapped : &local->buffered);
}

static void live_in_child(struct kit_thread *thread)
{
    const struct local *local = thread->run->local;

    kit_faults_slow_down(0, 0);
    kit_trim(thread, 0);
    kit_forked_check(thread);
    kit_forked_work(thread, &mix, thread->run->allocator, CHILD_STEPS);
    kit_forked_work(thread, &mix, &local->mapped, CHILD_STEPS);
    kit_forked_work(thread, &small_mix, &local->buffered, CHILD_STEPS);
    kit_forked_check(thread);
}

static void work(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;

    if (thread->index % 2 == 0)
        run->allocator->settle(run->allocator->context, run->home);
    while (kit_step(thread)) {
        step(thread);
        if (kit_rng_below(&thread->rng, TUNE_EVERY) == 0)
            kit_trim(thread, 0);
        else if (kit_rng_below(&thread->rng, TUNE_EVERY) == 0)
            heapster_set_mmap_threshold(kit_rng_percent(&thread->rng, 50) ? LOW_THRESHOLD : HIGH_THRESHOLD);
        else if (kit_rng_below(&thread->rng, kit_faults_are_slow_now() ? FORK_EVERY : FORK_EVERY_OTHERWISE) == 0)
            kit_forked_run(thread, live_in_child);
    }
}

static heapster_arena *make_arena(const struct heapster_arena_config *config)
{
    heapster_arena *arena = heapster_arena_create(config);

    if (arena == NULL)
        kit_violation(NULL, NULL, "refused", "no arena, errno %d", errno);
    return arena;
}

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);
    struct heapster_arena_config config = {.strategy = heapster_get_strategy()};

    local->mapped = kit_heapster_arena(make_arena(&config));
    local->buffer_bytes = run->config->threads * BUFFER_BYTES_OF_THREAD;
    local->buffer = kit_pages_map(local->buffer_bytes);
    config.buffer = local->buffer;
    config.buffer_bytes = local->buffer_bytes;
    local->buffered = kit_heapster_arena(make_arena(&config));
    local->buffered.may_refuse = true;
    local->threshold_before = heapster_get_mmap_threshold();
    run->local = local;
    kit_faults_install();
    kit_faults_slow_down(SLOW_PER_MILLE, SLOW_US);
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    kit_faults_remove();
    heapster_set_mmap_threshold(local->threshold_before);
    heapster_arena_destroy(local->mapped.context);
    heapster_arena_destroy(local->buffered.context);
    kit_pages_unmap(local->buffer, local->buffer_bytes);
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_slow = {
    .name = "slow",
    .summary = "calls of the OS that take long, and forks and growth while they do",
    .needs = KIT_NEEDS_HEAPSTER | KIT_NEEDS_FORK,
    .blocks_of_thread = 96,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
