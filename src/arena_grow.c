#include "arena_moves.h"
#include "options.h"
#include "os.h"
#include "visible.h"

/* Growth beyond what a request needs, so that the OS is asked rarely: an eighth of the arena. Address space alone;
 * pages are touched when blocks are. */
#define STEP_BYTES_LEAST ((size_t)256 * 1024)
#define STEP_BYTES_MOST ((size_t)32 * 1024 * 1024)

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

/* From these sizes of an arena on. The first huge page that is not full yet is then a small part of it, and so is the
 * memory that was populated and is not used yet. */
#define HUGE_ARENA_BYTES_LEAST ((size_t)64 * 1024 * 1024)
#define POPULATED_ARENA_BYTES_LEAST ((size_t)4 * 1024 * 1024)
#define POPULATED_STEP_BYTES_MOST ((size_t)1024 * 1024)

/* Relaxed: options may change at any time; this growth or the next one obeys. */
static bool wants_huge_locked(const struct hs_arena *arena) HS_REQUIRES(arena->lock)
{
    return hs_load_relaxed(&hs_options.hugepages) && arena->source != HS_REGION_HOOKED &&
           arena->region_bytes >= HUGE_ARENA_BYTES_LEAST;
}

static bool populates_locked(const struct hs_arena *arena) HS_REQUIRES(arena->lock)
{
    return hs_load_relaxed(&hs_options.populate) && arena->source != HS_REGION_HOOKED &&
           arena->region_bytes >= POPULATED_ARENA_BYTES_LEAST;
}

static size_t step_bytes_locked(const struct hs_arena *arena) HS_REQUIRES(arena->lock)
{
    size_t step = round_up(arena->region_bytes / 8, HS_GRANULE_BYTES);
    size_t most = STEP_BYTES_MOST;

    if (wants_huge_locked(arena))
        step = round_up(step, HS_HUGE_PAGE_BYTES);
    else if (populates_locked(arena))
        most = POPULATED_STEP_BYTES_MOST;
    if (step < STEP_BYTES_LEAST)
        return STEP_BYTES_LEAST;
    return step < most ? step : most;
}

/* The same for memory that begins at `end`: a step ends where a huge page does. */
static size_t step_bytes_from_locked(const struct hs_arena *arena, const char *end) HS_REQUIRES(arena->lock)
{
    size_t step = step_bytes_locked(arena);

    if (wants_huge_locked(arena))
        step += -((uintptr_t)end + step) & (HS_HUGE_PAGE_BYTES - 1);
    return step;
}

/* Asks for huge pages up to the one with the END tag: that one is touched long before it is needed. */
static void want_huge_locked(struct hs_arena *arena, struct hs_region *region) HS_REQUIRES(arena->lock)
{
    uintptr_t base = (uintptr_t)region->base;
    uintptr_t last = (base + hs_load_relaxed(&region->bytes) - HS_TAG_BYTES) & ~(HS_HUGE_PAGE_BYTES - 1);
    uintptr_t first = region->huge_to != NULL ? (uintptr_t)region->huge_to : round_up(base, HS_HUGE_PAGE_BYTES);

    hs_mutex_assert_held(&arena->lock);
    if (first >= last || !hs_os_want_huge((void *)first, last - first))
        return;
    if (region->huge_from == NULL)
        region->huge_from = (char *)first;
    region->huge_to = (char *)last;
}

/* What is asked of the kernel for the last `bytes` of the region, which are new. It may refuse all of it. */
static void prepare_pages_locked(struct hs_arena *arena, struct hs_region *region, size_t bytes)
    HS_REQUIRES(arena->lock)
{
    char *end = region->base + hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    if (wants_huge_locked(arena))
        want_huge_locked(arena, region);
    if (populates_locked(arena) && bytes <= POPULATED_STEP_BYTES_MOST)
        (void)hs_os_populate(end - bytes, bytes);
}

_Atomic size_t hs_arena_all_region_bytes;

