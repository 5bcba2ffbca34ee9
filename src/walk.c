/*
 * walk: heapster_walk, a visit to every block, arena by arena.
 */
#include "heap.h"
#include "heapster.h"
#include "visible_memory.h"

struct walk {
    heapster_visit *visit;
    void *context;
    size_t visited;
    bool stopped;
};

static bool visit_one(struct walk *walk, const struct heapster_block_info *info)
{
    walk->visited++;
    walk->stopped = !walk->visit(info, walk->context);
    return !walk->stopped;
}

static bool visit_set(struct walk *walk, struct hs_large_set *set)
{
    hs_mutex_lock(&set->lock);
    for (struct hs_region *region = set->head; region != NULL && !walk->stopped; region = region->next) {
        struct heapster_block_info info = {
            .payload = hs_large_payload(region),
            .usable_bytes = hs_large_usable_bytes(region),
            .block_bytes = hs_load_relaxed(&region->bytes), /* relaxed: under the set's lock */
            .state = HEAPSTER_BLOCK_LARGE,
            .arena = HS_ARENA_LARGE,
        };

        (void)visit_one(walk, &info);
    }
    hs_mutex_unlock(&set->lock);
    return !walk->stopped;
}

static enum heapster_block_state public_state(uint8_t state)
{
    if (hs_state_is_free(state))
        return HEAPSTER_BLOCK_FREE;
    if (state == HS_STATE_CACHED || state == HS_STATE_SENT || state == HS_STATE_SEEN || state == HS_STATE_RUN)
        return HEAPSTER_BLOCK_CACHED;
    return state == HS_STATE_USED ? HEAPSTER_BLOCK_USED : HEAPSTER_BLOCK_IN_FLIGHT;
}

static void visit_region(struct walk *walk, const struct hs_arena *arena, struct hs_region *region)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);

    /* A tag that does not verify ends the region's walk: its size is not to be believed. */
    while (block < end && hs_block_is_intact(block) && !walk->stopped) {
        size_t bytes = hs_block_tile_bytes(block);
        struct heapster_block_info info = {
            .payload = hs_block_payload(block),
            .usable_bytes = bytes - HS_TAG_BYTES,
            .block_bytes = bytes,
            .state = public_state(hs_block_state(block)),
            .arena = arena->number,
        };

        (void)visit_one(walk, &info);
        block = hs_block_at(block, bytes);
    }
}

static bool visit_arena(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    struct walk *walk = context;

    hs_arena_lock_all(arena);
    for (struct hs_region *region = arena->regions; region != NULL && !walk->stopped; region = region->next)
        visit_region(walk, arena, region);
    hs_arena_unlock_all(arena);
    if (walk->stopped || !hs_heap_has_own_large(arena))
        return !walk->stopped;
    return visit_set(walk, arena->large);
}

size_t heapster_walk(heapster_visit *visit, void *context)
{
    HS_VISIBLE_CALL;
    struct walk walk = {visit, context, 0, false};

    hs_heap_start();
    hs_heap_for_each_arena(visit_arena, &walk);
    if (!walk.stopped)
        (void)visit_set(&walk, &hs_heap_large);
    return walk.visited;
}
