/* heapster: the table of functions that the kit tests by default, and the one for first-class arenas. */
#include "heapster.h"

#include "allocator.h"
#include "arena_batch.h"
#include "cache.h"
#include "depot.h"
#include "heap.h"
#include "heapster_locks.h"
#include "options.h"

static void *call_malloc(void *context, size_t bytes)
{
    (void)context;
    return heapster_malloc(bytes);
}

static void *call_calloc(void *context, size_t count, size_t bytes)
{
    (void)context;
    return heapster_calloc(count, bytes);
}

static void *call_realloc(void *context, void *ptr, size_t bytes)
{
    (void)context;
    return heapster_realloc(ptr, bytes);
}

static void *call_aligned_alloc(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return heapster_aligned_alloc(alignment, bytes);
}

static int call_posix_memalign(void *context, void **out, size_t alignment, size_t bytes)
{
    (void)context;
    return heapster_posix_memalign(out, alignment, bytes);
}

static void *call_memalign(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return heapster_memalign(alignment, bytes);
}

static void call_free(void *context, void *ptr)
{
    (void)context;
    heapster_free(ptr);
}

static void call_free_sized(void *context, void *ptr, size_t bytes)
{
    (void)context;
    heapster_free_sized(ptr, bytes);
}

static void call_free_aligned_sized(void *context, void *ptr, size_t alignment, size_t bytes)
{
    (void)context;
    heapster_free_aligned_sized(ptr, alignment, bytes);
}

static size_t call_usable_size(void *context, void *ptr)
{
    (void)context;
    return heapster_usable_size(ptr);
}

static void add_finding(const char *invariant, const void *address, const char *text, void *context)
{
    kit_text_add(context, "  %s at %p: %s\n", invariant, address, text);
}

static void call_check(void *context, bool at_rest, struct kit_text *findings)
{
    size_t broken = heapster_check(at_rest ? HEAPSTER_CHECK_AT_REST : HEAPSTER_CHECK_RUNNING, add_finding, findings);

    (void)context;
    if (broken != 0)
        kit_text_add(findings, "  %zu broken invariants\n", broken);
}

/* What holds at any moment, since each arena is read under its locks. */
static void check_statistics(void *context, struct kit_text *findings)
{
    struct heapster_stats stats;

    (void)context;
    heapster_stats(&stats);
    if (stats.frees > stats.allocations)
        kit_text_add(findings, "  %llu frees of %llu allocations\n", (unsigned long long)stats.frees,
                     (unsigned long long)stats.allocations);
    if (stats.largest_free > stats.free_bytes || stats.free_bytes > stats.region_bytes)
        kit_text_add(findings, "  largest_free %llu, free_bytes %llu, region_bytes %llu are not in order\n",
                     (unsigned long long)stats.largest_free, (unsigned long long)stats.free_bytes,
                     (unsigned long long)stats.region_bytes);
    if (stats.large_bytes > stats.used_bytes)
        kit_text_add(findings, "  large_bytes %llu exceed used_bytes %llu\n", (unsigned long long)stats.large_bytes,
                     (unsigned long long)stats.used_bytes);
}

struct walk {
    kit_visit *visit;
    void *argument;
};

static enum kit_block_state state_of(enum heapster_block_state state)
{
    if (state == HEAPSTER_BLOCK_FREE)
        return KIT_BLOCK_FREE;
    return state == HEAPSTER_BLOCK_USED || state == HEAPSTER_BLOCK_LARGE ? KIT_BLOCK_LIVE : KIT_BLOCK_KEPT;
}

static bool visit_block(const struct heapster_block_info *block, void *context)
{
    const struct walk *walk = context;
    struct kit_walked walked = {
        .payload = (uintptr_t)block->payload,
        .usable_bytes = block->usable_bytes,
        .block_bytes = block->block_bytes,
        .state = state_of(block->state),
        .arena = block->arena,
    };

    walk->visit(&walked, walk->argument);
    return true;
}

static void call_walk(void *context, kit_visit *visit, void *argument)
{
    struct walk walk = {visit, argument};

    (void)context;
    (void)heapster_walk(visit_block, &walk);
}

static uint64_t used_blocks(void *context)
{
    struct heapster_stats stats;

    (void)context;
    heapster_stats(&stats);
    return stats.used_blocks;
}

static uint64_t held_bytes(void *context)
{
    struct heapster_stats stats;

    (void)context;
    heapster_stats(&stats);
    return stats.region_bytes + stats.large_bytes + hs_large_all_cached_bytes();
}

static uint64_t kept_bytes(void *context)
{
    struct heapster_stats stats;

    (void)context;
    heapster_stats(&stats);
    return stats.cached_bytes;
}

static void give_back(void *context)
{
    (void)context;
    hs_heap_start();
    (void)hs_cache_empty();
}

static void give_all_back(void *context)
{
    (void)context;
    hs_heap_start();
    (void)hs_cache_give_back();
}

static bool trim(void *context, size_t keep_bytes)
{
    (void)context;
    return heapster_trim(keep_bytes);
}

static void *home(void *context)
{
    (void)context;
    return hs_heap_arena();
}

