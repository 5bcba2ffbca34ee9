#include "cache_parts.h"

#include "options.h"
#include "os.h"
#include "visible_memory.h"

/* ---- no cache ---------------------------------------------------------------------------------------------------- */

const struct hs_no_block hs_cache_no_block __attribute__((aligned(16)));
const struct hs_no_slots hs_cache_no_slots = {HS_SENTINEL, NULL};

/* Every bin looks empty to malloc and full to free. */
#define NO_BIN                                                                                                         \
    {                                                                                                                  \
        HS_NO_SLOTS, HS_NO_SLOTS                                                                                       \
    }
#define NO_BINS_8 NO_BIN, NO_BIN, NO_BIN, NO_BIN, NO_BIN, NO_BIN, NO_BIN, NO_BIN
#define NO_BINS_56 NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8

_Static_assert(HS_CLASSES == 2 * 56 + 3, "as many bins as there are classes");

/* No tag that verifies has these bits. */
const struct hs_cache hs_cache_none = {.arena_bits = UINT32_C(0xFEFFFFFF),
                                       .newest = HS_SENTINEL,
                                       .bins = {NO_BINS_56, NO_BINS_56, NO_BIN, NO_BIN, NO_BIN}};

static void set_no_cache(void)
{
    hs_cache_self = (struct hs_cache *)&hs_cache_none;
}

/* Caches are asked to give back before an arena grows where they hold so much of it: one part in ..., as much as the
 * arena would grow by. */
enum { RECLAIM_SHARE = 8 };

/* ---- making and ending ------------------------------------------------------------------------------------------- */

/* Under the heap's lock. */
static struct {
    struct hs_cache *live;
    struct hs_cache *idle;
    struct hs_cache *in_hand; /* idle ones that some thread empties at this moment */
    hs_thread_key end_key;
    bool has_end_key;
} caches;

static void link_first(struct hs_cache **list, struct hs_cache *cache)
{
    cache->previous = NULL;
    cache->next = *list;
    if (*list != NULL)
        (*list)->previous = cache;
    *list = cache;
}

static void take_out(struct hs_cache **list, struct hs_cache *cache)
{
    if (cache->next != NULL)
        cache->next->previous = cache->previous;
    if (cache->previous != NULL)
        cache->previous->next = cache->next;
    else
        *list = cache->next;
}

/* Takes an idle cache that holds something into hand, or NULL. */
static struct hs_cache *take_full_idle(const struct hs_arena *arena, uint64_t older_than_ms)
{
    struct hs_cache *cache;

    hs_mutex_lock(hs_heap_lock());
    for (cache = caches.idle; cache != NULL; cache = cache->next)
        if (!cache->is_empty && (arena == NULL || cache->arena == arena) && cache->looked_at_ms <= older_than_ms)
            break;
    if (cache != NULL) {
        take_out(&caches.idle, cache);
        link_first(&caches.in_hand, cache);
    }
    hs_mutex_unlock(hs_heap_lock());
    return cache;
}

static void keep_idle(struct hs_cache *cache, bool is_empty)
{
    cache->is_empty = is_empty;
    cache->looked_at_ms = hs_os_now_ms();
    link_first(&caches.idle, cache);
}

bool hs_cache_empty_idle(const struct hs_arena *arena, uint64_t older_than_ms)
{
    struct hs_cache *cache;
    bool had_any = false;

    while ((cache = take_full_idle(arena, older_than_ms)) != NULL) {
        had_any |= hs_cache_empty_all(cache);
        hs_mutex_lock(hs_heap_lock());
        take_out(&caches.in_hand, cache);
        keep_idle(cache, true);
        hs_mutex_unlock(hs_heap_lock());
    }
    return had_any;
}

/* What no thread of the arena holds any more goes back to it. A thread without a cache may do this, and then nothing
 * tells the child of a fork that somebody held a chain: so fork waits at the same lock as for a depot's blocks. */
static bool give_back(struct hs_arena *arena)
{
    bool had_any = hs_cache_empty_idle(arena, UINT64_MAX);

    hs_mutex_lock(&arena->depot->emptying);
    had_any |= hs_cache_give_chain(arena, hs_cache_take_inbox(arena));
    hs_mutex_unlock(&arena->depot->emptying);
    return hs_depot_empty(arena->depot, arena) || had_any;
}

/* Before the arena grows. Little is not worth it: many blocks at once find more neighbours, and come back at less cost
 * each. Where the arena is free for the most part and yet too small, what is cached lies strewn between: then the
 * calling thread gives back what it holds, too. */
static bool reclaim(struct hs_arena *arena)
{
    uint64_t held_bytes;
    bool had_any = hs_depot_wait(arena->depot), is_mostly_free;
    size_t region_bytes = hs_arena_region_bytes(arena, &is_mostly_free);

    /* Relaxed: hints. */
    hs_store_relaxed(&arena->depot->arena_bytes, region_bytes);
    held_bytes = hs_load_relaxed(&arena->depot->bytes) + hs_load_relaxed(&arena->inbox_bytes);
    if (is_mostly_free && hs_cache_self->arena == arena)
        had_any |= hs_cache_empty();
    if (is_mostly_free || held_bytes >= region_bytes / RECLAIM_SHARE)
        had_any |= give_back(arena);
    return had_any;
}

