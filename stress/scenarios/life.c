/*
 * life: all threads start heapster-stress-life again and again while all allocate. Each process leads one of the lives
 * of life_variants.c, from before its constructors until after its destructors.
 *
 * Goal: the allocator before it is set up, and after everybody thinks that it is no longer needed.
 * Class of bug: a first call that is not malloc and finds nothing set up, or is made by several threads at once; blocks
 * or locks that go with a destructor function; thread-local state used after the thread's end; an exit that waits for
 * a lock, and threads that go on while handlers run.
 * Oracle: everything in oracle.h, here and in the process; there also: blocks made before main keep their content until
 * the end, all handlers and destructors ran, the heap passes the check at the end. A process that hangs ends itself.
 * Knobs: LIFE_EVERY, operations of a thread; LIVES_MOST, processes at a time, which so many threads would else starve
 * until they take themselves for hanging; those of a life stand in life_program.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"
#include "forked.h"
#include "life_variants.h"
#include "mix.h"
#include "violation.h"

enum { LIFE_EVERY = 3000, LIVES_MOST = 8, COMMAND_BYTES = 512 };

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};

static char program[STRESS_PATH_BYTES];
static _Atomic unsigned lives; /* going on */

static const char *obstacle(void)
{
    return stress_beside(STRESS_LIFE_PROGRAM, program) ? NULL : STRESS_LIFE_PROGRAM " does not lie beside the program";
}

static const char *meaning(int status)
{
    if (WIFSIGNALED(status))
        return "was ended by a signal";
    switch (WEXITSTATUS(status)) {
    case STRESS_LIFE_VIOLATION:
        return "found something violated";
    case STRESS_LIFE_USAGE:
        return "did not understand its arguments";
    case STRESS_LIFE_UNFINISHED:
        return "ended without running its handlers";
    default:
        return "ended in an unknown way";
    }
}

static void expect_good_life(int status, int result_file, const char *command)
{
    char reason[KIT_REASON_BYTES];
    ssize_t length;

    if (status == 0)
        return;
    length = pread(result_file, reason, sizeof reason - 1, offsetof(struct kit_result, reason));
    reason[length > 0 ? length : 0] = '\0';
    kit_violation(NULL, NULL, "life", "a process %s (wait status 0x%x): %s\n  alone: %s", meaning(status),
                  (unsigned)status, reason, command);
}

/* Memory for what the process finds. */
static int make_result_file(void)
{
    int file = memfd_create("result", MFD_CLOEXEC);

    if (file < 0 || ftruncate(file, sizeof(struct kit_result)) != 0)
        kit_violation(NULL, NULL, "setup", "no memory for the result of a process, errno %d", errno);
    return file;
}

/* An errno. */
static int start(char *const *arguments, int result_file, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int failure = posix_spawn_file_actions_init(&actions);

    if (failure != 0)
        return failure;
    failure = posix_spawn_file_actions_adddup2(&actions, result_file, STRESS_LIFE_RESULT_FILE);
    if (failure == 0)
        failure = posix_spawn(child, program, &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failure;
}

static enum stress_life_variant choose_variant(struct kit_thread *thread)
{
    enum stress_life_variant variant = (enum stress_life_variant)kit_rng_below(&thread->rng, STRESS_LIFE_VARIANTS);

    if (variant == STRESS_LIFE_FORKED_EXIT && !kit_forked_is_sound(thread->run->allocator))
        return STRESS_LIFE_RETURN;
    return variant;
}

static void lead_life(struct kit_thread *thread, enum stress_life_variant variant, uint64_t number)
{
    static char allocator_flag[] = "--allocator", seed_flag[] = "--seed", tolerated_flag[] = "--tolerated";
    char allocator[16], name[32], seed[24], tolerated[16], command[STRESS_PATH_BYTES + COMMAND_BYTES];
    char *const arguments[] = {program, allocator_flag, allocator, name, seed_flag,
                               seed,    tolerated_flag, tolerated, NULL};
    const char *options = getenv("HEAPSTER_OPTIONS");
    int result_file = make_result_file(), failure;
    pid_t child;

    (void)snprintf(allocator, sizeof allocator, "%s", thread->run->allocator->is_heapster ? "heapster" : "system");
    (void)snprintf(name, sizeof name, "%s", stress_life_texts[variant].name);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, number);
    (void)snprintf(tolerated, sizeof tolerated, "%u", thread->run->config->tolerated);
    (void)snprintf(command, sizeof command, "HEAPSTER_OPTIONS=%s %s --allocator %s %s --seed %s --tolerated %s",
                   options != NULL ? options : "", program, allocator, name, seed, tolerated);
    kit_doing(thread, KIT_FORK, 0);
    failure = start(arguments, result_file, &child);
    if (failure != 0)
        kit_violation(NULL, NULL, "setup", "%s cannot be started, error %d", program, failure);
    expect_good_life(kit_forked_wait(child, command), result_file, command);
    (void)close(result_file);
}

static void work(struct kit_thread *thread)
{
    enum stress_life_variant variant;
    uint64_t seed;

    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, LIFE_EVERY) != 0)
            continue;
        variant = choose_variant(thread);
        seed = kit_rng_next(&thread->rng) >> 32;
        /* relaxed: a count */
        if (atomic_fetch_add_explicit(&lives, 1, memory_order_relaxed) < LIVES_MOST)
            lead_life(thread, variant, seed);
        (void)atomic_fetch_sub_explicit(&lives, 1, memory_order_relaxed); /* relaxed: a count */
    }
}

const struct kit_scenario stress_life = {
    .name = "life",
    .summary = "processes started again and again that allocate before main and until their very end",
    .needs = KIT_NEEDS_LOADER,
    .uses_libc = true,
    .blocks_of_thread = 128,
    .slots = 64,
    .work = work,
    .obstacle = obstacle,
};
