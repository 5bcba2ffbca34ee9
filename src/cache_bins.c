#include "cache_parts.h"

#include <string.h>

/* Longer blocks than these go to the arena instead of the depot: what that costs is little beside their bytes, and
 * others may want them. */
#define DEPOT_BLOCK_BYTES_MOST ((size_t)8 * 1024)

/* Where all bins together are too large, they are narrowed by one part in so many more than it takes, so that it need
 * not be done again at once. */
enum { NARROWED_SHARE = 8 };

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

/* How many blocks a bin of this class may hold in the end. */
static unsigned blocks_most(unsigned index)
{
    size_t blocks = HS_BIN_BYTES_MOST / hs_class_bytes(index);

    if (blocks < 2)
        return 2;
    return blocks < HS_BIN_SLOTS_MOST ? (unsigned)blocks : HS_BIN_SLOTS_MOST;
}

void hs_cache_init(struct hs_cache *cache, struct hs_arena *arena)
{
    memset(cache, 0, sizeof *cache);
    cache->arena_bits = arena->number << 24;
    cache->tag_mask = HS_TAG_MASK;
    cache->newest = HS_SENTINEL;
    cache->arena = arena;
    cache->next_run_bytes = HS_RUN_BYTES_LEAST;
    cache->next_narrowed = HS_CLASS_FIRST;
    cache->fresh_slots = (char *)(cache + 1);
    for (unsigned i = 0; i < HS_CLASSES; i++) {
        hs_bin_set_top(cache, i, HS_NO_SLOTS);
        cache->bins[i].full = HS_NO_SLOTS;
        hs_store_relaxed(&cache->records[i].base, HS_NO_SLOTS);
        cache->records[i].seen_top = HS_NO_SLOTS;
        cache->records[i].batch = 1;
    }
}

/* Which of the sizes of stacks: 8, 16, ... 256 words. */
static unsigned stack_size_index(unsigned capacity)
{
    return (unsigned)__builtin_ctz(capacity + 1) - 3;
}

/* A stack of `capacity` slots with the sentinel before them, or NULL where the record has no room for it. */
static void **take_stack(struct hs_cache *cache, unsigned capacity)
{
    void ***spare = &cache->spare_slots[stack_size_index(capacity)];
    size_t bytes = (capacity + 1) * sizeof(void *);
    void **stack = *spare;

    if (stack != NULL) {
        *spare = stack[0];
    } else {
        if ((size_t)((char *)cache + HS_CACHE_RECORD_BYTES - cache->fresh_slots) < bytes)
            return NULL;
        stack = (void **)(void *)cache->fresh_slots;
        cache->fresh_slots += bytes;
    }
    stack[0] = HS_SENTINEL;
    return stack + 1;
}

static void give_stack(struct hs_cache *cache, void **base, unsigned capacity)
{
    void ***spare = &cache->spare_slots[stack_size_index(capacity)];

    base[-1] = *spare;
    *spare = base - 1;
}

/* Moves the bin to a stack of twice the size. */
static bool double_stack(struct hs_cache *cache, unsigned index)
{
    struct hs_bin_record *record = &cache->records[index];
    unsigned capacity = record->capacity != 0 ? record->capacity * 2U + 1 : (unsigned)HS_BIN_SLOTS_LEAST;
    unsigned count = hs_bin_count(cache, index);
    void **base = take_stack(cache, capacity);

    if (base == NULL)
        return false;
    memcpy(base, hs_bin_base(cache, index), count * sizeof *base);
    if (record->capacity != 0)
        give_stack(cache, hs_bin_base(cache, index), record->capacity);
    hs_store_relaxed(&record->base, base);
    record->seen_top = NULL;
    record->capacity = (uint16_t)capacity;
    hs_bin_set_top(cache, index, base + count);
    return true;
}

static void narrow_bin(struct hs_cache *cache, unsigned index, unsigned slots)
{
    cache->bin_bytes -= (hs_bin_slots(cache, index) - slots) * hs_class_bytes(index);
    cache->bins[index].full = hs_bin_base(cache, index) + slots;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

static bool is_sound(const void *payload)
{
    struct hs_block *block = hs_block_of(payload);

    if (HS_LIKELY(hs_block_is_intact(block) && hs_block_state(block) == HS_STATE_CACHED &&
                  hs_block_is_intact(hs_block_right(block))))
        return true;
    return hs_diagnose_cached(payload, HS_STATE_CACHED);
}

unsigned hs_cache_keep_sound(void **payloads, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++)
        if (is_sound(payloads[i]))
            payloads[kept++] = payloads[i];
    return kept;
}

