/*
 * heapster_locks: what Heapster's locks say of themselves, for the table of functions (allocator.h). None of it waits
 * for a lock. First-class arenas are left out while another thread holds the heap's lock.
 */
#ifndef KIT_HEAPSTER_LOCKS_H
#define KIT_HEAPSTER_LOCKS_H

#include "allocator.h"

/* An entry for each arena, by its number; 254 stands for the sets of large blocks, 255 for all first-class arenas. */
unsigned kit_heapster_contention(void *context, struct kit_contention *out, unsigned room);

const void *kit_heapster_self(void *context);
void kit_heapster_held_locks(void *context, kit_held_lock *visit, void *argument);

#endif
