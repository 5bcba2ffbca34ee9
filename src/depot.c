#include "depot.h"

#include <string.h>

#include "cache_parts.h"
#include "os.h"
#include "pool.h"
#include "visible_memory.h"

_Static_assert(sizeof(struct hs_magazine) == 128 * sizeof(void *), "sixteen cache lines");
_Static_assert(sizeof(struct hs_slab) == sizeof(struct hs_magazine), "a slab's head takes the place of one magazine");

static struct hs_pool depots = HS_POOL_INITIALIZER(struct hs_depot, (size_t)4 * 1024);

struct hs_depot *hs_depot_make(void)
{
    struct hs_depot *depot = hs_pool_take(&depots);

    if (depot == NULL)
        return NULL;
    hs_mutex_init(&depot->emptying, HS_RANK_EMPTYING);
    hs_mutex_init(&depot->lock, HS_RANK_DEPOT);
    depot->asked_at_ms = hs_os_now_ms();
    return depot;
}

/* Relaxed: written under the lock, read anywhere as a hint. */
static void count_locked(struct hs_depot *depot, unsigned class_index, uint64_t blocks) HS_REQUIRES(depot->lock)
{
    hs_mutex_assert_held(&depot->lock);
    hs_store_relaxed(&depot->blocks, hs_wrap_add(hs_load_relaxed(&depot->blocks), blocks));
    hs_store_relaxed(&depot->bytes, hs_wrap_add(hs_load_relaxed(&depot->bytes),
                                                hs_wrap_multiply(blocks, hs_class_bytes(class_index))));
}

static struct hs_magazine *first_locked(const struct hs_depot *depot, unsigned class_index) HS_REQUIRES(depot->lock)
{
    return hs_load_relaxed(&depot->magazines[class_index]); /* relaxed: as above */
}

static bool add_slab_locked(struct hs_depot *depot) HS_REQUIRES(depot->lock)
{
    struct hs_slab *slab = depot->unwanted_slabs;

    hs_mutex_assert_held(&depot->lock);
    if (slab != NULL)
        depot->unwanted_slabs = slab->next;
    else
        slab = hs_os_map(HS_SLAB_BYTES);
    if (slab == NULL)
        return false;
    hs_memory_hide(slab, HS_SLAB_BYTES);
    slab->next = depot->slabs;
    depot->slabs = slab;
    depot->fresh = slab->magazines;
    depot->fresh_count = HS_SLAB_BYTES / sizeof(struct hs_magazine) - 1;
    return true;
}

/* An empty magazine, from a new slab if there is none left; NULL where there is no memory. */
static struct hs_magazine *take_empty_locked(struct hs_depot *depot) HS_REQUIRES(depot->lock)
{
    struct hs_magazine *magazine = depot->empty;

    hs_mutex_assert_held(&depot->lock);
    if (magazine != NULL) {
        depot->empty = magazine->next;
        return magazine;
    }
    if (depot->fresh_count == 0 && !add_slab_locked(depot))
        return NULL;
    depot->fresh_count--;
    return depot->fresh++;
}

/* A magazine of the class with room for `count` blocks, the newest one if it has it; NULL where there is no memory, or
 * the depot is full. */
static struct hs_magazine *magazine_for_locked(struct hs_depot *depot, unsigned class_index, unsigned count)
    HS_REQUIRES(depot->lock)
{
    struct hs_magazine *magazine = first_locked(depot, class_index);

    hs_mutex_assert_held(&depot->lock);
    if (hs_load_relaxed(&depot->blocks) >= HS_DEPOT_BLOCKS_MOST) /* relaxed: as above */
        return NULL;
    if (magazine != NULL && magazine->count + count <= HS_MAGAZINE_BLOCKS)
        return magazine;
    magazine = take_empty_locked(depot);
    if (magazine == NULL)
        return NULL;
    magazine->count = 0;
    magazine->next = first_locked(depot, class_index);
    hs_store_relaxed(&depot->magazines[class_index], magazine);
    return magazine;
}

