/*
 * arena_moves: claim, publish, split and merge, for the files of the arena layer alone. arena.h tells the idea.
 *
 *                  holds on entry              holds on return      boundary rule kept by
 *   claim left     nothing, or the arena lock  the same             the lock of the neighbour's list
 *   claim both     the same, or lock `held`    lock `held`          the lock of the neighbour's list
 *   publish        nothing, or the arena lock  the same             the locks of the lists involved
 *   cut            a list lock or the arena's  the same             that lock
 */
#ifndef HS_ARENA_MOVES_H
#define HS_ARENA_MOVES_H

#include "arena.h"

/* What a publication settles besides itself, entered into the account under the list lock that ends it. */
struct hs_settlement {
    uint64_t claims;    /* free blocks that went into the published one */
    uint64_t frees;     /* blocks of the program that did */
    size_t freed_bytes; /* and their bytes, fewer than a region has */
};

/* What is asked of a search. */
struct hs_request {
    size_t block_bytes;
    size_t alignment;
    size_t search_bytes; /* block_bytes, and what alignment may cost */
    size_t run_bytes;    /* of a block that holds two and more, so much may be taken, as a run; 0: none */
    unsigned blocks;     /* of a block that holds so many and is no run, they are cut side by side; 0 is as 1 */
    uint8_t state;       /* of the block that is handed out: USED or CACHED */
};

/* A claimed block, cut: `block` is in the state asked for, the others, if any, BUSY and to be published. While they
 * are, a claim is in flight: outside the arena's lock nothing is BUSY without one, and fork's child looks for them only
 * where one is. */
struct hs_pieces {
    struct hs_block *front, *block, *tail;
    unsigned blocks; /* how many stand side by side from `block` on */
    uint64_t claims;
    struct hs_batch *batch; /* takes more blocks of the same list; NULL: one block is all that is asked for */
};

/* Returns the block, BUSY and owned by the caller, with the free left neighbour merged into it if there was one. */
struct hs_block *hs_arena_claim_left(struct hs_arena *arena, struct hs_block *block, uint64_t *claims);

/* The same on both sides. The list lock that was needed last stays held, in *held, for the next call that needs the
 * same one; NULL: none is held. */
struct hs_block *hs_arena_claim_neighbours(struct hs_arena *arena, struct hs_block *block, uint64_t *claims,
                                           struct hs_freelist **held);

/* `right`, which begins where `left` ends, becomes part of it, and `left` is BUSY from here on. The caller owns both,
 * and a lock of the boundary rule is held. */
void hs_arena_merge(struct hs_arena *arena, struct hs_block *left, struct hs_block *right);

/* Lets go of the lock that is held, if one is. */
void hs_arena_let_go(struct hs_freelist **held);

/* Puts a BUSY block on its free list, merged with all that is free beside it. Returns where the free block begins
 * (another thread may own it by then) and its bytes. */
struct hs_block *hs_arena_publish(struct hs_arena *arena, struct hs_block *block, struct hs_settlement settlement,
                                  size_t *block_bytes);

/* The same for a block in which no block of the program was freed, and nobody asks where it went. */
void hs_arena_publish_block(struct hs_arena *arena, struct hs_block *block, uint64_t claims);

/* Publishes the front and tail of a cut. */
void hs_arena_publish_pieces(struct hs_arena *arena, const struct hs_pieces *pieces);

/* Cuts a BUSY block of at least search_bytes to what the request needs. `account` is that of the lock held. */
struct hs_pieces hs_arena_cut(struct hs_arena *arena, struct hs_block *block, const struct hs_request *request,
                              struct hs_account *account);

/* How long the pages of a free block lie unused. A BUSY block of HS_PURGE_BYTES_LEAST and more carries it where a free
 * one does (freelist.h), from the moment it is claimed or given back: what is cut from it or merged with it inherits
 * it, so that a small allocation from an old block does not make the rest of it young. */