/* An empty cache may move to an arena that has a depot. */
static void move_cache(struct hs_cache *cache, struct hs_arena *arena)
{
    hs_mutex_lock(hs_heap_lock());
    hs_arena_count_cuts(cache->arena, hs_load_relaxed(&cache->run_cuts)); /* relaxed: the thread's own */
    hs_store_relaxed(&cache->run_cuts, 0);
    hs_heap_leave_arena_locked(cache->arena);
    arena->threads++;
    cache->arena = arena;
    cache->arena_bits = arena->number << 24;
    hs_mutex_unlock(hs_heap_lock());
}

/* What others send to the arena that the thread leaves has to find its way without it. */
static void settle(void *context, void *home)
{
    struct hs_arena *arena = home;

    if (hs_cache_is_there()) {
        if (hs_depot_of(arena) == NULL)
            return;
        give_all_back(context);
        move_cache(hs_cache_self, arena);
        give_all_back(context);
    }
    hs_thread()->arena = arena;
}

const struct kit_allocator kit_heapster = {
    .name = "heapster",
    .is_heapster = true,
    .least_alignment = 16,
    .keeps_errno = true,
    .malloc = call_malloc,
    .calloc = call_calloc,
    .realloc = call_realloc,
    .aligned_alloc = call_aligned_alloc,
    .posix_memalign = call_posix_memalign,
    .memalign = call_memalign,
    .free = call_free,
    .free_sized = call_free_sized,
    .free_aligned_sized = call_free_aligned_sized,
    .usable_size = call_usable_size,
    .check = call_check,
    .check_statistics = check_statistics,
    .walk = call_walk,
    .used_blocks = used_blocks,
    .held_bytes = held_bytes,
    .kept_bytes = kept_bytes,
    .give_back = give_back,
    .give_all_back = give_all_back,
    .trim = trim,
    .contention = kit_heapster_contention,
    .self = kit_heapster_self,
    .held_locks = kit_heapster_held_locks,
    .home = home,
    .settle = settle,
};

static void *arena_malloc(void *context, size_t bytes)
{
    return heapster_arena_malloc(context, bytes);
}

static void *arena_calloc(void *context, size_t count, size_t bytes)
{
    return heapster_arena_calloc(context, count, bytes);
}

static void *arena_realloc(void *context, void *ptr, size_t bytes)
{
    return heapster_arena_realloc(context, ptr, bytes);
}

static void *arena_aligned_alloc(void *context, size_t alignment, size_t bytes)
{
    return heapster_arena_aligned_alloc(context, alignment, bytes);
}

struct kit_allocator kit_heapster_arena(void *arena)
{
    struct kit_allocator allocator = kit_heapster;

    allocator.name = "heapster_arena";
    allocator.context = arena;
    allocator.malloc = arena_malloc;
    allocator.calloc = arena_calloc;
    allocator.realloc = arena_realloc;
    allocator.aligned_alloc = arena_aligned_alloc;
    allocator.posix_memalign = NULL;
    allocator.memalign = NULL;
    return allocator;
}

void kit_heapster_use_cache(bool may)
{
    hs_heap_start();
    hs_store_relaxed(&hs_options.cache, may); /* relaxed: no other thread is in the allocator */
}

/* Relaxed throughout: the thread's own. */
uint64_t kit_heapster_own_bins_bytes(void)
{
    const struct hs_cache *cache = hs_cache_self;
    uint64_t bytes = 0;

    if (cache == &hs_cache_none)
        return 0;
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        bytes += (uint64_t)(hs_load_relaxed(&cache->bins[i].top) - hs_load_relaxed(&cache->records[i].base)) *
                 hs_class_bytes(i);
    return bytes;
}

uint64_t kit_heapster_own_kept_bytes(void)
{
    const struct hs_cache *cache = hs_cache_self;
    uint64_t bytes = kit_heapster_own_bins_bytes() + hs_load_relaxed(&cache->run_bytes);

    for (unsigned i = 0; i < HS_OUTBOXES; i++)
        bytes += hs_load_relaxed(&cache->outboxes[i].bytes);
    for (unsigned i = 0; i < hs_load_relaxed(&cache->unsent.count); i++)
        bytes += hs_class_bytes(hs_load_relaxed(&cache->unsent.classes[i]));
    return bytes;
}

uint64_t kit_heapster_depot_bytes(void)
{
    const struct hs_depot *depot = hs_depot_of(hs_heap_arena());

    return depot != NULL ? hs_load_relaxed(&depot->bytes) : 0; /* relaxed: a number that others change at any time */
}

unsigned kit_heapster_arena_of(const void *payload)
{
    return hs_block_arena(hs_block_of(payload));
}

unsigned kit_heapster_own_arena(void)
{
    return hs_heap_arena()->number;
}

uint64_t kit_heapster_set_decay_ms(uint64_t decay_ms)
{
    uint64_t before = hs_load_relaxed(&hs_options.decay_ms); /* relaxed: any value is right, at any time */

    hs_store_relaxed(&hs_options.decay_ms, decay_ms);
    return before;
}

void kit_heapster_use_break(bool may)
{
    hs_heap_start();
    hs_store_relaxed(&hs_os_break_is_ours, may); /* relaxed: no other thread is in the allocator */
}
