/*
 * block: boundary tags. Layout, neighbours and integrity; pure functions on memory, no lists and no locks.
 *
 *     address    16k-8                16k                                    16k-8+bytes
 *                | tag                | payload                              | tag of the right neighbour
 *
 *     used       | tag | what the program keeps there ...................... | tag
 *     free       | tag | next | previous | (search tree, from 128 bytes on) ...... | footer | tag
 *
 * A tag is 8 bytes. Every field has one writer at any time, so none needs a read-modify-write:
 *
 *     field   bits  holds                                        written by
 *     extent  24+8  bytes of the block / 16, arena number        the block's owner
 *     check   16    keyed hash of the tag's address and extent   the block's owner, with extent
 *     state   8     below                                        the block's owner
 *     left    8     0, or 1+k: the left neighbour is free and    the owner of the left neighbour, holding
 *                   on list k                                    the lock of list k
 *
 * "Owner" is whoever holds the block: the program while it is USED, a thread's cache while CACHED, the thread that
 * frees it while FREEING, the arena code that claimed it while BUSY. A FREE block is owned by the mutex of the list
 * that its state names.
 *
 * What others may read: `state` of the right neighbour and `left` of one's own tag, one byte each, at any time, as
 * hints that name a lock; everything else of a neighbour only while holding that lock. One more hint: whether the
 * right neighbour's tag verifies, which free asks to find an overflow; its owner may just be writing it, so a "no" is
 * asked again under all locks of the arena. All fields are atomics for the sake of these looks, relaxed throughout.
 *
 * Invariants (numbers as in the checker)
 *   B1  Blocks tile their region: each begins where the one to its left ends, the last ends at the END tag.
 *   B2  check is the keyed hash of the tag's address and extent.
 *   B3  state is one of the values below; DEAD only where a tag was swallowed by a merge, LARGE only in large mappings,
 *       SEEN only while the walker or the child of a fork counts what caches hold.
 *   B4  left is 1+k exactly where the left neighbour is FREE on list k, 0 elsewhere.
 *   B5  The footer of a FREE block, in the last 8 bytes before the next tag, is its size in bytes.
 *   B6  No two neighbours are both FREE.
 *   B7  A block is a multiple of 16 bytes and at least 32; its arena number is its arena's.
 *   B8  A RUN says in its first word where its uncut part ends: at least 32 bytes from its begin, within its extent.
 *
 * The boundary rule. Boundaries (extents, new and dead tags) move only while at least one list lock of the arena, or
 * the arena's own lock, is held. Whoever holds all of them sees B1 to B8 hold at any moment. One kind of boundary moves
 * without a lock: a run, which a thread's cache owns, is cut up from its end, and each cut becomes visible by one store
 * of its first word (hs_run_cut).
 */
#ifndef HS_BLOCK_H
#define HS_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync.h"

#define HS_ALIGNMENT ((size_t)16)
#define HS_TAG_BYTES ((size_t)8)
#define HS_FOOTER_BYTES ((size_t)8)
#define HS_BLOCK_BYTES_LEAST ((size_t)32)
#define HS_BLOCK_BYTES_MAX ((((size_t)1 << 24) - 1) * HS_ALIGNMENT)

#define HS_LISTS_MAX 64U

/* No valid state is zero, text or all ones, so an overflow into a tag rarely passes for one. */
enum hs_state {
    HS_STATE_FREE = 0x80,    /* + k: free, on list k, up to 63 */
    HS_STATE_USED = 0xC3,    /* the program's */
    HS_STATE_CACHED = 0xC5,  /* a thread cache's, or on its way back to its arena */
    HS_STATE_FREEING = 0xC6, /* given back by the program, nothing claimed for it yet */
    HS_STATE_BUSY = 0xC9,    /* claimed by arena code */
    HS_STATE_RUN = 0xCA,     /* a thread cache's, to be cut up from its end */
    HS_STATE_SENT = 0xCC,    /* on its way to a cache of its arena, unsent or in a chain */
    HS_STATE_SEEN = 0xCF,    /* CACHED or SENT, and found where it should be */
    HS_STATE_END = 0xD1,     /* no block: the end of a region */
    HS_STATE_LARGE = 0xE1,   /* the one block of a large mapping */
    HS_STATE_DEAD = 0xF0     /* no block any more: swallowed by a merge */
};

