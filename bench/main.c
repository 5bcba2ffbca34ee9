/*
 * heapster-bench: puts loads on the process's own malloc and measures it. It is linked with no allocator.
 */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "output.h"
#include "pair.h"
#include "run.h"
#include "subcommands.h"

static int list_workloads(int count, char **arguments)
{
    bool json;

    if (!bench_options_list(count, arguments, &json))
        return BENCH_EXIT_USAGE;
    bench_output_list(json);
    return 0;
}

static int run_workload(int count, char **arguments)
{
    static struct bench_result result;
    struct bench_options options;

    if (!bench_options_run(count, arguments, &options))
        return BENCH_EXIT_USAGE;
    bench_run(&options, &result);
    bench_output_result(&options, &result);
    return 0;
}

static int loop_over_pairs(int count, char **arguments)
{
    uint64_t bytes, rounds;

    if (!bench_options_pair(count, arguments, &bytes, &rounds))
        return BENCH_EXIT_USAGE;
    bench_pair_loop(bytes, rounds);
    return 0;
}

static int help(int count, char **arguments)
{
    (void)count;
    (void)arguments;
    bench_options_help();
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int count, char **arguments);
} subcommands[] = {
    {"list", list_workloads},         {"run", run_workload},  {"pair", loop_over_pairs}, {"compare", bench_compare},
    {"strategies", bench_strategies}, {"child", bench_child}, {"--help", help},          {"-h", help},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(subcommands[i].name, name) == 0)
            return subcommands[i].run(argc, argv);
    bench_options_complain("unknown or missing subcommand: ", argc > 1 ? argv[1] : "none");
    return BENCH_EXIT_USAGE;
}