static void leave(struct hs_cache *cache)
{
    set_no_cache();
    hs_thread()->has_no_cache = true;
    (void)hs_cache_send_all(cache);
    hs_mutex_lock(hs_heap_lock());
    hs_heap_leave_arena_locked(cache->arena);
    take_out(&caches.live, cache);
    keep_idle(cache, false);
    hs_mutex_unlock(hs_heap_lock());
}

static void end_of_thread(void *cache)
{
    HS_VISIBLE_CALL;
    leave(cache);
}

/* The first thread of an arena brings the depot along. Under the heap's lock. */
static bool prepare_arena(struct hs_arena *arena)
{
    if (arena->depot == NULL)
        arena->depot = hs_depot_make();
    if (arena->depot == NULL)
        return false;
    hs_store_release(&arena->reclaim, reclaim); /* [DEPOT] its depot is ready */
    return true;
}

/* An idle cache of the arena, as its last thread left it, or the record of an empty one; or NULL. */
static struct hs_cache *find_idle(const struct hs_arena *arena)
{
    struct hs_cache *empty = NULL;

    for (struct hs_cache *cache = caches.idle; cache != NULL; cache = cache->next) {
        if (!cache->is_empty && cache->arena == arena)
            return cache;
        if (cache->is_empty)
            empty = cache;
    }
    return empty;
}

/* The record is about to serve another arena. */
static void count_cuts(struct hs_cache *cache)
{
    if (cache->arena != NULL)
        hs_arena_count_cuts(cache->arena, hs_load_relaxed(&cache->run_cuts)); /* relaxed: nobody else's */
    hs_store_relaxed(&cache->run_cuts, 0);
}

static struct hs_cache *map_record(void)
{
    struct hs_cache *record = hs_os_map(HS_CACHE_RECORD_BYTES);

    if (record != NULL)
        hs_memory_hide(record, HS_CACHE_RECORD_BYTES);
    return record;
}

/* A cache of that arena, or NULL where there is no memory. Under the heap's lock. */
static struct hs_cache *take_cache(struct hs_arena *arena)
{
    struct hs_cache *cache = find_idle(arena);

    if (cache != NULL)
        take_out(&caches.idle, cache);
    else
        cache = map_record();
    if (cache != NULL && (cache->arena == NULL || cache->is_empty)) {
        count_cuts(cache);
        hs_cache_init(cache, arena);
    }
    return cache;
}

/* A cache of the arena that the thread enters, or NULL where there is no memory. */
static struct hs_cache *enter(void)
{
    struct hs_cache *cache = NULL;
    struct hs_arena *arena;

    hs_mutex_lock(hs_heap_lock());
    if (!caches.has_end_key)
        caches.has_end_key = hs_thread_key_create(&caches.end_key, end_of_thread);
    arena = hs_heap_enter_arena_locked();
    if (caches.has_end_key && prepare_arena(arena))
        cache = take_cache(arena);
    if (cache != NULL)
        link_first(&caches.live, cache);
    else
        hs_heap_leave_arena_locked(arena);
    hs_mutex_unlock(hs_heap_lock());
    return cache;
}

static bool may_have_one(void)
{
    /* Relaxed: options. Filling is for debugging: every call then takes the way that fills. */
    return !hs_thread()->has_no_cache && hs_load_relaxed(&hs_options.cache) && !hs_load_relaxed(&hs_options.fill);
}

bool hs_cache_is_there(void)
{
    struct hs_cache *cache;

    if (HS_LIKELY(hs_cache_self != &hs_cache_none))
        return true;
    if (!may_have_one())
        return false;
    /* Setting the key may allocate. */
    hs_thread()->has_no_cache = true;
    cache = enter();
    if (cache == NULL) {
        hs_thread()->has_no_cache = false;
        return false;
    }
    if (!hs_thread_key_set(caches.end_key, cache)) {
        leave(cache);
        return false;
    }
    hs_thread()->has_no_cache = false;
    hs_cache_self = cache;
    return true;
}

void hs_cache_leave(void)
{
    if (hs_cache_self == &hs_cache_none)
        return;
    (void)hs_thread_key_set(caches.end_key, NULL);
    leave(hs_cache_self);
}

/* ---- all caches -------------------------------------------------------------------------------------------------- */

struct moment {
    uint64_t now_ms, decay_ms;
};

static bool empty_if_unused(struct hs_arena *arena, void *context)
{
    const struct moment *moment = context;

    if (hs_depot_of(arena) != NULL && hs_depot_is_unused(arena->depot, moment->now_ms, moment->decay_ms)) {
        (void)hs_cache_give_chain(arena, hs_cache_take_inbox(arena));
        (void)hs_depot_empty(arena->depot, arena);
    }
    return true;
}

