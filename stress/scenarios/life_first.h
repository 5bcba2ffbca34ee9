/*
 * life_first: the very first call that a process makes of its allocator. It cannot go through the kit's oracle, which
 * asks the allocator for more before it hands the block out.
 */
#ifndef STRESS_LIFE_FIRST_H
#define STRESS_LIFE_FIRST_H

#include <stdbool.h>
#include <stdint.h>

/* Makes one of the first calls there are, as the seed will have it: of Heapster's functions or of the process's. */
void life_first_call(bool of_heapster, uint64_t seed);

/* It gave a block, which is there until life_first_end. */
bool life_first_is_kept(void);

/* The block still is what it was; it is freed. */
void life_first_end(void);

#endif
