/*
 * scenario: one way to put an allocator under stress. Each stands in a file of its own under stress/scenarios, which
 * opens with goal, class of bug, oracle and knobs; stress/scenarios/list.c names them all.
 */
#ifndef KIT_SCENARIO_H
#define KIT_SCENARIO_H

struct kit_run;
struct kit_thread;

struct kit_scenario {
    const char *name;
    const char *summary;       /* one line for --list */
    unsigned blocks_of_thread; /* records for each thread */
    unsigned slots;            /* records lying in the exchange, a power of two; 0: none */
    /* Before the blocks in use are counted: makes what libc makes once and keeps; or NULL. */
    void (*prepare)(struct kit_run *run);
    void (*begin)(struct kit_run *run); /* before the threads work; or NULL */
    void (*work)(struct kit_thread *thread);
    void (*end)(struct kit_run *run); /* after every block was freed; or NULL */
};

#endif
