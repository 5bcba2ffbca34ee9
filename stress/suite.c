#include "suite.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "run.h"
#include "soak.h"
#include "table.h"
#include "violation.h"

/* How many times the patience with a thread that with a whole process is. */
enum { LIFELESS_TIMES = 3, CHECK_EVERY = 10000 };

#define WAIT_SECONDS 0.002

/* Which need no quotes. */
#define PLAIN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"

static double now_since_1970(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------
 */

/* The scenarios that cannot run take no time. */
static unsigned runnable_scenarios(const struct stress_suite *suite)
{
    const struct stress_options *options = suite->options;
    unsigned count = 0;

    for (unsigned i = 0; i < options->scenario_count; i++)
        if (kit_scenario_obstacle(options->scenarios[i], &suite->allocator) == NULL)
            count++;
    return count > 0 ? count : 1;
}

static void configure(const struct stress_suite *suite, const struct stress_row *row, struct kit_config *config)
{
    const struct stress_options *options = suite->options;
    unsigned shares = runnable_scenarios(suite) * stress_cache_mode_count(options->cache_modes);

    *config = (struct kit_config){
        .threads = options->threads,
        .seconds = options->seconds / shares,
        .seed = options->seed,
        .tolerated = options->tolerated,
        .hang_seconds = options->hang_seconds,
        .check_every = CHECK_EVERY,
        .live_line = stress_table_is_live(suite),
        .progress_file = stress_table_file(suite),
        .reproduce = row->command,
        .strategy_name = row->strategy,
        .cache_name = row->cache,
        .number = (unsigned)(row - suite->rows) + 1,
        .count = suite->row_count,
    };
    if (options->ops != 0)
        config->ops = options->ops > shares ? options->ops / shares : 1;
}

/* As a shell's word. */
static void add_word(struct kit_text *command, const char *word, size_t length)
{
    bool is_plain = length != 0 && strspn(word, PLAIN_CHARACTERS) >= length;

    kit_text_add(command, "%s", is_plain ? "" : "'");
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\'')
            kit_text_add(command, "'\\''");
        else
            kit_text_add(command, "%c", word[i]);
    }
    kit_text_add(command, "%s", is_plain ? "" : "'");
}

static void add_variable(struct kit_text *command, const char *name, const char *value, size_t length)
{
    kit_text_add(command, "%s=", name);
    add_word(command, value, length);
    kit_text_add(command, " ");
}

static void describe_environment(struct kit_text *command, const struct stress_options *options)
{
    const char *heapster = getenv("HEAPSTER_OPTIONS"), *preload = getenv("LD_PRELOAD");
    size_t length = heapster != NULL ? strlen(heapster) : 0;
    char added[STRESS_ENVIRONMENT_BYTES];

    stress_options_environment(options, added);
    if (length != 0)
        length -= strlen(added);
    if (length != 0)
        add_variable(command, "HEAPSTER_OPTIONS", heapster, length);
    if (preload != NULL && preload[0] != '\0')
        add_variable(command, "LD_PRELOAD", preload, strlen(preload));
}

/* The command for this row alone, with what the user has set in the environment. */
static void describe(const struct stress_suite *suite, struct stress_row *row)
{
    const struct stress_options *options = suite->options;
    struct kit_text command = {.length = 0};
    struct kit_config config;

    configure(suite, row, &config);
    describe_environment(&command, options);
    add_word(&command, suite->program, strlen(suite->program));
    kit_text_add(&command, " --threads %u ", options->threads);
    if (config.ops != 0)
        kit_text_add(&command, "--ops %" PRIu64 " ", config.ops);
    else
        kit_text_add(&command, "--seconds %g ", config.seconds);
    kit_text_add(&command, "--seed %" PRIu64 " ", options->seed);
    if (options->system_allocator)
        kit_text_add(&command, "--allocator system ");
    else
        kit_text_add(&command, "--strategy %s ", row->strategy);
    if (row->cache_mode != 0)
        kit_text_add(&command, "--cache %s ", row->cache);
    if (options->arenas != 0)
        kit_text_add(&command, "--arenas %u ", options->arenas);
    if (options->hang_seconds != STRESS_HANG_SECONDS)
        kit_text_add(&command, "--hang-seconds %u ", options->hang_seconds);
    if ((options->tolerated & KIT_TOLERATE_MISALIGNED) != 0)
        kit_text_add(&command, "--tolerate misaligned ");
    if ((options->tolerated & KIT_TOLERATE_ERRNO) != 0)
        kit_text_add(&command, "--tolerate errno ");
    kit_text_add(&command, "%s", row->scenario->name);
    (void)snprintf(row->command, sizeof row->command, "%.*s", (int)command.length, command.bytes);
}

