/*
 * sampler: looks at a run while it goes on, for the result and for the progress line.
 *
 * The checker does it, whenever main asks for it: asking the allocator how much memory it holds may have to wait for a
 * lock, and main, which is the watchdog, must never do that.
 */
#ifndef KIT_SAMPLER_H
#define KIT_SAMPLER_H

#include "run.h"

/* By the checker alone, the only one that writes samples. */
void kit_sampler_look(struct kit_run *run);

/* By anybody: sums over all threads. */
uint64_t kit_sampler_ops(const struct kit_run *run);
uint64_t kit_sampler_live_bytes(const struct kit_run *run);

/* Of the address space of the process, what neither the kit nor the allocator, which must have held_bytes, knows of. */
size_t kit_sampler_unknown_bytes(const struct kit_run *run);

/* Of the memory that the allocator held of the OS when last looked at, the share that was in no block; below 0 where
 * it is not known. */
double kit_sampler_fragmentation(const struct kit_run *run);

#endif
