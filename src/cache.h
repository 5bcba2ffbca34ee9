/*
 * cache: what a thread keeps for itself, so that most calls of malloc and free take no lock.
 *
 * The idea. Each thread has, for each class of sizes (size_class.h), a bin: a stack of pointers to blocks of its arena,
 * CACHED. malloc pops, free pushes; neither touches memory that another thread writes, and neither believes anything
 * that stands in freed memory: the stack stands outside of it.
 *
 *     malloc   bin -> what other threads gave back (inbox) -> depot -> run -> the arena
 *     free     own arena:      unsorted -> bin -> when it is full, its oldest blocks to the depot (depot.h)
 *              another arena:  unsent -> outbox -> when it is full, that arena's inbox        a run: arena_batch.h
 *
 *     bin:     sentinel | oldest | ... | newest | free slot | ...
 *                         base                    top         full
 *
 * Unsorted. Which bin a block belongs to stands in its tag, which free has to wait for where the block is not in the
 * processor's caches. A store to a bin would then have an address that is not known yet, and processors hold back the
 * loads behind such a store, those of the next blocks' tags among them. So free verifies the block at once, marks it,
 * and puts it at the end of a short array, where the address of each store is known; when the array is full, and when a
 * bin is found empty, all of it is sorted into bins. What malloc handed out last is in the caches and goes into its bin
 * directly; so does every block of a heap that is small enough to lie there. For the same reason a tiny block of
 * another arena is unsent at first, in an array of its own, and not looked at again until that is full.
 *
 * The sentinel points to a block that is not CACHED, so that one compare tells malloc both that the bin is empty and
 * that the newest block is not what free made of it.
 *
 * Only blocks of exactly a class's size are cached, so bytes follow from counts.
 *
 * A remote free. An outbox is a chain through the first words of blocks of one other arena. It is pushed onto that
 * arena's inbox by one compare-and-swap; whoever allocates from that arena takes the inbox as a whole [INBOX]. Since
 * nobody takes a part of it, there is no ABA. Where the inbox holds HS_INBOX_BYTES_MOST, its owner sleeps or only
 * frees: the sender takes it and puts it into the arena's depot, where its owner finds blocks by class; what is too
 * much there (depot.h) the sender gives back to the arena itself. A chain's links stand in freed memory; each is
 * verified before it is followed. Whoever follows them waits for one block after the other, out of another processor's
 * caches: so beside its link a block says which one comes HS_CHAIN_AHEAD links later, and that one is fetched
 * meanwhile. A hint is not verified, since nothing reads or writes what it leads to.
 *
 * Bounds. A bin begins with room for HS_BIN_SLOTS_LEAST blocks, doubles each time it was full, up to HS_BIN_BYTES_MOST
 * bytes; a cache holds HS_CACHE_BYTES_MOST at the most, and grows beyond HS_CACHE_BYTES_LEAST no further than to its
 * share of HS_CACHES_BYTES_MOST where many threads share an arena. Where it is full, a bin with next to no room gets it
 * from the others: one after the other is halved, in turn. Every so many slow paths, once in decay_ms, bins that were
 * not used meanwhile are given back and shrink to where they began; so does what lies in depots, of any arena, that
 * nobody has taken from.
 *
 * Life. A cache is made at a thread's first call and ends in the destructor of a thread-specific key. Destructors that
 * run later, and threads that have no cache for want of memory, are served by the arenas alone. A thread gets an arena
 * that no thread has any more, or else the one that the fewest have. A cache that ended keeps its blocks for the next
 * thread of its arena; it gives them back after decay_ms, when memory is trimmed, and before its arena grows.
 *
 * Invariants (numbers as in the checker; they hold at rest)
 *   C1  A block in a bin, unsorted or in a depot is CACHED, one that is unsent, in an outbox, a pending chain or an
 *       inbox is SENT. It is in one of them alone, and of its arena.
 *   C2  Every block that is CACHED or SENT is in one of them.
 *   C3  Every RUN is the run of one cache, and its first word agrees with it.
 *   C4  The blocks in a bin are of its class; slot -1 is the sentinel; base <= top <= full. Of unsorted and of unsent
 *       blocks there are fewer than have room, each of the class that stands beside it.
 *   C5  An arena's inbox, with what its threads have pending of it, holds as many blocks and bytes as it says; so do
 *       an outbox and a depot.
 *
 * Fields                       written by                 read
 *   bins[].top, counters,      the thread                 anywhere, relaxed: statistics, exact at rest
 *     unsorted and unsent but
 *     for their payloads
 *   all else of hs_cache       the thread                 the thread; at rest, the checker; in the child of a fork
 *   next, previous, arena      under the heap's lock      under it; arena also by the thread
 *   all of an idle cache       under the heap's lock, or whoever took it off the list
 *   inbox of an arena          anywhere, by atomics       anywhere
 *
 * Locks: none on the fast path. Slow paths take what arenas take; making and ending a cache takes the heap's.
 * Failing: where a slow path finds no memory, the cache gives back what it holds before NULL is returned.
 */
