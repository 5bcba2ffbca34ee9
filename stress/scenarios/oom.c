/*
 * oom: out of memory, at every single call that the allocator makes of the OS, by every thread beside the others.
 *
 * A thread plays rounds: each is the same sequence of operations, by a generator that begins it in the same state. In
 * the first round the thread's first OS call fails, in the next one its second, and so on; a round that ends before its
 * fault was met ends the sweep, and the next sweep has another sequence. In every third sweep all calls that follow
 * fail, too, and in every third calls fail by chance.
 *
 * Goal: what fails changes nothing, and the heap is as good as ever when memory is back.
 * Class of bug: content lost in a move that failed; a block, a mapping or a lock lost on the way out of a call; an
 * account that is ahead of what failed; a mapping that could not be unmapped handed out dirty; an arena half made.
 * Oracle: everything in oracle.h; nothing is refused but by a call in which mmap failed, since all other failures have
 * a way around them; after each round blocks of all sizes are to be had. After the run main plays sweeps alone, in
 * which the process keeps no address space that the allocator does not know of; and faults of every kind were met, and
 * sweeps finished. Knobs: sizes, ROUND_STEPS, ARENA_STEPS, the operations of a round; HAND_OVER, the percentage of
 * blocks that another thread frees; CHANCE_PER_MILLE, CHANCE_ROUNDS; SWEEP_OPS of each thread, within which somebody
 * has finished a sweep.
 */
#include "heapster.h"

#include <errno.h>
#include <unistd.h>

#include "exchange.h"
#include "faults.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "sampler.h"
#include "violation.h"

enum manner { ONE_CALL, ALL_THAT_FOLLOW, BY_CHANCE, MANNERS };

enum { BLOCKS = 24, SLOTS = 32, ROUND_STEPS = 60, ARENA_BLOCKS = 8, ARENA_STEPS = 20, HAND_OVER = 25 };
enum { TRIM_PERCENT = 2, TRIM_PERCENT_ALONE = 15, ARENA_PERCENT = 40, SWEEP_OPS = 6000 };
enum { CHANCE_PER_MILLE = 200, CHANCE_ROUNDS = 25, SWEEPS_ALONE = MANNERS, GROWTHS_MOST = 4 };

/* Of larger blocks only so much is touched. */
#define TOUCHED_BYTES ((size_t)64 << 10)

static const struct kit_sizes sizes[] = {
    {50, 16, (size_t)4 << 10},
    {20, (size_t)4 << 10, (size_t)200 << 10},
    {25, (size_t)200 << 10, (size_t)2 << 20},
    {5, (size_t)2 << 20, (size_t)8 << 20},
    {0, 0, 0},
};

/* What a thread has done so far. */
struct tally {
    uint64_t sweeps;
    uint64_t failed[HS_OS_CALL_KINDS];
} __attribute__((aligned(128)));

struct local {
    struct kit_allocator allocator; /* the one under test, which may refuse */
    bool is_plain;                  /* no arenas, no alignment beyond what every block has */
    size_t most_unknown_bytes;      /* that the allocator does not know of, in main's rounds so far */
    unsigned growths;               /* of that */
    struct tally tallies[];
};

struct sweep {
    enum manner manner;
    struct kit_rng start; /* of each round */
    struct kit_fault_plan plan;
    bool is_alone; /* no other thread plays */
};

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static uint64_t failed_mmaps(void)
{
    return kit_faults_so_far().failed[HS_OS_MMAP];
}

static void expect_cause(const struct kit_block *block, uint64_t failed_before, size_t bytes)
{
    if (failed_mmaps() == failed_before)
        kit_violation(block, NULL, "refused", "no memory for %zu bytes, though no mmap failed in the call", bytes);
}

static void allocate(struct kit_thread *thread, struct kit_block *block, const struct kit_allocator *allocator)
{
    const struct local *local = thread->run->local;
    size_t bytes = kit_mix_bytes(&thread->rng, sizes);
    uint64_t failed_before = failed_mmaps();

    thread->untouched_from = TOUCHED_BYTES;
    if (local->is_plain)
        kit_allocate(thread, block, allocator, KIT_CALLOC, 0, bytes);
    else
        kit_mix_allocate(thread, block, allocator, bytes);
    thread->untouched_from = 0;
    if (!kit_block_is_live(block))
        expect_cause(block, failed_before, bytes);
}

static void resize(struct kit_thread *thread, struct kit_block *block)
{
    size_t bytes = kit_get(block->bytes), wanted = kit_mix_bytes(&thread->rng, sizes);
    uint64_t failed_before = failed_mmaps();

    if (kit_rng_percent(&thread->rng, 50))
        wanted = bytes + bytes / 4 + 1;
    kit_resize(thread, block, wanted);
    if (kit_get(block->bytes) != wanted)
        expect_cause(block, failed_before, wanted);
}

