/*
 * chance: the random numbers of these tests; a seed gives the same sequence everywhere.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t bits;

    chance->state += UINT64_C(0x9E3779B97F4A7C15);
    bits = chance->state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
    return bits ^ (bits >> 31);
}

/* Less than `limit`, which is not 0. */
static inline size_t chance_below(struct chance *chance, size_t limit)
{
    return (size_t)(chance_next(chance) % limit);
}

static inline size_t chance_between(struct chance *chance, size_t least, size_t most)
{
    return least + chance_below(chance, most - least + 1);
}

#endif
