/*
 * region: which memory is ours, and whose.
 *
 * A region is a run of addresses that one arena, or one large block, lives in. Its descriptor stands outside it. The
 * region map leads from any address to the descriptor without a lock: two levels, indexed by the upper bits of the
 * address, one entry for each granule of 64 KiB.
 *
 *     address   | 47 ... 32 | 31 ... 16 | 15 ... 0 |
 *                 root        leaf        within the granule
 *
 *     root[upper] -> leaf[lower] -> struct hs_region { base, bytes, kind, owner }
 *
 * Arena regions enter every granule they cover. A large mapping enters only the granule of its payload, which is all
 * that free and realloc ask for. Memory that a caller hands to a first-class arena, as a buffer or by a hook, need not
 * begin on a granule and may itself lie in a block of this heap: such regions are overlays, kept in a list beside the
 * map that is asked only for tags that say "first-class arena".
 *
 * Invariants
 *   R1  Every granule of an arena region leads to its descriptor; no two regions in the map cover one granule.
 *   R2  The payload's granule of a large mapping leads to its descriptor.
 *   R3  The arena's list of regions and the map agree; the bytes of its regions add up to the arena's region_bytes.
 *   R4  A large mapping is at least one granule long, header page included, so two payloads never begin in the same
 *       granule.
 *   R5  Overlays nest or are disjoint, so the innermost one that holds an address is the smallest.
 *   R6  Descriptors are never given back to the OS: reading one through a stale entry is safe, if meaningless.
 *
 * Fields of hs_region            written by                        valid for readers
 *   base, bytes, kind, owner     the thread that makes the region  after an acquire of the map entry [REGION-MAP]
 *   bytes, when an arena grows   under the arena's lock            under it; elsewhere as a bound (atomic)
 *   next, previous               under the lock of the owner       under that lock
 *   overlay_next, ..._previous   under OVERLAYS                    under that lock
 *
 * Locks: REGION_MAP for making leaves, OVERLAYS for their list; both inner to every arena and large lock.
 * Failing: entering a region fails where no leaf can be mapped; nothing has changed then.
 */
#ifndef HS_REGION_H
#define HS_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os.h"
#include "sync.h"

/* An extent has 24 bits of 16 bytes. A granule less than that, so that a block of a whole region fits too. */
#define HS_REGION_BYTES_MAX (((size_t)1 << 28) - HS_GRANULE_BYTES)

enum hs_region_kind {
    HS_REGION_BREAK = 1, /* from sbrk */
    HS_REGION_MAPPED,    /* from mmap */
    HS_REGION_HOOKED,    /* from the map function of a first-class arena */
    HS_REGION_BUFFER,    /* a caller's own */
    HS_REGION_LARGE      /* one block with a mapping of its own */
};

struct hs_arena;
struct hs_large_set;

struct hs_region {
    char *base;
    _Atomic size_t bytes;
    enum hs_region_kind kind;
    struct hs_arena *arena;    /* of an arena region */
    struct hs_large_set *set;  /* of a large block */
    bool is_oversized;         /* a large mapping longer than its request needs: the owner's own */
    bool is_live;              /* of a large mapping: linked in its set's list of blocks, under the set's lock */
    char *huge_from, *huge_to; /* of an arena region: huge pages were asked for in between; NULL: nowhere */
    uint64_t cached_since_ms;  /* of one in its set's cache, under the set's lock */
    size_t moved_by;           /* how far the kernel has moved a large mapping since it was made, wrapping */
    struct hs_region *next, *previous;                 /* the owner's other regions, or the set's other mappings */
    struct hs_region *overlay_next, *overlay_previous; /* the other overlays */
};

struct hs_region *hs_region_take(void);
void hs_region_give(struct hs_region *region);

/* The owner's list of its regions, under the owner's lock. */
void hs_region_link(struct hs_region **list, struct hs_region *region);
void hs_region_unlink(struct hs_region **list, struct hs_region *region);

/* The region of the map that `address` may lie in, or NULL. Its bounds are the caller's to compare. */
struct hs_region *hs_region_find(const void *address);

/* True where the granule of `address` belonged to a region that has been released since. */
bool hs_region_was_released(const void *address);

/* Enters the granules of [base, base + bytes). */
bool hs_region_enter(struct hs_region *region, const char *base, size_t bytes);
void hs_region_leave(const char *base, size_t bytes);

/* A large mapping may move: the leaf that its new place could need is set aside before, so that entering it
 * afterwards cannot fail. */
struct hs_region_leaf;
struct hs_region_leaf *hs_region_reserve_leaf(void);
void hs_region_enter_reserved(struct hs_region *region, const char *base, struct hs_region_leaf *reserved);

/* Whether the region lies in memory of a caller's. */
static inline bool hs_region_is_overlay(const struct hs_region *region)
{
    return region->kind == HS_REGION_BUFFER || region->kind == HS_REGION_HOOKED;
}

void hs_region_overlay_add(struct hs_region *region);
void hs_region_overlay_remove(struct hs_region *region);
/* The innermost overlay that `address` lies in, or NULL. */
struct hs_region *hs_region_overlay_find(const void *address);

/* True if `address` lies in the region. */
bool hs_region_holds(const struct hs_region *region, const void *address);

/* Fork's access to the locks of this layer. */
enum hs_region_lock_name { HS_REGION_LOCK_OVERLAYS, HS_REGION_LOCK_LEAVES, HS_REGION_LOCK_DESCRIPTORS };
struct hs_mutex *hs_region_lock(enum hs_region_lock_name name);

#endif
