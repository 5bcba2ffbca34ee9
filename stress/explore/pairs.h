/*
 * pairs: which operations of different threads have met: a load and the store that it read, a lock and the unlock
 * before it. Beside them, where threads went at all. A fuzzer counts them as it does branches.
 */
#ifndef EXPLORE_PAIRS_H
#define EXPLORE_PAIRS_H

#include <stddef.h>
#include <stdint.h>

/* Where they are counted from now on, up to 255 each. */
void pairs_attach(uint8_t *counters, size_t count);

/* By their places in the explored library; `from` is NULL for a place alone. */
void pairs_note(const void *from, const void *to);

#endif
