/* options: the command line of heapster-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "workload.h"

struct bench_options {
    const struct bench_workload *workload; /* the kind that is timed, if latency */
    unsigned threads;
    double scale;
    uint64_t seed;
    bool latency, samples, json;
};

/* What follows the subcommand, which is at arguments[1]. False after a message on standard error. */
bool bench_options_run(int count, char **arguments, struct bench_options *options);
bool bench_options_list(int count, char **arguments, bool *json);
bool bench_options_pair(int count, char **arguments, uint64_t *bytes, uint64_t *rounds);

/* Says what is wrong with the item, and how the program is used. */
void bench_options_complain(const char *what, const char *item);
void bench_options_help(void);

#endif
