#include "large_cache.h"

#include "arena.h"
#include "options.h"
#include "os.h"

/* Of all sets. Relaxed: whether trimming could help a request. */
static _Atomic size_t all_cached_bytes;

size_t hs_large_all_cached_bytes(void)
{
    return hs_load_relaxed(&all_cached_bytes);
}

static size_t bytes_of(const struct hs_region *region)
{
    return hs_load_relaxed(&region->bytes); /* relaxed: under the set's lock, or by the only one who knows the region */
}

static void link_locked(struct hs_large_set *set, struct hs_region *region) HS_REQUIRES(set->lock)
{
    hs_mutex_assert_held(&set->lock);
    hs_region_link(&set->cached, region);
    set->cached_runs++;
    set->cached_bytes += bytes_of(region);
    (void)hs_add_relaxed(&all_cached_bytes, bytes_of(region));
}

static void unlink_locked(struct hs_large_set *set, struct hs_region *region) HS_REQUIRES(set->lock)
{
    hs_mutex_assert_held(&set->lock);
    hs_region_unlink(&set->cached, region);
    set->cached_runs--;
    set->cached_bytes -= bytes_of(region);
    (void)hs_subtract_relaxed(&all_cached_bytes, bytes_of(region));
}

/* Cuts a run that is off the list to `bytes`. Returns the rest of it, or NULL where there is no descriptor. */
static struct hs_region *cut(struct hs_region *region, size_t bytes)
{
    struct hs_region *rest = hs_region_take();

    if (rest == NULL)
        return NULL;
    rest->kind = HS_REGION_LARGE;
    rest->set = region->set;
    rest->base = region->base + bytes;
    rest->cached_since_ms = region->cached_since_ms;
    rest->moved_by = region->moved_by;
    hs_store_relaxed(&rest->bytes, bytes_of(region) - bytes); /* relaxed: nobody else knows it yet */
    hs_store_relaxed(&region->bytes, bytes);                  /* relaxed: see bytes_of */
    return rest;
}

void hs_large_cache_note_move(struct hs_region *region, char *base)
{
    region->moved_by =
        (size_t)hs_wrap_add(region->moved_by, hs_wrap_subtract((uintptr_t)base, (uintptr_t)region->base));
    region->base = base;
}

/* ---- put ------------------------------------------------------------------------------------------------------- */

/* The age of a run made of two: each counts by its length. A little block that is freed beside a long run does not make
 * that young, nor the other way round. */
static uint64_t mean_since_ms(const struct hs_region *one, const struct hs_region *other)
{
    bool one_is_older = one->cached_since_ms <= other->cached_since_ms;
    const struct hs_region *older = one_is_older ? one : other, *younger = one_is_older ? other : one;
    uint64_t apart_ms = younger->cached_since_ms - older->cached_since_ms;
    uint64_t younger_pages = bytes_of(younger) / hs_os_page_bytes();
    uint64_t pages = younger_pages + bytes_of(older) / hs_os_page_bytes();

    return older->cached_since_ms + apart_ms * younger_pages / pages;
}

/* Takes the run `other` into `region`; one touches the other. */
static void merge_locked(struct hs_large_set *set, struct hs_region *region, struct hs_region *other)
    HS_REQUIRES(set->lock)
{
    unlink_locked(set, other);
    region->cached_since_ms = mean_since_ms(region, other);
    if (other->base < region->base)
        region->base = other->base;
    hs_store_relaxed(&region->bytes, bytes_of(region) + bytes_of(other)); /* relaxed: see bytes_of */
    hs_region_give(other);
}

void hs_large_cache_put_locked(struct hs_large_set *set, struct hs_region *region, uint64_t now_ms)
{
    hs_mutex_assert_held(&set->lock);
    region->cached_since_ms = now_ms;
    for (struct hs_region *run = set->cached, *next; run != NULL; run = next) {
        next = run->next;
        if (hs_large_cache_touch(run, region) || hs_large_cache_touch(region, run))
            merge_locked(set, region, run);
    }
    link_locked(set, region);
}

/* ---- take ------------------------------------------------------------------------------------------------------ */

/* A run of so small a part of the request saves enough page faults to pay for the call that lengthens it. */
enum { WORTH_LENGTHENING = 8 };

