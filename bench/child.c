/*
 * child: one command, bounded in time, and what it used.
 *
 *     heapster-bench child [--seconds N] [--preload LIBRARY] [--output FILE] [--errors FILE] -- COMMAND...
 *
 * prints one line of JSON: how it ended, wall-clock seconds, processor time of the command and of all descendants that
 * were waited for, page faults, and the peak resident size of the largest of those processes.
 *
 * The command is not started by the script itself, because a process inherits at exec the peak of the memory that it
 * had before, and an interpreter's is larger than many a command's. This program's is less than what any program has.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subcommands.h"

enum { EXIT_USAGE = 2, EXIT_CANNOT_EXEC = 127, BYTES_PER_KIB = 1024 };

struct command {
    char **arguments;
    const char *preload, *output, *errors;
    long seconds;
};

struct outcome {
    struct rusage usage;
    double seconds;
    int status;
    bool timed_out;
};

static double seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double to_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static bool redirect(int descriptor, const char *path)
{
    int file;

    if (path == NULL)
        return true;
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file >= 0 && dup2(file, descriptor) >= 0;
}

/* In the new process: a group of its own, so that all of it can be ended, and no longer than this program lives. */
static void exec_command(const struct command *command, const sigset_t *mask)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    if (redirect(STDOUT_FILENO, command->output) && redirect(STDERR_FILENO, command->errors) &&
        (command->preload == NULL || setenv("LD_PRELOAD", command->preload, 1) == 0))
        (void)execvp(command->arguments[0], command->arguments);
    perror(command->arguments[0]);
    _exit(EXIT_CANNOT_EXEC);
}

/* Waits until the process ends or its time is over, and then for what is left of it. */
static bool wait_for(pid_t process, const sigset_t *waited, struct outcome *outcome, double begin, long limit)
{
    pid_t ended;

    while ((ended = wait4(process, &outcome->status, WNOHANG, &outcome->usage)) == 0 && !outcome->timed_out) {
        double left = begin + (double)limit - seconds_now();
        struct timespec timeout = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};

        outcome->timed_out = left <= 0;
        if (!outcome->timed_out)
            (void)sigtimedwait(waited, NULL, &timeout);
    }
    if (ended == 0) {
        (void)kill(-process, SIGKILL);
        ended = wait4(process, &outcome->status, 0, &outcome->usage);
    }
    outcome->seconds = seconds_now() - begin;
    (void)kill(-process, SIGKILL); /* whom the command left behind */
    return ended == process;
}

static bool run_command(const struct command *command, struct outcome *outcome)
{
    sigset_t waited, mask;
    double begin;
    pid_t process;

    (void)sigemptyset(&waited);
    (void)sigaddset(&waited, SIGCHLD);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigprocmask(SIG_BLOCK, &waited, &mask);
    begin = seconds_now();
    process = fork();
    if (process == 0)
        exec_command(command, &mask);
    if (process < 0)
        return false;
    (void)setpgid(process, process); /* here too, so that it is one before anybody is killed */
    return wait_for(process, &waited, outcome, begin, command->seconds);
}

static void print_outcome(const struct outcome *outcome)
{
    const struct rusage *usage = &outcome->usage;
    bool signalled = WIFSIGNALED(outcome->status);

    (void)printf("{\"ended\": \"%s\", \"code\": %d, \"seconds\": %.6f, \"user_seconds\": %.6f, "
                 "\"system_seconds\": %.6f, \"peak_rss_bytes\": %ld, \"minor_faults\": %ld}\n",
                 outcome->timed_out ? "timeout"
                 : signalled        ? "signal"
                                    : "exit",
                 signalled ? WTERMSIG(outcome->status) : WEXITSTATUS(outcome->status), outcome->seconds,
                 to_seconds(usage->ru_utime), to_seconds(usage->ru_stime), usage->ru_maxrss * BYTES_PER_KIB,
                 usage->ru_minflt);
}

static bool parse_arguments(int argc, char **argv, struct command *command)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"preload", required_argument, NULL, 'p'},
        {"output", required_argument, NULL, 'o'},
        {"errors", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    char *end = NULL;
    int option;

    optind = 2; /* behind the program and the subcommand */
    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == 's')
            command->seconds = strtol(optarg, &end, 10);
        else if (option == 'p')
            command->preload = optarg;
        else if (option == 'o')
            command->output = optarg;
        else if (option == 'e')
            command->errors = optarg;
        else
            return false;
    }
    command->arguments = argv + optind;
    return optind < argc && command->seconds > 0 && (end == NULL || *end == '\0');
}

int bench_child(int argc, char **argv)
{
    struct command command = {.seconds = 3600};
    struct outcome outcome = {.timed_out = false};

    if (!parse_arguments(argc, argv, &command)) {
        (void)fprintf(stderr, "usage: heapster-bench child [--seconds N] [--preload LIBRARY] [--output FILE] "
                              "[--errors FILE] -- COMMAND...\n");
        return EXIT_USAGE;
    }
    if (!run_command(&command, &outcome)) {
        perror("heapster-bench: cannot run a command");
        return 1;
    }
    print_outcome(&outcome);
    return 0;
}
