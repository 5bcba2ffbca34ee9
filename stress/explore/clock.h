/*
 * clock: vector clocks over the few threads of a scenario.
 *
 * A thread's own entry is its epoch, which goes up after each operation that hands something on; so an entry tells of
 * everything the thread did up to and in that epoch.
 */
#ifndef EXPLORE_CLOCK_H
#define EXPLORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { THREADS_MOST = 4 };

struct clock {
    uint16_t at[THREADS_MOST];
};

static inline void clock_join(struct clock *into, const struct clock *other)
{
    for (unsigned i = 0; i < THREADS_MOST; i++)
        if (other->at[i] > into->at[i])
            into->at[i] = other->at[i];
}

/* What a thread knows: of what happened before in the sense of C11, which makes a plain access safe, and of which
 * stores it can no longer overlook. Fences add to the latter alone. */
struct knowledge {
    struct clock before;
    struct clock seen;
};

static inline void knowledge_join(struct knowledge *into, const struct knowledge *other)
{
    clock_join(&into->before, &other->before);
    clock_join(&into->seen, &other->seen);
}

#endif
