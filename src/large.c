#include "large.h"

#include <string.h>

#include "block.h"
#include "large_cache.h"
#include "os.h"
#include "visible.h"

void hs_large_init(struct hs_large_set *set, struct hs_arena *arena)
{
    memset(set, 0, sizeof *set);
    set->arena = arena;
    hs_mutex_init(&set->lock, HS_RANK_LARGE);
}

/* Page, payload; 0 where that overflows. */
static size_t mapping_bytes_for(size_t payload_bytes)
{
    size_t page = hs_os_page_bytes();
    size_t bytes;

    if (payload_bytes > (size_t)PTRDIFF_MAX - 2 * page)
        return 0;
    bytes = page + ((payload_bytes + page - 1) & ~(page - 1));
    return bytes > HS_GRANULE_BYTES ? bytes : HS_GRANULE_BYTES;
}

static size_t bytes_of(const struct hs_region *region)
{
    return hs_load_relaxed(&region->bytes); /* relaxed: by the owner of the block, or under the set's lock */
}

static struct hs_block *tag_of(const struct hs_region *region)
{
    return hs_block_of(hs_large_payload(region));
}

static void write_tag(const struct hs_region *region)
{
    struct hs_block *tag = tag_of(region);

    hs_block_set_bytes(tag, 0, HS_ARENA_LARGE);
    hs_block_set_left(tag, 0);
    hs_block_set_state(tag, HS_STATE_LARGE);
}

/* A process at the end of vm.max_map_count may have thousands of idle mappings; a request looks at so many. */
enum { IDLE_LOOKS = 32 };

/* An idle mapping that serves the request, off its list; or NULL. */
static struct hs_region *take_idle(struct hs_large_set *set, size_t mapping_bytes, size_t alignment)
{
    struct hs_region *region;
    unsigned looks = 0;

    hs_mutex_lock(&set->lock);
    for (region = set->idle; region != NULL && looks < IDLE_LOOKS; region = region->next, looks++)
        if (bytes_of(region) >= mapping_bytes && ((uintptr_t)hs_large_payload(region) & (alignment - 1)) == 0)
            break;
    if (looks == IDLE_LOOKS)
        region = NULL;
    if (region != NULL)
        hs_region_unlink(&set->idle, region);
    hs_mutex_unlock(&set->lock);
    return region;
}

static struct hs_region *map_region(size_t mapping_bytes, size_t alignment)
{
    struct hs_region *region = hs_region_take();
    char *base;

    if (region == NULL)
        return NULL;
    base = hs_os_map_aligned(mapping_bytes, alignment, hs_os_page_bytes());
    if (base == NULL) {
        hs_region_give(region);
        return NULL;
    }
    region->base = base;
    hs_store_relaxed(&region->bytes, mapping_bytes); /* relaxed: published by the map's entry */
    region->kind = HS_REGION_LARGE;
    return region;
}

static void link_idle(struct hs_large_set *set, struct hs_region *region)
{
    hs_mutex_lock(&set->lock);
    hs_region_link(&set->idle, region);
    hs_mutex_unlock(&set->lock);
}

void hs_large_keep_idle(struct hs_large_set *set, struct hs_region *region)
{
    region->kind = HS_REGION_LARGE;
    if (!hs_os_purge(region->base, bytes_of(region)))
        memset(region->base, 0, bytes_of(region));
    link_idle(set, region);
}

/* The mapping itself, which is in no list and in no map any more. */
static void give_mapping_back(struct hs_large_set *set, struct hs_region *region)
{
    if (hs_os_unmap(region->base, bytes_of(region)))
        hs_region_give(region);
    else
        hs_large_keep_idle(set, region);
}

/* All of a list that large_cache.h gave out. */
static bool give_back(struct hs_large_set *set, struct hs_region *leaving)
{
    bool any = leaving != NULL;

    while (leaving != NULL) {
        struct hs_region *region = leaving;

        hs_region_unlink(&leaving, region);
        give_mapping_back(set, region);
    }
    return any;
}

