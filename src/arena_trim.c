#include "arena_moves.h"
#include "options.h"
#include "os.h"
#include "visible.h"

/* What is given back at a time, and since when it has to lie unused. */
struct trim {
    size_t keep_bytes;  /* at the top of the break */
    size_t least_bytes; /* of a block whose pages are purged */
    uint64_t older_than_ms;
    bool gave_back;
    bool lowered_break;
    bool left_dirty; /* something is too young yet */
};

/* Whether a free block lies unused long enough. Small ones carry no time; they count as old. */
static bool is_due(const struct hs_block *block, struct trim *trim)
{
    const struct hs_free_block *node = (const struct hs_free_block *)block;

    if (hs_block_bytes(block) < HS_PURGE_BYTES_LEAST || node->dirty_since_ms <= trim->older_than_ms)
        return true;
    trim->left_dirty = true;
    return false;
}

/* Claims the block if it is FREE, at least `least_bytes` long and due. */
static bool claim_if_due(struct hs_arena *arena, struct hs_block *block, size_t least_bytes, struct trim *trim)
{
    uint8_t hint = hs_block_state(block);
    struct hs_freelist *list;
    bool claimed = false;

    if (!hs_state_is_free(hint) || hs_state_list(hint) >= HS_LISTS)
        return false;
    list = &arena->lists[hs_state_list(hint)];
    hs_mutex_lock(&list->lock);
    if (hs_block_state(block) == hint && hs_freelist_plausible(list, (struct hs_free_block *)block) &&
        hs_block_bytes(block) >= least_bytes && is_due(block, trim) && hs_arena_take_off_locked(arena, list, block)) {
        list->account.claimed++;
        claimed = true;
    }
    hs_mutex_unlock(&list->lock);
    return claimed;
}

/* Regions from mmap or hooks that are one free block go back whole. */
static void release_region_locked(struct hs_arena *arena, struct hs_region *region, struct trim *trim)
    HS_REQUIRES(arena->lock)
{
    struct hs_block *block = hs_region_first_block(region);
    size_t bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    if (region->kind != HS_REGION_MAPPED && region->kind != HS_REGION_HOOKED)
        return;
    if (!claim_if_due(arena, block, bytes - HS_REGION_OVERHEAD_BYTES, trim))
        return;
    arena->account.settled++;
    /* Out of the map first: once unmapped, the addresses may be anybody's. */
    hs_arena_detach_region_locked(arena, region);
    if (hs_arena_unmap_region(arena, region->base, bytes, region->kind)) {
        hs_region_give(region);
        trim->gave_back = true;
    } else {
        hs_arena_attach_region_locked(arena, region);
        hs_arena_publish_block(arena, block, 0);
    }
}

/* By how much the break may be lowered where `tail_bytes` before the END tag are free: whole granules, and no part of a
 * huge page. */
static size_t cut_bytes_of(const struct hs_region *top, size_t tail_bytes, size_t keep_bytes)
{
    uintptr_t end = (uintptr_t)top->base + hs_load_relaxed(&top->bytes); /* relaxed: under the arena's lock */
    size_t kept_bytes = keep_bytes > HS_BLOCK_BYTES_LEAST ? keep_bytes : HS_BLOCK_BYTES_LEAST;
    size_t cut_bytes = tail_bytes > kept_bytes ? (tail_bytes - kept_bytes) & ~(HS_GRANULE_BYTES - 1) : 0;
    uintptr_t kept_end = end - cut_bytes;

    if (kept_end > (uintptr_t)top->huge_from && kept_end < (uintptr_t)top->huge_to)
        kept_end += -kept_end & (HS_HUGE_PAGE_BYTES - 1);
    return end - kept_end;
}

/* Whether lowering the break would take anything from the free block before the END tag. */
static bool is_worth_lowering(const struct hs_region *top, const struct hs_block *tail, const struct trim *trim)
{
    if (tail == hs_region_first_block(top) && trim->keep_bytes == 0)
        return true;
    return cut_bytes_of(top, hs_block_bytes(tail), trim->keep_bytes) > 0;
}

/* Claims the free block at the end of the top region if that is worth it, and due; NULL otherwise. */
static struct hs_block *claim_tail_if_due(struct hs_arena *arena, struct hs_region *top, struct trim *trim)
{
    struct hs_block *end = hs_region_end_tag(top);
    uint8_t hint = hs_block_left(end);
    struct hs_freelist *list;
    struct hs_block *tail = NULL;