#ifndef HS_CACHE_H
#define HS_CACHE_H

#include "heap.h"
#include "size_class.h"
#include "visible.h"

enum {
    HS_BIN_SLOTS_LEAST = 7, /* with the sentinel before them a power of two */
    HS_BIN_SLOTS_MOST = 255,
    HS_WAITING_MOST = 16,
    HS_OUTBOXES = 16,
    HS_CHAIN_AHEAD = 8,
    HS_CACHE_RECORD_BYTES = 192 * 1024
};

#define HS_BIN_BYTES_MOST ((size_t)64 * 1024)
#define HS_CACHE_BYTES_MOST ((size_t)2 * 1024 * 1024)
#define HS_CACHE_BYTES_LEAST ((size_t)256 * 1024)      /* each may grow to, however many share an arena */
#define HS_CACHES_BYTES_MOST ((size_t)8 * 1024 * 1024) /* of an arena, in shares that are no smaller */
#define HS_INBOX_BYTES_MOST ((size_t)512 * 1024)

/* From so many bytes on, an arena is taken not to fit into the processor's caches. */
#define HS_COLD_ARENA_BYTES_LEAST ((uint64_t)1024 * 1024)

/* What the fast paths need. */
struct hs_bin {
    _Atomic(void **) top; /* the first free slot */
    void **full;          /* top never passes it */
};

struct hs_bin_record {
    _Atomic(void **) base;
    void **seen_top;   /* at the last look for unused bins */
    uint16_t capacity; /* slots there are; full may be lower */
    uint8_t batch;     /* how many blocks the next refill takes */
};

/* Blocks of one other arena, linked through their first words. */
struct hs_outbox {
    struct hs_arena *arena;
    void *newest, *oldest;        /* NULL: empty */
    void *recent[HS_CHAIN_AHEAD]; /* the newest of them, for hints: block i in slot i % HS_CHAIN_AHEAD */
    _Atomic uint64_t blocks, bytes;
};

/* Tiny blocks that free has verified and marked, and not yet put where they belong. */
struct hs_waiting {
    _Atomic uint32_t count;
    _Atomic uint8_t classes[HS_WAITING_MOST];
    void *payloads[HS_WAITING_MOST]; /* oldest first */
};

/* The bits of an address that are all 0 in the first 8 bytes of the smallest page. */
#define HS_TAG_MASK UINT32_C(0xFF8)

struct hs_cache {
    uint32_t arena_bits; /* the arena's number where extents have it */
    uint32_t tag_mask;   /* HS_TAG_MASK; 0 of no cache */
    void *newest;        /* what malloc took from a bin last: a hint, compared and not followed */
    bool defers;         /* free leaves blocks unsorted */
    struct hs_waiting unsorted, unsent;
    struct hs_bin bins[HS_CLASSES];
    struct hs_bin_record records[HS_CLASSES];
    struct hs_arena *arena;
    struct hs_cache *next, *previous; /* other threads' caches, or idle ones */
    bool is_empty;                    /* of an idle one: it holds nothing, and may serve any arena */
    struct hs_block *run;             /* NULL: none */
    _Atomic size_t run_bytes;         /* of its uncut part */
    _Atomic uint64_t run_cuts;        /* blocks cut off it and those before it; only grows */
    size_t next_run_bytes;
    size_t bin_bytes;       /* what all bins may hold as they are */
    unsigned next_narrowed; /* the bin that is to give room next, when another one needs it */
    void *pending;          /* what was taken from the inbox and is not sorted into bins yet: a chain */
    struct hs_outbox outboxes[HS_OUTBOXES];
    uint32_t slow_paths;
    uint64_t looked_at_ms; /* when unused bins were given back, or the thread ended */
    char *fresh_slots;     /* memory for stacks, from the record's end */
    void **spare_slots[6]; /* stacks that were outgrown, by size */
};