/* A mapping for a block: from the cache, of those the kernel refused, or new. */
static struct hs_region *find_mapping(struct hs_large_set *set, size_t mapping_bytes, size_t alignment, bool *zeroed)
{
    struct hs_region *region = hs_large_cache_take(set, mapping_bytes, alignment);

    *zeroed = region == NULL;
    if (region == NULL)
        region = take_idle(set, mapping_bytes, alignment);
    if (region == NULL)
        region = map_region(mapping_bytes, alignment);
    return region;
}

/* The same, ready for use and in the region map. */
static struct hs_region *make_block(struct hs_large_set *set, size_t mapping_bytes, size_t alignment, bool *zeroed)
{
    struct hs_region *region = find_mapping(set, mapping_bytes, alignment, zeroed);

    if (region == NULL)
        return NULL;
    region->set = set;
    region->is_oversized = bytes_of(region) != mapping_bytes;
    write_tag(region);
    if (hs_region_enter(region, hs_large_payload(region), 1)) {
        hs_memory_close(region->base, bytes_of(region));
        return region;
    }
    give_mapping_back(set, region);
    return NULL;
}

void *hs_large_allocate(struct hs_large_set *set, size_t bytes, size_t alignment, bool *zeroed)
{
    size_t mapping_bytes = mapping_bytes_for(bytes);
    struct hs_region *region, *leaving;
    bool is_zero = false;

    *zeroed = false;
    if (mapping_bytes == 0)
        return NULL;
    region = make_block(set, mapping_bytes, alignment, &is_zero);
    /* What is missing, memory, address space or mappings, may be what the cache holds. */
    if (region == NULL && hs_large_trim(set))
        region = make_block(set, mapping_bytes, alignment, &is_zero);
    if (region == NULL)
        return NULL;
    *zeroed = is_zero;
    hs_mutex_lock(&set->lock);
    hs_region_link(&set->head, region);
    region->is_live = true;
    set->blocks++;
    set->bytes += bytes_of(region);
    set->allocations++;
    hs_memory_root(region->base, 0, bytes_of(region));
    hs_store_relaxed(&set->was_used, true);
    hs_large_cache_note_peak_locked(set);
    leaving = hs_large_cache_excess_locked(set);
    hs_mutex_unlock(&set->lock);
    (void)give_back(set, leaving);
    return hs_large_payload(region);
}

bool hs_large_release(struct hs_region *region, const void *payload)
{
    struct hs_large_set *set = region->set;
    struct hs_region *leaving;

    if (set == NULL)
        return false;
    hs_mutex_lock(&set->lock);
    if (!region->is_live || region->set != set || hs_large_payload(region) != payload) {
        hs_mutex_unlock(&set->lock);
        return false;
    }
    region->is_live = false;
    hs_region_unlink(&set->head, region);
    set->blocks--;
    set->bytes -= bytes_of(region);
    set->frees++;
    hs_memory_root(region->base, bytes_of(region), 0);
    /* Out of the map first: once given back, the addresses may be anybody's. */
    hs_region_leave(payload, 1);
    hs_large_cache_put_locked(set, region, hs_os_now_ms());
    leaving = hs_large_cache_excess_locked(set);
    hs_mutex_unlock(&set->lock);
    (void)give_back(set, leaving);
    return true;
}

void hs_large_decay(struct hs_large_set *set, uint64_t now_ms)
{
    struct hs_region *leaving;

    if (!hs_load_relaxed(&set->was_used)) /* relaxed: a hint, for processes without large blocks */
        return;
    hs_mutex_lock(&set->lock);
    leaving = hs_large_cache_due_locked(set, now_ms);
    hs_mutex_unlock(&set->lock);
    (void)give_back(set, leaving);
}

/* Moves the mapping to where it fits; its entry in the region map goes with it. */
static void *move_locked(struct hs_large_set *set, struct hs_region *region, size_t mapping_bytes)
    HS_REQUIRES(set->lock)
{
    struct hs_region_leaf *reserved = hs_region_reserve_leaf();
    char *base;

    hs_mutex_assert_held(&set->lock);
    if (reserved == NULL)
        return NULL;
    hs_region_leave(hs_large_payload(region), 1);
    base = hs_os_remap(region->base, bytes_of(region), mapping_bytes, true);
    if (base != NULL)
        hs_large_cache_note_move(region, base);
    write_tag(region);
    hs_region_enter_reserved(region, hs_large_payload(region), reserved);
    return base;
}

