/*
 * faults: proves that the oracle fires. `kit-faults FAULT WHAT` runs the kit over an allocator with that fault in a
 * child process, and passes if the child ends with status 1 after a report of exactly that violation, with the
 * command that reproduces it. `kit-faults none` passes if the kit has nothing to say about a sound allocator.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broken.h"
#include "mix.h"
#include "run.h"
#include "violation.h"

enum { EXIT_USAGE = 2, REPORT_BYTES = 16384 };

static void work(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {{90, 0, 512}, {10, 512, 16384}, {0, 0, 0}};
    static const struct kit_mix mix = {.sizes = sizes, .hand_over = 20, .resize = 30, .inspect = 20};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

static _Noreturn void run_child(enum fault fault, int report)
{
    static const struct kit_scenario scenario = {.name = "faults", .blocks_of_thread = 64, .slots = 16, .work = work};
    bool hangs = fault == FAULT_HANG || fault == FAULT_HANG_AT_REST;
    struct kit_config config = {
        /* Two threads that own one block would race; the report of that is another tool's. */
        .threads = fault == FAULT_TWICE ? 1 : 4,
        .ops = 20000,
        .seed = 1,
        .hang_seconds = hangs ? 2 : 120,
        .check_every = 500,
        .quiet = true,
        .reproduce = "this command",
        .strategy_name = "-",
    };
    struct kit_allocator allocator = broken_allocator(fault);
    static struct kit_result result;

    if (dup2(report, STDERR_FILENO) < 0)
        _exit(EXIT_USAGE);
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

static bool report_is(const char *report, const char *what)
{
    char expected[128];
    const char *found;

    (void)snprintf(expected, sizeof expected, "heapster-stress: VIOLATION: %s: ", what);
    found = strstr(report, expected);
    return found != NULL && strstr(found, "  reproduce: this command\n") != NULL &&
           strstr(found + strlen(expected), "VIOLATION") == NULL;
}

int main(int argc, char **argv)
{
    static char report[REPORT_BYTES];
    enum fault fault = argc > 1 ? fault_named(argv[1]) : FAULTS;
    int status, expected;
    bool good;

    if (fault == FAULTS || (argc < 3) != (fault == FAULT_NONE)) {
        (void)fputs("usage: kit-faults none | FAULT WHAT\n", stderr);
        return EXIT_USAGE;
    }
    expected = fault == FAULT_NONE ? 0 : 1;
    status = run_with(fault, report);
    good = status == expected && (fault == FAULT_NONE ? report[0] == '\0' : report_is(report, argv[2]));
    (void)printf("%s: status %d, expected %d; report:\n%s\n", argv[1], status, expected, report);
    return good ? 0 : 1;
}
