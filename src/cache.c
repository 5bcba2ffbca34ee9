#include "cache_parts.h"

#include <string.h>

#include "options.h"
#include "os.h"

/* A run begins at HS_RUN_BYTES_LEAST and doubles with each that was used up. It is dealt out to requests of an eighth
 * of it at the most: a longer one would end it with too much left over. */
#define RUN_BYTES_MOST ((size_t)8 * 1024)
#define RUN_SHARE 8

/* What a refill of larger blocks takes at the most. */
#define REFILL_BYTES_MOST ((size_t)32 * 1024)

/* Unused bins are looked for once in so many slow paths, and in decay_ms. */
enum { SLOW_PATHS_A_LOOK = 128 };

/* ---- giving and taking ------------------------------------------------------------------------------------------- */

/* Takes a magazine's blocks, as many as the bin has room for and one. */
static void *fetch(struct hs_cache *cache, unsigned index)
{
    void *payloads[HS_MAGAZINE_BLOCKS];
    unsigned count, most = HS_MAGAZINE_BLOCKS;

    if (!hs_depot_has(cache->arena->depot, index))
        return NULL;
    while (hs_bin_room(cache, index) + 1 < HS_MAGAZINE_BLOCKS && hs_bin_widen(cache, index))
        ;
    if (most > hs_bin_room(cache, index))
        most = hs_bin_room(cache, index);
    count = hs_depot_take(cache->arena->depot, index, payloads, most);
    for (unsigned i = 0; i < count; i++) {
        HS_PREFETCH(hs_block_of(payloads[i]));
        hs_bin_push(cache, index, payloads[i]);
    }
    return hs_bin_pop(cache, index);
}

/* Ends the run, if there is one; what was left of it comes back as a CACHED block, or NULL. */
static struct hs_block *end_run(struct hs_cache *cache)
{
    struct hs_block *run = cache->run;

    if (run == NULL)
        return NULL;
    /* Relaxed: the thread's own, statistics for others. */
    hs_arena_end_run(cache->arena, run, hs_load_relaxed(&cache->run_bytes));
    hs_store_relaxed(&cache->run_bytes, 0);
    cache->run = NULL;
    return run;
}

/* One block back to the arena, past the bins. */
static void give_one(struct hs_cache *cache, void *payload)
{
    hs_cache_give_many(cache->arena, &payload, 1);
}

bool hs_cache_empty_all(struct hs_cache *cache)
{
    bool had_any = hs_cache_empty_beside_bins(cache);

    return hs_cache_empty_bins(cache) || had_any;
}

bool hs_cache_empty_beside_bins(struct hs_cache *cache)
{
    struct hs_block *rest = end_run(cache);
    bool had_any = rest != NULL;

    if (rest != NULL)
        give_one(cache, hs_block_payload(rest));
    had_any |= hs_cache_send_all(cache);
    had_any |= hs_cache_give_chain(cache->arena, cache->pending);
    cache->pending = NULL;
    return had_any;
}

void hs_cache_look_for_unused(struct hs_cache *cache)
{
    if (++cache->slow_paths % SLOW_PATHS_A_LOOK == 0) {
        uint64_t now_ms = hs_os_now_ms();
        uint64_t decay_ms = hs_load_relaxed(&hs_options.decay_ms); /* relaxed: an option */

        if (now_ms - cache->looked_at_ms >= decay_ms) {
            cache->looked_at_ms = now_ms;
            hs_cache_give_back_unused(cache);
            (void)hs_cache_send_all(cache);
            (void)hs_cache_empty_idle(NULL, now_ms - decay_ms);
            hs_cache_empty_unused_depots(now_ms, decay_ms);
        }
        hs_heap_decay();
    }
}

/* ---- refill ------------------------------------------------------------------------------------------------------ */

static bool run_has(const struct hs_cache *cache, size_t block_bytes)
{
    return cache->run != NULL && hs_load_relaxed(&cache->run_bytes) >= block_bytes + HS_BLOCK_BYTES_LEAST;
}

/* Relaxed throughout: the thread's own. */
static void *cut_from_run(struct hs_cache *cache, size_t block_bytes)
{
    size_t uncut_bytes = hs_load_relaxed(&cache->run_bytes);
    struct hs_block *block = hs_run_cut(cache->run, uncut_bytes, block_bytes, cache->arena->number, HS_STATE_USED);

    hs_store_relaxed(&cache->run_bytes, uncut_bytes - block_bytes);
    hs_store_relaxed(&cache->run_cuts, hs_load_relaxed(&cache->run_cuts) + 1);
    return hs_block_payload(block);
}

static void begin_run(struct hs_cache *cache, struct hs_block *run)
{
    struct hs_block *rest = end_run(cache);

    if (rest != NULL && !hs_cache_accept(cache, hs_block_payload(rest)))
        give_one(cache, hs_block_payload(rest));
    cache->run = run;
    hs_store_relaxed(&cache->run_bytes, hs_block_bytes(run)); /* relaxed: the thread's own */
    if (cache->next_run_bytes < RUN_BYTES_MOST)
        cache->next_run_bytes *= 2;
}

/* How many blocks the next refill takes: one at first, then twice as many each time, as many as the bin has room for
 * besides the one that is handed out. */
