/*
 * arena_batch: what thread caches take from an arena and give back to it, many blocks at a time.
 *
 * Take. A search by the arena's strategy, like any other. What it finds is one of three things:
 *
 *     a block about as long as asked for     it is handed out, and more of the same list with it, under the one lock
 *     a longer one, no run asked for         as many as were asked for are cut off it, side by side, under the one lock
 *     a longer one                           so much of it as a run may be long becomes a run, whose owner cuts blocks
 *                                            of any size off its end without a lock, in the order they are asked for:
 *
 *         | RUN, uncut ......................... | third | second block | first block |
 *           first word: where the uncut part ends
 *
 * Give back. The blocks are sorted by address; those that are neighbours of each other become one, under a single list
 * lock and without a look at anyone else's. Then each piece claims what is free beside it, becomes one with the next
 * piece where that claim reaches so far, and all pieces of one list are published under one lock. Publishing is the one
 * of arena.h, second look included.
 *
 * Account (A5 in arena.h). A run counts as one used block of all its bytes. The number of blocks that were cut off runs
 * is their owner's to know; it only grows, and enters the account when the owner is no more.
 *
 * Locks: list locks, one at a time but for the second look. Nothing is held on entry.
 */
#ifndef HS_ARENA_BATCH_H
#define HS_ARENA_BATCH_H

#include "arena.h"

/* So many blocks are given back at a time; more would keep a free waiting. */
enum { HS_BATCH_BLOCKS_MOST = 64 };

/* What take hands out: blocks of at least the bytes asked for, CACHED, or a run, never both. */
struct hs_batch {
    void *payloads[HS_BATCH_BLOCKS_MOST];
    unsigned most; /* 1 to HS_BATCH_BLOCKS_MOST */
    unsigned count;
    struct hs_block *run;
};

/* Adds blocks that stand side by side. */
static inline void hs_batch_add(struct hs_batch *batch, struct hs_block *first, unsigned blocks)
{
    for (; blocks > 0; blocks--, first = hs_block_right(first))
        batch->payloads[batch->count++] = hs_block_payload(first);
}

/* Takes up to batch->most blocks of `block_bytes`, or a run of `run_bytes` at the most (0: no run). False where there
 * is no memory. */
bool hs_arena_take_batch(struct hs_arena *arena, size_t block_bytes, size_t run_bytes, struct hs_batch *batch);

/* Takes back `count` blocks of this arena that are CACHED and the caller's. Sorts `payloads`. True where that left free
 * memory with pages worth purging. */
bool hs_arena_give_batch(struct hs_arena *arena, void **payloads, unsigned count);

/* Ends a run: what is left of it, `uncut_bytes`, becomes a CACHED block of the caller's. */
void hs_arena_end_run(struct hs_arena *arena, struct hs_block *run, size_t uncut_bytes);

/* Enters blocks that were cut off runs into the account, when nobody else counts them any more. */
void hs_arena_count_cuts(struct hs_arena *arena, uint64_t cuts);

#endif
