#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_MOST 1e4

static const char usage[] =
    "usage: heapster-bench list [--json]\n"
    "       heapster-bench run WORKLOAD [--threads N] [--scale X] [--seed N] [--latency] [--samples] [--json]\n"
    "       heapster-bench pair BYTES COUNT\n"
    "       heapster-bench compare|strategies ...\n"
    "       heapster-bench --help\n";

static const char details[] =
    "\n"
    "Puts a load on the process's own malloc, whichever that is, and measures it:\n"
    "    LD_PRELOAD=libheapster.so heapster-bench run larson --threads 8\n"
    "\n"
    "  list          the workloads, with the numbers of threads that make sense\n"
    "  run           one of them, once\n"
    "    --threads N   threads that allocate (the least that the workload can do with)\n"
    "    --scale X     so many times the usual work, which takes about half a second; below 0.01 populations shrink,\n"
    "                  too: enough to see that a workload works (1)\n"
    "    --seed N      decides what each thread does, scheduling aside (1)\n"
    "    --latency     times every call instead of the run: quantiles of the time that single calls take\n"
    "    --samples     memory over the run, as well\n"
    "    --json        on one line\n"
    "  pair          malloc(BYTES), one byte written, free, COUNT times and nothing else: for instruction counts\n"
    "  compare       runs them with several allocators in turn and compares; see compare --help\n"
    "  strategies    the same for Heapster's strategies\n"
    "\n"
    "Exit status: 0 done, 2 usage, 3 no memory.\n";

void bench_options_complain(const char *what, const char *item)
{
    (void)fprintf(stderr, "heapster-bench: %s%s\n%s", what, item, usage);
}

void bench_options_help(void)
{
    (void)printf("%s%s", usage, details);
}

static bool complain(const char *what, const char *item)
{
    bench_options_complain(what, item);
    return false;
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= least && *out <= most;
}

static bool read_scale(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out > 0 && *out <= SCALE_MOST;
}

static bool read_threads(const char *text, unsigned *out)
{
    uint64_t number;
    bool good = read_number(text, 1, BENCH_THREADS_MAX, &number);

    *out = good ? (unsigned)number : 0;
    return good;
}

static const struct bench_workload *find_workload(const struct bench_workload *const *workloads, const char *name)
{
    while (*workloads != NULL && strcmp((*workloads)->name, name) != 0)
        workloads++;
    return *workloads;
}

static bool read_flag(const char *flag, struct bench_options *options)
{
    if (strcmp(flag, "--latency") == 0)
        options->latency = true;
    else if (strcmp(flag, "--samples") == 0)
        options->samples = true;
    else if (strcmp(flag, "--json") == 0)
        options->json = true;
    else
        return false;
    return true;
}

static bool read_value(const char *flag, const char *value, struct bench_options *options)
{
    bool good;

    if (strcmp(flag, "--threads") == 0)
        good = value != NULL && read_threads(value, &options->threads);
    else if (strcmp(flag, "--scale") == 0)
        good = value != NULL && read_scale(value, &options->scale);
    else if (strcmp(flag, "--seed") == 0)
        good = value != NULL && read_number(value, 0, UINT64_MAX, &options->seed);
    else
        return complain("unknown flag: ", flag);
    return good || complain("bad or missing value of ", flag);
}

static bool is_consistent(struct bench_options *options)
{
    const struct bench_workload *workload = options->workload;
    unsigned least = workload->least_threads > 0 ? workload->least_threads : 1;

    if (options->threads == 0)
        options->threads = least;
    if (options->threads < least)
        return complain("needs two threads at least: ", workload->name);
    if (workload->threads_are_paired && options->threads % 2 != 0)
        return complain("needs an even number of threads: ", workload->name);
    if (options->latency && options->samples)
        return complain("--latency and --samples exclude each other", "");
    return true;
}

bool bench_options_run(int count, char **arguments, struct bench_options *options)
{
    const char *name = count > 2 ? arguments[2] : "";

    *options = (struct bench_options){.scale = 1, .seed = 1, .workload = find_workload(bench_workloads, name)};
    if (options->workload == NULL)
        return complain("unknown or missing workload: ", name);
    for (int i = 3; i < count; i++) {
        if (read_flag(arguments[i], options))
            continue;
        if (!read_value(arguments[i], arguments[i + 1], options))
            return false;
        i++;
    }
    if (options->latency)
        options->workload = find_workload(bench_timed_workloads, name);
    return is_consistent(options);
}

bool bench_options_list(int count, char **arguments, bool *json)
{
    *json = count > 2 && strcmp(arguments[2], "--json") == 0;
    return count == 2 || (count == 3 && *json) || complain("unknown flag: ", arguments[2]);
}

bool bench_options_pair(int count, char **arguments, uint64_t *bytes, uint64_t *rounds)
{
    if (count != 4)
        return complain("pair takes two numbers", "");
    if (!read_number(arguments[2], 1, UINT64_C(1) << 40, bytes))
        return complain("bad number of bytes: ", arguments[2]);
    return read_number(arguments[3], 1, UINT64_MAX, rounds) || complain("bad count: ", arguments[3]);
}
