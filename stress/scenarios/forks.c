/*
 * forks: a storm of forks by all threads while all allocate. The child inherits the heap as it was in the middle of the
 * others' work, and goes on with it alone; other children are programs, started by posix_spawn.
 *
 * Goal: the heap of a child is sound, whatever vanished threads were doing.
 * Class of bug: a lock that nobody is left to open, a block that was in flight and is lost or half merged, accounts
 * that do not add up, a parent that goes on with a lock held. Oracle: in the child the heap passes the check at rest,
 * before and after it has worked on the forking thread's blocks, judged by everything in oracle.h; its end tells the
 * parent. In the parent everything in oracle.h. Knobs: FORK_EVERY, operations of a thread; CHILD_STEPS, operations of a
 * child.
 */
#include "heapster.h"

#include <errno.h>
#include <spawn.h>
#include <unistd.h>

#include "forked.h"
#include "mix.h"
#include "pages.h"
#include "violation.h"

static const struct kit_sizes small_sizes[] = {{1, 16, 1000}, {0, 0, 0}};
static const struct kit_mix small_mix = {.sizes = small_sizes, .hand_over = 5, .resize = 10, .inspect = 60};

/* More than all threads ever have there at once. */
#define BUFFER_BYTES_OF_THREAD ((size_t)256 << 10)

enum { FORK_EVERY = 1500, CHILD_STEPS = 200, SPAWN_PERCENT = 20 };

/* A first-class arena in a buffer of all threads, looked up under a lock of its own at every call; or nothing. */
struct local {
    struct kit_allocator allocator;
    void *buffer;
    size_t buffer_bytes;
};

static void live_in_child(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .resize = 20, .inspect = 10};
    const struct local *local = thread->run->local;

    kit_forked_check(thread);
    if (local != NULL)
        kit_forked_work(thread, &small_mix, &local->allocator, CHILD_STEPS / 4);
    kit_forked_work(thread, &mix, thread->run->allocator, CHILD_STEPS);
    kit_forked_check(thread);
}

static void spawn_program(struct kit_thread *thread)
{
    static char name[] = "/bin/true";
    char *const arguments[] = {name, NULL};
    pid_t child;
    int failure;

    kit_doing(thread, KIT_FORK, 0);
    failure = posix_spawn(&child, name, NULL, NULL, arguments, environ);
    if (failure != 0)
        kit_violation(NULL, NULL, "setup", "%s cannot be started, error %d", name, failure);
    kit_forked_expect_success(child, name);
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};

    const struct local *local = thread->run->local;

    while (kit_step(thread)) {
        if (local != NULL && kit_rng_percent(&thread->rng, 50))
            kit_mix_step(thread, &small_mix, &local->allocator);
        else
            kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, FORK_EVERY) != 0)
            continue;
        if (kit_rng_percent(&thread->rng, SPAWN_PERCENT))
            spawn_program(thread);
        else
            kit_forked_run(thread, live_in_child);
    }
}

static void begin(struct kit_run *run)
{
    struct heapster_arena_config config = {.strategy = HEAPSTER_FIRST_FIT};
    heapster_arena *arena;
    struct local *local;

    if (!run->allocator->is_heapster)
        return;
    local = kit_pages_map(sizeof *local);
    config.buffer_bytes = local->buffer_bytes = run->config->threads * BUFFER_BYTES_OF_THREAD;
    config.buffer = local->buffer = kit_pages_map(local->buffer_bytes);
    arena = heapster_arena_create(&config);
    if (arena == NULL)
        kit_violation(NULL, NULL, "refused", "no arena, errno %d", errno);
    local->allocator = kit_heapster_arena(arena);
    local->allocator.may_refuse = true; /* blocks grow beyond the buffer */
    run->local = local;
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    if (local == NULL)
        return;
    heapster_arena_destroy(local->allocator.context);
    kit_pages_unmap(local->buffer, local->buffer_bytes);
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_forks = {
    .name = "forks",
    .summary = "forks by all threads while all allocate; children allocate and check the heap",
    .uses_libc = true,
    .needs = KIT_NEEDS_FORK,
    .blocks_of_thread = 128,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
