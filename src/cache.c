#include "cache_parts.h"

#include <string.h>

#include "diagnose.h"
#include "options.h"
#include "os.h"

/* A run begins at this length and doubles with each that was used up. It is dealt out to requests of an eighth of it at
 * the most: a longer one would end it with too much left over. */
#define RUN_BYTES_LEAST ((size_t)2 * 1024)
#define RUN_BYTES_MOST ((size_t)8 * 1024)
#define RUN_SHARE 8

/* What a refill of larger blocks takes at the most. */
#define REFILL_BYTES_MOST ((size_t)32 * 1024)

#define DEPOT_BLOCK_BYTES_MOST ((size_t)4 * 1024)

/* Unused bins are looked for once in so many slow paths, and in decay_ms. */
enum { SLOW_PATHS_A_LOOK = 128 };

/* ---- bins -------------------------------------------------------------------------------------------------------- */

static void **top_of(const struct hs_cache *cache, unsigned index)
{
    return hs_load_relaxed(&cache->bins[index].top); /* relaxed: the thread's own */
}

static void set_top(struct hs_cache *cache, unsigned index, void **top)
{
    hs_store_relaxed(&cache->bins[index].top, top); /* relaxed: the thread's own */
}

static void **base_of(const struct hs_cache *cache, unsigned index)
{
    return hs_load_relaxed(&cache->records[index].base); /* relaxed: the thread's own */
}

static unsigned count_in(const struct hs_cache *cache, unsigned index)
{
    return (unsigned)(top_of(cache, index) - base_of(cache, index));
}

static unsigned room_in(const struct hs_cache *cache, unsigned index)
{
    return (unsigned)(cache->bins[index].full - top_of(cache, index));
}

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
    cache->arena = arena;
    cache->next_run_bytes = RUN_BYTES_LEAST;
    cache->fresh_slots = (char *)(cache + 1);
    for (unsigned i = 0; i < HS_CLASSES; i++) {
        set_top(cache, i, HS_NO_SLOTS);
        cache->bins[i].full = HS_NO_SLOTS;
        cache->records[i] = (struct hs_bin_record){.base = HS_NO_SLOTS, .seen_top = HS_NO_SLOTS, .batch = 1};
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
    unsigned count = count_in(cache, index);
    void **base = take_stack(cache, capacity);

    if (base == NULL)
        return false;
    memcpy(base, base_of(cache, index), count * sizeof *base);
    if (record->capacity != 0)
        give_stack(cache, base_of(cache, index), record->capacity);
    hs_store_relaxed(&record->base, base);
    record->seen_top = NULL;
    record->capacity = (uint16_t)capacity;
    set_top(cache, index, base + count);
    return true;
}

/* Makes room for more blocks, about twice as many, where the bounds allow it. */
static bool widen_bin(struct hs_cache *cache, unsigned index)
{
    struct hs_bin *bin = &cache->bins[index];
    unsigned most = blocks_most(index), room = (unsigned)(bin->full - base_of(cache, index));
    unsigned wider = room != 0 ? room * 2 + 1 : (unsigned)HS_BIN_SLOTS_LEAST;
    size_t more_bytes;

    if (wider > most)
        wider = most;
    more_bytes = (wider - room) * hs_class_bytes(index);
    if (wider == room || cache->bin_bytes + more_bytes > HS_CACHE_BYTES_MOST)
        return false;
    if (wider > cache->records[index].capacity && !double_stack(cache, index))
        return false;
    cache->bin_bytes += more_bytes;
    bin->full = base_of(cache, index) + wider;
    return true;
}

static void *pop(struct hs_cache *cache, unsigned index)
{
    void **top = top_of(cache, index);
    void *payload;

    while ((payload = top[-1]) != HS_SENTINEL) {
        set_top(cache, index, --top);
        if (HS_LIKELY(hs_block_state(hs_block_of(payload)) == HS_STATE_CACHED)) {
            hs_block_set_state(hs_block_of(payload), HS_STATE_USED);
            return payload;
        }
        (void)hs_diagnose_cached(payload);
    }
    return NULL;
}

static void push(struct hs_cache *cache, unsigned index, void *payload)
{
    void **top = top_of(cache, index);

    *top = payload;
    set_top(cache, index, top + 1);
}

