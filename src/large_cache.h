/*
 * large_cache: recent mappings that were freed, kept with their pages for the next large block.
 *
 * The idea. Mapping, unmapping and above all the first touch of each page cost a hundred times what a large block costs
 * otherwise. So a freed mapping stays for a while. It is a run of pages, no more: a request takes the shortest run that
 * is long enough and leaves the rest of it here; where none is, the longest one is lengthened by mremap, which then has
 * fewer pages to give than a new mapping. Runs that touch become one, so that no address space is lost to cutting; but
 * for those that the kernel keeps apart. It merges neighbours only where the pages of one come next to those of the
 * other since they were mapped, and mremap takes no two mappings at once: a block across them would be copied to grow.
 *
 *     put       |== run ==|  freed  |= run =|      ->     |======== one run ========|
 *     take               |======== run ========|   ->     | taken |===== rest ======|
 *
 * Its bound. Blocks and cache together hold at most a quarter more than the blocks alone did at their recent peak: the
 * last two periods of decay_ms. So what a process holds at its peak is never much more than it needs, and still one
 * that frees a block and takes it again finds it here. Nor does the cache hold more than HS_LARGE_CACHE_BYTES_MOST and
 * half of what the blocks hold. What is too much goes to the OS, oldest first, and no more than that: a run is cut.
 *
 * What has been here for decay_ms goes back on slow paths, all of it in heapster_trim, when a mapping is refused, and
 * when the set is destroyed. When arenas grow, as much leaves the cache: the program has turned to something else.
 *
 * Invariants (numbers as in the checker)
 *   L5  cached_runs and cached_bytes are the number and the sum of the runs. Runs are whole pages, begin on one, are at
 *       least a granule long, and no two of them that were moved equally far touch. No run is in the region map, and
 *       none is a live block.
 *
 * What it does not do: it tells nothing of the content of a run. Only what the OS has just given reads as zero.
 *
 * Locks: the set's. Functions without _locked take it themselves, and call the OS outside it.
 * Failing: a run that cannot be cut for want of a descriptor stays whole; nothing is lost.
 */
#ifndef HS_LARGE_CACHE_H
#define HS_LARGE_CACHE_H

#include "large.h"

#define HS_LARGE_CACHE_BYTES_MOST ((size_t)64 << 20)

/* A request looks at each run, in less time than it takes to touch a page for the first time. */
enum { HS_LARGE_CACHE_RUNS_MOST = 256, HS_LARGE_CACHE_SHARE = 4 };

/* A mapping that serves the request, or NULL. It may be longer, by less than a granule. Its content is anything. */
struct hs_region *hs_large_cache_take(struct hs_large_set *set, size_t mapping_bytes, size_t alignment);

/* Takes a mapping in that is in no list and no map. */
void hs_large_cache_put_locked(struct hs_large_set *set, struct hs_region *region, uint64_t now_ms)
    HS_REQUIRES(set->lock);

/* Takes `bytes` of what begins where the block of that mapping ends into it. False where there is no such run. */
bool hs_large_cache_join_locked(struct hs_large_set *set, const struct hs_region *region, size_t bytes)
    HS_REQUIRES(set->lock);

/* The kernel has moved the mapping to `base`. The caller is its owner, or holds the set's lock. */
void hs_large_cache_note_move(struct hs_region *region, char *base);

/* Whether `right` begins where `left` ends, and both are one mapping for the kernel, too. The caller holds the set's
 * lock, or owns what is in no list. */
static inline bool hs_large_cache_touch(const struct hs_region *left, const struct hs_region *right)
{
    /* Relaxed: under the lock. */
    return left->base + hs_load_relaxed(&left->bytes) == right->base && left->moved_by == right->moved_by;
}

/* A list of what is beyond the bound, off the cache, for the caller to give to the OS once it holds no lock. */
struct hs_region *hs_large_cache_excess_locked(struct hs_large_set *set) HS_REQUIRES(set->lock);

/* The same of what is due at `now_ms`. */
struct hs_region *hs_large_cache_due_locked(struct hs_large_set *set, uint64_t now_ms) HS_REQUIRES(set->lock);

/* The same of all there is. */
struct hs_region *hs_large_cache_empty_locked(struct hs_large_set *set) HS_REQUIRES(set->lock);

/* Notes that the set's blocks have come to hold more bytes. */
void hs_large_cache_note_peak_locked(struct hs_large_set *set) HS_REQUIRES(set->lock);

#endif