/* The `number`-th of the modes asked for. */
static unsigned cache_mode(const struct stress_options *options, unsigned number)
{
    if (options->cache_modes != STRESS_CACHE_BOTH)
        return options->cache_modes;
    return number == 0 ? STRESS_CACHE_ON : STRESS_CACHE_OFF;
}

static void make_rows(struct stress_suite *suite)
{
    const struct stress_options *options = suite->options;
    unsigned strategies = options->last_strategy - options->first_strategy + 1;
    unsigned rows_of_mode = strategies * options->scenario_count;

    suite->row_count = stress_cache_mode_count(options->cache_modes) * rows_of_mode;
    suite->rows = kit_pages_map_shared(suite->row_count * sizeof *suite->rows);
    for (unsigned i = 0; i < suite->row_count; i++) {
        struct stress_row *row = &suite->rows[i];

        row->scenario = options->scenarios[i % options->scenario_count];
        row->strategy_number = options->first_strategy + i / options->scenario_count % strategies;
        row->cache_mode = cache_mode(options, i / rows_of_mode);
        row->cache = stress_cache_modes_name(row->cache_mode);
        row->strategy = options->system_allocator ? "-" : stress_strategy_name(row->strategy_number);
        describe(suite, row);
    }
}

/* ---- in the child --------------------------------------------------------------------------------------------------
 */

static void run_row(const struct stress_suite *suite, struct stress_row *row)
{
    struct kit_config config;

    configure(suite, row, &config);
    if (suite->allocator.is_heapster)
        (void)heapster_set_strategy((enum heapster_strategy)row->strategy_number);
    kit_run(&config, row->scenario, &suite->allocator, &row->result);
}

/* Arenas of the table, the option's limit held against what there is. */
static void expect_arena_limit(const struct stress_suite *suite, struct stress_row *row)
{
    unsigned limit = suite->options->arenas;
    struct heapster_stats stats;

    heapster_stats(&stats);
    if (limit == 0 || stats.arena_count <= limit)
        return;
    row->result.verdict = KIT_FAILED;
    (void)snprintf(row->result.reason, sizeof row->result.reason, "arenas: %" PRIu64 " were made, %u allowed",
                   stats.arena_count, limit);
}

/* This process's heap has no block yet; programs that it starts are told. */
static void choose_cache(const struct stress_suite *suite, unsigned mode)
{
    const char *environment = getenv("HEAPSTER_OPTIONS");
    char options[STRESS_COMMAND_BYTES];
    int length = snprintf(options, sizeof options, "%s,cache=%s", environment != NULL ? environment : "",
                          stress_cache_modes_name(mode));

    if (!suite->allocator.is_heapster)
        return;
    kit_heapster_use_cache(mode == STRESS_CACHE_ON);
    if ((size_t)length >= sizeof options || setenv("HEAPSTER_OPTIONS", options, 1) != 0)
        kit_violation(NULL, NULL, "setup", "HEAPSTER_OPTIONS cannot be extended");
}

/* Ends by exit, so that what a sanitizer or libc does at the end of a process is done, and seen. */
static _Noreturn void run_rows(const struct stress_suite *suite, unsigned first, unsigned last)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    choose_cache(suite, suite->rows[first].cache_mode);
    for (unsigned i = first; i <= last; i++)
        run_row(suite, &suite->rows[i]);
    if (suite->allocator.is_heapster)
        expect_arena_limit(suite, &suite->rows[last]);
    exit(0);
}