static void step(struct kit_thread *thread, struct kit_block **blocks, unsigned count,
                 const struct kit_allocator *allocator)
{
    struct kit_block *block = blocks[kit_rng_below(&thread->rng, count)];

    (void)kit_step(thread); /* a round is played to its end */
    if (!kit_block_is_live(block))
        allocate(thread, block, allocator);
    else if (kit_rng_percent(&thread->rng, 50))
        resize(thread, block);
    else if (kit_rng_percent(&thread->rng, 20))
        kit_inspect(thread, block);
    else
        kit_mix_release(thread, block);
}

static void use_arena(struct kit_thread *thread, struct kit_block **blocks)
{
    uint64_t failed_before = failed_mmaps();
    struct kit_allocator allocator;
    heapster_arena *arena;

    kit_doing(thread, KIT_CREATE_ARENA, 0);
    arena = heapster_arena_create(NULL);
    if (arena == NULL) {
        if (errno != ENOMEM)
            kit_violation(NULL, NULL, "errno", "%d after no arena was made, expected %d", errno, ENOMEM);
        expect_cause(NULL, failed_before, 0);
        return;
    }
    allocator = kit_heapster_arena(arena);
    allocator.may_refuse = true;
    for (unsigned i = 0; i < ARENA_STEPS; i++)
        step(thread, blocks, ARENA_BLOCKS, &allocator);
    for (unsigned i = 0; i < ARENA_BLOCKS; i++)
        if (kit_block_is_live(blocks[i]))
            kit_forget(thread, blocks[i]);
    kit_doing(thread, KIT_DESTROY_ARENA, 0);
    heapster_arena_destroy(arena);
}

/* ---- rounds --------------------------------------------------------------------------------------------------------
 */

/* All of the thread's blocks, or those that others gave it for its own. */
static void release_all(struct kit_thread *thread, bool hands_over)
{
    for (unsigned i = 0; i < thread->block_count; i++) {
        struct kit_block **place = &thread->blocks[i];

        if (hands_over && kit_rng_percent(&thread->rng, HAND_OVER))
            *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, SLOTS));
        if (kit_block_is_live(*place))
            kit_mix_release(thread, *place);
    }
}

/* Without faults nothing is refused. */
static void expect_memory(struct kit_thread *thread)
{
    static const size_t some_bytes[] = {100, 20000, (size_t)200 << 10, (size_t)1 << 20, (size_t)10 << 20};

    thread->untouched_from = TOUCHED_BYTES;
    for (size_t i = 0; i < sizeof some_bytes / sizeof some_bytes[0]; i++)
        kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_MALLOC, 0, some_bytes[i]);
    thread->untouched_from = 0;
    for (size_t i = 0; i < sizeof some_bytes / sizeof some_bytes[0]; i++)
        kit_release(thread, thread->blocks[i], KIT_FREE);
}

static struct kit_fault_count play_round(struct kit_thread *thread, const struct sweep *sweep)
{
    const struct local *local = thread->run->local;
    struct kit_fault_count count;

    thread->rng = sweep->start;
    kit_faults_arm(&sweep->plan);
    for (unsigned i = 0; i < ROUND_STEPS; i++) {
        step(thread, thread->blocks + ARENA_BLOCKS, BLOCKS, &local->allocator);
        if (kit_rng_percent(&thread->rng, sweep->is_alone ? TRIM_PERCENT_ALONE : TRIM_PERCENT))
            kit_trim(thread, 0);
        if (i == ROUND_STEPS / 2 && !local->is_plain && kit_rng_percent(&thread->rng, ARENA_PERCENT))
            use_arena(thread, thread->blocks);
    }
    release_all(thread, !sweep->is_alone);
    if (sweep->is_alone)
        kit_trim(thread, 0);
    count = kit_faults_disarm();
    expect_memory(thread);
    kit_trim(thread, 0); /* so that the next round has to ask the OS again */
    return count;
}

static struct sweep begin_sweep(struct kit_rng *seeds, enum manner manner)
{
    return (struct sweep){
        .manner = manner,
        .start = {kit_rng_next(seeds)},
        .plan =
            {
                .kinds = KIT_FAULT_ALL_KINDS,
                .per_mille = manner == BY_CHANCE ? CHANCE_PER_MILLE : KIT_FAULT_ALWAYS,
                .first = 1,
                .last = manner == ONE_CALL ? 1 : 0,
            },
    };
}

/* False where the sweep is over. */
static bool next_round(struct sweep *sweep, bool was_hit)
{
    struct kit_fault_plan *plan = &sweep->plan;

    if (sweep->manner == BY_CHANCE)
        return ++plan->seed < CHANCE_ROUNDS;
    plan->first++;
    if (sweep->manner == ONE_CALL)
        plan->last = plan->first;
    return was_hit;
}

static void work(struct kit_thread *thread)
{
    struct local *local = thread->run->local;
    struct tally *tally = &local->tallies[thread->index];
    struct kit_rng seeds = thread->rng;
    struct sweep sweep = begin_sweep(&seeds, ONE_CALL);

    while (kit_step(thread)) {
        struct kit_fault_count count = play_round(thread, &sweep);

        for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
            tally->failed[call] += count.failed[call];
        if (next_round(&sweep, kit_fault_hits(&count) != 0))
            continue;
        tally->sweeps++;
        sweep = begin_sweep(&seeds, (enum manner)(tally->sweeps % MANNERS));
    }
}

