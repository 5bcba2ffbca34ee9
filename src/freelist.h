/*
 * freelist: one explicit, doubly linked list of free blocks, and the searches in it.
 *
 * The idea. An arena has one list for each range of sizes. The lists of small sizes hold blocks of one size alone:
 * whatever is at the head fits. A list of larger sizes holds a range, so some of its blocks may be too small for a
 * request that falls into the range; looking through them one by one would be linear in their number. Its blocks, of
 * 256 bytes and more, have room for more than two links, so the blocks of such a list also form a balanced tree (a
 * treap whose priorities are a keyed hash of the address). Its key is what the strategy asks for:
 *
 *     by publication, newest first    for first, next and worst fit; each node knows the largest block below it
 *     by size, of equal ones newest   for best fit
 *
 *     list k:   head -> newest <-> ... <-> oldest        every list
 *     tree k:   root -> two children ...                 range lists, the same blocks
 *
 * Lists by size (63 of them):
 *     0 ... 13    32, 48, ..., 240 bytes exactly
 *     14 ... 61   256 bytes to 1 MiB, four lists for each doubling
 *     62          1 MiB and more
 *
 * What a search costs, with n blocks in the list that the request falls into (all other lists answer at once):
 *     first fit   O(log n)   the newest that is large enough: the leftmost by the largest below
 *     next fit    O(log n)   the same from the cursor on, then from the head
 *     best fit    O(log n)   lower bound by size
 *     worst fit   O(log n)   the leftmost of the largest below the root
 *     link and unlink: O(1) in exact lists, O(log n) expected in range lists.
 *
 * Invariants (of a list whose lock is held; numbers as in the checker)
 *   F1  Every block on the list is FREE on this list by its state, and of a size that belongs here.
 *   F2  next and previous agree; the head has no previous, the tail no next; there is no cycle.
 *   F3  Every FREE block of the arena whose state names this list is on it (the other way round of F1).
 *   F4  blocks and bytes are the number and the sum of the sizes of the blocks on it.
 *   F5  Range lists: the tree holds the same blocks, ordered by its key, as a heap by priority, each with the largest
 *       extent of its subtree.
 *   F6  The cursor is on the list, or NULL: past its end.
 *
 * Links are followed with suspicion: a program that writes to a block it has freed destroys them. A link that leads
 * outside the arena's bounds, or to a tag that is not intact and free on this list, ends the search; the damage is
 * noted in hs_thread for the caller to report once it holds no lock, and the list is abandoned: emptied, and its blocks
 * that can still be reached marked USED for good, lost but harmless.
 *
 * Fields                                    written by
 *   all of hs_freelist                      whoever holds its lock
 *   links and tree of a free block          whoever holds the lock of its list
 *
 * Locks: takes none. The caller holds the list's lock; a second list lock may be taken only of a higher index
 * (arena.c, publish).
 */
#ifndef HS_FREELIST_H
#define HS_FREELIST_H

#include "block.h"
#include "sync.h"

#define HS_EXACT_LISTS 14U
#define HS_LISTS 63U
#define HS_RANGE_BYTES_LEAST ((size_t)256)

struct hs_free_block {
    struct hs_block tag;
    struct hs_free_block *next, *previous;
    /* Range lists only. */
    struct hs_free_block *child[2], *parent;
    uint64_t sequence;       /* of publication on this list */
    uint32_t largest_below;  /* extent of the largest block in this subtree, in units of 16 bytes */
    uint32_t purged;         /* its pages were given back and not touched since */
    uint64_t dirty_since_ms; /* when it was published; meaningless where purged */
};

/* Every address of an arena's memory lies within; only ever widened. */
struct hs_bounds {
    _Atomic uintptr_t low, high;
};

/* What happened under one lock. Only sums over all locks of an arena mean something: a block may be counted out
 * under one lock and in under another, so a single share may wrap below zero. */
struct hs_account {
    uint64_t allocations;        /* blocks handed to the program */
    uint64_t frees;              /* blocks taken back */
    _Atomic uint64_t used_bytes; /* of the blocks handed out less those taken back; also read without the lock */
    uint64_t claimed;            /* free blocks taken off a list */
    uint64_t settled;            /* of those, how many were published again or handed out */
    uint64_t splits;
    uint64_t coalesces;
    uint64_t retreats;
};

/* `bytes` more are in use; wraps for less. The account's lock is held: relaxed, for those who read without it. */
static inline void hs_account_use(struct hs_account *account, uint64_t bytes)
{
    hs_store_relaxed(&account->used_bytes, hs_load_relaxed(&account->used_bytes) + bytes);
}

struct hs_freelist {
    struct hs_mutex lock;
    uint8_t index;
    uint8_t strategy; /* enum heapster_strategy; the tree's key follows from it */
    uint16_t arena;   /* number, for tags */
    const struct hs_bounds *bounds;
    struct hs_free_block *head; /* the newest */
    struct hs_free_block *tail; /* the oldest */
    struct hs_free_block *root;
    struct hs_free_block *cursor; /* next fit: where the next search begins */
    uint64_t next_sequence;
    uint64_t blocks;
    uint64_t bytes;
    struct hs_account account; /* this list's share of the arena's (arena.h, A5) */
} __attribute__((aligned(HS_CACHE_LINE_BYTES)));

/* The list that blocks of this size belong to. */
unsigned hs_freelist_index(size_t block_bytes);

/* The smallest block of list `index`. */
size_t hs_freelist_least_bytes(unsigned index);

void hs_freelist_init(struct hs_freelist *list, unsigned index, unsigned arena, const struct hs_bounds *bounds);

/* True if `block` looks like a block that is free on this list: within bounds, tag intact, state right. */
bool hs_freelist_plausible(const struct hs_freelist *list, const struct hs_free_block *block);

/* The same, and its links and its footer agree with what they lead to. */
bool hs_freelist_is_undamaged(const struct hs_freelist *list, struct hs_free_block *block);

/* Puts the block at the head. Its tag says already that it is free on this list. */
void hs_freelist_link_locked(struct hs_freelist *list, struct hs_block *block) HS_REQUIRES(list->lock);

/* Takes the block off. False where its links are damaged: the list is then abandoned and the damage noted. */
bool hs_freelist_unlink_locked(struct hs_freelist *list, struct hs_block *block) HS_REQUIRES(list->lock);

/* Finds, by the list's strategy, a block of at least `block_bytes`; NULL if there is none. For next fit,
 * `from_cursor` leaves out what lies before the cursor. */
struct hs_block *hs_freelist_find_locked(struct hs_freelist *list, size_t block_bytes, bool from_cursor)
    HS_REQUIRES(list->lock);

/* Bytes of the largest block, 0 for an empty list. */
size_t hs_freelist_largest_locked(struct hs_freelist *list) HS_REQUIRES(list->lock);

/* Switches the strategy: builds the tree anew where its key changes, and puts the cursor past the end. */
void hs_freelist_set_strategy_locked(struct hs_freelist *list, uint8_t strategy) HS_REQUIRES(list->lock);

/* Notes, for the calling thread, that free memory at `address` was overwritten. */
void hs_freelist_note_damage(const void *address);

#endif
