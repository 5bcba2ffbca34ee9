#include "heap.h"

#include <string.h>

#include "diagnose.h"
#include "options.h"
#include "os.h"
#include "pool.h"
#include "size_class.h"

_Atomic bool hs_heap_is_ready;
struct hs_large_set hs_heap_large = {.lock = HS_MUTEX_INITIALIZER(HS_RANK_LARGE)};

static struct hs_mutex init_lock = HS_MUTEX_INITIALIZER(HS_RANK_HEAP_INIT);

static struct {
    struct hs_mutex lock;
    _Atomic(struct hs_arena *) table[HS_ARENAS_MAX];
    _Atomic unsigned table_end; /* past the last arena there is; only grows, before the arena is in the table */
    struct hs_arena *first_class;
    _Atomic unsigned arena_limit; /* how many arenas threads are spread over; 0: not asked yet */
    _Atomic unsigned next_arena;
} heap = {.lock = HS_MUTEX_INITIALIZER(HS_RANK_HEAP)};

/* The first arena needs no memory of the OS before the first block does. */
static struct hs_arena first_arena;

struct first_class_arena {
    struct hs_arena arena;
    struct hs_large_set large;
};

/* Arenas of the table and first-class ones; the latter bring their large set along. */
enum { ARENA_CHUNK_BYTES = 20 * 1024 };
static struct hs_pool arenas = HS_POOL_INITIALIZER(struct first_class_arena, ARENA_CHUNK_BYTES);

_Static_assert(sizeof(struct first_class_arena) <= ARENA_CHUNK_BYTES - HS_CACHE_LINE_BYTES, "a chunk holds an arena");

/* Relaxed: who knows of an arena knows what was written before it came into the table, and the rest look at fewer. */
static unsigned table_end(void)
{
    return hs_load_relaxed(&heap.table_end);
}

/* The caller holds the heap's lock, or nobody else is there yet. */
static void put_in_table(unsigned index, struct hs_arena *arena)
{
    if (index >= table_end())
        hs_store_relaxed(&heap.table_end, index + 1);
    hs_store_release(&heap.table[index], arena); /* [ARENA-TABLE] */
}

/* ---- start ----------------------------------------------------------------------------------------------------- */

void hs_heap_make_ready(void)
{
    /* Registering the fork handlers may allocate: the heap works by then. */
    if (hs_thread()->initializing)
        return;
    hs_mutex_lock(&init_lock);
    if (!hs_load_relaxed(&hs_heap_is_ready)) { /* relaxed: written under this lock */
        hs_thread()->initializing = true;
        hs_os_init();
        hs_block_key = hs_os_entropy() | 1;
        (void)hs_options_read_environment();
        hs_arena_init(&first_arena, 0, HS_REGION_BREAK, hs_load_relaxed(&hs_options.strategy));
        first_arena.large = &hs_heap_large;
        put_in_table(0, &first_arena);
        hs_fork_register();
        hs_store_release(&hs_heap_is_ready, true); /* [INIT] */
        hs_thread()->initializing = false;
    }
    hs_mutex_unlock(&init_lock);
}

/* ---- arenas ---------------------------------------------------------------------------------------------------- */

struct hs_arena *hs_heap_table_arena(unsigned number)
{
    return number < HS_ARENAS_MAX ? hs_load_acquire(&heap.table[number]) : NULL; /* [ARENA-TABLE] */
}

static unsigned arena_limit(void)
{
    unsigned limit = hs_load_relaxed(&heap.arena_limit); /* relaxed: whoever asks finds the same */

    if (limit == 0) {
        limit = hs_load_relaxed(&hs_options.arenas);
        if (limit == 0)
            limit = hs_os_cpu_count() * HS_ARENAS_PER_CPU;
        if (limit > HS_ARENAS_MAX)
            limit = HS_ARENAS_MAX;
        hs_store_relaxed(&heap.arena_limit, limit);
    }
    return limit;
}

/* The arena, made if need be; NULL where there is no memory for it. */
static struct hs_arena *make_table_arena_locked(unsigned index) HS_REQUIRES(heap.lock)
{
    struct hs_arena *arena = hs_heap_table_arena(index);

    if (arena != NULL)
        return arena;
    arena = hs_pool_take(&arenas);
    if (arena == NULL)
        return NULL;
    hs_arena_init(arena, index, HS_REGION_BREAK, hs_load_relaxed(&hs_options.strategy));
    arena->large = &hs_heap_large;
    put_in_table(index, arena);
    return arena;
}