bool hs_depot_put(struct hs_depot *depot, unsigned class_index, void *const *payloads, unsigned count)
{
    struct hs_magazine *magazine;

    hs_mutex_lock(&depot->lock);
    magazine = magazine_for_locked(depot, class_index, count);
    if (magazine != NULL) {
        memcpy(magazine->payloads + magazine->count, payloads, count * sizeof *payloads);
        magazine->count += count;
        count_locked(depot, class_index, count);
    }
    hs_mutex_unlock(&depot->lock);
    return magazine != NULL;
}

unsigned hs_depot_put_mixed(struct hs_depot *depot, void *const *payloads, unsigned count, bool is_sent)
{
    uint64_t most_sent_bytes = is_sent ? hs_depot_sent_bytes_most(depot) : UINT64_MAX;
    unsigned put = 0;

    hs_mutex_lock(&depot->lock);
    for (; put < count && depot->sent_bytes < most_sent_bytes; put++) {
        unsigned class_index = hs_class_of_block(hs_block_of(payloads[put]));
        struct hs_magazine *magazine = magazine_for_locked(depot, class_index, 1);

        if (magazine == NULL)
            break;
        magazine->payloads[magazine->count++] = payloads[put];
        count_locked(depot, class_index, 1);
        if (is_sent)
            depot->sent_bytes += hs_class_bytes(class_index);
    }
    hs_mutex_unlock(&depot->lock);
    return put;
}

unsigned hs_depot_take(struct hs_depot *depot, unsigned class_index, void **payloads, unsigned most)
{
    struct hs_magazine *magazine;
    unsigned taken = 0;

    hs_mutex_lock(&depot->lock);
    magazine = first_locked(depot, class_index);
    if (magazine != NULL) {
        taken = magazine->count < most ? (unsigned)magazine->count : most;
        magazine->count -= taken;
        hs_store_relaxed(&depot->taken, hs_load_relaxed(&depot->taken) + taken); /* relaxed: as above */
        depot->sent_bytes = 0;
        memcpy(payloads, magazine->payloads + magazine->count, taken * sizeof *payloads);
        count_locked(depot, class_index, hs_wrap_subtract(0, taken));
        if (magazine->count == 0) {
            hs_store_relaxed(&depot->magazines[class_index], magazine->next);
            magazine->next = depot->empty;
            depot->empty = magazine;
        }
    }
    hs_mutex_unlock(&depot->lock);
    return taken;
}

/* ---- all of it back to the arena --------------------------------------------------------------------------------- */

/* So many blocks are sorted at a time: those that lie in one part of the address space that the depot's blocks span. */
enum { SORTED_BLOCKS = 64 * 1024, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, GRAIN_SHIFT = 4 };

/* Memory for one part. Nothing in it outlives the emptying of a depot. */
struct hs_sorting {
    size_t count;
    void *payloads[SORTED_BLOCKS];
    void *other_half[SORTED_BLOCKS];
    uint32_t counts[DIGITS];
};