static bool is_sound(const void *payload)
{
    struct hs_block *block = hs_block_of(payload);

    if (HS_LIKELY(hs_block_is_intact(block) && hs_block_state(block) == HS_STATE_CACHED &&
                  hs_block_is_intact(hs_block_right(block))))
        return true;
    return hs_diagnose_cached(payload);
}

unsigned hs_cache_keep_sound(void **payloads, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++)
        if (is_sound(payloads[i]))
            payloads[kept++] = payloads[i];
    return kept;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

/* Takes the oldest blocks out of a bin. */
static unsigned take_oldest(struct hs_cache *cache, unsigned index, void **payloads, unsigned most)
{
    void **base = base_of(cache, index);
    unsigned count = count_in(cache, index), taken = count < most ? count : most;

    memcpy(payloads, base, taken * sizeof *payloads);
    memmove(base, base + taken, (count - taken) * sizeof *base);
    set_top(cache, index, base + count - taken);
    return taken;
}

/* Gives the `count` oldest blocks of a bin back to the arena. */
static void flush(struct hs_cache *cache, unsigned index, unsigned count)
{
    bool is_dirty = false;

    while (count > 0) {
        void *payloads[HS_BATCH_BLOCKS_MOST];
        unsigned taken =
            take_oldest(cache, index, payloads, count < HS_BATCH_BLOCKS_MOST ? count : HS_BATCH_BLOCKS_MOST);

        is_dirty |= hs_arena_give_batch(cache->arena, payloads, hs_cache_keep_sound(payloads, taken));
        count -= taken;
    }
    if (is_dirty)
        hs_heap_decay();
}

/* Puts the older half of a full bin into the depot, a magazine of them at the most. Longer blocks go to the arena: what
 * that costs is little beside their bytes, and others may want them. */
static void store_oldest(struct hs_cache *cache, unsigned index)
{
    void *payloads[HS_MAGAZINE_BLOCKS];
    unsigned count = (count_in(cache, index) + 1) / 2;

    if (hs_class_bytes(index) > DEPOT_BLOCK_BYTES_MOST) {
        flush(cache, index, count);
        return;
    }
    count = take_oldest(cache, index, payloads, count < HS_MAGAZINE_BLOCKS ? count : (unsigned)HS_MAGAZINE_BLOCKS);
    if (hs_depot_put(cache->arena->depot, index, payloads, count))
        return;
    (void)hs_depot_empty(cache->arena->depot, cache->arena);
    if (hs_arena_give_batch(cache->arena, payloads, hs_cache_keep_sound(payloads, count)))
        hs_heap_decay();
}

/* Room for one more block: false where there is no memory for a stack. */
static bool make_room(struct hs_cache *cache, unsigned index)
{
    if (room_in(cache, index) != 0 || widen_bin(cache, index))
        return true;
    if (count_in(cache, index) == 0)
        return false;
    store_oldest(cache, index);
    return true;
}

bool hs_cache_accept(struct hs_cache *cache, void *payload)
{
    unsigned index = hs_class_of(hs_block_extent(hs_block_of(payload)) & 0xFFFFFF);

    if (index == HS_CLASS_NONE || !make_room(cache, index))
        return false;
    push(cache, index, payload);
    return true;
}

/* Takes a magazine's blocks, as many as the bin has room for and one. */
static void *fetch(struct hs_cache *cache, unsigned index)
{
    void *payloads[HS_MAGAZINE_BLOCKS];
    unsigned count, most = HS_MAGAZINE_BLOCKS;

    if (!hs_depot_has(cache->arena->depot, index))
        return NULL;
    while (room_in(cache, index) + 1 < HS_MAGAZINE_BLOCKS && widen_bin(cache, index))
        ;
    if (most > room_in(cache, index))
        most = room_in(cache, index);
    count = hs_depot_take(cache->arena->depot, index, payloads, most);
    for (unsigned i = 0; i < count; i++)
        push(cache, index, payloads[i]);
    return pop(cache, index);
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
    if (hs_arena_give_batch(cache->arena, &payload, hs_cache_keep_sound(&payload, 1)))
        hs_heap_decay();
}

static bool empty_bins(struct hs_cache *cache)
{
    bool had_any = false;

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        unsigned count = count_in(cache, i);

        had_any |= count != 0;
        if (count != 0)
            flush(cache, i, count);
    }
    return had_any;
}

