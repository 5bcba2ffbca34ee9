/*
 * fork: a child with a usable heap, whatever the other threads were doing.
 *
 * prepare   takes every lock, outermost first, arenas in order of their numbers: tags and lists are whole then. Before
 *           them it takes stdio's list lock, which libc's fork takes after our handler has run: another thread may
 *           hold it and be waiting for one of our locks.
 * parent    releases them.
 * child     releases them, too. The threads that owned blocks in flight or in their caches are gone: where there were
 *           such threads, every arena publishes what nobody owns any more. A mapping that a vanished thread had just
 *           made or was about to unmap stays mapped; it holds no pages that the child would touch.
 *
 * Handlers of other libraries may run between our prepare and our parent or child handler; the forking thread then
 * owns every lock and passes (sync.h).
 *
 * What fork needs, a list of every lock there is, also serves whoever asks which of them are held, and how busy they
 * are.
 */
#include "cache.h"
#include "depot.h"
#include "os.h"
#include "text.h"
#include "visible_memory.h"

/* ---- every lock -------------------------------------------------------------------------------------------------- */

typedef void for_each_arena(hs_visit_arena *visit, void *context);

struct look {
    hs_visit_lock *visit;
    void *context;
};

static void visit_lock(const struct look *look, struct hs_mutex *mutex, const struct hs_arena *arena, const char *name)
{
    const struct hs_lock lock = {mutex, arena, name};

    look->visit(&lock, look->context);
}

static bool visit_arena(struct hs_arena *arena, void *context)
{
    const struct look *look = context;

    visit_lock(look, &arena->lock, arena, NULL);
    for (unsigned k = 0; k < HS_LISTS; k++)
        visit_lock(look, &arena->lists[k].lock, arena, NULL);
    return true;
}

static bool visit_own_large(struct hs_arena *arena, void *context)
{
    if (hs_heap_has_own_large(arena))
        visit_lock(context, &arena->large->lock, arena, NULL);
    return true;
}

static bool visit_emptying(struct hs_arena *arena, void *context)
{
    if (hs_depot_of(arena) != NULL)
        visit_lock(context, &arena->depot->emptying, arena, NULL);
    return true;
}

static bool visit_depot(struct hs_arena *arena, void *context)
{
    if (hs_depot_of(arena) != NULL)
        visit_lock(context, &arena->depot->lock, arena, NULL);
    return true;
}

