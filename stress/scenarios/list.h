/* list: the scenarios by name. */
#ifndef STRESS_LIST_H
#define STRESS_LIST_H

#include "scenario.h"

/* Ends with NULL. */
extern const struct kit_scenario *const stress_scenarios[];

/* NULL where there is none of that name. */
const struct kit_scenario *stress_scenario_named(const char *name);

#endif
