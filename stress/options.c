#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rng.h"
#include "run.h"
#include "scenarios/list.h"

#define DEFAULT_SECONDS 5.0

static const char *const strategy_names[STRESS_STRATEGIES] = {"first", "next", "best", "worst"};

static const char usage[] = "usage: heapster-stress [--threads N] [--seconds N | --ops N] [--seed N]\n"
                            "                       [--strategy first|next|best|worst|all] [--cache on|off|both]\n"
                            "                       [--arenas N]\n"
                            "                       [--allocator heapster|system] [--same-process]\n"
                            "                       [--hang-seconds N] [--tolerate misaligned|errno]...\n"
                            "                       [--json FILE] [--junit FILE] [--report FILE.html]\n"
                            "                       [--list] [--help] [SCENARIO...]\n";

static const char details[] =
    "\n"
    "Puts an allocator under load and verifies every block: no overlap, content, alignment, usable size, zeroed\n"
    "calloc, kept prefix of realloc; and Heapster's own invariants, while the threads run and at rest.\n"
    "\n"
    "  --threads N     threads that allocate (8)\n"
    "  --seconds N     how long they do so, split evenly over the scenarios; fractions allowed (5)\n"
    "  --ops N         instead: operations of each thread, split evenly over the scenarios\n"
    "  --seed N        decides what each thread does, scheduling aside (random, and printed)\n"
    "  --strategy S    first, next, best, worst, or all: one after another, each for the full duration (first)\n"
    "  --cache C       threads have caches (on), or each free coalesces at once (off), or both: one after the other,\n"
    "                  each for half of the duration (both; of --allocator system: as HEAPSTER_OPTIONS says)\n"
    "  --arenas N      how many arenas threads are spread over (four for each processor)\n"
    "  --allocator A   heapster: its functions by their own names (default); system: the process's own malloc,\n"
    "                  as in LD_PRELOAD=libjemalloc.so.2 heapster-stress --allocator system\n"
    "  --same-process  one heap for all scenarios, one after another; otherwise each has a process of its own\n"
    "  --hang-seconds N  without progress, and a thread is taken to hang (60)\n"
    "  --tolerate W    misaligned, errno: counted only, so that what else is wrong comes to light; may be repeated\n"
    "  --json FILE     all results and measurements; - is standard output\n"
    "  --junit FILE    verdicts, for CI servers\n"
    "  --report FILE   one page of HTML with charts, and a picture of the heap\n"
    "  --list          names the scenarios; default: all of them\n"
    "\n"
    "Runs of a minute and more for each scenario are held against growth of memory and loss of speed.\n"
    "\n"
    "Exit status: 0 passed, 1 something was violated, 2 usage, 77 all that was asked for had to be skipped. A\n"
    "violation is reported on standard error with the block's history and the command that runs the same again.\n";

static void write_text(int file, const char *text)
{
    ssize_t ignored = write(file, text, strlen(text));

    (void)ignored;
}

static bool complain(const char *what, const char *item)
{
    write_text(STDERR_FILENO, "heapster-stress: ");
    write_text(STDERR_FILENO, what);
    write_text(STDERR_FILENO, item);
    write_text(STDERR_FILENO, "\n");
    write_text(STDERR_FILENO, usage);
    return false;
}

const char *stress_strategy_name(unsigned strategy)
{
    return strategy_names[strategy];
}

unsigned stress_cache_mode_count(unsigned modes)
{
    return modes == STRESS_CACHE_BOTH ? 2 : 1;
}

const char *stress_cache_modes_name(unsigned modes)
{
    static const char *const names[] = {"-", "on", "off", "both"};

    return names[modes];
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= least && *out <= most;
}

static bool read_unsigned(const char *text, unsigned most, unsigned *out)
{
    uint64_t number;
    bool good = read_number(text, 1, most, &number);

    if (good)
        *out = (unsigned)number;
    return good;
}

static bool read_seconds(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out > 0 && *out <= 1e6;
}

static bool read_strategy(const char *text, struct stress_options *options)
{
    if (strcmp(text, "all") == 0) {
        options->first_strategy = 0;
        options->last_strategy = STRESS_STRATEGIES - 1;
        return true;
    }
    for (unsigned i = 0; i < STRESS_STRATEGIES; i++) {
        if (strcmp(text, strategy_names[i]) == 0) {
            options->first_strategy = options->last_strategy = i;
            return true;
        }
    }
    return false;
}

static bool read_cache(const char *text, struct stress_options *options)
{
    unsigned modes = STRESS_CACHE_BOTH;

    while (modes != 0 && strcmp(text, stress_cache_modes_name(modes)) != 0)
        modes--;
    options->cache_modes = modes;
    return modes != 0;
}

static bool read_allocator(const char *text, struct stress_options *options)
{
    options->system_allocator = strcmp(text, "system") == 0;
    return options->system_allocator || strcmp(text, "heapster") == 0;
}

static bool read_tolerance(const char *text, struct stress_options *options)
{
    if (strcmp(text, "misaligned") == 0)
        options->tolerated |= KIT_TOLERATE_MISALIGNED;
    else if (strcmp(text, "errno") == 0)
        options->tolerated |= KIT_TOLERATE_ERRNO;
    else
        return false;
    return true;
}