/* ---- in the parent -------------------------------------------------------------------------------------------------
 */

static uint64_t ticks_of(const struct stress_suite *suite, unsigned first, unsigned last)
{
    uint64_t ticks = 0;

    for (unsigned i = first; i <= last; i++)
        ticks += kit_get(suite->rows[i].result.ticks);
    return ticks;
}

/* The child's status as waitpid gives it; killed first where its clock stands still, which `stood_still` says. */
static int wait_for(const struct stress_suite *suite, pid_t child, unsigned first, unsigned last, bool *stood_still)
{
    const struct timespec pause = {0, (long)(WAIT_SECONDS * 1e9)};
    double changed_at = kit_now();
    uint64_t ticks = 0;
    int status;
    pid_t ended;

    while ((ended = waitpid(child, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        uint64_t now = ticks_of(suite, first, last);

        if (now != ticks)
            changed_at = kit_now();
        ticks = now;
        *stood_still = kit_now() - changed_at > (double)suite->options->hang_seconds * (double)LIFELESS_TIMES;
        if (*stood_still)
            (void)kill(child, SIGKILL);
        (void)nanosleep(&pause, NULL);
    }
    return ended == child ? status : -1;
}

static void fail_row(struct stress_row *row, int status, bool stood_still)
{
    struct kit_result *result = &row->result;
    const char *when = result->verdict == KIT_PASSED ? "after it had passed" : "before its end";

    if (result->verdict == KIT_FAILED)
        return;
    result->verdict = KIT_FAILED;
    if (stood_still)
        (void)snprintf(result->reason, sizeof result->reason, "hang: the process stood still %s, and was killed", when);
    else if (WIFSIGNALED(status))
        (void)snprintf(result->reason, sizeof result->reason, "process: ended by signal %d (%s) %s", WTERMSIG(status),
                       strsignal(WTERMSIG(status)), when);
    else
        (void)snprintf(result->reason, sizeof result->reason, "process: ended with status %d %s", WEXITSTATUS(status),
                       when);
}

/* Where the status says that something failed, or that the child ended too soon, the row it was at has failed. Returns
 * the first row that is still to be run. */
static unsigned judge(struct stress_suite *suite, unsigned first, unsigned last, int status, bool stood_still)
{
    unsigned at = first;

    while (at <= last &&
           (suite->rows[at].result.verdict == KIT_PASSED || suite->rows[at].result.verdict == KIT_SKIPPED))
        at++;
    if (at <= last)
        fail_row(&suite->rows[at], status, stood_still);
    else if (status != 0)
        fail_row(&suite->rows[last], status, stood_still);
    return at <= last ? at + 1 : at;
}

/* The last row that runs in one child with row `first`. */
static unsigned last_together(const struct stress_suite *suite, unsigned first)
{
    unsigned last = first;

    while (suite->options->same_process && last + 1 < suite->row_count &&
           suite->rows[last + 1].cache_mode == suite->rows[first].cache_mode)
        last++;
    return last;
}

/* From row `first` on; returns the first row that is still to be run. */
static unsigned run_child(struct stress_suite *suite, unsigned first)
{
    unsigned last = last_together(suite, first), next;
    bool stood_still = false;
    pid_t child;
    int status;

    child = fork();
    if (child == 0)
        run_rows(suite, first, last);
    if (child < 0) {
        perror("heapster-stress: no child process");
        exit(1);
    }
    status = wait_for(suite, child, first, last, &stood_still);
    (void)kill(-child, SIGKILL); /* what it forked, and was not there to wait for */
    next = judge(suite, first, last, status, stood_still);
    for (unsigned i = first; i < next; i++) {
        stress_soak_judge(&suite->rows[i].result, suite->options->ops == 0);
        stress_table_end_row(suite, i);
    }
    return next;
}

void stress_suite_run(struct stress_suite *suite)
{
    make_rows(suite);
    suite->began_at = now_since_1970();
    for (unsigned next = 0; next < suite->row_count;)
        next = run_child(suite, next);
    suite->ended_at = now_since_1970();
}
