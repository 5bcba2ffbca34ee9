/*
 * heapster-stress: runs scenarios under each strategy asked for, and prints a table of what came of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "run.h"
#include "scenarios/list.h"
#include "text.h"
#include "violation.h"

enum { HANG_SECONDS = 60, CHECK_EVERY = 10000, EXIT_USAGE = 2 };

struct row {
    const char *scenario, *strategy;
    struct kit_result result;
    bool passed;
};

/* The table so far; a violation in any thread prints it before the process ends. */
static struct {
    struct row rows[STRESS_SCENARIOS_MAX * STRESS_STRATEGIES];
    unsigned count;
    unsigned threads;
    bool is_terminal;
} table;

static void print_row(struct kit_text *text, const struct row *row)
{
    const struct kit_result *result = &row->result;

    kit_text_add(text, "%-12s %-8s %7u ", row->scenario, row->strategy, table.threads);
    if (row->passed)
        kit_text_add(text, "%12" PRIu64 " %11.0f %7" PRIu64 " %9.1f MiB  pass\n", result->ops,
                     (double)result->ops / result->seconds, result->checks,
                     (double)result->peak_resident_bytes / (1 << 20));
    else
        kit_text_add(text, "%12s %11s %7s %13s  FAIL\n", "-", "-", "-", "-");
    kit_text_write(text, STDOUT_FILENO);
}

static void print_table(void)
{
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s\n%-12s %-8s %7s %12s %11s %7s %13s  %s\n", table.is_terminal ? "\r\033[K" : "", "scenario",
                 "strategy", "threads", "operations", "ops/s", "checks", "peak RSS", "verdict");
    for (unsigned i = 0; i < table.count; i++)
        print_row(&text, &table.rows[i]);
}

/* HEAPSTER_OPTIONS is read before main; so it is extended, and the program started anew with it. */
static void start_with_arenas(unsigned arenas, char **arguments)
{
    const char *environment = getenv("HEAPSTER_OPTIONS"), *old = environment != NULL ? environment : "";
    char wanted[32], options[1024];
    size_t old_length = strlen(old), length;

    length = (size_t)snprintf(wanted, sizeof wanted, ",arenas=%u", arenas);
    if (old_length >= length && strcmp(old + old_length - length, wanted) == 0)
        return;
    (void)snprintf(options, sizeof options, "%s%s", old, wanted);
    if (setenv("HEAPSTER_OPTIONS", options, 1) == 0)
        (void)execv("/proc/self/exe", arguments);
    perror("heapster-stress: cannot start with --arenas");
    exit(1);
}

/* The command for one scenario under one strategy, with what the user has set in the environment. */
static void describe(struct kit_text *command, const char *program, const struct stress_options *options,
                     const struct kit_config *config, const struct kit_scenario *scenario)
{
    const char *environment = getenv("HEAPSTER_OPTIONS");

    if (environment != NULL && options->arenas == 0)
        kit_text_add(command, "HEAPSTER_OPTIONS='%s' ", environment);
    else if (environment != NULL && strrchr(environment, ',') != environment)
        kit_text_add(command, "HEAPSTER_OPTIONS='%.*s' ", (int)(strrchr(environment, ',') - environment), environment);
    kit_text_add(command, "%s --threads %u ", program, options->threads);
    if (config->ops != 0)
        kit_text_add(command, "--ops %" PRIu64 " ", config->ops);
    else
        kit_text_add(command, "--seconds %g ", config->seconds);
    kit_text_add(command, "--seed %" PRIu64 " --strategy %s ", options->seed, config->strategy_name);
    if (options->arenas != 0)
        kit_text_add(command, "--arenas %u ", options->arenas);
    kit_text_add(command, "%s", scenario->name);
}

static void run_one(const char *program, const struct stress_options *options, const struct kit_scenario *scenario,
                    unsigned strategy)
{
    struct kit_text command = {.length = 0};
    struct row *row = &table.rows[table.count++];
    struct kit_config config = {
        .threads = options->threads,
        .seconds = options->seconds / options->scenario_count,
        .ops = options->ops,
        .seed = options->seed,
        .hang_seconds = HANG_SECONDS,
        .check_every = CHECK_EVERY,
        .live_line = table.is_terminal,
        .on_failure = print_table,
        .strategy_name = stress_strategy_name(strategy),
    };

    if (options->ops != 0)
        config.ops = options->ops > options->scenario_count ? options->ops / options->scenario_count : 1;
    *row = (struct row){.scenario = scenario->name, .strategy = config.strategy_name};
    describe(&command, program, options, &config, scenario);
    command.bytes[command.length] = '\0';
    config.reproduce = command.bytes;
    (void)heapster_set_strategy((enum heapster_strategy)strategy);
    kit_run(&config, scenario, &kit_heapster, &row->result);
    row->passed = true;
}

static void print_header(const struct stress_options *options)
{
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "heapster-stress: seed %" PRIu64 ", %u threads, ", options->seed, options->threads);
    if (options->ops != 0)
        kit_text_add(&text, "%" PRIu64 " operations per thread, ", options->ops);
    else
        kit_text_add(&text, "%g seconds, ", options->seconds);
    if (options->arenas != 0)
        kit_text_add(&text, "%u arenas, ", options->arenas);
    kit_text_add(&text, "%u scenarios, strategy %s\n", options->scenario_count,
                 options->first_strategy == options->last_strategy ? stress_strategy_name(options->first_strategy)
                                                                   : "all");
    kit_text_write(&text, STDOUT_FILENO);
}

static void list_scenarios(void)
{
    struct kit_text text = {.length = 0};

    for (const struct kit_scenario *const *each = stress_scenarios; *each != NULL; each++)
        kit_text_add(&text, "%-12s %s\n", (*each)->name, (*each)->summary);
    kit_text_write(&text, STDOUT_FILENO);
}

/* Arenas of the table, the option's limit held against what there is. */
static void expect_arena_limit(unsigned arenas)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    if (arenas != 0 && stats.arena_count > arenas)
        kit_violation(NULL, NULL, "arenas", "%llu were made, %u allowed", (unsigned long long)stats.arena_count,
                      arenas);
}

int main(int argc, char **argv)
{
    struct stress_options options;

    if (!stress_options_parse(argc, argv, &options))
        return EXIT_USAGE;
    if (options.list || options.help) {
        options.list ? list_scenarios() : stress_options_help();
        return 0;
    }
    if (options.arenas != 0)
        start_with_arenas(options.arenas, argv);
    table.threads = options.threads;
    table.is_terminal = isatty(STDOUT_FILENO) == 1;
    kit_violation_catch_signals();
    print_header(&options);
    for (unsigned strategy = options.first_strategy; strategy <= options.last_strategy; strategy++)
        for (unsigned i = 0; i < options.scenario_count; i++)
            run_one(argv[0], &options, options.scenarios[i], strategy);
    expect_arena_limit(options.arenas);
    print_table();
    return 0;
}
