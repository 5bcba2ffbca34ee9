/*
 * forked: what a worker's forked child needs to be judged. It inherits the heap as it was in the middle of the others'
 * work, and only the forking thread lives on in it.
 */
#ifndef KIT_FORKED_H
#define KIT_FORKED_H

#include <sys/types.h>

#include "mix.h"
#include "run.h"

/* Any malloc should come through a fork among threads; but clang's sanitizers leave the locks of theirs as the fork
 * finds them, so that a child may wait for a thread that it has not got. */
bool kit_forked_is_sound(const struct kit_allocator *allocator);

/* Forks: the child lives and then ends, with status 0 if nothing was violated in it; the parent waits and expects
 * that. `live` may use the records of the forking thread alone: those of others, and their blocks, may be half
 * written. */
void kit_forked_run(struct kit_thread *thread, void (*live)(struct kit_thread *thread));

/* For a child: the heap passes its check at rest, where the allocator has one. */
void kit_forked_check(struct kit_thread *thread);

/* For a child: so many steps of the mix, then all of the thread's blocks are freed. */
void kit_forked_work(struct kit_thread *thread, const struct kit_mix *mix, const struct kit_allocator *allocator,
                     unsigned steps);

/* Waits for a child of any kind; returns its status as waitpid has it. `what` is for the report that it cannot. */
int kit_forked_wait(pid_t child, const char *what);

/* The same, and expects that it ended with status 0. */
void kit_forked_expect_success(pid_t child, const char *what);

#endif