/* Serves no request and takes no block: the cache of a thread that has none. */
extern const struct hs_cache hs_cache_none HS_INTERNAL;

/* The calling thread's. */
#define hs_cache_self (hs_thread()->cache)

/* ---- the fast paths ---------------------------------------------------------------------------------------------- */

/* The smallest request of the fast path. What is below takes the slow path's first turn, so that one compare bounds the
 * request at both ends. */
#define HS_TINY_PAYLOAD_LEAST ((size_t)9)
#define HS_TINY_PAYLOAD_SPAN (HS_TINY_BLOCK_BYTES_MOST - HS_TAG_BYTES - HS_TINY_PAYLOAD_LEAST)

/* What is longer than tiny, up to the longest that caches keep, is medium. */
#define HS_MEDIUM_PAYLOAD_LEAST (HS_TINY_BLOCK_BYTES_MOST - HS_TAG_BYTES + 1)
#define HS_MEDIUM_PAYLOAD_SPAN (HS_CLASS_PAYLOAD_BYTES_MOST - HS_MEDIUM_PAYLOAD_LEAST)

/* False where the bin is empty, or its newest block is not what free made of it. Relaxed: the thread's own. */
static inline bool hs_bin_pop_cached(struct hs_bin *bin, void **out)
{
    void **top = hs_load_relaxed(&bin->top), *payload = top[-1];

    if (HS_UNLIKELY(HS_TAG_FIELD(u8, payload, state) != HS_STATE_CACHED))
        return false;
    hs_store_relaxed(&bin->top, top - 1);
    hs_block_set_state(hs_block_of(payload), HS_STATE_USED);
    *out = payload;
    return true;
}

/* Of a block that the program gave back: false where the bin is full. Relaxed: the thread's own. */
static inline bool hs_bin_push_freed(struct hs_bin *bin, void *payload)
{
    void **top = hs_load_relaxed(&bin->top);

    if (HS_UNLIKELY(top == bin->full))
        return false;
    hs_visible_freed(payload);
    hs_block_set_state(hs_block_of(payload), HS_STATE_CACHED);
    *top = payload;
    hs_store_relaxed(&bin->top, top + 1);
    return true;
}

/* Pops a block for a tiny request: false where the bin is empty, or its newest block is not what free made of it. */
static inline bool hs_cache_pop_tiny(size_t bytes, void **out)
{
    size_t above = (size_t)hs_wrap_subtract(bytes, HS_TINY_PAYLOAD_LEAST); /* one comparison for both bounds */
    struct hs_cache *cache;

    if (HS_UNLIKELY(above > HS_TINY_PAYLOAD_SPAN))
        return false;
    cache = hs_cache_self;
    if (HS_UNLIKELY(!hs_bin_pop_cached(&cache->bins[above / HS_ALIGNMENT + HS_CLASS_FIRST], out)))
        return false;
    cache->newest = *out;
    return true;
}

/* The same for a medium request. */
static inline bool hs_cache_pop_medium(size_t bytes, void **out)
{
    size_t above = (size_t)hs_wrap_subtract(bytes, HS_MEDIUM_PAYLOAD_LEAST); /* one comparison for both bounds */
    unsigned units;

    if (HS_UNLIKELY(above > HS_MEDIUM_PAYLOAD_SPAN))
        return false;
    units = (unsigned)above / HS_ALIGNMENT + HS_TINY_UNITS_MOST + 1;
    return hs_bin_pop_cached(&hs_cache_self->bins[hs_class_at(units, hs_class_shift(units))], out);
}

/* Whether the 8 bytes before `payload` lie in its page, it is not NULL, and the thread has a cache. Other pointers are
 * looked up before their tag is read. */