void hs_arena_count_bytes_locked(struct hs_arena *arena, size_t bytes)
{
    hs_mutex_assert_held(&arena->lock);
    arena->region_bytes += bytes;
    (void)hs_add_relaxed(&hs_arena_all_region_bytes, bytes);
}

void hs_arena_write_end_tag(struct hs_arena *arena, struct hs_region *region)
{
    struct hs_block *end = hs_region_end_tag(region);

    hs_block_set_bytes(end, 0, arena->number);
    hs_block_set_left(end, 0);
    hs_block_set_state(end, HS_STATE_END);
}

/* Relaxed: written under the arena's lock before the first block of the new memory can be seen under another. */
static void widen_bounds(struct hs_arena *arena, const char *base, size_t bytes)
{
    if ((uintptr_t)base < hs_load_relaxed(&arena->bounds.low))
        hs_store_relaxed(&arena->bounds.low, (uintptr_t)base);
    if ((uintptr_t)base + bytes > hs_load_relaxed(&arena->bounds.high))
        hs_store_relaxed(&arena->bounds.high, (uintptr_t)base + bytes);
}

static bool enter_map(struct hs_region *region, size_t bytes)
{
    if (!hs_region_is_overlay(region))
        return hs_region_enter(region, region->base, bytes);
    hs_region_overlay_add(region);
    return true;
}

/* False where the region map has no memory. */
static bool attach_locked(struct hs_arena *arena, struct hs_region *region) HS_REQUIRES(arena->lock)
{
    size_t bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    if (!enter_map(region, bytes))
        return false;
    hs_region_link(&arena->regions, region);
    if (region->kind == HS_REGION_BREAK)
        arena->break_top = region;
    arena->region_count++;
    hs_arena_count_bytes_locked(arena, bytes);
    widen_bounds(arena, region->base, bytes);
    hs_memory_close(region->base, bytes);
    hs_memory_root(region->base, 0, bytes);
    return true;
}

void hs_arena_attach_region_locked(struct hs_arena *arena, struct hs_region *region)
{
    hs_mutex_assert_held(&arena->lock);
    (void)attach_locked(arena, region); /* the leaves of the map are there from the first time */
}

/* The region that the break may extend next: of those from the break the one furthest up. */
static struct hs_region *highest_break_region_locked(const struct hs_arena *arena) HS_REQUIRES(arena->lock)
{
    struct hs_region *highest = NULL;

    for (struct hs_region *region = arena->regions; region != NULL; region = region->next)
        if (region->kind == HS_REGION_BREAK && (highest == NULL || region->base > highest->base))
            highest = region;
    return highest;
}

void hs_arena_detach_region_locked(struct hs_arena *arena, struct hs_region *region)
{
    size_t bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    hs_mutex_assert_held(&arena->lock);
    if (hs_region_is_overlay(region))
        hs_region_overlay_remove(region);
    else
        hs_region_leave(region->base, bytes);
    hs_region_unlink(&arena->regions, region);
    if (arena->break_top == region)
        arena->break_top = highest_break_region_locked(arena);
    arena->region_count--;
    hs_arena_count_bytes_locked(arena, (size_t)0 - bytes);
    hs_memory_open(region->base, bytes);
    hs_memory_root(region->base, bytes, 0);
}

/* A new region of the arena, all of it one BUSY block, which is returned; NULL where there is no descriptor. */
static struct hs_block *add_region_locked(struct hs_arena *arena, char *base, size_t bytes, enum hs_region_kind kind)
    HS_REQUIRES(arena->lock)
{
    struct hs_region *region = hs_region_take();
    struct hs_block *block;

    if (region == NULL)
        return NULL;
    region->base = base;
    hs_store_relaxed(&region->bytes, bytes); /* relaxed: published by the map's entry */
    region->kind = kind;
    region->arena = arena;
    hs_arena_write_end_tag(arena, region);
    block = hs_region_first_block(region);
    hs_arena_make_block(arena, block, bytes - HS_REGION_OVERHEAD_BYTES);
    if (!attach_locked(arena, region)) {
        hs_region_give(region);
        return NULL;
    }
    return block;
}

