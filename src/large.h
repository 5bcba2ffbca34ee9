/*
 * large: blocks that have a mapping of their own.
 *
 *     mapping   | page: ............................ tag | payload, whole pages ........ |
 *               base                                     base + page
 *
 * The payload begins on a page, so the mapping has one page more than its payload, for eight bytes of tag. That page
 * buys two things: free may read the word before any pointer it is given, and an underflow ends in a tag that no
 * longer verifies. The size does not stand there: it is in the descriptor that the region map leads to, out of a
 * program's reach.
 *
 * Mappings are kept in sets: one for the whole heap, and one for each first-class arena, which destroy empties.
 *
 * Invariants (numbers as in the checker)
 *   L1  The tag is intact, its state LARGE, its arena number HS_ARENA_LARGE.
 *   L2  The region map leads from the payload to the descriptor, whose set is the one it is linked in.
 *   L3  blocks and bytes of the set are the number and the sum of the mappings in it.
 *   L4  Mappings are whole pages, begin on one, and are at least a granule long (R4 in region.h).
 *
 * A mapping that was freed stays in the set's cache for a while (large_cache.h).
 *
 * Idle mappings. The kernel may refuse to unmap (vm.max_map_count): such a mapping is emptied and kept in the set's
 * idle list, for a request that it is large enough for; trimming asks the kernel again. What a first-class arena leaves
 * behind so, of its set and of its regions, becomes idle in the heap's set: no mapping is ever lost.
 *
 * Fields of hs_large_set, and next, previous of its descriptors: written and read under the set's lock.
 * Locks: the set's own (rank LARGE). A mapping that moves is moved under it, so that the walker never follows a
 * descriptor to where the mapping was. Mapping and unmapping happen outside it, but for trimming what is idle.
 * Failing: NULL where the OS has no memory, also once the cache is empty; no block has changed.
 */
#ifndef HS_LARGE_H
#define HS_LARGE_H

#include "region.h"

struct hs_large_set {
    struct hs_mutex lock;
    struct hs_arena *arena; /* the first-class arena it belongs to; NULL for the heap's */
    struct hs_region *head;
    struct hs_region *idle;
    struct hs_region *cached; /* large_cache.h has these down to seen_region_bytes */
    size_t cached_runs, cached_bytes;
    _Atomic bool was_used;                /* it had a block once */
    uint64_t peak_bytes, last_peak_bytes; /* of the blocks, in this period and in the one before */
    uint64_t period_began_ms;
    size_t seen_region_bytes; /* of all arenas, when they were last looked at */
    uint64_t blocks;
    uint64_t bytes;
    uint64_t allocations;
    uint64_t frees;
};

void hs_large_init(struct hs_large_set *set, struct hs_arena *arena);

/* A payload of at least `bytes` bytes aligned to `alignment` (a power of two), or NULL. `zeroed` is set to whether it
 * reads as zero. */
void *hs_large_allocate(struct hs_large_set *set, size_t bytes, size_t alignment, bool *zeroed);

/* False, with nothing changed, where the region is not that of a live block at `payload` any more: another thread has
 * freed it at the same time. */
bool hs_large_release(struct hs_region *region, const void *payload);

/* Resizes the block to at least `bytes`, moving it if need be; returns its payload, or NULL with nothing changed. */
void *hs_large_resize(struct hs_region *region, size_t bytes);

/* Gives back what has been in the cache for decay_ms at `now_ms`. */
void hs_large_decay(struct hs_large_set *set, uint64_t now_ms);

/* What the caches of all sets hold: whether trimming could help a request. */
size_t hs_large_all_cached_bytes(void);

/* Empties the cache, and asks the OS once more to take back what is idle. True if it took anything. */
bool hs_large_trim(struct hs_large_set *set);

/* Takes over a mapping that the kernel will not unmap: it is in no list and in no map, and is emptied here. */
void hs_large_keep_idle(struct hs_large_set *set, struct hs_region *region);

/* Releases every block of the set, which nobody else uses. What the kernel refuses becomes idle in `heir`. */
void hs_large_release_all(struct hs_large_set *set, struct hs_large_set *heir);

static inline void *hs_large_payload(const struct hs_region *region)
{
    return region->base + hs_os_page_bytes();
}

static inline size_t hs_large_usable_bytes(const struct hs_region *region)
{
    return hs_load_relaxed(&region->bytes) - hs_os_page_bytes(); /* relaxed: asked by the block's owner */
}

/* By how much the usable bytes may exceed what the block was asked for. */
size_t hs_large_slack_bytes(const struct hs_region *region);

#endif
