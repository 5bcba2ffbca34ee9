/*
 * large_cache_support: what the tests of kept mappings share.
 */
#ifndef TEST_LARGE_CACHE_SUPPORT_H
#define TEST_LARGE_CACHE_SUPPORT_H

#include "support.h"

#include "heap.h"
#include "large_cache.h"
#include "options.h"

#define MEBIBYTE ((size_t)1 << 20)
#define DECAY_MS ((uint64_t)UINT32_MAX)

static inline int begin(void **state)
{
    (void)state;
    hs_options.decay_ms = DECAY_MS;
    hs_options.large_cache = true;
    (void)heapster_trim(0);
    /* Forgets the peaks of whoever came before. */
    hs_heap_large.peak_bytes = hs_heap_large.last_peak_bytes = hs_heap_large.bytes;
    return 0;
}

static inline char *take(size_t bytes)
{
    char *block = heapster_malloc(bytes);

    assert_non_null(block);
    return block;
}

#endif