static inline bool hs_cache_may_read_tag(const void *payload)
{
    return ((uintptr_t)payload & hs_cache_self->tag_mask) != 0;
}

/* The bytes of a live block of this thread's arena that is no longer than those that caches keep; 0 for any other
 * pointer. */
static inline size_t hs_cache_own_bytes(const void *payload)
{
    uint32_t extent;
    size_t units;

    if (HS_UNLIKELY(!hs_cache_may_read_tag(payload)))
        return 0;
    extent = HS_TAG_FIELD(u32, payload, extent);
    /* One compare: short enough, and of this thread's arena. */
    units = extent ^ hs_cache_self->arena_bits;
    if (HS_UNLIKELY(units > HS_CLASS_UNITS_MOST) || HS_UNLIKELY(!hs_block_is_owned(payload, extent, HS_STATE_USED)))
        return 0;
    return units * HS_ALIGNMENT;
}

/* From here on for the thread's own cache, and for pointers before which 8 bytes can be read. What hs_cache_own_bytes
 * has stands in both push functions and in hs_cache_defer_tiny again: free would take an instruction more by a call of
 * it. */

/* Pushes a tiny block of this thread's arena into its bin; false for any other pointer, and where the bin is full. */
static inline bool hs_cache_push_tiny(struct hs_cache *cache, void *payload)
{
    uint32_t extent = HS_TAG_FIELD(u32, payload, extent);
    size_t units = extent ^ cache->arena_bits;

    /* One compare: tiny, and of this thread's arena. */
    if (HS_UNLIKELY(units > HS_TINY_UNITS_MOST) || HS_UNLIKELY(!hs_block_is_owned(payload, extent, HS_STATE_USED)))
        return false;
    return hs_bin_push_freed(&cache->bins[units], payload);
}

/* Pushes a medium block, as above. */
static inline bool hs_cache_push_medium(struct hs_cache *cache, void *payload)
{
    uint32_t extent = HS_TAG_FIELD(u32, payload, extent);
    unsigned units = extent ^ cache->arena_bits, index = hs_class_of_medium(units);

    if (HS_UNLIKELY(index == HS_CLASS_NONE) || HS_UNLIKELY(!hs_block_is_owned(payload, extent, HS_STATE_USED)))
        return false;
    return hs_bin_push_freed(&cache->bins[index], payload);
}

/* Leaves a tiny block for later, in state `state`. Of tiny blocks the units are the class. Relaxed: the thread's own.
 */
static inline void hs_wait(struct hs_waiting *waiting, void *payload, size_t units, uint8_t state)
{
    uint32_t count = hs_load_relaxed(&waiting->count);

    hs_visible_freed(payload);
    hs_block_set_state(hs_block_of(payload), state);
    waiting->payloads[count] = payload;
    hs_store_relaxed(&waiting->classes[count], (uint8_t)units);
    hs_store_relaxed(&waiting->count, count + 1);
}

/* True where the array has to be emptied before the next block waits there. */
static inline bool hs_waiting_is_full(const struct hs_waiting *waiting)
{
    return hs_load_relaxed(&waiting->count) == HS_WAITING_MOST; /* relaxed: the thread's own */
}

/* Takes a tiny block of this thread's arena, unsorted; false for any other pointer. */
static inline bool hs_cache_defer_tiny(struct hs_cache *cache, void *payload)
{
    uint32_t extent = HS_TAG_FIELD(u32, payload, extent);
    size_t units = extent ^ cache->arena_bits;

    if (HS_UNLIKELY(units > HS_TINY_UNITS_MOST) || HS_UNLIKELY(!hs_block_is_owned(payload, extent, HS_STATE_USED)))
        return false;
    hs_wait(&cache->unsorted, payload, units, HS_STATE_CACHED);
    return true;
}

/* Takes a tiny block of another thread's arena, unsent; false for any other pointer. */
static inline bool hs_cache_defer_foreign(struct hs_cache *cache, void *payload)
{
    uint32_t extent = HS_TAG_FIELD(u32, payload, extent);
    size_t units = extent & 0xFFFFFF;

    if (units > HS_TINY_UNITS_MOST || extent - units == cache->arena_bits || extent >> 24 == HS_ARENA_FIRST_CLASS ||
        HS_UNLIKELY(!hs_block_is_owned(payload, extent, HS_STATE_USED)))
        return false;
    hs_wait(&cache->unsent, payload, units, HS_STATE_SENT);
    return true;
}

