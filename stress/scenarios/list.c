#include "list.h"

#include <stddef.h>
#include <string.h>

extern const struct kit_scenario stress_churn, stress_handoff, stress_neighbours, stress_pairs, stress_crowd,
    stress_realloc, stress_strategies, stress_arenas, stress_larson, stress_rings, stress_fan, stress_threads,
    stress_aligned, stress_zeroed, stress_large, stress_edges, stress_cheese, stress_observers, stress_trimming,
    stress_forks, stress_slow, stress_signals, stress_libraries, stress_life, stress_oom, stress_limits, stress_maps,
    stress_remote, stress_sleeper, stress_runs, stress_flushes, stress_brief, stress_medium, stress_thrash,
    stress_sharing, stress_scarce, stress_orphans, stress_breaks;

const struct kit_scenario *const stress_scenarios[] = {
    &stress_churn,      &stress_handoff,   &stress_neighbours,
    &stress_pairs,      &stress_crowd,     &stress_realloc,
    &stress_strategies, &stress_arenas,    &stress_larson,
    &stress_rings,      &stress_fan,       &stress_remote,
    &stress_sleeper,    &stress_runs,      &stress_flushes,
    &stress_medium,     &stress_thrash,    &stress_sharing,
    &stress_threads,    &stress_brief,     &stress_aligned,
    &stress_zeroed,     &stress_large,     &stress_edges,
    &stress_cheese,     &stress_observers, &stress_trimming,
    &stress_forks,      &stress_orphans,   &stress_slow,
    &stress_signals,    &stress_libraries, &stress_life,
    &stress_scarce,     &stress_oom,       &stress_limits,
    &stress_maps,       &stress_breaks,    NULL,
};

const struct kit_scenario *stress_scenario_named(const char *name)
{
    for (const struct kit_scenario *const *each = stress_scenarios; *each != NULL; each++)
        if (strcmp((*each)->name, name) == 0)
            return *each;
    return NULL;
}
