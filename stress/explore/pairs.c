#include "pairs.h"

#include "compiler.h"
#include "engine.h"
#include "world.h"

static uint8_t *counted;
static size_t counted_count;

void pairs_attach(uint8_t *counters, size_t count)
{
    counted = counters;
    counted_count = count;
}

/* Of a place in the library the same in every process, wherever that lies. The explorer's own places, and none, which
 * is NULL, may lie before it. */
static uint64_t offset_of(const void *place)
{
    return hs_wrap_subtract((uintptr_t)place, world_library.base);
}

void pairs_note(const void *from, const void *to)
{
    uint8_t *counter;

    if (counted == NULL)
        return;
    /* The upper half of the hash, as a fraction of the counters. */
    counter = &counted[(engine_mix(engine_mix(0, offset_of(from)), offset_of(to)) >> 32) * counted_count >> 32];
    if (*counter < UINT8_MAX)
        ++*counter;
}
