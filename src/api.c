/*
 * api: the malloc family under its heapster_ names. Argument checks and errno; everything else is the heap's.
 *
 * Every function here leaves errno alone unless it fails: the layers below never touch it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "diagnose.h"
#include "fastpath.h"
#include "heapster.h"
#include "options.h"
#include "os.h"
#include "override.h"
#include "slowpath.h"
#include "visible.h"

/* What option fill=on writes: bytes that are no pointer, no text and no small number. */
enum { FILL_NEW = 0xA5, FILL_FREED = 0x5A };

static bool fills(void)
{
    return HS_UNLIKELY(hs_load_relaxed(&hs_options.fill)); /* relaxed: a debugging aid, set at the start */
}

/* From the thread's cache, or NULL. */
static void *take_cached(size_t bytes)
{
    /* Relaxed: an option. */
    if (bytes > HS_CLASS_PAYLOAD_BYTES_MOST || bytes >= hs_load_relaxed(&hs_options.mmap_threshold) ||
        !hs_cache_is_there())
        return NULL;
    return hs_cache_allocate(bytes);
}

/* From a cache, or from the arenas; what caches hold is given back before there is no memory. */
static void *take(struct hs_arena *arena, size_t bytes, size_t alignment, bool *zeroed)
{
    void *payload = arena == NULL && alignment == HS_ALIGNMENT ? take_cached(bytes) : NULL;

    *zeroed = false;
    if (payload == NULL)
        payload = hs_heap_allocate(arena, bytes, alignment, zeroed);
    if (payload == NULL && arena == NULL && hs_cache_give_back())
        payload = hs_heap_allocate(arena, bytes, alignment, zeroed);
    hs_end_slow_path();
    return payload;
}

static void *allocate(struct hs_arena *arena, size_t bytes, size_t alignment)
{
    bool zeroed;
    void *payload = hs_visible_allocated(take(arena, bytes, alignment, &zeroed), bytes, false);

    if (payload == NULL)
        errno = ENOMEM;
    else if (fills())
        memset(payload, FILL_NEW, bytes);
    return payload;
}

/* From so many bytes on the OS zeroes a large block: it does so page by page, when a page is touched. */
#define PURGE_BYTES_LEAST ((size_t)4 << 20)

static void clear(void *payload, size_t bytes)
{
    size_t page = hs_os_page_bytes();

    if (bytes >= PURGE_BYTES_LEAST && hs_block_state(hs_block_of(payload)) == HS_STATE_LARGE &&
        hs_os_purge(payload, (bytes + page - 1) & ~(page - 1)))
        return;
    memset(payload, 0, bytes);
}

