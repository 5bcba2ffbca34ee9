/*
 * cache_table: one table of blocks, which tests of a cache take and give back in order.
 */
#ifndef TEST_CACHE_TABLE_H
#define TEST_CACHE_TABLE_H

#include "cache_support.h"

enum { MANY = 1000, LARGEST_REQUEST = 64 * 1024 };

static void *payloads[MANY];

static inline void take(unsigned count, size_t bytes)
{
    struct blocks blocks = {payloads, count, bytes};

    take_blocks(&blocks);
}

static inline void give(unsigned count)
{
    struct blocks blocks = {payloads, count, 0};

    free_blocks(&blocks);
}

/* Of what was given in order, whether `first` .. `end` are CACHED and no other. */
static inline void require_cached(unsigned first, unsigned end, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        REQUIRE((state_of(payloads[i]) == HS_STATE_CACHED) == (i >= first && i < end));
}

#endif
