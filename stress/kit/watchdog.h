/*
 * watchdog: what is said of a run that hangs: for every thread what it is doing, which locks of the allocator it
 * holds, and where it stands.
 *
 * Stacks. A thread can only be asked for its own, so each thread of the process, also those that the kit knows nothing
 * of, gets a real-time signal, SIGRTMIN + 7, whose handler notes return addresses and what the allocator calls the
 * thread. A thread that does not answer within a second (it blocks signals, or a sanitizer holds them back) is said not
 * to have answered. The list of threads is the kernel's, /proc/self/task.
 *
 * The heap may be locked for ever, and libc's malloc may be the heap in question, so nothing here takes a lock or
 * allocates: that is done beforehand by kit_watchdog_set_up.
 */
#ifndef KIT_WATCHDOG_H
#define KIT_WATCHDOG_H

#include "run.h"

/* Before the threads of the run are made; each time. Leaves the signal alone where somebody else handles it: reports
 * are then without stacks. */
void kit_watchdog_set_up(void);

/* Writes it all. To be called once, by the thread that ends the process next; may be in a signal handler. */
void kit_watchdog_report(const struct kit_run *run, int file);

#endif
