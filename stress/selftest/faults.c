/*
 * faults: proves that the oracle fires. `kit-faults FAULT WHAT` runs the kit over an allocator with that fault in a
 * child process, and passes if the child ends with status 1 after a report of exactly that violation, with the
 * command that reproduces it, and with the history of the blocks where the plan asks for that. `kit-faults FAULT`
 * passes if the kit has nothing to say, as it must of a sound allocator.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broken.h"
#include "mix.h"
#include "oracle.h"
#include "run.h"
#include "violation.h"

enum { EXIT_USAGE = 2, REPORT_BYTES = 16384, SHOWN = 4, ENOUGH_CHECKS = 6 };

/* Small ones are inspected whole, large ones by samples. */
enum { SMALL_BYTES = 256, LARGE_BYTES = 16384 };

static const char *const fault_names[FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_OVERLAP] = "overlap",
    [FAULT_TWICE] = "twice",
    [FAULT_UNCOVERED] = "uncovered",
    [FAULT_LOST_CONTENT] = "lost_content",
    [FAULT_LOST_BEFORE_FREE] = "lost_before_free",
    [FAULT_LOST_BEFORE_REALLOC] = "lost_before_realloc",
    [FAULT_LOST_BEFORE_INSPECTION] = "lost_before_inspection",
    [FAULT_LOST_HEAD] = "lost_head",
    [FAULT_LOST_MIDDLE] = "lost_middle",
    [FAULT_LOST_TAIL] = "lost_tail",
    [FAULT_LOST_BY_REFUSAL] = "lost_by_refusal",
    [FAULT_MISALIGNED] = "misaligned",
    [FAULT_LEAST_ALIGNMENT] = "least_alignment",
    [FAULT_DIRTY_CALLOC] = "dirty_calloc",
    [FAULT_DIRTY_CALLOC_TAIL] = "dirty_calloc_tail",
    [FAULT_LOST_PREFIX] = "lost_prefix",
    [FAULT_SHORT] = "short",
    [FAULT_CHANGING_SIZE] = "changing_size",
    [FAULT_ERRNO] = "errno",
    [FAULT_ERRNO_OF_REALLOC] = "errno_of_realloc",
    [FAULT_ERRNO_OF_REALLOC_TO_ZERO] = "errno_of_realloc_to_zero",
    [FAULT_ERRNO_OF_FREE] = "errno_of_free",
    [FAULT_ERRNO_OF_REFUSAL] = "errno_of_refusal",
    [FAULT_ERRNO_OF_MEMALIGN] = "errno_of_memalign",
    [FAULT_REFUSAL] = "refusal",
    [FAULT_ALLOWED_REFUSAL] = "allowed_refusal",
    [FAULT_MEMALIGN_STATUS] = "memalign_status",
    [FAULT_MEMALIGN_STORE] = "memalign_store",
    [FAULT_REALLOC_TO_ZERO] = "realloc_to_zero",
    [FAULT_LEAK] = "leak",
    [FAULT_FREE_COUNTED_TWICE] = "free_counted_twice",
    [FAULT_FREE_SIZED] = "free_sized",
    [FAULT_FREE_ALIGNED_SIZED] = "free_aligned_sized",
    [FAULT_CHECK] = "check",
    [FAULT_CHECK_UNDER_LOAD] = "check_under_load",
    [FAULT_CHECK_AT_REST] = "check_at_rest",
    [FAULT_STATISTICS] = "statistics",
    [FAULT_WALK] = "walk",
    [FAULT_WALK_STATE] = "walk_state",
    [FAULT_WALK_SIZE] = "walk_size",
    [FAULT_WALK_TORN] = "walk_torn",
    [FAULT_WALK_MISALIGNED] = "walk_misaligned",
    [FAULT_ABORT] = "abort",
    [FAULT_SEGV] = "segv",
    [FAULT_BUS] = "bus",
    [FAULT_HANG] = "hang",
    [FAULT_HANG_AT_REST] = "hang_at_rest",
};

/* FAULTS where there is none. */
static enum fault fault_named(const char *name)
{
    unsigned fault = 0;