void hs_cache_empty_unused_depots(uint64_t now_ms, uint64_t decay_ms)
{
    struct moment moment = {now_ms, decay_ms};

    (void)hs_heap_for_each_table_arena(empty_if_unused, &moment);
}

static bool empty_arena(struct hs_arena *arena, void *context)
{
    if (hs_depot_of(arena) != NULL && give_back(arena))
        *(bool *)context = true;
    return true;
}

bool hs_cache_empty(void)
{
    return hs_cache_self != &hs_cache_none && hs_cache_empty_all(hs_cache_self);
}

bool hs_cache_give_back(void)
{
    bool had_any = hs_cache_empty();

    (void)hs_heap_for_each_table_arena(empty_arena, &had_any);
    return had_any;
}

void hs_cache_for_each_locked(hs_visit_cache *visit, void *context)
{
    struct hs_cache *const lists[] = {caches.live, caches.idle, caches.in_hand};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (struct hs_cache *cache = lists[i]; cache != NULL; cache = cache->next)
            visit(cache, context);
}

/* ---- the child of a fork ----------------------------------------------------------------------------------------- */

static bool forget_threads(struct hs_arena *arena, void *context)
{
    (void)context;
    hs_store_relaxed(&arena->threads, 0); /* relaxed: nobody else runs */
    return true;
}

bool hs_cache_forget_others_in_child(void)
{
    struct hs_cache *mine = hs_cache_self != &hs_cache_none ? hs_cache_self : NULL;
    bool had_any = false;

    (void)hs_heap_for_each_table_arena(forget_threads, NULL);
    for (struct hs_cache *cache = caches.live, *next; cache != NULL; cache = next) {
        next = cache->next;
        if (cache == mine)
            continue;
        take_out(&caches.live, cache);
        keep_idle(cache, false);
        had_any = true;
    }
    while (caches.in_hand != NULL) {
        struct hs_cache *cache = caches.in_hand;

        take_out(&caches.in_hand, cache);
        keep_idle(cache, false);
        had_any = true;
    }
    if (mine != NULL)
        hs_store_relaxed(&mine->arena->threads, 1);
    return had_any;
}

static void mark(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    (void)arena;
    (void)class_index;
    (void)context;
    hs_block_set_state(hs_block_of(payload), HS_STATE_SEEN);
}

/* What is in no bin and no depot is in a chain: nothing is unsent by now. */
static void unmark(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    (void)arena;
    (void)context;
    hs_block_set_state(hs_block_of(payload), class_index != HS_CLASS_NONE ? HS_STATE_CACHED : HS_STATE_SENT);
}

static void count(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    (void)class_index;
    (void)context;
    (void)hs_add_relaxed(&arena->inbox_blocks, 1); /* relaxed: nobody else runs */
    (void)hs_add_relaxed(&arena->inbox_bytes, hs_block_bytes(hs_block_of(payload)));
}

static bool mark_in_arena(struct hs_arena *arena, void *context)
{
    hs_visit_cached *visit = *(hs_visit_cached **)context;

    hs_cache_for_each_in_inbox(arena, visit, NULL);
    hs_cache_for_each_in_depot(arena, visit, NULL);
    return true;
}

static bool count_inbox(struct hs_arena *arena, void *context)
{
    (void)context;
    hs_store_relaxed(&arena->inbox_blocks, 0);
    hs_store_relaxed(&arena->inbox_bytes, 0);
    hs_cache_for_each_in_inbox(arena, count, NULL);
    return true;
}

static void mark_all(hs_visit_cached *visit)
{
    (void)hs_heap_for_each_table_arena(mark_in_arena, &visit);
    if (hs_cache_self != &hs_cache_none)
        hs_cache_for_each_in_bins(hs_cache_self, visit, NULL);
}

static void clear_idle(struct hs_cache *cache)
{
    struct hs_cache *next = cache->next, *previous = cache->previous;

    count_cuts(cache);
    hs_cache_init(cache, cache->arena);
    cache->is_empty = true;
    cache->next = next;
    cache->previous = previous;
}

void hs_cache_mark_in_child(void)
{
    struct hs_cache *mine = hs_cache_self;

    /* What the caller's cache holds outside of its bins goes to where it is counted with the rest. */
    if (mine != &hs_cache_none)
        (void)hs_cache_empty_beside_bins(mine);
    /* What idle caches hold is swept with what vanished threads held. */
    for (struct hs_cache *cache = caches.idle; cache != NULL; cache = cache->next)
        clear_idle(cache);
    if (mine != &hs_cache_none)
        count_cuts(mine);
    (void)hs_heap_for_each_table_arena(count_inbox, NULL);
    mark_all(mark);
}

void hs_cache_unmark_in_child(void)
{
    mark_all(unmark);
}
