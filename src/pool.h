/*
 * pool: memory for the allocator's own records, region descriptors and arenas.
 *
 * Records stand outside the memory they describe, so that a program's overflow cannot reach them, and in mappings
 * that are never given back, so that a look-up that races with a release reads an old record and never unmapped
 * memory. A released record waits on a list and is handed out again.
 *
 * Invariants
 *   P1  A record belongs to its pool for ever; it is either handed out or on the pool's list.
 *   P2  Records are zeroed when they are handed out.
 *
 * Locks: one per pool, of rank POOL, the innermost: nothing is called under it but the OS.
 * Failing: NULL where the OS has no memory.
 */
#ifndef HS_POOL_H
#define HS_POOL_H

#include <stddef.h>

#include "sync.h"

struct hs_pool {
    struct hs_mutex lock;
    size_t record_bytes; /* a multiple of HS_CACHE_LINE_BYTES */
    size_t chunk_bytes;  /* what is asked of the OS at a time, at least a record, whole pages */
    struct hs_pool_item *free;
    char *fresh; /* the rest of the last chunk, not handed out yet */
    size_t fresh_bytes;
};

/* clang-format off */
#define HS_POOL_INITIALIZER(type, its_chunk_bytes)                                                                   \
    { .lock = HS_MUTEX_INITIALIZER(HS_RANK_POOL),                                                                    \
      .record_bytes = (sizeof(type) + HS_CACHE_LINE_BYTES - 1) / HS_CACHE_LINE_BYTES * HS_CACHE_LINE_BYTES,          \
      .chunk_bytes = (its_chunk_bytes) }
/* clang-format on */

void *hs_pool_take(struct hs_pool *pool);
void hs_pool_give(struct hs_pool *pool, void *record);

#endif
