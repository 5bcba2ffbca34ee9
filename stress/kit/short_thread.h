/*
 * short_thread: threads that a worker starts and joins while it works.
 *
 * They stand on stacks of the kit. libc keeps the stacks that it makes itself for the next thread, and with them blocks
 * of the heap under test, so the blocks in use would not be as many after the run as before it.
 */
#ifndef KIT_SHORT_THREAD_H
#define KIT_SHORT_THREAD_H

#include <stdbool.h>

#include "run.h"

struct kit_short_thread {
    pthread_t handle;
    void *stack;
};

/* Runs body(argument), with `part` as what the new thread is in the run: its starter's own part, which it must not use
 * until it has joined, or another one. */
void kit_short_start(struct kit_short_thread *short_thread, struct kit_thread *part,
                     void (*body)(struct kit_thread *part));

/* True if it ran to its end, false if it was cancelled. */
bool kit_short_join(struct kit_short_thread *short_thread);

#endif
