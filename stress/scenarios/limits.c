/*
 * limits: the process's own limits of memory are lowered and raised again under the threads' feet, over and over; now
 * and then a thread forks a child that has to live without any new memory.
 *
 * The first thread lowers a limit, and restores it a while later. While it is low, all threads allocate more than they
 * free, and then less.
 *
 *     RLIMIT_AS      what there is, and a few MiB more     nothing more is to be had after that
 *     RLIMIT_DATA    0, the hard limit as it was           the break cannot move; mmap still serves
 *     RLIMIT_DATA    0, the hard limit too (in a child)    neither
 *
 * Goal: every refusal is the OS's, and costs nothing but the call; what can still be had is had.
 * Class of bug: a refusal that outlives its cause, growth that fails half way, a break taken for lost, blocks or
 * content lost on the way, an endless search for memory that is not there. Oracle: everything in oracle.h; nothing is
 * refused while no limit is on, by Heapster not either while only the break is limited; in a child also the heap at
 * rest; in the end the limits are as before, and blocks of all sizes are to be had. Knobs: WAVE, operations of
 * the first thread between two changes; SPARE_BYTES, left below a limit; FORK_EVERY, operations of a thread;
 * CHILD_STEPS, of a child.
 */
#include "heapster.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "forked.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { BLOCKS = 64, WAVE = 300, FORK_EVERY = 3000, CHILD_STEPS = 200, HEADROOM_BYTES = 64 };

#define MIB ((size_t)1 << 20)
#define SPARE_BYTES (8 * MIB)
/* More than any limit here leaves, and less than a machine has. */
#define HUGE_BYTES (512 * MIB)

#define TOUCHED_BYTES ((size_t)8 << 10)

/* For tables that the kit needs while there is a limit. */
#define RESERVE_BYTES (64 * MIB)

static const struct kit_sizes sizes[] = {
    {40, 16, (size_t)4 << 10},
    {30, (size_t)4 << 10, (size_t)200 << 10},
    {29, (size_t)200 << 10, 2 * MIB},
    {1, 2 * MIB, 16 * MIB},
    {0, 0, 0},
};

enum limit { NO_LIMIT, OF_ADDRESS_SPACE, OF_BREAK };

struct local {
    struct kit_allocator allocator; /* the one under test, which may refuse */
    struct rlimit address_space, data;
    _Atomic unsigned epoch; /* how often `limit` has changed, times four, and the limit that is on */
};

/* ---- limits --------------------------------------------------------------------------------------------------------
 */

static void set_limit(enum limit limited, const struct rlimit *limit)
{
    int status = limited == OF_BREAK ? setrlimit(RLIMIT_DATA, limit) : setrlimit(RLIMIT_AS, limit);

    if (status != 0)
        kit_violation(NULL, NULL, "setup", "limit %d is not to be set, errno %d", (int)limited, errno);
}

/* [LIMIT] before there is a limit the epoch says so, and it says that there is none after it was lifted. */
static unsigned epoch_now(const struct local *local)
{
    return atomic_load_explicit(&local->epoch, memory_order_acquire);
}

static enum limit limit_of(unsigned epoch)
{
    return (enum limit)(epoch & 3);
}

static void begin_epoch(struct local *local, enum limit limit)
{
    unsigned epoch = kit_get(local->epoch);

    atomic_store_explicit(&local->epoch, (epoch & ~3U) + 4 + limit, memory_order_release); /* [LIMIT] */
}

static void limit_address_space(struct kit_thread *thread, struct local *local)
{
    rlim_t bytes = kit_pages_address_space() + (rlim_t)kit_rng_below(&thread->rng, SPARE_BYTES);
    struct rlimit limit = {bytes, local->address_space.rlim_max};

    begin_epoch(local, OF_ADDRESS_SPACE);
    set_limit(OF_ADDRESS_SPACE, &limit);
}

static void limit_break(struct local *local)
{
    struct rlimit limit = {0, local->data.rlim_max};

    begin_epoch(local, OF_BREAK);
    set_limit(OF_BREAK, &limit);
}

