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
#include <spawn.h>
#include <unistd.h>

#include "forked.h"
#include "mix.h"
#include "violation.h"

enum { FORK_EVERY = 1500, CHILD_STEPS = 200, SPAWN_PERCENT = 20 };

static void live_in_child(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .resize = 20, .inspect = 10};

    kit_forked_check(thread);
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

    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, FORK_EVERY) != 0)
            continue;
        if (kit_rng_percent(&thread->rng, SPAWN_PERCENT))
            spawn_program(thread);
        else
            kit_forked_run(thread, live_in_child);
    }
}

const struct kit_scenario stress_forks = {
    .name = "forks",
    .summary = "forks by all threads while all allocate; children allocate and check the heap",
    .uses_libc = true,
    .needs = KIT_NEEDS_FORK,
    .blocks_of_thread = 128,
    .slots = 64,
    .work = work,
};