    if (hint == 0 || hint > HS_LISTS)
        return NULL;
    list = &arena->lists[hint - 1];
    hs_mutex_lock(&list->lock);
    if (hs_block_left(end) == hint) {
        tail = hs_block_left_of(end);
        if (hs_freelist_plausible(list, (struct hs_free_block *)tail) && hs_block_right(tail) == end &&
            is_worth_lowering(top, tail, trim) && is_due(tail, trim) && hs_arena_take_off_locked(arena, list, tail))
            list->account.claimed++;
        else
            tail = NULL;
    }
    hs_mutex_unlock(&list->lock);
    return tail;
}

/* Moves the END tag of a region down to `end`; the block before it is BUSY and ours. */
static void move_end_locked(struct hs_arena *arena, struct hs_region *region, struct hs_block *block, size_t cut_bytes)
    HS_REQUIRES(arena->lock)
{
    size_t bytes = hs_load_relaxed(&region->bytes) - cut_bytes;

    hs_mutex_assert_held(&arena->lock);
    hs_region_leave(region->base + bytes, cut_bytes);
    hs_memory_open(region->base + bytes, cut_bytes);
    hs_memory_root(region->base, bytes + cut_bytes, bytes);
    hs_store_relaxed(&region->bytes, bytes); /* relaxed: region.h, field table */
    if (region->huge_to > region->base + bytes)
        region->huge_to = region->base + bytes;
    if (region->huge_to <= region->huge_from)
        region->huge_from = region->huge_to = NULL;
    hs_arena_count_bytes_locked(arena, (size_t)0 - cut_bytes);
    hs_block_set_bytes(block, hs_block_bytes(block) - cut_bytes, arena->number);
    hs_arena_write_end_tag(arena, region);
}

/* The whole top region of the break goes back; all of it is the one BUSY block. False where the OS refuses. */
static bool release_top_locked(struct hs_arena *arena, struct hs_region *top) HS_REQUIRES(arena->lock)
{
    size_t bytes = hs_load_relaxed(&top->bytes); /* relaxed: under the arena's lock */

    hs_arena_detach_region_locked(arena, top);
    if (!hs_os_break_lower(top->base + bytes, bytes)) {
        hs_arena_attach_region_locked(arena, top);
        return false;
    }
    hs_region_give(top);
    return true;
}

/* As much of the BUSY block before the END tag goes back as may be. False where the OS refuses. */
static bool lower_top_locked(struct hs_arena *arena, struct hs_region *top, struct hs_block *block, size_t keep_bytes)
    HS_REQUIRES(arena->lock)
{
    char *end = top->base + hs_load_relaxed(&top->bytes); /* relaxed: under the arena's lock */
    size_t cut_bytes = cut_bytes_of(top, hs_block_bytes(block), keep_bytes);

    move_end_locked(arena, top, block, cut_bytes);
    if (hs_os_break_lower(end, cut_bytes))
        return true;
    block = hs_arena_extend_region_locked(arena, top, cut_bytes);
    hs_arena_set_age(block, (struct hs_age){false, hs_os_now_ms()});
    hs_arena_publish_block(arena, block, 0);
    return false;
}

/* The free block at the top of the break goes back but for what is to be kept. */
static void lower_break_locked(struct hs_arena *arena, struct trim *trim) HS_REQUIRES(arena->lock)
{
    struct hs_region *top = arena->break_top;
    struct hs_block *block;

    if (top == NULL || !hs_os_break_may_be_lowered_from((char *)hs_region_end_tag(top) + HS_TAG_BYTES))
        return;
    block = claim_tail_if_due(arena, top, trim);
    if (block == NULL)
        return;
    arena->account.settled++;
    if (block == hs_region_first_block(top) && trim->keep_bytes == 0) {
        trim->lowered_break = release_top_locked(arena, top);
        if (trim->lowered_break)
            return;
    } else {
        trim->lowered_break = lower_top_locked(arena, top, block, trim->keep_bytes);
    }
    hs_arena_publish_block(arena, block, 0);
}

/* The whole pages inside a free block, but for those with its links and its footer. Where huge pages were asked for
 * these count: a part of one goes back only when all of it does, and leaves small pages behind. */