static struct hs_arena *make_table_arena(unsigned index)
{
    struct hs_arena *arena;

    hs_mutex_lock(&heap.lock);
    arena = make_table_arena_locked(index);
    hs_mutex_unlock(&heap.lock);
    return arena;
}

/* Whether a block may be longer than its request by what was rounded up to a class: for good, since the first calls of
 * a process may come before its options are read. Relaxed: a thread that frees a block has it from one that set this.
 */
static _Atomic bool has_rounded;

/* Relaxed: written under the heap's lock. */
static unsigned threads_of(const struct hs_arena *arena)
{
    return hs_load_relaxed(&arena->threads);
}

struct hs_arena *hs_heap_enter_arena_locked(void) HS_NO_ANALYSIS
{
    struct hs_arena *fewest = &first_arena;

    /* A process of one thread asks for no limit: to count processors costs pages of libc that it may never touch. */
    for (unsigned i = 0; threads_of(fewest) != 0 && i < arena_limit(); i++) {
        struct hs_arena *arena = make_table_arena_locked(i);

        if (arena != NULL && threads_of(arena) < threads_of(fewest))
            fewest = arena;
    }
    hs_store_relaxed(&fewest->threads, threads_of(fewest) + 1);
    hs_store_relaxed(&has_rounded, true); /* the thread's cache does */
    hs_thread()->arena = fewest;
    return fewest;
}

void hs_heap_leave_arena_locked(struct hs_arena *arena)
{
    hs_store_relaxed(&arena->threads, threads_of(arena) - 1);
}

struct hs_arena *hs_heap_arena(void)
{
    struct hs_thread *self = hs_thread();

    if (HS_UNLIKELY(self->arena == NULL)) {
        unsigned turn = hs_add_relaxed(&heap.next_arena, 1);
        unsigned index = turn == 0 ? 0 : turn % arena_limit();

        self->arena = hs_heap_table_arena(index);
        if (self->arena == NULL)
            self->arena = make_table_arena(index);
        if (self->arena == NULL)
            self->arena = &first_arena;
    }
    return self->arena;
}

bool hs_heap_for_each_table_arena(hs_visit_arena *visit, void *context)
{
    for (unsigned i = 0; i < table_end(); i++) {
        struct hs_arena *arena = hs_heap_table_arena(i);

        if (arena != NULL && !visit(arena, context))
            return false;
    }
    return true;
}

void hs_heap_for_each_first_class_arena_locked(hs_visit_arena *visit, void *context)
{
    for (struct hs_arena *arena = heap.first_class, *next; arena != NULL; arena = next) {
        next = arena->next;
        if (!visit(arena, context))
            return;
    }
}

void hs_heap_for_each_arena_locked(hs_visit_arena *visit, void *context)
{
    if (hs_heap_for_each_table_arena(visit, context))
        hs_heap_for_each_first_class_arena_locked(visit, context);
}

void hs_heap_for_each_arena(hs_visit_arena *visit, void *context)
{
    hs_mutex_lock(&heap.lock);
    hs_heap_for_each_arena_locked(visit, context);
    hs_mutex_unlock(&heap.lock);
}

void hs_heap_set_strategy(uint8_t strategy)
{
    hs_mutex_lock(&heap.lock);
    hs_store_relaxed(&hs_options.strategy, strategy);
    for (unsigned i = 0; i < table_end(); i++)
        if (hs_heap_table_arena(i) != NULL)
            hs_arena_set_strategy(hs_heap_table_arena(i), strategy);
    hs_mutex_unlock(&heap.lock);
}

/* Purging has no thread of its own: whoever is on a slow path looks whether any arena is due, also those whose threads
 * are gone, once in a tick of the coarse clock at the most. */
void hs_heap_decay(void)
{
    static _Atomic uint64_t looked_at_ms;
    uint64_t now_ms = hs_os_now_ms();

    /* Relaxed: who looks a millisecond twice finds nothing to do. */
    if (hs_load_relaxed(&looked_at_ms) == now_ms)
        return;
    hs_store_relaxed(&looked_at_ms, now_ms);
    for (unsigned i = 0; i < arena_limit(); i++)
        if (hs_heap_table_arena(i) != NULL)
            hs_arena_decay(hs_heap_table_arena(i), now_ms);
    hs_large_decay(&hs_heap_large, now_ms);
}

