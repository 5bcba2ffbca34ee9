/*
 * cache_parts: what the files of the cache layer share. cache.h tells the idea.
 *
 *     cache.c          runs, refill and release
 *     cache_bins.c     bins: their room, and what becomes of what has none
 *     cache_remote.c   outboxes and inboxes
 *     cache_life.c     making and ending, all caches together, fork
 *     cache_walk.c     what lies where, for the checker and the statistics
 *     depot.c          magazines of what is too much
 */
#ifndef HS_CACHE_PARTS_H
#define HS_CACHE_PARTS_H

#include "arena_batch.h"
#include "cache.h"
#include "depot.h"
#include "diagnose.h"

/* The stack of a bin that has none, empty and full, and the sentinel of all stacks. */
struct hs_no_block {
    uint64_t nothing;
    struct hs_block tag;
    char payload[16];
};
extern const struct hs_no_block hs_cache_no_block;
#define HS_SENTINEL ((void *)hs_cache_no_block.payload)

struct hs_no_slots {
    void *sentinel, *first;
};
extern const struct hs_no_slots hs_cache_no_slots;
#define HS_NO_SLOTS ((void **)&hs_cache_no_slots.first)

/* ---- bins -------------------------------------------------------------------------------------------------------- */

static inline void **hs_bin_top(const struct hs_cache *cache, unsigned index)
{
    return hs_load_relaxed(&cache->bins[index].top); /* relaxed: the thread's own */
}

static inline void hs_bin_set_top(struct hs_cache *cache, unsigned index, void **top)
{
    hs_store_relaxed(&cache->bins[index].top, top); /* relaxed: the thread's own */
}

static inline void **hs_bin_base(const struct hs_cache *cache, unsigned index)
{
    return hs_load_relaxed(&cache->records[index].base); /* relaxed: the thread's own */
}

static inline unsigned hs_bin_count(const struct hs_cache *cache, unsigned index)
{
    return (unsigned)(hs_bin_top(cache, index) - hs_bin_base(cache, index));
}

static inline unsigned hs_bin_room(const struct hs_cache *cache, unsigned index)
{
    return (unsigned)(cache->bins[index].full - hs_bin_top(cache, index));
}

static inline unsigned hs_bin_slots(const struct hs_cache *cache, unsigned index)
{
    return (unsigned)(cache->bins[index].full - hs_bin_base(cache, index));
}

static inline void *hs_bin_pop(struct hs_cache *cache, unsigned index)
{
    void **top = hs_bin_top(cache, index);
    void *payload;

    while ((payload = top[-1]) != HS_SENTINEL) {
        hs_bin_set_top(cache, index, --top);
        if (HS_LIKELY(hs_block_state(hs_block_of(payload)) == HS_STATE_CACHED)) {
            hs_block_set_state(hs_block_of(payload), HS_STATE_USED);
            return payload;
        }
        (void)hs_diagnose_cached(payload, HS_STATE_CACHED);
    }
    return NULL;
}

static inline void hs_bin_push(struct hs_cache *cache, unsigned index, void *payload)
{
    void **top = hs_bin_top(cache, index);

    *top = payload;
    hs_bin_set_top(cache, index, top + 1);
}

/* Sorts what is unsorted into bins that have room; the rest stays. True where all of it had. */
bool hs_bins_sort_quickly(struct hs_cache *cache);

/* Makes room for about twice as many blocks, where the bounds allow it. A bin that has next to none gets it from the
 * others. */
bool hs_bin_widen(struct hs_cache *cache, unsigned index);

/* Room for one more block, if older ones have to go; false where there is no memory for a stack. */
bool hs_bin_make_room(struct hs_cache *cache, unsigned index);

/* ---- caches ------------------------------------------------------------------------------------------------------ */

#define HS_RUN_BYTES_LEAST ((size_t)2 * 1024)

/* Empty bins, no run, as a thread begins with; the record's memory may have served another thread. */
void hs_cache_init(struct hs_cache *cache, struct hs_arena *arena);

/* A CACHED block on its way into its bin; false where it has none, or where that is full. */
bool hs_cache_accept(struct hs_cache *cache, void *payload);

/* Gives back what the bins hold. True if that was anything. */
bool hs_cache_empty_bins(struct hs_cache *cache);

/* Gives back what lies in bins that were not used since the last call; they begin again. */
void hs_cache_give_back_unused(struct hs_cache *cache);

/* Gives back what bins, the run, outboxes and the pending chain hold. True if that was anything. */
bool hs_cache_empty_all(struct hs_cache *cache);
/* The same, but for the bins. */
bool hs_cache_empty_beside_bins(struct hs_cache *cache);

/* Of blocks that caches hold, keeps those whose tags are sound, and returns their number; reports the others. */
unsigned hs_cache_keep_sound(void **payloads, unsigned count);

/* Gives CACHED blocks back to their arena, those that are sound. */
void hs_cache_give_many(struct hs_arena *arena, void **payloads, unsigned count);

/* Takes a block of another arena that the program gave back. */
void hs_cache_send(struct hs_cache *cache, struct hs_arena *arena, void *payload);

/* Pushes what the outboxes hold. True if that was anything. */
bool hs_cache_send_all(struct hs_cache *cache);

/* True where others have given back what this thread may sort into its bins. */
static inline bool hs_cache_has_mail(const struct hs_cache *cache)
{
    /* Relaxed: what is missed now is found at the next look. */
    return cache->pending != NULL || hs_load_relaxed(&cache->arena->inbox) != NULL;
}

/* Arenas whose depots were not used for so long get back what lies there and in their inboxes. */
void hs_cache_empty_unused_depots(uint64_t now_ms, uint64_t decay_ms);

/* Each slow path ends here: gives back what lies unused, now and then. */
void hs_cache_look_for_unused(struct hs_cache *cache);

/* Sorts some of it into bins. */
void hs_cache_sort_mail(struct hs_cache *cache);

/* Gives back a chain of blocks to their arena. True if there were any. */
bool hs_cache_give_chain(struct hs_arena *arena, void *newest);

/* Takes the inbox of the arena, as a whole. */
void *hs_cache_take_inbox(struct hs_arena *arena);

/* Verifies one block of a chain that leads to `payload`, and reads the link to the next. False ends the chain. */
bool hs_cache_next_in_chain(const struct hs_arena *arena, void *payload, void **next);

#endif