static bool read_path(const char *text, const char **out)
{
    *out = text;
    return text[0] != '\0';
}

static bool add_scenario(const char *name, struct stress_options *options)
{
    const struct kit_scenario *scenario = stress_scenario_named(name);

    if (scenario == NULL || options->scenario_count == STRESS_SCENARIOS_MAX)
        return complain("unknown scenario: ", name);
    options->scenarios[options->scenario_count++] = scenario;
    return true;
}

static bool read_report_flag(const char *flag, const char *value, struct stress_options *options)
{
    if (strcmp(flag, "--json") == 0)
        return read_path(value, &options->json_path);
    if (strcmp(flag, "--junit") == 0)
        return read_path(value, &options->junit_path);
    return read_path(value, &options->html_path);
}

static bool read_value(const char *flag, const char *value, struct stress_options *options)
{
    if (strcmp(flag, "--threads") == 0)
        return read_unsigned(value, KIT_THREADS_MAX, &options->threads);
    if (strcmp(flag, "--arenas") == 0)
        return read_unsigned(value, 254, &options->arenas);
    if (strcmp(flag, "--hang-seconds") == 0)
        return read_unsigned(value, 3600, &options->hang_seconds);
    if (strcmp(flag, "--seconds") == 0)
        return read_seconds(value, &options->seconds);
    if (strcmp(flag, "--ops") == 0)
        return read_number(value, 1, UINT64_C(1) << 39, &options->ops);
    if (strcmp(flag, "--seed") == 0)
        return read_number(value, 0, UINT64_MAX, &options->seed);
    if (strcmp(flag, "--strategy") == 0)
        return read_strategy(value, options);
    if (strcmp(flag, "--cache") == 0)
        return read_cache(value, options);
    if (strcmp(flag, "--tolerate") == 0)
        return read_tolerance(value, options);
    if (strcmp(flag, "--allocator") == 0)
        return read_allocator(value, options);
    return read_report_flag(flag, value, options);
}

/* A flag with a value. */
static bool read_flag(const char *flag, const char *value, struct stress_options *options)
{
    static const char *const flags[] = {"--threads", "--arenas",   "--hang-seconds", "--seconds",  "--ops",
                                        "--seed",    "--strategy", "--allocator",    "--tolerate", "--json",
                                        "--junit",   "--report",   "--cache"};
    unsigned i = 0;

    while (i < sizeof flags / sizeof flags[0] && strcmp(flag, flags[i]) != 0)
        i++;
    if (i == sizeof flags / sizeof flags[0])
        return complain("unknown flag: ", flag);
    return (value != NULL && read_value(flag, value, options)) || complain("bad or missing value of ", flag);
}

/* The process's own malloc has neither strategies nor arenas. */
static bool is_consistent(const struct stress_options *options)
{
    if (options->seconds != 0 && options->ops != 0)
        return complain("--seconds and --ops exclude each other", "");
    if (!options->system_allocator)
        return true;
    if (options->cache_modes == STRESS_CACHE_BOTH)
        return complain("--cache both is not for one process's malloc: ", "--allocator system takes on or off");
    if (options->arenas != 0 || options->first_strategy != options->last_strategy || options->first_strategy != 0)
        return complain("--strategy and --arenas are Heapster's: ", "not with --allocator system");
    return true;
}

void stress_options_environment(const struct stress_options *options, char out[STRESS_ENVIRONMENT_BYTES])
{
    out[0] = '\0';
    if (options->system_allocator && options->cache_modes != 0)
        (void)snprintf(out, STRESS_ENVIRONMENT_BYTES, ",cache=%s", stress_cache_modes_name(options->cache_modes));
    else if (options->arenas != 0)
        (void)snprintf(out, STRESS_ENVIRONMENT_BYTES, ",arenas=%u", options->arenas);
}

static uint64_t random_seed(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return kit_scramble((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + (uint64_t)getpid()) >> 32;
}

bool stress_options_parse(int count, char **arguments, struct stress_options *options)
{
    *options = (struct stress_options){.threads = 8, .hang_seconds = STRESS_HANG_SECONDS, .seed = random_seed()};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];

        if (strcmp(argument, "--list") == 0)
            options->list = true;
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
            options->help = true;
        else if (strcmp(argument, "--same-process") == 0)
            options->same_process = true;
        else if (argument[0] != '-') {
            if (!add_scenario(argument, options))
                return false;
        } else {
            if (!read_flag(argument, arguments[i + 1], options))
                return false;
            i++;
        }
    }
    if (options->scenario_count == 0)
        while (stress_scenarios[options->scenario_count] != NULL) {
            options->scenarios[options->scenario_count] = stress_scenarios[options->scenario_count];
            options->scenario_count++;
        }
    if (!is_consistent(options))
        return false;
    if (!options->system_allocator && options->cache_modes == 0)
        options->cache_modes = STRESS_CACHE_BOTH;
    if (options->seconds == 0)
        options->seconds = DEFAULT_SECONDS;
    return true;
}

void stress_options_help(void)
{
    write_text(STDOUT_FILENO, usage);
    write_text(STDOUT_FILENO, details);
}