/* The shortest run that serves the request, otherwise the longest that is worth lengthening, otherwise NULL. */
static struct hs_region *find_locked(struct hs_large_set *set, size_t mapping_bytes, size_t alignment)
    HS_REQUIRES(set->lock)
{
    struct hs_region *fit = NULL, *longest = NULL;

    hs_mutex_assert_held(&set->lock);
    for (struct hs_region *run = set->cached; run != NULL; run = run->next) {
        if (bytes_of(run) < mapping_bytes)
            longest = longest == NULL || bytes_of(run) > bytes_of(longest) ? run : longest;
        else if (((uintptr_t)hs_large_payload(run) & (alignment - 1)) == 0)
            fit = fit == NULL || bytes_of(run) < bytes_of(fit) ? run : fit;
    }
    if (fit != NULL)
        return fit;
    /* mremap may move it to where it is aligned to a page and no more. */
    if (longest != NULL && bytes_of(longest) >= mapping_bytes / WORTH_LENGTHENING && alignment <= hs_os_page_bytes())
        return longest;
    return NULL;
}

/* What is too short for a run of its own goes to the OS where it is more than a quarter of the request. */
static void shorten(struct hs_region *region, size_t mapping_bytes)
{
    size_t waste_bytes = bytes_of(region) - mapping_bytes;

    if (waste_bytes > mapping_bytes / 4 && hs_os_unmap(region->base + mapping_bytes, waste_bytes))
        hs_store_relaxed(&region->bytes, mapping_bytes); /* relaxed: see bytes_of */
}

static bool lengthen(struct hs_region *region, size_t mapping_bytes)
{
    char *base = hs_os_remap(region->base, bytes_of(region), mapping_bytes, true);

    if (base == NULL)
        return false;
    hs_large_cache_note_move(region, base);
    hs_store_relaxed(&region->bytes, mapping_bytes); /* relaxed: see bytes_of */
    return true;
}

struct hs_region *hs_large_cache_take(struct hs_large_set *set, size_t mapping_bytes, size_t alignment)
{
    struct hs_region *region, *rest;

    hs_mutex_lock(&set->lock);
    region = find_locked(set, mapping_bytes, alignment);
    if (region != NULL) {
        unlink_locked(set, region);
        if (bytes_of(region) >= mapping_bytes + HS_GRANULE_BYTES) {
            rest = cut(region, mapping_bytes);
            if (rest != NULL)
                link_locked(set, rest);
        }
    }
    hs_mutex_unlock(&set->lock);
    if (region == NULL)
        return NULL;
    if (bytes_of(region) >= mapping_bytes) {
        shorten(region, mapping_bytes);
        return region;
    }
    if (lengthen(region, mapping_bytes))
        return region;
    hs_mutex_lock(&set->lock);
    hs_large_cache_put_locked(set, region, region->cached_since_ms);
    hs_mutex_unlock(&set->lock);
    return NULL;
}

bool hs_large_cache_join_locked(struct hs_large_set *set, const struct hs_region *region, size_t bytes)
{
    struct hs_region *run = set->cached, *rest = NULL;

    hs_mutex_assert_held(&set->lock);
    while (run != NULL && !hs_large_cache_touch(region, run))
        run = run->next;
    if (run == NULL || bytes_of(run) < bytes)
        return false;
    if (bytes_of(run) != bytes && bytes_of(run) < bytes + HS_GRANULE_BYTES)
        return false;
    unlink_locked(set, run);
    if (bytes_of(run) != bytes) {
        rest = cut(run, bytes);
        if (rest == NULL) {
            link_locked(set, run);
            return false;
        }
        link_locked(set, rest);
    }
    hs_region_give(run);
    return true;
}

/* ---- what goes back -------------------------------------------------------------------------------------------- */

void hs_large_cache_note_peak_locked(struct hs_large_set *set)
{
    hs_mutex_assert_held(&set->lock);
    if (set->bytes > set->peak_bytes)
        set->peak_bytes = set->bytes;
}

/* Both are bytes of one address space; a bound that is computed may be more. */
static size_t least_of(uint64_t one, size_t other)
{
    return one < other ? (size_t)one : other;
}

static size_t bound_locked(const struct hs_large_set *set) HS_REQUIRES(set->lock)
{
    uint64_t peak = set->peak_bytes > set->last_peak_bytes ? set->peak_bytes : set->last_peak_bytes;
    uint64_t most = peak + peak / HS_LARGE_CACHE_SHARE;

    /* Relaxed: options may change at any time; this mapping or the next one obeys. */
    if (!hs_load_relaxed(&hs_options.large_cache) || hs_load_relaxed(&hs_options.decay_ms) == 0)
        return 0;
    return most > set->bytes ? least_of(most - set->bytes, HS_LARGE_CACHE_BYTES_MOST + (size_t)(set->bytes / 2)) : 0;
}