static void lift_limits(struct local *local)
{
    set_limit(OF_ADDRESS_SPACE, &local->address_space);
    set_limit(OF_BREAK, &local->data);
    begin_epoch(local, NO_LIMIT);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

/* Of a refusal by a call that began in that epoch. */
static void expect_cause(struct kit_run *run, const struct kit_block *block, unsigned epoch, size_t bytes)
{
    struct local *local = run->local;
    enum limit limit = limit_of(epoch);

    if (epoch != epoch_now(local) || limit == OF_ADDRESS_SPACE || (limit == OF_BREAK && !run->allocator->is_heapster))
        return;
    kit_violation(block, NULL, "refused", "no memory for %zu bytes, though %s", bytes,
                  limit == OF_BREAK ? "there still is mmap" : "no limit is on");
}

static void allocate(struct kit_thread *thread, struct kit_block *block)
{
    struct local *local = thread->run->local;
    size_t bytes = kit_mix_bytes(&thread->rng, sizes);
    unsigned epoch = epoch_now(local);

    thread->untouched_from = TOUCHED_BYTES;
    kit_mix_allocate(thread, block, &local->allocator, bytes);
    thread->untouched_from = 0;
    if (!kit_block_is_live(block))
        expect_cause(thread->run, block, epoch, bytes);
}

static void resize(struct kit_thread *thread, struct kit_block *block)
{
    size_t bytes = kit_mix_bytes(&thread->rng, sizes);
    unsigned epoch = epoch_now(thread->run->local);

    kit_resize(thread, block, bytes);
    if (kit_get(block->bytes) != bytes)
        expect_cause(thread->run, block, epoch, bytes);
}

static void step(struct kit_thread *thread, bool upward)
{
    struct kit_block *block = thread->blocks[kit_rng_below(&thread->rng, thread->block_count)];

    if (!kit_block_is_live(block)) {
        if (upward || kit_rng_percent(&thread->rng, 30))
            allocate(thread, block);
    } else if (kit_rng_percent(&thread->rng, 40)) {
        resize(thread, block);
    } else if (upward && kit_rng_percent(&thread->rng, 70)) {
        kit_inspect(thread, block);
    } else {
        kit_mix_release(thread, block);
    }
}

/* In a child, where nobody else is: the largest free block is to be had, whichever arena it is in. */
static void expect_largest_free(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct heapster_stats stats;

    if (!allocator->is_heapster)
        return;
    heapster_stats(&stats);
    if (stats.largest_free < TOUCHED_BYTES)
        return;
    thread->untouched_from = TOUCHED_BYTES;
    kit_allocate(thread, thread->blocks[0], allocator, KIT_MALLOC, 0, stats.largest_free - HEADROOM_BYTES);
    thread->untouched_from = 0;
    kit_release(thread, thread->blocks[0], KIT_FREE);
}

/* In a child. The limit cannot be raised again there. */
static void live_without_growth(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = sizes, .resize = 30, .inspect = 10};
    const struct rlimit nothing = {0, 0};
    struct local *local = thread->run->local;

    set_limit(OF_BREAK, &nothing);
    if (mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        kit_violation(NULL, NULL, "setup", "there is memory beyond the limit");
    kit_forked_check(thread);
    kit_forked_work(thread, &mix, &local->allocator, CHILD_STEPS);
    expect_largest_free(thread);
    kit_forked_check(thread);
}

/* The limit is one: what is far beyond it is not to be had. Others may have reserved address space before. */
static void expect_refusal(struct kit_thread *thread, const struct local *local)
{
    struct kit_block *block = thread->blocks[0];

    if (kit_block_is_live(block))
        kit_mix_release(thread, block);
    kit_allocate(thread, block, &local->allocator, KIT_MALLOC, 0, HUGE_BYTES);
    if (kit_block_is_live(block) && thread->run->allocator->is_heapster)
        kit_violation(block, NULL, "limit", "it is beyond the limit of address space");
}

static void change_limit(struct kit_thread *thread, struct local *local)
{
    kit_doing(thread, KIT_TUNE, 0);
    if (limit_of(kit_get(local->epoch)) != NO_LIMIT)
        lift_limits(local);
    else if (kit_rng_percent(&thread->rng, 70))
        limit_address_space(thread, local);
    else
        limit_break(local);
    if (limit_of(kit_get(local->epoch)) == OF_ADDRESS_SPACE)
        expect_refusal(thread, local);
}

static void work(struct kit_thread *thread)
{
    struct local *local = thread->run->local;

    for (unsigned i = 0; kit_step(thread); i++) {
        if (thread->index == 0 && i % WAVE == 0)
            change_limit(thread, local);
        step(thread, limit_of(epoch_now(local)) != NO_LIMIT);
        if (kit_rng_below(&thread->rng, FORK_EVERY) == 0)
            kit_forked_run(thread, live_without_growth);
    }
    if (thread->index == 0)
        lift_limits(local);
}

/* ---- before and after ----------------------------------------------------------------------------------------------
 */

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);

    local->allocator = *run->allocator;
    local->allocator.may_refuse = true;
    if (getrlimit(RLIMIT_AS, &local->address_space) != 0 || getrlimit(RLIMIT_DATA, &local->data) != 0)
        kit_violation(NULL, NULL, "setup", "limits are not to be read, errno %d", errno);
    run->local = local;
    kit_pages_reserve(RESERVE_BYTES);
}

/* Limits that somebody else has set would refuse what none of ours does. */
static const char *obstacle(void)
{
    struct rlimit address_space, data;

    if (getrlimit(RLIMIT_AS, &address_space) != 0 || getrlimit(RLIMIT_DATA, &data) != 0)
        return "limits of memory cannot be read";
    return address_space.rlim_cur != RLIM_INFINITY || data.rlim_cur != RLIM_INFINITY ? "memory is limited already"
                                                                                     : NULL;
}

/* All together, by main in the place of the first thread. */
static void expect_memory(struct kit_thread *thread)
{
    static const size_t some_bytes[] = {100, 20000, (size_t)200 << 10, MIB, 10 * MIB, HUGE_BYTES};
    enum { COUNT = sizeof some_bytes / sizeof some_bytes[0] };

    thread->untouched_from = TOUCHED_BYTES;
    for (unsigned i = 0; i < COUNT; i++)
        kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_MALLOC, 0, some_bytes[i]);
    thread->untouched_from = 0;
    for (unsigned i = 0; i < COUNT; i++)
        kit_release(thread, thread->blocks[i], KIT_FREE);
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    expect_memory(&run->threads[0]);
    kit_pages_reserve_end();
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_limits = {
    .name = "limits",
    .summary = "limits of memory that come and go, and children that cannot have any more",
    .blocks_of_thread = BLOCKS,
    .needs = KIT_NEEDS_NO_SHADOW,
    .begin = begin,
    .work = work,
    .end = end,
    .obstacle = obstacle,
};