/* One pass of a radix sort, by the digit at `shift`. */
static void sort_by_digit(uint32_t *counts, void **from, void **to, size_t count, uintptr_t lowest, unsigned shift)
{
    uint32_t sum = 0;

    memset(counts, 0, DIGITS * sizeof *counts);
    for (size_t i = 0; i < count; i++)
        counts[((uintptr_t)from[i] - lowest) >> shift & (DIGITS - 1)]++;
    for (unsigned i = 0; i < DIGITS; i++) {
        uint32_t here = counts[i];

        counts[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[counts[((uintptr_t)from[i] - lowest) >> shift & (DIGITS - 1)]++] = from[i];
}

/* Where blocks lie. */
struct span {
    uintptr_t lowest, highest;
};

/* Sorts by address, and returns which half has the result. */
static void **sort_payloads(struct hs_sorting *sorting, struct span span)
{
    void **from = sorting->payloads, **to = sorting->other_half;

    for (unsigned shift = GRAIN_SHIFT; shift < sizeof(uintptr_t) * 8 && (span.highest - span.lowest) >> shift != 0;
         shift += DIGIT_BITS) {
        void **sorted = to;

        sort_by_digit(sorting->counts, from, to, sorting->count, span.lowest, shift);
        to = from;
        from = sorted;
    }
    return from;
}

static void give_all(struct hs_arena *arena, void **payloads, size_t count)
{
    while (count > 0) {
        unsigned batch = count < HS_BATCH_BLOCKS_MOST ? (unsigned)count : (unsigned)HS_BATCH_BLOCKS_MOST;

        /* The tags of the next batch are on their way meanwhile. */
        for (size_t i = batch; i < count && i < (size_t)2 * HS_BATCH_BLOCKS_MOST; i++)
            HS_PREFETCH(hs_block_of(payloads[i]));
        (void)hs_arena_give_batch(arena, payloads, hs_cache_keep_sound(payloads, batch));
        payloads += batch;
        count -= batch;
    }
}

/* Magazine by magazine, where there is no memory to sort. */
static void give_unsorted(struct hs_arena *arena, struct hs_magazine *list)
{
    for (; list != NULL; list = list->next)
        give_all(arena, list->payloads, list->count);
}

static void give_gathered(struct hs_arena *arena, struct hs_sorting *sorting, struct span part)
{
    size_t count = sorting->count;
    void **sorted = sort_payloads(sorting, part);

    sorting->count = 0;
    give_all(arena, sorted, count);
}

/* Sorts and gives the blocks of one part of the address space. */
static void give_part(struct hs_arena *arena, const struct hs_magazine *list, struct span part,
                      struct hs_sorting *sorting)
{
    sorting->count = 0;
    for (; list != NULL; list = list->next) {
        for (uint64_t i = 0; i < list->count; i++) {
            if ((uintptr_t)list->payloads[i] < part.lowest || (uintptr_t)list->payloads[i] > part.highest)
                continue;
            sorting->payloads[sorting->count++] = list->payloads[i];
            if (sorting->count == SORTED_BLOCKS)
                give_gathered(arena, sorting, part);
        }
    }
    give_gathered(arena, sorting, part);
}

static struct span span_of(const struct hs_magazine *list)
{
    struct span span = {UINTPTR_MAX, 0};

    for (; list != NULL; list = list->next) {
        for (uint64_t i = 0; i < list->count; i++) {
            uintptr_t address = (uintptr_t)list->payloads[i];

            span.lowest = address < span.lowest ? address : span.lowest;
            span.highest = address > span.highest ? address : span.highest;
        }
    }
    return span;
}

static void give_sorted(struct hs_arena *arena, const struct hs_magazine *list, size_t count,
                        struct hs_sorting *sorting)
{
    struct span span = span_of(list);
    size_t parts = count / SORTED_BLOCKS + 1;
    uintptr_t part_bytes = (span.highest - span.lowest) / parts + 1;

    for (size_t i = 0; i < parts; i++) {
        struct span part = {span.lowest + i * part_bytes, span.lowest + (i + 1) * part_bytes - 1};

        give_part(arena, list, part, sorting);
    }
}

/* All magazines of the depot as one list, and its last one. */
static struct hs_magazine *take_all_locked(struct hs_depot *depot, size_t *count, struct hs_magazine **last)
    HS_REQUIRES(depot->lock)
{
    struct hs_magazine *all = NULL;

    hs_mutex_assert_held(&depot->lock);
    *count = 0;
    *last = NULL;
    depot->sent_bytes = 0;
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        struct hs_magazine *magazine;

        while ((magazine = first_locked(depot, i)) != NULL) {
            hs_store_relaxed(&depot->magazines[i], magazine->next);
            magazine->next = all;
            *last = all == NULL ? magazine : *last;
            *count += magazine->count;
            all = magazine;
        }
    }
    hs_store_relaxed(&depot->blocks, 0); /* relaxed: as in count_locked */
    hs_store_relaxed(&depot->bytes, 0);
    return all;
}

/* A slab that the kernel would not take, for the next time that one is needed. */
static void keep_unwanted(struct hs_depot *depot, struct hs_slab *slab)
{
    hs_mutex_lock(&depot->lock);
    slab->next = depot->unwanted_slabs;
    depot->unwanted_slabs = slab;
    hs_mutex_unlock(&depot->lock);
}

/* Empty magazines go back to the depot. Where all of its magazines are empty again, and more than a slab of them, their
 * memory goes back to the OS. */
static void keep_magazines(struct hs_depot *depot, struct hs_magazine *first, struct hs_magazine *last)
{
    struct hs_slab *slabs = NULL;

    hs_mutex_lock(&depot->lock);
    last->next = depot->empty;
    depot->empty = first;
    /* Relaxed: written under this lock. */
    if (hs_load_relaxed(&depot->blocks) == 0 && depot->slabs->next != NULL) {
        slabs = depot->slabs;
        depot->slabs = NULL;
        depot->empty = NULL;
        depot->fresh_count = 0;
    }
    hs_mutex_unlock(&depot->lock);
    while (slabs != NULL) {
        struct hs_slab *slab = slabs;

        slabs = slab->next;
        if (!hs_os_unmap(slab, HS_SLAB_BYTES))
            keep_unwanted(depot, slab);
    }
}

bool hs_depot_wait(struct hs_depot *depot)
{
    if (hs_mutex_try_lock(&depot->emptying)) {
        hs_mutex_unlock(&depot->emptying);
        return false;
    }
    hs_mutex_lock(&depot->emptying);
    hs_mutex_unlock(&depot->emptying);
    return true;
}

/* With `emptying` held. */
static bool empty_locked(struct hs_depot *depot, struct hs_arena *arena) HS_REQUIRES(depot->emptying)
{
    struct hs_magazine *all, *last;
    size_t count;

    hs_mutex_assert_held(&depot->emptying);
    hs_mutex_lock(&depot->lock);
    all = take_all_locked(depot, &count, &last);
    hs_mutex_unlock(&depot->lock);
    if (all == NULL)
        return false;
    if (depot->sorting == NULL)
        depot->sorting = hs_os_map(sizeof *depot->sorting);
    if (depot->sorting != NULL) {
        give_sorted(arena, all, count, depot->sorting);
        /* Where the kernel will not take it back, it serves the next time. */
        if (hs_os_unmap(depot->sorting, sizeof *depot->sorting))
            depot->sorting = NULL;
    } else {
        give_unsorted(arena, all);
    }
    keep_magazines(depot, all, last);
    return true;
}

bool hs_depot_empty(struct hs_depot *depot, struct hs_arena *arena)
{
    bool had_any, had_to_wait = hs_depot_wait(depot);

    /* Also after a wait: what was on its way may have been an inbox's. */
    hs_mutex_lock(&depot->emptying);
    had_any = empty_locked(depot, arena);
    hs_mutex_unlock(&depot->emptying);
    if (had_any)
        hs_heap_decay();
    return had_any || had_to_wait;
}

bool hs_depot_is_unused(struct hs_depot *depot, uint64_t now_ms, uint64_t decay_ms)
{
    bool is_unused = false;

    hs_mutex_lock(&depot->lock);
    /* The time was read before the lock was taken, and may be older than that of the last one who asked. */
    if (now_ms >= depot->asked_at_ms && now_ms - depot->asked_at_ms >= decay_ms) {
        uint64_t taken = hs_load_relaxed(&depot->taken); /* relaxed: as in count_locked */

        is_unused = taken == depot->seen_taken;
        depot->seen_taken = taken;
        depot->asked_at_ms = now_ms;
    }
    hs_mutex_unlock(&depot->lock);
    return is_unused;
}

struct hs_mutex *hs_depot_pool_lock(void)
{
    return &depots.lock;
}
