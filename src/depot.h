/*
 * depot: what the threads of one arena have too much of, in magazines, until the arena needs it.
 *
 * The idea. Publishing a block merges it with what is free beside it: work, and cold memory to touch, for a block that
 * the next malloc of its size may want back. So full bins put their older blocks here, whole magazines at a time, and
 * empty bins take magazines from here. Threads of other arenas put here what they freed and its owner did not fetch
 * (cache.h), as long as somebody takes blocks out. Before an arena grows, and when it is trimmed or has not used the
 * depot for decay_ms, all of it goes back to the arena at once, sorted by address: neighbours then merge among
 * themselves, and memory is walked in order. So a depot never costs a page that the arena would not have needed anyway.
 *
 *     magazine:   next | count | pointers to blocks of one class, CACHED
 *
 * Magazines stand in memory of their own, slabs of the OS's, which goes back when the depot is emptied; nothing that
 * stands in freed memory is believed. A depot holds HS_DEPOT_BLOCKS_MOST at the most; what is beyond that is many
 * enough for neighbours to meet.
 *
 * Invariants (numbers as in the checker; cache.h, at rest)
 *   C4  The blocks of a magazine are of its class.
 *   C5  A depot holds as many blocks and bytes as it says.
 *
 * Fields: all but `sorting` under the depot's lock; what is atomic is read anywhere, relaxed: hints, and statistics.
 * Locks: the depot's own (rank DEPOT), under which nothing is taken. While a depot is emptied, or an inbox by whoever
 * has no cache of its own, another lock (rank EMPTYING, outer to the arena's): who is about to grow the arena waits
 * there for what is on its way, and so does fork, in whose child nobody would know of it.
 * Failing: where there is no memory for a magazine, the caller gives its blocks to the arena.
 */
#ifndef HS_DEPOT_H
#define HS_DEPOT_H

#include "arena_batch.h"
#include "size_class.h"

enum { HS_MAGAZINE_BLOCKS = 126, HS_DEPOT_BLOCKS_MOST = 512 * 1024, HS_SLAB_BYTES = 256 * 1024 };

/* What other arenas' threads put in while no thread of this one takes anything out: so much, or a share of the arena,
 * one part in ...; what is more goes to the arena. */
#define HS_DEPOT_SENT_BYTES_MOST ((uint64_t)2 << 20)
enum { HS_DEPOT_SENT_SHARE = 4 };

struct hs_magazine {
    struct hs_magazine *next;
    size_t count;
    void *payloads[HS_MAGAZINE_BLOCKS];
};

/* Magazines of a depot, side by side. */
struct hs_slab {
    struct hs_slab *next;
    void *unused[127];
    struct hs_magazine magazines[];
};

struct hs_depot {
    struct hs_mutex emptying; /* held while what was taken out all at once, or an inbox, is on its way to the arena */
    struct hs_mutex lock;
    struct hs_sorting *sorting;     /* room to sort in while it is emptied, or what is left of it; under `emptying` */
    struct hs_slab *unwanted_slabs; /* empty ones that it would not take */
    struct hs_slab *slabs;
    struct hs_magazine *fresh; /* of the newest slab's magazines the first that was never used */
    size_t fresh_count;
    _Atomic(struct hs_magazine *) magazines[HS_CLASSES];
    struct hs_magazine *empty;
    _Atomic uint64_t blocks, bytes;
    uint64_t sent_bytes;          /* put in by other arenas' threads since something was taken out */
    _Atomic uint64_t arena_bytes; /* of the arena's regions, when it was about to grow the last time */
    uint64_t asked_at_ms;
    _Atomic uint64_t taken; /* blocks taken out so far */
    uint64_t seen_taken;    /* at the last look for an unused depot */
};

/* A depot for the arena, or NULL where there is no memory. */
struct hs_depot *hs_depot_make(void);

/* Puts up to HS_MAGAZINE_BLOCKS blocks in; false, with nothing changed, where there is no memory, or the depot is full.
 */
bool hs_depot_put(struct hs_depot *depot, unsigned class_index, void *const *payloads, unsigned count);

/* What other arenas' threads may put in between two takes. */
static inline uint64_t hs_depot_sent_bytes_most(const struct hs_depot *depot)
{
    uint64_t share_bytes = hs_load_relaxed(&depot->arena_bytes) / HS_DEPOT_SENT_SHARE; /* relaxed: a bound */

    return share_bytes > HS_DEPOT_SENT_BYTES_MOST ? share_bytes : HS_DEPOT_SENT_BYTES_MOST;
}

/* Puts blocks of any class in that were sent here from another arena. Returns how many: no more while nobody takes
 * anything out, see HS_DEPOT_SENT_BYTES_MOST, or where there is no memory, or the depot is full. */
unsigned hs_depot_put_mixed(struct hs_depot *depot, void *const *payloads, unsigned count, bool is_sent);

/* Whether there is anything of the class: a hint. */
static inline bool hs_depot_has(const struct hs_depot *depot, unsigned class_index)
{
    return hs_load_relaxed(&depot->magazines[class_index]) != NULL;
}

/* The depot of an arena that a thread has entered, or NULL. */
static inline struct hs_depot *hs_depot_of(struct hs_arena *arena)
{
    return hs_load_acquire(&arena->reclaim) != NULL ? arena->depot : NULL; /* [DEPOT] */
}

/* Takes up to `most` blocks out; returns how many. */
unsigned hs_depot_take(struct hs_depot *depot, unsigned class_index, void **payloads, unsigned most);

/* Gives all of it back to the arena. True if there was anything, also where another thread had something on its way
 * there, and is done. */
bool hs_depot_empty(struct hs_depot *depot, struct hs_arena *arena);

/* Waits for a thread that empties the depot, if there is one. True if there was. */
bool hs_depot_wait(struct hs_depot *depot);

/* True if nothing was taken out since it was asked the last time, and that is so long ago; asked sooner it says no. */
bool hs_depot_is_unused(struct hs_depot *depot, uint64_t now_ms, uint64_t decay_ms);

/* For fork: the lock of the pool that depots come from. */
struct hs_mutex *hs_depot_pool_lock(void);

#endif