/* ---- before and after ----------------------------------------------------------------------------------------------
 */

static size_t local_bytes(const struct kit_run *run)
{
    return sizeof(struct local) + run->config->threads * sizeof(struct tally);
}

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(local_bytes(run));

    local->allocator = *run->allocator;
    local->allocator.may_refuse = true;
    run->local = local;
    kit_faults_install();
}

/* How much the unknown grew by a round of main's, in the place of the first thread, beyond the most that it ever was:
 * what the kernel would not take back is kept for the next time, and may go then. */
static size_t growth_by_round(struct kit_run *run, const struct sweep *sweep, struct kit_fault_count *count)
{
    struct local *local = run->local;
    size_t most = local->most_unknown_bytes, now;

    /* The clocks of the watchdog and of the suite, which know only all of main's steps together. */
    (void)alarm(run->config->hang_seconds);
    kit_put(run->result->ticks, kit_get(run->result->ticks) + 1);
    *count = play_round(&run->threads[0], sweep);
    now = kit_sampler_unknown_bytes(run);
    if (now > most)
        local->most_unknown_bytes = now;
    /* An end of a mapping that the kernel would not cut off may be lost, and is shorter than this. */
    most += (size_t)count->failed[HS_OS_MUNMAP] * HS_GRANULE_BYTES;
    return now > most ? now - most : 0;
}

static void sweep_alone(struct kit_run *run, struct sweep *sweep)
{
    struct local *local = run->local;
    struct kit_fault_count count;
    size_t lost_bytes;

    sweep->is_alone = true;
    do {
        lost_bytes = growth_by_round(run, sweep, &count);
        /* A table that grew is not lost. But the same round does not make it grow again, nor do tables grow often. One
         * may grow after the other: whether a round needs it is also a question of time. */
        while (lost_bytes != 0 && ++local->growths <= GROWTHS_MOST)
            lost_bytes = growth_by_round(run, sweep, &count);
        if (lost_bytes != 0)
            kit_violation(NULL, NULL, "lost mapping", "%zu bytes after OS calls %llu to %llu of a round failed",
                          lost_bytes, (unsigned long long)sweep->plan.first, (unsigned long long)sweep->plan.last);
    } while (next_round(sweep, kit_fault_hits(&count) != 0));
}

/* Sweeps of all manners: without failures of munmap, which may cost a mapping; and with them, but without what may be
 * lost then, and with nothing but mappings to be had. */
static void expect_nothing_lost(struct kit_run *run)
{
    static const struct kit_fault_plan no_break = {1U << HS_OS_SBRK, KIT_FAULT_ALWAYS, 1, 0, 0};
    struct kit_rng seeds = kit_rng_for(run->config->seed, run->scenario->name, run->config->threads);
    struct local *local = run->local;

    local->most_unknown_bytes = kit_sampler_unknown_bytes(run);
    for (unsigned i = 0; i < 2 * SWEEPS_ALONE; i++) {
        struct sweep sweep = begin_sweep(&seeds, (enum manner)(i % MANNERS));

        local->is_plain = i >= SWEEPS_ALONE;
        if (i == SWEEPS_ALONE)
            kit_faults_arm_all(&no_break);
        if (!local->is_plain)
            sweep.plan.kinds &= ~(1U << HS_OS_MUNMAP);
        sweep_alone(run, &sweep);
    }
}

/* Shorter runs may have finished none. */
static void expect_sweeps(const struct kit_run *run)
{
    static const char *const names[HS_OS_CALL_KINDS] = {"sbrk", "mmap", "munmap", "mremap", "madvise"};
    const struct local *local = run->local;
    struct tally all = {.sweeps = 0};
    uint64_t ops = 0;

    for (unsigned i = 0; i < run->config->threads; i++) {
        ops += kit_get(run->threads[i].ops);
        all.sweeps += local->tallies[i].sweeps;
        for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
            all.failed[call] += local->tallies[i].failed[call];
    }
    if (ops < (uint64_t)run->config->threads * SWEEP_OPS)
        return;
    if (all.sweeps == 0)
        kit_violation(NULL, NULL, "sweep", "none was finished in %llu operations", (unsigned long long)ops);
    for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
        if (all.failed[call] == 0)
            kit_violation(NULL, NULL, "sweep", "no %s failed in %llu operations", names[call], (unsigned long long)ops);
}

static void end(struct kit_run *run)
{
    expect_nothing_lost(run);
    kit_faults_remove();
    expect_sweeps(run);
    kit_pages_unmap(run->local, local_bytes(run));
}

const struct kit_scenario stress_oom = {
    .name = "oom",
    .summary = "each call of the OS fails in turn, for every thread beside the others",
    .blocks_of_thread = ARENA_BLOCKS + BLOCKS,
    .slots = SLOTS,
    .needs = KIT_NEEDS_HEAPSTER,
    .begin = begin,
    .work = work,
    .end = end,
};