    while (fault < FAULTS && strcmp(fault_names[fault], name) != 0)
        fault++;
    return (enum fault)fault;
}

static void work_mixed(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {{90, 0, 512}, {10, 512, 16384}, {0, 0, 0}};
    static const struct kit_mix mix = {.sizes = sizes, .hand_over = 20, .resize = 30, .inspect = 20};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

/* Until the checker has had a turn of each kind, so that what it finds under load does not hang on the scheduler. */
static void work_until_checked(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {{1, 0, 512}, {0, 0, 0}};
    static const struct kit_mix mix = {.sizes = sizes, .hand_over = 20, .resize = 30, .inspect = 20};

    while (kit_step(thread) && kit_get(thread->run->checks) < ENOUGH_CHECKS)
        kit_mix_step(thread, &mix, thread->run->allocator);
}

static void make(struct kit_thread *thread, unsigned index, size_t bytes)
{
    kit_allocate(thread, thread->blocks[index], thread->run->allocator, KIT_MALLOC, 0, bytes);
}

static void drop_pair(struct kit_thread *thread)
{
    kit_release(thread, thread->blocks[0], KIT_FREE);
    kit_release(thread, thread->blocks[1], KIT_FREE);
}

/* The birth of the second block spoils the first; the steps differ in which check comes next. */
static void work_free(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        make(thread, 0, SMALL_BYTES);
        make(thread, 1, SMALL_BYTES);
        drop_pair(thread);
    }
}

static void work_resize(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        make(thread, 0, SMALL_BYTES);
        make(thread, 1, SMALL_BYTES);
        kit_resize(thread, thread->blocks[0], SMALL_BYTES + 1);
        drop_pair(thread);
    }
}

static void inspect_pairs(struct kit_thread *thread, size_t bytes)
{
    while (kit_step(thread)) {
        make(thread, 0, bytes);
        make(thread, 1, bytes);
        kit_inspect(thread, thread->blocks[0]);
        drop_pair(thread);
    }
}

static void work_inspect(struct kit_thread *thread)
{
    inspect_pairs(thread, SMALL_BYTES);
}

static void work_inspect_large(struct kit_thread *thread)
{
    inspect_pairs(thread, LARGE_BYTES);
}

/* The refusal spoils the first block, and the birth of the second one repairs it. */
static void work_refused(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        make(thread, 0, SMALL_BYTES);
        kit_resize(thread, thread->blocks[0], SMALL_BYTES + 1);
        make(thread, 1, SMALL_BYTES);
        drop_pair(thread);
    }
}

/* What is not as in most of them: the mix, by threads that share blocks. */
struct plan {
    void (*work)(struct kit_thread *thread);
    bool is_alone;            /* one thread */
    uint64_t ops;             /* of each thread */
    unsigned hang_seconds;    /* where the run is to hang */
    const char *shown[SHOWN]; /* in this order in the report */
};

static const struct plan plans[FAULTS] = {
    [FAULT_OVERLAP] = {.shown = {"\n  the block ", "\n    ", " by thread ", " at operation "}},
    /* Two threads that own one block would race; the report of that is another tool's. */
    [FAULT_TWICE] = {.is_alone = true,
                     .shown = {"\n  the block ", " by thread 0 at ", "\n  the other block ", " by thread 0 at "}},
    [FAULT_LOST_CONTENT] = {.shown = {"\n  the block ", "\n    ", " by thread ", " at operation "}},
    /* Few operations, so that no sample falls on a lone byte by chance. */
    [FAULT_LOST_BEFORE_FREE] = {.work = work_free,
                                .is_alone = true,
                                .ops = 1000,
                                .shown = {"\n  the block 0.", "\n    malloc by thread 0 at operation ",
                                          "\n    free by thread 0 at operation "}},
    [FAULT_LOST_BEFORE_REALLOC] = {.work = work_resize,
                                   .is_alone = true,
                                   .ops = 1000,
                                   .shown = {"\n  the block 0.", "\n    malloc by thread 0 at operation ",
                                             "\n    realloc by thread 0 at operation "}},
    [FAULT_LOST_BEFORE_INSPECTION] = {.work = work_inspect, .is_alone = true, .ops = 1000},
    [FAULT_LOST_HEAD] = {.work = work_inspect_large, .is_alone = true, .ops = 1000},
    [FAULT_LOST_MIDDLE] = {.work = work_inspect_large, .is_alone = true, .ops = 1000},
    [FAULT_LOST_TAIL] = {.work = work_inspect_large, .is_alone = true, .ops = 1000},
    [FAULT_LOST_BY_REFUSAL] = {.work = work_refused, .is_alone = true, .ops = 1000},
    [FAULT_CHECK_UNDER_LOAD] = {.work = work_until_checked, .ops = 400000},
    [FAULT_WALK_MISALIGNED] = {.work = work_until_checked, .ops = 400000},
    [FAULT_HANG] = {.hang_seconds = 2},
    [FAULT_HANG_AT_REST] = {.hang_seconds = 2},
};