/* Lengthens the block where it stands by what is free behind it, or by moving its pages; shortens it in place. */
static bool resize_locked(struct hs_large_set *set, struct hs_region *region, size_t mapping_bytes)
    HS_REQUIRES(set->lock)
{
    size_t old_bytes = bytes_of(region);

    hs_mutex_assert_held(&set->lock);
    if (mapping_bytes < old_bytes) {
        if (hs_os_remap(region->base, old_bytes, mapping_bytes, false) == NULL)
            return false;
    } else if (!hs_large_cache_join_locked(set, region, mapping_bytes - old_bytes) &&
               (!HS_TOOL_FOLLOWS_MREMAP || move_locked(set, region, mapping_bytes) == NULL)) {
        return false;
    }
    hs_memory_root(region->base, old_bytes, mapping_bytes);
    hs_store_relaxed(&region->bytes, mapping_bytes); /* relaxed: the owner's own, or read under the lock */
    set->bytes = set->bytes - old_bytes + mapping_bytes;
    hs_large_cache_note_peak_locked(set);
    return true;
}

static bool try_to_resize(struct hs_region *region, size_t mapping_bytes)
{
    struct hs_large_set *set = region->set;
    struct hs_region *leaving;
    bool resized;

    hs_mutex_lock(&set->lock);
    resized = resize_locked(set, region, mapping_bytes);
    leaving = hs_large_cache_excess_locked(set);
    hs_mutex_unlock(&set->lock);
    (void)give_back(set, leaving);
    return resized;
}

void *hs_large_resize(struct hs_region *region, size_t bytes)
{
    size_t mapping_bytes = mapping_bytes_for(bytes);
    bool resized, grows = mapping_bytes > bytes_of(region);

    if (mapping_bytes == 0)
        return NULL;
    resized = mapping_bytes == bytes_of(region) || try_to_resize(region, mapping_bytes);
    if (!resized && grows && hs_large_trim(region->set))
        resized = try_to_resize(region, mapping_bytes);
    if (!resized && grows)
        return NULL;
    /* A mapping that the kernel will not shorten stays as long as it is. */
    region->is_oversized = !resized;
    return hs_large_payload(region);
}

void hs_large_release_all(struct hs_large_set *set, struct hs_large_set *heir)
{
    while (set->head != NULL) {
        hs_visible_freed(hs_large_payload(set->head));
        (void)hs_large_release(set->head, hs_large_payload(set->head));
    }
    (void)hs_large_trim(set);
    while (set->idle != NULL) {
        struct hs_region *region = set->idle;

        hs_region_unlink(&set->idle, region);
        link_idle(heir, region);
    }
}

/* What the kernel takes of the idle mappings by now. */
static bool trim_idle(struct hs_large_set *set)
{
    bool gave_back = false;

    hs_mutex_lock(&set->lock);
    for (struct hs_region *region = set->idle, *next; region != NULL; region = next) {
        next = region->next;
        if (!hs_os_unmap(region->base, bytes_of(region)))
            continue;
        hs_region_unlink(&set->idle, region);
        hs_region_give(region);
        gave_back = true;
    }
    hs_mutex_unlock(&set->lock);
    return gave_back;
}

bool hs_large_trim(struct hs_large_set *set)
{
    bool gave_back = trim_idle(set);
    struct hs_region *leaving;

    hs_mutex_lock(&set->lock);
    leaving = hs_large_cache_empty_locked(set);
    hs_mutex_unlock(&set->lock);
    return give_back(set, leaving) || gave_back;
}

size_t hs_large_slack_bytes(const struct hs_region *region)
{
    size_t usable_bytes = hs_large_usable_bytes(region);

    /* The shortest mapping serves the smallest requests, and an oversized one any. */
    if (region->is_oversized || bytes_of(region) == HS_GRANULE_BYTES)
        return usable_bytes;
    return hs_os_page_bytes() - 1;
}
