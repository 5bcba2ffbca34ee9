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
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { FORK_EVERY = 1500, CHILD_STEPS = 200, SPAWN_PERCENT = 20 };

static void check_at_rest(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_text findings = {.length = 0};

    kit_doing(thread, KIT_CHECK, 0);
    allocator->check(allocator->context, true, &findings);
    if (findings.length != 0)
        kit_violation(NULL, NULL, "heap of a child", "\n%.*s", (int)findings.length, findings.bytes);
}

/* Only with the records of the forking thread: those of others, and their blocks, may be half written. */
static _Noreturn void live_in_child(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .resize = 20, .inspect = 10};

    /* Nobody watches a child for hangs. */
    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(thread->run->config->hang_seconds / 2);
    check_at_rest(thread);
    for (unsigned i = 0; i < CHILD_STEPS; i++)
        kit_mix_step(thread, &mix, thread->run->allocator);
    for (unsigned i = 0; i < thread->block_count; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_mix_release(thread, thread->blocks[i]);
    check_at_rest(thread);
    _exit(0);
}

static void expect_success(pid_t child, const char *what)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            kit_violation(NULL, NULL, "child", "%s is not to be waited for, errno %d", what, errno);
    if (WIFSIGNALED(status))
        kit_violation(NULL, NULL, "child", "%s was ended by signal %d", what, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        kit_violation(NULL, NULL, "child", "%s ended with status %d", what, WEXITSTATUS(status));
}

static void fork_child(struct kit_thread *thread)
{
    pid_t child = fork();

    if (child == 0)
        live_in_child(thread);
    if (child < 0)
        kit_violation(NULL, NULL, "setup", "no child, errno %d", errno);
    expect_success(child, "a child");
}

static void spawn_program(void)
{
    static char name[] = "/bin/true";
    char *const arguments[] = {name, NULL};
    pid_t child;
    int failure = posix_spawn(&child, name, NULL, NULL, arguments, environ);

    if (failure != 0)
        kit_violation(NULL, NULL, "setup", "%s cannot be started, error %d", name, failure);
    expect_success(child, name);
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};

    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, FORK_EVERY) != 0)
            continue;
        kit_doing(thread, KIT_FORK, 0);
        if (kit_rng_percent(&thread->rng, SPAWN_PERCENT))
            spawn_program();
        else
            fork_child(thread);
    }
}

const struct kit_scenario stress_forks = {
    .name = "forks",
    .summary = "forks by all threads while all allocate; children allocate and check the heap",
    .blocks_of_thread = 128,
    .slots = 64,
    .work = work,
};