static void *allocate_zeroed(struct hs_arena *arena, size_t count, size_t bytes)
{
    size_t total_bytes;
    bool zeroed = false;
    void *payload;

    if (__builtin_mul_overflow(count, bytes, &total_bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (arena != NULL)
        payload = NULL;
    else if (!hs_cache_pop_tiny(total_bytes, &payload))
        payload = hs_cache_pop(total_bytes);
    if (payload == NULL) {
        hs_heap_start();
        payload = take(arena, total_bytes, HS_ALIGNMENT, &zeroed);
    }
    (void)hs_visible_allocated(payload, total_bytes, true);
    if (payload == NULL)
        errno = ENOMEM;
    else if (!zeroed)
        clear(payload, total_bytes);
    return payload;
}

/* The block of a pointer that the program says is live. Where the thread has a cache, its tag alone says so: what free
 * and realloc of small blocks cost decides. */
static bool resolve(const void *ptr, const char *operation, struct hs_owner *owner)
{
    if (hs_cache_is_there() && hs_cache_may_read_tag(ptr) && hs_heap_resolve_by_tag(ptr, owner))
        return true;
    return hs_heap_resolve(ptr, operation, owner);
}

static void release(void *payload, const struct hs_owner *owner)
{
    bool is_cacheable = owner->region == NULL && owner->arena != NULL && owner->arena->number != HS_ARENA_FIRST_CLASS;

    if (is_cacheable && hs_cache_is_there()) {
        hs_visible_freed(payload);
        hs_cache_release(owner->arena, owner->block);
    } else {
        if (fills())
            memset(payload, FILL_FREED, hs_visible_bytes(payload, hs_heap_usable_bytes(owner)));
        hs_visible_freed(payload);
        hs_heap_release(owner);
    }
    hs_end_slow_path();
}

/* What the program keeps of a block of `usable_bytes` that is resized to `bytes`. */
static void copy_kept(void *moved, const void *ptr, size_t bytes, size_t usable_bytes)
{
    size_t kept_bytes = hs_visible_bytes(ptr, usable_bytes);

    memcpy(moved, ptr, bytes < kept_bytes ? bytes : kept_bytes);
}

/* Makes a block shorter where there is no other one for what it keeps. */
static void *stay(const struct hs_owner *owner, void *ptr, size_t bytes)
{
    size_t old_bytes = hs_visible_bytes(ptr, 0);

    if (owner->region != NULL)
        ptr = hs_large_resize(owner->region, bytes);
    else
        hs_heap_cut(owner, bytes);
    hs_visible_resized(ptr, old_bytes, bytes);
    return ptr;
}

/* Resizes by a copy; NULL, with nothing changed, where there is no memory. */
static void *move(const struct hs_owner *owner, void *ptr, size_t bytes)
{
    size_t usable_bytes = hs_heap_usable_bytes(owner);
    bool stays_in_arena = owner->arena != NULL && owner->arena->number == HS_ARENA_FIRST_CLASS;
    bool zeroed;
    void *moved = take(stays_in_arena ? owner->arena : NULL, bytes, HS_ALIGNMENT, &zeroed);

    if (moved == NULL)
        return bytes <= usable_bytes ? stay(owner, ptr, bytes) : NULL;
    (void)hs_visible_allocated(moved, bytes, false);
    copy_kept(moved, ptr, bytes, usable_bytes);
    release(ptr, owner);
    return moved;
}

/* Up to so many bytes are moved by a copy: that costs less than the locks of resizing in place. */
#define COPIED_BYTES_MOST ((size_t)4 * 1024)

/* A block of this thread's arena, resized within the thread's cache; NULL where it takes more than that. */
static void *resize_in_cache(void *ptr, size_t bytes)
{
    size_t block_bytes = hs_cache_own_bytes(ptr), old_bytes;
    void *moved;

    if (block_bytes == 0 || bytes == 0 || bytes > HS_CLASS_PAYLOAD_BYTES_MOST)
        return NULL;
    if (hs_class_bytes(hs_class_for(hs_block_bytes_for(bytes))) == block_bytes) {
        hs_visible_resized(ptr, hs_visible_bytes(ptr, 0), bytes);
        return ptr;
    }
    old_bytes = block_bytes - HS_TAG_BYTES;
    if ((bytes < old_bytes ? bytes : old_bytes) > COPIED_BYTES_MOST)
        return NULL;
    if (!hs_cache_pop_tiny(bytes, &moved)) {
        moved = hs_cache_pop(bytes);
        if (moved == NULL)
            return NULL;
    }
    (void)hs_visible_allocated(moved, bytes, false);
    copy_kept(moved, ptr, bytes, old_bytes);
    hs_free(ptr);
    return moved;
}

static void *resize(struct hs_arena *arena, void *ptr, size_t bytes)
{
    struct hs_owner owner;
    void *payload = resize_in_cache(ptr, bytes);

    if (payload != NULL)
        return payload;
    if (ptr == NULL)
        return allocate(arena, bytes, HS_ALIGNMENT);
    if (!resolve(ptr, "realloc", &owner))
        return NULL;
    if (bytes == 0) {
        release(ptr, &owner);
        return NULL;
    }
    if (bytes <= PTRDIFF_MAX) {
        size_t old_bytes = hs_visible_bytes(ptr, 0);

        payload = hs_heap_resize_in_place(&owner, bytes);
        if (payload == NULL)
            payload = move(&owner, ptr, bytes);
        else
            hs_visible_resized(payload, old_bytes, bytes);
    }
    hs_end_slow_path();
    if (payload == NULL)
        errno = ENOMEM;
    return payload;
}

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static size_t at_least_standard(size_t alignment)
{
    return alignment > HS_ALIGNMENT ? alignment : HS_ALIGNMENT;
}

static void *allocate_aligned(struct hs_arena *arena, size_t alignment, size_t bytes)
{
    if (!is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(arena, bytes, at_least_standard(alignment));
}

/* ---- the family -------------------------------------------------------------------------------------------------- */

static HS_NOINLINE void *malloc_past_bins(size_t bytes)
{
    void *payload = hs_cache_pop(bytes);

    if (HS_LIKELY(payload != NULL))
        return hs_visible_allocated(payload, bytes, false);
    hs_heap_start();
    return allocate(NULL, bytes, HS_ALIGNMENT);
}

void *hs_malloc_slowly(size_t bytes)
{
    void *payload;
    bool is_popped = bytes < HS_TINY_PAYLOAD_LEAST ? hs_cache_pop_tiny(HS_TINY_PAYLOAD_LEAST, &payload)
                                                   : hs_cache_pop_medium(bytes, &payload);

    if (HS_UNLIKELY(!is_popped))
        return malloc_past_bins(bytes);
    return hs_visible_allocated(payload, bytes, false);
}

static HS_NOINLINE void free_past_cache(void *ptr)
{
    struct hs_owner owner;

    if (ptr == NULL)
        return;
    hs_heap_start();
    if (resolve(ptr, "free", &owner))
        release(ptr, &owner);
}

static HS_NOINLINE void free_past_bins(void *ptr)
{
    struct hs_cache *cache = hs_cache_self;

    if (HS_UNLIKELY(!hs_cache_may_read_tag(ptr)) || HS_UNLIKELY(!hs_cache_defer_foreign(cache, ptr))) {
        free_past_cache(ptr);
    } else if (HS_UNLIKELY(hs_waiting_is_full(&cache->unsent))) {
        hs_cache_send_waiting(cache);
        hs_end_slow_path();
    }
}

void hs_free_slowly(void *ptr)
{
    if (HS_UNLIKELY(!hs_cache_may_read_tag(ptr)) || HS_UNLIKELY(!hs_cache_push_medium(hs_cache_self, ptr)))
        free_past_bins(ptr);
}

void hs_sort_freed(void)
{
    hs_cache_sort(hs_cache_self);
    hs_end_slow_path();
}

void *heapster_malloc(size_t bytes)
{
    HS_VISIBLE_CALL;
    return hs_malloc(bytes);
}

void *heapster_calloc(size_t count, size_t bytes)
{
    HS_VISIBLE_CALL;
    return allocate_zeroed(NULL, count, bytes);
}

void *heapster_realloc(void *ptr, size_t bytes)
{
    HS_VISIBLE_CALL;
    if (ptr == NULL)
        return hs_malloc(bytes);
    hs_heap_start();
    return resize(NULL, ptr, bytes);
}

void *heapster_reallocarray(void *ptr, size_t count, size_t bytes)
{
    HS_VISIBLE_CALL;
    size_t total_bytes;

    if (__builtin_mul_overflow(count, bytes, &total_bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return heapster_realloc(ptr, total_bytes);
}

void heapster_free(void *ptr)
{
    HS_VISIBLE_CALL;
    hs_free(ptr);
}

/* Whether a block may have been asked for with `bytes`; reports it if not. */
static bool size_is_right(const void *ptr, const struct hs_owner *owner, size_t bytes)
{
    size_t usable_bytes = hs_heap_usable_bytes(owner), slack, least;

    slack = owner->region != NULL ? hs_large_slack_bytes(owner->region) : hs_heap_slack_bytes(owner);
    least = usable_bytes > slack ? usable_bytes - slack : 0;
    if (bytes >= least && bytes <= usable_bytes)
        return true;
    hs_diagnose_size(ptr, "wrong size", bytes, least, usable_bytes);
    return false;
}

void heapster_free_sized(void *ptr, size_t bytes)
{
    HS_VISIBLE_CALL;
    struct hs_owner owner;

    if (ptr == NULL)
        return;
    hs_heap_start();
    if (hs_heap_resolve(ptr, "free", &owner) && size_is_right(ptr, &owner, bytes))
        release(ptr, &owner);
}

void heapster_free_aligned_sized(void *ptr, size_t alignment, size_t bytes)
{
    HS_VISIBLE_CALL;
    struct hs_owner owner;

    if (ptr == NULL)
        return;
    hs_heap_start();
    if (!hs_heap_resolve(ptr, "free", &owner) || !size_is_right(ptr, &owner, bytes))
        return;
    if (!is_power_of_two(alignment) || ((uintptr_t)ptr & (alignment - 1)) != 0) {
        hs_diagnose_size(ptr, "wrong alignment", alignment, 1, (uintptr_t)ptr & (~(uintptr_t)ptr + 1));
        return;
    }
    release(ptr, &owner);
}

void *heapster_aligned_alloc(size_t alignment, size_t bytes)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    return allocate_aligned(NULL, alignment, bytes);
}

int heapster_posix_memalign(void **out, size_t alignment, size_t bytes)
{
    HS_VISIBLE_CALL;
    int saved_errno = errno;
    void *payload;

    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    hs_heap_start();
    payload = allocate(NULL, bytes, at_least_standard(alignment));
    errno = saved_errno;
    if (payload == NULL)
        return ENOMEM;
    *out = payload;
    return 0;
}

void *heapster_memalign(size_t alignment, size_t bytes)
{
    HS_VISIBLE_CALL;
    size_t rounded = HS_ALIGNMENT;

    while (rounded < alignment && rounded <= SIZE_MAX / 2)
        rounded *= 2;
    if (rounded < alignment) {
        errno = EINVAL;
        return NULL;
    }
    hs_heap_start();
    return allocate(NULL, bytes, rounded);
}

void *heapster_valloc(size_t bytes)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    return allocate(NULL, bytes, hs_os_page_bytes());
}

void *heapster_pvalloc(size_t bytes)
{
    HS_VISIBLE_CALL;
    size_t page, rounded;

    hs_heap_start();
    page = hs_os_page_bytes();
    if (bytes > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    rounded = (bytes + page - 1) & ~(page - 1);
    return allocate(NULL, rounded != 0 ? rounded : page, page);
}

size_t heapster_usable_size(const void *ptr)
{
    HS_VISIBLE_CALL;
    struct hs_owner owner;

    if (ptr == NULL)
        return 0;
    hs_heap_start();
    if (!hs_heap_resolve(ptr, "usable_size", &owner))
        return 0;
    return hs_visible_bytes(ptr, hs_heap_usable_bytes(&owner));
}

/* ---- tuning -------------------------------------------------------------------------------------------------------
 */

static bool is_strategy(enum heapster_strategy strategy)
{
    return (unsigned)strategy <= HEAPSTER_WORST_FIT;
}

int heapster_set_strategy(enum heapster_strategy strategy)
{
    HS_VISIBLE_CALL;
    if (!is_strategy(strategy))
        return EINVAL;
    hs_heap_start();
    hs_heap_set_strategy((uint8_t)strategy);
    hs_end_slow_path();
    return 0;
}

enum heapster_strategy heapster_get_strategy(void)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    return (enum heapster_strategy)hs_load_relaxed(&hs_options.strategy);
}

void heapster_set_mmap_threshold(size_t bytes)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    hs_options_set_mmap_threshold(bytes);
}

size_t heapster_get_mmap_threshold(void)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    return hs_load_relaxed(&hs_options.mmap_threshold);
}

bool heapster_trim(size_t keep_bytes)
{
    HS_VISIBLE_CALL;
    bool gave_back;

    hs_heap_start();
    (void)hs_cache_give_back();
    gave_back = hs_heap_trim(keep_bytes < HS_REGION_BYTES_MAX ? keep_bytes : HS_REGION_BYTES_MAX);
    hs_end_slow_path();
    return gave_back;
}

/* ---- first-class arenas ---------------------------------------------------------------------------------------------
 */

static bool config_is_valid(const struct heapster_arena_config *config)
{
    if (!is_strategy(config->strategy))
        return false;
    if (config->buffer != NULL)
        return config->buffer_bytes >= 128 && config->buffer_bytes <= HS_REGION_BYTES_MAX;
    return config->hooks == NULL || (config->hooks->map != NULL && config->hooks->unmap != NULL);
}

heapster_arena *heapster_arena_create(const struct heapster_arena_config *config)
{
    HS_VISIBLE_CALL;
    static const struct heapster_arena_config standard = {.strategy = HEAPSTER_FIRST_FIT};
    enum hs_region_kind source = HS_REGION_MAPPED;
    struct hs_arena *arena;

    if (config == NULL)
        config = &standard;
    if (!config_is_valid(config)) {
        errno = EINVAL;
        return NULL;
    }
    hs_heap_start();
    if (config->buffer != NULL)
        source = HS_REGION_BUFFER;
    else if (config->hooks != NULL)
        source = HS_REGION_HOOKED;
    arena = hs_heap_add_arena(source, (uint8_t)config->strategy, config->hooks);
    if (arena != NULL && source == HS_REGION_BUFFER &&
        !hs_arena_adopt_buffer(arena, config->buffer, config->buffer_bytes)) {
        hs_heap_remove_arena(arena);
        arena = NULL;
    }
    if (arena == NULL)
        errno = ENOMEM;
    return (heapster_arena *)arena;
}

static struct hs_arena *inner(heapster_arena *arena)
{
    return (struct hs_arena *)arena;
}

void *heapster_arena_malloc(heapster_arena *arena, size_t bytes)
{
    HS_VISIBLE_CALL;
    return allocate(inner(arena), bytes, HS_ALIGNMENT);
}

void *heapster_arena_calloc(heapster_arena *arena, size_t count, size_t bytes)
{
    HS_VISIBLE_CALL;
    return allocate_zeroed(inner(arena), count, bytes);
}

void *heapster_arena_realloc(heapster_arena *arena, void *ptr, size_t bytes)
{
    HS_VISIBLE_CALL;
    return resize(inner(arena), ptr, bytes);
}

void *heapster_arena_aligned_alloc(heapster_arena *arena, size_t alignment, size_t bytes)
{
    HS_VISIBLE_CALL;
    return allocate_aligned(inner(arena), alignment, bytes);
}

int heapster_arena_set_strategy(heapster_arena *arena, enum heapster_strategy strategy)
{
    HS_VISIBLE_CALL;
    if (!is_strategy(strategy))
        return EINVAL;
    hs_arena_set_strategy(inner(arena), (uint8_t)strategy);
    hs_end_slow_path();
    return 0;
}

void heapster_arena_destroy(heapster_arena *arena)
{
    HS_VISIBLE_CALL;
    if (arena != NULL)
        hs_heap_remove_arena(inner(arena));
}

/* ---- process life ---------------------------------------------------------------------------------------------------
 */

/* The dynamic linker may have allocated before libc had an environment; by now it has. */
HS_AT_LOAD static void at_start(void)
{
    HS_VISIBLE_CALL;
    hs_override_settle();
    hs_heap_start();
    if (hs_options_read_environment())
        hs_heap_set_strategy(hs_load_relaxed(&hs_options.strategy));
    /* The dynamic linker's calls may have made one before anybody could say that there is to be none. */
    if (!hs_load_relaxed(&hs_options.cache) || fills())
        hs_cache_leave();
}

HS_AT_UNLOAD static void at_exit(void)
{
    HS_VISIBLE_CALL;
    hs_cache_verify();
    if (hs_load_relaxed(&hs_options.stats_at_exit))
        (void)heapster_stats_print(STDERR_FILENO, HEAPSTER_TEXT);
}