/* Bytes of the free block at the end of the region, 0 where there is none: a hint, true while it was looked at. */
static size_t tail_bytes_locked(struct hs_arena *arena, struct hs_region *region) HS_REQUIRES(arena->lock)
{
    struct hs_block *end = hs_region_end_tag(region);
    uint8_t hint = hs_block_left(end);
    struct hs_freelist *list;
    size_t bytes = 0;

    if (hint == 0 || hint > HS_LISTS)
        return 0;
    list = &arena->lists[hint - 1];
    hs_mutex_lock(&list->lock);
    if (hs_block_left(end) == hint)
        bytes = (size_t)*hs_block_footer_before(end);
    hs_mutex_unlock(&list->lock);
    return bytes;
}

struct hs_block *hs_arena_extend_region_locked(struct hs_arena *arena, struct hs_region *region, size_t bytes)
{
    struct hs_block *block = hs_region_end_tag(region);
    size_t old_bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    hs_mutex_assert_held(&arena->lock);
    if (!hs_region_enter(region, region->base + old_bytes, bytes))
        return NULL;
    hs_store_relaxed(&region->bytes, old_bytes + bytes);
    hs_arena_count_bytes_locked(arena, bytes);
    widen_bounds(arena, region->base, old_bytes + bytes);
    hs_memory_close(region->base + old_bytes, bytes);
    hs_memory_root(region->base, old_bytes, old_bytes + bytes);
    hs_arena_write_end_tag(arena, region);
    /* The END tag becomes the block's: what it says of its left neighbour stays true. */
    hs_block_set_bytes(block, bytes, arena->number);
    hs_block_set_state(block, HS_STATE_BUSY);
    return block;
}

static struct hs_span raise_break(size_t want, size_t step)
{
    struct hs_span span = hs_os_break_raise(want > step ? want : step);

    if (span.base == NULL && want < step)
        span = hs_os_break_raise(want);
    return span;
}

/* New memory from the break as a BUSY block: at the end of the top region where the break still is there, and then
 * enough together with the free block before it; otherwise as a new region. NULL where there is none. */
static struct hs_block *more_from_break_locked(struct hs_arena *arena, size_t need) HS_REQUIRES(arena->lock)
{
    struct hs_region *top = arena->break_top;
    size_t top_bytes = top != NULL ? hs_load_relaxed(&top->bytes) : 0;
    size_t step = step_bytes_from_locked(arena, top != NULL ? top->base + top_bytes : NULL);
    size_t want = need + HS_REGION_OVERHEAD_BYTES;
    struct hs_block *block;
    struct hs_span span;

    if (top != NULL && hs_os_break_is_at(top->base + top_bytes)) {
        size_t tail = tail_bytes_locked(arena, top);
        size_t missing = need > tail ? need - tail : 1;

        if (top_bytes + (missing > step ? missing : step) <= HS_REGION_BYTES_MAX - HS_GRANULE_BYTES)
            want = missing;
    }
    span = raise_break(round_up(want, HS_GRANULE_BYTES), step);
    if (span.base == NULL)
        return NULL;
    /* A span that happens to follow is taken in even where that was not planned. */
    if (top != NULL && span.base == top->base + top_bytes && top_bytes + span.bytes <= HS_REGION_BYTES_MAX)
        block = hs_arena_extend_region_locked(arena, top, span.bytes);
    else
        block = add_region_locked(arena, span.base, span.bytes, HS_REGION_BREAK);
    if (block == NULL)
        (void)hs_os_break_lower(span.base + span.bytes, span.bytes);
    else
        prepare_pages_locked(arena, arena->break_top, span.bytes);
    return block;
}

static void *map_region(const struct hs_arena *arena, size_t bytes, size_t alignment, enum hs_region_kind kind)
{
    if (kind == HS_REGION_HOOKED)
        return arena->hooks.map(bytes, arena->hooks.context);
    return hs_os_map_aligned(bytes, alignment, 0);
}

