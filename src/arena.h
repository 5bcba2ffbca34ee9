/*
 * arena: a heap of its own, with a lock for its regions and one for each of its free lists.
 *
 * The idea. Two moves change who owns a block; everything else (allocate, release, resize, trim) is made of them.
 *
 *   claim left of M    M.left names list l or none. Lock l and look again: if it still says l, the left neighbour is
 *                      free and stands still. Unlink it, mark it BUSY, merge it with M, unlock.
 *   claim right of M   R is where M ends. If R.state says FREE on r, lock r and look again; only then read R's size.
 *   publish M          Claim what is free on both sides. Lock the list s of M's size; mark M FREE on s, write the
 *                      footer and the right neighbour's `left`, link it; fence; look at both neighbours once more,
 *                      still holding s. If one is free, both were published at once, and exactly one rule decides:
 *                          neighbour on a lower list    M retreats: takes itself back, unlocks, starts again
 *                          neighbour on a higher list   M stays, locks that list too, looks again, merges
 *                          neighbour on the same list   the lock is already held: merge
 *
 *     thread 1:  free(A)                     | A | B |              thread 2:  free(B)
 *       claims: B is not free yet                                     claims: A is not free yet
 *       A FREE, B.left = 1+a                                          B FREE
 *       fence [PUBLISH]                                               fence [PUBLISH]
 *       sees B FREE?           at least one of the two answers is yes           sees B.left?
 *
 * So no two neighbours are both FREE while all locks of the arena are held, and list locks nest only upward, two at
 * the most.
 *
 * Invariants (numbers as in the checker; B1 to B7 in block.h, F1 to F6 in freelist.h)
 *   A1  Bit k of `nonempty` says whether list k has a block (while its lock is held).
 *   A2  Every region of the arena leads back to it, and region_count and region_bytes add up.
 *   A3  At rest: no block is BUSY. At any time: no block is BUSY without the arena's lock held or a claim in flight.
 *   A4  At rest: claimed and settled are equal over all shares: nothing is in flight.
 *   A5  At rest: used_bytes over all shares is the sum of the sizes of the blocks that are USED, CACHED, FREEING or a
 *       RUN, and allocations less frees, with what caches have cut off runs, their number.
 *
 * Fields                               written under              read
 *   regions, region_count, ..._bytes   lock                       under lock
 *   break_top                          lock                       under lock
 *   account                            lock                       under lock
 *   nonempty, bit k                    lock of list k             anywhere, relaxed: (1)
 *   strategy                           lock and every list lock   anywhere, relaxed: (2)
 *   cursor_list                        the list lock it names     anywhere, relaxed: a hint where next fit begins
 *   draining                           lock                       anywhere, relaxed: who misses it is waited for
 *   purge_due_ms                       anywhere, relaxed          anywhere, relaxed: a purge too many or too late
 *   depot, reclaim                     the heap's lock            anywhere, acquire [DEPOT]
 *   bounds                             lock, before the region's first block is published
 * (1) A bit that is out of date is looked at again under the list's lock, or makes the arena grow a little early.
 * (2) Each list has its own copy, and a search that meets another one starts again.
 *
 * Locks: the arena's own (rank ARENA), then list locks. OS calls of growth and trimming run under the arena's lock;
 * purging runs under a list's lock.
 *
 * Failing: NULL where the arena's source has no memory and no free block fits, also after every claim that was in
 * flight has settled; the arena is as it was.
 */
#ifndef HS_ARENA_H
#define HS_ARENA_H

#include "freelist.h"
#include "heapster.h"
#include "region.h"

/* A block of a whole region of the greatest size still serves it. */
#define HS_ARENA_REQUEST_MAX ((size_t)255 << 20)

/* Free blocks from this size on have pages worth giving back. */
#define HS_PURGE_BYTES_LEAST ((size_t)64 * 1024)

/* Decay leaves this much at the top of the break, so that a program that goes up and down does not move it. */
#define HS_DECAY_KEEP_BYTES ((size_t)256 * 1024)

typedef bool hs_arena_reclaim(struct hs_arena *arena);

