/*
 * sync: the seam for everything that threads can observe of each other.
 *
 * The layers above take no pthread mutex and no C11 atomic by its own name; they go through the operations here, so
 * that another backend can stand behind them and turn each into a scheduling point. In this backend all of them
 * inline to the plain operation.
 *
 * What it does not do: it decides nothing about which lock protects what. Each layer's header says that.
 *
 * Lock order. A thread may take a lock only if its rank is above that of every lock it holds. The ranks, outermost
 * first (builds with HS_CHECK_RANKS verify it at every lock):
 *
 *     HEAP_INIT            the first call of the process
 *       HEAP               the table of arenas, the list of first-class arenas
 *         EMPTYING         one depot, while it or the inbox is emptied into its arena
 *         ARENA            one arena: regions, growth, trimming, the walker
 *           LIST + k       free list k of that arena; two at most (freelist.h), all of them for the walker
 *             LARGE        one set of large mappings
 *             DEPOT        one arena's magazines of cached blocks
 *               OVERLAYS   the list of regions in callers' memory
 *                 REGION_MAP  leaves of the region map
 *                   BREAK  the program break
 *                     POOL allocator metadata
 *
 * Arena and list locks of two arenas are never held together, but by fork, which takes all of them in order of the
 * arenas' numbers while nobody else can hold two.
 *
 * Fork. Between fork's prepare handler and its parent or child handler the forking thread owns every lock. Other
 * libraries' handlers may run in that window and allocate, so lock and unlock let that thread pass. What it makes
 * there, the depot of an arena for one, may be known to others before the window ends: so a mutex that is made by a
 * thread that owns every lock is made held, and is let go with all others.
 *
 * Statistics. Each mutex counts how often it was taken and how often somebody had to wait for it, and says who holds
 * it. Only the thread that holds it writes these fields, so an increment needs no read-modify-write. Relaxed: the mutex
 * itself orders one holder's writes before the next one's, and who reads them without it takes what it gets: a count
 * that is a moment old, or, of a mutex that is changing hands, a holder who has just let go. A thread that stands still
 * while it holds a mutex, or waits for one, is seen right. A try that fails counts nowhere: nobody waited, and the
 * thread that failed may not write. What the forking thread passes is not taken anew and does not count, either.
 *
 * Memory orders stand in the names of the operations. Each release and the acquire that meets it carry the same tag
 * in square brackets where they are used.
 */
#ifndef HS_SYNC_H
#define HS_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

enum hs_rank {
    HS_RANK_HEAP_INIT = 1,
    HS_RANK_HEAP,
    HS_RANK_EMPTYING,
    HS_RANK_ARENA,
    HS_RANK_LIST, /* + k, the index of the list, up to 63 */
    HS_RANK_LARGE = HS_RANK_LIST + 64,
    HS_RANK_DEPOT,
    HS_RANK_OVERLAYS,
    HS_RANK_REGION_MAP,
    HS_RANK_BREAK,
    HS_RANK_POOL
};

struct hs_thread;

struct HS_CAPABILITY("mutex") hs_mutex {
    pthread_mutex_t native;
    uint32_t rank;
    _Atomic uint64_t acquired;                /* how often it was taken */
    _Atomic(const struct hs_thread *) holder; /* NULL: nobody */
    _Atomic uint64_t contended;               /* how often a thread found it taken, and waited */
};

/* clang-format off */
#define HS_MUTEX_INITIALIZER(its_rank) { .native = PTHREAD_MUTEX_INITIALIZER, .rank = (its_rank) }
/* clang-format on */

/* What the allocator knows of the calling thread. */
struct hs_thread {
    struct hs_cache *cache;   /* hs_cache_none where it has none (cache.h); never NULL */
    struct hs_arena *arena;   /* where this thread's blocks come from; NULL before its first call */
    bool owns_every_lock;     /* between fork's prepare and its parent or child handler */
    bool initializing;        /* inside the first call of the process */
    bool has_no_cache;        /* its cache is being made, or was given back: arenas serve it */
    uint32_t slow_path_count; /* since the last walk of option check=N */
    uint32_t frees;           /* so far, for a look now and then at what is due to be purged */
    const void *damage;       /* overwritten free memory that was met under a lock and is to be reported */
};

/* Makes a mutex, unlocked, with its counters at zero. */
void hs_mutex_init_unlocked(struct hs_mutex *mutex, uint32_t rank);

#if defined(HS_EXPLORE)
#include "sync_explored.h"
#else
#include "sync_native.h"
#endif

/* Takes from a count that others add to at the same time. */
#define hs_subtract_relaxed(pointer, value) hs_add_relaxed((pointer), hs_wrap_subtract(0, (value)))

#if defined(HS_CHECK_RANKS)
void hs_rank_push(const struct hs_mutex *mutex);
void hs_rank_pop(const struct hs_mutex *mutex);
bool hs_rank_holds(const struct hs_mutex *mutex);
#else
static inline void hs_rank_push(const struct hs_mutex *mutex)
{
    (void)mutex;
}
static inline void hs_rank_pop(const struct hs_mutex *mutex)
{
    (void)mutex;
}
static inline bool hs_rank_holds(const struct hs_mutex *mutex)
{
    (void)mutex;
    return true;
}
#endif

/* Makes a mutex ready for use: unlocked, but between the handlers of fork. */
static inline void hs_mutex_init(struct hs_mutex *mutex, uint32_t rank) HS_NO_ANALYSIS
{
    hs_mutex_init_unlocked(mutex, rank);
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        hs_mutex_lock_unranked(mutex);
}

/* Before the memory of a mutex is given back: nobody holds it then. */
static inline void hs_mutex_destroy(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        hs_mutex_unlock_unranked(mutex);
}

static inline void hs_mutex_lock(struct hs_mutex *mutex) HS_ACQUIRES(mutex) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        return;
    hs_rank_push(mutex);
    hs_mutex_lock_unranked(mutex);
}

static inline void hs_mutex_unlock(struct hs_mutex *mutex) HS_RELEASES(mutex) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        return;
    hs_rank_pop(mutex);
    hs_mutex_unlock_unranked(mutex);
}

static inline bool hs_mutex_try_lock(struct hs_mutex *mutex) HS_ANNOTATE(try_acquire_capability(true, mutex))
    HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        return true;
    if (!hs_mutex_try_lock_unranked(mutex))
        return false;
    hs_rank_push(mutex);
    return true;
}

/* The first line of every function named _locked. */
static inline void hs_mutex_assert_held(const struct hs_mutex *mutex) HS_ASSERTS_HELD(mutex) HS_NO_ANALYSIS
{
    if (!hs_rank_holds(mutex))
        __builtin_trap();
}

#endif