static inline bool hs_arena_has_age(const struct hs_block *block)
{
    return hs_block_bytes(block) >= HS_PURGE_BYTES_LEAST;
}

struct hs_age {
    bool purged; /* its pages were given back, or never touched */
    uint64_t dirty_since_ms;
};

/* Of a block too short to have one: dirty, as of now. */
struct hs_age hs_arena_age(const struct hs_block *block);

/* Does nothing for a block too short to have one. */
void hs_arena_set_age(struct hs_block *block, struct hs_age age);

/* Writes the tag of a new BUSY block whose left neighbour is not free. A lock of the boundary rule is held. */
void hs_arena_make_block(struct hs_arena *arena, struct hs_block *block, size_t block_bytes);

/* Takes the FREE block off its list, whose lock is held, and marks it BUSY. False where it is damaged: it is then
 * condemned, marked USED for good, so that nobody touches it again. */
bool hs_arena_take_off_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block)
    HS_REQUIRES(list->lock);

/* Keeps invariant A1 after blocks left the list, or after the list was abandoned. */
void hs_arena_clear_bit_if_empty_locked(struct hs_arena *arena, struct hs_freelist *list) HS_REQUIRES(list->lock);

/* Whether the state is that of a block which the caller of publish may have in hand. */
static inline bool hs_state_is_in_hand(uint8_t state)
{
    return state == HS_STATE_BUSY || state == HS_STATE_FREEING;
}

/* Marks the block FREE on the list and links it: from here on others may see it. */
void hs_arena_place_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block)
    HS_REQUIRES(list->lock);

/* The second look, after place and a fence, still with `list` locked and `*block` FREE on it. True where no neighbour
 * is free: the block stays. Otherwise it was taken back, merged or not, and is to be published again. */
bool hs_arena_stays_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block **block, uint64_t *claims);

/* Stands aside while another thread waits for all that is in flight in the arena to settle. */
void hs_arena_let_it_drain(struct hs_arena *arena);

/* Searches by the arena's strategy, without growing. False where nothing fits. */
bool hs_arena_search(struct hs_arena *arena, const struct hs_request *request, struct hs_pieces *pieces);

/* Searches, grows, and waits for claims in flight. False where there is no memory. */
bool hs_arena_obtain(struct hs_arena *arena, const struct hs_request *request, struct hs_pieces *pieces);

/* Free memory appeared that is worth purging: sets the time of the next purge if none is set. */
void hs_arena_note_dirty(struct hs_arena *arena);

/* More memory from the arena's source, cut to the request. pieces->block is NULL where there is none. */
struct hs_pieces hs_arena_grow_locked(struct hs_arena *arena, const struct hs_request *request)
    HS_REQUIRES(arena->lock);

/* Hands the memory of a region back to mmap or to the arena's hooks; false where the OS does not take it. */
bool hs_arena_unmap_region(const struct hs_arena *arena, char *base, size_t bytes, enum hs_region_kind kind);

/* Takes a region out of arena and map; its memory and its descriptor stay. And back in, which cannot fail. */
void hs_arena_detach_region_locked(struct hs_arena *arena, struct hs_region *region) HS_REQUIRES(arena->lock);
void hs_arena_attach_region_locked(struct hs_arena *arena, struct hs_region *region) HS_REQUIRES(arena->lock);

/* Lengthens the region by memory that begins where it ends. Returns the new memory as a BUSY block, or NULL where the
 * region map has no memory. */
struct hs_block *hs_arena_extend_region_locked(struct hs_arena *arena, struct hs_region *region, size_t bytes)
    HS_REQUIRES(arena->lock);

/* Adds to region_bytes, wrapping for less, and to the sum of all arenas. */
void hs_arena_count_bytes_locked(struct hs_arena *arena, size_t bytes) HS_REQUIRES(arena->lock);

void hs_arena_write_end_tag(struct hs_arena *arena, struct hs_region *region);

#endif