struct hs_arena {
    struct hs_mutex lock;
    unsigned number;            /* 0 to 253, or HS_ARENA_FIRST_CLASS */
    enum hs_region_kind source; /* where it grows: HS_REGION_BREAK falls back to HS_REGION_MAPPED */
    struct heapster_os_hooks hooks;
    struct hs_region *regions;
    struct hs_region *break_top; /* the region that the break may extend */
    size_t region_count;
    size_t region_bytes;
    struct hs_account account;
    struct hs_bounds bounds;
    struct hs_large_set *large;       /* serves its large requests; NULL: none do */
    struct hs_arena *next, *previous; /* first-class arenas: under the heap's lock */
    _Atomic unsigned threads;         /* whose caches are of this arena; written under the heap's lock */
    struct hs_depot *depot;           /* depot.h; valid where reclaim is set */
    /* Of whoever keeps blocks of this arena back: asked, with no lock held, before the arena grows. True where some
     * came back. Set once, when the first thread enters. */
    _Atomic(hs_arena_reclaim *) reclaim;
    /* What threads of other arenas gave back (cache.h): a chain, and its blocks and bytes with what is pending of it.
     */
    _Atomic(void *) inbox __attribute__((aligned(HS_CACHE_LINE_BYTES)));
    _Atomic uint64_t inbox_blocks, inbox_bytes;
    _Atomic uint64_t sent_blocks, sent_batches; /* since the process began; on the line that a sender writes anyway */
    _Atomic uint64_t nonempty __attribute__((aligned(HS_CACHE_LINE_BYTES)));
    _Atomic uint64_t purge_due_ms; /* 0: nothing to purge */
    _Atomic uint8_t strategy;
    _Atomic uint8_t cursor_list;
    _Atomic bool draining;
    struct hs_freelist lists[HS_LISTS];
};

/* What the regions of all arenas hold. Relaxed: whether trimming could help a request. */
extern _Atomic size_t hs_arena_all_region_bytes;

/* Ready for use, without memory. The caller has zeroed it. */
void hs_arena_init(struct hs_arena *arena, unsigned number, enum hs_region_kind source, uint8_t strategy);

/* A USED block of at least `block_bytes`, its payload aligned to `alignment` (a power of two from 16 on); NULL where
 * there is none. block_bytes + alignment is at most HS_ARENA_REQUEST_MAX. */
struct hs_block *hs_arena_allocate(struct hs_arena *arena, size_t block_bytes, size_t alignment);

/* Takes back a USED block of this arena. True where that left a free block with pages worth purging. */
bool hs_arena_release(struct hs_arena *arena, struct hs_block *block);

/* Makes a USED block `block_bytes` long where it stands: gives back its end, or takes from the free block to its
 * right. False, with nothing changed, where that does not suffice. */
bool hs_arena_resize(struct hs_arena *arena, struct hs_block *block, size_t block_bytes);

void hs_arena_set_strategy(struct hs_arena *arena, uint8_t strategy);

/* Takes `base` .. `base + bytes` in as the memory of the arena (a caller's buffer). False where it is too small, or
 * where there is no memory for the descriptor. */
bool hs_arena_adopt_buffer(struct hs_arena *arena, void *base, size_t bytes);

/* Gives back to the OS what lies unused, but `keep_bytes` at the top of the break. Where the break was lowered, another
 * arena's memory may now be at its top. */
enum hs_trimmed { HS_TRIMMED_NOTHING, HS_TRIMMED_SOMETHING, HS_TRIMMED_BREAK };
enum hs_trimmed hs_arena_trim(struct hs_arena *arena, size_t keep_bytes);

/* Trims what is due at `now_ms` by the option decay_ms, unless another thread is about it. Takes no lock where nothing
 * is due. */
void hs_arena_decay(struct hs_arena *arena, uint64_t now_ms);

/* Returns all memory of a first-class arena, which nobody else uses any more, to where it came from. The result is a
 * list of the mappings that the kernel would not take; NULL as a rule. */
struct hs_region *hs_arena_return_regions(struct hs_arena *arena);

/* Before an arena's memory is given back. */
void hs_arena_destroy_locks(struct hs_arena *arena);

/* All locks of the arena: while they are held every invariant but the ones at rest holds. */
void hs_arena_lock_all(struct hs_arena *arena);
void hs_arena_unlock_all(struct hs_arena *arena);

/* In the child of a fork: publishes what vanished threads owned, every block in flight and every one that is CACHED or
 * a RUN, and makes the account anew. What caches still hold is SEEN meanwhile. */
void hs_arena_sweep_in_child(struct hs_arena *arena);

/* Claims what threads have in flight: 0 where nothing is. The caller holds all locks of the arena. */
uint64_t hs_arena_claims_in_flight(const struct hs_arena *arena);

/* The bytes of its regions, and whether less than half of them are handed out, to caches or programs: that is a hint,
 * for no more than the arena's lock is taken. */
size_t hs_arena_region_bytes(struct hs_arena *arena, bool *is_mostly_free);

/* The sum of all shares of the account. The caller holds all locks of the arena, or takes what it gets. */
struct hs_account hs_arena_account(const struct hs_arena *arena);

static inline struct hs_block *hs_region_first_block(const struct hs_region *region)
{
    return (struct hs_block *)(region->base + HS_TAG_BYTES);
}

static inline struct hs_block *hs_region_end_tag(const struct hs_region *region)
{
    return (struct hs_block *)(region->base + hs_load_relaxed(&region->bytes) - HS_TAG_BYTES); /* under the lock */
}

/* What stands before the first tag and in the END tag. */
#define HS_REGION_OVERHEAD_BYTES ((size_t)16)

#endif