bool hs_cache_empty_all(struct hs_cache *cache)
{
    bool had_any = hs_cache_empty_beside_bins(cache);

    return empty_bins(cache) || had_any;
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

/* A bin that stands as it stood at the last look was not used meanwhile, or no more than it gave: it goes back, and
 * begins again. */
static void give_back_unused(struct hs_cache *cache)
{
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        struct hs_bin_record *record = &cache->records[i];
        unsigned count = count_in(cache, i), room = (unsigned)(cache->bins[i].full - base_of(cache, i));

        if (record->seen_top == top_of(cache, i)) {
            flush(cache, i, count);
            record->batch = 1;
            cache->bin_bytes -= room * hs_class_bytes(i);
            cache->bins[i].full = base_of(cache, i);
        }
        record->seen_top = top_of(cache, i);
    }
    (void)hs_cache_send_all(cache);
    hs_depot_empty_if_unused(cache->arena->depot, cache->arena);
}

/* Each slow path ends here. */
static void look_for_unused(struct hs_cache *cache)
{
    if (++cache->slow_paths % SLOW_PATHS_A_LOOK == 0) {
        uint64_t now_ms = hs_os_now_ms();
        uint64_t decay_ms = hs_load_relaxed(&hs_options.decay_ms); /* relaxed: an option */

        if (now_ms - cache->looked_at_ms >= decay_ms) {
            cache->looked_at_ms = now_ms;
            give_back_unused(cache);
            (void)hs_cache_empty_idle(NULL, now_ms - decay_ms);
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

    if (batch > room_in(cache, index) + 1)
        (void)widen_bin(cache, index);
    room = room_in(cache, index) + 1;
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
        payload = pop(cache, index);
    }
    if (payload == NULL)
        payload = fetch(cache, index);
    if (payload == NULL)
        payload =
            run_has(cache, hs_class_bytes(index)) ? cut_from_run(cache, hs_class_bytes(index)) : refill(cache, index);
    look_for_unused(cache);
    return payload;
}

void *hs_cache_pop(size_t bytes)
{
    struct hs_cache *cache = hs_cache_self;
    unsigned index;
    void *payload;

    if (HS_UNLIKELY(bytes > HS_CLASS_PAYLOAD_BYTES_MOST))
        return NULL;
    index = hs_class_for(hs_block_bytes_for(bytes));
    payload = pop(cache, index);
    if (HS_LIKELY(payload != NULL))
        return payload;
    /* The common case of a heap that grows. */
    if (run_has(cache, hs_class_bytes(index)) && !hs_cache_has_mail(cache) && !hs_depot_has(cache->arena->depot, index))
        return cut_from_run(cache, hs_class_bytes(index));
    return NULL;
}

void *hs_cache_allocate(size_t bytes)
{
    unsigned index = hs_class_for(hs_block_bytes_for(bytes));
    void *payload = pop(hs_cache_self, index);

    return payload != NULL ? payload : allocate_from_arena(hs_cache_self, index);
}

/* ---- release ----------------------------------------------------------------------------------------------------- */

static void release_own(struct hs_cache *cache, struct hs_block *block, unsigned index)
{
    if (room_in(cache, index) != 0) {
        push(cache, index, hs_block_payload(block));
        return;
    }
    if (make_room(cache, index))
        push(cache, index, hs_block_payload(block));
    else
        give_one(cache, hs_block_payload(block));
    look_for_unused(cache);
}

bool hs_cache_push(void *payload)
{
    struct hs_cache *cache = hs_cache_self;
    struct hs_block *block = hs_block_of(payload);
    uint32_t extent;
    unsigned index;

    if (!hs_cache_may_read_tag(payload))
        return false;
    extent = HS_TAG_FIELD(u32, payload, extent);
    index = hs_class_of(extent ^ cache->arena_bits);
    if (index == HS_CLASS_NONE || !hs_block_is_owned(payload, extent, HS_STATE_USED) || room_in(cache, index) == 0)
        return false;
    hs_block_set_state(block, HS_STATE_CACHED);
    push(cache, index, payload);
    return true;
}

void hs_cache_release(struct hs_arena *arena, struct hs_block *block)
{
    struct hs_cache *cache = hs_cache_self;
    unsigned index = hs_class_of(hs_block_extent(block) & 0xFFFFFF);

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
