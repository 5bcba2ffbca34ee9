/*
 * block: what the oracle knows of one live block.
 *
 * Records are made once, before the threads start; a record is empty or live, and changes hands by being swapped for
 * another one (exchange.h), so their number per thread never changes. One thread owns a record at any time.
 *
 * The atomic fields are those that the report of an overlap reads from another thread's records. Relaxed: the owner
 * is the only writer, and the report takes what it gets.
 */
#ifndef KIT_BLOCK_H
#define KIT_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator.h"

/* What a thread does or did; the names stand in kit_deed_name. */
enum kit_deed {
    KIT_NOTHING,
    KIT_MALLOC,
    KIT_CALLOC,
    KIT_REALLOC,
    KIT_ALIGNED_ALLOC,
    KIT_POSIX_MEMALIGN,
    KIT_MEMALIGN,
    KIT_FREE,
    KIT_FREE_SIZED,
    KIT_FREE_ALIGNED_SIZED,
    KIT_REALLOC_TO_ZERO,
    KIT_INSPECT,
    KIT_HAND_OVER,
    KIT_TUNE,
    KIT_CREATE_ARENA,
    KIT_DESTROY_ARENA,
    KIT_CHECK,
    KIT_WALK,
    KIT_STATISTICS,
    KIT_FORK,
    KIT_DEEDS
};

enum { KIT_HISTORY = 8 };

struct kit_block {
    _Atomic uintptr_t address; /* 0: the record is empty */
    _Atomic size_t bytes;      /* as asked for */
    _Atomic size_t usable_bytes;
    _Atomic uint64_t id;
    _Atomic uint32_t deed_count;
    _Atomic uint64_t deeds[KIT_HISTORY]; /* the first, and the last KIT_HISTORY - 1; see kit_deed_pack */

    /* Only its owner looks at these. */
    enum kit_deed made_by;
    size_t alignment; /* as asked for; 0: none */
    uint64_t key;     /* of its pattern */
    size_t fill_most; /* the pattern covers this many bytes, or all */
    const struct kit_allocator *allocator;
};

#define kit_get(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define kit_put(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* Deed, thread and a number (of the operation, or of bytes) in one word. */
static inline uint64_t kit_deed_pack(enum kit_deed deed, unsigned thread, uint64_t number)
{
    return (uint64_t)deed | (uint64_t)(thread & 0xFFFF) << 8 | (number & UINT64_MAX >> 24) << 24;
}

static inline enum kit_deed kit_deed_of(uint64_t packed)
{
    return (enum kit_deed)(packed & 0xFF);
}

static inline unsigned kit_deed_thread(uint64_t packed)
{
    return packed >> 8 & 0xFFFF;
}

static inline uint64_t kit_deed_number(uint64_t packed)
{
    return packed >> 24;
}

const char *kit_deed_name(enum kit_deed deed);

static inline bool kit_block_is_live(const struct kit_block *block)
{
    return kit_get(block->address) != 0;
}

static inline void *kit_block_payload(const struct kit_block *block)
{
    return (void *)kit_get(block->address); // NOLINT(performance-no-int-to-ptr)
}

#endif
