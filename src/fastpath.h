/*
 * fastpath: malloc and free as they stand under both names, heapster_ and standard: the cache's fast path inline, and
 * one call for everything else.
 */
#ifndef HS_FASTPATH_H
#define HS_FASTPATH_H

#include "cache.h"

void *hs_malloc_slowly(size_t bytes);
void hs_free_slowly(void *ptr);

static inline void *hs_malloc(size_t bytes)
{
    void *payload;

    if (HS_UNLIKELY(!hs_cache_pop_tiny(bytes, &payload)))
        return hs_malloc_slowly(bytes);
    return hs_visible_allocated(payload, bytes, false);
}

static inline void hs_free(void *ptr)
{
    if (HS_UNLIKELY(!hs_cache_push_tiny(ptr)))
        hs_free_slowly(ptr);
}

#endif