static unsigned next_batch(struct hs_cache *cache, unsigned index)
{
    struct hs_bin_record *record = &cache->records[index];
    unsigned batch = record->batch, room;

    if (batch > hs_bin_room(cache, index) + 1)
        (void)hs_bin_widen(cache, index);
    room = hs_bin_room(cache, index) + 1;
    if (batch * 2U <= HS_BATCH_BLOCKS_MOST && (size_t)batch * 2 * hs_class_bytes(index) <= REFILL_BYTES_MOST)
        record->batch = (uint8_t)(batch * 2);
    return batch < room ? batch : room;
}

/* What the arena gives for an empty bin: a run, from which one block is cut, or blocks. */
static void *refill(struct hs_cache *cache, unsigned index)
{
    size_t block_bytes = hs_class_bytes(index);
    bool may_be_run = block_bytes * RUN_SHARE <= cache->next_run_bytes;
    struct hs_batch batch;
    void *payload;

    /* Relaxed: a hint. */
    cache->defers = hs_load_relaxed(&cache->arena->depot->arena_bytes) >= HS_COLD_ARENA_BYTES_LEAST;
    batch.most = next_batch(cache, index);
    if (!hs_arena_take_batch(cache->arena, block_bytes, may_be_run ? cache->next_run_bytes : 0, &batch))
        return NULL;
    if (batch.run != NULL) {
        begin_run(cache, batch.run);
        return cut_from_run(cache, block_bytes);
    }
    payload = batch.payloads[0];
    hs_block_set_state(hs_block_of(payload), HS_STATE_USED);
    /* The rest of them may be longer than the class by what was too short to be cut off. */
    for (unsigned i = batch.count; i-- > 1;)
        if (!hs_cache_accept(cache, batch.payloads[i]))
            give_one(cache, batch.payloads[i]);
    return payload;
}

static void *allocate_from_arena(struct hs_cache *cache, unsigned index)
{
    void *payload = NULL;

    if (hs_cache_has_mail(cache)) {
        hs_cache_sort_mail(cache);
        payload = hs_bin_pop(cache, index);
    }
    if (payload == NULL)
        payload = fetch(cache, index);
    if (payload == NULL)
        payload =
            run_has(cache, hs_class_bytes(index)) ? cut_from_run(cache, hs_class_bytes(index)) : refill(cache, index);
    hs_cache_look_for_unused(cache);
    return payload;
}

static HS_NOINLINE void *pop_or_cut(struct hs_cache *cache, unsigned index)
{
    void *payload;

    if (hs_load_relaxed(&cache->unsorted.count) != 0) /* relaxed: the thread's own */
        (void)hs_bins_sort_quickly(cache);
    payload = hs_bin_pop(cache, index);

    if (payload != NULL)
        return payload;
    /* The common case of a heap that grows. */
    if (run_has(cache, hs_class_bytes(index)) && !hs_cache_has_mail(cache) && !hs_depot_has(cache->arena->depot, index))
        return cut_from_run(cache, hs_class_bytes(index));
    return NULL;
}

void *hs_cache_pop(size_t bytes)
{
    struct hs_cache *cache = hs_cache_self;
    void *payload;
    unsigned index;

    if (HS_UNLIKELY(bytes > HS_CLASS_PAYLOAD_BYTES_MOST))
        return NULL;
    index = hs_class_for(hs_block_bytes_for(bytes));
    return HS_LIKELY(hs_bin_pop_cached(&cache->bins[index], &payload)) ? payload : pop_or_cut(cache, index);
}

void *hs_cache_allocate(size_t bytes)
{
    unsigned index = hs_class_for(hs_block_bytes_for(bytes));
    void *payload;

    hs_cache_sort(hs_cache_self);
    payload = hs_bin_pop(hs_cache_self, index);
    return payload != NULL ? payload : allocate_from_arena(hs_cache_self, index);
}

/* ---- release ----------------------------------------------------------------------------------------------------- */

static void release_own(struct hs_cache *cache, struct hs_block *block, unsigned index)
{
    if (hs_bin_room(cache, index) != 0) {
        hs_bin_push(cache, index, hs_block_payload(block));
        return;
    }
    if (hs_bin_make_room(cache, index))
        hs_bin_push(cache, index, hs_block_payload(block));
    else
        give_one(cache, hs_block_payload(block));
    hs_cache_look_for_unused(cache);
}

void hs_cache_sort(struct hs_cache *cache)
{
    void *payloads[HS_WAITING_MOST];
    unsigned count;

    if (hs_bins_sort_quickly(cache))
        return;
    /* None of them is unsorted any more while room is made: that may empty the whole cache. */
    count = hs_load_relaxed(&cache->unsorted.count); /* relaxed: the thread's own */
    memcpy(payloads, cache->unsorted.payloads, count * sizeof payloads[0]);
    hs_store_relaxed(&cache->unsorted.count, 0);
    for (unsigned i = 0; i < count; i++)
        if (!hs_cache_accept(cache, payloads[i]))
            give_one(cache, payloads[i]);
    hs_cache_look_for_unused(cache);
}

void hs_cache_release(struct hs_arena *arena, struct hs_block *block)
{
    struct hs_cache *cache = hs_cache_self;
    unsigned index = hs_class_of_block(block);

    /* Nobody would take it from the inbox of an arena that no thread ever entered. */
    if (index == HS_CLASS_NONE || hs_depot_of(arena) == NULL) {
        const struct hs_owner owner = {.arena = arena, .block = block};

        hs_heap_release(&owner);
        return;
    }
    hs_block_set_state(block, HS_STATE_CACHED);
    if (HS_LIKELY(arena == cache->arena))
        release_own(cache, block, index);
    else
        hs_cache_send(cache, arena, hs_block_payload(block));
}