/* ---- the slow paths ---------------------------------------------------------------------------------------------- */

/* What the fast paths are for tiny and medium blocks, for those of any class; it also sorts, and cuts from the run.
 * NULL where there is none, and for a thread without a cache. */
void *hs_cache_pop(size_t bytes);

/* Sorts all that is unsorted into bins, and makes room where there is none. */
void hs_cache_sort(struct hs_cache *cache);

/* Puts all that is unsent into outboxes. */
void hs_cache_send_waiting(struct hs_cache *cache);

/* A block for a request of HS_CLASS_PAYLOAD_BYTES_MOST at the most, or NULL where there is no memory. The thread has a
 * cache. */
void *hs_cache_allocate(size_t bytes);

/* Takes a USED block of any size, of an arena of the table, whose tag verifies. The thread has a cache. */
void hs_cache_release(struct hs_arena *arena, struct hs_block *block);

/* True where the calling thread has a cache, made now if it may have one. */
bool hs_cache_is_there(void);

/* Gives back what the calling thread's cache holds. True if that was anything. */
bool hs_cache_empty(void);

/* The same, and what lies in the inboxes and depots of all arenas and in idle caches. */
bool hs_cache_give_back(void);

/* Idle caches give back what they hold, those of the arena (NULL: of all) that are idle since `older_than_ms`. True if
 * that was anything. */
bool hs_cache_empty_idle(const struct hs_arena *arena, uint64_t older_than_ms);

/* Ends the calling thread's cache before the thread ends. It gets no other one. */
void hs_cache_leave(void);

/* Verifies what lies in the calling thread's bins, unsorted or unsent: the end of a process is the last chance to see
 * what was overwritten. */
void hs_cache_verify(void);

/* What caches and inboxes hold. Exact where no other thread allocates. */
struct hs_cache_sum {
    uint64_t blocks, bytes; /* CACHED ones */
    uint64_t runs;          /* uncut parts of runs */
    uint64_t run_bytes;
    uint64_t run_cuts; /* blocks cut off runs */
};
/* The caller holds the heap's lock. */
struct hs_cache_sum hs_cache_sum_locked(void);

/* Calls `visit` for each cache there is; the caller holds the heap's lock or is alone. */
typedef void hs_visit_cache(struct hs_cache *cache, void *context);
void hs_cache_for_each_locked(hs_visit_cache *visit, void *context);

/* Calls `visit` for each block in one place, at rest, with its class in bins, unsorted ones included, and depots,
 * otherwise HS_CLASS_NONE. A chain that does not verify ends there. */
typedef void hs_visit_cached(struct hs_arena *arena, void *payload, unsigned class_index, void *context);
void hs_cache_for_each_in_bin(struct hs_cache *cache, unsigned class_index, hs_visit_cached *visit, void *context);
void hs_cache_for_each_unsorted(struct hs_cache *cache, hs_visit_cached *visit, void *context);
void hs_cache_for_each_in_bins(struct hs_cache *cache, hs_visit_cached *visit, void *context); /* and unsorted */
void hs_cache_for_each_unsent(struct hs_cache *cache, hs_visit_cached *visit, void *context);
void hs_cache_for_each_in_outbox(const struct hs_outbox *box, hs_visit_cached *visit, void *context);
void hs_cache_for_each_pending(struct hs_cache *cache, hs_visit_cached *visit, void *context);
void hs_cache_for_each_in_inbox(struct hs_arena *arena, hs_visit_cached *visit, void *context);
void hs_cache_for_each_in_depot(struct hs_arena *arena, hs_visit_cached *visit, void *context);

/* For fork.c, in the child, before any other call. The caches of vanished threads become idle; true if there were any.
 * Their blocks are left CACHED. */
bool hs_cache_forget_others_in_child(void);

/* Before arenas are swept for what vanished threads owned: what the caller's cache and the inboxes hold becomes SEEN.
 * And back. */
void hs_cache_mark_in_child(void);
void hs_cache_unmark_in_child(void);

#endif