static void purge_block(struct hs_freelist *list, struct hs_free_block *node, struct trim *trim) HS_REQUIRES(list->lock)
{
    const struct hs_region *region = hs_region_find(node);
    uintptr_t huge_from = (uintptr_t)region->huge_from, huge_to = (uintptr_t)region->huge_to;
    uintptr_t page = hs_os_page_bytes();
    uintptr_t first = ((uintptr_t)node + sizeof *node + page - 1) & ~(page - 1);
    uintptr_t last = ((uintptr_t)hs_block_footer_before(hs_block_right(&node->tag))) & ~(page - 1);

    hs_mutex_assert_held(&list->lock);
    if (first > huge_from && first < huge_to)
        first += -first & (HS_HUGE_PAGE_BYTES - 1);
    if (last > huge_from && last < huge_to)
        last &= ~(HS_HUGE_PAGE_BYTES - 1);
    if (last <= first || node->purged != 0)
        return;
    if (hs_os_purge((void *)first, last - first)) {
        node->purged = 1;
        trim->gave_back = true;
    }
}

static void purge_list(struct hs_arena *arena, unsigned index, struct trim *trim)
{
    struct hs_freelist *list = &arena->lists[index];

    hs_mutex_lock(&list->lock);
    for (struct hs_free_block *node = list->head; node != NULL; node = node->next) {
        if (!hs_freelist_is_undamaged(list, node)) {
            hs_freelist_note_damage(hs_block_payload(&node->tag));
            break;
        }
        if (is_due(&node->tag, trim))
            purge_block(list, node, trim);
    }
    hs_mutex_unlock(&list->lock);
}

static void trim_locked(struct hs_arena *arena, struct trim *trim) HS_REQUIRES(arena->lock)
{
    hs_mutex_assert_held(&arena->lock);
    if (arena->source == HS_REGION_BUFFER)
        return;
    for (struct hs_region *region = arena->regions, *next; region != NULL; region = next) {
        next = region->next;
        release_region_locked(arena, region, trim);
    }
    lower_break_locked(arena, trim);
    if (arena->source == HS_REGION_HOOKED)
        return;
    for (unsigned k = hs_freelist_index(trim->least_bytes); k < HS_LISTS; k++)
        purge_list(arena, k, trim);
}

enum hs_trimmed hs_arena_trim(struct hs_arena *arena, size_t keep_bytes)
{
    struct trim trim = {.keep_bytes = keep_bytes, .least_bytes = 2 * hs_os_page_bytes(), .older_than_ms = UINT64_MAX};

    hs_mutex_lock(&arena->lock);
    trim_locked(arena, &trim);
    hs_mutex_unlock(&arena->lock);
    if (trim.lowered_break)
        return HS_TRIMMED_BREAK;
    return trim.gave_back ? HS_TRIMMED_SOMETHING : HS_TRIMMED_NOTHING;
}

void hs_arena_decay(struct hs_arena *arena, uint64_t now_ms)
{
    /* Relaxed: a purge too early or too late does no harm. */
    uint64_t decay_ms = hs_load_relaxed(&hs_options.decay_ms);
    uint64_t due_ms = hs_load_relaxed(&arena->purge_due_ms);
    struct trim trim = {.keep_bytes = HS_DECAY_KEEP_BYTES, .least_bytes = HS_PURGE_BYTES_LEAST};

    if (due_ms == 0 || now_ms < due_ms || !hs_mutex_try_lock(&arena->lock))
        return;
    trim.older_than_ms = now_ms > decay_ms ? now_ms - decay_ms : 0;
    trim_locked(arena, &trim);
    hs_store_relaxed(&arena->purge_due_ms, trim.left_dirty ? now_ms + decay_ms : 0);
    hs_mutex_unlock(&arena->lock);
}

/* The memory goes back to its owner, who may make another arena in it: no tag of this one is to verify there. */
static void kill_tags(struct hs_region *region)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);

    while (block < end && hs_block_is_intact(block)) {
        hs_block_set_state(block, HS_STATE_DEAD);
        block = hs_block_right(block);
    }
}

/* What the program did not free before it destroyed the arena. */
static void free_visibly(struct hs_region *region)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);

    for (; block < end && hs_block_is_intact(block); block = hs_block_right(block))
        if (hs_block_state(block) == HS_STATE_USED)
            hs_visible_freed(hs_block_payload(block));
}

struct hs_region *hs_arena_return_regions(struct hs_arena *arena)
{
    struct hs_region *refused = NULL;

    hs_mutex_lock(&arena->lock);
    while (arena->regions != NULL) {
        struct hs_region *region = arena->regions;
        size_t bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

        if (HS_VISIBLE)
            free_visibly(region);
        if (hs_region_is_overlay(region))
            kill_tags(region);
        hs_arena_detach_region_locked(arena, region);
        if (region->kind == HS_REGION_BUFFER || hs_arena_unmap_region(arena, region->base, bytes, region->kind))
            hs_region_give(region);
        else
            hs_region_link(&refused, region);
    }
    hs_mutex_unlock(&arena->lock);
    return refused;
}