static struct hs_region *oldest_locked(const struct hs_large_set *set) HS_REQUIRES(set->lock)
{
    struct hs_region *oldest = set->cached;

    for (struct hs_region *run = set->cached; run != NULL; run = run->next)
        if (run->cached_since_ms <= oldest->cached_since_ms)
            oldest = run;
    return oldest;
}

/* Cuts the end off a run and puts back what stays. Returns the end, or the whole run where it is too short for that. */
static struct hs_region *cut_end_locked(struct hs_large_set *set, struct hs_region *run, size_t end_bytes)
    HS_REQUIRES(set->lock)
{
    size_t page = hs_os_page_bytes();
    struct hs_region *end;

    end_bytes = (end_bytes + page - 1) & ~(page - 1);
    if (end_bytes < HS_GRANULE_BYTES)
        end_bytes = HS_GRANULE_BYTES;
    if (bytes_of(run) < end_bytes + HS_GRANULE_BYTES)
        return run;
    end = cut(run, bytes_of(run) - end_bytes);
    if (end == NULL)
        return run;
    link_locked(set, run);
    return end;
}

static struct hs_region *shrink_to_locked(struct hs_large_set *set, size_t bound_bytes) HS_REQUIRES(set->lock)
{
    struct hs_region *leaving = NULL;

    hs_mutex_assert_held(&set->lock);
    while (set->cached_bytes > bound_bytes || set->cached_runs > HS_LARGE_CACHE_RUNS_MOST) {
        struct hs_region *run = oldest_locked(set);
        size_t excess_bytes = set->cached_bytes > bound_bytes ? set->cached_bytes - bound_bytes : 0;

        unlink_locked(set, run);
        if (set->cached_runs < HS_LARGE_CACHE_RUNS_MOST)
            run = cut_end_locked(set, run, excess_bytes);
        hs_region_link(&leaving, run);
    }
    return leaving;
}

struct hs_region *hs_large_cache_excess_locked(struct hs_large_set *set)
{
    hs_mutex_assert_held(&set->lock);
    return shrink_to_locked(set, bound_locked(set));
}

/* By how much arenas grew since the last look. */
static size_t growth_of_arenas_locked(struct hs_large_set *set) HS_REQUIRES(set->lock)
{
    size_t now_bytes = hs_load_relaxed(&hs_arena_all_region_bytes); /* relaxed: about as much as it was */
    size_t before_bytes = set->seen_region_bytes;

    set->seen_region_bytes = now_bytes;
    return now_bytes > before_bytes ? now_bytes - before_bytes : 0;
}

struct hs_region *hs_large_cache_due_locked(struct hs_large_set *set, uint64_t now_ms)
{
    uint64_t decay_ms = hs_load_relaxed(&hs_options.decay_ms); /* relaxed: old or new, either is right */
    size_t growth_bytes = growth_of_arenas_locked(set), bound_bytes;
    struct hs_region *leaving;

    hs_mutex_assert_held(&set->lock);
    /* The time was read before the lock was taken, and may be older than that of the last look. */
    if (now_ms >= set->period_began_ms && now_ms - set->period_began_ms >= decay_ms) {
        set->period_began_ms = now_ms;
        set->last_peak_bytes = set->peak_bytes;
        set->peak_bytes = set->bytes;
    }
    bound_bytes = set->cached_bytes > growth_bytes ? set->cached_bytes - growth_bytes : 0;
    bound_bytes = least_of(bound_bytes, bound_locked(set));
    leaving = shrink_to_locked(set, bound_bytes);
    for (struct hs_region *run = set->cached, *next; run != NULL; run = next) {
        next = run->next;
        if (now_ms >= run->cached_since_ms && now_ms - run->cached_since_ms >= decay_ms) {
            unlink_locked(set, run);
            hs_region_link(&leaving, run);
        }
    }
    return leaving;
}

struct hs_region *hs_large_cache_empty_locked(struct hs_large_set *set)
{
    hs_mutex_assert_held(&set->lock);
    return shrink_to_locked(set, 0);
}