/* Outermost first. */
static void visit_all(hs_visit_lock *visit, void *context, for_each_arena *arenas)
{
    struct look look = {visit, context};

    visit_lock(&look, hs_heap_init_lock(), NULL, "first call");
    visit_lock(&look, hs_heap_lock(), NULL, "heap");
    arenas(visit_emptying, &look);
    arenas(visit_arena, &look);
    visit_lock(&look, &hs_heap_large.lock, NULL, "large blocks");
    arenas(visit_own_large, &look);
    arenas(visit_depot, &look);
    visit_lock(&look, hs_region_lock(HS_REGION_LOCK_OVERLAYS), NULL, "overlays");
    visit_lock(&look, hs_region_lock(HS_REGION_LOCK_LEAVES), NULL, "region map");
    visit_lock(&look, hs_os_break_lock(), NULL, "break");
    visit_lock(&look, hs_region_lock(HS_REGION_LOCK_DESCRIPTORS), NULL, "region descriptors");
    visit_lock(&look, hs_heap_pool_lock(), NULL, "arena records");
    visit_lock(&look, hs_depot_pool_lock(), NULL, "depots");
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

static void take(const struct hs_lock *lock, void *context)
{
    (void)context;
    hs_mutex_lock_unranked(lock->mutex);
}

/* The heap's lock comes last: the list of arenas is under it. Otherwise the order does not matter. Those of an arena or
 * a depot that a handler of somebody else's made since prepare are among them: they were made held (sync.h). */
static void release_inner(const struct hs_lock *lock, void *context)
{
    (void)context;
    if (lock->mutex->rank > HS_RANK_HEAP)
        hs_mutex_unlock_unranked(lock->mutex);
}

static void prepare(void)
{
    HS_VISIBLE_CALL;
    hs_os_stdio_lock();
    visit_all(take, NULL, hs_heap_for_each_arena_locked);
    hs_thread()->owns_every_lock = true;
}

static void release_all(void)
{
    hs_thread()->owns_every_lock = false;
    visit_all(release_inner, NULL, hs_heap_for_each_arena_locked);
    hs_mutex_unlock_unranked(hs_heap_lock());
    hs_mutex_unlock_unranked(hs_heap_init_lock());
}

static void in_parent(void)
{
    HS_VISIBLE_CALL;
    release_all();
    hs_os_stdio_unlock();
}

static bool look_for_claims(struct hs_arena *arena, void *context)
{
    bool *in_flight = context;

    hs_store_relaxed(&arena->draining, false); /* relaxed: nobody else runs */
    *in_flight |= hs_arena_claims_in_flight(arena) != 0;
    return true;
}

static bool sweep_arena(struct hs_arena *arena, void *context)
{
    (void)context;
    hs_arena_sweep_in_child(arena);
    return true;
}

/* Where no other thread had a cache or a claim in flight, nothing is lost, and most children are not to pay for reading
 * every tag. What was FREEING then stays so: a free that had not begun when the process was copied. */
static void take_over_orphans(void)
{
    bool orphans = hs_cache_forget_others_in_child();

    hs_heap_for_each_arena_locked(look_for_claims, &orphans);
    if (!orphans)
        return;
    hs_cache_mark_in_child();
    hs_heap_for_each_arena_locked(sweep_arena, NULL);
    hs_cache_unmark_in_child();
}

/* The only thread of the child is the one that took the locks, so it may release them. */
static void in_child(void)
{
    HS_VISIBLE_CALL;
    release_all();
    take_over_orphans();
    hs_os_stdio_reset_in_child();
}

void hs_fork_register(void)
{
    hs_fork_handlers(prepare, in_parent, in_child);
}

/* ---- looking at the locks ---------------------------------------------------------------------------------------- */

static void for_each_arena_in_reach(hs_visit_arena *visit, void *context)
{
    bool owns_it = hs_thread()->owns_every_lock;

    (void)hs_heap_for_each_table_arena(visit, context);
    if (!owns_it && !hs_mutex_try_lock_unranked(hs_heap_lock()))
        return;
    hs_heap_for_each_first_class_arena_locked(visit, context);
    if (!owns_it)
        hs_mutex_unlock_unranked(hs_heap_lock());
}

void hs_heap_for_each_lock(hs_visit_lock *visit, void *context)
{
    visit_all(visit, context, for_each_arena_in_reach);
}

void hs_heap_lock_name(const struct hs_lock *lock, struct hs_text *name)
{
    uint32_t rank = lock->mutex->rank;

    if (lock->arena == NULL) {
        hs_text_add(name, lock->name);
        return;
    }
    if (rank == HS_RANK_LARGE)
        hs_text_add(name, "large blocks of ");
    if (rank == HS_RANK_DEPOT || rank == HS_RANK_EMPTYING)
        hs_text_add(name, rank == HS_RANK_DEPOT ? "depot of " : "emptying the depot of ");
    if (lock->arena->number == HS_ARENA_FIRST_CLASS) {
        hs_text_add(name, "first-class arena ");
        hs_text_add_address(name, lock->arena);
    } else {
        hs_text_add(name, "arena ");
        hs_text_add_decimal(name, lock->arena->number);
    }
    if (rank >= HS_RANK_LIST && rank < HS_RANK_LARGE) {
        hs_text_add(name, " list ");
        hs_text_add_decimal(name, rank - HS_RANK_LIST);
    }
}
