/*
 * rng: the seeded generator. What a thread does is a function of the run's seed, the scenario's name and the thread's
 * number; nothing else feeds it.
 */
#ifndef KIT_RNG_H
#define KIT_RNG_H

#include <stdbool.h>
#include <stdint.h>

#include "wrap.h"

struct kit_rng {
    uint64_t state;
};

/* A bijection that spreads every input bit over the output: the finalizer of splitmix64. */
static inline uint64_t kit_scramble(uint64_t bits)
{
    bits = kit_wrap_multiply(bits ^ (bits >> 30), UINT64_C(0xBF58476D1CE4E5B9));
    bits = kit_wrap_multiply(bits ^ (bits >> 27), UINT64_C(0x94D049BB133111EB));
    return bits ^ (bits >> 31);
}

static inline uint64_t kit_rng_next(struct kit_rng *rng)
{
    rng->state = kit_wrap_add(rng->state, UINT64_C(0x9E3779B97F4A7C15));
    return kit_scramble(rng->state);
}

/* 0 to limit - 1, for limits below 2^32. */
static inline uint64_t kit_rng_below(struct kit_rng *rng, uint64_t limit)
{
    return ((kit_rng_next(rng) >> 32) * limit) >> 32;
}

/* least to most, both included. */
static inline uint64_t kit_rng_between(struct kit_rng *rng, uint64_t least, uint64_t most)
{
    return least + kit_rng_below(rng, most - least + 1);
}

static inline bool kit_rng_percent(struct kit_rng *rng, unsigned percent)
{
    return kit_rng_below(rng, 100) < percent;
}

static inline struct kit_rng kit_rng_for(uint64_t seed, const char *name, unsigned thread)
{
    uint64_t bits = kit_scramble(kit_wrap_add(seed, UINT64_C(0x9E3779B97F4A7C15)));

    for (; *name != '\0'; name++)
        bits = kit_scramble(bits ^ (unsigned char)*name);
    return (struct kit_rng){kit_scramble(kit_wrap_add(bits, thread))};
}

#endif
