/*
 * heap: all arenas together; which one serves a thread, and whose block a pointer is.
 *
 * The first call of the process makes the heap ready: page size, secret, options, the first arena, fork handlers.
 * Arenas are made as threads come, four for each processor unless the option says otherwise, and threads are spread
 * over them in turn. A request that a thread's own arena cannot serve is tried in the others.
 *
 *     pointer -> region map -> region -> arena or large set        hs_heap_resolve
 *
 * Invariants
 *   H1  table[i], once set, never changes; its arena has number i.
 *   H2  Every first-class arena is on the list, and its number is HS_ARENA_FIRST_CLASS.
 *
 * Fields                 written under        read
 *   table[i]             the heap's lock      anywhere, acquire [ARENA-TABLE]
 *   first-class list     the heap's lock      under it
 *   next_arena           anywhere, relaxed    anywhere: which arena a thread without a cache gets is a matter of taste
 *   threads of an arena  the heap's lock      under it
 *   ready                HEAP_INIT            anywhere, acquire [INIT]
 *
 * Locks: HEAP_INIT for the first call; HEAP for the table and the list, outermost of all that follow.
 */
#ifndef HS_HEAP_H
#define HS_HEAP_H

#include "arena.h"
#include "large.h"
#include "text.h"

extern _Atomic bool hs_heap_is_ready;
extern struct hs_large_set hs_heap_large;

void hs_heap_make_ready(void);

/* Whether the arena brings a large set of its own, as first-class arenas on mmap do. */
static inline bool hs_heap_has_own_large(const struct hs_arena *arena)
{
    return arena->large != NULL && arena->large != &hs_heap_large;
}

/* The first line of every public function that looks at the heap. */
static inline void hs_heap_start(void)
{
    /* [INIT] all that the first call wrote is visible to whoever sees true. */
    if (HS_UNLIKELY(!hs_load_acquire(&hs_heap_is_ready)))
        hs_heap_make_ready();
}

/* The arena of the calling thread. */
struct hs_arena *hs_heap_arena(void);

/* The arena that the fewest threads have entered, which from here on is the calling thread's; and the end of that. The
 * caller of both holds the heap's lock. */
struct hs_arena *hs_heap_enter_arena_locked(void);
void hs_heap_leave_arena_locked(struct hs_arena *arena);

/* The arena of the table with that number, or NULL. */
struct hs_arena *hs_heap_table_arena(unsigned number);

/* The bytes of the block that serves a request of a thread, at most HS_ARENA_REQUEST_MAX: where threads have caches, it
 * is of a size that they keep. */
size_t hs_heap_block_bytes_for(size_t bytes);

/* Looks for what is due to be purged; slow paths call it. */
void hs_heap_decay(void);

/* Memory from the arena, or from wherever there is some if `arena` is NULL; NULL where there is none. `zeroed` is set
 * where the memory reads as zero. */
void *hs_heap_allocate(struct hs_arena *arena, size_t bytes, size_t alignment, bool *zeroed);

/* Whose a pointer is: a block of an arena, or a large region. */
struct hs_owner {
    struct hs_arena *arena;   /* NULL for a large block that belongs to no first-class arena */
    struct hs_region *region; /* of a large block; otherwise NULL */
    struct hs_block *block;
};

/* True if the tag before `payload`, which may be read, is that of a live block of an arena of the table. What it does
 * not find out: whether the tag that follows the block has been overwritten. */
bool hs_heap_resolve_by_tag(const void *payload, struct hs_owner *owner);

/* Resolves a pointer that a program claims to be a live block. False after a misuse was reported, with `operation`
 * ("free", "realloc") in the line. */
bool hs_heap_resolve(const void *payload, const char *operation, struct hs_owner *owner);

size_t hs_heap_usable_bytes(const struct hs_owner *owner);

/* By how much the usable bytes of a block that is not large may exceed what was asked for. */
size_t hs_heap_slack_bytes(const struct hs_owner *owner);
void hs_heap_release(const struct hs_owner *owner);

/* Resizes without moving, or, for a large block, by moving its pages; NULL where it takes a copy. */
void *hs_heap_resize_in_place(const struct hs_owner *owner, size_t bytes);

/* Cuts a block that is not large to the size of a request that it holds: in place, since there is no other one. */
void hs_heap_cut(const struct hs_owner *owner, size_t bytes);

bool hs_heap_trim(size_t keep_bytes);
void hs_heap_set_strategy(uint8_t strategy);

/* First-class arenas. */
struct hs_arena *hs_heap_add_arena(enum hs_region_kind source, uint8_t strategy, const struct heapster_os_hooks *hooks);
void hs_heap_remove_arena(struct hs_arena *arena);

/* Calls `visit` for each arena under the heap's lock, the table's first, until it returns false. */
typedef bool hs_visit_arena(struct hs_arena *arena, void *context);
void hs_heap_for_each_arena(hs_visit_arena *visit, void *context);

/* One lock of the allocator. */
struct hs_lock {
    struct hs_mutex *mutex;       /* its rank says what it guards */
    const struct hs_arena *arena; /* whose it is; NULL: it belongs to the heap */
    const char *name;             /* of one that belongs to the heap; hs_heap_lock_name knows all */
};

/* Calls `visit` for every lock, without waiting for any: the heap may be locked for ever. First-class arenas are left
 * out while another thread holds the heap's lock. `visit` must not take a lock, nor allocate. */
typedef void hs_visit_lock(const struct hs_lock *lock, void *context);
void hs_heap_for_each_lock(hs_visit_lock *visit, void *context);

/* Adds what a person calls the lock: "arena 3", "arena 3 list 12", "large blocks". */
void hs_heap_lock_name(const struct hs_lock *lock, struct hs_text *name);

/* For fork.c. */
struct hs_mutex *hs_heap_lock(void);
struct hs_mutex *hs_heap_init_lock(void);
struct hs_mutex *hs_heap_pool_lock(void);
/* The arenas without the heap's lock: the caller holds it, or is alone. */
void hs_heap_for_each_arena_locked(hs_visit_arena *visit, void *context);
void hs_heap_for_each_first_class_arena_locked(hs_visit_arena *visit, void *context);
/* Those of the table need no lock. False if `visit` ended it. */
bool hs_heap_for_each_table_arena(hs_visit_arena *visit, void *context);
void hs_fork_register(void);

#endif