/* Arena numbers beyond the table's. */
enum { HS_ARENA_LARGE = 254, HS_ARENA_FIRST_CLASS = 255 };

struct hs_block {
    _Atomic uint32_t extent;
    _Atomic uint16_t check;
    _Atomic uint8_t state;
    _Atomic uint8_t left;
};

/* Per process, random and odd; set before the first tag is written, never changed. */
extern uint64_t hs_block_key HS_INTERNAL;

/* Multiply-shift by a secret multiplier: two different inputs agree with a chance of 2 in 65,536 at the most, whichever
 * bits they differ in, and it takes three instructions. Of the payload's address, since free has that at hand. */
static inline uint16_t hs_block_hash(const struct hs_block *block, uint32_t extent)
{
    return (uint16_t)(hs_wrap_multiply(((uintptr_t)block + HS_TAG_BYTES) ^ extent, hs_block_key) >> 48);
}

static inline void *hs_block_payload(const struct hs_block *block)
{
    return (void *)((uintptr_t)block + HS_TAG_BYTES);
}

static inline struct hs_block *hs_block_of(const void *payload)
{
    return (struct hs_block *)(uintptr_t)hs_wrap_subtract((uintptr_t)payload, HS_TAG_BYTES);
}

/* Relaxed: read by the owner, under a lock that keeps it still, or as a hint. */
static inline uint32_t hs_block_extent(const struct hs_block *block)
{
    return hs_load_relaxed(&block->extent);
}

static inline size_t hs_block_bytes(const struct hs_block *block)
{
    return (size_t)(hs_block_extent(block) & 0xFFFFFF) * HS_ALIGNMENT;
}

static inline unsigned hs_block_arena(const struct hs_block *block)
{
    return hs_block_extent(block) >> 24;
}

static inline size_t hs_block_usable_bytes(const struct hs_block *block)
{
    return hs_block_bytes(block) - HS_TAG_BYTES;
}

/* Writes extent and check; the caller owns the block, and the boundary rule holds. */
static inline void hs_block_set_bytes(struct hs_block *block, size_t bytes, unsigned arena)
{
    uint32_t extent = (uint32_t)(bytes / HS_ALIGNMENT) | (uint32_t)arena << 24;

    hs_store_relaxed(&block->extent, extent); /* relaxed: handed on by the lock, or by the program */
    hs_store_relaxed(&block->check, hs_block_hash(block, extent));
}

static inline bool hs_block_is_intact(const struct hs_block *block)
{
    return hs_load_relaxed(&block->check) == hs_block_hash(block, hs_block_extent(block)); /* relaxed: as above */
}

/* A field of the tag before what a program says is its block. Whoever owns the block alone writes it, so no other
 * access is under way and the compiler may use it as an operand in memory; who does not own it may be told anything, as
 * long as the memory is there. The pointer need not be aligned. */