/* Takes the oldest blocks out of a bin. */
static unsigned take_oldest(struct hs_cache *cache, unsigned index, void **payloads, unsigned most)
{
    void **base = hs_bin_base(cache, index);
    unsigned count = hs_bin_count(cache, index), taken = count < most ? count : most;

    memcpy(payloads, base, taken * sizeof *payloads);
    memmove(base, base + taken, (count - taken) * sizeof *base);
    hs_bin_set_top(cache, index, base + count - taken);
    return taken;
}

void hs_cache_give_many(struct hs_arena *arena, void **payloads, unsigned count)
{
    bool is_dirty = false;

    while (count > 0) {
        unsigned batch = count < HS_BATCH_BLOCKS_MOST ? count : (unsigned)HS_BATCH_BLOCKS_MOST;

        is_dirty |= hs_arena_give_batch(arena, payloads, hs_cache_keep_sound(payloads, batch));
        payloads += batch;
        count -= batch;
    }
    if (is_dirty)
        hs_heap_decay();
}

/* Gives the `count` oldest blocks of a bin back to the arena. */
static void flush(struct hs_cache *cache, unsigned index, unsigned count)
{
    void *payloads[HS_BIN_SLOTS_MOST];

    hs_cache_give_many(cache->arena, payloads, take_oldest(cache, index, payloads, count));
}

/* Where the depot has no room: what it holds goes to the arena, and these blocks, too. */
static void give_with_depot(struct hs_cache *cache, void **payloads, unsigned count)
{
    (void)hs_depot_empty(cache->arena->depot, cache->arena);
    hs_cache_give_many(cache->arena, payloads, count);
}

static void store_mixed(struct hs_cache *cache, void **payloads, unsigned count)
{
    unsigned stored = hs_depot_put_mixed(cache->arena->depot, payloads, count, false);

    if (stored < count)
        give_with_depot(cache, payloads + stored, count - stored);
}

/* Puts the older half of a full bin into the depot, a magazine of them at the most. */
static void store_oldest(struct hs_cache *cache, unsigned index)
{
    void *payloads[HS_MAGAZINE_BLOCKS];
    unsigned half = (hs_bin_count(cache, index) + 1) / 2, count;

    if (hs_class_bytes(index) > DEPOT_BLOCK_BYTES_MOST) {
        flush(cache, index, half);
        return;
    }
    count = take_oldest(cache, index, payloads, half < HS_MAGAZINE_BLOCKS ? half : (unsigned)HS_MAGAZINE_BLOCKS);
    if (!hs_depot_put(cache->arena->depot, index, payloads, count))
        give_with_depot(cache, payloads, count);
}