/* Those of a sanitizer, which would report by itself. */
static void drop_signal_handlers(void)
{
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
}

static _Noreturn void run_child(enum fault fault, int report)
{
    const struct plan *plan = &plans[fault];
    struct kit_scenario scenario = {
        .name = "faults",
        .blocks_of_thread = 64,
        .slots = 16,
        .work = plan->work != NULL ? plan->work : work_mixed,
    };
    struct kit_config config = {
        .threads = plan->is_alone ? 1 : 4,
        .ops = plan->ops != 0 ? plan->ops : 20000,
        .seed = 1,
        .hang_seconds = plan->hang_seconds != 0 ? plan->hang_seconds : 120,
        .check_every = 500,
        .quiet = true,
        .reproduce = "this command",
        .strategy_name = "-",
    };
    struct kit_allocator allocator = broken_allocator(fault);
    static struct kit_result result;

    if (dup2(report, STDERR_FILENO) < 0)
        _exit(EXIT_USAGE);
    drop_signal_handlers();
    kit_violation_catch_signals();
    kit_run(&config, &scenario, &allocator, &result);
    _exit(0);
}

static size_t read_all(int file, char *bytes, size_t room)
{
    size_t length = 0;
    ssize_t got;

    while (length < room - 1 && (got = read(file, bytes + length, room - 1 - length)) > 0)
        length += (size_t)got;
    bytes[length] = '\0';
    return length;
}

/* The status the child ended with; -1 if by a signal. */
static int run_with(enum fault fault, char *report)
{
    int ends[2], status;
    pid_t child;

    if (pipe(ends) != 0)
        return -1;
    child = fork();
    if (child == 0)
        run_child(fault, ends[1]);
    (void)close(ends[1]);
    (void)read_all(ends[0], report, REPORT_BYTES);
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static bool shows_in_order(const char *report, const char *const *shown)
{
    for (size_t i = 0; i < SHOWN && shown[i] != NULL; i++) {
        report = strstr(report, shown[i]);
        if (report == NULL)
            return false;
        report += strlen(shown[i]);
    }
    return true;
}

static bool report_is(const char *report, const char *what, const struct plan *plan)
{
    char expected[128];
    const char *found;

    (void)snprintf(expected, sizeof expected, "heapster-stress: VIOLATION: %s: ", what);
    found = strstr(report, expected);
    return found != NULL && strstr(found, "  reproduce: this command\n") != NULL &&
           strstr(found + strlen(expected), "VIOLATION") == NULL && shows_in_order(found, plan->shown);
}

int main(int argc, char **argv)
{
    static char report[REPORT_BYTES];
    enum fault fault = argc > 1 ? fault_named(argv[1]) : FAULTS;
    bool is_quiet = argc == 2, good;
    int status, expected;

    if (fault == FAULTS || argc > 3) {
        (void)fputs("usage: kit-faults FAULT [WHAT]\n", stderr);
        return EXIT_USAGE;
    }
    expected = is_quiet ? 0 : 1;
    status = run_with(fault, report);
    good = status == expected && (is_quiet ? report[0] == '\0' : report_is(report, argv[2], &plans[fault]));
    (void)printf("%s: status %d, expected %d; report:\n%s\n", argv[1], status, expected, report);
    return good ? 0 : 1;
}
