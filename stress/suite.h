/*
 * suite: every scenario asked for under every strategy asked for, with the thread cache and without, a row each.
 *
 * Each row runs in a child process of its own, on a heap of its own, so that a row that fails, crashes or hangs does
 * not keep the others from running; with --same-process they run one after another in one child, on one heap, until
 * one fails, and then go on in another. A heap has the cache from its first block on or never. The rows lie in memory
 * that parent and children share. The parent never works with the allocator under test.
 */
#ifndef STRESS_SUITE_H
#define STRESS_SUITE_H

#include "options.h"
#include "result.h"

enum { STRESS_COMMAND_BYTES = 1024 };

struct stress_row {
    const struct kit_scenario *scenario;
    unsigned strategy_number;
    const char *strategy;               /* its name; "-" where the allocator knows none */
    unsigned cache_mode;                /* one of enum stress_cache_modes, or 0 */
    const char *cache;                  /* "on", "off", or "-" where it is as the process's malloc has it */
    char command[STRESS_COMMAND_BYTES]; /* runs this row alone, again */
    struct kit_result result;
};

struct stress_suite {
    const struct stress_options *options;
    struct kit_allocator allocator;
    const char *program;
    double began_at, ended_at; /* seconds since 1970 */
    unsigned row_count;
    struct stress_row *rows;
};

struct stress_summary {
    unsigned passed, failed, skipped;
};

/* Runs all rows, with progress on standard output (table.h). */
void stress_suite_run(struct stress_suite *suite);

/* Apart (summary.c), for whoever has rows that were not run here. */
struct stress_summary stress_suite_summary(const struct stress_suite *suite);

#endif