/* What all bins together may hold. What a thread has when others join it stays until it is not used any more. */
static size_t bytes_most(const struct hs_cache *cache)
{
    unsigned threads = hs_load_relaxed(&cache->arena->threads); /* relaxed: a bound */
    size_t share = threads > 1 ? HS_CACHES_BYTES_MOST / threads : HS_CACHE_BYTES_MOST;

    if (share > HS_CACHE_BYTES_MOST)
        return HS_CACHE_BYTES_MOST;
    return share > HS_CACHE_BYTES_LEAST ? share : HS_CACHE_BYTES_LEAST;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* Halves one bin after the other until there is room for `bytes` and some more. Each turn begins where the last one
 * ended, so that no class pays for all others. */
static void take_from_others(struct hs_cache *cache, unsigned index, size_t bytes)
{
    void *payloads[HS_BIN_SLOTS_MOST];
    size_t enough_bytes = bytes_most(cache) - bytes_most(cache) / NARROWED_SHARE;
    unsigned count = 0;

    for (unsigned looked = 0; looked < HS_CLASSES && cache->bin_bytes + bytes > enough_bytes; looked++) {
        unsigned other = cache->next_narrowed, slots = hs_bin_slots(cache, other), too_many;

        cache->next_narrowed = other + 1 < HS_CLASSES ? other + 1 : HS_CLASS_FIRST;
        if (other == index || slots == 0)
            continue;
        too_many = hs_bin_count(cache, other) > slots / 2 ? hs_bin_count(cache, other) - slots / 2 : 0;
        if (hs_class_bytes(other) > DEPOT_BLOCK_BYTES_MOST) {
            flush(cache, other, too_many);
        } else {
            if (count + too_many > HS_BIN_SLOTS_MOST) {
                store_mixed(cache, payloads, count);
                count = 0;
            }
            count += take_oldest(cache, other, payloads + count, too_many);
        }
        narrow_bin(cache, other, slots / 2);
    }
    if (count != 0)
        store_mixed(cache, payloads, count);
}

bool hs_bin_widen(struct hs_cache *cache, unsigned index)
{
    unsigned most = blocks_most(index), slots = hs_bin_slots(cache, index), wider = slots * 2 + 1;
    size_t more_bytes;

    if (wider < HS_BIN_SLOTS_LEAST)
        wider = HS_BIN_SLOTS_LEAST;
    if (wider > most)
        wider = most;
    more_bytes = (wider - slots) * hs_class_bytes(index);
    if (wider == slots)
        return false;
    if (cache->bin_bytes + more_bytes > bytes_most(cache) && slots < HS_BIN_SLOTS_LEAST)
        take_from_others(cache, index, more_bytes);
    if (cache->bin_bytes + more_bytes > bytes_most(cache))
        return false;
    if (wider > cache->records[index].capacity && !double_stack(cache, index))
        return false;
    cache->bin_bytes += more_bytes;
    cache->bins[index].full = hs_bin_base(cache, index) + wider;
    return true;
}

bool hs_bin_make_room(struct hs_cache *cache, unsigned index)
{
    if (hs_bin_room(cache, index) != 0 || hs_bin_widen(cache, index))
        return true;
    if (hs_bin_count(cache, index) == 0)
        return false;
    store_oldest(cache, index);
    return true;
}

/* Relaxed throughout: the thread's own. */
static inline unsigned sort_one(struct hs_cache *cache, unsigned i, unsigned left)
{
    void *payload = cache->unsorted.payloads[i];
    unsigned index = hs_load_relaxed(&cache->unsorted.classes[i]);
    struct hs_bin *bin = &cache->bins[index];
    void **top = hs_load_relaxed(&bin->top);

    if (HS_LIKELY(top != bin->full)) {
        *top = payload;
        hs_store_relaxed(&bin->top, top + 1);
        return left;
    }
    cache->unsorted.payloads[left] = payload;
    hs_store_relaxed(&cache->unsorted.classes[left], (uint8_t)index);
    return left + 1;
}

bool hs_bins_sort_quickly(struct hs_cache *cache)
{
    unsigned count = hs_load_relaxed(&cache->unsorted.count), left = 0;

    if (count == HS_WAITING_MOST) {
#pragma GCC unroll 32
        for (unsigned i = 0; i < HS_WAITING_MOST; i++)
            left = sort_one(cache, i, left);
    } else {
        for (unsigned i = 0; i < count; i++)
            left = sort_one(cache, i, left);
    }
    hs_store_relaxed(&cache->unsorted.count, left);
    return left == 0;
}

bool hs_cache_accept(struct hs_cache *cache, void *payload)
{
    unsigned index = hs_class_of_block(hs_block_of(payload));

    if (index == HS_CLASS_NONE || !hs_bin_make_room(cache, index))
        return false;
    hs_bin_push(cache, index, payload);
    return true;
}

bool hs_cache_empty_bins(struct hs_cache *cache)
{
    bool had_any = false;

    hs_cache_sort(cache);
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        unsigned count = hs_bin_count(cache, i);

        had_any |= count != 0;
        if (count != 0)
            flush(cache, i, count);
    }
    return had_any;
}

/* A bin that stands as it stood at the last look was not used meanwhile, or no more than it gave: it goes back, and
 * begins again. */
void hs_cache_give_back_unused(struct hs_cache *cache)
{
    hs_cache_sort(cache);
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        struct hs_bin_record *record = &cache->records[i];

        if (record->seen_top == hs_bin_top(cache, i)) {
            flush(cache, i, hs_bin_count(cache, i));
            record->batch = 1;
            narrow_bin(cache, i, 0);
        }
        record->seen_top = hs_bin_top(cache, i);
    }
}