static void decay_first_class(struct hs_arena *arena)
{
    uint64_t now_ms = hs_os_now_ms();

    hs_arena_decay(arena, now_ms);
    if (hs_heap_has_own_large(arena))
        hs_large_decay(arena->large, now_ms);
}

struct trim_request {
    size_t keep_bytes;
    bool gave_back;
    bool lowered_break;
};

static bool trim_arena(struct hs_arena *arena, void *context)
{
    struct trim_request *trim = context;

    enum hs_trimmed trimmed = hs_arena_trim(arena, trim->keep_bytes);

    if (hs_heap_has_own_large(arena))
        trim->gave_back |= hs_large_trim(arena->large);
    trim->gave_back |= trimmed != HS_TRIMMED_NOTHING;
    trim->lowered_break |= trimmed == HS_TRIMMED_BREAK;
    return true;
}

bool hs_heap_trim(size_t keep_bytes)
{
    struct trim_request trim = {keep_bytes, false, false};

    /* When one arena lowers the break, the end of another may be at its top. Each round shortens the heap. */
    do {
        trim.lowered_break = false;
        hs_heap_for_each_arena(trim_arena, &trim);
    } while (trim.lowered_break);
    return hs_large_trim(&hs_heap_large) || trim.gave_back;
}

struct hs_arena *hs_heap_add_arena(enum hs_region_kind source, uint8_t strategy, const struct heapster_os_hooks *hooks)
{
    struct first_class_arena *made = hs_pool_take(&arenas);
    struct hs_arena *arena;

    if (made == NULL)
        return NULL;
    arena = &made->arena;
    hs_arena_init(arena, HS_ARENA_FIRST_CLASS, source, strategy);
    if (hooks != NULL)
        arena->hooks = *hooks;
    if (source == HS_REGION_MAPPED) {
        hs_large_init(&made->large, arena);
        arena->large = &made->large;
    }
    hs_mutex_lock(&heap.lock);
    arena->next = heap.first_class;
    if (heap.first_class != NULL)
        heap.first_class->previous = arena;
    heap.first_class = arena;
    hs_mutex_unlock(&heap.lock);
    return arena;
}

void hs_heap_remove_arena(struct hs_arena *arena)
{
    struct hs_region *refused;

    hs_mutex_lock(&heap.lock);
    if (arena->next != NULL)
        arena->next->previous = arena->previous;
    if (arena->previous != NULL)
        arena->previous->next = arena->next;
    else
        heap.first_class = arena->next;
    hs_mutex_unlock(&heap.lock);
    if (arena->large != NULL)
        hs_large_release_all(arena->large, &hs_heap_large);
    refused = hs_arena_return_regions(arena);
    while (refused != NULL) {
        struct hs_region *region = refused;

        hs_region_unlink(&refused, region);
        hs_large_keep_idle(&hs_heap_large, region);
    }
    if (arena->large != NULL)
        hs_mutex_destroy(&arena->large->lock);
    hs_arena_destroy_locks(arena);
    hs_pool_give(&arenas, (struct first_class_arena *)arena);
}

struct hs_mutex *hs_heap_lock(void)
{
    return &heap.lock;
}

struct hs_mutex *hs_heap_init_lock(void)
{
    return &init_lock;
}

struct hs_mutex *hs_heap_pool_lock(void)
{
    return &arenas.lock;
}

/* ---- allocate -------------------------------------------------------------------------------------------------- */

/* A block of one of the other arenas, when the thread's own has no memory. */
static struct hs_block *allocate_elsewhere(const struct hs_arena *own, size_t block_bytes, size_t alignment)
{
    for (unsigned i = 0; i < table_end(); i++) {
        struct hs_arena *arena = hs_heap_table_arena(i);
        struct hs_block *block = NULL;

        if (arena != NULL && arena != own)
            block = hs_arena_allocate(arena, block_bytes, alignment);
        if (block != NULL)
            return block;
    }
    return NULL;
}

size_t hs_heap_block_bytes_for(size_t bytes)
{
    size_t block_bytes = hs_block_bytes_for(bytes);

    /* Relaxed: set at the start. */
    if (block_bytes <= HS_TINY_BLOCK_BYTES_MOST || block_bytes > HS_CLASS_UNITS_MOST * HS_ALIGNMENT ||
        !hs_load_relaxed(&hs_options.cache))
        return block_bytes;
    if (!hs_load_relaxed(&has_rounded))
        hs_store_relaxed(&has_rounded, true);
    return hs_class_bytes(hs_class_for(block_bytes));
}

