/* options: the command line of heapster-stress. */
#ifndef STRESS_OPTIONS_H
#define STRESS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "heapster.h"
#include "scenario.h"

/* Bits. Neither: as the process's own malloc is. */
enum stress_cache_modes { STRESS_CACHE_ON = 1, STRESS_CACHE_OFF = 2, STRESS_CACHE_BOTH = 3 };

enum { STRESS_SCENARIOS_MAX = 64, STRESS_STRATEGIES = HEAPSTER_WORST_FIT + 1, STRESS_HANG_SECONDS = 60 };

struct stress_options {
    unsigned threads;
    unsigned hang_seconds; /* without progress, and a thread is taken to hang */
    unsigned arenas;       /* 0: as many as Heapster makes */
    double seconds;
    uint64_t ops; /* of each thread; 0: by time */
    uint64_t seed;
    unsigned first_strategy, last_strategy;
    unsigned cache_modes; /* of enum stress_cache_modes; each in turn */
    const struct kit_scenario *scenarios[STRESS_SCENARIOS_MAX];
    unsigned scenario_count;
    unsigned tolerated;                             /* of enum kit_tolerance */
    const char *json_path, *junit_path, *html_path; /* reports asked for, or NULL */
    bool system_allocator;                          /* the process's own malloc instead of heapster_malloc */
    bool same_process;
    bool list, help;
};

/* What is added to HEAPSTER_OPTIONS, with a comma before it, since it has to be known before the first allocation; or
 * "". */
enum { STRESS_ENVIRONMENT_BYTES = 64 };
void stress_options_environment(const struct stress_options *options, char out[STRESS_ENVIRONMENT_BYTES]);

/* False after a usage message on standard error. */
bool stress_options_parse(int count, char **arguments, struct stress_options *options);

void stress_options_help(void);

const char *stress_strategy_name(unsigned strategy);

/* How many there are; and a name for them: "on", "off", "both" or "-". */
unsigned stress_cache_mode_count(unsigned modes);
const char *stress_cache_modes_name(unsigned modes);

#endif
