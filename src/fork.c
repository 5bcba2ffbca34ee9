/*
 * fork: a child with a usable heap, whatever the other threads were doing.
 *
 * prepare   takes every lock, outermost first, arenas in order of their numbers: tags and lists are whole then. Before
 *           them it takes stdio's list lock, which libc's fork takes after our handler has run: another thread may
 *           hold it and be waiting for one of our locks.
 * parent    releases them.
 * child     releases them, too; the threads that owned blocks in flight are gone, so every arena publishes what is
 * BUSY. A mapping that a vanished thread had just made or was about to unmap stays mapped; it holds no pages that the
 * child would touch.
 *
 * Handlers of other libraries may run between our prepare and our parent or child handler; the forking thread then
 * owns every lock and passes (sync.h).
 */
#include "heap.h"
#include "os.h"

static bool lock_arena(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    (void)context;
    hs_mutex_lock_for_fork(&arena->lock);
    for (unsigned k = 0; k < HS_LISTS; k++)
        hs_mutex_lock_for_fork(&arena->lists[k].lock);
    return true;
}

static bool unlock_arena(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    (void)context;
    for (unsigned k = HS_LISTS; k-- > 0;)
        hs_mutex_unlock_after_fork(&arena->lists[k].lock);
    hs_mutex_unlock_after_fork(&arena->lock);
    return true;
}

static bool lock_large(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    (void)context;
    if (hs_heap_has_own_large(arena))
        hs_mutex_lock_for_fork(&arena->large->lock);
    return true;
}

static bool unlock_large(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    (void)context;
    if (hs_heap_has_own_large(arena))
        hs_mutex_unlock_after_fork(&arena->large->lock);
    return true;
}

/* The locks inside those of arenas and large sets, outermost first. */
enum { INNER_LOCKS = 5 };

static struct hs_mutex *inner_lock(unsigned index)
{
    struct hs_mutex *const locks[INNER_LOCKS] = {
        hs_region_lock(HS_REGION_LOCK_OVERLAYS),
        hs_region_lock(HS_REGION_LOCK_LEAVES),
        hs_os_break_lock(),
        hs_region_lock(HS_REGION_LOCK_DESCRIPTORS),
        hs_heap_pool_lock(),
    };

    return locks[index];
}

static void prepare(void) HS_NO_ANALYSIS
{
    hs_os_stdio_lock();
    hs_mutex_lock_for_fork(hs_heap_init_lock());
    hs_mutex_lock_for_fork(hs_heap_lock());
    hs_heap_for_each_arena_locked(lock_arena, NULL);
    hs_mutex_lock_for_fork(&hs_heap_large.lock);
    hs_heap_for_each_arena_locked(lock_large, NULL);
    for (unsigned i = 0; i < INNER_LOCKS; i++)
        hs_mutex_lock_for_fork(inner_lock(i));
    hs_thread()->owns_every_lock = true;
}

static void release_all(void) HS_NO_ANALYSIS
{
    hs_thread()->owns_every_lock = false;
    for (unsigned i = INNER_LOCKS; i-- > 0;)
        hs_mutex_unlock_after_fork(inner_lock(i));
    hs_heap_for_each_arena_locked(unlock_large, NULL);
    hs_mutex_unlock_after_fork(&hs_heap_large.lock);
    hs_heap_for_each_arena_locked(unlock_arena, NULL);
    hs_mutex_unlock_after_fork(hs_heap_lock());
    hs_mutex_unlock_after_fork(hs_heap_init_lock());
}

static void in_parent(void)
{
    release_all();
    hs_os_stdio_unlock();
}

static bool restart_arena(struct hs_arena *arena, void *context)
{
    (void)context;
    hs_arena_restart_in_child(arena);
    return true;
}

/* The only thread of the child is the one that took the locks, so it may release them. */
static void in_child(void)
{
    release_all();
    hs_heap_for_each_arena_locked(restart_arena, NULL);
    hs_os_stdio_reset_in_child();
}

void hs_fork_register(void)
{
    (void)pthread_atfork(prepare, in_parent, in_child);
}