void *hs_heap_allocate(struct hs_arena *arena, size_t bytes, size_t alignment, bool *zeroed)
{
    struct hs_arena *own = arena != NULL ? arena : hs_heap_arena();
    size_t threshold = hs_load_relaxed(&hs_options.mmap_threshold); /* relaxed: old or new, either is right */
    bool fits_arena, is_large;
    size_t block_bytes;

    *zeroed = false;
    if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX)
        return NULL;
    fits_arena = bytes < HS_ARENA_REQUEST_MAX - 64 && alignment < HS_ARENA_REQUEST_MAX - 64 - bytes;
    is_large = own->large != NULL && (!fits_arena || bytes + (alignment > HS_ALIGNMENT ? alignment : 0) >= threshold);
    block_bytes =
        arena == NULL && alignment == HS_ALIGNMENT ? hs_heap_block_bytes_for(bytes) : hs_block_bytes_for(bytes);
    for (int attempt = 0; attempt < 2; attempt++) {
        struct hs_block *block = NULL;

        if (is_large) {
            void *payload = hs_large_allocate(own->large, bytes, alignment, zeroed);

            hs_heap_decay();
            if (payload != NULL)
                return payload;
        }
        if (fits_arena)
            block = hs_arena_allocate(own, block_bytes, alignment);
        if (block == NULL && fits_arena && arena == NULL)
            block = allocate_elsewhere(own, block_bytes, alignment);
        if (block != NULL)
            return hs_block_payload(block);
        /* Address space that arenas hold and do not use may be what is missing, but not for a caller's own memory. */
        if (own->large == NULL || bytes > hs_load_relaxed(&hs_arena_all_region_bytes) + hs_large_all_cached_bytes() ||
            !hs_heap_trim(0))
            break;
    }
    return NULL;
}

/* ---- live blocks ------------------------------------------------------------------------------------------------ */

/* Whether the tag that ends the block verifies; an overflow of the block destroys it first. Its owner may be writing
 * it at this moment, so a "no" is asked again while no boundary can move. */
static bool is_right_tag_intact(struct hs_arena *arena, struct hs_block *block)
{
    bool intact = hs_block_is_intact(hs_block_right(block));

    if (HS_UNLIKELY(!intact)) {
        hs_arena_lock_all(arena);
        intact = hs_block_is_intact(hs_block_right(block));
        hs_arena_unlock_all(arena);
    }
    return intact;
}

/* True if the tag is that of a USED block of the arena, and the one after it has not been overwritten. */
static bool is_live_block(struct hs_arena *arena, struct hs_block *block)
{
    return hs_block_arena(block) == arena->number && hs_block_is_intact(block) &&
           hs_block_state(block) == HS_STATE_USED && is_right_tag_intact(arena, block);
}

bool hs_heap_resolve_by_tag(const void *payload, struct hs_owner *owner)
{
    owner->block = hs_block_of(payload);
    owner->region = NULL;
    if ((uintptr_t)payload % HS_ALIGNMENT != 0 || !hs_block_is_intact(owner->block) ||
        hs_block_state(owner->block) != HS_STATE_USED)
        return false;
    owner->arena = hs_heap_table_arena(hs_block_arena(owner->block));
    return owner->arena != NULL;
}

bool hs_heap_resolve(const void *payload, const char *operation, struct hs_owner *owner)
{
    struct hs_region *region = hs_region_find(payload), *overlay;

    owner->block = hs_block_of(payload);
    owner->region = NULL;
    if (HS_UNLIKELY((uintptr_t)payload % HS_ALIGNMENT != 0)) {
        hs_diagnose(payload, operation);
        return false;
    }
    if (HS_LIKELY(region != NULL && region->kind != HS_REGION_LARGE && hs_region_holds(region, owner->block))) {
        owner->arena = region->arena;
        if (HS_LIKELY(owner->arena->number != HS_ARENA_FIRST_CLASS && is_live_block(owner->arena, owner->block)))
            return true;
    } else if (region != NULL && region->kind == HS_REGION_LARGE && hs_large_payload(region) == payload) {
        owner->arena = region->set->arena;
        owner->region = region;
        if (hs_block_state(owner->block) == HS_STATE_LARGE && hs_block_is_intact(owner->block))
            return true;
        hs_diagnose(payload, operation);
        return false;
    }
    /* Of the tag, not of the payload: the block may be the very memory that an overlay begins in. */
    overlay = hs_region_overlay_find(owner->block);
    if (overlay != NULL)
        region = overlay;
    if (region != NULL && region->kind != HS_REGION_LARGE && hs_region_holds(region, owner->block)) {
        owner->arena = region->arena;
        if (is_live_block(owner->arena, owner->block))
            return true;
    }
    hs_diagnose(payload, operation);
    return false;
}

