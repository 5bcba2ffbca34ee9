/*
 * cache_parts: what the files of the cache layer share. cache.h tells the idea.
 *
 *     cache.c          bins, runs, refill and flush
 *     cache_remote.c   outboxes and inboxes
 *     cache_life.c     making and ending, all caches together, fork
 *     depot.c          magazines of what is too much
 */
#ifndef HS_CACHE_PARTS_H
#define HS_CACHE_PARTS_H

#include "arena_batch.h"
#include "cache.h"
#include "depot.h"

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

/* Empty bins, no run, as a thread begins with; the record's memory may have served another thread. */
void hs_cache_init(struct hs_cache *cache, struct hs_arena *arena);

/* A CACHED block on its way into its bin; false where it has none, or where that is full. */
bool hs_cache_accept(struct hs_cache *cache, void *payload);

/* Gives back what bins, the run, outboxes and the pending chain hold. True if that was anything. */
bool hs_cache_empty_all(struct hs_cache *cache);
/* The same, but for the bins. */
bool hs_cache_empty_beside_bins(struct hs_cache *cache);

/* Of blocks that caches hold, keeps those whose tags are sound, and returns their number; reports the others. */
unsigned hs_cache_keep_sound(void **payloads, unsigned count);

/* Takes a CACHED block of another arena. */
void hs_cache_send(struct hs_cache *cache, struct hs_arena *arena, void *payload);

/* Pushes what the outboxes hold. True if that was anything. */
bool hs_cache_send_all(struct hs_cache *cache);

/* True where others have given back what this thread may sort into its bins. */
static inline bool hs_cache_has_mail(const struct hs_cache *cache)
{
    /* Relaxed: what is missed now is found at the next look. */
    return cache->pending != NULL || hs_load_relaxed(&cache->arena->inbox) != NULL;
}

/* Sorts some of it into bins. */
void hs_cache_sort_mail(struct hs_cache *cache);

/* Gives back a chain of blocks to their arena. True if there were any. */
bool hs_cache_give_chain(struct hs_arena *arena, void *newest);

/* Takes the inbox of the arena, as a whole. */
void *hs_cache_take_inbox(struct hs_arena *arena);

/* Verifies one block of a chain that leads to `payload`, and reads the link to the next. False ends the chain. */
bool hs_cache_next_in_chain(const struct hs_arena *arena, void *payload, void **next);

#endif
