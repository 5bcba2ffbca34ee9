/*
 * fastpath: malloc and free as they stand under both names, heapster_ and standard: the cache's fast path inline, and
 * one call for everything else.
 */
#ifndef HS_FASTPATH_H
#define HS_FASTPATH_H

#include "cache.h"

void *hs_malloc_slowly(size_t bytes);
void hs_free_slowly(void *ptr);
void hs_sort_freed(void);

static inline void *hs_malloc(size_t bytes)
{
    void *payload;

    if (HS_UNLIKELY(!hs_cache_pop_tiny(bytes, &payload)))
        return hs_malloc_slowly(bytes);
    return hs_visible_allocated(payload, bytes, false);
}

static inline void hs_free(void *ptr)
{
    struct hs_cache *cache = hs_cache_self;

    /* What malloc handed out last is in the processor's caches, and so is all of a small heap. */
    if (ptr != cache->newest) {
        if (HS_UNLIKELY(!hs_cache_may_read_tag(ptr))) {
            hs_free_slowly(ptr);
            return;
        }
        if (cache->defers) {
            if (HS_UNLIKELY(!hs_cache_defer_tiny(cache, ptr)))
                hs_free_slowly(ptr);
            else if (HS_UNLIKELY(hs_waiting_is_full(&cache->unsorted)))
                hs_sort_freed();
            return;
        }
    }
    if (HS_UNLIKELY(!hs_cache_push_tiny(cache, ptr)))
        hs_free_slowly(ptr);
}

#endif