bool hs_arena_unmap_region(const struct hs_arena *arena, char *base, size_t bytes, enum hs_region_kind kind)
{
    if (kind == HS_REGION_HOOKED) {
        arena->hooks.unmap(base, bytes, arena->hooks.context);
        return true;
    }
    return hs_os_unmap(base, bytes);
}

/* A new region from mmap or from the arena's hooks, as a BUSY block; NULL where there is none. */
static struct hs_block *more_from_mapping_locked(struct hs_arena *arena, size_t need) HS_REQUIRES(arena->lock)
{
    enum hs_region_kind kind = arena->source == HS_REGION_HOOKED ? HS_REGION_HOOKED : HS_REGION_MAPPED;
    size_t want = round_up(need + HS_REGION_OVERHEAD_BYTES, HS_GRANULE_BYTES);
    size_t alignment = wants_huge_locked(arena) ? HS_HUGE_PAGE_BYTES : HS_GRANULE_BYTES;
    size_t step = step_bytes_locked(arena), bytes = want > step ? want : step;
    char *base = map_region(arena, bytes, alignment, kind);
    struct hs_block *block = NULL;

    if (base == NULL && want < step) {
        bytes = want;
        base = map_region(arena, bytes, alignment, kind);
    }
    if (base == NULL)
        return NULL;
    if ((uintptr_t)base % HS_ALIGNMENT == 0)
        block = add_region_locked(arena, base, bytes, kind);
    if (block == NULL)
        (void)hs_arena_unmap_region(arena, base, bytes, kind);
    else
        prepare_pages_locked(arena, arena->regions, bytes);
    return block;
}

struct hs_pieces hs_arena_grow_locked(struct hs_arena *arena, const struct hs_request *request)
{
    bool break_has_memory = arena->source == HS_REGION_BREAK;
    struct hs_pieces pieces = {.block = NULL};

    hs_mutex_assert_held(&arena->lock);
    if (arena->source == HS_REGION_BUFFER)
        return pieces;
    for (;;) {
        uint64_t claims = 0;
        struct hs_block *block = NULL;

        if (break_has_memory) {
            block = more_from_break_locked(arena, request->search_bytes);
            break_has_memory = block != NULL;
        }
        if (block == NULL)
            block = more_from_mapping_locked(arena, request->search_bytes);
        if (block == NULL)
            return pieces;
        /* What the OS gave counts as claimed like what a list gave, until it is published or handed out. */
        hs_arena_set_age(block, (struct hs_age){true, 0});
        arena->account.claimed++;
        claims++;
        block = hs_arena_claim_left(arena, block, &claims);
        if (hs_block_bytes(block) >= request->search_bytes) {
            pieces = hs_arena_cut(arena, block, request, &arena->account);
            pieces.claims = claims;
            if (pieces.front == NULL && pieces.tail == NULL)
                arena->account.settled += claims;
            return pieces;
        }
        /* The free block before it was taken in the meantime, or somebody else's break came between. */
        hs_arena_publish_block(arena, block, claims);
    }
}

bool hs_arena_adopt_buffer(struct hs_arena *arena, void *base, size_t bytes)
{
    size_t skipped = (size_t)(-(uintptr_t)base & (HS_ALIGNMENT - 1));
    struct hs_block *block;

    if (bytes < skipped + HS_REGION_OVERHEAD_BYTES + HS_BLOCK_BYTES_LEAST)
        return false;
    bytes = (bytes - skipped) & ~(HS_ALIGNMENT - 1);
    hs_mutex_lock(&arena->lock);
    block = add_region_locked(arena, (char *)base + skipped, bytes, HS_REGION_BUFFER);
    if (block != NULL) {
        hs_arena_set_age(block, (struct hs_age){true, 0});
        hs_arena_publish_block(arena, block, 0);
    }
    hs_mutex_unlock(&arena->lock);
    return block != NULL;
}