struct hs_tag_u32 {
    uint32_t value;
} __attribute__((packed, aligned(1)));
struct hs_tag_u16 {
    uint16_t value;
} __attribute__((packed, aligned(1)));
struct hs_tag_u8 {
    uint8_t value;
} __attribute__((packed, aligned(1)));
#define HS_TAG_FIELD(type, payload, field)                                                                             \
    (((const struct hs_tag_##type *)((uintptr_t)(payload)-HS_TAG_BYTES + offsetof(struct hs_block, field)))->value)

/* True if the tag, whose extent was read, verifies, and the state is `state`. */
static inline bool hs_block_is_owned(const void *payload, uint32_t extent, uint8_t state)
{
    return HS_LIKELY(HS_TAG_FIELD(u16, payload, check) == hs_block_hash(hs_block_of(payload), extent)) &&
           HS_LIKELY(HS_TAG_FIELD(u8, payload, state) == state);
}

static inline struct hs_block *hs_block_at(struct hs_block *block, size_t offset)
{
    return (struct hs_block *)((char *)block + offset);
}

static inline struct hs_block *hs_block_right(struct hs_block *block)
{
    return hs_block_at(block, hs_block_bytes(block));
}

/* The footer of a free block that ends where `right` begins. */
static inline uint64_t *hs_block_footer_before(struct hs_block *right)
{
    return (uint64_t *)((char *)right - HS_FOOTER_BYTES);
}

/* The free block that ends where `right` begins, by its footer, which may be damaged: the result is to be verified. */
static inline struct hs_block *hs_block_left_of(struct hs_block *right)
{
    return (struct hs_block *)(uintptr_t)hs_wrap_subtract((uintptr_t)right, *hs_block_footer_before(right));
}

/* Relaxed throughout: the byte is a hint that names a lock and is looked at again under it, or it is written by the
 * thread that owns it and published by that thread's unlock. The one pair of accesses that needs more has a fence
 * (arena.c, [PUBLISH]). */
static inline uint8_t hs_block_state(const struct hs_block *block)
{
    return hs_load_relaxed(&block->state);
}

static inline void hs_block_set_state(struct hs_block *block, uint8_t state)
{
    hs_store_relaxed(&block->state, state);
}

/* Relaxed, as above. */
static inline uint8_t hs_block_left(const struct hs_block *block)
{
    return hs_load_relaxed(&block->left);
}

static inline void hs_block_set_left(struct hs_block *block, uint8_t left)
{
    hs_store_relaxed(&block->left, left);
}

static inline bool hs_state_is_free(uint8_t state)
{
    return (state & 0xC0) == HS_STATE_FREE;
}

static inline unsigned hs_state_list(uint8_t state)
{
    return state & 0x3F;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* Where the uncut part of a run ends, in bytes from its tag. */
static inline _Atomic size_t *hs_run_end_word(const struct hs_block *run)
{
    return (_Atomic size_t *)((uintptr_t)run + HS_TAG_BYTES);
}

/* The block becomes a run; the caller owns it, and the boundary rule holds. */
static inline void hs_run_begin(struct hs_block *run)
{
    hs_store_relaxed(hs_run_end_word(run), hs_block_bytes(run)); /* relaxed: the lock hands it on */
    hs_block_set_state(run, HS_STATE_RUN);
}

/* Cuts a block of `block_bytes`, in state `state`, off the end of the run, whose uncut part is `uncut_bytes` long. */
static inline struct hs_block *hs_run_cut(struct hs_block *run, size_t uncut_bytes, size_t block_bytes, unsigned arena,
                                          uint8_t state)
{
    struct hs_block *block = hs_block_at(run, uncut_bytes - block_bytes);

    hs_block_set_bytes(block, block_bytes, arena);
    hs_block_set_state(block, state);
    hs_block_set_left(block, 0);
    /* [RUN] the new tag is visible before the run ends there. */
    hs_store_release(hs_run_end_word(run), uncut_bytes - block_bytes);
    return block;
}

/* The bytes to the next tag, of any block and at any moment that the caller holds all locks of its arena. */
static inline size_t hs_block_tile_bytes(const struct hs_block *block)
{
    if (hs_block_state(block) == HS_STATE_RUN)
        return hs_load_acquire(hs_run_end_word(block)); /* [RUN] */
    return hs_block_bytes(block);
}

/* The bytes of the block that serves a request; the caller has bounded the request. */
static inline size_t hs_block_bytes_for(size_t payload_bytes)
{
    size_t bytes = (payload_bytes + HS_TAG_BYTES + HS_ALIGNMENT - 1) & ~(HS_ALIGNMENT - 1);

    return bytes > HS_BLOCK_BYTES_LEAST ? bytes : HS_BLOCK_BYTES_LEAST;
}

/* A word for a state, for messages. */
const char *hs_state_name(uint8_t state);

#endif
