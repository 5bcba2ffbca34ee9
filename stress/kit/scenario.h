/*
 * scenario: one way to put an allocator under stress. Each stands in a file of its own under stress/scenarios, which
 * opens with goal, class of bug, oracle and knobs; stress/scenarios/list.c names them all.
 */
#ifndef KIT_SCENARIO_H
#define KIT_SCENARIO_H

#include "allocator.h"

struct kit_run;
struct kit_thread;

/* What a scenario cannot do without. */
enum kit_need {
    KIT_NEEDS_HEAPSTER = 1,  /* calls heapster.h, or what lies behind it */
    KIT_NEEDS_NO_SHADOW = 2, /* limits address space or mappings, of which a sanitizer's shadow takes more */
    KIT_NEEDS_FORK = 4,      /* forks while other threads are in the allocator */
    KIT_NEEDS_REFUSALS = 8,  /* asks for what no allocator has */
    KIT_NEEDS_LOADER = 16    /* code before constructors, thread-local memory of libraries that come later */
};

struct kit_scenario {
    const char *name;
    const char *summary;       /* one line for --list */
    unsigned blocks_of_thread; /* records for each thread */
    unsigned needs;            /* of enum kit_need */
    bool uses_libc;            /* its threads allocate through libc, too: Heapster leaves the break to that */
    unsigned slots;            /* records lying in the exchange, a power of two; 0: none */
    /* Before the blocks in use are counted: makes what libc makes once and keeps; or NULL. */
    void (*prepare)(struct kit_run *run);
    void (*begin)(struct kit_run *run); /* before the threads work; or NULL */
    void (*work)(struct kit_thread *thread);
    void (*end)(struct kit_run *run); /* after every block was freed; or NULL */
    /* Why it cannot run on this machine, or NULL; itself NULL where it always can. */
    const char *(*obstacle)(void);
};

/* Why the scenario cannot run with that allocator, here and now; NULL where it can. */
const char *kit_scenario_obstacle(const struct kit_scenario *scenario, const struct kit_allocator *allocator);

#endif