size_t hs_heap_usable_bytes(const struct hs_owner *owner)
{
    return owner->region != NULL ? hs_large_usable_bytes(owner->region) : hs_block_usable_bytes(owner->block);
}

size_t hs_heap_slack_bytes(const struct hs_owner *owner)
{
    size_t block_bytes = hs_block_bytes(owner->block);
    /* A block is cut to size but for what is too short to be a block. */
    size_t slack_bytes = HS_BLOCK_BYTES_LEAST + HS_ALIGNMENT - 1;

    /* An eighth is rounded up to the class, and another one may stay after a realloc. */
    if (owner->arena->number != HS_ARENA_FIRST_CLASS && block_bytes > HS_TINY_BLOCK_BYTES_MOST &&
        hs_load_relaxed(&has_rounded))
        slack_bytes += block_bytes / 4;
    return slack_bytes;
}

/* A program that only frees small blocks between others looks for what is due so often. */
enum { FREES_A_LOOK = 1024 };

void hs_heap_release(const struct hs_owner *owner)
{
    bool slow = true;

    if (owner->region != NULL && !hs_large_release(owner->region, hs_block_payload(owner->block)))
        hs_diagnose(hs_block_payload(owner->block), "free");
    else if (owner->region == NULL)
        slow = hs_arena_release(owner->arena, owner->block) || hs_thread()->frees++ % FREES_A_LOOK == 0;
    if (slow && owner->arena != NULL && owner->arena->number == HS_ARENA_FIRST_CLASS)
        decay_first_class(owner->arena);
    else if (slow)
        hs_heap_decay();
}

/* What becomes of a block that is resized where threads have caches; where they have none, it is cut to size. */
enum resizing { STAYS, IS_COPIED, IS_CUT_TO_SIZE };

static enum resizing choose_resizing(const struct hs_block *block, size_t block_bytes)
{
    size_t old_bytes = hs_block_bytes(block);

    if (!hs_load_relaxed(&hs_options.cache)) /* relaxed: set at the start */
        return IS_CUT_TO_SIZE;
    if (block_bytes == old_bytes)
        return STAYS;
    /* A copy of so little costs less than the locks. */
    if (old_bytes <= HS_TINY_BLOCK_BYTES_MOST)
        return IS_COPIED;
    /* What would be given back is not worth them. */
    return block_bytes < old_bytes && old_bytes - block_bytes <= old_bytes / 8 ? STAYS : IS_CUT_TO_SIZE;
}

static void *resize_in_arena(const struct hs_owner *owner, size_t bytes)
{
    bool is_first_class = owner->arena->number == HS_ARENA_FIRST_CLASS;
    size_t block_bytes = is_first_class ? hs_block_bytes_for(bytes) : hs_heap_block_bytes_for(bytes);
    enum resizing resizing = is_first_class ? IS_CUT_TO_SIZE : choose_resizing(owner->block, block_bytes);

    if (resizing == IS_COPIED ||
        (resizing == IS_CUT_TO_SIZE && !hs_arena_resize(owner->arena, owner->block, block_bytes)))
        return NULL;
    return hs_block_payload(owner->block);
}

void *hs_heap_resize_in_place(const struct hs_owner *owner, size_t bytes)
{
    if (owner->region == NULL)
        return bytes < HS_ARENA_REQUEST_MAX ? resize_in_arena(owner, bytes) : NULL;
    /* Half the threshold: a block that goes up and down around it does not change sides each time. */
    if (bytes < hs_load_relaxed(&hs_options.mmap_threshold) / 2)
        return NULL;
    return hs_large_resize(owner->region, bytes);
}

void hs_heap_cut(const struct hs_owner *owner, size_t bytes)
{
    (void)hs_arena_resize(owner->arena, owner->block, hs_heap_block_bytes_for(bytes));
}
