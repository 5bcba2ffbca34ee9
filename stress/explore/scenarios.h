/*
 * scenarios: the programs that heapster-explore knows by name, small heaps in which threads are bound to meet.
 */
#ifndef EXPLORE_SCENARIOS_H
#define EXPLORE_SCENARIOS_H

#include "search.h"

struct scenario {
    const char *name;
    const char *about;
    const char *program;
    struct bounds bounds; /* of the exhaustive search */
};

/* Ends with one whose name is NULL. */
extern const struct scenario scenarios[];

const struct scenario *scenario_find(const char *name);

#endif
